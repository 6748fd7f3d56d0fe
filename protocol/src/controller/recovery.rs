//! Recovery: a device knows more of our own history than this store does.
//!
//! ```text
//!  evidence --bodies wanted--> collecting --puts--> whole --no decision of ours since--> adopted
//!                                                     '-- else --> conflict --Resolve--> adopted or overruled
//! ```
//!
//! Whatever is taken, the member goes on in a further epoch whose lineage covers the device's head.
//! Refuses to continue an epoch that somebody else wrote in, to take back a head that was passed, and
//! to adopt on its own what our key did not sign.

use super::evidence::EvidenceHeld;
use super::member::Member;
use super::{Context, Controller, Event, Output, Take, Ticket, actual, records};
use crate::id::{ChannelId, DeviceName, Plane, Tenant};
use crate::limits::EPOCH_SHOWN_MAX;
use crate::reject::Reject;
use crate::revision::{self, Head, Seq, Standing};
use crate::state::{SectionTable, SnapshotAssembly, State};
use alloc::vec::Vec;

/// The history that a device holds and this store does not.
#[derive(Debug)]
pub struct Behind {
    head: Head,
    is_proven: bool,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Collecting(SnapshotAssembly),
    Whole(State),
}

impl Behind {
    /// What the device holds.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The device's state, once every part of it is here.
    #[must_use]
    pub const fn state(&self) -> Option<&State> {
        match &self.content {
            Content::Whole(state) => Some(state),
            Content::Collecting(_) => None,
        }
    }

    /// True when it is whole and was not adopted: an operator has to choose.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        self.state().is_some()
    }

    /// True when this controller's key signed the head.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        self.is_proven
    }

    pub(super) const fn assembly_mut(&mut self) -> Option<&mut SnapshotAssembly> {
        match &mut self.content {
            Content::Collecting(assembly) => Some(assembly),
            Content::Whole(_) => None,
        }
    }

    fn new(held: &EvidenceHeld, table: &SectionTable, member: &Member) -> Result<Self, Reject> {
        let assembly = member.assemble(Plane::Desired, table, &member.state)?;
        Ok(Self {
            head: held.head,
            is_proven: held.is_proven,
            content: Content::Collecting(assembly),
        })
    }
}

impl Member {
    /// Names the device's head in the lineage of the present epoch, which was just opened.
    fn cover(&mut self, head: &Head) {
        let (present, reported) = (self.head.revision.epoch, self.reported_epoch());
        revision::cover(&mut self.lineage, head, present, reported);
    }
}

impl Controller {
    /// Takes a device's word that it holds more than we offer.
    pub(super) fn take_behind(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        held: EvidenceHeld,
        table: Option<&SectionTable>,
    ) -> Result<(), Reject> {
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        let head = held.head;
        if head.revision.epoch.number() > EPOCH_SHOWN_MAX {
            return Err(Reject::HeaderNumbers);
        }
        //= spec/lives.md#recovery
        //# A controller MUST NOT adopt a head that its lineage covers, or one below a
        //# head that the device has signed.
        match member.history().standing(&head) {
            Standing::Known => return Ok(()),
            Standing::Passed => return Err(Reject::EpochStale),
            Standing::News => {}
        }
        let shown = member.behind.as_ref().map(|behind| behind.head);
        let is_lower = shown.is_some_and(|shown| head.revision < shown.revision);
        if !is_lower && shown != Some(head) {
            let table = table.ok_or(Reject::Shape)?;
            let behind = Behind::new(&held, table, member)?;
            if let Some(member) = self.members.get_mut(&channel) {
                member.behind = Some(behind);
            }
        }
        if let Some(member) = self.members.get_mut(&channel)
            && let Some(behind) = &mut member.behind
        {
            behind.is_proven |= held.is_proven && behind.head == head;
        }
        if let Some(write) = self.note_shown(head.revision.epoch) {
            self.persist(Vec::from([write]));
        }
        self.keep_evidence(channel, held);
        self.advance_behind(context, channel)
    }

