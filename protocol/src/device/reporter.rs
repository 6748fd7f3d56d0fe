//! Reports: cursors, cumulative lists, and the one report that waits for its acknowledgement.
//!
//! Every entry stays in each report until a signed acknowledgement covers the report that first
//! carried it. Refuses to forget: a full list counts what it dropped.

use super::{Context, Device, Event, Identity, records};
use crate::encryption::Vault;
use crate::envelope::{Binding, Draft, Header, Verified};
use crate::id::{Digest, Plane, Thumbprint};
use crate::kind::{MessageKind, Role};
use crate::limits::{EPOCH_SHOWN_MAX, REPORT_LIST_MAX, RESEND_MS};
use crate::message::{PlaneMessage, RejectNote, Report, ReportLists, SupersededNote};
use crate::reject::Reject;
use crate::revision::{Epoch, Revision, Seq};
use alloc::vec::Vec;

/// The newest report and what the next one will say.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    pub(super) epoch: Epoch,
    pub(super) rseq: Seq,
    pub(super) acked: Seq,
    pub(super) received: Revision,
    pub(super) accepted: Revision,
    pub(super) applied: Revision,
    pub(super) applied_digest: Option<Digest>,
    pub(super) lists: ReportLists,
    /// The report number at which the lists last grew; an acknowledgement below keeps them.
    pub(super) lists_rseq: Seq,
    pub(super) outstanding: Option<Outstanding>,
    /// True when a refusal was noted that no sealed report carries.
    pub(super) is_news: bool,
    /// True once a report epoch was opened because the controller showed a later one.
    has_outnumbered: bool,
    /// Refusals that the controller acknowledged in this session: it offers the same again beside
    /// each acknowledgement, and telling it each time would never end.
    told: Vec<RejectNote>,
}

/// The newest report, sealed, until it is acknowledged.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) envelope: Vec<u8>,
    /// The key that signed it: after a rotation it is signed anew, under the next number.
    signer: Thumbprint,
    /// `None` until a mailbox took it; then the moment at which it is sent again.
    pub(super) resend_ms: Option<u64>,
}

impl Reporter {
    /// When an unacknowledged report is sent again.
    pub(super) fn resend_ms(&self) -> Option<u64> {
        self.outstanding
            .as_ref()
            .and_then(|outstanding| outstanding.resend_ms)
    }

    fn report(&self) -> Report {
        Report {
            received: self.received,
            accepted: self.accepted,
            applied: self.applied,
            lists: self.lists.clone(),
        }
    }

    /// Seals the next report. The caller persists before it is sent.
    fn seal_next(
        &mut self,
        context: &mut Context<'_>,
        identity: &Identity,
        vault: Option<&Vault>,
    ) -> Result<(), Reject> {
        //= spec/postern.md#reports-and-acks
        //# A device MUST number its reports (device epoch, rseq) ascending within its incarnation.
        //= spec/postern.md#reports-and-acks
        //# A device MUST NOT sign two different reports under one number.
        self.rseq = self.rseq.next().ok_or(Reject::HeaderNumbers)?;
        self.is_news = false;
        let header = Header {
            kind: MessageKind::Report,
            epoch: self.epoch,
            seq: self.rseq,
            base: Seq::new(0),
            //= spec/postern.md#report
            //# The header digest of a report MUST be the root digest at the applied cursor, and
            //# empty when nothing is applied.
            digest: self.applied_digest,
        };
        let payload = self.report().encode_with(|lists| match vault {
            //= spec/encryption.md#switching-on
            //# A device that holds plane keys MUST encrypt the lists of its reports.
            Some(vault) => vault.encrypt_message(Plane::Actual, &header, &lists, context.random),
            None => lists,
        });
        let draft = Draft { header, payload };
        let binding = Binding::Device {
            channel: &identity.channel,
            incarnation: identity.incarnation,
        };
        let sealed = draft.seal(Role::Device, binding, context.signer)?;
        self.outstanding = Some(Outstanding {
            envelope: sealed.into_bytes(),
            signer: context.signer.public_key().thumbprint(),
            resend_ms: None,
        });
        Ok(())
    }

    /// The report that a mailbox should be given now, if there is one.
    pub(super) fn due(&self, now_ms: u64) -> Option<&[u8]> {
        let outstanding = self.outstanding.as_ref()?;
        let is_due = outstanding.resend_ms.is_none_or(|at| at <= now_ms);
        is_due.then_some(outstanding.envelope.as_slice())
    }

    //= spec/postern.md#post
    //# An item of a post that is not refused is stored; a device MUST NOT take this as
    //# acknowledgement of a report.
    /// A mailbox took the report: the acknowledgement is now awaited.
    pub(super) fn mark_posted(&mut self, now_ms: u64, wait_ms: Option<u64>) {
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.resend_ms = Some(now_ms.saturating_add(wait_ms.unwrap_or(RESEND_MS)));
        }
    }

    /// A new session may reach another mailbox: give it the report again. What a former key signed
    /// counts no more there: it is said anew, under the next number.
    pub(super) fn begin_session(&mut self, signer: &Thumbprint) {
        self.told.clear();
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.resend_ms = None;
            self.is_news |= outstanding.signer != *signer;
        }
    }
}

impl Device {
    /// Opens the device's epochs, tells the controller where it stands, and takes up what was under way.
    pub(super) fn start(&mut self, context: &mut Context<'_>) {
        self.pulse.begin(context);
        self.open_report_epoch(context, self.reporter.epoch);
        let writes = self.open_actual_epoch(context, Epoch::new(0));
        self.send_report(context, writes);
        self.start_actions();
        self.apply_next();
    }

