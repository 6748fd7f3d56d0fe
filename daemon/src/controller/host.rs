//! What the embedded mailbox server asks of the controller: admit, enrol, take what devices post.
//!
//! Every call becomes a piece of work for the one thread that owns the engine, and is answered
//! only after that thread's commit. Admission is answered from a directory that the thread keeps.

use super::work::Work;
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, Plane};
use postern_protocol::key::PublicKey;
use postern_relay::exchange::AdmittedDevice;
use postern_relay::mailbox::Chunk;
use postern_relay::server::{Host, HostAnswer, Taken};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{mpsc, oneshot};

/// Who may open a session: written by the driver, read by the server.
#[derive(Debug, Clone, Default)]
pub struct Directory(Arc<RwLock<BTreeMap<ChannelId, Entry>>>);

/// One device that may open a session, under its key or under the next one.
#[derive(Debug, Clone)]
struct Entry {
    device: AdmittedDevice,
    next: Option<PublicKey>,
}

impl Directory {
    /// Admits a device, also under its `next` key while that is not yet the only one. Returns the
    /// device that had its channel before.
    pub fn admit(&self, device: AdmittedDevice, next: Option<PublicKey>) -> Option<AdmittedDevice> {
        let mut devices = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = devices.insert(device.channel.id(), Entry { device, next });
        before.map(|entry| entry.device)
    }

    /// Admits nobody to this channel any more.
    pub fn evict(&self, channel: ChannelId) {
        let mut devices = self.0.write().unwrap_or_else(PoisonError::into_inner);
        devices.remove(&channel);
    }

    /// Tells whether anybody may open a session of this channel.
    #[must_use]
    pub fn is_serving(&self, channel: ChannelId) -> bool {
        let devices = self.0.read().unwrap_or_else(PoisonError::into_inner);
        devices.contains_key(&channel)
    }

    fn find(&self, channel: ChannelId) -> Vec<AdmittedDevice> {
        let devices = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Entry { device, next }) = devices.get(&channel) else {
            return Vec::new();
        };
        let next = next.iter().map(|key| AdmittedDevice {
            key: key.clone(),
            ..device.clone()
        });
        std::iter::once(device.clone()).chain(next).collect()
    }
}

/// The controller as the server sees it.
#[derive(Debug)]
pub struct ControllerHost {
    /// Who is admitted.
    pub directory: Directory,
    /// Where work goes.
    pub work: mpsc::Sender<Work>,
}

impl Host for ControllerHost {
    fn admitted(&self, channel: ChannelId) -> Vec<AdmittedDevice> {
        self.directory.find(channel)
    }

    fn enrol(&self, frame: Vec<u8>) -> HostAnswer<Vec<u8>> {
        self.ask(move |reply| Work::Enrol { frame, reply })
    }

    fn posted(
        &self,
        channel: ChannelId,
        _plane: Option<Plane>,
        envelope: Vec<u8>,
    ) -> HostAnswer<Taken> {
        self.ask(move |reply| Work::Posted {
            channel,
            envelope,
            is_live: true,
            reply,
        })
    }

    fn put(&self, channel: ChannelId, plane: Plane, chunks: Vec<Chunk>) -> HostAnswer<Taken> {
        self.ask(move |reply| Work::Put {
            channel,
            plane,
            chunks,
            reply,
        })
    }

    fn heartbeat_wanted(&self, channel: ChannelId) -> HostAnswer<()> {
        self.ask(move |reply| Work::HeartbeatWanted { channel, reply })
    }
}

impl ControllerHost {
    /// Hands work to the engine's thread and answers with what comes back.
    fn ask<T: Send + 'static>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, Reject>>) -> Work + Send + 'static,
    ) -> HostAnswer<T> {
        let work = self.work.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let sent = work.send(make(reply)).await;
            sent.map_err(|_| Reject::Overloaded)?;
            answer.await.unwrap_or(Err(Reject::Overloaded))
        })
    }
}
