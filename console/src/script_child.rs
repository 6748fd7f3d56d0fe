//! The hidden subcommand that evaluates a PAC script: every program that dials has it.
//!
//! Started by the dialer of the same program, see [`postern_egress::pac`]. Reads no configuration and no environment.

use crate::exit::CommandError;

/// The name of the subcommand.
pub const SUBCOMMAND: &str = "pac-child";

/// Answers one question over standard input and output, and ends the process.
///
/// # Errors
/// Limits that cannot be set, and a parent that is none.
pub fn run() -> Result<(), CommandError> {
    postern_egress::pac::serve_child().map_err(|error| {
        CommandError::failure(
            "pac-child",
            format!("the evaluation of a PAC script ended: {error}"),
            "this command is started by Postern itself",
        )
    })
}
