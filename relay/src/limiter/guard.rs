//! The closed list of rate limits, and what each does when it has no cell left for a key.
//!
//! | guard | of | when its map is full |
//! |---|---|---|
//! | source-exchanges, source-handshakes | IPv4 address or IPv6 /64, and the /48 around it | shares a bucket with strangers |
//! | handshakes, knocks | everybody | has one bucket, never full |
//! | quic-attempts | connection attempts from addresses that proved nothing | has one bucket, never full |
//! | device-messages, device-bytes | a device whose session verified | open: its tenant's limit holds |
//! | tenant-messages, tenant-bytes | a tenant's devices | closed: no bundle names so many |
//! | writer-messages, writer-bytes | a tenant's writer | closed: no bundle names so many |
//!
//! Refuses to leave the question to the caller: a new guard does not compile without its answer.

/// A rate limit by name, as metrics and events show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// Exchanges of any kind from one source.
    SourceExchanges,
    /// Asks, hellos and enrolments from one source.
    SourceHandshakes,
    /// Asks, hellos and enrolments from all sources.
    Handshakes,
    /// Enrolments from all sources.
    Knocks,
    /// QUIC connection attempts from addresses that are not validated.
    QuicAttempts,
    /// Exchanges in the sessions of one device.
    DeviceMessages,
    /// Bytes that one device sends.
    DeviceBytes,
    /// Exchanges in the sessions of all devices of one tenant.
    TenantMessages,
    /// Bytes that all devices of one tenant send.
    TenantBytes,
    /// Exchanges in the sessions of one tenant's writer.
    WriterMessages,
    /// Bytes that one tenant's writer sends.
    WriterBytes,
}

/// What a limiter does with a key for which it has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Fails to something coarser: the key shares a bucket with strangers.
    Shares,
    /// Fails open: lets pass.
    Open,
    /// Fails closed: refuses.
    Closed,
    /// Cannot be full: one bucket for everybody.
    Never,
}

impl Guard {
    /// Every guard.
    pub const ALL: &'static [Self] = &[
        Self::SourceExchanges,
        Self::SourceHandshakes,
        Self::Handshakes,
        Self::Knocks,
        Self::QuicAttempts,
        Self::DeviceMessages,
        Self::DeviceBytes,
        Self::TenantMessages,
        Self::TenantBytes,
        Self::WriterMessages,
        Self::WriterBytes,
    ];

    /// Returns the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SourceExchanges => "source-exchanges",
            Self::SourceHandshakes => "source-handshakes",
            Self::Handshakes => "handshakes",
            Self::Knocks => "knocks",
            Self::QuicAttempts => "quic-attempts",
            Self::DeviceMessages => "device-messages",
            Self::DeviceBytes => "device-bytes",
            Self::TenantMessages => "tenant-messages",
            Self::TenantBytes => "tenant-bytes",
            Self::WriterMessages => "writer-messages",
            Self::WriterBytes => "writer-bytes",
        }
    }

    /// Returns what it does without room for a key.
    #[must_use]
    pub const fn when_full(self) -> WhenFull {
        match self {
            Self::SourceExchanges | Self::SourceHandshakes => WhenFull::Shares,
            Self::Handshakes | Self::Knocks | Self::QuicAttempts => WhenFull::Never,
            Self::DeviceMessages | Self::DeviceBytes => WhenFull::Open,
            Self::TenantMessages | Self::TenantBytes | Self::WriterMessages | Self::WriterBytes => {
                WhenFull::Closed
            }
        }
    }
}
