//! From the upstream: what writers brought there, by its count, into the mailboxes of this relay.
//!
//! ```text
//!   collect, held --> entries --verified, durable--> cursor goes on
//!                        '--bodies that are missing: fetch-bodies, until none is
//! ```
//!
//! Refuses to move its cursor past what its own store could not take.

use super::limits::{AGAIN_MS, PACE_MS, REFUSED_RETRY_MS};
use super::session::Line;
use super::up::Up;
use super::{Held, Place, Trouble};
use crate::exchange::{Delivered, DeliveredItem};
use crate::mailbox::Chunk;
use crate::server::after_ms;
use postern_protocol::Reject;
use postern_protocol::frame::{Collect, Collected, DownFrame, Entry, UpFrame, Wanted};
use postern_protocol::id::{ChannelId, Plane};
use postern_protocol::limits::{FETCH_DIGESTS_MAX, HOLD_S_MAX, PUTS_MAX};
use postern_protocol::revision::{ArrivalNumber, StoreEpoch};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where the count stands; outlives sessions.
#[derive(Debug)]
pub(super) struct Down {
    store: StoreEpoch,
    cursor: ArrivalNumber,
    /// Something could not be taken: all of it is collected again then, on the mailbox's clock.
    again_ms: Option<u64>,
}

impl Default for Down {
    fn default() -> Self {
        Self {
            store: StoreEpoch::new(0),
            cursor: ArrivalNumber::new(0),
            again_ms: None,
        }
    }
}

/// One answer, out of its frame.
struct Arrivals {
    store: StoreEpoch,
    last: Option<ArrivalNumber>,
    items: Vec<DeliveredItem>,
    retry_ms: u64,
}

impl Down {
    /// Collects until the session is over.
    pub(super) async fn run(&mut self, place: &Place, line: &Line, up: &Up) -> Trouble {
        loop {
            if let Err(trouble) = self.collect(place, line, up).await {
                return trouble;
            }
        }
    }

    async fn collect(&mut self, place: &Place, line: &Line, up: &Up) -> Result<(), Trouble> {
        let clock = place.durable.mailbox().clock();
        let began_ms = clock.now_ms();
        if self.again_ms.is_some_and(|at_ms| at_ms <= began_ms) {
            self.again_ms = None;
            self.cursor = ArrivalNumber::new(0);
        }
        let wait_s = self.again_ms.map(|at_ms| (at_ms - began_ms) / 1_000 + 1);
        let hold_s = place.carry.hold_s().min(HOLD_S_MAX);
        let hold_s = wait_s.map_or(hold_s, |wait_s| wait_s.min(hold_s));
        let frame = UpFrame::Collect(Collect {
            hold_s: u16::try_from(hold_s).unwrap_or(u16::MAX),
            store: self.store,
            cursor: self.cursor,
        });
        let known = (self.store, self.cursor);
        let read = |down: DownFrame<'_>| match down {
            DownFrame::Collected(collected) => copy_arrivals(&collected, known),
            DownFrame::Answer(_) | DownFrame::Bodies(_) | DownFrame::StreamAnswer(_) => {
                Err(Reject::AnswerMismatch)
            }
        };
        let answered = line.ask(place, &frame, hold_s, read).await;
        let arrivals = answered.inspect_err(|_| place.carry.note_held(Held::Failed))?;
        let is_empty = arrivals.items.is_empty();
        place
            .carry
            .note_held(if is_empty { Held::Empty } else { Held::Carried });
        if arrivals.store != self.store {
            (self.store, self.cursor) = (arrivals.store, ArrivalNumber::new(0));
            //= spec/relays.md#chains
            //# A relay whose upstream names another store epoch than before MUST bring everything that it
            //# holds again.
            up.bring_all_again();
        }
        let mut wait_ms = arrivals.retry_ms;
        let took_ms = clock.now_ms().saturating_sub(began_ms);
        if is_empty && took_ms < PACE_MS {
            wait_ms = wait_ms.max(PACE_MS);
        }
        if !self.take(place, line, arrivals).await? {
            wait_ms = wait_ms.max(REFUSED_RETRY_MS);
        }
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        Ok(())
    }

    /// Makes durable what came. Returns false when there was no room for all of it now.
    async fn take(
        &mut self,
        place: &Place,
        line: &Line,
        arrivals: Arrivals,
    ) -> Result<bool, Trouble> {
        let (count, last) = (arrivals.items.len() as u64, arrivals.last);
        if arrivals.items.is_empty() {
            return Ok(true);
        }
        let Delivered {
            refused,
            snapshots_wanted,
            bodies_wanted,
        } = place.durable.take_onward(arrivals.items).await;
        let is_busy = |(_, reject): &(u32, Reject)| *reject == Reject::Overloaded;
        if refused.iter().any(is_busy) {
            return Ok(false);
        }
        let mut is_missing = !snapshots_wanted.is_empty();
        for (_, reject) in &refused {
            is_missing |= matches!(
                reject,
                Reject::Quota | Reject::NotAdmitted | Reject::BundleGap
            );
            place.note_refused("down", "envelope", Some(*reject));
        }
        if is_missing && self.again_ms.is_none() {
            let now_ms = place.durable.mailbox().clock().now_ms();
            self.again_ms = Some(now_ms.saturating_add(AGAIN_MS));
        }
        self.cursor = last.unwrap_or(self.cursor);
        place.note(|stats| stats.collected = stats.collected.saturating_add(count));
        let mut wanted: BTreeMap<ChannelId, Vec<Wanted>> = BTreeMap::new();
        for (channel, _, one) in bodies_wanted {
            wanted.entry(channel).or_default().push(one);
        }
        for (channel, wanted) in wanted {
            fetch(place, line, channel, wanted).await?;
        }
        Ok(true)
    }
}

