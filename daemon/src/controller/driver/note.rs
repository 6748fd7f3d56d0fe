//! What happened, said once: to the counters, the log, and whoever waits for it.
//!
//! INFO is a change of state, WARN wakes somebody. Refuses to log what a peer wrote.

use super::super::work::{Decided, Recovered};
use super::Driver;
use crate::clock;
use postern_protocol::Reject;
use postern_protocol::controller::{Event, Take};
use postern_protocol::id::ChannelId;
use tracing::{debug, info, warn};

impl Driver {
    pub(super) fn note(&mut self, event: Event) {
        self.parts.counts.count(&event, clock::mono_ms());
        log_change(&event);
        log_alarm(&event);
        log_relay(&event);
        if let Some(channel) = shows_progress(&event) {
            self.waiters.handle_news(&self.parts.engine, channel);
        }
        if let Event::KeyRotated { channel } = event {
            self.parts.mailbox.drop_enrol_answer(channel);
        }
        self.settle(event);
    }

    /// Answers who asked for what happened.
    fn settle(&mut self, event: Event) {
        match event {
            Event::Invited { ticket }
            | Event::Withdrawn { ticket }
            | Event::Encrypted { ticket, .. }
            | Event::Removed { ticket, .. } => self.replies.settle_done(ticket),
            Event::Intended { ticket, value, .. } => self.replies.note_intended(ticket, value),
            Event::Decided {
                ticket,
                revision,
                digest,
                is_change,
                ..
            } => {
                let decided = Decided {
                    revision,
                    digest,
                    is_change,
                };
                self.replies.settle_decide(ticket, decided);
            }
            Event::Refused { ticket, reject } => {
                self.parts.relays.end_refill(ticket);
                self.replies.refuse(ticket, reject);
            }
            Event::Refilled { ticket, .. } => self.parts.relays.end_refill(ticket),
            Event::BundleAccepted { ticket, number } => self.replies.settle_bundle(ticket, number),
            Event::Recovered {
                ticket: Some(ticket),
                epoch,
                first,
                last,
                take,
                ..
            } => {
                let recovered = Recovered {
                    epoch,
                    first,
                    last,
                    take,
                };
                self.replies.settle_resolve(ticket, recovered);
            }
            Event::Recovered { ticket: None, .. }
            | Event::Started { .. }
            | Event::Enrolled { .. }
            | Event::Reported { .. }
            | Event::ActualAccepted { .. }
            | Event::Behind { .. }
            | Event::Cloned { .. }
            | Event::EvidenceKept { .. }
            | Event::Left { .. }
            | Event::KeyRotated { .. }
            | Event::FreshnessChanged { .. }
            | Event::Receipt { .. }
            | Event::Lost { .. }
            | Event::Rejected { .. } => {}
        }
    }
}

/// Names the device of which an event may end a wait.
const fn shows_progress(event: &Event) -> Option<ChannelId> {
    match event {
        Event::Reported { channel, .. } | Event::ActualAccepted { channel, .. } => Some(*channel),
        Event::Started { .. }
        | Event::Invited { .. }
        | Event::Withdrawn { .. }
        | Event::Intended { .. }
        | Event::Decided { .. }
        | Event::Refused { .. }
        | Event::Enrolled { .. }
        | Event::Behind { .. }
        | Event::Recovered { .. }
        | Event::Cloned { .. }
        | Event::EvidenceKept { .. }
        | Event::Left { .. }
        | Event::KeyRotated { .. }
        | Event::FreshnessChanged { .. }
        | Event::BundleAccepted { .. }
        | Event::Encrypted { .. }
        | Event::Removed { .. }
        | Event::Receipt { .. }
        | Event::Lost { .. }
        | Event::Refilled { .. }
        | Event::Rejected { .. } => None,
    }
}

