//! Reports: cursors, cumulative lists, and the one report that waits for its acknowledgement.
//!
//! Every entry stays in each report until a signed acknowledgement covers the report that first
//! carried it. Refuses to forget: a full list counts what it dropped.

use super::{Applied, Context, Device, Event, Identity, records};
use crate::envelope::{Binding, Draft, Header, Verified};
use crate::id::Digest;
use crate::kind::{MessageKind, Role};
use crate::message::{PlaneMessage, RejectNote, Report, ReportLists, ResultNote, SupersededNote};
use crate::reject::Reject;
use crate::revision::{Epoch, Revision, Seq};
use alloc::vec::Vec;

/// Milliseconds after which a report that the mailbox took, and nobody acknowledged, is sent again.
const RESEND_MS: u64 = 60_000;
/// Milliseconds before a failed application is tried again, doubled each time up to an hour.
const RETRY_FIRST_MS: u64 = 30_000;
const RETRY_MAX_MS: u64 = 3_600_000;

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
    is_news: bool,
    applying: Option<(Revision, Option<Digest>)>,
    retry: Option<Retry>,
}

/// The newest report, sealed, until it is acknowledged.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) envelope: Vec<u8>,
    /// `None` until a mailbox took it; then the moment at which it is sent again.
    pub(super) resend_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    at_ms: u64,
    wait_ms: u64,
}

