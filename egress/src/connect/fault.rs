//! How a CONNECT fails: one variant, one code, one next step each.
//!
//! Two failures that an operator would treat differently are two variants. The proxy's own words
//! are kept, escaped and cut; credentials never appear.

use crate::foreign::Foreign;
use crate::scheme::ntlm::NtlmFault;
use crate::socks::SocksFault;
use std::time::Duration;

/// Why a 407 is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// No credentials are configured.
    Credentials,
    /// None of the schemes that may be used is offered in a form that can be answered.
    Scheme {
        /// The schemes that may be used.
        allowed: String,
    },
}

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Credentials => f.write_str("no credentials are configured"),
            Self::Scheme { allowed } => write!(f, "to be used: {allowed}"),
        }
    }
}

/// Why there is no Kerberos token for the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiateTrouble {
    /// No GSS-API library on this system, or a static binary.
    #[error("no Kerberos library can be loaded")]
    NoLibrary,
    /// Neither ticket nor client keytab.
    #[error("there is no ticket")]
    NoTicket,
    /// The ticket has expired.
    #[error("there is no ticket that is still valid: it has expired")]
    Expired,
    /// The key distribution centre refused the keytab's key.
    #[error("the Kerberos server refuses the client keytab")]
    KeyRefused,
    /// The proxy is configured by address, but tickets are made for names.
    #[error("the proxy is configured by its address, and Kerberos needs its name")]
    ByAddress,
    /// The library took too long.
    #[error("the Kerberos library did not answer in time")]
    Slow,
    /// The proxy's token is larger than any real one, or unreadable.
    #[error("the proxy's token cannot be read")]
    Token,
    /// Anything else.
    #[error("the Kerberos library failed")]
    Other,
}

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
    #[error("the proxy asks for credentials and offers \"{offered}\" ({lack})")]
    NoCommonScheme {
        /// The offered schemes.
        offered: Foreign,
        /// What is missing.
        lack: Lack,
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
    /// 407 to a Kerberos ticket, now or earlier.
    #[error("the proxy rejected the Kerberos ticket; none is sent again for {} s", .wait.as_secs())]
    TicketRejected {
        /// Time until the next try.
        wait: Duration,
    },
    /// Only Basic is offered, though a stronger scheme was accepted before.
    #[error(
        "the proxy offers only Basic, although it accepted a scheme before that hides the password: somebody may want to read it"
    )]
    Weaker,
    /// Negotiate is offered and nothing else that can be answered, but there is no token.
    #[error("{trouble}{}", if .text.as_str().is_empty() { String::new() } else { format!(": \"{text}\"") })]
    Negotiate {
        /// What is wrong.
        trouble: NegotiateTrouble,
        /// The library's words.
        text: Foreign,
    },
    /// The challenge of NTLM's second leg is unusable.
    #[error(transparent)]
    Ntlm(#[from] NtlmFault),
    /// The connection ended between two legs that have to share it.
    #[error("the proxy closed the connection in the middle of the authentication")]
    LegsCut,
    /// 407 without end.
    #[error("the proxy asked for credentials again and again, without a word about them")]
    Endless,
    /// The system has no random bytes for a nonce.
    #[error("the system gave no random bytes")]
    NoRandomness,
    /// A SOCKS proxy's part failed.
    #[error(transparent)]
    Socks(#[from] SocksFault),
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
            Self::Rejected | Self::Locked { .. } | Self::TicketRejected { .. } => "PST-P03",
            Self::Closed => "PST-P04",
            Self::NotHttp { .. } => "PST-P05",
            Self::BlockPage => "PST-P06",
            Self::Unreachable { .. } => "PST-P07",
            Self::Silent => "PST-P08",
            Self::Slow { .. } => "PST-P09",
            Self::HeadTooLarge => "PST-P10",
            Self::Status { .. } => "PST-P11",
            Self::Weaker => "PST-P12",
            Self::Negotiate { trouble, .. } => trouble.code(),
            Self::Ntlm(_) | Self::LegsCut => "PST-P18",
            Self::Endless => "PST-P19",
            Self::NoRandomness => "PST-C06",
            Self::Socks(fault) => fault.code(),
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
                lack: Lack::Credentials,
                ..
            } => "set proxy.secret_file to a file with one line user:password",
            Self::NoCommonScheme {
                lack: Lack::Scheme { .. },
                ..
            } => "see proxy.schemes, or enable Negotiate, NTLM, Digest or Basic on the proxy",
            Self::Rejected | Self::Locked { .. } => {
                "correct the secret file (DOMAIN\\user for NTLM; proxy.schemes chooses the scheme): a changed file is tried at once"
            }
            Self::TicketRejected { .. } => {
                "check the clocks and the proxy's keytab, or leave negotiate out of proxy.schemes"
            }
            Self::Weaker => {
                "if the proxy's owner did this, set proxy.schemes = [\"basic\"]: it shows the password to this network"
            }
            Self::Negotiate { trouble, .. } => trouble.remedy(),
            Self::Ntlm(_) | Self::LegsCut | Self::Endless => {
                "the proxy's authentication is broken: see its log, or choose another one with proxy.schemes"
            }
            Self::NoRandomness => "check the system's random device",
            Self::Socks(fault) => fault.remedy(),
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

impl NegotiateTrouble {
    const fn code(self) -> &'static str {
        match self {
            Self::NoLibrary => "PST-P13",
            Self::NoTicket | Self::Expired => "PST-P14",
            Self::KeyRefused => "PST-P15",
            Self::ByAddress => "PST-P16",
            Self::Slow | Self::Token | Self::Other => "PST-P17",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::NoLibrary => {
                "install the package of libgssapi_krb5.so.2 and use the dynamic binary, or set proxy.secret_file"
            }
            Self::NoTicket | Self::Expired => {
                "run kinit as the daemon's user, or set KRB5_CLIENT_KTNAME for it: tried again by itself"
            }
            Self::KeyRefused => "make the client keytab anew: a changed one is tried at once",
            Self::ByAddress => "write the proxy's full name into its URL",
            Self::Slow => "check that the Kerberos server answers",
            Self::Token => "see the proxy's log for this request",
            Self::Other => {
                "see the text; the proxy needs a principal HTTP/ and its full name in the realm"
            }
        }
    }
}
