//! What came back: which exchange it answers, whether it verifies, and what becomes of what it was for.
//!
//! Refuses an arrival that the cursor covers, and a mailbox whose store changes all the time.

use super::wishes::Wish;
use super::{Context, Event, ExchangeId, InFlight, Open, Output, Piece, Work, WriterLink};
use crate::frame::{
    Answer, BodyChunk, Collected, Direction, DownFrame, Entry, FrameType, Hints, PlainFrame,
    frame_type,
};
use crate::id::{ChannelId, Plane};
use crate::kind::MessageKind;
use crate::limits::{HOLD_S_MAX, PUTS_MAX, STORE_INTERVAL_MS};
use crate::reject::Reject;
use crate::revision::{ArrivalNumber, StoreEpoch};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// Milliseconds to wait after a collect that came back empty at once, or a work that did not come back. Arbitrary.
const PACE_MS: u64 = 1_000;

impl WriterLink {
    pub(super) fn handle_answer(
        &mut self,
        context: &mut Context<'_>,
        exchange: ExchangeId,
        frame: &[u8],
    ) {
        let now_ms = context.now.mono_ms;
        if !self.is_awaited(exchange) {
            return;
        }
        if let Ok(FrameType::Refused) = frame_type(frame) {
            return self.handle_refused(frame);
        }
        if self.link.is_asking(exchange) {
            return self.handle_challenge(context, frame);
        }
        if self.link.is_greeting(exchange) {
            return self.handle_welcome(now_ms, frame);
        }
        self.handle_session_answer(now_ms, exchange, frame);
    }

    fn is_awaited(&self, exchange: ExchangeId) -> bool {
        let is_in_session = |open: &Open| {
            let work = open.work.map(|(work, _)| work);
            let mut under_way = [open.collect, work].into_iter().flatten();
            under_way.any(|in_flight| in_flight.exchange == exchange)
        };
        let is_of_handshake = self.link.is_asking(exchange) || self.link.is_greeting(exchange);
        is_of_handshake || self.link.open().is_some_and(is_in_session)
    }

    fn handle_refused(&mut self, frame: &[u8]) {
        match PlainFrame::decode(frame, Direction::Down) {
            Ok(PlainFrame::Refused { code, .. }) => {
                let reject = Reject::from_code(code.into());
                self.event(Event::RefusedByMailbox { reject });
                self.disconnect();
            }
            Ok(_) => self.give_up(Reject::Shape),
            Err(reject) => self.give_up(reject),
        }
    }

    /// An exchange did not come back: whatever it was for is done again.
    pub(super) fn handle_failure(&mut self, now_ms: u64, exchange: ExchangeId) {
        let is_of = |in_flight: &InFlight| in_flight.exchange == exchange;
        if self.link.is_asking(exchange) || self.link.is_greeting(exchange) {
            return self.disconnect();
        }
        let Some(open) = self.link.open_mut() else {
            return;
        };
        open.collect.take_if(|collect| is_of(collect));
        if open.work.take_if(|(work, _)| is_of(work)).is_some() {
            open.work_after_ms = now_ms.saturating_add(PACE_MS);
            self.outbox.take_back();
        }
    }

    fn handle_session_answer(&mut self, now_ms: u64, exchange: ExchangeId, frame: &[u8]) {
        let Some(open) = self.link.open_mut() else {
            return;
        };
        let is_of = |in_flight: &InFlight| in_flight.exchange == exchange;
        let (in_flight, work) = if let Some(collect) = open.collect.take_if(|one| is_of(one)) {
            (collect, None)
        } else if let Some((in_flight, work)) = open.work.take_if(|(one, _)| is_of(one)) {
            (in_flight, Some(work))
        } else {
            return;
        };
        match (open.session.open_answer(in_flight.counter, frame), work) {
            (Ok(DownFrame::Collected(collected)), None) => {
                self.handle_collected(now_ms, exchange, &collected);
            }
            (Ok(DownFrame::Bodies(chunks)), Some(Work::Fetch(channel))) => {
                self.answered(exchange, false);
                self.handle_bodies(channel, &chunks);
            }
            (Ok(DownFrame::Answer(answer)), Some(work)) => {
                self.answered(exchange, false);
                self.handle_work(now_ms, work, &answer);
            }
            (Ok(DownFrame::Collected(_) | DownFrame::Bodies(_)), Some(_))
            | (Ok(DownFrame::Answer(_) | DownFrame::Bodies(_)), None) => {
                self.give_up(Reject::AnswerMismatch);
            }
            (Ok(DownFrame::StreamAnswer(_)), _) => self.give_up(Reject::AnswerMismatch),
            (Err(reject), _) => self.give_up(reject),
        }
    }

