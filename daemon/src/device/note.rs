//! What the engine tells people: every event becomes one log line and, where it counts, a number.
//!
//! Values are fields and messages are constant. Refuses to log what an application printed above the
//! level of its failure, and anything secret.

use super::run::Driver;
use super::status::Failure;
use crate::exit::CommandError;
use crate::routes::WayId;
use postern_egress::body_size::Lesson;
use postern_egress::codes;
use postern_protocol::device::{Applied, Event};
use postern_protocol::kind::MessageKind;
use postern_protocol::message::IntentNote;
use postern_protocol::receipt::{Lost, Receipt};
use postern_protocol::reject::Reject;
use postern_protocol::revision::{KeyGeneration, Revision};

impl Driver {
    pub(super) fn note(&mut self, event: Event) -> Result<(), CommandError> {
        match event {
            Event::Connected => self.note_connected(),
            Event::TimeStated { time } => self.hear_time(time)?,
            Event::Answered { exchange, is_empty } => {
                tracing::trace!(exchange = exchange.0, is_empty, "answer verified");
                self.is_connected = true;
                self.answered = Some((exchange, is_empty));
            }
            Event::Streamed {
                exchange, age_ms, ..
            } => self.note_streamed(exchange, age_ms),
            Event::StreamEnded { exchange, why } => self.note_stream_ended(exchange, why),
            Event::Accepted {
                revision,
                kind,
                bytes,
            } => self.note_accepted(revision, kind, bytes),
            Event::Applied(applied) => self.note_applied(applied),
            Event::ReportAcknowledged { rseq } => {
                tracing::debug!(device = self.name(), rseq, "report acknowledged");
            }
            Event::BundleAccepted { number } => {
                let bundle = number.number();
                tracing::info!(device = self.name(), bundle, "bundle accepted");
                self.homing.note_bundle();
            }
            Event::MoveAsked { url } => self.homing.note_move(url),
            Event::Lost { lost, .. } => note_lost(self.name(), &lost),
            Event::Receipt { receipt, .. } => self.note_receipt(&receipt),
            Event::HeldBack { kind, bytes } => self.note_held_back(kind, bytes),
            Event::ActualWritten {
                ticket,
                revision,
                is_change,
            } => self.end_write(ticket, revision, is_change),
            Event::ActualRefused { ticket, reject } => self.refuse_write(ticket, reject),
            Event::ActualAcknowledged { revision } => self.note_acknowledged(revision),
            Event::IntentNoted { note } => self.note_intent(&note),
            Event::PlaneKeysTaken { generation } => self.note_encrypted(generation),
            Event::Anchored => tracing::debug!(device = self.name(), "freshness anchored"),
            Event::FreshnessChanged { is_stale } => self.note_freshness(is_stale),
            Event::KeyConfirmed { thumbprint } => self.take_key(&thumbprint)?,
            Event::Left => self.note_left(),
            Event::EvidencePosted { code } => {
                tracing::warn!(
                    device = self.name(),
                    reason = code.reject().as_str(),
                    "evidence posted"
                );
            }
            Event::Rejected { reject } => {
                tracing::warn!(device = self.name(), reason = reject.as_str(), "rejected");
                self.counts.count_reject(reject);
            }
            Event::RefusedByMailbox { reject } => self.note_refusal(reject),
        }
        Ok(())
    }

    pub(super) fn name(&self) -> &str {
        self.engine.identity().channel.device.as_str()
    }

    fn note_acknowledged(&self, Revision { epoch, seq }: Revision) {
        let (epoch, seq) = (epoch.number(), seq.number());
        tracing::debug!(
            device = self.name(),
            epoch,
            seq,
            "actual state acknowledged"
        );
    }

    fn note_encrypted(&self, generation: KeyGeneration) {
        let generation = generation.number();
        tracing::info!(device = self.name(), generation, "planes are encrypted");
    }

    fn note_freshness(&self, is_stale: bool) {
        if is_stale {
            tracing::warn!(device = self.name(), "stale: the controller is silent");
        } else {
            tracing::info!(device = self.name(), "fresh: the controller was heard");
        }
    }

    fn note_refusal(&mut self, reject: Option<Reject>) {
        let reason = reject.map_or("unknown", Reject::as_str);
        tracing::warn!(device = self.name(), reason, "refused by the mailbox");
        self.counts.count_refusal(reason);
        self.homing.note_refusal(reject);
    }

    fn note_left(&mut self) {
        tracing::info!(device = self.name(), "left: the controller knows");
        self.has_left = true;
    }

    fn note_receipt(&mut self, receipt: &Receipt) {
        let (device, message) = (self.name(), receipt.message);
        if receipt.code == 0 {
            tracing::debug!(device, %message, "the mailbox stored a message");
            return;
        }
        let reason = Reject::from_code(receipt.code.into()).map_or("unknown", Reject::as_str);
        tracing::warn!(device, %message, reason, "the mailbox put a message aside");
        self.counts.count_put_aside(reason);
    }

    fn note_accepted(&mut self, revision: Revision, kind: MessageKind, bytes: usize) {
        self.newest.send_replace(revision);
        let (epoch, seq) = (revision.epoch.number(), revision.seq.number());
        let kind = kind.as_str();
        tracing::info!(device = self.name(), epoch, seq, kind, bytes, "accepted");
    }

    fn note_intent(&mut self, note: &IntentNote) {
        let (path, value) = (note.path.as_str(), note.value);
        let outcome = note.outcome.as_str();
        tracing::info!(device = self.name(), path, value, outcome, "intent");
    }

    fn note_held_back(&mut self, kind: MessageKind, bytes: usize) {
        tracing::warn!(
            kind = kind.as_str(),
            bytes,
            transport = self.routes.current_name(),
            code = codes::BODIES_BLOCKED,
            remedy = "let the proxy or front carry bodies of 48 KiB, or add another route",
            "held back: the route carries no body as large as this needs"
        );
        self.counts.count_failure(codes::BODIES_BLOCKED);
    }

    pub(super) fn note_lesson(&mut self, way: WayId, lesson: Lesson) {
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

    fn note_applied(&mut self, applied: Applied) {
        self.counts.count_applied(applied.status == 0);
        let Applied {
            revision,
            status,
            output,
        } = applied;
        let (epoch, seq) = (revision.epoch.number(), revision.seq.number());
        if status == 0 {
            tracing::info!(device = self.name(), epoch, seq, "applied");
            self.failure = None;
            return;
        }
        let failure = Failure {
            revision,
            status,
            output,
        };
        let (device, output) = (self.name(), failure.output.as_str());
        if self.failure.as_ref() == Some(&failure) {
            tracing::debug!(device, epoch, seq, status, output, "applying failed again");
        } else {
            tracing::warn!(device, epoch, seq, status, output, "applying failed");
        }
        self.failure = Some(failure);
    }
}

fn note_lost(device: &str, lost: &Lost) {
    let (first, last) = (lost.first.number(), lost.last.number());
    let (epoch, plane) = (lost.epoch.number(), lost.plane.as_str());
    let reason = Reject::from_code(lost.code.into()).map_or("unknown", Reject::as_str);
    tracing::warn!(
        device,
        plane,
        epoch,
        first,
        last,
        reason,
        "mailbox lost messages"
    );
}
