//! The relay as the server sees it: who is admitted, and where posts become durable.
//!
//! Everything is decided by the one thread of [`Durable`]; admission is read from what that thread
//! made durable last. Refuses to read what it carries, and to answer before the commit.

use super::driver::{Reply, Task};
use super::posts::Proof;
use super::{Durable, limits::ADMISSION_FRESH_MS};
use crate::exchange::AdmittedDevice;
use crate::mailbox::Chunk;
use crate::server::{Host, HostAnswer, Taken};
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, Plane, TenantId};
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

    fn enrol(&self, _frame: Vec<u8>) -> HostAnswer<Vec<u8>> {
        Box::pin(async { Err(Reject::NotAdmitted) })
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
}
