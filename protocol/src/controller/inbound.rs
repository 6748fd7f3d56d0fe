//! What mailboxes hand over: which key, which plane, and who takes each kind.
//!
//! Refuses every kind that neither a device nor a mailbox signs, and every envelope of an earlier life.

use super::{Context, Controller, Event};
use crate::envelope::{Binding, Expected, ReceivedEnvelope, Verified};
use crate::id::{ChannelId, Plane};
use crate::kind::{MessageKind, Role};
use crate::reject::Reject;

impl Controller {
    /// Takes an envelope that a mailbox handed over for a channel.
    pub(super) fn receive(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        envelope: &[u8],
        is_live: bool,
    ) {
        if let Err(reject) = self.receive_verified(context, channel, envelope, is_live) {
            self.event(Event::Rejected { channel, reject });
        }
        self.settle(context, channel);
    }

    fn receive_verified(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        envelope: &[u8],
        is_live: bool,
    ) -> Result<(), Reject> {
        let received = ReceivedEnvelope::parse(envelope)?;
        match received.unverified_header().kind {
            MessageKind::Receipt => return self.receive_receipt(channel, &received),
            MessageKind::Lost => return self.receive_lost(channel, &received),
            MessageKind::Delta
            | MessageKind::Snapshot
            | MessageKind::Report
            | MessageKind::ReportAck
            | MessageKind::Heartbeat
            | MessageKind::EnrolRequest
            | MessageKind::EnrolAnswer
            | MessageKind::Bundle
            | MessageKind::Admission
            | MessageKind::PlaneKey
            | MessageKind::SessionHello
            | MessageKind::SessionWelcome
            | MessageKind::Evidence => {}
        }
        let verified = self.verify(channel, &received)?;
        self.confirm_key(context, channel, &verified);
        if is_live && let Some(member) = self.members.get_mut(&channel) {
            member.pulse.meet();
        }
        match verified.header().kind {
            MessageKind::Report => self.receive_report(context, channel, &verified, is_live),
            MessageKind::Delta | MessageKind::Snapshot => {
                self.receive_actual(context, channel, &verified)
            }
            MessageKind::Heartbeat => self.receive_heartbeat(context, channel, &verified, is_live),
            MessageKind::Evidence => self.receive_evidence(context, channel, &verified),
            MessageKind::ReportAck
            | MessageKind::EnrolRequest
            | MessageKind::EnrolAnswer
            | MessageKind::Bundle
            | MessageKind::Admission
            | MessageKind::SessionHello
            | MessageKind::SessionWelcome
            | MessageKind::Receipt
            | MessageKind::PlaneKey
            | MessageKind::Lost => Err(Reject::SignerRole),
        }
    }

    /// Verifies with the member's key, or with the one that takes its place.
    fn verify<'e>(
        &self,
        channel: ChannelId,
        received: &ReceivedEnvelope<'e>,
    ) -> Result<Verified<'e>, Reject> {
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        let enrolled = member.enrolled.as_ref().ok_or(Reject::NotAdmitted)?;
        // A device accuses the writer of the desired plane; everything else is about its own.
        let plane = match received.unverified_header().kind {
            MessageKind::Evidence => Plane::Desired,
            MessageKind::Delta
            | MessageKind::Snapshot
            | MessageKind::Report
            | MessageKind::ReportAck
            | MessageKind::Heartbeat
            | MessageKind::EnrolRequest
            | MessageKind::EnrolAnswer
            | MessageKind::Bundle
            | MessageKind::Admission
            | MessageKind::SessionHello
            | MessageKind::SessionWelcome
            | MessageKind::Receipt
            | MessageKind::PlaneKey
            | MessageKind::Lost => Plane::Actual,
        };
        let expected = Expected {
            role: Role::Device,
            plane: Some(plane),
        };
        let binding = Binding::Device {
            channel: &member.channel,
            incarnation: enrolled.incarnation,
        };
        //= spec/postern.md#incarnation
        //# A controller MUST NOT accept an envelope of a device's earlier incarnation.
        //= spec/postern.md#post
        //# A mailbox MUST verify every item of a post before it stores, compares or answers for it.
        //= spec/lives.md#rotation
        //# A controller MUST accept both keys of a device until an envelope verifies
        //# under the next one, and then that one only.
        received.verify(expected, binding, enrolled.keys(), |key| {
            self.trust.is_revoked(key)
        })
    }
}
