//! Where the oracle looks: at every post, envelope, event, action and drained engine.
//!
//! Refuses to change anything: a world with an oracle carries the same bytes as one without.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the oracle looks at the few kinds that it has a rule for"
)]

use super::{Book, Invariant, Oracle, World};
use crate::cbor::Reader;
use crate::controller::{Event, Member, Post};
use crate::device::Device;
use crate::envelope::ReceivedEnvelope;
use crate::id::{ChannelId, Incarnation};
use crate::kind::MessageKind;
use crate::limits::{CHAIN_DELTAS_MAX, FRESHNESS_MS_DEFAULT};
use crate::message::{Report, ReportLists};
use crate::record::Table;
use crate::revision::{Generation, Head, Revision};
use crate::state::Path;
use crate::testing::heads::Durable;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Outputs of one input to a device, which may be an answer with a whole chain, and to a controller for each
/// member. Arbitrary.
const DEVICE_OUTPUTS_MAX: usize = 64 + 16 * CHAIN_DELTAS_MAX;
const MEMBER_OUTPUTS_MAX: usize = 16;
/// Inputs after which everything is looked at that grows slowly, and every member of a controller.
const BOUNDS_EVERY: u64 = 64;
/// Bytes of one device's store. Arbitrary: far more than these fleets decide.
const STORE_BYTES_MAX: usize = 1 << 20;
/// Polls that wait for each device, and things that are to come for it. Arbitrary.
const WAITING_MAX: usize = 64;
const STEPS_MAX: usize = 512;
/// Envelopes that a mailbox keeps of one channel. Arbitrary: a chain and what came before its snapshot.
const ENTRIES_MAX: usize = 2 * CHAIN_DELTAS_MAX;
/// Milliseconds by which drift and rounding may let something look fresh too long.
const DRIFT_MS: u64 = 5_000;

/// What was found: an invariant and what was seen.
type Found = Option<(Invariant, String)>;

impl World {
    fn tell(&mut self, found: impl IntoIterator<Item = (Invariant, String)>) {
        let now_ms = self.now_ms;
        if let Some(oracle) = &mut self.oracle {
            for (invariant, detail) in found {
                oracle.violate(invariant, now_ms, detail);
            }
        }
    }

    /// Looks at a drained device.
    pub(in crate::testing) fn watch_device(&mut self, device: usize, outputs: usize) {
        let (now_ms, Some(oracle)) = (self.now_ms, &mut self.oracle) else {
            return;
        };
        let Some(node) = self.devices.get(device) else {
            return;
        };
        let Some(engine) = &node.engine else { return };
        let book = oracle.book(node.channel);
        let now = node.now(now_ms);
        let is_fresh = !engine.freshness(now).is_stale;
        let mut found: Vec<_> = look_at_desired(book, engine).into_iter().collect();
        let head = engine.head().map(|head| (head.generation, head.revision));
        if head > node.watched {
            found.extend(look_at_writer(engine));
        }
        if !node.is_copy {
            found.extend(look_at_actual(book, node.identity.incarnation, engine));
        }
        let mut applied = node.applied.iter().rev();
        let is_applied = applied.any(|one| *one == engine.applied());
        if engine.applied() != Revision::NONE && !is_applied && !node.is_copy {
            found.push((
                Invariant::Cursors,
                format!("{:?} was never applied", engine.applied()),
            ));
        }
        if outputs > DEVICE_OUTPUTS_MAX {
            found.push((Invariant::Outputs, format!("{outputs} of a device")));
        }
        if is_fresh && is_too_old(book.beat_ms, now_ms) {
            found.push((
                Invariant::Freshness,
                format!("device {device} trusts a word of {:?} ms", book.beat_ms),
            ));
        }
        self.tell(found);
        if let Some(node) = self.devices.get_mut(device) {
            node.watched = node.watched.max(head);
        }
        if self.inputs.is_multiple_of(BOUNDS_EVERY) {
            self.watch_bounds(device);
        }
    }

    /// Looks at what must not grow without an end.
    fn watch_bounds(&mut self, device: usize) {
        let Some(node) = self.devices.get(device) else {
            return;
        };
        let devices = self.devices.len();
        let counts = [
            ("bytes of a store", node.store.size_bytes(), STORE_BYTES_MAX),
            ("waiting polls", self.waiting.len(), WAITING_MAX * devices),
            ("things to come", self.steps.len(), STEPS_MAX * devices),
            (
                "entries of a mailbox",
                self.mailbox.entries_max(),
                ENTRIES_MAX,
            ),
        ];
        let found = counts.into_iter().filter(|(_, count, most)| count > most);
        let found = found.map(|(what, count, most)| {
            let detail = format!("{count} {what} of at most {most}");
            (Invariant::Bounded, detail)
        });
        let (found, channel): (Vec<_>, _) = (found.collect(), node.channel);
        self.tell(found);
        self.watch_kept(channel);
    }

