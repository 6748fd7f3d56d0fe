//! The demo's child processes: this same program, started as a person would start it.
//!
//! ```text
//!   demo --spawn--> postern demo-child PID …  --exec--> postern device run …   (same process id)
//! ```
//!
//! Every child is ended by the process id that was recorded when it started. It also ends when the
//! demo dies without a word, because the kernel is asked to see to that. Children get an empty
//! environment, so that no proxy variable of the caller changes the story.

use crate::exit::CommandError;
use rustix::process::{Pid, Signal};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// The hidden subcommand that ties a child to the demo; see [`leash`].
const LEASH_COMMAND: &str = "demo-child";
/// Time that a child gets to stop by itself. Arbitrary, above the controller's drain of one second.
const STOP_TIME: Duration = Duration::from_secs(3);
/// Lines of a log that are quoted when its process failed. Arbitrary.
const QUOTED_LINES: usize = 5;

/// This program, as a file to start again.
#[derive(Debug, Clone)]
pub(super) struct Program(PathBuf);

/// A child that runs until it is ended.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pid: Pid,
    log: PathBuf,
}

impl Program {
    /// Finds this program's own file.
    ///
    /// # Errors
    /// The system does not tell.
    pub(super) fn this() -> Result<Self, io::Error> {
        std::env::current_exe().map(Self)
    }

    /// Starts a command that goes on; what it says goes to the end of a log file.
    ///
    /// # Errors
    /// The log cannot be written, or the process cannot be started.
    pub(super) fn start(&self, arguments: &[&str], log: &Path) -> Result<Process, io::Error> {
        let output = append(log)?;
        let errors = output.try_clone()?;
        let child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let Some(pid) = pid else {
            return Err(io::Error::other("the new process has no id"));
        };
        Ok(Process {
            child,
            pid,
            log: log.to_owned(),
        })
    }

    /// Runs a command to its end and returns what it printed.
    ///
    /// # Errors
    /// The process cannot be started, or it fails: its own words.
    pub(super) async fn finish(
        &self,
        arguments: &[&str],
        input: &str,
    ) -> Result<String, io::Error> {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read ends the pipe early; its exit says what happened.
            let _closed = stdin.write_all(input.as_bytes()).await;
        }
        let output = child.wait_with_output().await?;
        if output.status.success() {
            return String::from_utf8(output.stdout).map_err(io::Error::other);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let what = arguments
            .iter()
            .take(2)
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        Err(io::Error::other(format!(
            "`postern {what}` ended with {}: {}",
            output.status,
            said.trim()
        )))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command
            .arg(LEASH_COMMAND)
            .arg(std::process::id().to_string())
            .args(arguments)
            .env_clear()
            // Ctrl-C is for the demo, which ends its children itself.
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

impl Process {
    /// Tells whether it still runs.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as a power cut would: SIGKILL, without a word to it.
    ///
    /// # Errors
    /// It was not there any more.
    pub(super) async fn kill(mut self) -> Result<(), io::Error> {
        rustix::process::kill_process(self.pid, Signal::KILL)?;
        self.child.wait().await.map(drop)
    }

    /// Asks it to stop, and ends it when it does not.
    pub(super) async fn stop(mut self) {
        if !self.is_running() {
            return;
        }
        let asked = rustix::process::kill_process(self.pid, Signal::TERM);
        let ended = tokio::time::timeout(STOP_TIME, self.child.wait()).await;
        if asked.is_err() || ended.is_err() {
            let _gone = self.child.kill().await;
        }
    }

    /// Returns the end of its log.
    pub(super) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let skipped = lines.len().saturating_sub(QUOTED_LINES);
        lines
            .into_iter()
            .skip(skipped)
            .collect::<Vec<_>>()
            .join("\n  ")
    }
}

fn append(log: &Path) -> Result<File, io::Error> {
    OpenOptions::new().create(true).append(true).open(log)
}

/// Ties this process to its parent's life, then becomes `postern` with `arguments`.
///
/// Returns only when that fails: the parent is gone already, or the program cannot be started.
pub fn leash(parent: u32, arguments: &[String]) -> CommandError {
    let failed = |error: io::Error| {
        CommandError::failure(
            "demo-child",
            format!("a part of the demo cannot start: {error}"),
            "this command is the demo's own; run `postern demo`",
        )
    };
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return failed(error.into());
    }
    let found = rustix::process::getppid().map(Pid::as_raw_nonzero);
    let is_there = found.is_some_and(|found| u32::try_from(found.get()) == Ok(parent));
    if !is_there {
        return failed(io::Error::other("the demo that started it is gone"));
    }
    match std::env::current_exe() {
        Ok(program) => failed(std::process::Command::new(program).args(arguments).exec()),
        Err(error) => failed(error),
    }
}
