//! Which proxy applies, and how binding it is: the operator's word, with its source kept.
//!
//! A proxy written into the configuration file is *required*: not one direct packet leaves, not
//! even a lookup of the target's name. A proxy from the environment is *preferred*. A host on the
//! `no_proxy` list is reached directly in either case, because listing it is the operator's
//! explicit word. A value that is not understood is an error at start and never means "direct".
//! This module does not read the environment; [`crate::environment`] does.

use crate::environment::Variables;
use crate::host::Authority;
use crate::no_proxy::{NoProxy, NoProxyError};
use crate::proxy_url::{ProxyScheme, ProxyUrl, ProxyUrlError};
use crate::scheme::{Schemes, SchemesError};
use std::path::PathBuf;

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
    /// `proxy.mode`; unset means [`ProxyPolicy::Require`] when there is a URL in the file,
    /// and "see the environment" when there is none. `Off` ignores the environment too.
    pub mode: Option<ProxyPolicy>,
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
        "PST-C01 {file}: proxy.mode asks for a proxy but there is no proxy.url; set it or remove the mode"
    )]
    ModeWithoutUrl {
        /// The configuration file.
        file: String,
    },
    /// Credentials for no proxy.
    #[error(
        "PST-C01 {file}: proxy.secret_file is set but no proxy is configured; set proxy.url or remove it"
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
        match &file.url {
            Some(url) => Self::from_file(file, url),
            None => Self::from_variables(file, variables),
        }
    }

    fn from_file(file: &FileSettings, url: &str) -> Result<Self, ProxyConfigError> {
        let setting = |key: &str| format!("{}: {key}", file.file.display());
        let url = ProxyUrl::parse(url).map_err(|reason| ProxyConfigError::Url {
            setting: setting("proxy.url"),
            reason,
        })?;
        if url.secret.is_some() && file.secret_file.is_some() {
            return Err(ProxyConfigError::TwoSecrets {
                file: file.file.display().to_string(),
            });
        }
        let schemes = parse_schemes(file, &url)?;
        let choice = ProxyChoice {
            url,
            source: Source::File(file.file.clone()),
            no_proxy: parse_list(file.no_proxy.as_deref(), || setting("proxy.no_proxy"))?,
            secret_file: file.secret_file.clone(),
            schemes,
        };
        Ok(match file.mode {
            Some(ProxyPolicy::Off) => Self::Off,
            Some(ProxyPolicy::Prefer) => Self::Prefer(choice),
            Some(ProxyPolicy::Require) | None => Self::Require(choice),
        })
    }

    fn from_variables(
        file: &FileSettings,
        variables: &Variables,
    ) -> Result<Self, ProxyConfigError> {
        let name = || file.file.display().to_string();
        if file.mode == Some(ProxyPolicy::Require) {
            return Err(ProxyConfigError::ModeWithoutUrl { file: name() });
        }
        let Some((variable, value)) = &variables.proxy else {
            if file.mode.is_some() {
                return Err(ProxyConfigError::ModeWithoutUrl { file: name() });
            }
            if file.secret_file.is_some() {
                return Err(ProxyConfigError::SecretWithoutUrl { file: name() });
            }
            return Ok(Self::Off);
        };
        let url = ProxyUrl::parse(value).map_err(|reason| ProxyConfigError::Url {
            setting: format!("environment variable {variable}"),
            reason,
        })?;
        if url.secret.is_some() && file.secret_file.is_some() {
            return Err(ProxyConfigError::TwoSecrets { file: name() });
        }
        // A list in the file is the more explicit one.
        let no_proxy = match (&file.no_proxy, &variables.no_proxy) {
            (Some(list), _) => parse_list(Some(list), || format!("{}: proxy.no_proxy", name()))?,
            (None, Some((variable, list))) => {
                parse_list(Some(list), || format!("environment variable {variable}"))?
            }
            (None, None) => NoProxy::default(),
        };
        let schemes = parse_schemes(file, &url)?;
        Ok(Self::Prefer(ProxyChoice {
            url,
            source: Source::Environment(variable),
            no_proxy,
            secret_file: file.secret_file.clone(),
            schemes,
        }))
    }

    /// Returns how binding the proxy is.
    #[must_use]
    pub const fn policy(&self) -> ProxyPolicy {
        match self {
            Self::Off => ProxyPolicy::Off,
            Self::Prefer(_) => ProxyPolicy::Prefer,
            Self::Require(_) => ProxyPolicy::Require,
        }
    }

    /// Returns the proxy, if there is one.
    #[must_use]
    pub const fn choice(&self) -> Option<&ProxyChoice> {
        match self {
            Self::Off => None,
            Self::Prefer(choice) | Self::Require(choice) => Some(choice),
        }
    }

    /// Tells whether a target is exempt from the proxy by the `no_proxy` list.
    #[must_use]
    pub fn is_exempt(&self, target: &Authority) -> bool {
        self.choice()
            .is_some_and(|choice| choice.no_proxy.matches(target))
    }
}

fn parse_schemes(file: &FileSettings, url: &ProxyUrl) -> Result<Schemes, ProxyConfigError> {
    let Some(words) = &file.schemes else {
        return Ok(Schemes::default());
    };
    let name = || file.file.display().to_string();
    if url.scheme == ProxyScheme::Socks5h {
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
