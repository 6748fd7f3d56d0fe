//! What can go wrong while counting; a missed target is no error.
//!
//! Refuses to stand for a number: a benchmark that cannot count says so and ends.

use postern_protocol::Reject;

/// Why there is no number.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The protocol refused what the benchmark itself had made.
    #[error("the protocol refuses the benchmark's own input with {0:?}")]
    Refused(Reject),
    /// The bare signature check refused the benchmark's own signature.
    #[error("the bare signature check refuses the benchmark's own signature")]
    Signature,
    /// valgrind could not be started, or its folder not be made.
    #[error("cannot run valgrind")]
    Start(#[source] std::io::Error),
    /// valgrind ended with an error.
    #[error("valgrind ended with {status}: {output}")]
    Valgrind {
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it said.
        output: String,
    },
    /// callgrind wrote no total.
    #[error("callgrind wrote no total")]
    NoTotal,
    /// The machine refused something of the benchmark's own.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A process of the benchmark failed.
    #[error(transparent)]
    Lab(#[from] postern_lab::LabError),
    /// The store of the benchmark failed.
    #[error("the benchmark's own store fails")]
    Store(#[from] postern_relay::store::StoreError),
    /// A process answered something that no number can be had from.
    #[error("{what}: {answer}")]
    Answer {
        /// What was wanted.
        what: &'static str,
        /// What came.
        answer: String,
    },
    /// A connection of the benchmark's own failed.
    #[error("{what}")]
    Network {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was measured changed its nature meanwhile.
    #[error("no number: {0}")]
    Unsteady(&'static str),
    /// The rows could not be printed.
    #[error("cannot print the rows")]
    Output(#[source] std::io::Error),
}

impl BenchError {
    /// Names what was tried when the machine refused it.
    pub fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

impl BenchError {
    /// Names what was tried when a connection failed.
    pub fn network<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        what: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Network {
            what,
            source: source.into(),
        }
    }
}

impl From<Reject> for BenchError {
    fn from(reject: Reject) -> Self {
        Self::Refused(reject)
    }
}
