//! Reports: what devices sign about themselves, newest wins, and the acknowledgement of each.
//!
//! Refuses to acknowledge a report before it is durable.

use super::decide::seal;
use super::member::ReportHeld;
use super::{Ack, Context, Controller, Event, Post, records};
use crate::envelope::{Binding, Draft, Expected, Header, ReceivedEnvelope, Verified};
use crate::id::{ChannelId, Plane};
use crate::kind::{MessageKind, Role};
use crate::limits::EPOCH_SHOWN_MAX;
use crate::message::{PlaneMessage, REPORT_ACK_PAYLOAD, accept_report};
use crate::reject::Reject;
use crate::revision::{Epoch, Outcome, Seq};

impl Controller {
    /// Takes an envelope that a mailbox handed over for a channel.
    pub(super) fn receive(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        envelope: &[u8],
    ) {
        if let Err(reject) = self.receive_report(context, channel, envelope) {
            self.event(Event::Rejected { channel, reject });
        }
    }

    fn receive_report(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        envelope: &[u8],
    ) -> Result<(), Reject> {
        let held = self.verify_report(channel, envelope)?;
        let Some(member) = self.members.get_mut(&channel) else {
            return Err(Reject::NotAdmitted);
        };
        let stored = member.report.as_ref().map(ReportHeld::head);
        match accept_report(stored.as_ref(), &held.head()) {
            Outcome::Refuse(reject) | Outcome::Need(reject) => return Err(reject),
            Outcome::Duplicate | Outcome::Older => {}
            Outcome::Accept | Outcome::Apply => {
                let (ack, report) = (held.ack, held.report.clone());
                member.report = Some(held);
                member.prune_lineage();
                //= spec/postern.md#reports-and-acks
                //# A controller MUST persist an accepted report before it signs the report-ack.
                let mut writes = records::report(member, envelope);
                // A device that is ahead proves that this store is not the newest.
                //= spec/postern.md#epochs
                //# A writer MUST count an epoch above 2^63 - 1 that a reader shows as 2^63 - 1.
                let shown = report.received.epoch.min(Epoch::new(EPOCH_SHOWN_MAX));
                if shown > self.epoch.max(self.shown) {
                    self.shown = shown;
                    writes.push(records::epoch(self.shown));
                }
                self.persist(writes);
                self.event(Event::Reported {
                    channel,
                    ack,
                    report,
                });
            }
        }
        self.post_ack(context, channel);
        Ok(())
    }

    fn verify_report(&self, channel: ChannelId, envelope: &[u8]) -> Result<ReportHeld, Reject> {
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        let enrolled = member.enrolled.as_ref().ok_or(Reject::NotAdmitted)?;
        let expected = Expected {
            role: Role::Device,
            plane: Some(Plane::Actual),
        };
        let binding = Binding::Device {
            channel: &member.channel,
            incarnation: enrolled.incarnation,
        };
        let received = ReceivedEnvelope::parse(envelope)?;
        //= spec/postern.md#incarnation
        //# A controller MUST NOT accept an envelope of a device's earlier incarnation.
        //= spec/postern.md#post
        //# A mailbox MUST verify every item of a post before it stores, compares or answers for it.
        let verified = received.verify(expected, binding, [&enrolled.key], |key| {
            self.trust.is_revoked(key)
        })?;
        held_report(&verified)
    }

    /// Signs that the newest report and all before it are held.
    pub(super) fn post_ack(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        let Some(member) = self.members.get(&channel) else {
            return;
        };
        let Some(held) = &member.report else { return };
        let header = Header {
            kind: MessageKind::ReportAck,
            //= spec/postern.md#reports-and-acks
            //# A report-ack MUST carry the epoch and rseq of the report in its header.
            epoch: held.ack.epoch,
            seq: held.ack.rseq,
            base: Seq::new(0),
            digest: None,
        };
        match seal(
            context,
            member,
            Draft {
                header,
                payload: REPORT_ACK_PAYLOAD.to_vec(),
            },
        ) {
            Ok(Some(sealed)) => {
                let post = Post::ReportAck {
                    envelope: sealed.into_bytes(),
                };
                self.post(channel, post);
            }
            Ok(None) => {}
            Err(reject) => self.event(Event::Rejected { channel, reject }),
        }
    }
}

/// Reads a verified report into what the controller keeps of it.
pub(super) fn held_report(verified: &Verified<'_>) -> Result<ReportHeld, Reject> {
    let header = verified.header();
    let PlaneMessage::Report(report) = PlaneMessage::decode(verified)? else {
        return Err(Reject::SignerRole);
    };
    Ok(ReportHeld {
        ack: Ack {
            epoch: Epoch::new(header.epoch.number()),
            rseq: header.seq,
        },
        message_id: verified.message_id(),
        applied_digest: header.digest,
        report,
    })
}
