//! What an operator may ask, and how it is written as one JSON line.
//!
//! Refuses unknown members and names, so that a newer command never half-works with an older controller.

use super::fields;
use super::response::Response;
use postern_protocol::id::{DeviceName, Tenant, TokenId};
use postern_protocol::revision::Revision;
use postern_protocol::state::{Change, Path};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tokio::sync::oneshot;

/// A device of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The tenant.
    #[serde(with = "fields::text")]
    pub tenant: Tenant,
    /// The device.
    #[serde(with = "fields::text")]
    pub device: DeviceName,
}

/// Whose content counts where device and controller know different histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TakeSide {
    /// What the device holds.
    Device,
    /// What the controller decided since.
    Controller,
}

/// What an operator asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Take new bundles from the controller's folder.
    Bundles {
        /// True when a new writer key cannot wait for devices that were not heard.
        #[serde(default)]
        without_hearing: bool,
    },
    /// Say whether a new writer key would take nothing from devices unseen.
    Settled {
        /// Whose writer key.
        #[serde(with = "fields::text")]
        tenant: Tenant,
    },
    /// Open an invitation and give its join line.
    Invite {
        /// Whom.
        target: Target,
    },
    /// Take an unused invitation back.
    Withdraw {
        /// Which; absent: every unused one of the device.
        #[serde(default, with = "fields::maybe")]
        token: Option<TokenId>,
        /// Whose.
        target: Target,
    },
    /// Take changes as one decision.
    Decide {
        /// Whose.
        target: Target,
        /// The changes, at least one.
        #[serde(with = "fields::changes")]
        changes: Vec<Change>,
        /// The revision that they were made for; absent: whatever there is.
        #[serde(default, with = "fields::maybe_revision")]
        base: Option<Revision>,
    },
    /// Raise an intent by one.
    Intend {
        /// Whose.
        target: Target,
        /// `intent/` and the verb.
        #[serde(with = "fields::text")]
        path: Path,
    },
    /// Give the desired state, or the value of one path and all below it.
    Get {
        /// Whose.
        target: Target,
        /// The path; absent: everything.
        #[serde(default, with = "fields::maybe")]
        path: Option<Path>,
    },
    /// Give the actual state, or the value of one path and all below it.
    Actual {
        /// Whose.
        target: Target,
        /// The path; absent: everything.
        #[serde(default, with = "fields::maybe")]
        path: Option<Path>,
    },
    /// Compare desired and actual state.
    Diff {
        /// Whose.
        target: Target,
    },
    /// Give what a device proved against this controller.
    Evidence {
        /// Whose.
        target: Target,
    },
    /// Choose between the histories of device and controller.
    Recover {
        /// Whose.
        target: Target,
        /// Whose content counts.
        take: TakeSide,
    },
    /// Encrypt a device's planes, or rotate their keys.
    Encrypt {
        /// Whose.
        target: Target,
    },
    /// Remove a device.
    Remove {
        /// Whom.
        target: Target,
    },
    /// Give the status of devices.
    Status {
        /// Only this tenant's.
        #[serde(default, with = "fields::maybe")]
        tenant: Option<Tenant>,
        /// Only devices of this name.
        #[serde(default, with = "fields::maybe")]
        device: Option<DeviceName>,
    },
    /// Answer when the device applied this revision or a later one, or failed to.
    Wait {
        /// Whose.
        target: Target,
        /// The revision.
        #[serde(with = "fields::revision")]
        revision: Revision,
        /// Milliseconds after which the wait is given up.
        timeout_ms: u64,
    },
    /// Answer when the device carried out an intent at this value or a higher one.
    WaitIntent {
        /// Whose.
        target: Target,
        /// `intent/` and the verb.
        #[serde(with = "fields::text")]
        path: Path,
        /// The value.
        value: u64,
        /// Milliseconds after which the wait is given up.
        timeout_ms: u64,
    },
    /// Write a backup into a new file.
    Backup {
        /// The file, absolute.
        file: PathBuf,
    },
    /// Give the frames of a file for a device.
    Export {
        /// For whom.
        target: Target,
    },
    /// Take frames of a file, in order.
    Import {
        /// The frames, base64.
        frames: Vec<String>,
        /// Bodies that the frames before these left missing.
        missing: usize,
    },
    /// Say which relays are reached.
    Relays,
    /// Give counters and gauges as Prometheus text.
    Metrics,
}

/// A request on its way to the controller, and where the answer goes.
#[derive(Debug)]
pub struct OperatorRequest {
    /// What is asked.
    pub request: Request,
    /// Takes the one answer.
    pub reply: oneshot::Sender<Response>,
}

impl Request {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| error.to_string())
    }

    /// Writes one line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| {
            unreachable!("paths come from the command line and are UTF-8, all else is text")
        })
    }
}