    /// Adopts or shows the device's history once every body is here, else asks for what is missing.
    pub(super) fn advance_behind(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
    ) -> Result<(), Reject> {
        let Some(member) = self.members.get_mut(&channel) else {
            return Ok(());
        };
        let Some(behind) = &mut member.behind else {
            return Ok(());
        };
        let Content::Collecting(assembly) = &behind.content else {
            return Ok(());
        };
        //= spec/lives.md#recovery
        //# A controller MUST NOT adopt evidence before the device's signature, the
        //# incarnation, the root and every body are verified.
        if !assembly.is_complete() {
            let wanted = actual::wanted(assembly);
            self.outputs.push_back(Output::Wanted { channel, wanted });
            return Ok(());
        }
        match assembly.clone().finish() {
            Ok(state) => behind.content = Content::Whole(state),
            Err(reject) => {
                member.behind = None;
                return Err(reject);
            }
        }
        let (head, is_proven) = (behind.head, behind.is_proven);
        //= spec/lives.md#recovery
        //# A controller that made a decision in an epoch of its own that the device
        //# does not know, or finds no signature of its own, MUST post no state to the
        //# device until its operator has chosen one of the two.
        let is_conflict = !is_proven || member.history().has_own_decisions(&head);
        self.event(Event::Behind {
            channel,
            head,
            is_conflict,
        });
        //= spec/lives.md#recovery
        //# A controller that made no decision since, and finds its own signature over
        //# that head in the evidence, MUST adopt the device's state, add its head to
        //# the lineage, and post a snapshot of a further epoch.
        if !is_conflict {
            self.recover(context, None, channel, Take::Device)?;
        }
        Ok(())
    }

    /// Takes the operator's choice between two histories.
    pub(super) fn resolve(
        &mut self,
        context: &mut Context<'_>,
        ticket: Ticket,
        tenant: &Tenant,
        device: &DeviceName,
        take: Take,
    ) {
        let channel = self.channel(tenant, device).id();
        let behind = self
            .members
            .get(&channel)
            .map(|member| member.behind.is_some());
        let result = match take {
            Take::Controller if behind == Some(false) => self.overrule(context, ticket, channel),
            Take::Controller | Take::Device => self.recover(context, Some(ticket), channel, take),
        };
        if let Err(reject) = result {
            self.refuse(ticket, reject);
        }
    }

    /// Goes on in a further epoch that covers the device's head, with the content that was chosen.
    ///
    /// # Errors
    /// `not-admitted`, `key-unknown`; `nothing-stored` when the device holds nothing that we do not;
    /// `body-mismatch` when its content is wanted and not all of it is here.
    fn recover(
        &mut self,
        context: &mut Context<'_>,
        ticket: Option<Ticket>,
        channel: ChannelId,
        take: Take,
    ) -> Result<(), Reject> {
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        self.signer(context, &member.channel.tenant)?;
        let behind = member.behind.as_ref().ok_or(Reject::NothingStored)?;
        let head = behind.head;
        let state = match take {
            // What the device held before its planes were encrypted has plain digests.
            Take::Device => member.under_own(behind.state().ok_or(Reject::BodyMismatch)?)?,
            Take::Controller => member.state.clone(),
        };
        let epoch = self.further_epoch(context);
        let highest = self.highest;
        let Some(member) = self.members.get_mut(&channel) else {
            return Err(Reject::NotAdmitted);
        };
        let known = member.history().known(head.revision);
        let first = known.map_or(0, |known| known.last.seq.number());
        member.open_epoch(epoch, member.head.generation);
        //= spec/lives.md#recovery
        //# The snapshot after a choice MUST have a further epoch whose lineage covers
        //# the device's head.
        member.cover(&head);
        (member.behind, member.contested) = (None, None);
        let before = core::mem::replace(&mut member.state, state);
        member.head.digest = *member.state.root();
        member.pulse.reopened(context.now.mono_ms);
        let mut writes = Vec::from([records::epoch(highest)]);
        writes.extend(records::decision(member, &before));
        self.persist(writes);
        self.post_snapshot(context, channel);
        self.event(Event::Recovered {
            ticket,
            channel,
            epoch: head.revision.epoch,
            first: Seq::new(first.saturating_add(1)),
            last: head.revision.seq,
            take,
        });
        Ok(())
    }

    /// Forgets a history that the device itself left: its newest report shows a higher head that we know.
    pub(super) fn close_behind(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let (Some(behind), Some(held)) = (&member.behind, &member.report) else {
            return;
        };
        let accepted = held.report.accepted;
        let history = member.history();
        let is_ours = history.known(accepted).is_some() && !history.is_unknown(accepted);
        if is_ours && accepted > behind.head.revision {
            member.behind = None;
            self.post_snapshot(context, channel);
        }
    }

    /// Collects again, after a start, what a device showed before: the newest evidence says it all but the bodies.
    pub(super) fn reopen_behind(member: &mut Member) {
        let newest = member.evidence.iter().rev().find(|held| {
            let is_behind = held.code == crate::message::EvidenceCode::WriterBehind;
            is_behind && member.history().standing(&held.head) == Standing::News
        });
        let Some(held) = newest else { return };
        let Ok(received) = crate::envelope::ReceivedEnvelope::parse(&held.envelope) else {
            return;
        };
        let payload = received.unverified_payload();
        let Ok(crate::message::Evidence {
            table: Some(table), ..
        }) = crate::message::Evidence::decode(payload)
        else {
            return;
        };
        member.behind = Behind::new(held, &table, member).ok();
    }
}