/// Brings the bodies that the snapshot of a channel lacks, as long as some come.
async fn fetch(
    place: &Place,
    line: &Line,
    channel: ChannelId,
    mut wanted: Vec<Wanted>,
) -> Result<(), Trouble> {
    for _ in 0..PUTS_MAX {
        if wanted.is_empty() {
            return Ok(());
        }
        wanted.truncate(FETCH_DIGESTS_MAX);
        let frame = UpFrame::FetchBodies {
            channel,
            plane: Plane::Desired,
            wanted,
        };
        let read = |down: DownFrame<'_>| match down {
            DownFrame::Bodies(chunks) => Ok(chunks.iter().map(copy_chunk).collect::<Vec<_>>()),
            DownFrame::Collected(_) | DownFrame::Answer(_) | DownFrame::StreamAnswer(_) => {
                Err(Reject::AnswerMismatch)
            }
        };
        let chunks = line.ask(place, &frame, 0, read).await?;
        if chunks.is_empty() {
            // A newer snapshot took its place there: it is collected next.
            return Ok(());
        }
        let put = place.durable.put_bodies(channel, Plane::Desired, chunks);
        match put.await {
            Ok(taken) => wanted = taken.wanted,
            Err(Reject::Overloaded) => {
                let pause = after_ms(REFUSED_RETRY_MS);
                tokio::time::sleep_until(pause).await;
                return Err(Trouble::Rejected(Reject::Overloaded));
            }
            Err(reject) => {
                place.note_refused("down", "body", Some(reject));
                return Ok(());
            }
        }
    }
    Ok(())
}

fn copy_chunk(chunk: &postern_protocol::frame::BodyChunk<'_>) -> Chunk {
    Chunk {
        digest: chunk.digest,
        size: chunk.size,
        offset: chunk.offset,
        bytes: chunk.bytes.to_vec(),
    }
}

fn copy_arrivals(
    collected: &Collected<'_>,
    (store, cursor): (StoreEpoch, ArrivalNumber),
) -> Result<Arrivals, Reject> {
    let cursor = if collected.store == store {
        cursor
    } else {
        ArrivalNumber::new(0)
    };
    let entries = &collected.entries;
    if entries
        .first()
        .is_some_and(|first| first.arrival() <= cursor)
    {
        return Err(Reject::AnswerMismatch);
    }
    let items = entries.iter().map(|entry| match entry {
        Entry::Envelope { delivery, .. } => Ok(DeliveredItem {
            channel: delivery.channel,
            plane: delivery.item.plane,
            envelope: delivery.item.envelope.to_vec(),
        }),
        // Enrolments go the other way.
        Entry::Knock { .. } => Err(Reject::AnswerMismatch),
    });
    Ok(Arrivals {
        store: collected.store,
        last: entries.last().map(Entry::arrival),
        items: items.collect::<Result<_, _>>()?,
        retry_ms: collected.hints.retry_ms.unwrap_or_default(),
    })
}
