//! Every number that `relay.toml` may change: default, unit, range, reason, and when a change counts.
//!
//! ```text
//!  Limit::spec --> the parser (range), the template of `init` (comment), `reload` (when), the README (table)
//! ```
//!
//! One table for all four, so that none of them can be out of step. Refuses numbers without a reason.

use postern_protocol::limits::HOLD_S_MAX;
use postern_relay::limits as relay;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// When a changed key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Takes {
    /// At `postern-relay reload` or SIGHUP.
    Reload,
    /// At the next start of the process.
    Restart,
}

impl Takes {
    /// Returns the word for people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Restart => "restart",
        }
    }
}

/// What is known of one number.
#[derive(Debug, Clone, Copy)]
pub struct LimitSpec {
    /// Table in the file.
    pub section: &'static str,
    /// Key in the table; the unit is its last word where it has one.
    pub key: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// Value without a line in the file.
    pub default: u64,
    /// Least value.
    pub least: u64,
    /// Greatest value.
    pub most: u64,
    /// Why the default is what it is.
    pub reason: &'static str,
    /// When a change counts.
    pub takes: Takes,
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $section:literal . $key:literal, $unit:literal, $default:expr, $least:expr => $most:expr, $takes:ident, $reason:literal;)*) => {
        /// A number that an operator may change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Limit {
            $($(#[$doc])* $name,)*
        }

        impl Limit {
            /// Every limit, in the order of the file.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns what is known of it.
            #[must_use]
            pub const fn spec(self) -> LimitSpec {
                match self {
                    $(Self::$name => LimitSpec {
                        section: $section,
                        key: $key,
                        unit: $unit,
                        default: $default,
                        least: $least,
                        most: $most,
                        reason: $reason,
                        takes: Takes::$takes,
                    },)*
                }
            }
        }
    };
}

