//! The relay as the server sees it: who is admitted, and where posts become durable.
//!
//! Everything is decided by the one thread of [`Durable`]; admission is read from what that thread
//! made durable last. Refuses to read what it carries, and to answer before the commit.

use super::driver::{Reply, Task};
use super::knocks::{Answer, Answered};
use super::limits::{ADMISSION_FRESH_MS, KNOCK_HOLD_MS_MAX};
use super::posts::Proof;
use super::{Durable, draw_epoch};
use crate::exchange::{AdmittedDevice, AdmittedMailbox, AdmittedWriter, Delivered, DeliveredItem};
use crate::mailbox::Chunk;
use crate::server::{Host, HostAnswer, Taken, after_ms};
use postern_protocol::Reject;
use postern_protocol::frame::{Direction, PlainFrame};
use postern_protocol::id::{ChannelId, MailboxId, Plane, TenantId};
use postern_protocol::revision::{ArrivalNumber, Knock, ReceiptNumber};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Serves devices and writers from durable mailboxes.
#[derive(Debug, Clone)]
pub struct RelayHost {
    durable: Arc<Durable>,
}

impl RelayHost {
    /// Serves what is kept there.
    #[must_use]
    pub const fn new(durable: Arc<Durable>) -> Self {
        Self { durable }
    }

    /// Hands a task of a channel's tenant to the thread and answers with what comes back. The task
    /// stands in the queue when this returns, so tasks keep the order in which they came.
    fn ask<T: Send + 'static>(
        &self,
        channel: ChannelId,
        bytes: usize,
        make: impl FnOnce(Reply<T>, Proof) -> Task,
    ) -> HostAnswer<T> {
        let submitted = self.submit(channel, bytes, make);
        Box::pin(async move {
            let answer = submitted?;
            answer.await.unwrap_or(Err(Reject::Overloaded))
        })
    }

    /// As [`Self::ask`], for a task of a tenant's writer.
    fn ask_for(
        &self,
        tenant: TenantId,
        bytes: usize,
        make: impl FnOnce(Reply<Delivered>) -> Task,
    ) -> HostAnswer<Delivered> {
        let (reply, answer) = oneshot::channel();
        let submitted = self.durable.shared().submit(tenant, bytes, make(reply));
        Box::pin(async move {
            submitted?;
            answer.await.unwrap_or(Err(Reject::Overloaded))
        })
    }

    /// Takes an enrol frame; a new one is shown to every writer.
    fn knock(&self, frame: Vec<u8>) -> Result<Answered, Reject> {
        let shared = self.durable.shared();
        let drawn = u64::from(u32::from_be_bytes(crate::server::random_bytes()?));
        let now_ms = shared.mailbox.clock().now_ms();
        let tenants = self.durable.ledger().tenants().len();
        let knocked = shared.knocks().take(&frame, drawn, tenants, now_ms);
        let (answered, knock) = knocked?;
        if let Some(knock) = knock {
            shared.submit_own(Task::Knock {
                knock,
                frame: Arc::from(frame),
            });
        }
        Ok(answered)
    }

    fn submit<T>(
        &self,
        channel: ChannelId,
        bytes: usize,
        make: impl FnOnce(Reply<T>, Proof) -> Task,
    ) -> Result<oneshot::Receiver<Result<T, Reject>>, Reject> {
        let (tenant, proof) = self.tenant_of(channel)?;
        let (reply, answer) = oneshot::channel();
        let task = make(reply, proof);
        self.durable.shared().submit(tenant, bytes, task)?;
        Ok(answer)
    }

    /// Whose channel it is, and whether the tag of a session stands for its device now: not just
    /// after a change of admission, when a session of before may have brought the frame.
    fn tenant_of(&self, channel: ChannelId) -> Result<(TenantId, Proof), Reject> {
        let shared = self.durable.shared();
        let now_ms = shared.mailbox.clock().now_ms();
        let ledger = self.durable.ledger();
        let admission = ledger.admitted(channel).ok_or(Reject::NotAdmitted)?;
        let changed_ms = ledger.changed_ms.get(&channel);
        let is_fresh = changed_ms.is_some_and(|at| now_ms.saturating_sub(*at) < ADMISSION_FRESH_MS);
        let proof = if is_fresh {
            Proof::Signature
        } else {
            Proof::Session
        };
        Ok((admission.tenant(), proof))
    }
}

impl Host for RelayHost {
    fn admitted(&self, channel: ChannelId) -> Vec<AdmittedDevice> {
        self.durable.ledger().devices(channel)
    }

    fn enrol(&self, frame: Vec<u8>) -> HostAnswer<Vec<u8>> {
        let knocked = self.knock(frame);
        Box::pin(async move {
            let mut answered = knocked?;
            let until = after_ms(KNOCK_HOLD_MS_MAX);
            let waited = tokio::time::timeout_at(until, answered.wait_for(Option::is_some)).await;
            match waited {
                Ok(Ok(answer)) => told(answer.as_ref()),
                // The same frame finds the same knock when it comes again.
                Ok(Err(_)) | Err(_) => Err(Reject::EnrolPending),
            }
        })
    }