    /// Looks at an action that is about to run.
    pub(in crate::testing) fn watch_act(
        &mut self,
        device: usize,
        path: &Path,
        value: u64,
        is_retry: bool,
    ) {
        let Some(node) = self.devices.get(device) else {
            return;
        };
        let runs = node
            .acts
            .iter()
            .filter(|(other, done, was_retry)| other == path && *done >= value && !was_retry);
        let runs = runs.count();
        let marked = node.store.row(Table::Intents, path.as_str().as_bytes());
        let is_marked = marked.is_some_and(|row| marked_value(row) >= value);
        if !is_retry && runs > 1 {
            let detail = format!("{path:?} = {value} twice on device {device}");
            self.tell([(Invariant::IntentOnce, detail)]);
        }
        if !is_marked {
            let detail = format!("{path:?} = {value} runs before its mark is durable");
            self.tell([(Invariant::MarkFirst, detail)]);
        }
    }

    /// Looks at an envelope that a mailbox was given. The network may have brought it in the place
    /// of another device's: the channel tells whose it is.
    pub(in crate::testing) fn watch_posted(&mut self, channel: ChannelId, envelope: &[u8]) {
        let (now_ms, Some(oracle)) = (self.now_ms, &mut self.oracle) else {
            return;
        };
        let units = self.devices.iter();
        let units = units.filter(|node| node.channel == channel);
        let Some(node) = units.clone().find(|node| !node.is_copy) else {
            return;
        };
        let Ok(received) = ReceivedEnvelope::parse(envelope) else {
            return;
        };
        let header = *received.unverified_header();
        let incarnation = node.identity.incarnation;
        let book = oracle.book(channel);
        let found = match header.kind {
            MessageKind::Heartbeat => {
                book.device_beat_ms = Some(now_ms);
                None
            }
            MessageKind::Report if !book.is_cloned => {
                let number = Revision::new(header.epoch, header.seq);
                Report::decode(received.unverified_payload())
                    .ok()
                    .and_then(|report| {
                        look_at_report(book, incarnation, number, &node.durable, report)
                    })
            }
            _ => None,
        };
        self.tell(found);
    }

    /// Looks at what the controller signed.
    pub(in crate::testing) fn watch_post(
        &mut self,
        channel: ChannelId,
        generation: Generation,
        post: &Post,
    ) {
        let (now_ms, Some(oracle)) = (self.now_ms, &mut self.oracle) else {
            return;
        };
        let member = self.controller.engine.member_of(channel);
        let incarnation = self
            .devices
            .iter()
            .find(|node| node.channel == channel && !node.is_copy)
            .map(|node| node.identity.incarnation);
        let book = oracle.book(channel);
        let found = match post {
            Post::Delta { envelope } | Post::Snapshot { envelope, .. } => {
                note_signed(book, generation, envelope)
            }
            Post::Heartbeat { .. } => {
                book.beat_ms = Some(now_ms);
                None
            }
            Post::ReportAck { envelope } => {
                if let (Ok(received), Some(incarnation)) =
                    (ReceivedEnvelope::parse(envelope), incarnation)
                {
                    let header = received.unverified_header();
                    let acked = (incarnation, header.epoch, header.seq);
                    let is_older = book
                        .acked
                        .is_some_and(|held| held.0 == incarnation && held > acked);
                    if !is_older {
                        book.acked = Some(acked);
                    }
                }
                None
            }
            Post::Evidence { .. }
            | Post::EnrolAnswer { .. }
            | Post::PlaneKey { .. }
            | Post::Admission { .. } => None,
        };
        let is_known = member.is_some();
        let found = found
            .or_else(|| (!is_known).then(|| (Invariant::Unsigned, "a post for nobody".into())));
        self.tell(found);
    }

    /// Takes note of what the controller shows.
    pub(in crate::testing) fn watch_event(&mut self, event: &Event) {
        let Some(oracle) = &mut self.oracle else {
            return;
        };
        match event {
            Event::Recovered { channel, .. } => {
                oracle.recoveries += 1;
                oracle.book(*channel).is_shown = true;
                if let Some(member) = self.controller.engine.member_of(*channel) {
                    oracle.book(*channel).settle(member);
                }
            }
            Event::Behind { channel, .. } => oracle.book(*channel).is_shown = true,
            _ => {}
        }
    }