limits! {
    /// Bytes of one device's mailbox.
    MailboxBytes = "mailbox"."bytes_max", "bytes of one device's mailbox",
        relay::MAILBOX_BYTES_MAX as u64, relay::MAILBOX_BYTES_MAX as u64 => 1 << 30, Restart,
        "a full state, its snapshot, a full chain of deltas and one largest evidence; below it the largest legal device could not be served";
    /// Bytes of all mailboxes.
    MailboxesBytes = "mailbox"."total_bytes_max", "bytes of all mailboxes together",
        relay::MAILBOXES_BYTES_MAX as u64, relay::MAILBOX_BYTES_MAX as u64 => 1 << 40, Restart,
        "a quarter of the smallest machine planned for (4 GB)";
    /// Bytes of bundles.
    BundlesBytes = "mailbox"."bundles_bytes_max", "bytes of the bundles kept for readers that are behind",
        relay::BUNDLES_BYTES_MAX as u64, 65_536 => 1 << 30, Restart,
        "20 full bundles or thousands of usual ones";
    /// Connections at once.
    Connections = "server"."connections_max", "connections at once",
        relay::CONNECTIONS_MAX as u64, 16 => 1_000_000, Restart,
        "at 28 KiB of an idle HTTP/2 connection they stay below 1 GB";
    /// Connections of one source.
    SourceConnections = "server"."source_connections_max", "connections at once from one IPv4 address or IPv6 /64",
        relay::SOURCE_CONNECTIONS_MAX as u64, 1 => 1_000_000, Restart,
        "all devices of a site share one address behind NAT";
    /// Connections of one source without a session.
    SourceUnproven = "server"."source_unproven_max", "connections of one source on which no session has spoken yet",
        relay::SOURCE_UNPROVEN_MAX as u64, 1 => 1_000_000, Restart,
        "what a stranger can hold open; a site whose devices all come back at once is let in as fast as they greet";
    /// Connections of an IPv6 site.
    SiteConnections = "server"."site_connections_max", "connections at once from one IPv6 /48",
        relay::SITE_CONNECTIONS_MAX as u64, 1 => 1_000_000, Restart,
        "as many as four of its /64 may have";
    /// Connections of a device.
    DeviceConnections = "server"."device_connections_max", "connections at once on which one device alone speaks; the newest stay",
        relay::DEVICE_CONNECTIONS_MAX as u64, 1 => 64, Restart,
        "one for its held poll, one for its work";
    /// Polls held.
    Holds = "server"."holds_max", "polls held at once",
        relay::HOLDS_MAX as u64, 16 => 1_000_000, Restart,
        "one for each connection; a device that is not held polls again every few seconds";
    /// Seconds of a hold.
    HoldS = "server"."hold_s_max", "seconds that a poll is held at most",
        HOLD_S_MAX, 5 => HOLD_S_MAX, Restart,
        "devices find the longest hold that their proxies let live; lower it below the timeout of a front that cuts silently";
    /// Burst of exchanges.
    SourceExchangesBurst = "server"."source_exchanges_burst", "exchanges of one source at once, after a pause",
        relay::SOURCE_EXCHANGES_BURST as u64, 1 => 1_000_000, Restart,
        "two seconds of the rate below";
    /// Rate of exchanges.
    SourceExchangesRate = "server"."source_exchanges_per_s", "exchanges per second of one source",
        relay::SOURCE_EXCHANGES_PER_S as u64, 1 => 1_000_000, Restart,
        "2,000 x 6 us are 1.2 % of a core: no source can take more";
    /// Burst of handshakes.
    SourceHandshakesBurst = "server"."source_handshakes_burst", "public-key exchanges of one source at once, after a pause",
        relay::SOURCE_HANDSHAKES_BURST as u64, 1 => 1_000_000, Restart,
        "a site of 100 devices behind one address comes back at once";
    /// Rate of handshakes.
    SourceHandshakesRate = "server"."source_handshakes_per_s", "public-key exchanges per second of one source",
        relay::SOURCE_HANDSHAKES_PER_S as u64, 1 => 1_000_000, Restart,
        "50 x 0.2 ms are 1 % of a core";
    /// Burst of all handshakes.
    HandshakesBurst = "server"."handshakes_burst", "public-key exchanges of all sources at once, after a pause",
        relay::HANDSHAKES_BURST as u64, 1 => 10_000_000, Restart,
        "two seconds of the rate below";
    /// Rate of all handshakes.
    HandshakesRate = "server"."handshakes_per_s", "public-key exchanges per second of all sources",
        relay::HANDSHAKES_PER_S as u64, 1 => 10_000_000, Restart,
        "1,000 x 0.2 ms are a fifth of a core; 20,000 devices are back within 20 s";
    /// Burst of enrolments.
    KnocksBurst = "server"."knocks_burst", "enrolments of all sources at once, after a pause",
        relay::KNOCKS_BURST as u64, 1 => 400, Restart,
        "a truck of devices that are switched on together";
    /// Rate of enrolments.
    KnocksRate = "server"."knocks_per_s", "enrolments per second of all sources",
        relay::KNOCKS_PER_S as u64, 1 => 40, Restart,
        "each costs a commit and may come from anybody; as many as the store shows to controllers";
    /// Burst of a device's exchanges.
    DeviceMessagesBurst = "server"."device_messages_burst", "exchanges of one device at once, after a pause",
        relay::DEVICE_MESSAGES_BURST as u64, 10 => 1_000_000, Restart,
        "four seconds of the rate below";
    /// Rate of a device's exchanges.
    DeviceMessagesRate = "server"."device_messages_per_s", "exchanges per second of one device",
        relay::DEVICE_MESSAGES_PER_S as u64, 1 => 1_000_000, Restart,
        "as many as loopback allows one after the other";
    /// Burst of a device's bytes.
    DeviceBytesBurst = "server"."device_bytes_burst", "bytes of one device at once, after a pause",
        relay::DEVICE_BYTES_BURST as u64, 1 << 20 => 1 << 30, Restart,
        "a full state and its snapshot, four times";
    /// Rate of a device's bytes.
    DeviceBytesRate = "server"."device_bytes_per_s", "bytes per second of one device",
        relay::DEVICE_BYTES_PER_S as u64, 1 << 10 => 1 << 30, Restart,
        "20 full frames";
    /// Burst of a tenant's exchanges.
    TenantMessagesBurst = "server"."tenant_messages_burst", "exchanges of all devices of one tenant at once, after a pause",
        relay::TENANT_MESSAGES_BURST as u64, 10 => 10_000_000, Restart,
        "ten seconds of devices that come back, each with a first poll";
    /// Rate of a tenant's exchanges.
    TenantMessagesRate = "server"."tenant_messages_per_s", "exchanges per second of all devices of one tenant",
        relay::TENANT_MESSAGES_PER_S as u64, 1 => 10_000_000, Restart,
        "a third of what two cores carry";
    /// Burst of a tenant's bytes.
    TenantBytesBurst = "server"."tenant_bytes_burst", "bytes of all devices of one tenant at once, after a pause",
        relay::TENANT_BYTES_BURST as u64, 1 << 20 => 1 << 31, Restart,
        "four seconds of the rate below";
    /// Rate of a tenant's bytes.
    TenantBytesRate = "server"."tenant_bytes_per_s", "bytes per second of all devices of one tenant",
        relay::TENANT_BYTES_PER_S as u64, 1 << 10 => 1 << 31, Restart,
        "a quarter of a gigabit";
    /// Burst of a controller's exchanges.
    WriterMessagesBurst = "server"."writer_messages_burst", "exchanges of one tenant's controller at once, after a pause",
        relay::WRITER_MESSAGES_BURST as u64, 10 => 10_000_000, Restart,
        "two for each of 20,000 devices";
    /// Rate of a controller's exchanges.
    WriterMessagesRate = "server"."writer_messages_per_s", "exchanges per second of one tenant's controller",
        relay::WRITER_MESSAGES_PER_S as u64, 1 => 10_000_000, Restart,
        "a controller that starts brings 20,000 largest states, each in 22 frames, within two minutes";
    /// Burst of a controller's bytes.
    WriterBytesBurst = "server"."writer_bytes_burst", "bytes of one tenant's controller at once, after a pause",
        relay::WRITER_BYTES_BURST as u64, 1 << 20 => 1 << 31, Restart,
        "a full frame for each of 5,000 devices";
    /// Rate of a controller's bytes.
    WriterBytesRate = "server"."writer_bytes_per_s", "bytes per second of one tenant's controller",
        relay::WRITER_BYTES_PER_S as u64, 1 << 10 => 1 << 31, Restart,
        "20,000 snapshots of a full frame take 15 s, as many largest states seven minutes";
    /// TLS handshake.
    TlsHandshakeMs = "server"."tls_handshake_ms_max", "milliseconds for the TLS handshake",
        relay::TLS_HANDSHAKE_MS_MAX, 500 => 60_000, Restart,
        "three round trips over a satellite, and slack";
    /// Request head.
    HeaderMs = "server"."header_ms_max", "milliseconds for a request head, from its first byte or the begin of the connection",
        relay::HEADER_MS_MAX, 1_000 => 600_000, Restart,
        "a client that drips headers holds 11 KiB no longer than this";
    /// Begin of a body.
    BodyGraceMs = "server"."body_grace_ms", "milliseconds of silence allowed at the begin of a body",
        relay::BODY_GRACE_MS, 500 => 60_000, Restart,
        "one lost packet on a bad radio link";
    /// Rate of a body.
    BodyRate = "server"."body_bytes_per_s_min", "least bytes per second of a body after that",
        relay::BODY_BYTES_PER_S_MIN, 64 => 1 << 20, Restart,
        "a largest body of 48 KiB takes 53 s at most";
    /// Time of a body.
    BodyMs = "server"."body_ms_max", "milliseconds for a whole body, however fast it comes",
        relay::BODY_MS_MAX, 1_000 => 600_000, Restart,
        "what the least rate gives a largest body, and slack";
    /// Bodies being read.
    BodiesBytes = "server"."bodies_bytes_max", "bytes of all bodies being read at once",
        relay::BODIES_BYTES_MAX as u64, 1 << 20 => 1 << 32, Restart,
        "1,365 full ones; filling it costs an attacker the bytes";
    /// Everything in memory.
    BudgetBytes = "server"."budget_bytes_max", "bytes of everything in memory together",
        relay::BUDGET_BYTES_MAX as u64, 64 << 20 => 1 << 40, Restart,
        "the smallest machine planned for (4 GB) less a quarter; above 70 % bodies of reports wait, above 85 % nobody new is let in, above 95 % sessions of the largest tenant end";
    /// Idle connection.
    IdleMs = "server"."idle_ms_max", "milliseconds for which a connection without a request is kept",
        relay::IDLE_MS_MAX, 1_000 => 3_600_000, Restart,
        "longer than any pause of a healthy device, shorter than a forgotten one is worth";
    /// Closing connection.
    CloseMs = "server"."close_ms_max", "milliseconds that a closing connection has to take its last answer",
        relay::CLOSE_MS_MAX, 100 => 60_000, Restart,
        "one answer over a slow link";
    /// Idle QUIC peer.
    QuicIdleMs = "quic"."idle_ms_max", "milliseconds of silence after which a QUIC peer counts as gone",
        relay::QUIC_IDLE_MS_MAX, 5_000 => 600_000, Restart,
        "a device that waits keeps its connection alive more often";
    /// Burst of QUIC attempts.
    QuicAttemptsBurst = "quic"."attempts_burst", "connection attempts at once from addresses that proved nothing",
        relay::QUIC_ATTEMPTS_BURST as u64, 1 => 100_000, Restart,
        "beyond it each has to prove its address first, which costs one round trip and no memory";
    /// Rate of QUIC attempts.
    QuicAttemptsRate = "quic"."attempts_per_s", "connection attempts per second from addresses that proved nothing",
        relay::QUIC_ATTEMPTS_PER_S as u64, 1 => 100_000, Restart,
        "200 x 150 us are 3 % of a core";
    /// Window of a drain.
    DrainWithinS = "drain"."within_s", "seconds over which `postern-relay drain` spreads its hints",
        120, 1 => 3_600, Reload,
        "20,000 devices leave at 167 per second, a sixth of what another relay admits";
    /// Silence before a drain's first hint.
    DrainAnnounceS = "drain"."announce_s", "seconds between readiness turning false and the first hint",
        5, 0 => 300, Reload,
        "a load balancer that asks /readyz every 2 s has seen it twice";
    /// Time after the last hint.
    DrainGraceS = "drain"."grace_s", "seconds for which exchanges under way may end after the last hint",
        5, 0 => 300, Reload,
        "longer than a commit on a bad disk";
    /// Window of a stop.
    StopWithinS = "drain"."stop_within_s", "seconds over which SIGTERM spreads the same hints before the process ends",
        10, 0 => 600, Reload,
        "short enough for a service manager, long enough that devices do not come back in one instant; a second SIGTERM ends at once";
    /// Certificate that is looked at.
    CertificateDays = "tls"."warn_days", "days before its end at which the certificate makes /readyz false",
        7, 0 => 90, Reload,
        "a week is left to act; alerts come at 30 days";
    /// Offset of the clock.
    RefusalLines = "log"."lines_per_s", "log lines per second of one place in the code that peers can trigger",
        10, 1 => 100_000, Restart,
        "a flood must not fill a disk; what is left out is counted and said once a minute";
}

/// The values of all limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits(BTreeMap<Limit, u64>);

impl Default for Limits {
    fn default() -> Self {
        let all = Limit::ALL.iter();
        Self(all.map(|limit| (*limit, limit.spec().default)).collect())
    }
}

impl Limits {
    /// Returns a value.
    #[must_use]
    pub fn of(&self, limit: Limit) -> u64 {
        self.0.get(&limit).copied().unwrap_or(limit.spec().default)
    }

    /// Returns a value that counts things in memory.
    #[must_use]
    pub fn size(&self, limit: Limit) -> usize {
        usize::try_from(self.of(limit)).unwrap_or(usize::MAX)
    }

    /// Returns a value as a rate.
    #[must_use]
    pub fn small(&self, limit: Limit) -> u32 {
        u32::try_from(self.of(limit)).unwrap_or(u32::MAX)
    }

    /// Takes a value that the parser has found within its range.
    pub fn set(&mut self, limit: Limit, value: u64) {
        self.0.insert(limit, value);
    }
}
