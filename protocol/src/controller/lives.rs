//! The end of a device's life here: it leaves, it is removed, or the name is enrolled anew.
//!
//! Refuses to let anything of a closed life count again, and to close one before its last report is
//! acknowledged.

use super::actual::Actual;
use super::heartbeat::Pulse;
use super::member::{Enrolled, Member};
use super::{Context, Controller, Event, Output, Ticket, records};
use crate::id::{ChannelId, DeviceName, Tenant};
use crate::limits::LEAVE_GRACE_MS;
use crate::record::Write;
use crate::reject::Reject;
use crate::revision::Revision;
use alloc::vec::Vec;

impl Controller {
    /// Takes the word of the newest report that the device leaves. The mailbox serves it a little
    /// longer, so that it can collect the acknowledgement.
    pub(super) fn take_leave(&mut self, context: &Context<'_>, channel: ChannelId) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let is_leaving = member.report.as_ref();
        if !is_leaving.is_some_and(|held| held.report.lists.is_leaving()) || member.has_left {
            return;
        }
        member.has_left = true;
        let now_ms = context.now.mono_ms;
        //= spec/lives.md#leaving
        //# A controller MUST acknowledge a report with list 7 before it closes the
        //# membership.
        member.pulse.evict_due_ms = Some(now_ms.saturating_add(LEAVE_GRACE_MS));
        let writes = Vec::from([records::member(member)]);
        self.persist(writes);
        self.event(Event::Left { channel });
    }

    /// Closes the memberships of devices that said that they leave. Returns what must become durable with it.
    pub(super) fn close_left(&mut self) -> Vec<Write> {
        let left = self.members.iter().filter(|(_, member)| member.has_left);
        let left: Vec<ChannelId> = left.map(|(id, _)| *id).collect();
        left.into_iter().flat_map(|id| self.close(id)).collect()
    }

    /// Closes a membership: its key counts no more. Returns what must become durable with it.
    pub(super) fn close(&mut self, channel: ChannelId) -> Vec<Write> {
        let Some(member) = self.members.get_mut(&channel) else {
            return Vec::new();
        };
        let Some(enrolled) = member.enrolled.take() else {
            return Vec::new();
        };
        let names = member.channel.clone();
        let mut writes = Vec::from([records::member(member)]);
        writes.extend(self.note_withdrawn(&names, &enrolled));
        writes
    }

    /// Removes a device with everything that is held of it, and takes back its open invitations.
    pub(super) fn remove(
        &mut self,
        context: &mut Context<'_>,
        ticket: Ticket,
        tenant: &Tenant,
        device: &DeviceName,
    ) {
        let channel = self.channel(tenant, device).id();
        let Some(member) = self.members.remove(&channel) else {
            return self.refuse(ticket, Reject::NotAdmitted);
        };
        let mut writes = forget_life(&member);
        writes.extend(records::no_member(&member));
        writes.extend(self.drop_invitations(tenant, device));
        if let Some(enrolled) = &member.enrolled {
            writes.extend(self.note_withdrawn(&member.channel, enrolled));
        }
        // A later member of this name begins above every number that this one used.
        self.epoch = self.further_epoch(context);
        writes.push(records::epoch(self.highest));
        self.persist(writes);
        self.arm(channel);
        self.post_admission(context, channel);
        self.outputs.push_back(Output::Evict { channel });
        self.event(Event::Removed { ticket, channel });
    }
}

/// Begins a new life of a member: nothing of an earlier one counts any more, in either direction.
/// Returns what must become durable with it.
pub(super) fn begin_life(member: &mut Member, enrolled: Enrolled) -> Vec<Write> {
    //= spec/lives.md#leaving
    //# A controller MUST close the old life of a name when a new invitation for it is used.
    let writes = forget_life(member);
    // A new life holds nothing: no earlier epoch needs to be named, no report counts.
    member.lineage.clear();
    member.report = None;
    member.actual = Actual::default();
    member.intents.clear();
    member.evidence.clear();
    (member.contested, member.behind, member.cloned) = (None, None, None);
    member.pulse = Pulse::default();
    member.pulse.heard = Some(Revision::NONE);
    member.has_left = false;
    member.enrolled = Some(enrolled);
    writes
}

/// Removes what a device said in its life. The desired state is the operator's and stays.
fn forget_life(member: &Member) -> Vec<Write> {
    let mut writes = Vec::from(records::no_report(member));
    writes.extend(records::no_actual(member));
    let intents = member.intents.keys();
    writes.extend(intents.map(|path| records::no_intent(&member.channel, path)));
    let evidence = member.evidence.iter();
    writes.extend(evidence.map(|held| records::no_evidence(member, held.number)));
    writes
}