    fn answered(&mut self, exchange: ExchangeId, is_empty: bool) {
        self.event(Event::Answered { exchange, is_empty });
    }

    fn handle_collected(&mut self, now_ms: u64, exchange: ExchangeId, collected: &Collected<'_>) {
        let is_changed = collected.store != self.store;
        //= spec/relays.md#collect
        //# A writer MUST take the cursor of another store epoch than the one it knows as 0.
        let cursor = if is_changed {
            ArrivalNumber::new(0)
        } else {
            self.taken
        };
        let first = collected.entries.first().map(Entry::arrival);
        if first.is_some_and(|first| first <= cursor) {
            return self.give_up(Reject::AnswerMismatch);
        }
        if is_changed {
            let is_early = |changed: u64| now_ms.saturating_sub(changed) < STORE_INTERVAL_MS;
            if self.store_changed_ms.is_some_and(is_early) {
                return self.give_up(Reject::Overloaded);
            }
            // Before the first, there was none that could be lost.
            if self.store != StoreEpoch::new(0) {
                self.store_changed_ms = Some(now_ms);
            }
            self.store = collected.store;
            (self.taken, self.seen, self.given) = (cursor, cursor, cursor);
            self.persist();
            self.outputs.push_back(Output::StoreChanged {
                store: collected.store,
            });
        }
        let is_empty = collected.entries.is_empty();
        self.answered(exchange, is_empty);
        self.give_entries(&collected.entries);
        self.handle_hints(now_ms, &collected.hints);
        self.lack(&collected.hints);
        let wait_ms = collected.hints.retry_ms.unwrap_or(0);
        if let Some(open) = self.link.open_mut() {
            let is_early = now_ms.saturating_sub(open.collect_since_ms) < PACE_MS;
            let pace_ms = if is_empty && is_early { PACE_MS } else { 0 };
            open.collect_after_ms = now_ms.saturating_add(wait_ms.max(pace_ms));
        }
    }

