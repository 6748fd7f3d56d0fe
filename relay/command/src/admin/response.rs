//! What a relay answers, and how it is written as one JSON line.
//!
//! The members are stable: programs read them from `--json` unchanged.

use crate::audit::End;
use crate::config::Change;
use crate::drain::Phase;
use crate::health::Check;
use crate::operable::{MailboxStanding, Quota, SessionStanding, Standing, TenantStanding};
use postern_console::exit::{CommandError, Exit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a drain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainStanding {
    /// Where it stands.
    pub phase: Phase,
    /// Held polls that were answered so far.
    pub told: u64,
    /// Milliseconds until it is over.
    pub left_ms: u64,
}

/// How the relay is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Process id.
    pub pid: u32,
    /// Where devices and controllers connect.
    pub listen: String,
    /// URLs of the relay line.
    pub urls: Vec<String>,
    /// True when `/readyz` says so.
    pub is_ready: bool,
    /// What `/readyz` looks at.
    pub checks: Vec<Check>,
    /// The drain; absent while there is none.
    pub drain: Option<DrainStanding>,
    /// The numbers.
    pub relay: Standing,
    /// Where the audit log ends.
    pub audit: End,
}

/// What a relay answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Response {
    /// How the relay is.
    Status {
        /// The status.
        status: Box<Status>,
    },
    /// Tenants by name.
    Tenants {
        /// The tenants.
        tenants: Vec<TenantStanding>,
    },
    /// Mailboxes by channel id.
    Mailboxes {
        /// The mailboxes.
        mailboxes: Vec<MailboxStanding>,
        /// Ask for those behind this channel id; absent: these are all.
        next: Option<String>,
    },
    /// Sessions by tenant and device.
    Sessions {
        /// The sessions, at most 1,000.
        sessions: Vec<SessionStanding>,
    },
    /// What a tenant may use.
    Quota {
        /// Whose.
        tenant: String,
        /// The quota.
        quota: Quota,
    },
    /// Sessions were ended.
    Disconnected {
        /// How many.
        sessions: u64,
    },
    /// What counts now.
    Limits {
        /// Keys and values.
        limits: BTreeMap<String, String>,
    },
    /// Counters and gauges.
    Metrics {
        /// Prometheus text.
        text: String,
    },
    /// The relay drains.
    Draining {
        /// How far it is.
        drain: DrainStanding,
    },
    /// The relay takes devices.
    Undrained {
        /// False when it did so before.
        changed: bool,
    },
    /// The configuration was read again.
    Reloaded {
        /// What counts now.
        changed: Vec<Change>,
        /// What counts at the next start.
        needs_restart: Vec<Change>,
        /// True when the certificate was read again.
        certificate: bool,
    },
    /// The next process is ready; this one lets devices go and then hands over.
    Upgrading {
        /// Process id of the next one.
        pid: u32,
        /// How far the drain before it is.
        drain: DrainStanding,
    },
    /// The request failed; nothing has changed.
    Error {
        /// Stable name.
        name: String,
        /// What failed.
        message: String,
        /// What to do.
        next: String,
        /// The exit status of the command, 1..=7.
        exit: u8,
    },
}

impl Response {
    /// Writes the answer as one line without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// An answer of another version.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        serde_json::from_str(text).map_err(|error| {
            CommandError::failure(
                "answer-malformed",
                format!("the relay's answer cannot be read: {error}"),
                "use the same version of postern-relay for the relay and for this command",
            )
        })
    }

    /// Returns the answer, or the error that it is.
    ///
    /// # Errors
    /// The one that the relay answered.
    pub fn into_result(self) -> Result<Self, CommandError> {
        let Self::Error {
            name,
            message,
            next,
            exit,
        } = self
        else {
            return Ok(self);
        };
        let known = Exit::ALL.into_iter().find(|known| known.code() == exit);
        let exit = known.unwrap_or(Exit::Failure);
        Err(CommandError::new(exit, name, message, next))
    }
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
