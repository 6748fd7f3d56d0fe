//! How the command ends: one closed set of exit codes, one shape of error.
//!
//! A script decides by the code, a person reads `error:` and `next:`, a program reads the same as
//! JSON. Refuses errors without a next step.

use postern_protocol::Reject;
use std::fmt;
use std::process::ExitCode;

/// Why the command ended, as its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done.
    Success,
    /// Something failed at run time.
    Failure,
    /// The command line is wrong.
    Usage,
    /// A configuration, key or input file is refused.
    Configuration,
    /// What the command talks to does not run or cannot be reached.
    Unreachable,
    /// The controller refused the request, with a named reject.
    Refused,
    /// A wait ran out.
    TimedOut,
    /// The store is damaged, was written by a newer version, is in use, or cannot be written.
    Store,
}

impl Exit {
    /// Every code, ascending.
    pub const ALL: [Self; 8] = [
        Self::Success,
        Self::Failure,
        Self::Usage,
        Self::Configuration,
        Self::Unreachable,
        Self::Refused,
        Self::TimedOut,
        Self::Store,
    ];

    /// Returns the exit status of the process, 0..=7.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Configuration => 3,
            Self::Unreachable => 4,
            Self::Refused => 5,
            Self::TimedOut => 6,
            Self::Store => 7,
        }
    }

    /// Returns what the code means, for help texts.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done",
            Self::Failure => "failed at run time",
            Self::Usage => "wrong command line",
            Self::Configuration => "configuration, key or input file refused",
            Self::Unreachable => "not running or not reachable",
            Self::Refused => "refused by the controller",
            Self::TimedOut => "wait timed out",
            Self::Store => "store damaged, newer, in use or not writable",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What an operator is told when a command fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// Decides the exit status.
    pub exit: Exit,
    /// Stable kebab-case name, for programs; a reject's own name where there is one.
    pub name: String,
    /// What failed; names the file and key where there are some. May hold several lines.
    pub message: String,
    /// What to do now.
    pub next: String,
}

impl CommandError {
    /// Makes an error.
    pub fn new(
        exit: Exit,
        name: impl Into<String>,
        message: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            exit,
            name: name.into(),
            message: message.into(),
            next: next.into(),
        }
    }

    /// Makes an error of [`Exit::Failure`].
    pub fn failure(
        name: impl Into<String>,
        message: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(Exit::Failure, name, message, next)
    }

    /// Makes an error of [`Exit::Configuration`].
    pub fn configuration(
        name: impl Into<String>,
        message: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(Exit::Configuration, name, message, next)
    }

    /// Makes an error of [`Exit::Unreachable`].
    pub fn unreachable(
        name: impl Into<String>,
        message: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(Exit::Unreachable, name, message, next)
    }

    /// Makes an error of [`Exit::Store`].
    pub fn store(
        name: impl Into<String>,
        message: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(Exit::Store, name, message, next)
    }

    /// Wraps a named refusal.
    #[must_use]
    pub fn refused(reject: Reject, next: &str) -> Self {
        let message = format!("refused: {} ({reject})", reject.sentence());
        Self::new(Exit::Refused, reject.as_str(), message, next)
    }

    /// Returns the error as one JSON object: `{"error":{"name","message","next"}}`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "error": { "name": self.name, "message": self.message, "next": self.next }
        })
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\n  next: {}", self.message, self.next)
    }
}

impl std::error::Error for CommandError {}
