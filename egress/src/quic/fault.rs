//! How QUIC fails: one variant, one code, one next step each.
//!
//! Two failures that an operator would treat differently are two variants. Certificates fail as over
//! TCP, with the codes of TLS. Close codes of the server are advice: they choose words, and no more.

use crate::fault::Fault;
use crate::foreign::Foreign;
use crate::tls::TlsFault;
use quinn::{ConnectionError, TransportErrorCode, VarInt};
use std::io::ErrorKind;

/// TLS alert `no_application_protocol` (RFC 7301).
const NO_APPLICATION_PROTOCOL: u64 = 0x100 + 120;
/// First of the codes that carry a TLS alert (RFC 9001, section 4.8).
const TLS_ALERTS: std::ops::Range<u64> = 0x100..0x200;

/// Why a server ended a connection or a stream (spec: registry.md#quic-error-codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// Code 0.
    #[error("not needed any more")]
    Done,
    /// Code 1.
    #[error("the request came too slowly or broke off")]
    Slow,
    /// Code 2.
    #[error("no place for another connection")]
    Full,
    /// Code 3.
    #[error("replaced by newer connections, or its sessions ended")]
    Replaced,
    /// Code 4.
    #[error("the server stops")]
    Draining,
    /// Any other code.
    #[error("code {0}")]
    Other(u64),
}

impl CloseReason {
    pub(super) fn of(code: VarInt) -> Self {
        match code.into_inner() {
            0 => Self::Done,
            1 => Self::Slow,
            2 => Self::Full,
            3 => Self::Replaced,
            4 => Self::Draining,
            other => Self::Other(other),
        }
    }
}

/// Why QUIC brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuicFault {
    /// No handshake in time.
    #[error("nothing answered QUIC in time")]
    Silent,
    /// Something on the way says that it lets nothing through (ICMP).
    #[error("the network refuses UDP to this target ({0})")]
    Prohibited(ErrorKind),
    /// The target says that nothing listens (ICMP).
    #[error("nothing listens on this UDP port")]
    Refused,
    /// There is no way out of this machine.
    #[error("this machine cannot send UDP to the target ({0})")]
    Socket(ErrorKind),
    /// Packets of 1200 bytes are too large for the way (ICMP).
    #[error("the way to the target carries no UDP packets of 1200 bytes")]
    SmallPath,
    /// Another version of QUIC.
    #[error("the server does not speak QUIC version 1")]
    Version,
    /// Another protocol inside.
    #[error("the server speaks QUIC, but not postern/1")]
    NoProtocol,
    /// The server has no room.
    #[error("the server refuses the connection: no room")]
    Full,
    /// The path stopped carrying packets.
    #[error("the path stopped carrying packets")]
    Lost,
    /// A stateless reset.
    #[error("the server does not know this connection any more (a restart)")]
    Reset,
    /// The server closed the connection.
    #[error("the server closed the connection: {reason}")]
    Closed {
        /// The server's reason.
        reason: CloseReason,
    },
    /// The server gave up this exchange.
    #[error("the server gave up the exchange: {reason}")]
    StreamReset {
        /// The server's reason.
        reason: CloseReason,
    },
    /// QUIC rules were broken, by either side's view.
    #[error("QUIC was broken off: {reason}")]
    Broken {
        /// The library's or the peer's words.
        reason: Foreign,
    },
    /// No answer, although the path carries packets.
    #[error("the path is alive, but no answer came in time")]
    Unanswered,
    /// The answer stopped or crawled.
    #[error("the answer stopped in the middle")]
    Stalled,
    /// An answer over the bound.
    #[error("the answer is larger than {bytes_max} bytes")]
    Oversize {
        /// The bound that was exceeded.
        bytes_max: usize,
    },
}

