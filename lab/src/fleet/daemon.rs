//! A long-running command of the release binary that is ended and started again: its log stays in one piece.
//!
//! It refuses to run twice at once: starting ends what still runs.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::failpoint::{Failpoint, Strace};
use crate::process::read;
use crate::{Binary, LabError, Process};

/// One role in one folder, running or not.
#[derive(Debug)]
pub struct Daemon {
    postern: Binary,
    name: String,
    arguments: Vec<String>,
    /// What it prints once it is ready.
    marker: &'static str,
    logs: PathBuf,
    process: Option<Process>,
}

impl Daemon {
    pub(super) fn new(
        postern: &Binary,
        name: &str,
        arguments: &[&str],
        marker: &'static str,
        logs: &Path,
    ) -> Self {
        Self {
            postern: postern.clone(),
            name: name.to_owned(),
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
            marker,
            logs: logs.to_owned(),
            process: None,
        }
    }

    /// Returns the same command, not running.
    pub(super) fn idle_copy(&self) -> Self {
        Self {
            postern: self.postern.clone(),
            name: self.name.clone(),
            arguments: self.arguments.clone(),
            marker: self.marker,
            logs: self.logs.clone(),
            process: None,
        }
    }

    /// Starts it and waits until it says that it is ready.
    ///
    /// # Errors
    /// [`LabError::Ended`] when it refuses to start.
    pub fn start(&mut self) -> Result<(), LabError> {
        let before = self.starts();
        self.launch()?;
        let (marker, log) = (self.marker, self.log_file());
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        process.wait_for(&format!("{marker:?}, once more"), |_process| {
            (read(&log).matches(marker).count() > before).then_some(())
        })
    }

    /// Starts it without waiting for anything, to be killed at any instant.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be started.
    pub fn launch(&mut self) -> Result<(), LabError> {
        self.launch_as(self.command())
    }

    /// As [`Self::launch`], to meet a failpoint.
    ///
    /// # Errors
    /// As [`Self::launch`].
    pub fn launch_at(&mut self, strace: &Strace, failpoint: Failpoint) -> Result<(), LabError> {
        let log = self.failpoint_log();
        // Only this start counts; there may be no earlier file.
        drop(std::fs::remove_file(&log));
        self.launch_as(strace.wrap(&self.command(), failpoint, &log))
    }

    /// Whether the failpoint of the last [`Self::launch_at`] was reached.
    #[must_use]
    pub fn was_struck(&self) -> bool {
        Strace::has_struck(&self.failpoint_log())
    }

    fn failpoint_log(&self) -> PathBuf {
        self.logs.join(format!("{}.failpoint", self.name))
    }

    fn command(&self) -> Command {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        self.postern.command(&arguments)
    }

    fn launch_as(&mut self, command: Command) -> Result<(), LabError> {
        self.kill_9()?;
        self.process = Some(Process::start(&self.name, command, &self.logs)?);
        Ok(())
    }

    /// Returns its status once it ended by itself.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be reaped.
    pub fn poll_end(&mut self) -> Result<Option<ExitStatus>, LabError> {
        self.process.as_mut().map_or(Ok(None), Process::poll_end)
    }

    /// Starts it where it must refuse, waits for its end, and returns its status and what this start printed.
    ///
    /// # Errors
    /// [`LabError::GaveUp`] when it does not end.
    pub fn start_refused(&mut self) -> Result<(ExitStatus, String), LabError> {
        self.kill_9()?;
        let before = self.log().len();
        self.launch()?;
        let status = match &mut self.process {
            Some(process) => process.wait_for_end()?,
            None => ExitStatus::default(),
        };
        let text = self.log().get(before..).unwrap_or_default().to_owned();
        Ok((status, text))
    }

    /// Ends it with SIGKILL, if it runs.
    ///
    /// # Errors
    /// [`LabError::Io`] when the signal cannot be sent.
    pub fn kill_9(&mut self) -> Result<(), LabError> {
        self.process
            .take()
            .map_or(Ok(()), |mut process| process.kill_9())
    }

    /// Ends it with SIGTERM, if it runs, and returns its status.
    ///
    /// # Errors
    /// [`LabError::GaveUp`] when it does not end.
    pub fn terminate(&mut self) -> Result<Option<ExitStatus>, LabError> {
        self.process
            .take()
            .map(|mut process| process.terminate())
            .transpose()
    }

    /// Returns the recorded process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Returns its log, over all starts.
    #[must_use]
    pub fn log(&self) -> String {
        read(&self.log_file())
    }

    /// Waits until `probe` finds something; it may look at files and logs.
    ///
    /// # Errors
    /// [`LabError::Ended`] when the process ends first or does not run, [`LabError::GaveUp`] when nothing comes.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        mut probe: impl FnMut() -> Option<T>,
    ) -> Result<T, LabError> {
        match &mut self.process {
            Some(process) => process.wait_for(what, |_process| probe()),
            None => Err(LabError::Ended {
                name: self.name.clone(),
                status: "not running".to_owned(),
                what: what.to_owned(),
                evidence: String::new(),
            }),
        }
    }

    fn starts(&self) -> usize {
        self.log().matches(self.marker).count()
    }

    fn log_file(&self) -> PathBuf {
        self.logs.join(format!("{}.err", self.name))
    }
}
