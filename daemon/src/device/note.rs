//! What the engine tells people: every event becomes one log line and, where it counts, a number.
//!
//! Values are fields and messages are constant. Refuses to log what an application printed above the
//! level of its failure, and anything secret.

use super::run::Driver;
use super::status::Failure;
use postern_egress::body_size::Lesson;
use postern_protocol::device::{Applied, Event};
use postern_protocol::kind::MessageKind;
use postern_protocol::reject::Reject;

impl Driver {
    pub(super) fn note(&mut self, event: Event) {
        let device = self.engine.identity().channel.device.as_str().to_owned();
        match event {
            Event::Connected => {
                tracing::info!(
                    device,
                    transport = self.routes.current_name(),
                    "session open"
                );
            }
            Event::Answered { exchange, is_empty } => {
                tracing::trace!(device, exchange = exchange.0, is_empty, "answer verified");
                self.is_connected = true;
                self.answered = Some((exchange, is_empty));
            }
            Event::Accepted {
                revision,
                kind,
                bytes,
            } => {
                self.newest.send_replace(revision);
                let (epoch, seq) = (revision.epoch.number(), revision.seq.number());
                tracing::info!(device, epoch, seq, kind = kind.as_str(), bytes, "accepted");
            }
            Event::Applied(applied) => {
                let (epoch, seq) = (
                    applied.revision.epoch.number(),
                    applied.revision.seq.number(),
                );
                self.note_applied(&applied);
                let (status, output) = (applied.status, applied.output);
                if status == 0 {
                    tracing::info!(device, epoch, seq, "applied");
                } else {
                    tracing::warn!(device, epoch, seq, status, output, "applying failed");
                }
            }
            Event::ReportAcknowledged { rseq } => {
                tracing::debug!(device, rseq, "report acknowledged")
            }
            Event::BundleAccepted { number } => {
                tracing::info!(device, bundle = number.number(), "bundle accepted");
            }
            Event::HeldBack { kind, bytes } => self.note_held_back(kind, bytes),
            Event::ActualWritten { .. }
            | Event::ActualRefused { .. }
            | Event::ActualAcknowledged { .. }
            | Event::IntentNoted { .. }
            | Event::Anchored
            | Event::FreshnessChanged { .. }
            | Event::KeyConfirmed { .. }
            | Event::Left
            | Event::EvidencePosted { .. } => {
                tracing::debug!(device, ?event, "engine event");
            }
            Event::Rejected { reject } => {
                tracing::warn!(device, reason = reject.as_str(), "rejected");
                self.counts.count_reject(reject);
            }
            Event::RefusedByMailbox { reject } => {
                let reason = reject.map_or("unknown", Reject::as_str);
                tracing::warn!(device, reason, "refused by the mailbox");
                self.counts.count_refusal(reason);
            }
        }
    }

    fn note_held_back(&mut self, kind: MessageKind, bytes: usize) {
        tracing::warn!(
            kind = kind.as_str(),
            bytes,
            transport = self.routes.current_name(),
            code = "PST-L01",
            remedy = "let the proxy or front carry bodies of 48 KiB, or add another route",
            "held back: the route carries no body as large as this needs"
        );
        self.counts.count_failure("PST-L01");
    }

    pub(super) fn note_lesson(&mut self, way: usize, lesson: Lesson) {
        let transport = self.routes.name_of(way);
        match lesson {
            Lesson::Smaller {
                direction,
                bytes_max,
            } => tracing::info!(
                transport,
                direction = direction.as_str(),
                bytes = bytes_max,
                "the route carries smaller bodies only"
            ),
            Lesson::Blocked { direction, bytes } => tracing::warn!(
                transport,
                direction = direction.as_str(),
                bytes,
                code = lesson.code(),
                remedy = lesson.remedy(),
                "the route carries not even small bodies"
            ),
        }
    }

    fn note_applied(&mut self, applied: &Applied) {
        self.counts.count_applied(applied.status == 0);
        self.failure = (applied.status != 0).then(|| Failure {
            revision: applied.revision,
            status: applied.status,
            output: applied.output.clone(),
        });
    }
}
