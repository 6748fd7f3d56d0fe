//! How a SOCKS5 proxy fails: one variant, one code, one next step for each answer of RFC 1928.
//!
//! Refuses to hold text of the proxy: the protocol has none.

/// Why a SOCKS5 proxy opened no tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocksFault {
    /// The answer is not SOCKS5.
    #[error("what answers does not speak SOCKS5")]
    NotSocks,
    /// No way to authenticate that both sides know.
    #[error("the SOCKS proxy takes none of the ways to authenticate ({})", if *.has_secret { "none, user and password" } else { "none; no credentials are configured" })]
    NoMethod {
        /// Whether credentials are configured.
        has_secret: bool,
    },
    /// User or password do not fit into RFC 1929.
    #[error(
        "the user name or the password is empty or longer than 255 bytes, which SOCKS cannot carry"
    )]
    SecretSize,
    /// Reply 1.
    #[error("the SOCKS proxy failed without a reason")]
    General,
    /// Reply 2.
    #[error("the rules of the SOCKS proxy forbid the target")]
    NotAllowed,
    /// Reply 3.
    #[error("the SOCKS proxy has no network to the target")]
    NetworkUnreachable,
    /// Reply 4.
    #[error("the SOCKS proxy cannot reach the target, or cannot look its name up")]
    HostUnreachable,
    /// Reply 5.
    #[error("the target refused the SOCKS proxy's connection")]
    Refused,
    /// Reply 6.
    #[error("the SOCKS proxy's packets to the target expired on the way")]
    Expired,
    /// Reply 7.
    #[error("the SOCKS proxy does not know the command CONNECT")]
    NoConnect,
    /// Reply 8.
    #[error("the SOCKS proxy does not take names as targets")]
    NoNames,
    /// Any other reply.
    #[error("the SOCKS proxy answered with the unknown reply {0}")]
    Unknown(u8),
}

impl SocksFault {
    pub(super) const fn from_reply(reply: u8) -> Self {
        match reply {
            1 => Self::General,
            2 => Self::NotAllowed,
            3 => Self::NetworkUnreachable,
            4 => Self::HostUnreachable,
            5 => Self::Refused,
            6 => Self::Expired,
            7 => Self::NoConnect,
            8 => Self::NoNames,
            other => Self::Unknown(other),
        }
    }

    /// Returns the stable code, `PST-P40` and on.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotSocks => "PST-P40",
            Self::General => "PST-P41",
            Self::NotAllowed => "PST-P42",
            Self::NetworkUnreachable => "PST-P43",
            Self::HostUnreachable => "PST-P44",
            Self::Refused => "PST-P45",
            Self::Expired => "PST-P46",
            Self::NoConnect => "PST-P47",
            Self::NoNames => "PST-P48",
            Self::Unknown(_) => "PST-P49",
            Self::NoMethod { .. } => "PST-P50",
            Self::SecretSize => "PST-P51",
        }
    }

    /// Returns what an operator does next.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::NotSocks => {
                "check the proxy's address and port, or use http:// for an HTTP proxy"
            }
            Self::NoMethod { has_secret: false } => {
                "set proxy.secret_file to a file with one line user:password"
            }
            Self::NoMethod { has_secret: true } => {
                "allow user and password (RFC 1929) on the proxy: nothing else is supported"
            }
            Self::SecretSize => "give the proxy a user and a password of 1 to 255 bytes",
            Self::General | Self::Unknown(_) => "see the proxy's log for this connection",
            Self::NotAllowed => "ask the proxy's owner to allow this host and port",
            Self::NetworkUnreachable | Self::Expired => "check the routes of the proxy",
            Self::HostUnreachable => {
                "check that the proxy resolves the target's name and reaches it"
            }
            Self::Refused => "check that the target runs and listens on this port",
            Self::NoConnect => "allow the command CONNECT on the proxy",
            Self::NoNames => {
                "use a proxy that looks names up: this side never does, so that nothing leaks"
            }
        }
    }
}