    /// Looks at the drained controller: at the member that the input was about, now and then at all.
    pub(in crate::testing) fn watch_controller(
        &mut self,
        outputs: usize,
        about: Option<ChannelId>,
    ) {
        let (now_ms, Some(oracle)) = (self.now_ms, &mut self.oracle) else {
            return;
        };
        let now = crate::testing::node::now(now_ms);
        let mut found = Vec::new();
        let members = self.devices.len();
        let is_full = self.inputs.is_multiple_of(BOUNDS_EVERY);
        let about = about.filter(|_| !is_full);
        let all = self.devices.iter().filter(|node| !node.is_copy);
        let all = all.map(|node| node.channel).filter(|_| about.is_none());
        for channel in about.into_iter().chain(all) {
            let Some(member) = self.controller.engine.member_of(channel) else {
                continue;
            };
            let book = oracle.book(channel);
            let head = *member.head();
            if is_full || book.decided != Some(head) || *member.desired().root() != head.digest {
                book.decided = Some(head);
                found.extend(look_at_decisions(book, member));
            }
            if !member.freshness(now).is_stale && is_too_old(book.device_beat_ms, now_ms) {
                let detail = format!("controller trusts a word of {:?} ms", book.device_beat_ms);
                found.push((Invariant::Freshness, detail));
            }
        }
        if outputs > DEVICE_OUTPUTS_MAX + MEMBER_OUTPUTS_MAX * members {
            found.push((Invariant::Outputs, format!("{outputs} of a controller")));
        }
        self.tell(found);
    }
}

fn is_too_old(signed_ms: Option<u64>, now_ms: u64) -> bool {
    signed_ms
        .is_none_or(|signed_ms| now_ms.saturating_sub(signed_ms) > FRESHNESS_MS_DEFAULT + DRIFT_MS)
}

/// Notes a revision that was signed; another digest under its number is a contradiction.
fn note_signed(book: &mut Book, generation: Generation, envelope: &[u8]) -> Found {
    let received = ReceivedEnvelope::parse(envelope).ok()?;
    let header = received.unverified_header();
    let revision = Revision::new(header.epoch, header.seq);
    let digest = header.digest?;
    let held = *book.desired.entry((generation, revision)).or_insert(digest);
    (held != digest).then(|| {
        let detail = format!("{revision:?} was signed with two digests");
        (Invariant::OneDigest, detail)
    })
}

fn look_at_desired(book: &mut Book, engine: &Device) -> Found {
    let head: Head = *engine.head()?;
    let seq = book.reached.entry(head.revision.epoch).or_default();
    *seq = (*seq).max(head.revision.seq);
    // A device may hold what an earlier generation signed: the number tells which.
    let signed = book.desired.get(&(head.generation, head.revision));
    if signed != Some(&head.digest) || *engine.state().root() != head.digest {
        let detail = format!("a device holds {:?}, which nobody signed so", head.revision);
        return Some((Invariant::Unsigned, detail));
    }
    (engine.applied() > head.revision).then(|| {
        let detail = format!("applied {:?} of {:?}", engine.applied(), head.revision);
        (Invariant::Cursors, detail)
    })
}

/// A head that is newer than the one before counts by the writer that the device's trust names.
fn look_at_writer(engine: &Device) -> Found {
    let head = engine.head()?;
    let tenant = &engine.identity().channel.tenant;
    let (generation, key) = engine.trust().writer(tenant)?;
    let is_revoked = engine.trust().is_revoked(&key.thumbprint());
    (head.generation < generation || is_revoked).then(|| {
        let detail = format!(
            "{:?} of {:?} under {generation:?}",
            head.revision, head.generation
        );
        (Invariant::Revoked, detail)
    })
}

/// What was taken, as the row of an intent tells it; 0 for none.
fn marked_value(row: &[u8]) -> u64 {
    let mut reader = Reader::new(row);
    let _fields = reader.array();
    reader.uint().unwrap_or(0)
}

fn look_at_actual(book: &mut Book, incarnation: Incarnation, engine: &Device) -> Found {
    let head = engine.actual_head()?;
    let place = (incarnation, head.revision);
    let held = *book.actual.entry(place).or_insert(head.digest);
    (held != head.digest && !book.is_cloned).then(|| {
        let detail = format!("actual {:?} has two digests", head.revision);
        (Invariant::OneDigest, detail)
    })
}