impl Reporter {
    /// When a failed application is tried again.
    pub(super) fn retry_ms(&self) -> Option<u64> {
        self.retry
            .filter(|_| self.applying.is_none())
            .map(|retry| retry.at_ms)
    }

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
    fn seal_next(&mut self, context: &Context<'_>, identity: &Identity) -> Result<(), Reject> {
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
        let draft = Draft {
            header,
            payload: self.report().encode(),
        };
        let binding = Binding::Device {
            channel: &identity.channel,
            incarnation: identity.incarnation,
        };
        let sealed = draft.seal(Role::Device, binding, context.signer)?;
        self.outstanding = Some(Outstanding {
            envelope: sealed.into_bytes(),
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

    /// A new session may reach another mailbox: give it the report again.
    pub(super) fn mark_unposted(&mut self) {
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.resend_ms = None;
        }
    }
}

impl Device {
    /// Opens the device's epoch and tells the controller where it stands.
    pub(super) fn start(&mut self, context: &mut Context<'_>) {
        let random = u32::from_be_bytes(crate::context::draw(context.random));
        //= spec/postern.md#reports-and-acks
        //# A device MUST open a new device epoch by the rules of #epochs, from the reports it has
        //# stored.
        //= spec/postern.md#epochs
        //# A writer MUST open a new epoch at every start after which it cannot prove that its store
        //# is the newest.
        let Some(epoch) = Epoch::open(self.reporter.epoch, context.now.unix_s, random) else {
            unreachable!("epochs are 64 bits of which a start spends at most 2^20 above the clock");
        };
        self.reporter.epoch = epoch;
        self.reporter.rseq = Seq::new(0);
        self.reporter.acked = Seq::new(0);
        self.reporter.lists_rseq = Seq::new(1);
        self.send_report(context, Vec::new());
        self.apply_next();
    }

    /// Seals a report and persists it together with `writes`.
    pub(super) fn send_report(
        &mut self,
        context: &Context<'_>,
        mut writes: Vec<crate::record::Write>,
    ) {
        if let Err(reject) = self.reporter.seal_next(context, &self.identity) {
            self.event(Event::Rejected { reject });
        }
        writes.push(records::reporter(&self.reporter));
        //= spec/postern.md#reports-and-acks
        //# A device MUST persist the number of a report before it sends the report.
        self.persist(writes);
    }

    /// Notes a refusal for the next report; one that is listed already is not listed twice.
    pub(super) fn note_reject(&mut self, note: RejectNote) {
        if self.reporter.lists.rejects().contains(&note) {
            return;
        }
        self.reporter.lists.push_reject(note);
        self.mark_lists();
        self.reporter.is_news = true;
    }

    /// Reports what was noted: one report for all that one answer brought.
    pub(super) fn report_notes(&mut self, context: &Context<'_>) {
        if self.reporter.is_news {
            self.send_report(context, Vec::new());
        }
    }

    /// Notes that decisions were skipped by a snapshot.
    pub(super) fn note_superseded(&mut self, note: SupersededNote) {
        self.reporter.lists.push_superseded(note);
        self.mark_lists();
    }

    fn mark_lists(&mut self) {
        self.reporter.lists_rseq = Seq::new(self.reporter.rseq.number().saturating_add(1));
    }

    /// Starts applying the accepted revision unless one is being applied or it is done.
    pub(super) fn apply_next(&mut self) {
        let Some(head) = self.desired.head else {
            return;
        };
        if self.reporter.applying.is_some() || self.reporter.applied == head.revision {
            return;
        }
        self.reporter.retry = None;
        self.reporter.applying = Some((head.revision, Some(head.digest)));
        self.outputs.push_back(super::Output::Apply {
            revision: head.revision,
        });
    }

    /// Asks to apply the newest revision instead, behind everything else, when `revision` is not the newest.
    pub(super) fn skip_to_newest(&mut self, revision: Revision) -> bool {
        let newest = self.desired.head.filter(|head| head.revision != revision);
        if newest.is_some() {
            self.reporter.applying = None;
            self.apply_next();
        }
        newest.is_some()
    }

    /// Takes the outcome of an application.
    pub(super) fn handle_applied(&mut self, context: &Context<'_>, applied: Applied) {
        let Some((revision, digest)) = self.reporter.applying.take() else {
            return;
        };
        if revision != applied.revision {
            self.reporter.applying = Some((revision, digest));
            return;
        }
        let is_success = applied.status == 0;
        // A writer of a higher generation may have opened a lower epoch meanwhile.
        let is_outranked = revision > self.reporter.accepted;
        if is_success && !is_outranked {
            //= spec/postern.md#report
            //# A device MUST NOT raise the applied cursor before its application has finished with
            //# that revision.
            self.reporter.applied = revision;
            self.reporter.applied_digest = digest;
        }
        let note = ResultNote {
            revision,
            status: applied.status,
            output: applied.output.clone(),
        };
        let is_news = !note.output.is_empty() || !is_success;
        let last = self.reporter.lists.results().last();
        let is_repeated = last.is_some_and(|last| {
            let is_same = last.revision == revision && last.status == applied.status;
            is_same && applied.output.ends_with(&last.output)
        });
        if is_news && !is_repeated {
            self.reporter.lists.push_result(note);
            self.mark_lists();
        }
        self.event(Event::Applied(applied));
        if is_success || !is_repeated {
            self.send_report(context, Vec::new());
        }
        let is_newest = self
            .desired
            .head
            .is_some_and(|head| head.revision == revision);
        if is_success || !is_newest {
            self.reporter.retry = None;
            return self.apply_next();
        }
        let wait_ms = self.reporter.retry.map_or(RETRY_FIRST_MS, |retry| {
            (retry.wait_ms * 2).min(RETRY_MAX_MS)
        });
        self.reporter.retry = Some(Retry {
            at_ms: context.now.mono_ms.saturating_add(wait_ms),
            wait_ms,
        });
    }

    /// Tries a failed application again when its moment came.
    pub(super) fn retry_apply(&mut self, now_ms: u64) {
        let Some(retry) = self.reporter.retry.filter(|retry| retry.at_ms <= now_ms) else {
            return;
        };
        self.apply_next();
        // Kept while the application runs, so that the next failure waits longer.
        self.reporter.retry = self.reporter.applying.is_some().then_some(retry);
    }

    /// Takes the controller's signature that it holds a report and all before it.
    pub(super) fn handle_report_ack(&mut self, verified: &Verified<'_>) -> Result<bool, Reject> {
        PlaneMessage::decode(verified)?;
        let header = verified.header();
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
        //= spec/postern.md#reports-and-acks
        //# A device MUST repeat every list entry in each report until a report-ack covers a report
        //# that held it.
        if header.seq >= self.reporter.lists_rseq {
            self.reporter.lists = ReportLists::default();
        }
        if header.seq == self.reporter.rseq {
            self.reporter.outstanding = None;
        }
        self.event(Event::ReportAcknowledged {
            rseq: header.seq.number(),
        });
        Ok(true)
    }
}
