//! Mailboxes: where envelopes wait for their recipient. Pure: no IO, no clock, no randomness.
//!
//! ```text
//!   post_snapshot, post_delta --> chain: newest snapshot, its bodies, contiguous deltas --+
//!   post_report_ack, _evidence,                                                          +--> collect
//!     _enrol_answer, _heartbeat --> slots: the highest of each kind                      |
//!   show_bundles ---------------> steps to the newest bundle, ascending -----------------+
//! ```
//!
//! One [`Mailboxes`] serves one trust domain. What is posted was sealed or verified by the host
//! under the current bundle. Memory is bounded by planes, never by history. Refuses to drop what a
//! reader could use for what it could not, to forget a high-water mark on delivery, and to make
//! anybody sign: a `need` is served from what is held.

mod actual;
mod beat;
mod bundles;
pub(crate) mod chain;
mod collect;
mod heartbeats;
pub(crate) mod lane;
mod letter;
mod limits;
mod onward;
pub(crate) mod pending;
mod receipts;
mod room;
mod slots;
#[cfg(test)]
mod tests;

pub use chain::SnapshotWish;
pub use collect::{Arrival, Collected, Installed};
pub use limits::MailboxLimits;

use actual::ActualHead;
use bundles::Bundles;
use collect::Arrivals;
use lane::Slot;
use onward::{Onward, Part};
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::id::{ChannelId, Digest, Plane, TenantId};
use postern_protocol::kind::MessageKind;
use postern_protocol::revision::{BundleNumber, Generation, Revision, Seq};
use postern_protocol::trust::BundleStep;
use room::Room;
pub(crate) use slots::Lanes;
use slots::{Carry, Slots};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a reader says that it holds, as it stands in a poll (spec: #poll).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Head of the desired plane; [`Revision::NONE`] for nothing.
    pub desired: Revision,
    /// Highest report number whose acknowledgement it holds; `None` when no report is outstanding.
    pub acked: Option<Seq>,
    /// Highest bundle; 0 for none.
    pub bundle: BundleNumber,
    /// Head of the actual plane that it writes; `None` where it never wrote.
    pub actual: Option<Revision>,
}

/// One envelope on its way to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The plane, or `None` for a kind that belongs to no plane.
    pub plane: Option<Plane>,
    /// The untagged COSE_Sign1.
    pub envelope: Arc<[u8]>,
}

/// When something came, by the mailbox's own counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Number of the tenant's arrivals; 0 where nobody collects by it.
    pub(crate) arrival: u64,
    /// Seconds of the mailbox's arrival clock.
    pub(crate) at_s: u64,
}

/// How much a channel may still take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Bytes of one lane.
    pub(crate) quota_bytes: usize,
    /// Bytes left of the memory of all mailboxes.
    pub(crate) free_bytes: usize,
}

/// An envelope with its stamp.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived<'a> {
    pub(crate) stamp: Stamp,
    pub(crate) envelope: &'a Arc<[u8]>,
}

/// One piece of a section body (spec: #bodies).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The body's digest.
    pub digest: Digest,
    /// Bytes of the whole body.
    pub size: u64,
    /// Where the piece starts.
    pub offset: u64,
    /// 1..=32768 bytes.
    pub bytes: Vec<u8>,
}

/// What became of a posted envelope that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// It is kept now: readers may have news.
    Kept,
    /// The same was held already.
    Held,
    /// Something newer is held; nothing changed.
    Older,
}

/// All mailboxes of one trust domain.
#[derive(Debug, Default)]
pub struct Mailboxes {
    limits: MailboxLimits,
    channels: BTreeMap<ChannelId, Slots>,
    tenants: BTreeMap<TenantId, Arrivals>,
    onward: Onward,
    bundles: Bundles,
    bytes: usize,
    changes: u64,
}

