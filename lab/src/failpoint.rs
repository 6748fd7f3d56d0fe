//! Failpoints without code: Debian's strace lets the nth call of one kind of a release binary end the process, or fail.
//!
//! ```text
//!  Daemon::launch_at ──▶ strace -D ──▶ the release binary, the test's own child
//!                           └── stands beside it, counts one call, strikes before its nth
//! ```
//!
//! The binary is the one that ships, and a call that is never reached strikes nobody: [`Strace::has_struck`] tells. It
//! refuses to look for the program in a folder that a test made, and to trace what the test did not start.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{or_skip, read};
use crate::{LabError, Process, config};

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// The process ends with SIGKILL; the call does nothing.
    Kill,
    /// The call does nothing and returns this error, such as `EIO`.
    Error(&'static str),
}

/// One call of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failpoint {
    /// The system call, such as `fdatasync`.
    pub call: &'static str,
    /// Which of them, from 1. Threads count for themselves.
    pub nth: u32,
    /// What happens at it.
    pub blow: Blow,
}

/// The program that strikes.
#[derive(Clone, Debug)]
pub struct Strace {
    program: PathBuf,
    libraries: Option<PathBuf>,
}

impl Strace {
    /// Finds it among the machine's programs or where `./test` unpacked it, or says loudly that `scenario` is skipped.
    ///
    /// # Errors
    /// [`LabError::Missing`] instead of `None` when `POSTERN_LAB_REQUIRED` is `1`.
    pub fn find_or_skip(scenario: &str) -> Result<Option<Self>, LabError> {
        or_skip(scenario, Self::find())
    }

    fn find() -> Result<Self, LabError> {
        let root = config::unpacked("strace");
        let installed = config::program_folders()
            .into_iter()
            .map(|folder| folder.join("strace"))
            .find(|program| program.is_file());
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let strace = installed.map_or_else(
            || Self {
                program: root.join("usr/bin/strace"),
                libraries: Some(root.join(libraries)),
            },
            |program| Self {
                program,
                libraries: None,
            },
        );
        let mut probe = strace.command();
        let traced = probe.args(["-qqq", "-e", "trace=none", "true"]).output();
        if traced.is_ok_and(|output| output.status.success()) {
            return Ok(strace);
        }
        Err(LabError::Missing {
            what: "a strace that may trace",
            path: strace.program,
            remedy: "run `./test`, which unpacks it, where processes may be traced",
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
            // For strace alone: what it traces has the machine's.
            command.args(["-E", "LD_LIBRARY_PATH"]);
        }
        command
    }

    /// Prepares a command that meets a failpoint; what was struck stands in `log`.
    #[must_use]
    pub fn wrap(&self, command: &Command, failpoint: Failpoint, log: &Path) -> Command {
        let mut wrapped = self.command();
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        // -D: the traced process stays the child of who starts it, and is ended by its own id.
        wrapped.args(["-D", "-f", "-qqq"]);
        wrapped.args(Self::expressions(failpoint)).arg("-o");
        wrapped.arg(log).arg(command.get_program());
        wrapped.args(command.get_args());
        wrapped
    }

    /// Stands beside a process that runs already, and what it starts from now on: calls count from here.
    ///
    /// # Errors
    /// [`LabError::Ended`] when it may not; [`LabError::GaveUp`] when it does not say that it does.
    pub fn attach(
        &self,
        pid: u32,
        failpoint: Failpoint,
        log: &Path,
        folder: &Path,
    ) -> Result<Process, LabError> {
        let mut command = self.command();
        command.args(["-f", "-p", &pid.to_string()]);
        command
            .args(Self::expressions(failpoint))
            .arg("-o")
            .arg(log);
        let mut strace = Process::start("strace", command, folder)?;
        strace.wait_for(&format!("strace to attach to {pid}"), |strace| {
            let attached = format!("Process {pid} attached");
            strace.stderr().contains(&attached).then_some(())
        })?;
        Ok(strace)
    }

    fn expressions(failpoint: Failpoint) -> [String; 4] {
        let Failpoint { call, nth, blow } = failpoint;
        let blow = match blow {
            Blow::Kill => "signal=KILL".to_owned(),
            Blow::Error(error) => format!("error={error}"),
        };
        let option = || "-e".to_owned();
        let inject = format!("inject={call}:{blow}:when={nth}");
        [option(), format!("trace={call}"), option(), inject]
    }

    /// Whether a failpoint that wrote to `log` was reached.
    #[must_use]
    pub fn has_struck(log: &Path) -> bool {
        let text = read(log);
        text.contains("(INJECTED)") || text.contains("killed by SIGKILL")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strike(blow: Blow, nth: u32) -> Option<(bool, std::process::ExitStatus)> {
        let strace = Strace::find_or_skip("failpoints").unwrap()?;
        let folder = crate::Folder::new().unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new("mkdir");
        command.arg(folder.path().join("new"));
        let failpoint = Failpoint {
            call: "mkdir",
            nth,
            blow,
        };
        let mut child = strace.wrap(&command, failpoint, &log).spawn().unwrap();
        let status = child.wait().unwrap();
        let made = folder.path().join("new").exists();
        Some((made, status))
    }

    #[test]
    fn failpoint_strikes_before_its_call_and_nobody_where_it_is_not_reached() {
        let Some((made, status)) = strike(Blow::Kill, 1) else {
            return;
        };
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(9)
        );
        assert!(!made, "the call did nothing");
        let (made, status) = strike(Blow::Error("ENOSPC"), 1).unwrap();
        assert!(!made && !status.success(), "{status}");
        let (made, status) = strike(Blow::Kill, 2).unwrap();
        assert!(made && status.success(), "{status}");
    }
}
