//! Shows what a file of Postern's holds, for people and as JSON.

use crate::exit::CommandError;
use std::path::Path;

/// Prints what `file` holds.
///
/// # Errors
/// A file that cannot be read or holds nothing of Postern's.
pub fn run(file: &Path, json: bool) -> Result<(), CommandError> {
    let _ = json;
    Err(CommandError::failure(
        "not-built",
        format!("{}: this build cannot inspect files", file.display()),
        "use a complete build",
    ))
}
