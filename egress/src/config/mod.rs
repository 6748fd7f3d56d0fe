//! Which proxy applies, and how binding it is: the operator's word, with its source kept.
//!
//! A proxy written into the configuration file is *required*: not one direct packet leaves, not
//! even a lookup of the target's name. A proxy from the environment is *preferred*. A host on the
//! `no_proxy` list is reached directly in either case, because listing it is the operator's
//! explicit word. A value that is not understood is an error at start and never means "direct".
//!
//! ```text
//!   file proxy.url  >  environment https_proxy, all_proxy  >  file proxy.pac or proxy.wpad  >  direct
//! ```
//!
//! This module does not read the environment; [`crate::environment`] does.

mod credentials;
mod pac;

pub use credentials::{CredentialsFor, CredentialsForError};
pub use pac::{PacChoice, PacLookups, PacPlace};

use crate::environment::Variables;
use crate::host::Authority;
use crate::no_proxy::{NoProxy, NoProxyError};
use crate::pac::{PacUrl, PacUrlError};
use crate::proxy_url::{ProxyScheme, ProxyUrl, ProxyUrlError};
use crate::scheme::{Schemes, SchemesError};
use std::path::{Path, PathBuf};

/// How binding a proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyPolicy {
    /// No proxy: connect directly.
    Off,
    /// Try the proxy first, then directly.
    Prefer,
    /// The proxy or nothing.
    Require,
}

