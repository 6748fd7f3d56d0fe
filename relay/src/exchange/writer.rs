//! What a tenant's writer asks: to collect what its devices posted, and to deliver what it signed; and what a
//! mailbox that depends on this one asks: the same with the directions turned around.
//!
//! ```text
//!   collect --> arrivals above the cursor: answer now | nothing: HeldCollect --release--> answer
//!   deliver, deliver-bodies, deliver-enrolled --> host (verifies, makes durable) --> answer
//!   fetch-bodies --> bodies of its own devices
//! ```
//!
//! A cursor that counts in another store counts as none. Refuses to show a writer what belongs to
//! another tenant, and leaves every envelope to the host.

use super::{Collector, Exchanges, Step};
use crate::limits::{COLLECT_ENTRY_BYTES, COLLECTED_BYTES_MAX};
use crate::mailbox::{Arrival, Chunk, Collected};
use postern_protocol::Reject;
use postern_protocol::frame::{
    Answer, BodyChunk, Collect, Collected as CollectedFrame, Delivery, DownFrame, Entry, Hints,
    Item, Refusal, UpFrame, Wanted, WantedBody,
};
use postern_protocol::id::{ChannelId, Digest, Plane, SessionId, TenantId};
use postern_protocol::limits::{FETCH_DIGESTS_MAX, SNAPSHOTS_WANTED_MAX};
use postern_protocol::revision::{ArrivalNumber, Knock, StoreEpoch};
use std::collections::BTreeSet;

/// Which request of which writer is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterAsked {
    /// Whose writer, or which mailbox.
    pub collector: Collector,
    pub(super) session: SessionId,
    pub(super) counter: u16,
}

/// What to do with a request of a writer.
#[derive(Debug)]
pub enum WriterStep {
    /// Tell the host how far was read, then answer or wait.
    Collect(Collecting),
    /// Hand the items to the host, then [`Exchanges::answer_deliver`].
    Deliver(Deliver),
    /// Hand the pieces to the host, then [`Exchanges::answer_deliver`].
    Bodies(Bodies),
    /// Hand the answer to an enrolment to the host, then [`Exchanges::answer_deliver`].
    Enrolled(Enrolled),
}

/// A collect, and what its cursor says.
#[derive(Debug)]
pub struct Collecting {
    /// A tenant's writer holds everything up to here durably; a mailbox says nothing by it.
    pub read_to: ArrivalNumber,
    /// The collect, to be answered at once or held.
    pub held: HeldCollect,
    /// True when something came above the cursor.
    pub has_news: bool,
}

/// A collect that waits for arrivals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldCollect {
    /// Who is to be answered.
    pub asked: WriterAsked,
    /// When to answer at the latest, on the caller's monotonic clock in milliseconds.
    pub until_ms: u64,
    cursor: u64,
    is_clamped: bool,
}

/// One envelope of a deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredItem {
    /// Selects the channel; `None` for a bundle.
    pub channel: Option<ChannelId>,
    /// The plane that it travels under.
    pub plane: Option<Plane>,
    /// The untagged COSE_Sign1.
    pub envelope: Vec<u8>,
}

/// Envelopes of a writer, to be made durable before it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliver {
    /// Who is to be answered.
    pub asked: WriterAsked,
    /// The items in their order.
    pub items: Vec<DeliveredItem>,
}

/// Pieces of section bodies of a writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bodies {
    /// Who is to be answered.
    pub asked: WriterAsked,
    /// Selects the channel.
    pub channel: ChannelId,
    /// The plane.
    pub plane: Plane,
    /// The pieces, at least one.
    pub chunks: Vec<Chunk>,
}

/// The answer to an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// Who is to be answered.
    pub asked: WriterAsked,
    /// Whose writer answers.
    pub tenant: TenantId,
    /// Which enrolment.
    pub knock: Knock,
    /// The enrolled frame.
    pub frame: Vec<u8>,
}

/// What the host made of what a writer brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Refused items by their place, and why.
    pub refused: Vec<(u32, Reject)>,
    /// Planes of which a snapshot is wanted.
    pub snapshots_wanted: BTreeSet<(ChannelId, Plane)>,
    /// Bodies that are missing of delivered snapshots.
    pub bodies_wanted: Vec<(ChannelId, Plane, Wanted)>,
}

