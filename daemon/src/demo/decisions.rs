//! What the demo asks of its controller, over the same socket as `postern desired` and `postern status`.
//!
//! Each question has a connection of its own and is asked on a thread that may block. Refuses to
//! know the engine: an operator could do all of this.

use crate::exit::CommandError;
use crate::operator::client::{Client, unexpected};
use crate::operator::{DeviceStatus, Request, Response, Target};
use postern_protocol::id::{DeviceName, Tenant};
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::{Change, Path, Value};
use std::path::PathBuf;

/// Milliseconds within which a device must have applied a decision. Arbitrary: 100 documents take
/// a second on an idle disk, and much longer on one that everybody writes to.
const APPLIED_MS_MAX: u64 = 60_000;

/// A revision and the digest of the state there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The writer's epoch.
    pub(super) epoch: u64,
    /// The number within it.
    pub(super) seq: u64,
    /// Root digest, 64 hexadecimal digits; empty when nothing is there.
    pub(super) digest: String,
}

/// The operator of the demo's controller.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    /// The controller's folder.
    dir: PathBuf,
    tenant: Tenant,
}

impl Operator {
    /// Makes the operator of the controller in `dir`.
    pub(super) const fn new(dir: PathBuf, tenant: Tenant) -> Self {
        Self { dir, tenant }
    }

    /// Sets texts at paths as one decision.
    ///
    /// # Errors
    /// A path that is none, a refusal of the controller.
    pub(super) async fn set(
        &self,
        device: &DeviceName,
        values: &[(String, String)],
    ) -> Result<Head, CommandError> {
        let changes = values
            .iter()
            .map(|(path, text)| Ok(Change::Set(Path::parse(path)?, Value::Text(text.clone()))))
            .collect::<Result<Vec<_>, postern_protocol::Reject>>()
            .map_err(|reject| {
                CommandError::failure(reject.as_str(), reject.sentence(), "report this")
            })?;
        let (tenant, device) = (self.tenant.clone(), device.clone());
        let request = Request::Decide {
            target: Target { tenant, device },
            changes,
            base: None,
        };
        let Response::Decided { desired, .. } = self.ask(request).await? else {
            return Err(unexpected());
        };
        Ok(Head {
            epoch: desired.epoch,
            seq: desired.seq,
            digest: desired.digest,
        })
    }

    /// Returns when the device reported the revision, or a later one, as applied.
    ///
    /// # Errors
    /// The device did not, or its application failed.
    pub(super) async fn applied(
        &self,
        device: &DeviceName,
        head: &Head,
    ) -> Result<(), CommandError> {
        let revision = Revision::new(Epoch::new(head.epoch), Seq::new(head.seq));
        let (tenant, device) = (self.tenant.clone(), device.clone());
        let wait = Request::Wait {
            target: Target { tenant, device },
            revision,
            timeout_ms: APPLIED_MS_MAX,
        };
        let answer = self.ask(wait).await?;
        if let Response::Applied { .. } = answer {
            return Ok(());
        }
        let Response::Failed { result } = answer else {
            return Err(unexpected());
        };
        Err(CommandError::failure(
            "application-failed",
            format!(
                "the application ended with {}: {}",
                result.status, result.output
            ),
            "report this",
        ))
    }

    /// Returns what the controller knows of all devices, by name.
    ///
    /// # Errors
    /// The controller is not there.
    pub(super) async fn devices(&self) -> Result<Vec<DeviceStatus>, CommandError> {
        let tenant = Some(self.tenant.clone());
        let request = Request::Status {
            tenant,
            device: None,
        };
        let Response::Devices { devices } = self.ask(request).await? else {
            return Err(unexpected());
        };
        Ok(devices)
    }

    async fn ask(&self, request: Request) -> Result<Response, CommandError> {
        let dir = self.dir.clone();
        let asked = tokio::task::spawn_blocking(move || Client::connect(&dir)?.ask(&request));
        asked.await.unwrap_or_else(|error| {
            Err(CommandError::failure(
                "demo-thread",
                error.to_string(),
                "report this",
            ))
        })
    }
}
