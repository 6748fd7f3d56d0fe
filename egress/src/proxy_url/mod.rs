//! The strict reader of a proxy value, `[scheme://][user:password@]host[:port][/]`.
//!
//! A value that is not understood completely is an error at start and never means "direct": the
//! lenient readers elsewhere turn `"http://proxy:8080 "` into a direct connection and send half of
//! a password with an unescaped `@` to the resolver. Refuses: whitespace anywhere, paths, queries,
//! unescaped delimiters in the user part, SOCKS with local lookups, a bare name without scheme and port.

use crate::host::{Authority, Host, HostError, split_port};
use crate::limits::PROXY_VALUE_BYTES_MAX;
use crate::secret::{ProxySecret, SecretError};

/// How the proxy itself is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyScheme {
    /// Plain TCP to the proxy; what runs through the tunnel is TLS anyway.
    Http,
    /// TLS to the proxy, and TLS through the tunnel inside it.
    Https,
    /// SOCKS5 over plain TCP; the proxy looks the target's name up.
    Socks5h,
}

impl ProxyScheme {
    /// Returns the scheme as written in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5h => "socks5h",
        }
    }
}

/// A parsed proxy value. Printing it never shows the credentials.
#[derive(Clone, Debug)]
pub struct ProxyUrl {
    /// Plain or TLS towards the proxy.
    pub scheme: ProxyScheme,
    /// Where the proxy listens.
    pub authority: Authority,
    /// Credentials written into the value, percent-decoded.
    pub secret: Option<ProxySecret>,
}

impl std::fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority)
    }
}

/// Why a proxy value is refused. The value itself is never repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// Nothing there.
    #[error("the value is empty; remove the key to connect directly")]
    Empty,
    /// Longer than [`PROXY_VALUE_BYTES_MAX`].
    #[error("the value is longer than {PROXY_VALUE_BYTES_MAX} bytes")]
    Long,
    /// Whitespace, a control character or a quote.
    #[error("the value has whitespace, a control character or a quote in it; remove it")]
    Stray,
    /// A letter beyond ASCII.
    #[error(
        "the value has a non-ASCII character; percent-encode it, or write the host as punycode"
    )]
    NonAscii,
    /// SOCKS5 with names looked up on this side.
    #[error("socks5:// would look names up on this machine, which is never done; write socks5h://")]
    LocalSocks,
    /// SOCKS4 or a version that is not said.
    #[error("only version 5 of SOCKS is supported; write socks5h:// if the proxy speaks it")]
    OldSocks,
    /// Any other scheme.
    #[error("the scheme is neither http://, https:// nor socks5h://")]
    Scheme,
    /// No port and no scheme to take the port from.
    #[error("neither scheme nor port is given; write http://host:port")]
    Bare,
    /// The port is no number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// A path, query or fragment.
    #[error(
        "a proxy has no path, query or fragment; percent-encode '/', '?' and '#' in a password"
    )]
    Path,
    /// An unescaped delimiter in the user part.
    #[error("the user part has an unescaped delimiter; percent-encode it ('@' is %40, ':' is %3A)")]
    UserInfo,
    /// A `%` without two hexadecimal digits.
    #[error("the user part has a '%' without two hexadecimal digits; write '%25' for '%'")]
    Percent,
    /// The decoded credentials cannot be sent.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The host is none.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl ProxyUrl {
    /// Parses one proxy value.
    ///
    /// # Errors
    /// [`ProxyUrlError`] tells what is wrong; the caller names the file or variable.
    pub fn parse(value: &str) -> Result<Self, ProxyUrlError> {
        reject_stray(value)?;
        let (scheme, rest) = match value.split_once("://") {
            Some((scheme, rest)) => (Some(read_scheme(scheme)?), rest),
            None => (None, value),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '\\']) {
            return Err(ProxyUrlError::Path);
        }
        let (secret, place) = match rest.split_once('@') {
            Some((user, place)) => (Some(read_user(user)?), place),
            None => (None, rest),
        };
        if place.contains('@') {
            return Err(ProxyUrlError::UserInfo);
        }
        let (host, port) = split_port(place).map_err(|_bad| ProxyUrlError::Port)?;
        let host = Host::parse(host)?;
        let port = match (port, scheme) {
            (Some(port), _) => port,
            (None, Some(ProxyScheme::Http)) => 80,
            (None, Some(ProxyScheme::Https)) => 443,
            (None, Some(ProxyScheme::Socks5h)) => 1080,
            (None, None) => return Err(ProxyUrlError::Bare),
        };
        Ok(Self {
            scheme: scheme.unwrap_or(ProxyScheme::Http),
            authority: Authority { host, port },
            secret,
        })
    }
}

fn reject_stray(value: &str) -> Result<(), ProxyUrlError> {
    if value.is_empty() {
        return Err(ProxyUrlError::Empty);
    }
    if value.len() > PROXY_VALUE_BYTES_MAX {
        return Err(ProxyUrlError::Long);
    }
    let stray = |c: char| c.is_whitespace() || c.is_control() || "\"'<>`".contains(c);
    if value.chars().any(stray) {
        return Err(ProxyUrlError::Stray);
    }
    if value.is_ascii() {
        Ok(())
    } else {
        Err(ProxyUrlError::NonAscii)
    }
}

fn read_scheme(text: &str) -> Result<ProxyScheme, ProxyUrlError> {
    match text.to_ascii_lowercase().as_str() {
        "http" => Ok(ProxyScheme::Http),
        "https" => Ok(ProxyScheme::Https),
        "socks5h" => Ok(ProxyScheme::Socks5h),
        "socks5" => Err(ProxyUrlError::LocalSocks),
        "socks" | "socks4" | "socks4a" => Err(ProxyUrlError::OldSocks),
        _unknown => Err(ProxyUrlError::Scheme),
    }
}

fn read_user(text: &str) -> Result<ProxySecret, ProxyUrlError> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    if password.contains(':') {
        return Err(ProxyUrlError::UserInfo);
    }
    let user = percent_decode(user)?;
    let password = percent_decode(password)?;
    Ok(ProxySecret::new(&user, &password)?)
}

fn percent_decode(text: &str) -> Result<zeroize::Zeroizing<String>, ProxyUrlError> {
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = rest
            .next()
            .and_then(hex_digit)
            .ok_or(ProxyUrlError::Percent)?;
        let low = rest
            .next()
            .and_then(hex_digit)
            .ok_or(ProxyUrlError::Percent)?;
        bytes.push(high << 4 | low);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_bad| ProxyUrlError::Percent)?;
    Ok(zeroize::Zeroizing::new(text.to_owned()))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
