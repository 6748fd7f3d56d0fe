//! What an operator may ask, and how it is written as one JSON line.
//!
//! Refuses unknown members and names, so that a newer command never half-works with an older relay.

use serde::{Deserialize, Serialize};

/// What an operator asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Give the status of the relay.
    Status {},
    /// Give all tenants.
    Tenants {},
    /// Give a page of mailboxes.
    Mailboxes {
        /// Only this tenant's.
        #[serde(default)]
        tenant: Option<String>,
        /// Behind this channel id.
        #[serde(default)]
        after: Option<String>,
    },
    /// Give a page of sessions.
    Sessions {
        /// Only this tenant's.
        #[serde(default)]
        tenant: Option<String>,
    },
    /// Give a tenant's quota.
    Quota {
        /// Whose.
        tenant: String,
    },
    /// Give a tenant another quota.
    SetQuota {
        /// Whose.
        tenant: String,
        /// Bytes of all its mailboxes; absent: the usual quota.
        #[serde(default)]
        bytes_max: Option<u64>,
    },
    /// End sessions.
    Disconnect {
        /// Of this tenant.
        tenant: String,
        /// Only this device's.
        #[serde(default)]
        device: Option<String>,
    },
    /// Give every key of the configuration that counts now.
    Limits {},
    /// Give counters and gauges as Prometheus text.
    Metrics {},
    /// Let devices go.
    Drain {
        /// Seconds over which they are told; absent: `drain.within_s`.
        #[serde(default)]
        within_s: Option<u64>,
    },
    /// Take devices again.
    Undrain {},
    /// Read the configuration again.
    Reload {},
    /// Go on in a new process.
    Upgrade {},
}

impl Request {
    /// Returns the name of what is asked, as the audit log writes it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status {} => "status",
            Self::Tenants {} => "tenants",
            Self::Mailboxes { .. } => "mailboxes",
            Self::Sessions { .. } => "sessions",
            Self::Quota { .. } => "quota",
            Self::SetQuota { .. } => "set-quota",
            Self::Disconnect { .. } => "disconnect",
            Self::Limits {} => "limits",
            Self::Metrics {} => "metrics",
            Self::Drain { .. } => "drain",
            Self::Undrain {} => "undrain",
            Self::Reload {} => "reload",
            Self::Upgrade {} => "upgrade",
        }
    }

    /// True for what changes something and therefore stands in the audit log.
    #[must_use]
    pub const fn is_change(&self) -> bool {
        match self {
            Self::SetQuota { .. }
            | Self::Disconnect { .. }
            | Self::Drain { .. }
            | Self::Undrain {}
            | Self::Reload {}
            | Self::Upgrade {} => true,
            Self::Status {}
            | Self::Tenants {}
            | Self::Mailboxes { .. }
            | Self::Sessions { .. }
            | Self::Quota { .. }
            | Self::Limits {}
            | Self::Metrics {} => false,
        }
    }

    /// Writes the request as one line without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a request.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}