/// Logs changes that nobody has to act on.
fn log_change(event: &Event) {
    match event {
        Event::Started { epoch, members } => {
            info!(epoch = epoch.number(), members, "epoch opened");
        }
        Event::Decided {
            channel,
            revision,
            is_change,
            ..
        } => {
            let (epoch, seq) = (revision.epoch.number(), revision.seq.number());
            info!(device = %channel, epoch, seq, is_change, "decided");
        }
        Event::Intended {
            channel,
            path,
            value,
            ..
        } => info!(device = %channel, %path, value, "raised intent"),
        Event::Enrolled { channel } => info!(device = %channel, "enrolled"),
        Event::Reported {
            channel,
            ack,
            report,
        } => {
            let (epoch, seq) = (report.applied.epoch.number(), report.applied.seq.number());
            info!(device = %channel, epoch, seq, rseq = ack.rseq.number(), "reported applied");
        }
        Event::ActualAccepted { channel, revision } => {
            let (epoch, seq) = (revision.epoch.number(), revision.seq.number());
            info!(device = %channel, epoch, seq, "accepted actual state");
        }
        Event::Left { channel } => info!(device = %channel, "device left"),
        Event::KeyRotated { channel } => info!(device = %channel, "device uses its next key"),
        Event::BundleAccepted { number, .. } => {
            info!(bundle = number.number(), "accepted bundle");
        }
        Event::Removed { channel, .. } => info!(device = %channel, "removed device"),
        Event::Encrypted {
            channel,
            generation,
            ..
        } => info!(device = %channel, generation = generation.number(), "encrypts planes"),
        Event::FreshnessChanged {
            channel,
            is_stale: false,
        } => info!(device = %channel, "device is fresh again"),
        Event::Invited { .. } | Event::Withdrawn { .. } => debug!("changed invitation"),
        Event::Refused { .. }
        | Event::Receipt { .. }
        | Event::Lost { .. }
        | Event::Refilled { .. }
        | Event::Behind { .. }
        | Event::Recovered { .. }
        | Event::Cloned { .. }
        | Event::EvidenceKept { .. }
        | Event::FreshnessChanged { is_stale: true, .. }
        | Event::Rejected { .. } => {}
    }
}

/// Logs what an operator should look at.
fn log_alarm(event: &Event) {
    match event {
        Event::Refused { reject, .. } => warn!(reason = reject.as_str(), "request refused"),
        Event::Behind {
            channel,
            head,
            is_conflict,
        } => {
            let (epoch, seq) = (head.revision.epoch.number(), head.revision.seq.number());
            warn!(device = %channel, epoch, seq, is_conflict, "device holds decisions that this store does not");
        }
        Event::Recovered { .. } => log_recovered(event),
        Event::Cloned {
            channel,
            held,
            shown,
        } => {
            let (held_epoch, shown_epoch) = (held.epoch.number(), shown.epoch.number());
            warn!(device = %channel, held_epoch, shown_epoch, "two units run as one device");
        }
        Event::EvidenceKept {
            channel,
            code,
            is_proven,
        } => {
            let reason = code.as_str();
            warn!(device = %channel, reason, is_proven, "kept evidence against this controller");
        }
        Event::FreshnessChanged {
            channel,
            is_stale: true,
        } => warn!(device = %channel, "device is stale"),
        Event::Rejected { channel, reject } => {
            warn!(device = %channel, reason = reject.as_str(), "rejected");
        }
        Event::Started { .. }
        | Event::Invited { .. }
        | Event::Withdrawn { .. }
        | Event::Intended { .. }
        | Event::Decided { .. }
        | Event::Enrolled { .. }
        | Event::Reported { .. }
        | Event::ActualAccepted { .. }
        | Event::Left { .. }
        | Event::KeyRotated { .. }
        | Event::FreshnessChanged {
            is_stale: false, ..
        }
        | Event::BundleAccepted { .. }
        | Event::Receipt { .. }
        | Event::Lost { .. }
        | Event::Refilled { .. }
        | Event::Encrypted { .. }
        | Event::Removed { .. } => {}
    }
}

/// Logs what relays say of themselves.
fn log_relay(event: &Event) {
    let name_of = |code: u16| Reject::from_code(code.into()).map_or("unknown", Reject::as_str);
    if let Event::Refilled { channel, .. } = event {
        info!(device = %channel, "handed everything to a relay");
    } else if let Event::Receipt {
        channel, receipt, ..
    } = event
    {
        match receipt.code {
            0 => debug!(device = %channel, "relay stored a message"),
            code => {
                warn!(device = %channel, reason = name_of(code), "relay put a message aside");
            }
        }
    } else if let Event::Lost { channel, lost, .. } = event {
        let (first, last) = (lost.first.number(), lost.last.number());
        let (epoch, plane) = (lost.epoch.number(), lost.plane.as_str());
        let reason = name_of(lost.code);
        warn!(device = %channel, plane, epoch, first, last, reason, "relay lost messages");
    }
}

fn log_recovered(event: &Event) {
    if let Event::Recovered {
        channel,
        epoch,
        first,
        last,
        take,
        ..
    } = event
    {
        let (epoch, first_seq, last_seq) = (epoch.number(), first.number(), last.number());
        let taken = taken(*take);
        warn!(device = %channel, epoch, first_seq, last_seq, taken, "recovered the history of a device");
    }
}

const fn taken(take: Take) -> &'static str {
    match take {
        Take::Device => "device",
        Take::Controller => "controller",
    }
}
