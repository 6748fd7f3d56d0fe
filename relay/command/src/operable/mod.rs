//! What an operator may ask of a running relay, as one closed set of questions.
//!
//! ```text
//!  admin socket, /metrics, drain --> Operable --> Served (the server and its host)
//! ```
//!
//! The rest of this program knows a relay by this trait alone. Refuses to name devices anywhere but
//! in answers to the admin socket.

#[cfg(test)]
pub mod memory;
mod served;

pub use served::{Served, StartedWith};

use postern_relay::metrics::Sample;
use serde::{Deserialize, Serialize};

/// How the relay stands, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Thumbprint of the mailbox's key, 64 hexadecimal digits.
    pub mailbox: String,
    /// Number of the store, made with it.
    pub store_epoch: u64,
    /// Highest bundle held; 0 for none.
    pub bundle: u64,
    /// Sessions of devices.
    pub sessions: u64,
    /// Sessions of writers: tenants whose controller is connected.
    pub writers: u64,
    /// Polls held.
    pub holds: u64,
    /// Connections open.
    pub connections: u64,
    /// Devices that are admitted or were.
    pub mailboxes: u64,
    /// Enrolments that wait for their controller.
    pub knocks: u64,
    /// Letters that were dropped unread, for their age or with their mailbox, since the start.
    pub dead_letters: u64,
    /// Posts and deliveries that were refused because their tenant was full, since the start.
    pub tenant_refusals: u64,
    /// Bytes of all mailboxes.
    pub mailbox_bytes: u64,
    /// Bytes that they may take.
    pub mailbox_bytes_max: u64,
    /// Bytes of everything in memory that is counted.
    pub memory_bytes: u64,
    /// Bytes that it may take.
    pub memory_bytes_max: u64,
    /// How full it is: calm, shedding, closed or dropping.
    pub pressure: String,
    /// Where the QUIC door listens; absent where there is none.
    pub quic: Option<String>,
    /// The relay that this one dials; absent where it dials none.
    pub upstream: Option<UpstreamStanding>,
}

/// How the link to the upstream stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamStanding {
    /// Thumbprint of its mailbox key, 64 hexadecimal digits.
    pub key: String,
    /// True while a session with it is open.
    pub is_open: bool,
    /// Envelopes that it took, since the start.
    pub brought: u64,
    /// Envelopes that were taken from it, since the start.
    pub collected: u64,
    /// Envelopes that either side refused for good, since the start.
    pub refused: u64,
    /// Envelopes that it refused for now.
    pub waiting: u64,
    /// Why the last session or exchange ended; absent before the first failure.
    pub last_error: Option<String>,
}

/// How one tenant stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantStanding {
    /// The tenant.
    pub tenant: String,
    /// True while a session of its writer is open.
    pub is_connected: bool,
    /// Seconds since the last word of its controller; absent for never.
    pub contact_age_s: Option<u64>,
    /// Devices that are admitted.
    pub devices: u64,
    /// Sessions of its devices.
    pub sessions: u64,
    /// Bytes kept, in both directions.
    pub bytes: u64,
    /// Bytes that may be kept, where the tenant has a quota of its own.
    pub quota_bytes: Option<u64>,
    /// Bytes that wait to be made durable.
    pub queued_bytes: u64,
    /// Entries kept from devices so far.
    pub arrivals: u64,
    /// The last entry that its controller acknowledged.
    pub cursor: u64,
}

/// How one mailbox stands. What is in it is not shown: a relay does not read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxStanding {
    /// The tenant.
    pub tenant: String,
    /// The device.
    pub device: String,
    /// The channel id, 32 hexadecimal digits.
    pub channel: String,
    /// True while a session of the device is open.
    pub is_connected: bool,
    /// True when its controller has withdrawn the device.
    pub is_withdrawn: bool,
    /// Bytes kept for the device.
    pub down_bytes: u64,
    /// Bytes kept from the device.
    pub up_bytes: u64,
    /// Bytes from the device that may be kept.
    pub quota_bytes: u64,
    /// Head of the desired plane that is kept, as `epoch.seq`; absent for none.
    pub desired: Option<String>,
    /// Head of the actual plane that is kept, likewise.
    pub actual: Option<String>,
}

/// One open session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionStanding {
    /// The tenant.
    pub tenant: String,
    /// The device; absent for the tenant's writer.
    pub device: Option<String>,
    /// True while a poll or collect of it is held.
    pub is_held: bool,
}

/// What one tenant may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Bytes of all its mailboxes together, in both directions.
    pub bytes_max: u64,
    /// True when nobody gave it one of its own: the bound of all mailboxes counts.
    pub is_usual: bool,
}

/// A part of a list: everything behind a channel id, at most so many.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Only of this tenant.
    pub tenant: Option<String>,
    /// Behind this channel id.
    pub after: Option<String>,
    /// At most so many.
    pub rows_max: usize,
}

/// What devices are told while the relay drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaving {
    /// Least milliseconds before a device asks here again.
    pub retry_ms: u64,
    /// True when devices shall go to the other mailboxes of their bundle.
    pub moves: bool,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such tenant or device.
    #[error("there is no {0}")]
    Unknown(String),
    /// The store does not take it now.
    #[error("the store takes nothing now ({0})")]
    Store(String),
}

/// A running relay, as far as an operator may look at it and change it. Every call is quick and
/// waits for nothing but short locks.
pub trait Operable: Send + Sync + 'static {
    /// Returns the numbers of the whole relay.
    fn standing(&self) -> Standing;

    /// Returns how many polls and collects are held.
    fn held(&self) -> usize;

    /// Returns all tenants, by name.
    fn tenants(&self) -> Vec<TenantStanding>;

    /// Returns mailboxes by channel id.
    fn mailboxes(&self, page: &Page) -> Vec<MailboxStanding>;

    /// Returns open sessions, by tenant and device.
    fn sessions(&self, page: &Page) -> Vec<SessionStanding>;

    /// Returns what a tenant may use.
    ///
    /// # Errors
    /// [`Refusal`].
    fn quota(&self, tenant: &str) -> Result<Quota, Refusal>;

    /// Gives a tenant another quota of bytes, durably, or with `None` the usual one. Blocks.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    fn set_quota(&self, tenant: &str, bytes_max: Option<u64>) -> Result<Quota, Refusal>;

    /// Ends the sessions of a device, or of a tenant's writer and all its devices; they may come again.
    /// Returns how many.
    ///
    /// # Errors
    /// [`Refusal`].
    fn disconnect(&self, tenant: &str, device: Option<&str>) -> Result<u64, Refusal>;

    /// From now on answers every poll at once, with this hint; `None` ends that.
    fn set_leaving(&self, leaving: Option<Leaving>);

    /// Answers so many of the held polls now. Returns how many there were.
    fn release(&self, count: usize) -> usize;

    /// Takes another certificate and key for new connections.
    ///
    /// # Errors
    /// What is wrong, for people; the old ones stay in use.
    fn replace_certificate(&self, chain_pem: &[u8], key_pem: &[u8]) -> Result<(), String>;

    /// Tells whether a post would be made durable now.
    ///
    /// # Errors
    /// Why not, for people.
    fn store_writable(&self) -> Result<(), String>;

    /// Returns all counters and gauges; samples of one name stand together.
    fn samples(&self) -> Vec<Sample>;
}
