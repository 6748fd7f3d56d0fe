//! Epochs of the controller: one opened at every start, further ones of single members when a reader knows more.
//!
//! ```text
//!  start: every member -> epoch        evidence, Resolve: one member -> a further epoch
//! ```
//!
//! Refuses to continue an epoch that somebody else may have written in, and to offer a device
//! anything while an operator has to choose between two histories.

use super::encryption::table_and_bodies;
use super::member::Member;
use super::{Context, Controller, Event, Output, Post, records};
use crate::envelope::Header;
use crate::id::{ChannelId, Digest};
use crate::kind::MessageKind;
use crate::limits::EPOCH_SHOWN_MAX;
use crate::message::Snapshot;
use crate::record::Write;
use crate::reject::Reject;
use crate::revision::{Epoch, Head, Lineage, Revision, Seq};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A sealed snapshot and the bodies that it names, as they travel.
pub(super) type Whole = (Vec<u8>, Vec<(Digest, Vec<u8>)>);

impl Controller {
    /// Opens an epoch above everything stored and offers every enrolled member a snapshot.
    pub(super) fn start(&mut self, context: &mut Context<'_>) {
        self.beat.begin(context);
        let epoch = self.further_epoch(context);
        self.epoch = epoch;
        let mut writes = Vec::from([records::epoch(self.highest)]);
        writes.extend(self.purge_invitations(context.now));
        writes.extend(self.close_left());
        let mut members = core::mem::take(&mut self.members);
        for member in members.values_mut() {
            let (generation, is_withheld) = self.generation_at_start(member);
            member.pulse.is_withheld = is_withheld;
            if self.is_restored {
                // Asked at once where it stands, without waiting for its first word.
                member.pulse.meet();
            }
            if let Ok(true) = member.renew_stale_keys(context.random) {
                writes.push(records::plane_keys(member));
            }
            member.open_epoch(epoch, generation);
            if self.is_restored {
                member.contest(epoch);
            }
            writes.push(records::member(member));
        }
        self.members = members;
        self.persist(writes);
        let enrolled: Vec<ChannelId> = self
            .members
            .iter()
            .filter(|(_, member)| member.is_enrolled())
            .map(|(id, _)| *id)
            .collect();
        for channel in &enrolled {
            self.admit(context, *channel);
            self.show_actual_held(*channel);
            //= spec/postern.md#epochs
            //# A writer MUST begin an epoch with a snapshot.
            self.post_snapshot(context, *channel);
            self.post_ack(context, *channel);
            self.post_key_answer(context, *channel);
            self.arm(*channel);
        }
        self.post_withdrawals(context);
        self.event(Event::Started {
            epoch,
            members: enrolled.len(),
        });
    }

    /// Draws an epoch above all that was opened or shown. The caller persists [`Controller::highest`].
    pub(super) fn further_epoch(&mut self, context: &mut Context<'_>) -> Epoch {
        let random = u32::from_be_bytes(crate::context::draw(context.random));
        //= spec/postern.md#epochs
        //# A writer MUST open a new epoch at every start after which it cannot prove that its store
        //# is the newest.
        let Some(epoch) = Epoch::open(self.highest, context.now.unix_s, random) else {
            unreachable!(
                "readers lift epochs to EPOCH_SHOWN_MAX at most, and each opening spends one"
            );
        };
        self.highest = epoch;
        epoch
    }

    /// A reader that shows a higher epoch proves that this store is not the newest.
    pub(super) fn note_shown(&mut self, epoch: Epoch) -> Option<Write> {
        //= spec/postern.md#epochs
        //# A writer MUST count an epoch above 2^63 - 1 that a reader shows as 2^63 - 1.
        let shown = epoch.min(Epoch::new(EPOCH_SHOWN_MAX));
        if shown <= self.highest {
            return None;
        }
        self.highest = shown;
        Some(records::epoch(shown))
    }

    /// Continues one member in an epoch of its own with the same content, and offers it.
    pub(super) fn reopen(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        let epoch = self.further_epoch(context);
        let highest = self.highest;
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        member.open_epoch(epoch, member.head.generation);
        member.pulse.reopened(context.now.mono_ms);
        let mut writes = Vec::from([records::epoch(highest), records::member(member)]);
        //= spec/encryption.md#plane-key
        //# A controller MUST persist keys before it signs a plane-key that holds them.
        writes.push(records::plane_keys(member));
        self.persist(writes);
        self.post_snapshot(context, channel);
    }

    /// Tells every mailbox whom it may serve.
    pub(super) fn admit(&mut self, context: &Context<'_>, channel: ChannelId) {
        //= spec/lives.md#leaving
        //# A controller MUST NOT admit a device that left until a new invitation for
        //# its name was used.
        let Some(member) = self.members.get(&channel).filter(|member| !member.has_left) else {
            return;
        };
        let Some(enrolled) = &member.enrolled else {
            return;
        };
        if self.trust.is_revoked(&enrolled.key.thumbprint()) {
            return self.post_admission(context, channel);
        }
        self.outputs.push_back(Output::Admit {
            channel: member.channel.clone(),
            incarnation: enrolled.incarnation,
            key: enrolled.key.clone(),
            next: enrolled
                .next
                .as_ref()
                .map(|next| Box::new(next.key.clone())),
        });
        self.post_admission(context, channel);
    }

    //= spec/postern.md#revisions
    //# A writer MUST NOT change seq for re-signing, re-encoding, resending, another key of the same
    //# generation, or another transport.
    /// Signs the whole state at its present revision; the number does not move.
    pub(super) fn post_snapshot(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        if self.offered(channel).is_none() {
            return;
        }
        self.refresh_bodies(context, channel);
        self.post_plane_key(context, channel);
        let Some(member) = self.offered(channel) else {
            return;
        };
        match self.seal_snapshot(context, member) {
            Ok(Some((envelope, bodies))) => self.post(channel, Post::Snapshot { envelope, bodies }),
            Ok(None) => {}
            Err(reject) => self.event(Event::Rejected { channel, reject }),
        }
    }

    /// Seals the section table of the whole state, whose bodies [`Self::refresh_bodies`] encrypted where
    /// keys are held. `None` while there is no device.
    pub(super) fn seal_snapshot(
        &self,
        context: &Context<'_>,
        member: &Member,
    ) -> Result<Option<Whole>, Reject> {
        let Head {
            revision, digest, ..
        } = member.head;
        let Ok(lineage) = Lineage::new(member.lineage.clone(), revision.epoch) else {
            unreachable!(
                "epochs are opened in ascending order and the lineage is pruned to its limit"
            );
        };
        let header = Header {
            kind: MessageKind::Snapshot,
            epoch: revision.epoch,
            seq: revision.seq,
            base: Seq::new(0),
            digest: Some(digest),
        };
        let (table, bodies) = table_and_bodies(member);
        let payload = Snapshot { table, lineage };
        let sealed = self.seal(context, member, header, payload.encode())?;
        Ok(sealed.map(|envelope| (envelope, bodies)))
    }

    /// What mailboxes compare the device's polls with.
    pub(super) fn show_actual_held(&mut self, channel: ChannelId) {
        let Some(member) = self.members.get(&channel) else {
            return;
        };
        let head = member.actual.head.as_ref();
        let revision = head.map_or(Revision::NONE, |head| head.revision);
        self.outputs
            .push_back(Output::ActualHeld { channel, revision });
    }
}
