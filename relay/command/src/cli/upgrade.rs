//! `upgrade`: asks for it, then looks until the next process serves.
//!
//! Refuses to call an upgrade done before the process that was announced has answered.

use super::RelayArgs;
use crate::admin::client::{Client, unexpected};
use crate::admin::{Request, Response, Status};
use crate::limits::{SUCCESSOR_SERVING_MS_MAX, UPGRADE_LOOK};
use postern_console::clock;
use postern_console::exit::CommandError;
use postern_console::output;

/// What a look at the relay found.
enum Look {
    /// The next process serves.
    Done(Box<Status>),
    /// Not yet.
    UnderWay,
    /// Another one serves, and nothing is under way.
    GivenUp,
    /// Nobody serves: the admin socket is closed, which an upgrade never does.
    Stopped(CommandError),
}

/// `upgrade`.
pub(super) fn upgrade(relay: &RelayArgs) -> Result<(), CommandError> {
    let response = relay.ask(&Request::Upgrade {})?;
    let Response::Upgrading { pid, drain } = response else {
        return Err(unexpected());
    };
    output::hint(format!(
        "process {pid} is ready; it goes on within {} s",
        drain.left_ms.div_ceil(1_000)
    ));
    let wait_ms = drain.left_ms.saturating_add(2 * SUCCESSOR_SERVING_MS_MAX);
    let status = super::block_on(wait(relay, pid, wait_ms))?;
    let version = status.version.clone();
    if relay.printed(&Response::Status { status }) {
        return Ok(());
    }
    output::line(format!("upgraded: process {pid} serves, version {version}"));
    Ok(())
}

async fn wait(relay: &RelayArgs, pid: u32, wait_ms: u64) -> Result<Box<Status>, CommandError> {
    let until_ms = clock::mono_ms().saturating_add(wait_ms);
    while clock::mono_ms() < until_ms {
        match look(relay, pid) {
            Look::Done(status) => return Ok(status),
            Look::UnderWay => tokio::time::sleep(UPGRADE_LOOK).await,
            Look::Stopped(error) => return Err(error),
            Look::GivenUp => {
                return Err(failed(
                    "the upgrade was given up, and the program before serves",
                ));
            }
        }
    }
    Err(failed("the next process does not answer"))
}

/// Whoever holds the socket answers; between the two processes nobody does, and the question waits.
fn look(relay: &RelayArgs, pid: u32) -> Look {
    let mut client = match Client::connect(&relay.dir()) {
        Ok(client) => client,
        Err(error) => return Look::Stopped(error),
    };
    let asked = client.ask(&Request::Status {});
    let Ok(Response::Status { status }) = asked else {
        return Look::UnderWay;
    };
    if status.pid == pid {
        Look::Done(status)
    } else if status.drain.is_none() {
        Look::GivenUp
    } else {
        Look::UnderWay
    }
}

fn failed(what: &str) -> CommandError {
    CommandError::failure(
        "upgrade-failed",
        what,
        "look at the relay's log and at `postern-relay audit` for the reason",
    )
}
