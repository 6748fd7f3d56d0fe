//! From work to the engine's inputs.
//!
//! What only this thread can decide without a gap is decided here: whether a decision still fits
//! the state that it was made for. Refuses to answer anything before the commit, but a refusal.

use super::super::replies::Reply;
use super::super::work::{Decided, LinkWork, NextBundle, Recovered, Refusal, Work};
use super::{Batch, Deferred, Driver};
use postern_protocol::Reject;
use postern_protocol::controller::{Input, Take};
use postern_protocol::frame::BodyChunk;
use postern_protocol::id::{ChannelId, DeviceName, Plane, Tenant};
use postern_protocol::revision::{BundleNumber, Revision};
use postern_protocol::state::Change;
use postern_relay::mailbox::Chunk;
use postern_relay::server::Taken;
use tokio::sync::oneshot;

impl Driver {
    /// Gives one piece of work to the engine. Returns true when it was the last.
    pub(super) fn take(&mut self, work: Work, batch: &mut Batch) -> bool {
        match work {
            Work::Stop => return true,
            Work::Timeout => self.feed(Input::Timeout, batch),
            Work::Read(read) => batch.deferred.push(Deferred::Read(read)),
            Work::Copy(reply) => batch.deferred.push(Deferred::Copy(reply)),
            Work::Wait {
                channel,
                awaited,
                reply,
            } => batch.deferred.push(Deferred::Wait(channel, awaited, reply)),
            Work::Posted {
                channel,
                envelope,
                is_live,
                reply,
            } => self.take_posted((channel, is_live), &envelope, reply, batch),
            Work::Export {
                tenant,
                device,
                reply,
            } => {
                let exported = self.export(&tenant, &device);
                batch.deferred.push(Deferred::Exported(reply, exported));
            }
            Work::Put {
                channel,
                plane,
                chunks,
                reply,
            } => self.take_put(channel, plane, &chunks, reply, batch),
            Work::HeartbeatWanted { channel, reply } => {
                self.feed(Input::HeartbeatWanted { channel }, batch);
                batch.deferred.push(Deferred::Done(reply));
            }
            Work::Enrol { frame, reply } => {
                let ticket = self.replies.ticket(Reply::Enrol(reply));
                let frame = frame.as_slice();
                self.feed(Input::Enrol { ticket, frame }, batch);
            }
            Work::Decide {
                tenant,
                device,
                changes,
                base,
                reply,
            } => self.take_decision((tenant, device), changes, base, reply, batch),
            Work::Bundle { next, reply } => self.take_bundle(*next, reply, batch),
            Work::Link(work) => self.take_link_work(work, batch),
            work @ (Work::Invite { .. }
            | Work::Withdraw { .. }
            | Work::Intend { .. }
            | Work::Encrypt { .. }
            | Work::Remove { .. }
            | Work::Resolve { .. }) => {
                if let Some(input) = self.operator_input(work) {
                    self.feed(input, batch);
                }
            }
        }
        false
    }

