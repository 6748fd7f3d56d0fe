//! Shows what a file of Postern's holds, for people and as JSON.

pub(crate) mod hex;

use crate::exit::CommandError;

/// What to show.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct InspectArgs {
    /// File, or - for standard input.
    file: std::path::PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints what a file holds.
///
/// # Errors
/// A file that cannot be read or holds nothing of Postern's.
pub(crate) fn run(args: &InspectArgs) -> Result<(), CommandError> {
    let _ = args;
    Ok(())
}