impl Mailboxes {
    /// Starts empty.
    #[must_use]
    pub fn new(limits: MailboxLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Keeps a snapshot of the desired plane, with those of its section bodies that the mailbox
    /// does not hold yet; others are ignored.
    ///
    /// A snapshot of the chain's own head (a compaction) replaces the chain; an older one changes nothing.
    ///
    /// # Errors
    /// Shape and CBOR rejects; `signer-role` for another kind; `body-mismatch` when a named body is
    /// missing; `section-oversize`; `equivocation`; `quota`; `overloaded` when all mailboxes together are full.
    pub fn post_snapshot(
        &mut self,
        channel: ChannelId,
        generation: Generation,
        envelope: &[u8],
        bodies: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Posted, Reject> {
        let received = parse(envelope, MessageKind::Snapshot)?;
        let free = self.free();
        self.in_channel(channel, |slots, limits| {
            slots.post_snapshot(limits, free, generation, &received, bodies)
        })
    }

    /// Appends a delta to the chain of the desired plane.
    ///
    /// # Errors
    /// Shape and CBOR rejects; `signer-role` for another kind; `nothing-stored`, `epoch-needs-snapshot`,
    /// `base-older`, `base-newer` (a gap: see [`Self::wants_snapshot`]); `generation-stale`, `epoch-stale`,
    /// `equivocation`; `quota` when the chain or the mailbox is full; `overloaded`.
    pub fn post_delta(
        &mut self,
        channel: ChannelId,
        generation: Generation,
        envelope: &[u8],
    ) -> Result<Posted, Reject> {
        let received = parse(envelope, MessageKind::Delta)?;
        let free = self.free();
        self.in_channel(channel, |slots, limits| {
            slots.post_delta(limits, free, generation, &received)
        })
    }

    /// Keeps a report acknowledgement when it is the highest by (epoch, rseq).
    /// # Errors: shape and CBOR rejects; `signer-role` for another kind; `quota`; `overloaded`.
    pub fn post_report_ack(
        &mut self,
        channel: ChannelId,
        envelope: &[u8],
    ) -> Result<Posted, Reject> {
        self.post_letter(channel, MessageKind::ReportAck, Slot::Ack, envelope)
    }

    /// Returns the report acknowledgement that is held.
    #[must_use]
    pub fn report_ack(&self, channel: ChannelId) -> Option<Entry> {
        self.channels.get(&channel).and_then(Slots::report_ack)
    }

    /// Keeps the newest evidence about the device's own plane, until its head changes.
    /// # Errors: as [`Self::post_report_ack`].
    pub fn post_evidence(&mut self, channel: ChannelId, envelope: &[u8]) -> Result<Posted, Reject> {
        self.post_letter(channel, MessageKind::Evidence, Slot::Evidence, envelope)
    }

    /// Keeps the newest answer to a new device key, until [`Self::drop_enrol_answer`].
    /// # Errors: as [`Self::post_report_ack`].
    pub fn post_enrol_answer(
        &mut self,
        channel: ChannelId,
        envelope: &[u8],
    ) -> Result<Posted, Reject> {
        let (kind, slot) = (MessageKind::EnrolAnswer, Slot::EnrolAnswer);
        self.post_letter(channel, kind, slot, envelope)
    }

    /// Keeps the newest plane-key.
    /// # Errors: as [`Self::post_report_ack`]; `equivocation` for the same number with other keys.
    pub fn post_plane_key(
        &mut self,
        channel: ChannelId,
        envelope: &[u8],
    ) -> Result<Posted, Reject> {
        self.post_letter(channel, MessageKind::PlaneKey, Slot::PlaneKey, envelope)
    }

    /// Forgets the answer to a new device key: the device uses it, or has another one.
    pub fn drop_enrol_answer(&mut self, channel: ChannelId) {
        self.adjust(channel, |slots| slots.clear(Slot::EnrolAnswer));
    }

    /// Keeps a heartbeat of the writer; the newest put wins. `is_awaited` tells that it echoes the
    /// device's nonce or acknowledges its plane. `now_ms` is a monotonic clock in milliseconds.
    ///
    /// # Errors
    /// As [`Self::post_report_ack`].
    pub fn post_heartbeat(
        &mut self,
        channel: ChannelId,
        envelope: &[u8],
        is_awaited: bool,
        now_ms: u64,
    ) -> Result<Posted, Reject> {
        let received = parse(envelope, MessageKind::Heartbeat)?;
        let (free, limits) = (self.free(), self.limits);
        // A heartbeat is no news of a state: it changes no version.
        self.adjust(channel, |slots| {
            slots.post_heartbeat(&limits, free, &received, is_awaited, now_ms)
        })
    }

    fn post_letter(
        &mut self,
        channel: ChannelId,
        kind: MessageKind,
        slot: Slot,
        envelope: &[u8],
    ) -> Result<Posted, Reject> {
        let received = parse(envelope, kind)?;
        let free = self.free();
        let number = self.changes.wrapping_add(1);
        self.in_channel(channel, |slots, limits| {
            slots.post_letter(limits, free, slot, &received, number)
        })
    }

    /// Takes the head of the device's actual plane that is durable with its reader, or
    /// [`Revision::NONE`]. Another head than before ends the evidence about the old one.
    pub fn set_actual_head(&mut self, channel: ChannelId, held: Revision) {
        self.adjust(channel, |slots| {
            if slots.actual.set(held) {
                slots.clear(Slot::Evidence);
            }
        });
    }

    /// Returns the head of the device's actual plane that its reader holds.
    #[must_use]
    pub fn actual_head(&self, channel: ChannelId) -> Revision {
        self.channels
            .get(&channel)
            .map_or(Revision::NONE, |slots| slots.actual.held())
    }

    /// Returns when the device that shows this head of its actual plane is to be asked for a
    /// snapshot, or `None` when there is no reason to.
    #[must_use]
    pub fn ask_actual_at_ms(&self, channel: ChannelId, shown: Option<Revision>) -> Option<u64> {
        match self.channels.get(&channel) {
            Some(slots) => slots.actual.ask_at_ms(shown),
            None => ActualHead::default().ask_at_ms(shown),
        }
    }

    /// Notes that the device was asked for a snapshot of its actual plane.
    pub fn note_actual_asked(&mut self, channel: ChannelId, shown: Revision, now_ms: u64) {
        self.adjust(channel, |slots| slots.actual.note_asked(shown, now_ms));
    }

    /// Keeps what leads readers to the newest bundle of the trust domain: [`Trust::steps`] of whoever verified it.
    /// # Errors: `quota`.
    ///
    /// [`Trust::steps`]: postern_protocol::trust::Trust::steps
    pub fn show_bundles(&mut self, steps: &[BundleStep]) -> Result<Posted, Reject> {
        let result = self.bundles.show(steps, self.limits.bundles_bytes_max);
        if result == Ok(Posted::Kept) {
            self.changes = self.changes.wrapping_add(1);
            self.bundles.note_change(self.changes);
            let envelopes = self.bundles.envelopes();
            let shown = envelopes.map(|envelope| (None, Arc::clone(envelope)));
            self.onward.show(Part::Bundles, shown.collect());
        }
        result
    }

    /// Drops everything of a channel, for a device that was removed or enrolled again.
    pub fn remove(&mut self, channel: ChannelId) {
        if let Some(slots) = self.channels.remove(&channel) {
            self.count((slots.tenant, slots.bytes()), (None, 0));
            self.onward.show(Part::Lane(channel), Vec::new());
            if let Some(tenant) = slots.tenant {
                self.drop_arrivals(tenant, &slots.lanes.actual);
            }
        }
    }

    /// Returns what is newer than `heads`, in the order in which it must be processed: bundles,
    /// chain, report-ack; as much as fits into one answer. The next poll continues.
    #[must_use]
    pub fn collect(&self, channel: ChannelId, heads: &Heads) -> Vec<Entry> {
        let mut room = Room::for_items();
        let mut entries = Vec::new();
        let is_complete = self
            .bundles
            //= spec/postern.md#mailboxes
            //# A mailbox MUST answer a poll with bundles that lead from the poll's number to the newest,
            //# ascending, then the chain, then the slots, as much as fits into one frame.
            .collect(heads.bundle, &mut room, &mut entries)
            .is_ok();
        if let (true, Some(slots)) = (is_complete, self.channels.get(&channel)) {
            slots.collect(heads, &mut room, &mut entries);
        }
        entries
    }

    /// Returns what the answer to a post brings along: the acknowledgement of its highest report
    /// that was not refused, and what was put into a slot after change number `since`.
    #[must_use]
    pub fn collect_carried(
        &self,
        channel: ChannelId,
        since: u64,
        report: Option<Revision>,
    ) -> Vec<Entry> {
        let mut room = Room::for_items();
        let mut entries = Vec::new();
        if let Some(slots) = self.channels.get(&channel) {
            slots.collect_carried(Carry { since, report }, &mut room, &mut entries);
        }
        entries
    }

    /// Returns the newest snapshot of the plane and the deltas after it, whatever the reader holds.
    /// `now_ms` is a monotonic clock in milliseconds.
    ///
    /// # Errors
    /// `need-limited` less than 5 s after the last one of this plane that was served.
    pub fn need(
        &mut self,
        channel: ChannelId,
        plane: Plane,
        now_ms: u64,
    ) -> Result<Vec<Entry>, Reject> {
        match self.channels.get_mut(&channel) {
            Some(slots) => slots.need(plane, now_ms),
            None => Ok(Vec::new()),
        }
    }

    /// Returns pieces of the section bodies asked for, from each offset on, as much as fits into
    /// one frame. A digest that is not held or an offset at or beyond the end is left out.
    #[must_use]
    pub fn bodies(&self, channel: ChannelId, plane: Plane, wanted: &[(Digest, u64)]) -> Vec<Chunk> {
        self.channels
            .get(&channel)
            .map_or_else(Vec::new, |slots| slots.bodies(plane, wanted))
    }

    /// Tells whether the writer should post a snapshot, and why.
    #[must_use]
    pub fn wants_snapshot(&self, channel: ChannelId) -> Option<SnapshotWish> {
        self.channels
            .get(&channel)
            .map_or(Some(SnapshotWish::NothingHeld), |slots| {
                slots.wants_snapshot(&self.limits)
            })
    }

    /// Returns the head of the desired chain, or `None` when nothing is held.
    #[must_use]
    pub fn head(&self, channel: ChannelId) -> Option<Revision> {
        self.channels.get(&channel).and_then(Slots::head)
    }

    /// Returns the highest bundle held; 0 for none.
    #[must_use]
    pub fn bundle_number(&self) -> BundleNumber {
        self.bundles.highest()
    }

    /// Returns the bytes held for all channels, bundles apart.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns a number that changes whenever a reader of this channel may have news.
    #[must_use]
    pub fn version(&self, channel: ChannelId) -> u64 {
        let channel = self.channels.get(&channel).map_or(0, Slots::changed);
        channel.max(self.bundles.changed())
    }

    /// Returns the number of the last change to any mailbox.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    fn free(&self) -> usize {
        self.limits.total_bytes_max.saturating_sub(self.bytes)
    }

    /// Runs a change on one channel that may be news for its reader.
    fn in_channel(
        &mut self,
        channel: ChannelId,
        change: impl FnOnce(&mut Slots, &MailboxLimits) -> Result<Posted, Reject>,
    ) -> Result<Posted, Reject> {
        let (limits, next) = (self.limits, self.changes.wrapping_add(1));
        let result = self.adjust(channel, |slots| {
            let result = change(slots, &limits);
            if result == Ok(Posted::Kept) {
                slots.note_change(next);
            }
            result
        });
        if result == Ok(Posted::Kept) {
            self.changes = next;
        }
        result
    }

    /// Runs a change on one channel and keeps the byte account; an empty channel is not kept.
    fn adjust<T>(&mut self, channel: ChannelId, change: impl FnOnce(&mut Slots) -> T) -> T {
        let slots = self.channels.entry(channel).or_default();
        let before = (slots.tenant, slots.bytes());
        let result = change(slots);
        let after = (slots.tenant, slots.bytes());
        if slots.is_empty() {
            self.channels.remove(&channel);
        }
        self.count(before, after);
        result
    }
}

fn parse(bytes: &[u8], kind: MessageKind) -> Result<ReceivedEnvelope<'_>, Reject> {
    let received = ReceivedEnvelope::parse(bytes)?;
    if received.unverified_header().kind == kind {
        Ok(received)
    } else {
        Err(Reject::SignerRole)
    }
}