/// Where a setting came from; printed so that an operator finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configuration file.
    File(PathBuf),
    /// An environment variable, as the daemon sees it.
    Environment(&'static str),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

impl Source {
    /// Names the key of a file, or the variable.
    #[must_use]
    pub fn describe(&self, key: &str) -> String {
        match self {
            Self::File(path) => format!("{}: {key}", path.display()),
            Self::Environment(_) => self.to_string(),
        }
    }
}

/// What the configuration file says about proxies. All fields optional.
#[derive(Clone, Debug, Default)]
pub struct FileSettings {
    /// The file, for messages.
    pub file: PathBuf,
    /// `proxy.url`.
    pub url: Option<String>,
    /// `proxy.no_proxy`.
    pub no_proxy: Option<String>,
    /// `proxy.secret_file`: a file with one line `user:password`.
    pub secret_file: Option<PathBuf>,
    /// `proxy.schemes`: how to authenticate, in the order of preference; unset means every scheme,
    /// the strongest first.
    pub schemes: Option<Vec<String>>,
    /// `proxy.mode`; unset means [`ProxyPolicy::Require`] when there is a URL in the file, else
    /// [`ProxyPolicy::Prefer`]. `Off` ignores the environment too.
    pub mode: Option<ProxyPolicy>,
    /// `proxy.pac`: an `http://` or `https://` URL, or a file beside the configuration file.
    pub pac: Option<String>,
    /// `proxy.wpad`: look for a script at the machine's domain.
    pub wpad: bool,
    /// `proxy.pac_dns`; unset means [`PacLookups::Deny`] where a proxy is required, else `Allow`.
    pub pac_dns: Option<PacLookups>,
    /// `proxy.credentials_for`: the proxies that may see credentials. Unset means the one of `url` or of the
    /// environment, and none that a script names.
    pub credentials_for: Option<Vec<String>>,
}

/// The proxy that applies, with its credentials' place and its exceptions.
#[derive(Clone, Debug)]
pub struct ProxyChoice {
    /// The proxy.
    pub url: ProxyUrl,
    /// Where its value came from.
    pub source: Source,
    /// Hosts reached without it.
    pub no_proxy: NoProxy,
    /// File with the credentials, read at each connect so that a new password needs no restart.
    pub secret_file: Option<PathBuf>,
    /// How to authenticate.
    pub schemes: Schemes,
    /// The proxies that may see credentials; `None` means this one.
    pub credentials_for: Option<CredentialsFor>,
    /// A key of the file that does not count because this proxy comes first.
    pub overrides: Option<&'static str>,
}

impl ProxyChoice {
    /// Tells whether this proxy may see credentials.
    #[must_use]
    pub fn may_see_credentials(&self) -> bool {
        let list = self.credentials_for.as_ref();
        list.is_none_or(|list| list.allows(&self.url.authority))
    }
}

/// The decision for the whole process.
#[derive(Clone, Debug)]
pub enum ProxySettings {
    /// Connect directly.
    Off,
    /// This proxy first, then directly.
    Prefer(ProxyChoice),
    /// This proxy or nothing.
    Require(ProxyChoice),
    /// Whatever proxies a script names for a target.
    Pac(PacChoice),
}

/// A setting that is refused at start. Code `PST-C01`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyConfigError {
    /// The proxy value is not understood.
    #[error("PST-C01 proxy value in {setting} is refused: {reason}")]
    Url {
        /// The file and key, or the variable.
        setting: String,
        /// What is wrong.
        reason: ProxyUrlError,
    },
    /// The `no_proxy` list is not understood.
    #[error("PST-C01 list in {setting} is refused: {reason}")]
    NoProxy {
        /// The file and key, or the variable.
        setting: String,
        /// What is wrong.
        reason: NoProxyError,
    },
    /// The place of the script is neither a file nor a URL.
    #[error("PST-C01 value in {setting} is refused: {reason}")]
    Pac {
        /// The file and key.
        setting: String,
        /// What is wrong.
        reason: PacUrlError,
    },
    /// The list of proxies that may see credentials is not understood.
    #[error("PST-C01 entry {} in {setting} is refused: {reason}", .place + 1)]
    CredentialsFor {
        /// The file and key.
        setting: String,
        /// Which entry, from 0.
        place: usize,
        /// What is wrong.
        reason: CredentialsForError,
    },
    /// More than one word about which proxy to take.
    #[error("PST-C01 {file}: proxy.url, proxy.pac and proxy.wpad exclude each other; keep one")]
    TwoProxies {
        /// The configuration file.
        file: String,
    },
    /// Credentials in two places.
    #[error("PST-C01 {file}: credentials stand in proxy.url and in proxy.secret_file; keep one")]
    TwoSecrets {
        /// The configuration file.
        file: String,
    },
    /// The list of schemes is not understood.
    #[error("PST-C01 {file}: proxy.schemes {reason}")]
    Schemes {
        /// The configuration file.
        file: String,
        /// What is wrong.
        reason: SchemesError,
    },
    /// Schemes of HTTP for a proxy without HTTP.
    #[error(
        "PST-C01 {file}: proxy.schemes is about HTTP proxies and the proxy is a SOCKS one; remove it"
    )]
    SchemesWithSocks {
        /// The configuration file.
        file: String,
    },
    /// A mode that needs a proxy, without one.
    #[error(
        "PST-C01 {file}: proxy.mode asks for a proxy but there is neither proxy.url nor proxy.pac; set one or remove the mode"
    )]
    ModeWithoutUrl {
        /// The configuration file.
        file: String,
    },
    /// Credentials for no proxy.
    #[error(
        "PST-C01 {file}: proxy.secret_file is set but no proxy is configured; set proxy.url or proxy.pac, or remove it"
    )]
    SecretWithoutUrl {
        /// The configuration file.
        file: String,
    },
    /// A variable that is not UTF-8.
    #[error("PST-C01 environment variable {name} is not UTF-8; correct or unset it")]
    NotUtf8 {
        /// The variable.
        name: &'static str,
    },
}

impl ProxySettings {
    /// Decides from the file first and the environment second.
    ///
    /// # Errors
    /// [`ProxyConfigError`] names the file or variable, what is wrong and the next step.
    pub fn resolve(file: &FileSettings, variables: &Variables) -> Result<Self, ProxyConfigError> {
        if file.mode == Some(ProxyPolicy::Off) {
            return Ok(Self::Off);
        }
        let named = [file.url.is_some(), file.pac.is_some(), file.wpad];
        if named.into_iter().filter(|is_named| *is_named).count() > 1 {
            return Err(ProxyConfigError::TwoProxies { file: file.name() });
        }
        match (&file.url, &variables.proxy) {
            (Some(url), _) => Self::from_file(file, url),
            (None, Some((variable, value))) => {
                Self::from_variable(file, variables, variable, value)
            }
            (None, None) => Self::from_script(file, variables),
        }
    }

