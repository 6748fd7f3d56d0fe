//! What a controller answers, and how it is written as one JSON line.
//!
//! The members are stable: programs read them from `--json` unchanged.

use super::device_status::{DeviceStatus, ResultJson};
use super::diff::Diff;
use super::request::TakeSide;
use crate::controller::backup::BackupJson;
use crate::exit::{CommandError, Exit};
use crate::filed::Row;
use postern_protocol::id::Digest;
use postern_protocol::revision::{Head, Revision};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A revision as JSON; epoch 0 and seq 0 mean none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RevisionJson {
    /// The writer's epoch.
    pub epoch: u64,
    /// The number within it.
    pub seq: u64,
}

impl From<Revision> for RevisionJson {
    fn from(revision: Revision) -> Self {
        Self {
            epoch: revision.epoch.number(),
            seq: revision.seq.number(),
        }
    }
}

/// A revision and the digest of the state there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadJson {
    /// The writer's epoch.
    pub epoch: u64,
    /// The number within it.
    pub seq: u64,
    /// Root digest, 64 hexadecimal digits.
    pub digest: String,
}

impl HeadJson {
    /// Puts revision and digest together.
    #[must_use]
    pub fn new(revision: Revision, digest: Digest) -> Self {
        Self {
            epoch: revision.epoch.number(),
            seq: revision.seq.number(),
            digest: digest.to_string(),
        }
    }
}

impl From<&Head> for HeadJson {
    fn from(head: &Head) -> Self {
        Self::new(head.revision, head.digest)
    }
}

/// One proof of a device against this controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceJson {
    /// `writer-behind` or `equivocation`.
    pub code: String,
    /// The head that the device holds, or the revision that has two contents.
    pub head: HeadJson,
    /// True when this controller's own key signed what it shows.
    pub proven: bool,
    /// The envelope, base64; `postern inspect` reads it.
    pub envelope: String,
}

/// Whether one relay is reached for one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkJson {
    /// Thumbprint of the relay's key.
    pub relay: String,
    /// The tenant.
    pub tenant: String,
    /// Whether a session is open now.
    pub connected: bool,
}

/// What a controller answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase", deny_unknown_fields)]
pub enum Response {
    /// The bundle that counts now.
    Bundles {
        /// Its number.
        bundle: u64,
    },
    /// The invitation is open.
    Invited {
        /// The join line, which holds a secret.
        join_line: String,
    },
    /// The decision is durable.
    Decided {
        /// The revision and digest after it.
        desired: HeadJson,
        /// False when nothing changed and no number was spent.
        changed: bool,
    },
    /// The desired state, or a part of it.
    Values {
        /// The revision and digest of the whole state.
        desired: HeadJson,
        /// Values by path.
        values: BTreeMap<String, serde_json::Value>,
    },
    /// Devices by tenant and name.
    Devices {
        /// The devices.
        devices: Vec<DeviceStatus>,
    },
    /// The revision that was waited for, or a later one, is applied.
    Applied {
        /// What is applied.
        applied: RevisionJson,
    },
    /// The application failed.
    Failed {
        /// What it said.
        result: ResultJson,
    },
    /// The actual state, or a part of it.
    Actual {
        /// The revision and digest of the whole state; absent when the device never wrote one.
        actual: Option<HeadJson>,
        /// True when it is not proven to be of the last minutes.
        stale: bool,
        /// Values by path.
        values: BTreeMap<String, serde_json::Value>,
    },
    /// How actual and desired state differ.
    Diff {
        /// The comparison.
        diff: Diff,
    },
    /// The intent is raised.
    Intended {
        /// Its value now.
        value: u64,
        /// The revision and digest with it.
        desired: HeadJson,
    },
    /// The device carried out the intent, or said why not.
    Fired {
        /// `finished`, or why it did not fire.
        outcome: String,
        /// Exit status of its action, where it finished and said so.
        status: Option<i64>,
        /// End of the action's output.
        output: String,
    },
    /// One history of a device counts again.
    Recovered {
        /// The epoch of the range that this controller did not hold.
        epoch: u64,
        /// Its first decision.
        first: u64,
        /// Its last decision.
        last: u64,
        /// Whose content counts.
        take: TakeSide,
    },
    /// What a device proved, oldest first.
    Evidence {
        /// The proofs.
        evidence: Vec<EvidenceJson>,
    },
    /// What was asked is done.
    Done,
    /// A backup is written.
    BackedUp {
        /// What it holds.
        backup: BackupJson,
    },
    /// A file for a device.
    Exported {
        /// The frames, base64, in order.
        frames: Vec<String>,
    },
    /// What became of frames of a file.
    Imported {
        /// One row for each frame.
        rows: Vec<Row>,
        /// Bodies that are still missing after the last.
        missing: usize,
    },
    /// Every relay and tenant.
    Relays {
        /// One for each relay and tenant.
        links: Vec<LinkJson>,
    },
    /// Counters and gauges as Prometheus text.
    Metrics {
        /// The text.
        text: String,
    },
    /// The request was refused or failed.
    Error {
        /// Exit status for the command, 1..=7.
        exit: u8,
        /// Stable name; a reject's own where there is one.
        name: String,
        /// What failed.
        message: String,
        /// What to do.
        next: String,
    },
}

impl From<CommandError> for Response {
    fn from(error: CommandError) -> Self {
        Self::Error {
            exit: error.exit.code(),
            name: error.name,
            message: error.message,
            next: error.next,
        }
    }
}

impl Response {
    /// Writes one line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| {
            unreachable!("the type has only text keys and serialisers that cannot fail")
        })
    }

    /// Reads one line.
    ///
    /// # Errors
    /// A [`CommandError`] when the other side is no controller of this version.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        serde_json::from_str(line).map_err(|error| {
            CommandError::failure(
                "answer-not-understood",
                format!("the controller's answer is not understood: {error}"),
                "use the same version of postern for the controller and for this command",
            )
        })
    }

    /// Turns an error answer into an error.
    ///
    /// # Errors
    /// The error that the controller answered.
    pub fn into_result(self) -> Result<Self, CommandError> {
        match self {
            Self::Error {
                exit,
                name,
                message,
                next,
            } => {
                let exit = Exit::ALL.into_iter().find(|known| known.code() == exit);
                Err(CommandError::new(
                    exit.unwrap_or(Exit::Failure),
                    name,
                    message,
                    next,
                ))
            }
            Self::Bundles { .. }
            | Self::Invited { .. }
            | Self::Decided { .. }
            | Self::Values { .. }
            | Self::Devices { .. }
            | Self::Applied { .. }
            | Self::Failed { .. }
            | Self::Actual { .. }
            | Self::Diff { .. }
            | Self::Intended { .. }
            | Self::Fired { .. }
            | Self::Recovered { .. }
            | Self::Evidence { .. }
            | Self::Done
            | Self::BackedUp { .. }
            | Self::Exported { .. }
            | Self::Imported { .. }
            | Self::Relays { .. }
            | Self::Metrics { .. } => Ok(self),
        }
    }
}
