//! What a controller answers, and how it is written as one JSON line.
//!
//! The members are stable: programs read them from `--json` unchanged.

use crate::exit::{CommandError, Exit};
use postern_protocol::controller::Member;
use postern_protocol::id::Digest;
use postern_protocol::kind::MessageKind;
use postern_protocol::message::Report;
use postern_protocol::revision::Revision;
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

/// An envelope that a device refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectJson {
    /// The envelope's kind: its name, or its number where this program knows none.
    pub kind: String,
    /// The claimed epoch.
    pub epoch: u64,
    /// The claimed number.
    pub seq: u64,
    /// The reject: its name, or its number where this program knows none.
    pub reason: String,
}

/// What an application said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultJson {
    /// The epoch.
    pub epoch: u64,
    /// The number.
    pub seq: u64,
    /// Exit status, 0 for success.
    pub status: i64,
    /// End of its output.
    pub output: String,
}

/// One device as the controller knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// The device.
    pub name: String,
    /// Its tenant.
    pub tenant: String,
    /// True once its key is confirmed.
    pub enrolled: bool,
    /// What it should be.
    pub desired: HeadJson,
    /// Newest revision that reached it.
    pub received: RevisionJson,
    /// Newest revision that it verified and stored.
    pub accepted: RevisionJson,
    /// Newest revision that its application took.
    pub applied: RevisionJson,
    /// Root digest there, absent when nothing is applied.
    pub applied_digest: Option<String>,
    /// True when it applied exactly the desired state.
    pub converged: bool,
    /// Envelopes that it refused, newest last, at most 16.
    pub rejects: Vec<RejectJson>,
    /// Results of its application, newest last, at most 16.
    pub results: Vec<ResultJson>,
}

impl DeviceStatus {
    /// Describes a member.
    #[must_use]
    pub fn of(member: &Member) -> Self {
        let held = member.report();
        let report = held.map(|held| &held.report);
        let cursor = |pick: fn(&Report) -> Revision| report.map_or(Revision::NONE, pick).into();
        Self {
            name: member.channel().device.to_string(),
            tenant: member.channel().tenant.to_string(),
            enrolled: member.is_enrolled(),
            desired: HeadJson::new(member.head().revision, member.head().digest),
            received: cursor(|report| report.received),
            accepted: cursor(|report| report.accepted),
            applied: cursor(|report| report.applied),
            applied_digest: held
                .and_then(|held| held.applied_digest)
                .map(|digest| digest.to_string()),
            converged: member.is_converged(),
            rejects: report.map(rejects_of).unwrap_or_default(),
            results: report.map(results_of).unwrap_or_default(),
        }
    }
}

fn rejects_of(report: &Report) -> Vec<RejectJson> {
    let describe = |note: &postern_protocol::message::RejectNote| RejectJson {
        kind: MessageKind::from_number(note.kind)
            .map_or_else(|_| note.kind.to_string(), |kind| kind.as_str().to_owned()),
        epoch: note.revision.epoch.number(),
        seq: note.revision.seq.number(),
        reason: note.reject().map_or_else(
            || note.code.to_string(),
            |reject| reject.as_str().to_owned(),
        ),
    };
    report.lists.rejects().iter().map(describe).collect()
}

fn results_of(report: &Report) -> Vec<ResultJson> {
    let describe = |note: &postern_protocol::message::ResultNote| ResultJson {
        epoch: note.revision.epoch.number(),
        seq: note.revision.seq.number(),
        status: note.status,
        output: note.output.clone(),
    };
    report.lists.results().iter().map(describe).collect()
}

/// What a controller answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase", deny_unknown_fields)]
pub enum Response {
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
            Self::Invited { .. }
            | Self::Decided { .. }
            | Self::Values { .. }
            | Self::Devices { .. }
            | Self::Applied { .. }
            | Self::Failed { .. } => Ok(self),
        }
    }
}