    fn from_file(file: &FileSettings, url: &str) -> Result<Self, ProxyConfigError> {
        let url = ProxyUrl::parse(url).map_err(|reason| ProxyConfigError::Url {
            setting: file.setting("proxy.url"),
            reason,
        })?;
        if url.secret.is_some() && file.secret_file.is_some() {
            return Err(ProxyConfigError::TwoSecrets { file: file.name() });
        }
        let list = file.no_proxy.as_deref();
        let schemes = parse_schemes(file, Some(&url))?;
        let choice = ProxyChoice {
            url,
            source: Source::File(file.file.clone()),
            no_proxy: parse_list(list, || file.setting("proxy.no_proxy"))?,
            secret_file: file.secret_file.clone(),
            schemes,
            credentials_for: file.credentials_for()?,
            overrides: None,
        };
        Ok(match file.mode {
            Some(ProxyPolicy::Off) => Self::Off,
            Some(ProxyPolicy::Prefer) => Self::Prefer(choice),
            Some(ProxyPolicy::Require) | None => Self::Require(choice),
        })
    }

    fn from_variable(
        file: &FileSettings,
        variables: &Variables,
        variable: &'static str,
        value: &str,
    ) -> Result<Self, ProxyConfigError> {
        let overrides = file.script_key();
        // Without a proxy of its own the file cannot require one; with a script it can, and a
        // variable that comes before the script does not loosen that.
        let is_required = file.mode == Some(ProxyPolicy::Require);
        if is_required && overrides.is_none() {
            return Err(ProxyConfigError::ModeWithoutUrl { file: file.name() });
        }
        let url = ProxyUrl::parse(value).map_err(|reason| ProxyConfigError::Url {
            setting: format!("environment variable {variable}"),
            reason,
        })?;
        if url.secret.is_some() && file.secret_file.is_some() {
            return Err(ProxyConfigError::TwoSecrets { file: file.name() });
        }
        // What is listed or allowed for the proxies of a script is not for another's.
        let credentials_for = match (file.credentials_for()?, overrides) {
            (None, Some(_script)) if file.secret_file.is_some() => Some(CredentialsFor::default()),
            (list, _) => list,
        };
        let schemes = parse_schemes(file, Some(&url))?;
        let choice = ProxyChoice {
            url,
            source: Source::Environment(variable),
            no_proxy: file.no_proxy_or(variables)?,
            secret_file: file.secret_file.clone(),
            schemes,
            credentials_for,
            overrides,
        };
        Ok(if is_required {
            Self::Require(choice)
        } else {
            Self::Prefer(choice)
        })
    }

    fn from_script(file: &FileSettings, variables: &Variables) -> Result<Self, ProxyConfigError> {
        let place = match &file.pac {
            Some(text) if text.contains("://") => {
                PacPlace::Url(PacUrl::parse(text).map_err(|reason| ProxyConfigError::Pac {
                    setting: file.setting("proxy.pac"),
                    reason,
                })?)
            }
            Some(text) if text.is_empty() => {
                return Err(ProxyConfigError::Pac {
                    setting: file.setting("proxy.pac"),
                    reason: PacUrlError,
                });
            }
            Some(text) => {
                let folder = file.file.parent().unwrap_or(Path::new(""));
                PacPlace::File(folder.join(text))
            }
            None if file.wpad => PacPlace::Wpad,
            None if file.mode.is_some() => {
                return Err(ProxyConfigError::ModeWithoutUrl { file: file.name() });
            }
            None if file.secret_file.is_some() => {
                return Err(ProxyConfigError::SecretWithoutUrl { file: file.name() });
            }
            None => return Ok(Self::Off),
        };
        let is_required = file.mode == Some(ProxyPolicy::Require);
        let usual = if is_required {
            PacLookups::Deny
        } else {
            PacLookups::Allow
        };
        Ok(Self::Pac(PacChoice {
            place,
            source: Source::File(file.file.clone()),
            is_required,
            no_proxy: file.no_proxy_or(variables)?,
            secret_file: file.secret_file.clone(),
            schemes: parse_schemes(file, None)?,
            credentials_for: file.credentials_for()?.unwrap_or_default(),
            lookups: file.pac_dns.unwrap_or(usual),
        }))
    }

