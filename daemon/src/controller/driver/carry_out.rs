//! What the engine asks for once the commit has returned: admissions, posts, answers.
//!
//! Refuses nothing: what a mailbox refuses is logged, counted by it, and repaired by a snapshot.

use super::Driver;
use postern_protocol::Reject;
use postern_protocol::controller::{Member, Output, Post, Withdrawn};
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::id::ChannelId;
use postern_protocol::message::Heartbeat;
use postern_protocol::revision::Generation;
use postern_relay::exchange::AdmittedDevice;
use postern_relay::mailbox::Posted;

impl Driver {
    pub(super) fn carry_out(&mut self, output: Output) {
        match output {
            Output::Persist(_) | Output::Wanted { .. } => {
                unreachable!("writes and wants were taken out before the commit")
            }
            Output::Admit {
                channel,
                incarnation,
                key,
                next,
            } => {
                let id = channel.id();
                let device = AdmittedDevice {
                    channel,
                    incarnation,
                    key,
                };
                let before = self.parts.directory.admit(device, next.map(|next| *next));
                if before.is_some_and(|before| before.incarnation != incarnation) {
                    self.parts.mailbox.remove(id);
                }
            }
            Output::Evict { channel } => {
                self.parts.directory.evict(channel);
                self.parts.mailbox.evict(channel);
                self.unacknowledged.remove(&channel);
            }
            Output::ActualHeld { channel, revision } => {
                self.parts.mailbox.set_actual_head(channel, revision);
                self.unacknowledged.insert(channel);
            }
            Output::PostBundle { steps } => {
                if let Some(newest) = steps.last() {
                    self.parts.relays.post_bundle(&newest.envelope);
                }
                if let Err(reject) = self.parts.mailbox.show_bundles(&steps) {
                    tracing::warn!(
                        reason = reject.as_str(),
                        "mailbox refused the bundle; devices get it from the next start on"
                    );
                }
            }
            Output::Post {
                channel,
                generation,
                post,
            } => {
                self.relay(channel, &post);
                // What is decided for a device whose key is revoked is about a life that ended: kept here, it would
                // stand in the way of the next one, whose numbers go on.
                if self.parts.directory.is_serving(channel) {
                    self.post(channel, generation, post);
                }
            }
            Output::Refill {
                ticket,
                channel,
                post,
                generation: _,
            } => self.parts.relays.refill(ticket, channel, post),
            Output::Answer { ticket, frame } => self.replies.settle_enrol(ticket, frame),
            Output::Event(event) => self.note(event),
        }
    }

    /// Hands a post to the relays of the channel's tenant.
    fn relay(&self, channel: ChannelId, post: &Post) {
        if self.parts.relays.is_empty() {
            return;
        }
        let engine = &self.parts.engine;
        let member = engine.member_of(channel).map(Member::channel);
        let mut withdrawn = engine.withdrawn().map(Withdrawn::channel);
        let names = member.or_else(|| withdrawn.find(|names| names.id() == channel));
        if let Some(names) = names {
            self.parts.relays.post(&names.tenant, channel, post);
        }
    }

    fn post(&mut self, channel: ChannelId, generation: Generation, post: Post) {
        let mailbox = &self.parts.mailbox;
        match post {
            Post::Delta { envelope } => {
                let posted = mailbox.post_delta(channel, generation, &envelope);
                self.check_chain(channel, posted);
            }
            Post::Snapshot { envelope, bodies } => {
                let bodies = bodies.into_iter().map(|(_, body)| body);
                let posted = mailbox.post_snapshot(channel, generation, &envelope, bodies);
                self.check_chain(channel, posted);
            }
            Post::ReportAck { envelope } => {
                log_refusal(channel, mailbox.post_report_ack(channel, &envelope));
            }
            Post::Heartbeat { envelope } => {
                let is_acknowledgement = self.unacknowledged.remove(&channel);
                let is_awaited = is_acknowledgement || echoes(&envelope);
                let posted = mailbox.post_heartbeat(channel, &envelope, is_awaited);
                log_refusal(channel, posted);
            }
            Post::Evidence { envelope } => {
                log_refusal(channel, mailbox.post_evidence(channel, &envelope));
            }
            Post::EnrolAnswer { envelope } => {
                log_refusal(channel, mailbox.post_enrol_answer(channel, &envelope));
            }
            // The directory beside this mailbox says the same.
            Post::Admission { .. } => {}
            Post::PlaneKey { envelope } => {
                log_refusal(channel, mailbox.post_plane_key(channel, &envelope));
            }
        }
    }

    /// Remembers that a chain has a gap or is long: its mailbox gets a snapshot.
    fn check_chain(&mut self, channel: ChannelId, posted: Result<Posted, Reject>) {
        let is_wanted = self.parts.mailbox.wants_snapshot(channel).is_some();
        if is_wanted || posted.is_err() {
            self.wants_snapshot.insert(channel);
        }
        log_refusal(channel, posted);
    }
}

fn log_refusal(channel: ChannelId, posted: Result<Posted, Reject>) {
    if let Err(reject) = posted {
        tracing::warn!(device = %channel, reason = reject.as_str(), "mailbox refused a post");
    }
}

/// Tells whether a heartbeat of ours answers a device's nonce.
fn echoes(envelope: &[u8]) -> bool {
    let payload = ReceivedEnvelope::parse(envelope).map(|received| received.unverified_payload());
    payload
        .and_then(Heartbeat::decode)
        .is_ok_and(|heartbeat| heartbeat.echo.is_some())
}
