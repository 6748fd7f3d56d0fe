//! The only place of this crate that reads the process environment.
//!
//! Lower case wins over upper case when both are non-empty; empty means unset. Reads
//! `https_proxy`, then `all_proxy`, and `no_proxy`. `http_proxy` is never read: every target is
//! https, and that variable can be set by a web client of a CGI program.

use crate::config::ProxyConfigError;
use std::ffi::OsString;
use std::path::PathBuf;

/// The proxy variables, as found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// Name and value of the variable that names the proxy.
    pub proxy: Option<(&'static str, String)>,
    /// Name and value of the variable that names the exceptions.
    pub no_proxy: Option<(&'static str, String)>,
}

impl Variables {
    /// Reads the variables through `lookup`, so that tests need no process environment.
    ///
    /// # Errors
    /// A variable that is not UTF-8 is refused, not skipped.
    pub fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, ProxyConfigError> {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = lookup(name).filter(|value| !value.is_empty())?;
                let utf8 = value.into_string();
                Some(match utf8 {
                    Ok(value) => Ok((*name, value)),
                    Err(_raw) => Err(ProxyConfigError::NotUtf8 { name }),
                })
            })
        };
        Ok(Self {
            proxy: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]).transpose()?,
            no_proxy: first(&["no_proxy", "NO_PROXY"]).transpose()?,
        })
    }

    /// Reads the variables of this process.
    ///
    /// # Errors
    /// A variable that is not UTF-8 is refused, not skipped.
    pub fn of_process() -> Result<Self, ProxyConfigError> {
        Self::read(|name| std::env::var_os(name))
    }
}

/// The time zone as a child process needs it to know the hour; the only variable that one gets.
pub(crate) fn time_zone() -> Option<(&'static str, OsString)> {
    Some(("TZ", std::env::var_os("TZ")?))
}

/// Returns the file of the client keytab that the Kerberos library was told to use, if any. Other
/// kinds of keytabs are no files and have no content to tell them apart by.
pub(crate) fn client_keytab() -> Option<PathBuf> {
    let value = std::env::var_os("KRB5_CLIENT_KTNAME")?.into_string().ok()?;
    let path = value.strip_prefix("FILE:").unwrap_or(&value);
    (!path.is_empty()).then(|| PathBuf::from(path))
}