impl Exchanges {
    pub(super) fn handle_writer(
        &self,
        asked: WriterAsked,
        frame: UpFrame<'_>,
        now_ms: u64,
    ) -> Result<Step, Reject> {
        let step = match frame {
            UpFrame::Collect(collect) => {
                WriterStep::Collect(self.handle_collect(asked, &collect, now_ms))
            }
            UpFrame::Deliver(deliveries) => {
                let items = deliveries.iter().map(copy_delivery).collect();
                WriterStep::Deliver(Deliver { asked, items })
            }
            UpFrame::DeliverBodies {
                channel,
                plane,
                chunks,
            } => WriterStep::Bodies(Bodies {
                asked,
                channel,
                plane,
                chunks: chunks.iter().map(copy_chunk).collect(),
            }),
            UpFrame::FetchBodies {
                channel,
                plane,
                wanted,
            } => {
                let frame = self.answer_writer_fetch(asked, channel, plane, &wanted)?;
                return Ok(Step::Answer(frame));
            }
            UpFrame::DeliverEnrolled { knock, enrolled } => {
                //= spec/relays.md#chains
                //# A mailbox MUST refuse frame 12 in a session that a mailbox opened with `session-role`.
                let Collector::Writer(tenant) = asked.collector else {
                    return Err(Reject::SessionRole);
                };
                WriterStep::Enrolled(Enrolled {
                    asked,
                    tenant,
                    knock,
                    frame: enrolled.to_vec(),
                })
            }
            UpFrame::Stream(_)
            | UpFrame::Poll(_)
            | UpFrame::Post(_)
            | UpFrame::Need { .. }
            | UpFrame::Fetch { .. }
            | UpFrame::Put { .. } => return Err(Reject::SessionRole),
        };
        Ok(Step::Writer(step))
    }

    fn handle_collect(&self, asked: WriterAsked, collect: &Collect, now_ms: u64) -> Collecting {
        let is_ours = collect.store == self.store_for(asked.collector);
        // What a mailbox claims to have seen beyond all that was counted, it cannot have from here.
        let is_known = match asked.collector {
            Collector::Writer(_) => true,
            Collector::Mailbox(_) => collect.cursor.number() <= self.mailboxes.last_onward(),
        };
        let is_ours = is_ours && is_known;
        let cursor = if is_ours { collect.cursor.number() } else { 0 };
        let hold_s = u64::from(collect.hold_s).min(self.limits.hold_s_max);
        let held = HeldCollect {
            asked,
            until_ms: now_ms.saturating_add(hold_s.saturating_mul(1_000)),
            cursor,
            is_clamped: hold_s < u64::from(collect.hold_s),
        };
        Collecting {
            read_to: ArrivalNumber::new(cursor),
            // A writer that counts in another store is told of ours at once.
            has_news: !is_ours || self.has_arrived(&held),
            held,
        }
    }

    fn store_for(&self, collector: Collector) -> StoreEpoch {
        match collector {
            Collector::Writer(tenant) => self.stores.get(&tenant).copied().unwrap_or(self.store),
            Collector::Mailbox(_) => self.onward_store,
        }
    }

    /// Tells whether the held collect would be answered with anything.
    #[must_use]
    pub fn has_arrived(&self, held: &HeldCollect) -> bool {
        match held.asked.collector {
            Collector::Writer(tenant) => self.mailboxes.has_arrived(tenant, held.cursor),
            Collector::Mailbox(_) => self.mailboxes.has_onward(held.cursor),
        }
    }

