//! What can go wrong between this machine and an answer: one code, one hop, one next step each.
//!
//! Codes are stable: D names, T TCP, U QUIC over UDP, P proxy, S TLS, H HTTP, C configuration; `egress/CODES.md`
//! lists them. Text chosen by others only appears as [`Foreign`]. Nothing here says whether an answer is
//! genuine: that is decided by its signature, by the caller.

use crate::body_size::SizeClue;
use crate::codes;
use crate::connect::{ConnectFault, NegotiateTrouble};
use crate::foreign::Foreign;
use crate::hold::HoldEnd;
use crate::limits::TICKET_PAUSE;
use crate::quic::{CloseReason, QuicFault};
use crate::route::Route;
use crate::secret::SecretError;
use crate::tls::{TlsFault, TrustError};
use crate::trail::Stage;
use bytes::Bytes;
use std::io::ErrorKind;
use std::time::Duration;

/// Why an exchange failed, and where.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} {hop} ({route} route): {fault}; next step: {}", fault.code(), fault.remedy())]
pub struct TransportError {
    /// The route that was tried.
    pub route: Route,
    /// The hop that failed, for people: `proxy http://p:3128`, `controller.test:443`.
    pub hop: String,
    /// What happened.
    pub fault: Fault,
    /// Time since the request was sent; `None` when nothing was sent.
    pub sent_for: Option<Duration>,
}

/// What happened on the way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The name has no address.
    #[error("the resolver knows no address for this name, or none answers")]
    Lookup(ErrorKind),
    /// The lookup took too long.
    #[error("the name lookup did not end in time")]
    LookupSlow,
    /// The TCP connection failed.
    #[error("the TCP connection failed ({0})")]
    Tcp(ErrorKind),
    /// No answer to the SYN in time.
    #[error("the TCP connection was not answered in time")]
    TcpSlow,
    /// The proxy's part failed.
    #[error(transparent)]
    Connect(#[from] ConnectFault),
    /// The secret for the proxy is unusable.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The record of rejected proxy credentials cannot be written: nothing was sent.
    #[error("the record of rejected proxy credentials cannot be written ({0})")]
    LockoutRecord(ErrorKind),
    /// The trust anchors are unusable.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The TLS handshake failed.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// QUIC failed.
    #[error(transparent)]
    Quic(#[from] QuicFault),
    /// A status other than 200.
    #[error("answered with status {status}: \"{excerpt}\"")]
    Status {
        /// The status code.
        status: u16,
        /// The hint of `Retry-After`, in seconds, at most an hour.
        retry_after_s: Option<u64>,
        /// The beginning of the body, escaped.
        excerpt: Foreign,
        /// The body when it was small, for a problem document; unverified.
        body: Bytes,
    },
    /// A body over the bound.
    #[error("the answer is larger than {bytes_max} bytes (status {status})")]
    Oversize {
        /// The status code.
        status: u16,
        /// The bound that was exceeded.
        bytes_max: usize,
    },
    /// No answer in time.
    #[error("no answer in time")]
    Silent,
    /// The body stopped or crawled.
    #[error("the answer stopped in the middle")]
    Stalled,
    /// The connection ended before the answer was complete.
    #[error("the connection ended before the answer was complete")]
    Closed,
    /// The answer began, and the connection ended before the rest of its body came.
    #[error("the answer was cut off after {came} bytes")]
    Truncated {
        /// Bytes of the body that came.
        came: usize,
        /// Bytes that the head announced, when it did.
        announced: Option<usize>,
    },
    /// Not HTTP, or broken HTTP.
    #[error("the answer is not valid HTTP")]
    NotHttp,
    /// A request that cannot be expressed in HTTP.
    #[error("the request cannot be expressed in HTTP")]
    BadRequest,
}

impl Fault {
    /// Returns the stable code, such as `PST-P01`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Lookup(_) => "PST-D01",
            Self::LookupSlow => "PST-D02",
            Self::Tcp(ErrorKind::ConnectionRefused) => "PST-T01",
            Self::TcpSlow => "PST-T02",
            Self::Tcp(_) => "PST-T03",
            Self::Connect(fault) => fault.code(),
            Self::Trust(_) => "PST-C02",
            Self::Secret(_) => "PST-C03",
            Self::LockoutRecord(_) => codes::LOCKOUT_RECORD,
            Self::Tls(fault) => fault.code(),
            Self::Quic(fault) => fault.code(),
            Self::Status { .. } => "PST-H01",
            Self::Oversize { .. } => "PST-H02",
            Self::Silent => "PST-H03",
            Self::Stalled => "PST-H04",
            Self::Closed => "PST-H05",
            Self::NotHttp => "PST-H06",
            Self::BadRequest => "PST-H07",
            Self::Truncated { .. } => "PST-H08",
        }
    }

    /// Returns what an operator does next.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Lookup(_) => "check the name and the resolver",
            Self::LookupSlow => "check that the resolver answers",
            Self::Tcp(ErrorKind::ConnectionRefused) => "check host, port and that it listens",
            Self::Tcp(_) => "check the route and the firewall",
            Self::TcpSlow => {
                "a firewall drops the packets, or the host is down: use a proxy or open the port"
            }
            Self::Connect(fault) => fault.remedy(),
            Self::Secret(_) => "write one line user:password into the secret file",
            Self::LockoutRecord(_) => "make room and check the mode of the device's folder",
            Self::Trust(_) => "correct the named CA file",
            Self::Tls(fault) => fault.remedy(),
            Self::Quic(fault) => fault.remedy(),
            Self::Status { .. } => {
                "something on the way answers instead of the mailbox, or it refuses; see the text"
            }
            Self::Oversize { .. } => {
                "check that the URL is a mailbox; a block page is larger than an answer"
            }
            Self::Silent => {
                "a middlebox dropped the connection silently; a shorter hold follows by itself"
            }
            Self::Stalled => "the path is too slow or a scanner holds the answer back",
            Self::Closed => {
                "a middlebox or the server cut the connection; a shorter hold follows by itself"
            }
            Self::Truncated { .. } => {
                "a middlebox cuts answers, perhaps large ones; smaller ones are asked for by itself"
            }
            Self::NotHttp => "check that the URL is a mailbox",
            Self::BadRequest => "check the configured user agent and URL",
        }
    }
}