impl QuicFault {
    /// Returns the stable code, `PST-U01` and on.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Silent => "PST-U01",
            Self::Prohibited(_) => "PST-U02",
            Self::Refused => "PST-U03",
            Self::Socket(_) => "PST-U04",
            Self::SmallPath => "PST-U05",
            Self::Version => "PST-U06",
            Self::NoProtocol => "PST-U07",
            Self::Full => "PST-U08",
            Self::Lost => "PST-U09",
            Self::Reset => "PST-U10",
            Self::Closed { .. } => "PST-U11",
            Self::StreamReset { .. } => "PST-U12",
            Self::Broken { .. } => "PST-U13",
            Self::Unanswered => "PST-U14",
            Self::Stalled => "PST-U15",
            Self::Oversize { .. } => "PST-U16",
        }
    }

    /// Returns what an operator does next.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Silent => {
                "not needed where HTTPS works: a firewall drops UDP, the server has no QUIC door, or packets of 1228 bytes do not pass"
            }
            Self::Prohibited(_) => "not needed where HTTPS works: a firewall rejects UDP",
            Self::Refused => "not needed where HTTPS works: the server has no QUIC door",
            Self::Socket(_) => "check this machine's addresses and routes",
            Self::SmallPath => "not needed where HTTPS works: packets of 1228 bytes do not pass",
            Self::Version | Self::NoProtocol => {
                "check that the same server holds the TCP and the UDP port of this URL"
            }
            Self::Full => "another way is taken by itself; see the server's limits",
            Self::Lost => "another way is taken by itself: the network stopped carrying UDP",
            Self::Reset | Self::Closed { .. } => "it connects again by itself",
            Self::StreamReset { .. } => "it asks again by itself; the path may be too slow",
            Self::Broken { .. } => "check that the URL is a mailbox; a middlebox may interfere",
            Self::Unanswered => "see the log of the mailbox: it took the request",
            Self::Stalled => "the path is too slow",
            Self::Oversize { .. } => "check that the URL is a mailbox",
        }
    }

    /// Reads the end of a connection that was established. `is_lost` tells that we ended it for its silence.
    pub(super) fn of_end(error: &ConnectionError, is_lost: bool) -> Self {
        match error {
            ConnectionError::LocallyClosed if is_lost => Self::Lost,
            ConnectionError::TimedOut => Self::Lost,
            ConnectionError::Reset => Self::Reset,
            ConnectionError::VersionMismatch => Self::Version,
            ConnectionError::ApplicationClosed(close) => Self::Closed {
                reason: CloseReason::of(close.error_code),
            },
            ConnectionError::ConnectionClosed(close) => Self::Broken {
                reason: Foreign::new(&close.reason),
            },
            ConnectionError::TransportError(error) => Self::broken(&error.to_string()),
            ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => {
                Self::broken(&error.to_string())
            }
        }
    }

    /// Reads the end of a handshake. `refusal` is what our verifier said about the certificate, if it refused.
    pub(super) fn of_handshake(error: &ConnectionError, refusal: Option<TlsFault>) -> Fault {
        let (code, reason) = match error {
            ConnectionError::TransportError(ours) => {
                (u64::from(ours.code), Foreign::new(ours.reason.as_bytes()))
            }
            ConnectionError::ConnectionClosed(theirs) => {
                (u64::from(theirs.error_code), Foreign::new(&theirs.reason))
            }
            ConnectionError::TimedOut => return Self::Silent.into(),
            ConnectionError::ApplicationClosed(close) => {
                let reason = CloseReason::of(close.error_code);
                let has_no_room = reason == CloseReason::Full;
                let fault = if has_no_room {
                    Self::Full
                } else {
                    Self::Closed { reason }
                };
                return fault.into();
            }
            ConnectionError::VersionMismatch
            | ConnectionError::Reset
            | ConnectionError::LocallyClosed
            | ConnectionError::CidsExhausted => return Self::of_end(error, false).into(),
        };
        if let Some(refusal) = refusal {
            return refusal.into();
        }
        if code == NO_APPLICATION_PROTOCOL {
            Self::NoProtocol.into()
        } else if TLS_ALERTS.contains(&code) {
            TlsFault::Broken { reason }.into()
        } else if code == u64::from(TransportErrorCode::CONNECTION_REFUSED) {
            Self::Full.into()
        } else {
            Self::Broken { reason }.into()
        }
    }

    pub(super) fn broken(reason: &str) -> Self {
        Self::Broken {
            reason: Foreign::new(reason.as_bytes()),
        }
    }
}
