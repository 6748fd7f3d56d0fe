//! A PAC script in place of a proxy: where it is, how binding it is, what it may learn.
//!
//! Only what was written down. Refuses to fetch or to ask anything.

use super::{CredentialsFor, ProxyPolicy, Source};
use crate::no_proxy::NoProxy;
use crate::pac::PacUrl;
use crate::scheme::Schemes;
use std::fmt;
use std::path::PathBuf;

/// Where a PAC script is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PacPlace {
    /// In a file, read again once a minute.
    File(PathBuf),
    /// Behind a URL, fetched directly and again after some hours.
    Url(PacUrl),
    /// At `http://wpad.DOMAIN/wpad.dat` of the machine's domain.
    Wpad,
}

impl fmt::Display for PacPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Url(url) => write!(f, "{url}"),
            Self::Wpad => f.write_str("WPAD"),
        }
    }
}

/// Whether a script's own lookups reach the resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacLookups {
    /// They do, but for the target's name where a proxy is required.
    Allow,
    /// They find nothing.
    Deny,
}

/// The script that applies, with its bounds.
#[derive(Clone, Debug)]
pub struct PacChoice {
    /// Where it is.
    pub place: PacPlace,
    /// Which file says so.
    pub source: Source,
    /// True: `DIRECT` of the script is ignored, and without an answer there is no way at all. False: its ways in its order, then directly.
    pub is_required: bool,
    /// Hosts for which the script is not asked and that are reached directly.
    pub no_proxy: NoProxy,
    /// File with the credentials of the listed proxies.
    pub secret_file: Option<PathBuf>,
    /// How to authenticate to the listed proxies.
    pub schemes: Schemes,
    /// The proxies that may see them; none by default.
    pub credentials_for: CredentialsFor,
    /// Whether the script may look names up.
    pub lookups: PacLookups,
}

impl PacChoice {
    /// Returns how binding the script is.
    #[must_use]
    pub const fn policy(&self) -> ProxyPolicy {
        if self.is_required {
            ProxyPolicy::Require
        } else {
            ProxyPolicy::Prefer
        }
    }

    /// Returns the key of the file that names it.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self.place {
            PacPlace::File(_) | PacPlace::Url(_) => "proxy.pac",
            PacPlace::Wpad => "proxy.wpad",
        }
    }
}
