//! The closed enums that label counters.
//!
//! Refuses text: a label is a variant, and a variant has one name.

/// Why a connection ended before its first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// All connections are taken.
    Full,
    /// The source has as many connections as one source may have.
    SourceFull,
    /// The source has as many connections without a session as one source may have.
    SourceUnproven,
    /// The IPv6 /48 has as many connections as one may have.
    SiteFull,
    /// Memory is nearly full.
    Pressure,
    /// A load balancer stated no address that can be believed, or not in time.
    ProxyHeader,
    /// The TLS handshake failed.
    TlsFailed,
    /// The TLS handshake took too long.
    TlsSlow,
}

impl ConnectionRefusal {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::Full,
        Self::SourceFull,
        Self::SourceUnproven,
        Self::SiteFull,
        Self::Pressure,
        Self::ProxyHeader,
        Self::TlsFailed,
        Self::TlsSlow,
    ];

    /// Returns the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::SourceFull => "source-full",
            Self::SourceUnproven => "source-unproven",
            Self::SiteFull => "site-full",
            Self::Pressure => "pressure",
            Self::ProxyHeader => "proxy-header",
            Self::TlsFailed => "tls-failed",
            Self::TlsSlow => "tls-slow",
        }
    }
}

/// An answer below Postern: an RFC 9457 problem, or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpRefusal {
    /// 404: no such resource.
    NotFound,
    /// 405: not a POST.
    MethodNotAllowed,
    /// 411: no Content-Length.
    LengthRequired,
    /// 413: larger than a frame may be.
    ContentTooLarge,
    /// 429: the source asks too much.
    TooManyRequests,
    /// 503: no capacity now.
    Unavailable,
    /// No answer: the body came too slowly or broke off.
    BodyBroken,
    /// No answer: the request head did not come to its end.
    HeadSlow,
}

impl HttpRefusal {
    /// Every refusal.
    pub const ALL: &'static [Self] = &[
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::LengthRequired,
        Self::ContentTooLarge,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::BodyBroken,
        Self::HeadSlow,
    ];

    /// Returns the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::LengthRequired => "length-required",
            Self::ContentTooLarge => "content-too-large",
            Self::TooManyRequests => "too-many-requests",
            Self::Unavailable => "unavailable",
            Self::BodyBroken => "body-broken",
            Self::HeadSlow => "head-slow",
        }
    }
}

/// What was given up so that the rest goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shed {
    /// A heartbeat or a body of `actual`: memory is filling.
    Bulk,
    /// A session: memory is nearly full.
    Newcomer,
    /// A device's sessions: memory is full and its tenant has most.
    LargestTenant,
    /// An older connection: its device opened newer ones.
    OlderConnection,
    /// A call to the host: as many wait as may.
    QueueFull,
    /// A call to the host: it waited too long.
    QueueDelay,
}

impl Shed {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::Bulk,
        Self::Newcomer,
        Self::LargestTenant,
        Self::OlderConnection,
        Self::QueueFull,
        Self::QueueDelay,
    ];

    /// Returns the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Newcomer => "newcomer",
            Self::LargestTenant => "largest-tenant",
            Self::OlderConnection => "older-connection",
            Self::QueueFull => "queue-full",
            Self::QueueDelay => "queue-delay",
        }
    }
}

/// What became of a QUIC connection attempt at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuicAttempt {
    /// Its handshake began.
    Begun,
    /// Its address had to be proven first.
    Retried,
    /// There is no room.
    Refused,
}

impl QuicAttempt {
    /// Every outcome.
    pub const ALL: &'static [Self] = &[Self::Begun, Self::Retried, Self::Refused];

    /// Returns the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Retried => "retried",
            Self::Refused => "refused",
        }
    }
}