impl TransportError {
    /// Returns the stable code, such as `PST-P01`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.fault.code()
    }

    /// Returns the step that failed.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match &self.fault {
            Fault::Lookup(_) | Fault::LookupSlow => Stage::Lookup,
            // Without usable anchors nothing is sent: the step is the one that would have needed them.
            Fault::Tls(_) | Fault::Trust(_) if self.hop.starts_with("proxy ") => Stage::ProxyTls,
            Fault::Tls(_) | Fault::Trust(_) => Stage::Tls,
            Fault::Tcp(_) | Fault::TcpSlow => Stage::Tcp,
            Fault::Connect(_) | Fault::Secret(_) | Fault::LockoutRecord(_) => Stage::Tunnel,
            Fault::Quic(_) if self.sent_for.is_none() => Stage::Quic,
            Fault::Quic(_)
            | Fault::Status { .. }
            | Fault::Oversize { .. }
            | Fault::Silent
            | Fault::Stalled
            | Fault::Closed
            | Fault::Truncated { .. }
            | Fault::NotHttp
            | Fault::BadRequest => Stage::Exchange,
        }
    }

    /// Returns the HTTP status, when an answer came.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        if let Fault::Status { status, .. } | Fault::Oversize { status, .. } = &self.fault {
            Some(*status)
        } else {
            None
        }
    }

    /// Returns the clamped `Retry-After` hint in seconds, when there was one.
    #[must_use]
    pub const fn retry_after_s(&self) -> Option<u64> {
        if let Fault::Status { retry_after_s, .. } = &self.fault {
            *retry_after_s
        } else {
            None
        }
    }

    /// Tells whether this failure says that the network does not carry UDP, or stopped to: what the memory of networks
    /// ([`crate::ladder::memory`]) wants to know. Where nothing else gets through either, it says nothing.
    #[must_use]
    pub const fn blames_udp(&self) -> bool {
        matches!(
            self.fault,
            Fault::Quic(
                QuicFault::Silent
                    | QuicFault::Prohibited(_)
                    | QuicFault::SmallPath
                    | QuicFault::Lost
            )
        )
    }

    /// Tells whether nothing but the period of the mailbox's certificate was wrong, by the time that is believed here.
    /// False for a proxy's certificate, whose period is never relaxed.
    #[must_use]
    pub fn is_period(&self) -> bool {
        matches!(self.fault, Fault::Tls(TlsFault::Time { .. })) && !self.hop.starts_with("proxy ")
    }

    /// Returns the longest pause before the next attempt, where a short one costs nobody anything.
    #[must_use]
    pub const fn pause_max(&self) -> Option<Duration> {
        if let Fault::Connect(ConnectFault::Negotiate { trouble, .. }) = &self.fault
            && matches!(
                trouble,
                NegotiateTrouble::NoTicket | NegotiateTrouble::Expired
            )
        {
            return Some(TICKET_PAUSE);
        }
        None
    }

    /// Tells the hold ladder how a held exchange ended.
    #[must_use]
    pub fn hold_end(&self) -> HoldEnd {
        let Some(age) = self.sent_for else {
            return HoldEnd::Other;
        };
        match &self.fault {
            Fault::Silent | Fault::Quic(QuicFault::Unanswered) => HoldEnd::Silent,
            // What keeps a path of QUIC open is its pings, not the length of a hold.
            Fault::Quic(_) => HoldEnd::Other,
            Fault::Closed | Fault::Stalled | Fault::Truncated { .. } => HoldEnd::Cut { age },
            Fault::Status {
                status: 408 | 502..=504,
                ..
            } => HoldEnd::Cut { age },
            Fault::Status { .. }
            | Fault::Oversize { .. }
            | Fault::Lookup(_)
            | Fault::LookupSlow
            | Fault::Tcp(_)
            | Fault::TcpSlow
            | Fault::Connect(_)
            | Fault::Secret(_)
            | Fault::LockoutRecord(_)
            | Fault::Trust(_)
            | Fault::Tls(_)
            | Fault::NotHttp
            | Fault::BadRequest => HoldEnd::Other,
        }
    }

    /// Tells the sizes of the route what this end may say about them.
    #[must_use]
    pub const fn size_clue(&self) -> SizeClue {
        if self.sent_for.is_none() {
            return SizeClue::None;
        }
        match &self.fault {
            Fault::Status { status: 413, .. } | Fault::Oversize { status: 413, .. } => {
                SizeClue::TooLarge
            }
            // Squid answers 403 in place of an answer over its bound; others call it a bad gateway.
            Fault::Status {
                status: 403 | 500 | 502,
                ..
            }
            | Fault::Oversize {
                status: 403 | 500 | 502,
                ..
            } => SizeClue::AnswerRefused,
            Fault::Closed | Fault::Silent => SizeClue::Cut,
            // The server found the request too slow: a smaller one is not.
            Fault::Quic(QuicFault::StreamReset {
                reason: CloseReason::Slow,
            }) => SizeClue::Cut,
            Fault::Quic(QuicFault::Stalled) => SizeClue::AnswerCut { announced: None },
            // Packets of QUIC have one size: nothing on the way knows that of a body.
            Fault::Quic(_) => SizeClue::None,
            Fault::Stalled => SizeClue::AnswerCut { announced: None },
            Fault::Truncated { announced, .. } => SizeClue::AnswerCut {
                announced: *announced,
            },
            Fault::Status { .. }
            | Fault::Oversize { .. }
            | Fault::Lookup(_)
            | Fault::LookupSlow
            | Fault::Tcp(_)
            | Fault::TcpSlow
            | Fault::Connect(_)
            | Fault::Secret(_)
            | Fault::LockoutRecord(_)
            | Fault::Trust(_)
            | Fault::Tls(_)
            | Fault::NotHttp
            | Fault::BadRequest => SizeClue::None,
        }
    }
}
