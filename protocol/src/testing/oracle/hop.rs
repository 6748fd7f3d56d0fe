//! What the oracle knows of the hop: revoked keys, and what a mailbox took and has to account for.
//!
//! ```text
//!  down: taken --> held, or superseded by what is newer, or a snapshot is wanted, or the device is served no more
//!  up:   answered --> handed to the controller, or refused with a reason
//! ```
//!
//! A key counts as revoked for a holder once a bundle that revokes it is durable there. Refuses to ask an engine or a
//! mailbox what it believes: rows and envelopes tell.

use super::{Invariant, World};
use crate::controller::{Event, Input, Post};
use crate::device;
use crate::envelope::ReceivedEnvelope;
use crate::frame::{Direction, DownFrame, SessionFrame};
use crate::id::{ChannelId, KeyId};
use crate::key::Signer as _;
use crate::revision::{BundleNumber, Epoch, Generation, Revision, Seq};
use alloc::collections::BTreeMap;
use alloc::format;

/// Keys by the first bundle that revokes each.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    keys: BTreeMap<KeyId, BundleNumber>,
    seen: BundleNumber,
}

impl Revoked {
    fn counts(&self, key: KeyId, bundle: BundleNumber) -> bool {
        self.keys.get(&key).is_some_and(|first| *first <= bundle)
    }
}

/// What a mailbox took of one channel and has to hold, or something newer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kept {
    desired: Option<(Generation, Revision)>,
    ack: Option<(Epoch, Seq)>,
}

/// What was there before a device was given an answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::testing) struct Before {
    /// Items of the answer that a revoked key signed.
    revoked: usize,
    events: usize,
}

impl World {
    /// Takes note of what the controller's newest durable bundle revokes.
    pub(in crate::testing) fn note_revoked(&mut self) {
        let number = self.controller.bundle;
        let Some(oracle) = &mut self.oracle else {
            return;
        };
        if number <= oracle.revoked.seen {
            return;
        }
        oracle.revoked.seen = number;
        let held = self.controller.engine.trust().held();
        let keys = held.into_iter().flat_map(|held| &held.content().revoked);
        for key in keys {
            oracle.revoked.keys.entry(key.key_id()).or_insert(number);
        }
    }

    fn is_anything_revoked(&self) -> bool {
        let oracle = self.oracle.as_ref();
        oracle.is_some_and(|oracle| !oracle.revoked.keys.is_empty())
    }

    fn is_revoked(&self, key: KeyId, bundle: BundleNumber) -> bool {
        let oracle = self.oracle.as_ref();
        oracle.is_some_and(|oracle| oracle.revoked.counts(key, bundle))
    }

    /// Looks at a request that a mailbox took as one of this channel's device.
    pub(in crate::testing) fn watch_session(&mut self, channel: ChannelId) {
        if !self.is_anything_revoked() {
            return;
        }
        let mut units = self.devices.iter();
        let unit = units.find(|node| node.channel == channel && !node.is_copy);
        // Who asked for another key may have a session of that one.
        let unit = unit.filter(|node| node.next_key.is_none());
        let key = unit.map(|node| node.signer.public_key().key_id());
        let is_revoked = key.is_some_and(|key| self.is_revoked(key, self.controller.bundle));
        let detail = "a mailbox serves a device whose key is revoked";
        self.expect_true(Invariant::Revoked, !is_revoked, detail);
    }

    /// Tells whether an input brings the controller what a key signed that it knows to be revoked.
    pub(in crate::testing) fn is_of_revoked(&self, input: &Input<'_>) -> bool {
        let Input::Received { envelope, .. } = input else {
            return false;
        };
        self.is_anything_revoked()
            && ReceivedEnvelope::parse(envelope).is_ok_and(|received| {
                self.is_revoked(received.unverified_key_id(), self.controller.bundle)
            })
    }

    /// Looks at what a controller said since it was given what a revoked key signed.
    pub(in crate::testing) fn watch_refused(&mut self, events: usize) {
        let mut said = self.controller.events.iter().skip(events);
        let taken = said.find(|event| {
            matches!(
                event,
                Event::Reported { .. }
                    | Event::ActualAccepted { .. }
                    | Event::Behind { .. }
                    | Event::Recovered { .. }
                    | Event::EvidenceKept { .. }
                    | Event::Left { .. }
                    | Event::KeyRotated { .. }
            )
        });
        let detail = format!("a controller took what a revoked key signed: {taken:?}");
        self.expect_true(Invariant::Revoked, taken.is_none(), &detail);
    }

