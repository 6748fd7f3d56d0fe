//! Shows the whole system on one machine.

use crate::exit::CommandError;
use std::path::PathBuf;

/// What the demo is asked for.
#[derive(Debug, Clone, Default)]
pub struct DemoOptions {
    /// Keep running and keep the files.
    pub keep: bool,
    /// Where the files go; a private temporary folder when absent.
    pub dir: Option<PathBuf>,
    /// One JSON object at the end instead of a table.
    pub json: bool,
}

/// Runs the demo.
///
/// # Errors
/// A part that fails to start, or devices that do not converge.
pub async fn run(options: DemoOptions) -> Result<(), CommandError> {
    let _ = options;
    Err(CommandError::failure(
        "not-built",
        "this build has no demo",
        "use a complete build",
    ))
}