    fn give_entries(&mut self, entries: &[Entry<'_>]) {
        for entry in entries {
            let arrival = entry.arrival();
            self.seen = arrival;
            match entry {
                Entry::Envelope { delivery, .. } => {
                    // A bundle is nobody's word to its writer.
                    let Some(channel) = delivery.channel else {
                        continue;
                    };
                    self.outputs.push_back(Output::Received {
                        arrival,
                        channel,
                        envelope: delivery.item.envelope.to_vec(),
                    });
                }
                Entry::Knock { knock, frame, .. } => self.outputs.push_back(Output::Knock {
                    arrival,
                    knock: *knock,
                    frame: frame.to_vec(),
                }),
            }
            self.given = arrival;
        }
        if self.given <= self.taken {
            self.take(self.seen);
        }
    }

    fn handle_bodies(&mut self, channel: ChannelId, chunks: &[BodyChunk<'_>]) {
        self.fetches.remove(&channel);
        if chunks.is_empty() {
            return self.outputs.push_back(Output::NoBodies { channel });
        }
        let pieces = chunks.iter().map(|chunk| Piece {
            digest: chunk.digest,
            size: chunk.size,
            offset: chunk.offset,
            bytes: chunk.bytes.to_vec(),
        });
        let pieces = pieces.collect();
        self.outputs.push_back(Output::Bodies { channel, pieces });
    }

    fn handle_work(&mut self, now_ms: u64, work: Work, answer: &Answer<'_>) {
        let hints = &answer.hints;
        match work {
            Work::Deliver => self.settle_deliver(now_ms, hints),
            Work::Bodies(channel) => self.settle_bodies(channel, hints),
            Work::Fetch(channel) => self.handle_bodies(channel, &[]),
            Work::Enrolled => {
                self.enrolled.pop_front();
                if let Some(refusal) = hints.refused.first() {
                    self.event(Event::Refused {
                        channel: None,
                        kind: MessageKind::EnrolAnswer,
                        reject: Reject::from_code(refusal.code.into()),
                    });
                }
            }
        }
        self.handle_hints(now_ms, hints);
        let wait_ms = hints.retry_ms.unwrap_or(0);
        if let Some(open) = self.link.open_mut() {
            open.work_after_ms = now_ms.saturating_add(wait_ms);
        }
    }

    fn settle_deliver(&mut self, now_ms: u64, hints: &Hints) {
        let code_of = |place: usize| {
            let mut refused = hints.refused.iter();
            let found = refused.find(|refusal| usize::try_from(refusal.index) == Ok(place));
            found.map(|refusal| refusal.code)
        };
        let outbox = &self.outbox;
        let lacking = hints.bodies_wanted.iter().filter(|one| {
            one.plane == Plane::Desired && outbox.rest_of(one.channel, &one.wanted).is_some()
        });
        let lacking: BTreeSet<ChannelId> = lacking.map(|one| one.channel).collect();
        let lacks = |channel| lacking.contains(&channel);
        let answered = self.outbox.settle(code_of, lacks);
        self.lack(hints);
        for one in answered {
            let (channel, kind) = (one.channel, one.kind);
            let Some(code) = one.code else {
                self.event(Event::Delivered { channel, kind });
                continue;
            };
            let reject = Reject::from_code(code.into());
            // It holds the bundle already: that is what was wanted.
            if kind == MessageKind::Bundle && reject == Some(Reject::BundleStale) {
                self.event(Event::Delivered { channel, kind });
                continue;
            }
            self.event(Event::Refused {
                channel,
                kind,
                reject,
            });
            if let Some(channel) = channel {
                self.repair(now_ms, channel, reject);
            }
        }
    }

    /// Does what can be done about a letter that the mailbox refused.
    fn repair(&mut self, now_ms: u64, channel: ChannelId, reject: Option<Reject>) {
        let Some(reject) = reject else { return };
        let needs_snapshot = [
            Reject::NothingStored,
            Reject::EpochNeedsSnapshot,
            Reject::BaseOlder,
            Reject::BaseNewer,
            Reject::Quota,
        ];
        if needs_snapshot.contains(&reject) {
            self.want_snapshot(now_ms, channel);
        } else if reject == Reject::NotAdmitted && self.wishes.ask(now_ms, channel, Wish::Refill) {
            self.outbox.note_lacking(Vec::from([channel]));
        }
    }

    /// Notes bodies that the mailbox lacks of snapshots that wait here for it.
    fn lack(&mut self, hints: &Hints) {
        let outbox = &self.outbox;
        let known = hints.bodies_wanted.iter().filter(|one| {
            let rest = outbox.rest_of(one.channel, &one.wanted);
            one.plane == Plane::Desired && rest.is_some_and(|rest| rest.is_lacking)
        });
        let known: Vec<_> = known.copied().collect();
        for one in known {
            self.lacking.retain(|held| {
                (held.channel, held.wanted.digest) != (one.channel, one.wanted.digest)
            });
            self.lacking.push_back(one);
        }
    }

    fn settle_bodies(&mut self, channel: ChannelId, hints: &Hints) {
        // One snapshot at a time lacks bodies: nothing of another waits here.
        self.lacking.clear();
        self.lack(hints);
        if !self.lacking.is_empty() && self.puts < PUTS_MAX {
            self.puts += 1;
            return;
        }
        self.puts = 0;
        self.lacking.clear();
        // What it still asks for is not of this snapshot, or never ends.
        let is_satisfied = hints.bodies_wanted.iter().all(|one| one.channel != channel);
        if !self.outbox.settle_bodies(channel) {
            return;
        }
        let (channel, kind) = (Some(channel), MessageKind::Snapshot);
        self.event(if is_satisfied {
            Event::Delivered { channel, kind }
        } else {
            Event::Refused {
                channel,
                kind,
                reject: Some(Reject::BodyMismatch),
            }
        });
    }

    /// Takes what the mailbox asks beside the answer, within the limits of our own.
    fn handle_hints(&mut self, now_ms: u64, hints: &Hints) {
        self.hold_s_max = hints.hold_s_max.unwrap_or(HOLD_S_MAX).min(HOLD_S_MAX);
        for (channel, plane) in &hints.snapshots_wanted {
            // Said again while it is so: nothing has to be remembered of channels that it makes up.
            if *plane == Plane::Desired
                && !self.outbox.has_snapshot(*channel)
                && self.wishes.may_ask(now_ms, *channel)
            {
                self.outputs
                    .push_back(Output::SnapshotWanted { channel: *channel });
            }
        }
    }
}