    /// Returns how binding the proxy is.
    #[must_use]
    pub const fn policy(&self) -> ProxyPolicy {
        match self {
            Self::Off => ProxyPolicy::Off,
            Self::Prefer(_) => ProxyPolicy::Prefer,
            Self::Require(_) => ProxyPolicy::Require,
            Self::Pac(choice) => choice.policy(),
        }
    }

    /// Returns the proxy, if one is named; none where a script names them.
    #[must_use]
    pub const fn choice(&self) -> Option<&ProxyChoice> {
        match self {
            Self::Off | Self::Pac(_) => None,
            Self::Prefer(choice) | Self::Require(choice) => Some(choice),
        }
    }

    /// Returns the script, if one names the proxies.
    #[must_use]
    pub const fn pac(&self) -> Option<&PacChoice> {
        match self {
            Self::Pac(choice) => Some(choice),
            Self::Off | Self::Prefer(_) | Self::Require(_) => None,
        }
    }

    /// Tells whether a target is exempt from the proxy by the `no_proxy` list.
    #[must_use]
    pub fn is_exempt(&self, target: &Authority) -> bool {
        self.exempt_by(target).is_some()
    }

    /// Returns the entry of the `no_proxy` list that exempts a target, as it was written.
    #[must_use]
    pub fn exempt_by(&self, target: &Authority) -> Option<&str> {
        match self {
            Self::Off => None,
            Self::Prefer(choice) | Self::Require(choice) => choice.no_proxy.matching(target),
            Self::Pac(choice) => choice.no_proxy.matching(target),
        }
    }
}

impl FileSettings {
    fn name(&self) -> String {
        self.file.display().to_string()
    }

    fn setting(&self, key: &str) -> String {
        format!("{}: {key}", self.file.display())
    }

    /// The key that names a script.
    const fn script_key(&self) -> Option<&'static str> {
        match (&self.pac, self.wpad) {
            (Some(_), _) => Some("proxy.pac"),
            (None, true) => Some("proxy.wpad"),
            (None, false) => None,
        }
    }

    /// A list in the file is the more explicit one.
    fn no_proxy_or(&self, variables: &Variables) -> Result<NoProxy, ProxyConfigError> {
        match (&self.no_proxy, &variables.no_proxy) {
            (Some(list), _) => parse_list(Some(list), || self.setting("proxy.no_proxy")),
            (None, Some((variable, list))) => {
                parse_list(Some(list), || format!("environment variable {variable}"))
            }
            (None, None) => Ok(NoProxy::default()),
        }
    }

    fn credentials_for(&self) -> Result<Option<CredentialsFor>, ProxyConfigError> {
        let Some(list) = &self.credentials_for else {
            return Ok(None);
        };
        let parsed = CredentialsFor::parse(list);
        let parsed = parsed.map_err(|(place, reason)| ProxyConfigError::CredentialsFor {
            setting: self.setting("proxy.credentials_for"),
            place,
            reason,
        })?;
        Ok(Some(parsed))
    }
}

fn parse_schemes(file: &FileSettings, url: Option<&ProxyUrl>) -> Result<Schemes, ProxyConfigError> {
    let Some(words) = &file.schemes else {
        return Ok(Schemes::default());
    };
    let name = || file.file.display().to_string();
    if url.is_some_and(|url| url.scheme == ProxyScheme::Socks5h) {
        return Err(ProxyConfigError::SchemesWithSocks { file: name() });
    }
    let parsed = Schemes::parse(words.iter().map(String::as_str));
    parsed.map_err(|reason| ProxyConfigError::Schemes {
        file: name(),
        reason,
    })
}

fn parse_list(
    list: Option<&str>,
    setting: impl FnOnce() -> String,
) -> Result<NoProxy, ProxyConfigError> {
    NoProxy::parse(list.unwrap_or_default()).map_err(|reason| ProxyConfigError::NoProxy {
        setting: setting(),
        reason,
    })
}

#[cfg(test)]
mod tests;