    /// Looks at an answer before a device gets it. `None` where nothing in it can be wrong.
    pub(in crate::testing) fn look_at_answer(&self, device: usize, frame: &[u8]) -> Option<Before> {
        if !self.is_anything_revoked() {
            return None;
        }
        let node = self.devices.get(device)?;
        let split = SessionFrame::split(frame, Direction::Down).ok()?;
        let body = split.danger_unverified_body().ok()?.decode_down().ok()?;
        let DownFrame::Answer(answer) = body else {
            return None;
        };
        let about_planes = answer.items.iter().filter(|item| item.plane.is_some());
        let revoked = about_planes.filter(|item| {
            ReceivedEnvelope::parse(item.envelope).is_ok_and(|received| {
                self.is_revoked(received.unverified_key_id(), node.durable.bundle)
            })
        });
        let revoked = revoked.count();
        (revoked > 0).then_some(Before {
            revoked,
            events: node.events.len(),
        })
    }

    /// Looks whether a device refused every item that a revoked key signed.
    pub(in crate::testing) fn watch_answer(&mut self, device: usize, before: Before) {
        let Some(node) = self.devices.get(device) else {
            return;
        };
        if node.engine.is_none() {
            return;
        }
        let waiting = node.pending.iter().filter_map(|output| {
            if let device::Output::Event(event) = output {
                return Some(event);
            }
            None
        });
        let said = node.events.iter().skip(before.events).chain(waiting);
        let is_answered = |event: &&device::Event| matches!(event, device::Event::Answered { .. });
        let is_refusal = |event: &&device::Event| matches!(event, device::Event::Rejected { .. });
        // Where the session did not open it, nothing was looked at.
        if !said.clone().any(|event| is_answered(&event)) {
            return;
        }
        let refusals = said.filter(is_refusal).count();
        let detail = format!(
            "device {device} refused {refusals} of {} that revoked keys signed",
            before.revoked
        );
        self.expect_true(Invariant::Revoked, refusals >= before.revoked, &detail);
    }

    /// Takes note of what a mailbox took, or that it wants a snapshot instead.
    pub(in crate::testing) fn note_kept(
        &mut self,
        channel: ChannelId,
        generation: Generation,
        post: &Post,
    ) {
        let Some(oracle) = &mut self.oracle else {
            return;
        };
        let kept = &mut oracle.book(channel).kept;
        match post {
            Post::Delta { envelope } | Post::Snapshot { envelope, .. } => {
                let place = place_of(envelope).map(|revision| (generation, revision));
                kept.desired = kept.desired.max(place);
            }
            Post::ReportAck { envelope } => {
                let place = place_of(envelope).map(|revision| (revision.epoch, revision.seq));
                kept.ack = kept.ack.max(place);
            }
            Post::Heartbeat { .. }
            | Post::Evidence { .. }
            | Post::EnrolAnswer { .. }
            | Post::PlaneKey { .. }
            | Post::Admission { .. } => {}
        }
    }

    /// A mailbox said that a chain has a gap: it owes the plane no more before a snapshot comes.
    pub(in crate::testing) fn note_gap(&mut self, channel: ChannelId) {
        if let Some(oracle) = &mut self.oracle {
            oracle.book(channel).kept.desired = None;
        }
    }

    /// A mailbox begins anew with a channel: it owes nothing.
    pub(in crate::testing) fn note_emptied(&mut self, channel: ChannelId) {
        if let Some(oracle) = &mut self.oracle {
            oracle.book(channel).kept = Kept::default();
        }
    }

    /// A mailbox begins anew with every channel.
    pub(in crate::testing) fn note_all_emptied(&mut self) {
        if let Some(oracle) = &mut self.oracle {
            let books = oracle.books.values_mut();
            books.for_each(|book| book.kept = Kept::default());
        }
    }

    /// Looks whether a mailbox holds what it took of a channel.
    pub(in crate::testing) fn watch_kept(&mut self, channel: ChannelId) {
        let Some(oracle) = &mut self.oracle else {
            return;
        };
        let kept = oracle.book(channel).kept;
        if kept == Kept::default() || !self.mailbox.is_serving(channel) {
            return;
        }
        let (desired, ack) = self.mailbox.held(channel);
        let is_so = desired >= kept.desired && ack >= kept.ack;
        if is_so {
            return;
        }
        let detail = format!("a mailbox took {kept:?} and holds {desired:?}, {ack:?}");
        self.expect_true(Invariant::Conservation, false, &detail);
    }

    /// Looks at the answer to a post: everything in it was handed over, or refused.
    pub(in crate::testing) fn watch_handed(&mut self, taken: usize, handed: usize) {
        let detail = "a mailbox answers for what nobody was given";
        self.expect_true(Invariant::Conservation, taken == handed, detail);
    }
}

fn place_of(envelope: &[u8]) -> Option<Revision> {
    let received = ReceivedEnvelope::parse(envelope).ok()?;
    let header = received.unverified_header();
    Some(Revision::new(header.epoch, header.seq))
}
