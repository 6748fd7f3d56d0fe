//! Text that a proxy, a server or a certificate chose: cut and escaped before anyone sees it.
//!
//! Refuses to carry control characters, terminal sequences or more than
//! [`FOREIGN_TEXT_BYTES_MAX`] bytes into a log or an error.

use crate::limits::FOREIGN_TEXT_BYTES_MAX;
use std::fmt;

/// Foreign text, safe to print: printable ASCII, everything else escaped.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Foreign(String);

impl Foreign {
    /// Cuts to [`FOREIGN_TEXT_BYTES_MAX`] bytes and escapes what is not printable ASCII.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let cut = bytes.get(..FOREIGN_TEXT_BYTES_MAX);
        let mut text = cut.unwrap_or(bytes).escape_ascii().to_string();
        if cut.is_some() && bytes.len() > FOREIGN_TEXT_BYTES_MAX {
            text.push_str("...");
        }
        Self(text)
    }

    /// Returns the escaped text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}
