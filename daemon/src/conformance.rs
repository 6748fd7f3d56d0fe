//! The conformance child: one operation a line on standard input, one answer a line on standard output.
//!
//! `postern_judge` answers; here are only the streams. Refuses to keep anything between lines.

use crate::exit::CommandError;
use std::io;

/// Answers operations from standard input until it ends.
///
/// # Errors
/// A standard input or output that breaks.
pub(crate) fn run() -> Result<(), CommandError> {
    postern_judge::serve(io::stdin().lock(), io::stdout().lock()).map_err(|error| {
        CommandError::failure(
            "conformance-stream",
            format!("standard input or output broke: {error}"),
            "start the child from a runner that keeps both open",
        )
    })
}
