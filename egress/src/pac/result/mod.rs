//! Reads what `FindProxyForURL` returned: `PROXY a:1; HTTPS b:2; SOCKS5 c; DIRECT`.
//!
//! Keeps the order, leaves out what it does not understand and says so, and looks at a bounded number
//! of entries. Refuses credentials, and a proxy that is the target itself: CONNECT to it would go round.
//! Pure: no IO, no engine.

use crate::foreign::Foreign;
use crate::host::{Authority, Host, split_port};
use crate::limits::{PAC_ENTRIES_MAX, PAC_ENTRIES_READ_MAX, PAC_RESULT_BYTES_MAX};
use crate::proxy_url::ProxyUrl;

/// One way that a PAC script names.
#[derive(Clone, Debug)]
pub enum PacEntry {
    /// `DIRECT`.
    Direct,
    /// A proxy, without credentials.
    Proxy(ProxyUrl),
}

/// Why an entry was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    /// The word in front is none that is known.
    #[error("the kind is none of PROXY, HTTP, HTTPS, SOCKS, SOCKS5, DIRECT")]
    Kind,
    /// A kind that is known and not spoken here.
    #[error("this kind of proxy is not supported")]
    Unsupported,
    /// No host, a wrong host or a wrong port.
    #[error("a proxy is written HOST:PORT")]
    Place,
    /// The proxy is the target.
    #[error("the proxy is the target itself")]
    Target,
    /// The same proxy stands before.
    #[error("it stands there twice")]
    Twice,
    /// More entries than are tried.
    #[error(
        "at most {PAC_ENTRIES_MAX} entries are tried, of the first {PAC_ENTRIES_READ_MAX}; the rest is left out"
    )]
    Rest,
}

/// What a result says.
#[derive(Clone, Debug, Default)]
pub struct PacResult {
    /// The ways, in the order of the script.
    pub entries: Vec<PacEntry>,
    /// What was left out, escaped, and why; as bounded as what was read.
    pub skipped: Vec<(Foreign, Skipped)>,
}

impl PacResult {
    /// Reads a result for a target. Nothing understood means no entries, never `DIRECT`.
    #[must_use]
    pub fn parse(text: &str, target: &Authority) -> Self {
        let mut result = Self::default();
        let (text, is_cut) = cut(text);
        let mut texts = text.split(';').map(str::trim).filter(|one| !one.is_empty());
        for entry in texts.by_ref().take(PAC_ENTRIES_READ_MAX) {
            let read = if result.entries.len() == PAC_ENTRIES_MAX {
                Err(Skipped::Rest)
            } else {
                result.read(entry, target)
            };
            match read {
                Ok(entry) => result.entries.push(entry),
                Err(why) => {
                    result.skipped.push((Foreign::new(entry.as_bytes()), why));
                    if why == Skipped::Rest {
                        return result;
                    }
                }
            }
        }
        if is_cut || texts.next().is_some() {
            result.skipped.push((Foreign::new(b"..."), Skipped::Rest));
        }
        result
    }

    fn read(&self, entry: &str, target: &Authority) -> Result<PacEntry, Skipped> {
        let (kind, place) = entry
            .split_once(|c: char| c.is_ascii_whitespace())
            .unwrap_or((entry, ""));
        let place = place.trim();
        let (scheme, port) = match kind.to_ascii_uppercase().as_str() {
            "DIRECT" if place.is_empty() => return self.direct(),
            "DIRECT" => return Err(Skipped::Place),
            "PROXY" | "HTTP" => ("http", 80),
            "HTTPS" => ("https", 443),
            // Names go to the proxy as they are: the target is never looked up here.
            "SOCKS" | "SOCKS5" => ("socks5h", 1080),
            "SOCKS4" | "QUIC" => return Err(Skipped::Unsupported),
            _unknown => return Err(Skipped::Kind),
        };
        let authority = read_place(place, port).ok_or(Skipped::Place)?;
        if authority == *target {
            return Err(Skipped::Target);
        }
        // One reader for every proxy value: what it does not support is not supported here either.
        let url = ProxyUrl::parse(&format!("{scheme}://{authority}"));
        let url = url.map_err(|_unsupported| Skipped::Unsupported)?;
        let is_known = self.entries.iter().any(|entry| match entry {
            PacEntry::Direct => false,
            PacEntry::Proxy(known) => {
                known.scheme == url.scheme && known.authority == url.authority
            }
        });
        if is_known {
            return Err(Skipped::Twice);
        }
        Ok(PacEntry::Proxy(url))
    }

    fn direct(&self) -> Result<PacEntry, Skipped> {
        let is_known = self
            .entries
            .iter()
            .any(|entry| matches!(entry, PacEntry::Direct));
        if is_known {
            Err(Skipped::Twice)
        } else {
            Ok(PacEntry::Direct)
        }
    }
}

/// At most [`PAC_RESULT_BYTES_MAX`] bytes, and whole entries only: half a host name is another host.
fn cut(text: &str) -> (&str, bool) {
    let mut end = PAC_RESULT_BYTES_MAX;
    if text.len() <= end {
        return (text, false);
    }
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = text.get(..end).unwrap_or_default();
    let whole = head.rfind(';').and_then(|border| head.get(..border));
    (whole.unwrap_or_default(), true)
}

fn read_place(place: &str, default_port: u16) -> Option<Authority> {
    let (host, port) = split_port(place).ok()?;
    let host = Host::parse(host).ok()?;
    let port = port.unwrap_or(default_port);
    Some(Authority { host, port })
}

#[cfg(test)]
mod tests;
