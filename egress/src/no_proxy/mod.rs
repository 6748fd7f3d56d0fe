//! Which hosts are reached without the proxy: the `no_proxy` list.
//!
//! Decides by text alone: never looks a name up, so an address in the list does not match a name.
//! Entries are separated by commas, semicolons or whitespace and are one of
//!
//! ```text
//!   *            everything              d          d and its sub-domains
//!   .d           d and its sub-domains   *.d        the sub-domains of d only
//!   10.0.0.0/8   a network (v4 or v6)    [v6], v4   one address
//! ```
//!
//! each but the network with an optional `:port`. An entry that is none of these is an error.

use crate::foreign::Foreign;
use crate::host::{Authority, Host, HostError, split_port};
use crate::limits::{FOREIGN_TEXT_BYTES_MAX, NO_PROXY_ENTRIES_MAX};
use std::net::IpAddr;

/// A parsed `no_proxy` list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// As it was written, for people.
    text: String,
    pattern: Pattern,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Everything,
    /// The apex and everything below it.
    Domain(String),
    /// Only what is below the apex.
    SubDomains(String),
    Address(IpAddr),
    Network(IpAddr, u8),
}

/// An entry that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProxyError {
    /// One entry is wrong.
    #[error("no_proxy entry \"{entry}\" is not understood: {reason}")]
    Entry {
        /// The entry, escaped, at most [`FOREIGN_TEXT_BYTES_MAX`] bytes of it.
        entry: Foreign,
        /// What is wrong with it.
        reason: EntryError,
    },
    /// Too many entries.
    #[error("no_proxy has more than {NO_PROXY_ENTRIES_MAX} entries")]
    Long,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The port is no number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// The prefix length does not fit, or what precedes it is no address.
    #[error("a network is written address/prefix-length")]
    Network,
    /// A star elsewhere than alone or in front of a dot.
    #[error("'*' stands alone or in front of a dot")]
    Star,
    /// A URL instead of a host.
    #[error("it is a URL; write the host alone")]
    Url,
    /// The host is none.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl NoProxy {
    /// Parses a list; the empty list matches nothing.
    ///
    /// # Errors
    /// [`NoProxyError`] names the first entry that is not understood.
    pub fn parse(list: &str) -> Result<Self, NoProxyError> {
        let mut entries = Vec::new();
        let separator = |c: char| c == ',' || c == ';' || c.is_whitespace();
        for text in list.split(separator).filter(|text| !text.is_empty()) {
            if entries.len() == NO_PROXY_ENTRIES_MAX {
                return Err(NoProxyError::Long);
            }
            entries.push(Entry::parse(text).map_err(|reason| NoProxyError::Entry {
                entry: Foreign::new(text.as_bytes()),
                reason,
            })?);
        }
        Ok(Self { entries })
    }

    /// Tells whether this target is reached without the proxy.
    #[must_use]
    pub fn matches(&self, target: &Authority) -> bool {
        self.matching(target).is_some()
    }

    /// Returns the first entry that lets this target go without the proxy, as it was written.
    #[must_use]
    pub fn matching(&self, target: &Authority) -> Option<&str> {
        let found = self.entries.iter().find(|entry| entry.matches(target));
        found.map(|entry| entry.text.as_str())
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, EntryError> {
        if text.contains("://") {
            return Err(EntryError::Url);
        }
        let entry = |pattern, port| Self {
            text: text.to_owned(),
            pattern,
            port,
        };
        if let Some((address, length)) = text.split_once('/') {
            let pattern = parse_network(address, length).ok_or(EntryError::Network)?;
            return Ok(entry(pattern, None));
        }
        // An IPv6 address without brackets: its colons are no port.
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(entry(Pattern::Address(address.to_canonical()), None));
        }
        let (host, port) = split_port(text).map_err(|_bad| EntryError::Port)?;
        Ok(entry(parse_pattern(host)?, port))
    }

    fn matches(&self, target: &Authority) -> bool {
        if self.port.is_some_and(|port| port != target.port) {
            return false;
        }
        match (&self.pattern, &target.host) {
            (Pattern::Everything, _) => true,
            (Pattern::Domain(domain), Host::Name(name)) => name == domain || is_below(name, domain),
            (Pattern::SubDomains(domain), Host::Name(name)) => is_below(name, domain),
            (Pattern::Address(wanted), Host::Address(address)) => *wanted == address.to_canonical(),
            (Pattern::Network(network, length), Host::Address(address)) => {
                in_network(*network, *length, address.to_canonical())
            }
            (Pattern::Domain(_) | Pattern::SubDomains(_), Host::Address(_))
            | (Pattern::Address(_) | Pattern::Network(..), Host::Name(_)) => false,
        }
    }
}

fn parse_pattern(host: &str) -> Result<Pattern, EntryError> {
    if host == "*" {
        return Ok(Pattern::Everything);
    }
    let (only_below, rest) = match host.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, host.strip_prefix('.').unwrap_or(host)),
    };
    if rest.contains('*') {
        return Err(EntryError::Star);
    }
    match Host::parse(rest)? {
        Host::Name(name) if only_below => Ok(Pattern::SubDomains(name)),
        Host::Name(name) => Ok(Pattern::Domain(name)),
        Host::Address(address) if rest.len() == host.len() => {
            Ok(Pattern::Address(address.to_canonical()))
        }
        Host::Address(_) => Err(EntryError::Host(HostError::Number)),
    }
}

/// Below on a label border: `xexample.test` is not below `example.test`.
fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain)
        .is_some_and(|front| front.len() > 1 && front.ends_with('.'))
}

fn parse_network(address: &str, length: &str) -> Option<Pattern> {
    let address: IpAddr = address.parse().ok()?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u8 = length.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (length <= bits).then_some(Pattern::Network(address, length))
}

fn in_network(network: IpAddr, length: u8, address: IpAddr) -> bool {
    let (left, right, bits) = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128_u32),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    // Shifting by the full width is no match of "all bits" but of none: /0 means everything.
    let host_bits = bits.saturating_sub(u32::from(length));
    (left ^ right).checked_shr(host_bits).unwrap_or(0) == 0
}

const _: () = assert!(
    FOREIGN_TEXT_BYTES_MAX >= 64,
    "an entry must stay recognisable"
);

#[cfg(test)]
mod tests;