    /// Answers a collect with what has arrived by now, perhaps nothing.
    ///
    /// # Errors
    /// `session-unknown` when the session ended while it waited.
    pub fn release_collect(
        &self,
        held: &HeldCollect,
        retry_ms: Option<u64>,
    ) -> Result<Vec<u8>, Reject> {
        let (collector, room) = (held.asked.collector, COLLECTED_BYTES_MAX);
        let (mailboxes, cursor) = (&self.mailboxes, held.cursor);
        let collected = match collector {
            Collector::Writer(tenant) => {
                mailboxes.collect_arrived(tenant, cursor, room, COLLECT_ENTRY_BYTES)
            }
            Collector::Mailbox(_) => mailboxes.collect_onward(cursor, room, COLLECT_ENTRY_BYTES),
        };
        let frame = CollectedFrame {
            hints: Hints {
                retry_ms,
                hold_s_max: held.is_clamped.then_some(self.limits.hold_s_max),
                ..Hints::default()
            },
            store: self.store_for(collector),
            entries: collected.iter().map(as_entry).collect(),
        };
        let WriterAsked {
            session, counter, ..
        } = held.asked;
        self.seal_frame(session, counter, &DownFrame::Collected(frame))
    }

    fn answer_writer_fetch(
        &self,
        asked: WriterAsked,
        channel: ChannelId,
        plane: Plane,
        wanted: &[Wanted],
    ) -> Result<Vec<u8>, Reject> {
        let is_its = match asked.collector {
            Collector::Writer(tenant) => self.mailboxes.tenant_of(channel) == Some(tenant),
            Collector::Mailbox(_) => plane == Plane::Desired,
        };
        if !is_its {
            return Err(Reject::NotAdmitted);
        }
        let wanted: Vec<(Digest, u64)> =
            wanted.iter().map(|one| (one.digest, one.offset)).collect();
        let chunks = self.mailboxes.bodies(channel, plane, &wanted);
        let chunks = chunks.iter().map(|chunk| BodyChunk {
            digest: chunk.digest,
            size: chunk.size,
            offset: chunk.offset,
            bytes: &chunk.bytes,
        });
        let frame = DownFrame::Bodies(chunks.collect());
        self.seal_frame(asked.session, asked.counter, &frame)
    }

    /// Answers what a writer brought, once the host has made durable what it did not refuse.
    ///
    /// # Errors
    /// `session-unknown` when the session ended meanwhile: the writer delivers again.
    pub fn answer_deliver(
        &self,
        asked: WriterAsked,
        delivered: &Delivered,
        retry_ms: Option<u64>,
    ) -> Result<Vec<u8>, Reject> {
        let refused = delivered.refused.iter().map(|&(index, reject)| Refusal {
            index,
            code: reject.code(),
        });
        let places = delivered.snapshots_wanted.iter().copied();
        let bodies = delivered.bodies_wanted.iter();
        let bodies = bodies.map(|&(channel, plane, wanted)| WantedBody {
            channel,
            plane,
            wanted,
        });
        let hints = Hints {
            retry_ms,
            refused: refused.collect(),
            snapshots_wanted: places.take(SNAPSHOTS_WANTED_MAX).collect(),
            bodies_wanted: bodies.take(FETCH_DIGESTS_MAX).collect(),
            ..Hints::default()
        };
        let answer = Answer {
            hints,
            items: Vec::new(),
        };
        let frame = DownFrame::Answer(answer);
        self.seal_frame(asked.session, asked.counter, &frame)
    }
}

fn copy_delivery(delivery: &Delivery<'_>) -> DeliveredItem {
    DeliveredItem {
        channel: delivery.channel,
        plane: delivery.item.plane,
        envelope: delivery.item.envelope.to_vec(),
    }
}

fn copy_chunk(chunk: &BodyChunk<'_>) -> Chunk {
    Chunk {
        digest: chunk.digest,
        size: chunk.size,
        offset: chunk.offset,
        bytes: chunk.bytes.to_vec(),
    }
}

fn as_entry(collected: &Collected) -> Entry<'_> {
    let arrival = ArrivalNumber::new(collected.arrival);
    match &collected.what {
        Arrival::Envelope {
            channel,
            plane,
            envelope,
        } => Entry::Envelope {
            arrival,
            delivery: Delivery {
                channel: *channel,
                item: Item {
                    plane: *plane,
                    envelope,
                },
            },
        },
        Arrival::Knock { knock, frame } => Entry::Knock {
            arrival,
            knock: *knock,
            frame,
        },
    }
}
