//! `postern demo`: the whole system on one machine, with nothing to set up and nothing left behind.
//!
//! ```text
//!   hall-a ------------------------------> controller      real processes of this program
//!   hall-b --> inspecting proxy ---------> controller      (the proxy alone is a task of the demo)
//!   hall-c --> the same, with password --> controller
//! ```
//!
//! Reading order: [`story`] (what happens), [`fleet`] (the parts), [`proxy`], [`table`].
//! Loopback only, throw-away keys, ports of the system's choice. Refuses to end well unless
//! every device reports exactly the digest that was decided for it.

mod decisions;
mod documents;
mod fleet;
mod folder;
mod outcome;
mod percentile;
mod process;
mod proxy;
mod relayed;
mod screen;
mod story;
mod table;
mod unit;

pub use process::leash;
pub use relayed::run_relay;

use crate::exit::{CommandError, Exit};
use folder::DemoFolder;
use screen::{Audience, Screen};
use std::path::{Path, PathBuf};
use story::Story;

/// What the demo is asked for.
#[derive(Debug, Clone, Default)]
pub struct DemoOptions {
    /// Keep the files.
    pub keep: bool,
    /// Where the files go, a folder that does not exist yet; a private temporary one when absent.
    pub dir: Option<PathBuf>,
    /// One JSON object at the end instead of a table.
    pub json: bool,
    /// The story of a relay instead of that of a proxy.
    pub relay: bool,
}

/// Runs the demo.
///
/// # Errors
/// A part that fails to start, a step that does not come out as told, devices that do not converge.
pub async fn run(options: DemoOptions) -> Result<(), CommandError> {
    let folder = DemoFolder::create(options.dir.as_deref())?;
    let mut screen = Screen::new(Audience::of(options.json));
    // Dropping an unfinished story kills its children by their recorded ids.
    let ended = tokio::select! {
        ended = tell(options.relay, folder.path(), &mut screen) => ended,
        () = crate::signals::stop() => Err(stopped()),
    };
    let is_stopped = matches!(&ended, Err(error) if error.name == STOPPED);
    match (&ended, options.keep) {
        (Ok(_), true) => screen.say(&format!("kept: {}", folder.path().display())),
        (Ok(_), false) => folder.remove().await,
        (Err(_), false) if is_stopped => folder.remove().await,
        (Err(_), _) => screen.say(&format!(
            "kept for a look at the logs: {}",
            folder.path().display()
        )),
    }
    let outcome = ended?;
    match options.json {
        true => screen::print_line(&outcome.to_json().to_string()),
        false => outcome
            .next_steps()
            .iter()
            .for_each(|line| screen.say(line)),
    }
    Ok(())
}

async fn tell(
    with_relay: bool,
    folder: &Path,
    screen: &mut Screen,
) -> Result<outcome::Outcome, CommandError> {
    match with_relay {
        true => relayed::Story::tell(folder, screen).await,
        false => Story::tell(folder, screen).await,
    }
}

const STOPPED: &str = "demo-stopped";

fn stopped() -> CommandError {
    CommandError::new(
        Exit::Failure,
        STOPPED,
        "the demo was stopped before its end; all its processes are ended",
        "postern demo",
    )
}