    /// Makes the input of a request that needs nothing but the engine.
    fn operator_input(&mut self, work: Work) -> Option<Input<'static>> {
        Some(match work {
            work @ (Work::Encrypt { .. } | Work::Remove { .. }) => return self.device_input(work),
            Work::Invite {
                tenant,
                device,
                token,
                secret,
                expires_unix_s,
                reply,
            } => Input::Invite {
                ticket: self.replies.ticket(Reply::Done(reply)),
                tenant,
                device,
                token,
                secret,
                expires_unix_s,
            },
            Work::Withdraw { token, reply } => {
                let ticket = self.replies.ticket(Reply::Done(reply));
                Input::Withdraw { ticket, token }
            }
            Work::Intend {
                tenant,
                device,
                path,
                reply,
            } => Input::Intend {
                ticket: self.replies.ticket(Reply::Intend { reply, value: None }),
                tenant,
                device,
                path,
            },
            Work::Resolve {
                tenant,
                device,
                take,
                reply,
            } => self.resolution((tenant, device), take, reply),
            Work::Decide { .. }
            | Work::Bundle { .. }
            | Work::Posted { .. }
            | Work::Export { .. }
            | Work::Put { .. }
            | Work::HeartbeatWanted { .. }
            | Work::Enrol { .. }
            | Work::Wait { .. }
            | Work::Link(_)
            | Work::Read(_)
            | Work::Copy(_)
            | Work::Timeout
            | Work::Stop => return None,
        })
    }

    fn take_link_work(&mut self, work: LinkWork, batch: &mut Batch) {
        match work {
            LinkWork::SnapshotWanted { channel } => {
                self.feed(Input::SnapshotWanted { channel }, batch);
            }
            LinkWork::Refill { link, channel } => {
                let ticket = self.replies.bare_ticket();
                self.parts.relays.note_refill(ticket, link, channel);
                self.feed(Input::Refill { ticket, channel }, batch);
            }
            LinkWork::Keep(writes) => batch.writes.extend(writes),
        }
    }

    fn resolution(
        &mut self,
        (tenant, device): (Tenant, DeviceName),
        take: Take,
        reply: oneshot::Sender<Result<Recovered, Reject>>,
    ) -> Input<'static> {
        Input::Resolve {
            ticket: self.replies.ticket(Reply::Resolve(reply)),
            tenant,
            device,
            take,
        }
    }

    /// Makes the input of a request that names a device and nothing else.
    fn device_input(&mut self, work: Work) -> Option<Input<'static>> {
        match work {
            Work::Encrypt {
                tenant,
                device,
                reply,
            } => Some(Input::Encrypt {
                ticket: self.replies.ticket(Reply::Done(reply)),
                tenant,
                device,
            }),
            Work::Remove {
                tenant,
                device,
                reply,
            } => Some(Input::Remove {
                ticket: self.replies.ticket(Reply::Done(reply)),
                tenant,
                device,
            }),
            Work::Invite { .. }
            | Work::Withdraw { .. }
            | Work::Intend { .. }
            | Work::Resolve { .. }
            | Work::Decide { .. }
            | Work::Bundle { .. }
            | Work::Posted { .. }
            | Work::Export { .. }
            | Work::Put { .. }
            | Work::HeartbeatWanted { .. }
            | Work::Enrol { .. }
            | Work::Wait { .. }
            | Work::Link(_)
            | Work::Read(_)
            | Work::Copy(_)
            | Work::Timeout
            | Work::Stop => None,
        }
    }

    /// Takes a decision, unless the state has moved since it was made.
    fn take_decision(
        &mut self,
        (tenant, device): (Tenant, DeviceName),
        changes: Vec<Change>,
        base: Option<Revision>,
        reply: oneshot::Sender<Result<Decided, Refusal>>,
        batch: &mut Batch,
    ) {
        let member = self.parts.engine.member(&tenant, &device);
        let now = member.map(|member| member.head().revision);
        if let (Some(base), Some(now)) = (base, now)
            && base != now
        {
            let _gone = reply.send(Err(Refusal::BaseChanged { now }));
            return;
        }
        let ticket = self.replies.ticket(Reply::Decide(reply));
        let input = Input::Decide {
            ticket,
            tenant,
            device,
            changes,
        };
        self.feed(input, batch);
    }

    /// Takes the next bundle under the keys that it names; one that is refused changes no key.
    fn take_bundle(
        &mut self,
        next: NextBundle,
        reply: oneshot::Sender<Result<BundleNumber, Reject>>,
        batch: &mut Batch,
    ) {
        let ticket = self.replies.ticket(Reply::Bundle(reply));
        let held = self.parts.engine.trust().number();
        let before = std::mem::replace(&mut self.parts.keys, next.writers);
        // The keys come first: whoever sees the new bundle asks for the new mailbox key.
        let place = batch.deferred.len();
        let envelope = next.envelope.as_slice();
        let input = Input::Bundle {
            ticket,
            envelope,
            is_urgent: next.is_urgent,
        };
        self.feed(input, batch);
        if self.parts.engine.trust().number() == held {
            self.parts.keys = before;
        } else {
            let keys = Deferred::MailboxKeys(next.mailboxes);
            batch.deferred.insert(place, keys);
        }
    }

    fn take_posted(
        &mut self,
        (channel, is_live): (ChannelId, bool),
        envelope: &[u8],
        reply: oneshot::Sender<Result<Taken, Reject>>,
        batch: &mut Batch,
    ) {
        let input = Input::Received {
            channel,
            envelope,
            is_live,
        };
        let result = self.feed_posted(input, batch);
        batch.deferred.push(Deferred::Taken(reply, result));
    }

    fn take_put(
        &mut self,
        channel: ChannelId,
        plane: Plane,
        chunks: &[Chunk],
        reply: oneshot::Sender<Result<Taken, Reject>>,
        batch: &mut Batch,
    ) {
        let chunks = chunks.iter().map(|chunk| BodyChunk {
            digest: chunk.digest,
            size: chunk.size,
            offset: chunk.offset,
            bytes: &chunk.bytes,
        });
        let chunks: Vec<BodyChunk<'_>> = chunks.collect();
        let input = Input::Put {
            channel,
            plane,
            chunks: &chunks,
        };
        let result = self.feed_posted(input, batch);
        batch.deferred.push(Deferred::Taken(reply, result));
    }
}
