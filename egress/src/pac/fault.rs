//! What can go wrong with a PAC script, with a code and a next step each.
//!
//! None of it ever means "direct" where a proxy is required. Text chosen by others is [`Foreign`].

use crate::fault::Fault;
use crate::foreign::Foreign;
use crate::limits::PAC_SCRIPT_BYTES_MAX;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Why a PAC script gives no answer, or not a usable one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacFault {
    /// The file cannot be read.
    #[error("{} cannot be read ({kind})", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        kind: ErrorKind,
    },
    /// The machine has no domain in which to look for a script.
    #[error("this machine has no domain of two labels or more in which WPAD could look")]
    NoDomain,
    /// The script's server cannot be reached or breaks off.
    #[error("{url} cannot be fetched: {fault}")]
    Fetch {
        /// Where it should be.
        url: String,
        /// What failed.
        fault: Box<Fault>,
    },
    /// The server answers with something else than the script.
    #[error("{url} answers with status {status}")]
    Status {
        /// Where it should be.
        url: String,
        /// The status code.
        status: u16,
    },
    /// A redirect that is not followed.
    #[error("{url} redirects elsewhere than to another place of the same scheme, or too often")]
    Redirect {
        /// Where it should be.
        url: String,
    },
    /// Larger than a script may be.
    #[error("{place} is larger than {PAC_SCRIPT_BYTES_MAX} bytes")]
    Long {
        /// The file or URL.
        place: String,
    },
    /// HTML in place of a script.
    #[error("{place} is a web page and no script: \"{excerpt}\"")]
    BlockPage {
        /// The file or URL.
        place: String,
        /// How it begins, escaped.
        excerpt: Foreign,
    },
    /// The server of the script is the target, whose name must not be looked up.
    #[error("the script's server is the target itself, which a required proxy alone may look up")]
    OwnTarget,
    /// The script is damaged or threw.
    #[error("the script failed: {reason}")]
    Threw {
        /// The engine's words, escaped.
        reason: Foreign,
    },
    /// It ran for too long and was stopped.
    #[error("the script was stopped because it ran too long")]
    Slow,
    /// It wanted too much memory.
    #[error("the script was stopped because it wanted too much memory")]
    Memory,
    /// No function of the right name.
    #[error("the script has no function FindProxyForURL")]
    NoFunction,
    /// Something else than a text.
    #[error("the script returned something else than a text")]
    NotText,
    /// The evaluating process cannot be started or died.
    #[error("the process that evaluates the script failed ({kind})")]
    Child {
        /// The system's reason.
        kind: ErrorKind,
    },
    /// Nobody evaluates scripts here.
    #[error("this program cannot evaluate PAC scripts")]
    NoEvaluator,
    /// Not one entry that may be used.
    #[error("the script names no way that may be used: \"{said}\"")]
    Nothing {
        /// What it returned, escaped.
        said: Foreign,
    },
    /// Evaluation did not end in the time that a round of attempts has.
    #[error("the proxy for this target was not found out in time")]
    Late,
    /// Nothing was asked yet.
    #[error("the script was not asked yet")]
    NotYet,
}

impl PacFault {
    /// Returns the stable code, such as `PST-P20`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Fetch { .. } | Self::Status { .. } | Self::Redirect { .. } | Self::OwnTarget => {
                "PST-P20"
            }
            Self::File { .. } | Self::Long { .. } | Self::NoDomain => "PST-P21",
            Self::BlockPage { .. } => "PST-P22",
            Self::Threw { .. } | Self::NoFunction | Self::NotText => "PST-P23",
            Self::Slow | Self::Memory => "PST-P24",
            Self::Nothing { .. } => "PST-P25",
            Self::Child { .. } | Self::NoEvaluator => "PST-P26",
            Self::Late | Self::NotYet => "PST-P27",
        }
    }

    /// Returns what an operator does next.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Fetch { .. } | Self::Status { .. } | Self::Redirect { .. } => {
                "check proxy.pac and its server; the script is fetched directly, never by a proxy"
            }
            Self::OwnTarget => "serve the script elsewhere, or write it into a file",
            Self::File { .. } => "check that proxy.pac names a file that this program may read",
            Self::Long { .. } => "check that proxy.pac names a PAC script, or shorten it",
            Self::NoDomain => "give the machine a domain, or name the script with proxy.pac",
            Self::BlockPage { .. } => {
                "something answers for the script's server; log in to the network, or correct proxy.pac"
            }
            Self::Threw { .. } | Self::NoFunction | Self::NotText => {
                "have the script corrected, or name the proxy with proxy.url"
            }
            Self::Slow | Self::Memory => {
                "have the script simplified, or name the proxy with proxy.url"
            }
            Self::Nothing { .. } => {
                "have the script name a proxy for this target; to go directly list it in proxy.no_proxy"
            }
            Self::Child { .. } => {
                "check that processes can be started; other programs' limits count too"
            }
            Self::NoEvaluator => "name the proxy with proxy.url",
            Self::Late | Self::NotYet => "wait; it is asked again by itself",
        }
    }
}
