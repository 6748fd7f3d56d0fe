//! The URL of a mailbox: `https://host[:port]/path`, read strictly.
//!
//! Refuses everything else: http, credentials, queries, fragments, whitespace. The default port
//! is 443, which is the only one that proxies let through without being asked.

use crate::host::{Authority, Host, HostError, split_port};

/// Where a mailbox is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MailboxUrl {
    authority: Authority,
    path: String,
}

/// Why a URL is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailboxUrlError {
    /// Not https.
    #[error("the URL does not begin with https://")]
    Scheme,
    /// Credentials in the URL.
    #[error("the URL has a user part; messages are signed, the URL needs no credentials")]
    UserInfo,
    /// Whitespace, control characters, a query, a fragment or letters beyond ASCII.
    #[error("the URL has whitespace, a query, a fragment or a character that must be escaped")]
    Character,
    /// Longer than 1024 bytes.
    #[error("the URL is longer than 1024 bytes")]
    Long,
    /// The port is no number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// The host is none.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl MailboxUrl {
    /// Parses a mailbox URL; without a path it means `/`.
    ///
    /// # Errors
    /// [`MailboxUrlError`] tells what is wrong.
    pub fn parse(url: &str) -> Result<Self, MailboxUrlError> {
        if url.len() > 1024 {
            return Err(MailboxUrlError::Long);
        }
        let scheme = url.get(..8).ok_or(MailboxUrlError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("https://") {
            return Err(MailboxUrlError::Scheme);
        }
        let rest = url.get(8..).unwrap_or_default();
        let legal = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}?#".contains(&byte);
        if !rest.bytes().all(legal) {
            return Err(MailboxUrlError::Character);
        }
        let (place, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if place.contains('@') {
            return Err(MailboxUrlError::UserInfo);
        }
        let (host, port) = split_port(place).map_err(|_bad| MailboxUrlError::Port)?;
        Ok(Self {
            authority: Authority {
                host: Host::parse(host)?,
                port: port.unwrap_or(443),
            },
            path: path.to_owned(),
        })
    }

    /// Returns host and port.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the path, beginning with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl std::fmt::Display for MailboxUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "https://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests;
