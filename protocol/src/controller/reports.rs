//! Reports: what devices sign about themselves, newest wins, and the acknowledgement of each.
//!
//! Refuses to acknowledge a report before it is durable.

use super::member::{Cloned, Member, ReportHeld};
use super::{Ack, Context, Controller, Event, Post, records};
use crate::encryption::Vault;
use crate::envelope::{Header, Verified};
use crate::id::{ChannelId, Plane};
use crate::kind::MessageKind;
use crate::message::{Opened, PlaneMessage, REPORT_ACK_PAYLOAD, Reading, Report, accept_report};
use crate::reject::Reject;
use crate::revision::{Outcome, Seq};
use alloc::vec::Vec;

impl Controller {
    /// Takes a verified report.
    pub(super) fn receive_report(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        verified: &Verified<'_>,
        is_live: bool,
    ) -> Result<(), Reject> {
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        let incoming = held_report(verified, member.encryption.vault())?;
        let accepted = incoming.report.accepted;
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        let stored = member.report.as_ref();
        match accept_report(stored.map(ReportHeld::head).as_ref(), &incoming.head()) {
            Outcome::Refuse(reject) | Outcome::Need(reject) => {
                let held = stored.map(|stored| stored.ack);
                if let Some(held) = held.filter(|_| is_live) {
                    self.note_clone(channel, held, incoming.ack);
                }
                return Err(reject);
            }
            Outcome::Duplicate | Outcome::Older => {}
            Outcome::Accept | Outcome::Apply => {
                self.hold_report(channel, incoming, verified.as_bytes());
                self.note_ahead(context, channel, accepted);
                self.close_behind(context, channel);
            }
        }
        if is_live {
            self.hear(context, channel, accepted);
        }
        self.post_ack(context, channel);
        self.take_rotation(context, channel);
        self.take_leave(context, channel);
        Ok(())
    }

    /// Makes a newer report durable, with all that follows from it.
    fn hold_report(&mut self, channel: ChannelId, incoming: ReportHeld, envelope: &[u8]) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let (ack, report) = (incoming.ack, incoming.report.clone());
        member.report = Some(incoming);
        member.contested = member.history().contested_after(report.accepted);
        member.prune_lineage();
        //= spec/postern.md#reports-and-acks
        //# A controller MUST persist an accepted report before it signs the report-ack.
        let mut writes = records::report(member, envelope);
        writes.extend(self.note_reported_intents(channel, &report));
        // A device that is ahead proves that this store is not the newest.
        writes.extend(self.note_shown(report.received.epoch));
        self.persist(writes);
        self.event(Event::Reported {
            channel,
            ack,
            report,
        });
    }

    /// Two reports that one device cannot have made, the second out of a live session: two units run one life.
    fn note_clone(&mut self, channel: ChannelId, held: Ack, shown: Ack) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        // A lower number of the same epoch may have waited on the way; a lower epoch ended before this session began.
        //= spec/lives.md#clones
        //# A controller MUST show two devices under one key when a report inside a live
        //# session has a lower epoch than the one held, or its number and other
        //# content.
        if member.is_cloned() || (shown.epoch == held.epoch && shown.rseq != held.rseq) {
            return;
        }
        member.cloned = Some(Cloned { held, shown });
        let writes = Vec::from([records::member(member)]);
        self.persist(writes);
        self.event(Event::Cloned {
            channel,
            held,
            shown,
        });
    }

    /// Signs that the newest report and all before it are held.
    pub(super) fn post_ack(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        let Some(member) = self.members.get(&channel) else {
            return;
        };
        match self.seal_ack(context, member) {
            Ok(Some(envelope)) => self.post(channel, Post::ReportAck { envelope }),
            Ok(None) => {}
            Err(reject) => self.event(Event::Rejected { channel, reject }),
        }
    }

    /// Seals the acknowledgement of the newest report. `None` while there is none.
    pub(super) fn seal_ack(
        &self,
        context: &Context<'_>,
        member: &Member,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let Some(held) = &member.report else {
            return Ok(None);
        };
        let header = Header {
            kind: MessageKind::ReportAck,
            //= spec/postern.md#reports-and-acks
            //# A report-ack MUST carry the epoch and rseq of the report in its header.
            epoch: held.ack.epoch,
            seq: held.ack.rseq,
            base: Seq::new(0),
            digest: None,
        };
        self.seal(context, member, header, REPORT_ACK_PAYLOAD.to_vec())
    }
}

/// Reads a verified report into what the controller keeps of it.
fn held_report(verified: &Verified<'_>, vault: Option<&Vault>) -> Result<ReportHeld, Reject> {
    let header = verified.header();
    let opened = Opened::of(verified, Plane::Actual, vault, Reading::Allowed)?;
    let PlaneMessage::Report(report) = opened.message()? else {
        return Err(Reject::SignerRole);
    };
    let is_encrypted = Report::decode(verified.payload()) == Err(Reject::PlaneKeyMissing);
    Ok(ReportHeld {
        ack: Ack {
            epoch: header.epoch,
            rseq: header.seq,
        },
        message_id: verified.message_id(),
        applied_digest: header.digest,
        is_encrypted,
        report,
    })
}