fn look_at_report(
    book: &mut Book,
    incarnation: Incarnation,
    number: Revision,
    durable: &Durable,
    report: Report,
) -> Found {
    let before = book.reported.take();
    let held = durable.desired.map(|(_, revision)| revision);
    let mut found = None;
    if report.accepted > held.unwrap_or(Revision::NONE) {
        let detail = format!("told {:?} with {held:?} durable", report.accepted);
        found = Some((Invariant::Cursors, detail));
    }
    if Some(number) > durable.report {
        let detail = format!("report {number:?} left before it was durable");
        found = Some((Invariant::Cursors, detail));
    }
    let before = before.filter(|(life, _, _)| *life == incarnation);
    let Some((_, last, older)) = before else {
        book.reported = Some((incarnation, number, report));
        return found;
    };
    if number <= last {
        if number == last && report != older {
            found = Some((Invariant::OneDigest, format!("report {number:?} twice")));
        }
        book.reported = Some((incarnation, last, older));
        return found;
    }
    let acked = book.acked.filter(|(life, _, _)| *life == incarnation);
    let acked = acked.map(|(_, epoch, seq)| Revision::new(epoch, seq));
    let is_acked = acked.is_some_and(|acked| acked >= last);
    if !is_acked && !keeps(&older.lists, &report.lists) {
        let detail = format!("report {number:?} drops what {last:?} said");
        found = Some((Invariant::Lists, detail));
    }
    book.reported = Some((incarnation, number, report));
    found
}

/// Tells whether every entry of `older` stands in `newer`, or was pushed out and counted.
fn keeps(older: &ReportLists, newer: &ReportLists) -> bool {
    newer.lost() != older.lost()
        || (older
            .rejects()
            .iter()
            .all(|one| newer.rejects().contains(one))
            && older
                .results()
                .iter()
                .all(|one| newer.results().contains(one))
            && older
                .superseded()
                .iter()
                .all(|one| newer.superseded().contains(one))
            && older
                .intents()
                .iter()
                .all(|one| newer.intents().contains(one)))
}

/// Every path holds what was acknowledged last, or something that was asked for later.
fn look_at_decisions(book: &Book, member: &Member) -> Found {
    book.paths.iter().find_map(|(path, one)| {
        let value = member.desired().value(path.as_str());
        // In the order of their numbers: what came before the acknowledged one counts no more.
        let earlier = one
            .attempts
            .partition_point(|(order, _)| *order < one.acknowledged);
        let mut later = one.attempts.iter().skip(earlier);
        let is_so = later.any(|(_, asked)| asked.as_ref() == value);
        let is_untouched = one.acknowledged == 0 && value.is_none();
        (!is_so && !is_untouched).then(|| {
            let detail = format!(
                "{path:?} is {value:?}, acknowledged was {}",
                one.acknowledged
            );
            (Invariant::LostDecision, detail)
        })
    })
}

impl Book {
    /// An operator, or what a device showed, chose a history: what it holds is what counts.
    fn settle(&mut self, member: &Member) {
        self.decided = None;
        for (path, one) in &mut self.paths {
            let value = member.desired().value(path.as_str());
            let orders = one.attempts.iter();
            let orders = orders.filter(|(_, asked)| asked.as_ref() == value);
            let order = orders.map(|(order, _)| *order).max().unwrap_or(0);
            one.acknowledged = one.acknowledged.min(order);
        }
    }
}

impl Oracle {
    /// Settles what a restored controller had lost: what a device had reached must be in force or shown.
    pub(in crate::testing) fn account(&mut self, member: &Member) -> Found {
        let book = self.book(member.channel().id());
        let (mut found, mut forgotten) = (None, 0);
        for one in core::mem::take(&mut book.at_risk) {
            let reached = book.reached.get(&one.revision.epoch);
            if reached.is_none_or(|seq| *seq < one.revision.seq) {
                forgotten += 1;
                continue;
            }
            let value = member.desired().value(one.path.as_str());
            let attempts = book.paths.get(&one.path);
            let is_in_force = attempts.is_some_and(|path| {
                let mut attempts = path.attempts.iter();
                attempts.any(|(order, asked)| *order >= one.order && asked.as_ref() == value)
            });
            if !is_in_force && !book.is_shown {
                let detail = format!("{:?} reached a device and is gone unseen", one.revision);
                found = Some((Invariant::LostDecision, detail));
            }
        }
        self.forgotten += forgotten;
        found
    }
}
