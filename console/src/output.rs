//! The only place of the command line that writes to standard output and standard error.
//!
//! A reader that went away ends the writing, not the work. Refuses colours where nobody sees them.

use crate::exit::CommandError;
use serde_json::Value as Json;
use std::io::{self, IsTerminal as _, Write as _};

/// Prints one line of result.
pub fn line(text: impl AsRef<str>) {
    let mut out = io::stdout().lock();
    let _closed = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush());
}

/// Prints text as it is.
pub fn text(text: &str) {
    let mut out = io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a result as JSON, indented for people on a terminal.
pub fn json(value: &Json) {
    let pretty = io::stdout().is_terminal();
    line(if pretty {
        format!("{value:#}")
    } else {
        value.to_string()
    });
}

/// Prints a hint that is no result.
pub fn hint(text: impl AsRef<str>) {
    let _closed = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// Prints an error for people, and for programs where they asked for JSON.
pub fn report(error: &CommandError, is_json: bool) {
    if is_json {
        line(error.to_json().to_string());
    }
    hint(error.to_string());
}

/// Tells whether a person looks at standard output and wants colours.
#[must_use]
pub fn has_colours() -> bool {
    io::stdout().is_terminal() && crate::config::variable("NO_COLOR").is_none()
}

/// Tells whether a person looks at standard output.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}
