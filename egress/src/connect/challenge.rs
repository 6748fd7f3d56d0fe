//! Reads what a 407 asks for: the challenges of `Proxy-Authenticate` (RFC 9110, 11.6.1).
//!
//! Pure. Keeps schemes that nobody here knows, to name them in an error. Refuses a value that is
//! not UTF-8, and more than [`CHALLENGES_MAX`] challenges or [`CHALLENGE_PARAMETERS_MAX`]
//! parameters: what is beyond them is not read.

use crate::foreign::Foreign;
use crate::limits::{CHALLENGE_PARAMETERS_MAX, CHALLENGES_MAX};
use crate::scheme::Scheme;

/// One challenge: a scheme with a token or with parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme, when it is one that can be answered.
    pub scheme: Option<Scheme>,
    /// The scheme's name, escaped if unknown.
    pub name: Foreign,
    /// The token that stands alone, as NTLM and Negotiate send.
    pub token: Option<String>,
    /// Names in lower case and values without their quotes, in order.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    fn new(word: &str) -> Self {
        let scheme = Scheme::parse(word);
        Self {
            scheme,
            name: scheme.map_or_else(
                || Foreign::new(word.as_bytes()),
                |scheme| Foreign::new(scheme.as_str().as_bytes()),
            ),
            token: None,
            parameters: Vec::new(),
        }
    }

    /// Returns the value of a parameter; `name` in lower case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Reads one value of the header field and adds its challenges to `offered`.
    ///
    /// A piece between commas starts a scheme when its first word is not followed by `=`;
    /// otherwise it is a parameter of the scheme before it.
    pub fn read(value: &[u8], offered: &mut Vec<Self>) {
        let Ok(value) = std::str::from_utf8(value) else {
            return;
        };
        // Parameters without a scheme before them in this value belong to nobody.
        let mut is_open = false;
        for piece in split_outside_quotes(value) {
            let piece = piece.trim();
            let end = piece.find([' ', '\t', '=', '"']).unwrap_or(piece.len());
            let (word, rest) = piece.split_at(end);
            let rest = rest.trim_start();
            if word.is_empty() {
                continue;
            }
            if let Some(value) = rest.strip_prefix('=') {
                if let Some(last) = offered.last_mut().filter(|_| is_open) {
                    last.add(word, value);
                }
                continue;
            }
            if offered.len() >= CHALLENGES_MAX {
                return;
            }
            let mut challenge = Self::new(word);
            if is_token(rest) {
                challenge.token = Some(rest.to_owned());
            } else if let Some((name, value)) = rest.split_once('=') {
                challenge.add(name.trim_end(), value);
            }
            offered.push(challenge);
            is_open = true;
        }
    }

    fn add(&mut self, name: &str, value: &str) {
        if self.parameters.len() < CHALLENGE_PARAMETERS_MAX {
            let name = name.to_ascii_lowercase();
            self.parameters.push((name, unquote(value.trim())));
        }
    }
}

/// `token68` of RFC 9110, 11.2.
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && body.bytes().all(is_part)
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else {
        return value.to_owned();
    };
    let (mut text, mut escaped) = (String::new(), false);
    for c in inner.chars() {
        match c {
            any if escaped => {
                text.push(any);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => break,
            other => text.push(other),
        }
    }
    text
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

/// Names the offered schemes, each once.
pub(crate) fn names(offered: &[Challenge]) -> Foreign {
    let mut list: Vec<&str> = Vec::new();
    for challenge in offered {
        if !list.contains(&challenge.name.as_str()) {
            list.push(challenge.name.as_str());
        }
    }
    Foreign::new(list.join(", ").as_bytes())
}
