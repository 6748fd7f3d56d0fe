//! Bringing the application to the newest revision, once for each, and again later when it failed.
//!
//! ```text
//!  accepted --gate open--> applying --ended--> applied | retry later     (a newer revision goes first)
//! ```
//!
//! Intents are looked at when an attempt with the newest revision ended, however it ended. Refuses
//! to touch the application while the gate is closed; what runs already goes on.

use super::{Applied, Context, Device, Event, Output};
use crate::id::Digest;
use crate::message::ResultNote;
use crate::revision::Revision;
use alloc::vec::Vec;

/// Milliseconds before a failed application is tried again, doubled each time up to an hour.
const RETRY_FIRST_MS: u64 = 30_000;
const RETRY_MAX_MS: u64 = 3_600_000;

/// What is being applied, and when a failure is tried again.
#[derive(Debug, Default)]
pub(super) struct Application {
    running: Option<(Revision, Option<Digest>)>,
    retry: Option<Retry>,
    /// True while an operator keeps the device from touching its application.
    pub(super) is_closed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    at_ms: u64,
    wait_ms: u64,
}

impl Application {
    /// When a failed application is tried again.
    pub(super) fn retry_ms(&self) -> Option<u64> {
        let retry = self.retry.filter(|_| self.running.is_none());
        retry.filter(|_| !self.is_closed).map(|retry| retry.at_ms)
    }
}

impl Device {
    /// Opens or closes the way to the application.
    pub(super) fn set_gate(&mut self, is_open: bool) {
        self.application.is_closed = !is_open;
        if is_open {
            self.start_actions();
            self.apply_next();
        }
    }

    /// Starts applying the accepted revision unless one is being applied or it is done.
    pub(super) fn apply_next(&mut self) {
        let Some(head) = self.desired.head else {
            return;
        };
        let is_busy = self.application.running.is_some() || self.application.is_closed;
        if is_busy || self.reporter.applied == head.revision {
            return;
        }
        self.application.retry = None;
        //= spec/postern.md#report
        //# A device MUST hand the newest accepted revision to its application again after a restart,
        //# unless it was applied.
        self.application.running = Some((head.revision, Some(head.digest)));
        self.outputs.push_back(Output::Apply {
            revision: head.revision,
        });
    }

    /// Drops what should not be applied any more. Asks to apply the newest revision instead, behind
    /// everything else, when `revision` is not the newest.
    pub(super) fn skip_to_newest(&mut self, revision: Revision) -> bool {
        let is_newest = self
            .desired
            .head
            .is_none_or(|head| head.revision == revision);
        if is_newest && !self.application.is_closed {
            return false;
        }
        self.application.running = None;
        self.apply_next();
        true
    }

    /// Takes the outcome of an application.
    pub(super) fn handle_applied(&mut self, context: &mut Context<'_>, applied: Applied) {
        let Some((revision, digest)) = self.application.running.take() else {
            return;
        };
        if revision != applied.revision {
            self.application.running = Some((revision, digest));
            return;
        }
        let is_success = applied.status == 0;
        let head = self.desired.head.filter(|head| head.revision == revision);
        let is_newest = head.is_some_and(|head| Some(head.digest) == digest);
        // A writer of a higher generation may have opened a lower epoch meanwhile, or put something else under this number.
        let is_outranked = revision > self.reporter.accepted || (head.is_some() && !is_newest);
        if is_success && !is_outranked {
            //= spec/postern.md#report
            //# A device MUST NOT raise the applied cursor before its application has finished with
            //# that revision.
            self.reporter.applied = revision;
            self.reporter.applied_digest = digest;
        }
        let is_repeated = self.note_result(&applied);
        //= spec/planes.md#intents
        //# A device MUST judge intents when the attempt to apply the newest head has ended, however
        //# it ended.
        let intents = if is_newest {
            self.take_intents()
        } else {
            Vec::new()
        };
        self.event(Event::Applied(applied));
        if is_success || !is_repeated || !intents.is_empty() {
            self.send_report(context, intents);
        }
        self.start_actions();
        if is_success || !is_newest {
            self.application.retry = None;
            return self.apply_next();
        }
        self.retry_later(context.now.mono_ms);
    }

    /// Lists what is worth telling. Returns true when it stands in the report already.
    fn note_result(&mut self, applied: &Applied) -> bool {
        let lists = &mut self.reporter.lists;
        let last = lists.results().last();
        let is_repeated = last.is_some_and(|last| {
            let is_same = last.revision == applied.revision && last.status == applied.status;
            is_same && applied.output.ends_with(&last.output)
        });
        let is_news = !applied.output.is_empty() || applied.status != 0;
        if is_news && !is_repeated {
            lists.push_result(ResultNote {
                revision: applied.revision,
                status: applied.status,
                output: applied.output.clone(),
            });
            self.mark_lists();
        }
        is_repeated
    }

    fn retry_later(&mut self, now_ms: u64) {
        let wait_ms = self.application.retry.map_or(RETRY_FIRST_MS, |retry| {
            retry.wait_ms.saturating_mul(2).min(RETRY_MAX_MS)
        });
        self.application.retry = Some(Retry {
            at_ms: now_ms.saturating_add(wait_ms),
            wait_ms,
        });
    }

    /// Tries a failed application again when its moment came.
    pub(super) fn retry_apply(&mut self, now_ms: u64) {
        let due = self.application.retry.filter(|retry| retry.at_ms <= now_ms);
        let Some(retry) = due.filter(|_| !self.application.is_closed) else {
            return;
        };
        self.apply_next();
        // Kept while the application runs, so that the next failure waits longer.
        self.application.retry = self.application.running.is_some().then_some(retry);
    }
}
