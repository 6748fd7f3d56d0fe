//! Which credentials a 407 can be answered with.
//!
//! One variant of [`Authenticator`] per way to authenticate, each holding what its legs need. Basic
//! is the only one yet; Digest, NTLM and Negotiate add a variant and their arm in `answer`. Refuses
//! to send the same Basic credentials twice in one CONNECT.
//!
//! Basic over a plain `http://` proxy shows the password to that network segment. It is done when
//! credentials are configured, because configuring them is the operator's explicit word.

use crate::foreign::Foreign;

/// An authentication scheme named by a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 7617.
    Basic,
    /// RFC 7616; not supported yet.
    Digest,
    /// Microsoft's; not supported yet.
    Ntlm,
    /// RFC 4559; not supported yet.
    Negotiate,
    /// Any other word.
    Other(Foreign),
}

impl Scheme {
    fn parse(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "basic" => Self::Basic,
            "digest" => Self::Digest,
            "ntlm" => Self::Ntlm,
            "negotiate" => Self::Negotiate,
            _other => Self::Other(Foreign::new(word.as_bytes())),
        }
    }

    /// Returns the scheme's name, escaped if foreign.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Basic => "Basic",
            Self::Digest => "Digest",
            Self::Ntlm => "NTLM",
            Self::Negotiate => "Negotiate",
            Self::Other(word) => word.as_str(),
        }
    }
}

/// What the client can authenticate with, and how far it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authenticator {
    /// No credentials.
    Anonymous,
    /// Basic credentials, not sent yet.
    Basic,
    /// Basic credentials, sent in this CONNECT.
    BasicSent,
}

/// The answer to a 407.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Credentials(Scheme),
    Rejected,
    NoCommonScheme,
    NoCredentials,
}

impl Authenticator {
    pub(super) fn answer(&self, offered: &[Scheme]) -> Reply {
        match self {
            Self::Anonymous => Reply::NoCredentials,
            Self::BasicSent => Reply::Rejected,
            Self::Basic if offered.contains(&Scheme::Basic) => Reply::Credentials(Scheme::Basic),
            Self::Basic => Reply::NoCommonScheme,
        }
    }

    pub(super) const fn handle_sent(&mut self) {
        match self {
            Self::Basic => *self = Self::BasicSent,
            Self::Anonymous | Self::BasicSent => {}
        }
    }
}

/// Finds the schemes in one `Proxy-Authenticate` value (RFC 9110, 11.6.1), in order.
///
/// A piece between commas starts a scheme when its first word is not followed by `=`; otherwise it
/// is a parameter of the scheme before it.
pub(super) fn parse_offer(value: &str, offered: &mut Vec<Scheme>) {
    for piece in split_outside_quotes(value) {
        let piece = piece.trim();
        let end = piece.find([' ', '\t', '=', '"']).unwrap_or(piece.len());
        let (word, rest) = piece.split_at(end);
        let parameter = rest.trim_start().starts_with('=');
        if !word.is_empty() && !parameter {
            let scheme = Scheme::parse(word);
            if !offered.contains(&scheme) {
                offered.push(scheme);
            }
        }
    }
}

fn split_outside_quotes(value: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in value.char_indices() {
        match c {
            _any if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                pieces.extend(value.get(start..at));
                start = at + 1;
            }
            _other => {}
        }
    }
    pieces.extend(value.get(start..));
    pieces
}
