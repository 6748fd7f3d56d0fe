//! Answers operators: turns requests into work for the engine's thread, and results into answers.
//!
//! Every request is answered by a task of its own, because a wait may last. Refuses to touch the
//! engine itself.

use super::request::{OperatorRequest, Request};
use super::response::{DeviceStatus, HeadJson, Response, ResultJson};
use super::value;
use crate::controller::waiting::{Awaited, WaitEnd};
use crate::controller::work::{Refusal, Work};
use crate::exit::{CommandError, Exit};
use crate::random::OsRandom;
use postern_protocol::Reject;
use postern_protocol::context::draw;
use postern_protocol::controller::{Controller, Member};
use postern_protocol::enrol::JoinSecret;
use postern_protocol::id::{Channel, DeviceName, Tenant, Thumbprint, TokenId};
use postern_protocol::join_line::JoinLine;
use postern_protocol::revision::Revision;
use postern_protocol::state::{Change, Path};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What is needed to answer operators.
#[derive(Debug, Clone)]
pub struct Desk {
    /// Where work for the engine goes.
    pub work: mpsc::Sender<Work>,
    /// URLs for join lines.
    pub urls: Vec<String>,
    /// Thumbprint of the genesis root key.
    pub root: Thumbprint,
    /// Thumbprint of the first recovery key.
    pub recovery: Thumbprint,
    /// The CA for join lines, DER.
    pub tls_ca: Option<Vec<u8>>,
    /// Thumbprint of the embedded mailbox's key.
    pub mailbox: Thumbprint,
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
            Request::Invite { tenant, device } => self.invite(tenant, device).await,
            Request::Decide {
                tenant,
                device,
                changes,
                base,
            } => self.decide(tenant, device, changes, base).await,
            Request::Get {
                tenant,
                device,
                path,
            } => self.values(tenant, device, path).await,
            Request::Status { tenant, device } => self.status(tenant, device).await,
            Request::Wait {
                tenant,
                device,
                revision,
                timeout_ms,
            } => self.wait(tenant, device, revision, timeout_ms).await,
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

    async fn invite(&self, tenant: Tenant, device: DeviceName) -> Result<Response, CommandError> {
        let line = JoinLine {
            urls: self.urls.clone(),
            root: self.root,
            recovery: self.recovery,
            tenant: tenant.clone(),
            device: device.clone(),
            token: TokenId::from_bytes(draw(&mut OsRandom)),
            secret: JoinSecret::from_bytes(draw(&mut OsRandom)),
            tls_ca: self.tls_ca.clone(),
            mailbox: Some(self.mailbox),
        };
        let text = line.danger_text().map_err(|error| {
            CommandError::configuration(
                "join-line-refused",
                error.to_string(),
                "use fewer urls or a smaller CA certificate in controller.toml",
            )
        })?;
        let (token, secret) = (line.token, line.secret.clone());
        let invited = self
            .send(|reply| Work::Invite {
                tenant: tenant.clone(),
                device,
                token,
                secret,
                expires_unix_s: None,
                reply,
            })
            .await?;
        invited.map_err(|reject| refused(reject, &tenant))?;
        Ok(Response::Invited {
            join_line: text.as_str().to_owned(),
        })
    }

    async fn decide(
        &self,
        tenant: Tenant,
        device: DeviceName,
        changes: Vec<Change>,
        base: Option<Revision>,
    ) -> Result<Response, CommandError> {
        let (who, named) = (tenant.clone(), device.clone());
        let decided = self
            .send(|reply| Work::Decide {
                tenant: who,
                device,
                changes,
                base,
                reply,
            })
            .await?
            .map_err(|refusal| match refusal {
                Refusal::Reject(Reject::NotAdmitted) => device_unknown(&tenant, &named),
                Refusal::Reject(reject) => refused(reject, &tenant),
                Refusal::BaseChanged { now } => base_changed(&named, now),
            })?;
        Ok(Response::Decided {
            desired: HeadJson::new(decided.revision, decided.digest),
            changed: decided.is_change,
        })
    }

    async fn values(
        &self,
        tenant: Tenant,
        device: DeviceName,
        path: Option<Path>,
    ) -> Result<Response, CommandError> {
        let unknown = device_unknown(&tenant, &device);
        let found = self
            .read(move |engine| {
                engine
                    .member(&tenant, &device)
                    .map(|member| select(member, path.as_ref()))
            })
            .await?;
        found.ok_or(unknown)
    }

    async fn status(
        &self,
        tenant: Option<Tenant>,
        device: Option<DeviceName>,
    ) -> Result<Response, CommandError> {
        let named = device.clone();
        let mut devices = self
            .read(move |engine| {
                let wanted = engine.members().filter(|member| {
                    let channel = member.channel();
                    tenant
                        .as_ref()
                        .is_none_or(|tenant| *tenant == channel.tenant)
                        && device
                            .as_ref()
                            .is_none_or(|device| *device == channel.device)
                });
                wanted.map(DeviceStatus::of).collect::<Vec<_>>()
            })
            .await?;
        if let (Some(name), true) = (named, devices.is_empty()) {
            return Err(CommandError::new(
                Exit::Refused,
                "device-unknown",
                format!("no device is called {name}"),
                "list all devices with `postern status`",
            ));
        }
        devices
            .sort_by(|left, right| (&left.tenant, &left.name).cmp(&(&right.tenant, &right.name)));
        Ok(Response::Devices { devices })
    }

    async fn wait(
        &self,
        tenant: Tenant,
        device: DeviceName,
        revision: Revision,
        timeout_ms: u64,
    ) -> Result<Response, CommandError> {
        let name = device.to_string();
        let channel = Channel {
            root: self.root,
            tenant,
            device,
        }
        .id();
        let waiting = self.send(|reply| Work::Wait {
            channel,
            awaited: Awaited::Applied(revision),
            reply,
        });
        let timeout = Duration::from_millis(timeout_ms);
        match tokio::time::timeout(timeout, waiting).await {
            Ok(Ok(WaitEnd::Applied(applied))) => Ok(Response::Applied {
                applied: applied.into(),
            }),
            Ok(Ok(WaitEnd::Failed(note))) => Ok(Response::Failed {
                result: ResultJson {
                    epoch: note.revision.epoch.number(),
                    seq: note.revision.seq.number(),
                    status: note.status,
                    output: note.output,
                },
            }),
            Ok(Ok(WaitEnd::Fired(_))) => Err(stopping()),
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Err(CommandError::new(
                Exit::TimedOut,
                "wait-timed-out",
                format!(
                    "{name} did not report the revision as applied within {} s",
                    timeout_ms.div_ceil(1_000)
                ),
                format!("the decision stands; look at `postern status {name}`"),
            )),
        }
    }
}

fn select(member: &Member, path: Option<&Path>) -> Response {
    let below = path.map(|path| format!("{path}/"));
    let is_wanted = |found: &Path| match (path, &below) {
        (Some(path), Some(below)) => found == path || found.as_str().starts_with(below),
        (None, _) | (_, None) => true,
    };
    let entries = member
        .desired()
        .iter()
        .filter(|(found, _)| is_wanted(found));
    Response::Values {
        desired: HeadJson::new(member.head().revision, member.head().digest),
        values: entries
            .map(|(found, set)| (found.to_string(), value::to_json(set)))
            .collect(),
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
