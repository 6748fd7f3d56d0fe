//! Answers operators: turns requests into work for the engine's thread, and results into answers.
//!
//! Every request is answered by a task of its own, because a wait may last. Refuses to touch the
//! engine itself.

mod bundles;
mod decide;
mod file;
mod keep;
mod look;
mod wait;

use super::request::{OperatorRequest, Request};
use super::response::Response;
use crate::config::ControllerConfig;
use crate::controller::metrics::EventCounts;
use crate::controller::relays::Starter;
use crate::controller::work::Work;
use crate::exit::{CommandError, Exit};
use postern_protocol::Reject;
use postern_protocol::controller::Controller;
use postern_protocol::id::{DeviceName, Tenant, Thumbprint};
use postern_protocol::revision::Revision;
use postern_relay::server::Mailbox;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What is needed to answer operators.
#[derive(Debug, Clone)]
pub struct Desk {
    /// Where work for the engine goes.
    pub work: mpsc::Sender<Work>,
    /// Thumbprint of the genesis root key.
    pub root: Thumbprint,
    /// Thumbprint of the first recovery key.
    pub recovery: Thumbprint,
    /// The CA of the embedded mailbox for join lines, DER.
    pub tls_ca: Option<Vec<u8>>,
    /// The embedded mailbox: its key for join lines, its counters.
    pub mailbox: Mailbox,
    /// What happened, counted.
    pub counts: Arc<EventCounts>,
    /// The relays, started anew with each bundle.
    pub starter: Starter,
    /// What backups copy beside the store.
    pub config: Arc<ControllerConfig>,
}

impl Desk {
    /// Answers until nobody can ask any more.
    pub async fn run(self, mut requests: mpsc::Receiver<OperatorRequest>) {
        let desk = Arc::new(self);
        while let Some(OperatorRequest { request, mut reply }) = requests.recv().await {
            let desk = Arc::clone(&desk);
            let _task = tokio::spawn(async move {
                // An operator who went away ends the wait.
                let answer = tokio::select! {
                    () = reply.closed() => return,
                    answer = desk.answer(request) => answer,
                };
                let _gone = reply.send(answer.unwrap_or_else(Response::from));
            });
        }
    }

    async fn answer(&self, request: Request) -> Result<Response, CommandError> {
        match request {
            Request::Invite { target } => self.invite(target).await,
            Request::Withdraw { token, target } => self.withdraw(token, target).await,
            Request::Decide {
                target,
                changes,
                base,
            } => self.decide(target, changes, base).await,
            Request::Intend { target, path } => self.intend(target, path).await,
            Request::Recover { target, take } => self.recover(target, take).await,
            Request::Encrypt { target } => self.encrypt(target).await,
            Request::Remove { target } => self.remove(target).await,
            Request::Get { target, path } => self.values(target, path).await,
            Request::Actual { target, path } => self.actual(target, path).await,
            Request::Diff { target } => self.diff(target).await,
            Request::Evidence { target } => self.evidence(target).await,
            Request::Status { tenant, device } => self.status(tenant, device).await,
            Request::Wait {
                target,
                revision,
                timeout_ms,
            } => self.wait_applied(target, revision, timeout_ms).await,
            Request::WaitIntent {
                target,
                path,
                value,
                timeout_ms,
            } => self.wait_fired(target, path, value, timeout_ms).await,
            Request::Backup { file } => self.back_up(file).await,
            Request::Bundles { without_hearing } => self.take_bundles(without_hearing).await,
            Request::Settled { tenant } => self.settled(vec![tenant]).await,
            Request::Export { target } => self.export(target).await,
            Request::Import { frames, missing } => self.import(frames, missing).await,
            Request::Relays => Ok(self.relays()),
            Request::Metrics => self.metrics().await,
        }
    }

    async fn send<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<T>) -> Work,
    ) -> Result<T, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.work.send(make(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }

    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Controller) -> T + Send + 'static,
    ) -> Result<T, CommandError> {
        self.send(|reply| {
            Work::Read(Box::new(move |engine| {
                let _gone = reply.send(look(engine));
            }))
        })
        .await
    }
}

fn device_unknown(tenant: &Tenant, device: &DeviceName) -> CommandError {
    CommandError::new(
        Exit::Refused,
        "device-unknown",
        format!("tenant {tenant} has no device {device}"),
        format!(
            "list all devices with `postern status`, or invite it with `postern controller invite {device}`"
        ),
    )
}

fn base_changed(device: &DeviceName, now: Revision) -> CommandError {
    CommandError::new(
        Exit::Refused,
        "base-changed",
        format!(
            "somebody else decided for {device} in between: it stands at epoch {} seq {}",
            now.epoch.number(),
            now.seq.number()
        ),
        "look at the state and decide again; nothing was changed",
    )
}

fn refused(reject: Reject, tenant: &Tenant) -> CommandError {
    let next = if reject == Reject::KeyUnknown {
        format!("check --tenant; controller.toml must have [tenants.\"{tenant}\"]")
    } else if reject == Reject::DeltaRemoveAbsent {
        "look at the paths with `postern desired get`".into()
    } else if reject == Reject::PlaneKeyMissing {
        "the device bound no key for it: `postern device reset` there and join again; nothing was changed".into()
    } else if reject == Reject::SectionOversize {
        "spread the values over more sections: a section is what stands before a path's first /; nothing was changed".into()
    } else {
        "correct the request; nothing was changed".to_owned()
    };
    CommandError::refused(reject, &next)
}

fn stopping() -> CommandError {
    CommandError::unreachable(
        "controller-stopping",
        "the controller is stopping",
        "start it with `postern controller run` and ask again",
    )
}
