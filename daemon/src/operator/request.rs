//! What an operator may ask, and how it is written as one JSON line.
//!
//! Refuses unknown members and names, so that a newer command never half-works with an older controller.

use super::response::Response;
use super::value;
use postern_protocol::id::{DeviceName, Tenant};
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::{Change, Path};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::sync::oneshot;

/// What an operator asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Open an invitation and give its join line.
    Invite {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
    },
    /// Take changes as one decision.
    Decide {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// The changes, at least one.
        changes: Vec<Change>,
        /// The revision that they were made for; absent: whatever there is.
        base: Option<Revision>,
    },
    /// Give the desired state, or the value of one path and all below it.
    Get {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// The path; absent: everything.
        path: Option<Path>,
    },
    /// Give the status of devices.
    Status {
        /// Only this tenant's.
        tenant: Option<Tenant>,
        /// Only devices of this name.
        device: Option<DeviceName>,
    },
    /// Answer when the device applied this revision or a later one, or failed to.
    Wait {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// The revision.
        revision: Revision,
        /// Milliseconds after which the wait is given up.
        timeout_ms: u64,
    },
}

/// A request on its way to the controller, and where the answer goes.
#[derive(Debug)]
pub struct OperatorRequest {
    /// What is asked.
    pub request: Request,
    /// Takes the one answer.
    pub reply: oneshot::Sender<Response>,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum Raw {
    Invite {
        tenant: String,
        device: String,
    },
    Decide {
        tenant: String,
        device: String,
        changes: Vec<RawChange>,
        base: Option<RawRevision>,
    },
    Get {
        tenant: String,
        device: String,
        path: Option<String>,
    },
    Status {
        tenant: Option<String>,
        device: Option<String>,
    },
    Wait {
        tenant: String,
        device: String,
        epoch: u64,
        seq: u64,
        timeout_ms: u64,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRevision {
    epoch: u64,
    seq: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum RawChange {
    Set(String, Json),
    Remove(String),
}

impl Request {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(line: &str) -> Result<Self, String> {
        let raw: Raw = serde_json::from_str(line).map_err(|error| error.to_string())?;
        Ok(match raw {
            Raw::Invite { tenant, device } => Self::Invite {
                tenant: parse_tenant(&tenant)?,
                device: parse_device(&device)?,
            },
            Raw::Decide {
                tenant,
                device,
                changes,
                base,
            } => Self::Decide {
                tenant: parse_tenant(&tenant)?,
                device: parse_device(&device)?,
                changes: changes.iter().map(parse_change).collect::<Result<_, _>>()?,
                base: base.map(|raw| Revision::new(Epoch::new(raw.epoch), Seq::new(raw.seq))),
            },
            Raw::Get {
                tenant,
                device,
                path,
            } => Self::Get {
                tenant: parse_tenant(&tenant)?,
                device: parse_device(&device)?,
                path: path.as_deref().map(parse_path).transpose()?,
            },
            Raw::Status { tenant, device } => Self::Status {
                tenant: tenant.as_deref().map(parse_tenant).transpose()?,
                device: device.as_deref().map(parse_device).transpose()?,
            },
            Raw::Wait {
                tenant,
                device,
                epoch,
                seq,
                timeout_ms,
            } => Self::Wait {
                tenant: parse_tenant(&tenant)?,
                device: parse_device(&device)?,
                revision: Revision::new(Epoch::new(epoch), Seq::new(seq)),
                timeout_ms,
            },
        })
    }

    /// Writes one line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let json = match self {
            Self::Invite { tenant, device } => {
                json!({ "op": "invite", "tenant": tenant.as_str(), "device": device.as_str() })
            }
            Self::Decide {
                tenant,
                device,
                changes,
                base,
            } => json!({
                "op": "decide",
                "tenant": tenant.as_str(),
                "device": device.as_str(),
                "changes": changes.iter().map(change_to_json).collect::<Vec<_>>(),
                "base": base.map(|base| json!({ "epoch": base.epoch.number(), "seq": base.seq.number() })),
            }),
            Self::Get {
                tenant,
                device,
                path,
            } => json!({
                "op": "get",
                "tenant": tenant.as_str(),
                "device": device.as_str(),
                "path": path.as_ref().map(Path::as_str),
            }),
            Self::Status { tenant, device } => json!({
                "op": "status",
                "tenant": tenant.as_ref().map(Tenant::as_str),
                "device": device.as_ref().map(DeviceName::as_str),
            }),
            Self::Wait {
                tenant,
                device,
                revision,
                timeout_ms,
            } => json!({
                "op": "wait",
                "tenant": tenant.as_str(),
                "device": device.as_str(),
                "epoch": revision.epoch.number(),
                "seq": revision.seq.number(),
                "timeout_ms": timeout_ms,
            }),
        };
        json.to_string()
    }
}

fn change_to_json(change: &Change) -> Json {
    match change {
        Change::Set(path, set) => json!({ "set": [path.as_str(), value::to_json(set)] }),
        Change::Remove(path) => json!({ "remove": path.as_str() }),
    }
}

fn parse_change(raw: &RawChange) -> Result<Change, String> {
    match raw {
        RawChange::Set(path, json) => {
            let set = value::from_json(json).map_err(|reason| format!("{path}: {reason}"))?;
            Ok(Change::Set(parse_path(path)?, set))
        }
        RawChange::Remove(path) => parse_path(path).map(Change::Remove),
    }
}

fn parse_tenant(text: &str) -> Result<Tenant, String> {
    Tenant::parse(text).map_err(|reject| format!("tenant \"{text}\": {}", reject.sentence()))
}

fn parse_device(text: &str) -> Result<DeviceName, String> {
    DeviceName::parse(text).map_err(|reject| format!("device \"{text}\": {}", reject.sentence()))
}

fn parse_path(text: &str) -> Result<Path, String> {
    Path::parse(text).map_err(|reject| format!("path \"{text}\": {}", reject.sentence()))
}
