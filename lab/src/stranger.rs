//! Devices that somebody else could have written: those of `interop-vectors/`, in Python and JavaScript, as processes.
//!
//! ```text
//!  Implementation ── join ──▶ Stranger ── run ──▶ proxy ──▶ the real controller or relay
//! ```
//!
//! Both take the same commands. What they hold is read from the files that they write for people. It refuses to
//! install anything: interpreter and packages are there, or the scenario is skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::{or_skip, read};
use crate::{Finished, Fleet, LabError, Process, config};

/// In which language a device was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `interop-vectors/python`.
    Python,
    /// `interop-vectors/js`.
    JavaScript,
}

/// An implementation that starts on this machine.
#[derive(Clone, Debug)]
pub struct Implementation {
    language: Language,
    /// The interpreter and its words before the command.
    words: Vec<PathBuf>,
    folder: PathBuf,
}

impl Implementation {
    /// Finds an implementation whose packages are there, or says loudly that `scenario` is skipped without it.
    ///
    /// # Errors
    /// [`LabError::Missing`] instead of `None` when `POSTERN_LAB_REQUIRED` is `1`; [`LabError::GaveUp`] when its child
    /// does not end.
    pub fn find_or_skip(scenario: &str, language: Language) -> Result<Option<Self>, LabError> {
        let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop-vectors");
        let found = match language {
            Language::Python => Self {
                language,
                words: vec![
                    config::unpacked("venv").join("bin/python3"),
                    "-m".into(),
                    "postern_device".into(),
                ],
                folder: vectors.join("python"),
            },
            Language::JavaScript => Self {
                language,
                words: vec!["node".into(), vectors.join("js/cli.js")],
                folder: vectors.join("js"),
            },
        };
        or_skip(scenario, found.checked())
    }

    /// Tries whether it starts: a child without requests ends at once.
    fn checked(self) -> Result<Self, LabError> {
        let status = self.command(&["child".into()]).output().map(|it| it.status);
        if status.is_ok_and(|status| status.success()) {
            return Ok(self);
        }
        Err(LabError::Missing {
            what: "an interpreter of another device, or its packages",
            path: self.folder,
            remedy: "run `./test`, which fetches the packages of both",
        })
    }

    fn command(&self, arguments: &[String]) -> Command {
        let (program, words) = match self.words.split_first() {
            Some((program, words)) => (program.as_path(), words),
            None => unreachable!("both implementations have an interpreter"),
        };
        let mut command = Command::new(program);
        command.args(words).args(arguments);
        command.stdin(std::process::Stdio::null());
        command.current_dir(&self.folder);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command
                .env_remove(name)
                .env_remove(name.to_ascii_uppercase());
        }
        command
    }

    /// Invites a device and joins it in a folder of the fleet, by a proxy that signs with the authority in `ca`; it
    /// does not run yet.
    ///
    /// # Errors
    /// [`LabError::Ended`] with its standard error when joining fails.
    pub fn join(
        self,
        fleet: &Fleet,
        name: &str,
        proxy: &str,
        ca: &Path,
    ) -> Result<Stranger, LabError> {
        let dir = fleet.path().join(name);
        let shown = |path: &Path| path.display().to_string();
        let words = ["--dir", &shown(&dir), "--proxy", proxy, "--ca", &shown(ca)];
        let stranger = Stranger {
            name: name.to_owned(),
            way: words.map(str::to_owned).to_vec(),
            logs: fleet.path().to_path_buf(),
            implementation: self,
            dir,
            process: None,
        };
        let line = fleet.invite(name)?;
        let command = stranger.command("join");
        let joining = format!("{name}-join");
        let joined = Process::run(&joining, command, &stranger.logs, line.as_bytes())?;
        succeeded(&joining, &joined)?;
        Ok(stranger)
    }
}

fn succeeded(name: &str, finished: &Finished) -> Result<(), LabError> {
    if finished.status.success() {
        return Ok(());
    }
    Err(LabError::Ended {
        name: name.to_owned(),
        status: finished.status.to_string(),
        what: "a device to join".to_owned(),
        evidence: finished.stderr.clone(),
    })
}

/// A device of another implementation in its folder, running or not; killed when dropped.
#[derive(Debug)]
pub struct Stranger {
    name: String,
    implementation: Implementation,
    way: Vec<String>,
    dir: PathBuf,
    logs: PathBuf,
    process: Option<Process>,
}

impl Stranger {
    fn command(&self, command: &str) -> Command {
        let words = [&[command.to_owned()], self.way.as_slice()].concat();
        self.implementation.command(&words)
    }

    /// Starts it; what it prints goes to one log over all starts.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be started.
    pub fn start(&mut self) -> Result<(), LabError> {
        let process = Process::start(&self.name, self.command("run"), &self.logs)?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it with SIGKILL, if it runs.
    ///
    /// # Errors
    /// [`LabError::Io`] when the signal cannot be sent.
    pub fn kill_9(&mut self) -> Result<(), LabError> {
        match self.process.take() {
            Some(mut process) => process.kill_9(),
            None => Ok(()),
        }
    }

    /// Returns the value at a path of the state that it applied.
    #[must_use]
    pub fn value(&self, path: &str) -> Option<Value> {
        let shown: Value = serde_json::from_str(&read(&self.dir.join("desired.json"))).ok()?;
        let values = match self.implementation.language {
            Language::Python => &shown,
            Language::JavaScript => shown.get("values")?,
        };
        values.get(path).cloned()
    }

    /// Returns how often it counted a reject since it joined or, in Python, since it was started.
    #[must_use]
    pub fn rejects(&self, name: &str) -> u64 {
        match self.implementation.language {
            Language::Python => {
                let shown: Value =
                    serde_json::from_str(&read(&self.dir.join("status.json"))).unwrap_or_default();
                let count = shown.get("rejects").and_then(|rejects| rejects.get(name));
                count.and_then(Value::as_u64).unwrap_or_default()
            }
            Language::JavaScript => {
                let log = read(&self.logs.join(format!("{}.err", self.name)));
                let events = log
                    .lines()
                    .filter_map(|line| serde_json::from_str(line).ok());
                let is_it = |event: &Value| {
                    event.get("event").is_some_and(|kind| kind == "reject")
                        && event.get("reason").is_some_and(|reason| reason == name)
                };
                events.filter(is_it).map(|_event| 1).sum()
            }
        }
    }

    /// Waits until `probe` finds something in what it shows.
    ///
    /// # Errors
    /// [`LabError::Ended`] when it ends first or does not run, [`LabError::GaveUp`] when nothing comes.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        mut probe: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, LabError> {
        let Some(mut process) = self.process.take() else {
            return Err(LabError::Ended {
                name: self.name.clone(),
                status: "no start".to_owned(),
                what: what.to_owned(),
                evidence: String::new(),
            });
        };
        let found = process.wait_for(what, |_process| probe(self));
        self.process = Some(process);
        found
    }
}