    fn posted(
        &self,
        channel: ChannelId,
        plane: Option<Plane>,
        envelope: Vec<u8>,
    ) -> HostAnswer<Taken> {
        self.ask(channel, envelope.len(), |reply, proof| Task::Post {
            channel,
            plane,
            envelope,
            proof,
            reply,
        })
    }

    fn put(&self, channel: ChannelId, plane: Plane, chunks: Vec<Chunk>) -> HostAnswer<Taken> {
        let bytes = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        self.ask(channel, bytes, |reply, _| Task::Bodies {
            channel,
            plane,
            chunks,
            reply,
        })
    }

    fn heartbeat_wanted(&self, _channel: ChannelId) -> HostAnswer<()> {
        // A relay signs nothing in a writer's name; the newest one that it was given is shown.
        Box::pin(async { Ok(()) })
    }

    fn receipt_held(&self, channel: ChannelId, receipt: ReceiptNumber) {
        let Ok((tenant, _)) = self.tenant_of(channel) else {
            return;
        };
        let task = Task::Receipt { channel, receipt };
        // A word that is lost is said again: the next session is given the receipt once more.
        let _busy = self.durable.shared().submit(tenant, 0, task);
    }

    fn writers(&self, tenant: TenantId) -> Vec<AdmittedWriter> {
        let ledger = self.durable.ledger();
        let root = ledger.trust().root();
        let writer = ledger.writer(tenant);
        writer
            .map(|(name, _, key)| AdmittedWriter {
                root,
                tenant: name.clone(),
                key: key.clone(),
            })
            .into_iter()
            .collect()
    }

    fn unavailable_ms(&self) -> Option<u64> {
        self.durable.unavailable_ms()
    }

    fn mailboxes(&self, mailbox: MailboxId) -> Vec<AdmittedMailbox> {
        //= spec/relays.md#chains
        //# A mailbox MUST admit as a mailbox only a key that its bundle names and does not revoke, and not
        //# its own.
        let own = self.durable.shared().mailbox.thumbprint();
        let ledger = self.durable.ledger();
        let root = ledger.trust().root();
        let keys = ledger.mailboxes().filter(|key| {
            let thumbprint = key.thumbprint();
            thumbprint != own && MailboxId::of(root, thumbprint) == mailbox
        });
        let admitted = keys.map(|key| AdmittedMailbox {
            root,
            key: key.clone(),
        });
        admitted.collect()
    }

    fn carried(&self, items: Vec<DeliveredItem>) -> HostAnswer<Delivered> {
        let durable = Arc::clone(&self.durable);
        Box::pin(async move { Ok(durable.carry(items).await) })
    }

    fn carried_bodies(
        &self,
        channel: ChannelId,
        plane: Plane,
        chunks: Vec<Chunk>,
    ) -> HostAnswer<Delivered> {
        let durable = Arc::clone(&self.durable);
        Box::pin(async move {
            if plane != Plane::Actual {
                return Err(Reject::PlaneMismatch);
            }
            let taken = durable.put_bodies(channel, plane, chunks).await?;
            let wanted = taken.wanted.into_iter();
            Ok(Delivered {
                bodies_wanted: wanted.map(|one| (channel, plane, one)).collect(),
                ..Delivered::default()
            })
        })
    }

    fn read_to(&self, tenant: TenantId, arrival: ArrivalNumber) {
        // A word that is lost is said again by the next collect.
        let Some(drawn) = draw_epoch() else { return };
        let task = Task::Cursor {
            tenant,
            cursor: arrival.number(),
            drawn,
        };
        let _busy = self.durable.shared().submit(tenant, 0, task);
    }

    fn delivered(&self, tenant: TenantId, items: Vec<DeliveredItem>) -> HostAnswer<Delivered> {
        let bytes = items.iter().map(|item| item.envelope.len()).sum();
        self.ask_for(tenant, bytes, |reply| Task::Deliver {
            tenant,
            items,
            proof: Proof::Session,
            reply,
        })
    }

    fn delivered_bodies(
        &self,
        tenant: TenantId,
        channel: ChannelId,
        plane: Plane,
        chunks: Vec<Chunk>,
    ) -> HostAnswer<Delivered> {
        let bytes = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        self.ask_for(tenant, bytes, |reply| Task::DeliverBodies {
            tenant,
            channel,
            plane,
            chunks,
            reply,
        })
    }

    fn enrolled(&self, tenant: TenantId, knock: Knock, frame: Vec<u8>) -> HostAnswer<()> {
        let result = self.durable.answer_knock(tenant, knock, frame);
        Box::pin(async move { result })
    }
}

/// What the device is told. A refusal is this relay's own answer as far as it knows the code.
fn told(answer: Option<&Answer>) -> Result<Vec<u8>, Reject> {
    match answer {
        Some(Answer::Enrolled(frame)) => Ok(frame.clone()),
        Some(Answer::Refused(frame)) => match PlainFrame::decode(frame, Direction::Down) {
            Ok(PlainFrame::Refused { code, .. }) => match Reject::from_code(code.into()) {
                Some(reject) => Err(reject),
                None => Ok(frame.clone()),
            },
            Ok(_) | Err(_) => unreachable!("it was read as a refused frame when it was taken"),
        },
        None => Err(Reject::EnrolPending),
    }
}
