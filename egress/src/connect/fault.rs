//! How a CONNECT fails: one variant, one code, one next step each.
//!
//! Two failures that an operator would treat differently are two variants. The proxy's own words
//! are kept, escaped and cut; credentials never appear.

use crate::foreign::Foreign;
use std::time::Duration;

/// Why there is no tunnel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFault {
    /// 403, 405: the proxy's rules.
    #[error("the proxy refused the target with status {status}: \"{reason}\"")]
    Refused {
        /// The status code.
        status: u16,
        /// The proxy's words.
        reason: Foreign,
    },
    /// 407 without a scheme that can be answered.
    #[error("the proxy asks for credentials and offers \"{offered}\" ({})", if *.configured { "Basic is configured" } else { "no credentials are configured" })]
    NoCommonScheme {
        /// The offered schemes.
        offered: Foreign,
        /// Whether credentials are configured at all.
        configured: bool,
    },
    /// 407 to credentials.
    #[error("the proxy rejected the user name or password")]
    Rejected,
    /// Rejected earlier: nothing was sent.
    #[error("the proxy rejected the user name or password; the same ones are not sent again for {} s", .wait.as_secs())]
    Locked {
        /// Time until the next try.
        wait: Duration,
    },
    /// The proxy closed the connection.
    #[error("the proxy closed the connection instead of answering CONNECT")]
    Closed,
    /// The answer is no HTTP.
    #[error("what answers is no HTTP proxy: \"{excerpt}\"")]
    NotHttp {
        /// The beginning of the answer.
        excerpt: Foreign,
    },
    /// The tunnel carries plain text.
    #[error("the proxy accepted CONNECT but plain text came through the tunnel (a block page?)")]
    BlockPage,
    /// 502, 503, 504: the proxy's own way is broken.
    #[error("the proxy could not reach the target (status {status}: \"{reason}\")")]
    Unreachable {
        /// The status code.
        status: u16,
        /// The proxy's words.
        reason: Foreign,
    },
    /// Not one byte in time.
    #[error("the proxy did not answer CONNECT in time")]
    Silent,
    /// Some bytes in time, but no complete head.
    #[error("the proxy's answer was not complete in time ({bytes} bytes came)")]
    Slow {
        /// Bytes received so far.
        bytes: usize,
    },
    /// A head over 64 KiB.
    #[error("the head of the proxy's answer is larger than 64 KiB")]
    HeadTooLarge,
    /// Any other status.
    #[error("the proxy answered CONNECT with status {status}: \"{reason}\"")]
    Status {
        /// The status code.
        status: u16,
        /// The proxy's words.
        reason: Foreign,
    },
}

impl ConnectFault {
    pub(super) const fn from_status(status: u16, reason: Foreign) -> Self {
        match status {
            403 | 405 => Self::Refused { status, reason },
            502..=504 => Self::Unreachable { status, reason },
            _other => Self::Status { status, reason },
        }
    }

    /// Returns the stable code, `PST-P01` and on.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "PST-P01",
            Self::NoCommonScheme { .. } => "PST-P02",
            Self::Rejected | Self::Locked { .. } => "PST-P03",
            Self::Closed => "PST-P04",
            Self::NotHttp { .. } => "PST-P05",
            Self::BlockPage => "PST-P06",
            Self::Unreachable { .. } => "PST-P07",
            Self::Silent => "PST-P08",
            Self::Slow { .. } => "PST-P09",
            Self::HeadTooLarge => "PST-P10",
            Self::Status { .. } => "PST-P11",
        }
    }

    /// Returns what an operator does next.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Refused { .. } => {
                "ask the proxy's owner to allow CONNECT to this host and port, or serve on port 443"
            }
            Self::NoCommonScheme {
                configured: false, ..
            } => "set proxy.secret_file to a file with one line user:password",
            Self::NoCommonScheme {
                configured: true, ..
            } => "only Basic is supported: enable it on the proxy, or run a local helper proxy",
            Self::Rejected | Self::Locked { .. } => {
                "correct the secret file; a changed file is tried at once"
            }
            Self::Closed => {
                "check that the address is an HTTP proxy and that it allows this machine"
            }
            Self::NotHttp { .. } => {
                "check the proxy's address, port and scheme (http:// or https://)"
            }
            Self::BlockPage => "the proxy blocks the target: ask its owner to allow it",
            Self::Unreachable { .. } => "check that the target runs and that the proxy reaches it",
            Self::Silent | Self::Slow { .. } => {
                "the proxy is overloaded or is no HTTP proxy: check it"
            }
            Self::HeadTooLarge => "what answers is no HTTP proxy: check the address",
            Self::Status { .. } => "see the proxy's log for this request",
        }
    }
}
