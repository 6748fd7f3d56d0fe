//! Runs a controller: store, engine, mailbox server, operator socket.

use crate::config::ControllerConfig;
use crate::exit::CommandError;

/// Runs the controller until it is told to stop.
///
/// # Errors
/// A store, key or configuration that is refused, an address that is taken.
pub async fn run(config: ControllerConfig) -> Result<(), CommandError> {
    let _ = config;
    Err(CommandError::failure(
        "not-built",
        "this build cannot run a controller",
        "use a complete build",
    ))
}