    /// Numbers reports in a new epoch, above the own one and one that was shown.
    fn open_report_epoch(&mut self, context: &mut Context<'_>, shown: Epoch) {
        let shown = Epoch::new(shown.number().min(EPOCH_SHOWN_MAX));
        let highest = self.reporter.epoch.max(shown);
        let random = u32::from_be_bytes(crate::context::draw(context.random));
        //= spec/postern.md#reports-and-acks
        //# A device MUST open a new device epoch by the rules of #epochs, from the reports it has
        //# stored.
        //= spec/postern.md#epochs
        //# A writer MUST open a new epoch at every start after which it cannot prove that its store
        //# is the newest.
        let Some(epoch) = Epoch::open(highest, context.now.unix_s, random) else {
            unreachable!(
                "epochs are 64 bits, of which a start spends few and a reader at most half"
            );
        };
        self.reporter.epoch = epoch;
        self.reporter.rseq = Seq::new(0);
        self.reporter.acked = Seq::new(0);
        self.reporter.lists_rseq = Seq::new(1);
    }

    /// Seals a report and persists it together with `writes`.
    pub(super) fn send_report(
        &mut self,
        context: &mut Context<'_>,
        mut writes: Vec<crate::record::Write>,
    ) {
        if let Err(reject) =
            self.reporter
                .seal_next(context, &self.identity, self.encryption.vault())
        {
            self.event(Event::Rejected { reject });
        }
        writes.push(records::reporter(&self.reporter));
        //= spec/postern.md#reports-and-acks
        //# A device MUST persist the number of a report before it sends the report.
        // What a cursor of the controller covers is kept when something is kept anyway.
        writes.extend(self.actual.take_covered().map(records::actual_head));
        self.persist(writes);
    }

    /// Notes a refusal for the next report; one that is listed, or was acknowledged in this session,
    /// is not listed again.
    pub(super) fn note_reject(&mut self, note: RejectNote) {
        //= spec/postern.md#acceptance
        //# A device MUST NOT list a refusal again that its report holds, nor one of the last 16 that
        //# were acknowledged in the same session.
        let is_listed = self.reporter.lists.rejects().contains(&note);
        if is_listed || self.reporter.told.contains(&note) {
            return;
        }
        self.reporter.lists.push_reject(note);
        self.mark_lists();
        self.reporter.is_news = true;
    }

    /// Reports what was noted: one report for all that one answer brought.
    pub(super) fn report_notes(&mut self, context: &mut Context<'_>) {
        if self.reporter.is_news {
            self.send_report(context, Vec::new());
        }
    }

    /// Notes that decisions were skipped by a snapshot.
    pub(super) fn note_superseded(&mut self, note: SupersededNote) {
        self.reporter.lists.push_superseded(note);
        self.mark_lists();
    }

    pub(super) fn mark_lists(&mut self) {
        self.reporter.lists_rseq = Seq::new(self.reporter.rseq.number().saturating_add(1));
    }

    /// Takes the controller's signature that it holds a report and all before it.
    pub(super) fn handle_report_ack(
        &mut self,
        context: &mut Context<'_>,
        verified: &Verified<'_>,
    ) -> Result<bool, Reject> {
        PlaneMessage::decode(verified)?;
        let header = verified.header();
        if header.epoch > self.reporter.epoch {
            return Ok(self.outnumber(context, header.epoch));
        }
        //= spec/postern.md#reports-and-acks
        //# A device MUST take a report-ack of its current device epoch as covering every report up
        //# to that rseq and all of lower device epochs.
        if header.epoch != self.reporter.epoch
            || header.seq > self.reporter.rseq
            || header.seq <= self.reporter.acked
        {
            return Ok(false);
        }
        self.reporter.acked = header.seq;
        if header.seq == self.reporter.rseq {
            self.reporter.outstanding = None;
        }
        self.event(Event::ReportAcknowledged {
            rseq: header.seq.number(),
        });
        //= spec/postern.md#reports-and-acks
        //# A device MUST repeat every list entry in each report until a report-ack covers a report
        //# that held it.
        if header.seq >= self.reporter.lists_rseq {
            self.forget_lists();
        }
        Ok(true)
    }

    /// What was acknowledged is told no more; a rotation is asked for until it is answered.
    fn forget_lists(&mut self) {
        let is_leaving = self.reporter.lists.is_leaving();
        let rotation = self.reporter.lists.rotation().map(Vec::from);
        let lists = core::mem::take(&mut self.reporter.lists);
        let told = &mut self.reporter.told;
        told.extend_from_slice(lists.rejects());
        told.drain(..told.len().saturating_sub(REPORT_LIST_MAX));
        if let Err(reject) = self.reporter.lists.set_rotation(rotation) {
            self.event(Event::Rejected { reject });
        }
        if is_leaving {
            self.has_left = true;
            self.event(Event::Left);
            self.disconnect();
        }
    }

    /// The controller holds a report of a later epoch than ours: this store is not the newest. Once
    /// a start: a second device with the same key would answer in the same way for ever.
    fn outnumber(&mut self, context: &mut Context<'_>, shown: Epoch) -> bool {
        if core::mem::replace(&mut self.reporter.has_outnumbered, true) {
            return false;
        }
        self.open_report_epoch(context, shown);
        self.send_report(context, Vec::new());
        true
    }
}
