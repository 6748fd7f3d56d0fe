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
    /// The rows could not be printed.
    #[error("cannot print the rows")]
    Output(#[source] std::io::Error),
}

impl From<Reject> for BenchError {
    fn from(reject: Reject) -> Self {
        Self::Refused(reject)
    }
}
