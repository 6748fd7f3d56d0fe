//! What can go wrong while a scenario is set up. Every variant is a failure of the machine or of the test, never of
//! the software under test: a refusal by Postern or by a proxy is data that the test reads, not an error here.

use std::path::PathBuf;

use crate::process::tail;

/// A scenario could not be set up or did not get where it was waiting for.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A file, socket or process operation failed.
    #[error("cannot {what}")]
    Io {
        /// The operation, in words: "start squid", "read access.log".
        what: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Something that `./test` builds or fetches is not there.
    #[error("{what} is missing at {}: {remedy}", path.display())]
    Missing {
        /// What is missing.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// The command that provides it.
        remedy: &'static str,
    },
    /// The bounded wait ended without the event.
    #[error("gave up waiting for {what}\n{evidence}")]
    GaveUp {
        /// The event.
        what: String,
        /// The end of the output of the process that should have produced it; may be empty.
        evidence: String,
    },
    /// A process ended while the test waited for it to do something else.
    #[error("{name} ended with {status} while waiting for {what}\n{evidence}")]
    Ended {
        /// The name given at start.
        name: String,
        /// Its exit status, in words.
        status: String,
        /// The event that was waited for.
        what: String,
        /// The end of its output.
        evidence: String,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// A TLS configuration was refused.
    #[error("cannot configure TLS")]
    Tls(#[from] rustls::Error),
    /// PEM text could not be read back.
    #[error("cannot read PEM: {0}")]
    Pem(String),
}

impl LabError {
    /// Names the operation that failed: `.map_err(LabError::io("start squid"))`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Adds the end of a process's own log to what a failed wait quotes; other errors stay as they are.
    pub(crate) fn with_log(self, log: &str) -> Self {
        let add = |evidence: String| format!("{evidence}\n--- log\n{}", tail(log));
        match self {
            Self::Ended {
                name,
                status,
                what,
                evidence,
            } => Self::Ended {
                name,
                status,
                what,
                evidence: add(evidence),
            },
            Self::GaveUp { what, evidence } => Self::GaveUp {
                what,
                evidence: add(evidence),
            },
            other @ (Self::Io { .. }
            | Self::Missing { .. }
            | Self::Certificate(_)
            | Self::Tls(_)
            | Self::Pem(_)) => other,
        }
    }
}
