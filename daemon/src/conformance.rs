//! Answers single protocol operations as JSON lines, for conformance tests.

use crate::exit::CommandError;

/// Answers operations from standard input until it ends.
///
/// # Errors
/// A standard input or output that breaks.
pub fn run() -> Result<(), CommandError> {
    Err(CommandError::failure(
        "not-built",
        "this build cannot answer operations",
        "use a complete build",
    ))
}
