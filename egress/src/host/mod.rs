//! Host names and addresses, read strictly.
//!
//! One reader for target URLs, proxy values and `no_proxy` entries, so that a host cannot mean two
//! things. Refuses to guess: no whitespace, no user names, no IPv4 in fewer than four parts, no
//! IPv6 zones, no letters beyond ASCII. Names are lower-cased and lose their trailing dot.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host: an address or a lower-case ASCII name without trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A DNS name, lower case, 1..=253 bytes, labels of 1..=63 bytes.
    Name(String),
    /// An address. IPv4 inside IPv6 (`::ffff:a.b.c.d`) is kept as written.
    Address(IpAddr),
}

/// Why a text is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("the host is empty")]
    Empty,
    /// A character that no host name has.
    #[error("the host has a character other than letters, digits, '-', '_' and '.'")]
    Character,
    /// A label that is empty, longer than 63 bytes, or begins or ends with a hyphen.
    #[error("the host has an empty, too long or badly hyphenated label")]
    Label,
    /// Longer than 253 bytes.
    #[error("the host is longer than 253 bytes")]
    Long,
    /// Looks like a number but is no IPv4 address in four decimal parts.
    #[error("the host is a number but not an IPv4 address in four parts")]
    Number,
    /// No IPv6 address in brackets, or one with a zone.
    #[error("the text in brackets is no IPv6 address (zones are not supported)")]
    Brackets,
}

impl Host {
    /// Parses a name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// # Errors
    /// [`HostError`] tells what is wrong.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if let Some(rest) = text.strip_prefix('[') {
            let inner = rest.strip_suffix(']').ok_or(HostError::Brackets)?;
            let address: Ipv6Addr = inner.parse().map_err(|_bad| HostError::Brackets)?;
            return Ok(Self::Address(IpAddr::V6(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        if name.len() > 253 {
            return Err(HostError::Long);
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !name.bytes().all(legal) {
            return Err(HostError::Character);
        }
        if looks_numeric(name) {
            let address: Ipv4Addr = name.parse().map_err(|_bad| HostError::Number)?;
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        if name.split('.').all(is_label) {
            Ok(Self::Name(name.to_ascii_lowercase()))
        } else {
            Err(HostError::Label)
        }
    }

    /// Returns the name, or the address without brackets, as TLS and resolvers want it.
    #[must_use]
    pub fn bare(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Address(address) => address.to_string(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// A last label of digits only, or in hexadecimal, is an address in every resolver's eyes.
fn looks_numeric(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let digits = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    digits || last.starts_with("0x") || last.starts_with("0X")
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

/// A host and a port, as in a CONNECT request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port, 1..=65535.
    pub port: u16,
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Splits `host[:port]`; the port is decimal digits only, 1..=65535.
pub(crate) fn split_port(text: &str) -> Result<(&str, Option<u16>), PortError> {
    let border = match text.rfind(']') {
        Some(end) => text
            .get(end..)
            .and_then(|tail| tail.find(':'))
            .map(|at| end + at),
        None => text.find(':'),
    };
    let Some(border) = border else {
        return Ok((text, None));
    };
    let host = text.get(..border).ok_or(PortError)?;
    let digits = text.get(border + 1..).ok_or(PortError)?;
    if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PortError);
    }
    match digits.parse::<u16>() {
        Ok(port) if port != 0 => Ok((host, Some(port))),
        Ok(_zero) => Err(PortError),
        Err(_large) => Err(PortError),
    }
}

/// The text after the colon is no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortError;

#[cfg(test)]
mod tests;
