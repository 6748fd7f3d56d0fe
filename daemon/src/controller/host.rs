//! What the embedded mailbox server asks of the controller: admit, enrol, take reports.
//!
//! Every call becomes a piece of work for the one thread that owns the engine, and is answered
//! only after that thread's commit. Admission is answered from a directory that the thread keeps.

use super::work::Work;
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, Plane};
use postern_relay::exchange::AdmittedDevice;
use postern_relay::server::{Host, HostAnswer};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{mpsc, oneshot};

/// Who may open a session: written by the driver, read by the server.
#[derive(Debug, Clone, Default)]
pub struct Directory(Arc<RwLock<BTreeMap<ChannelId, AdmittedDevice>>>);

impl Directory {
    /// Admits a device and returns the one that had its channel before.
    pub fn admit(&self, device: AdmittedDevice) -> Option<AdmittedDevice> {
        let mut devices = self.0.write().unwrap_or_else(PoisonError::into_inner);
        devices.insert(device.channel.id(), device)
    }

    fn find(&self, channel: ChannelId) -> Vec<AdmittedDevice> {
        let devices = self.0.read().unwrap_or_else(PoisonError::into_inner);
        devices.get(&channel).cloned().into_iter().collect()
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
        let work = self.work.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let sent = work.send(Work::Enrol { frame, reply }).await;
            sent.map_err(|_| Reject::Overloaded)?;
            answer.await.unwrap_or(Err(Reject::Overloaded))
        })
    }

    fn posted(
        &self,
        channel: ChannelId,
        _plane: Option<Plane>,
        envelope: Vec<u8>,
    ) -> HostAnswer<()> {
        let work = self.work.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let sent = work
                .send(Work::Posted {
                    channel,
                    envelope,
                    reply,
                })
                .await;
            sent.map_err(|_| Reject::Overloaded)?;
            answer.await.unwrap_or(Err(Reject::Overloaded))
        })
    }
}
