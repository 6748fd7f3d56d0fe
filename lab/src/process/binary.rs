//! The release binary under test. It is found, never built: a test that builds would hide what is tested.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::netns::{Namespace, command_inside};
use crate::{LabError, config};

const POSTERN_REMEDY: &str = "run `cargo build --release -p postern-daemon` or set POSTERN_BIN";
const RELAY_REMEDY: &str =
    "run `cargo build --release -p postern-relay-command` or set POSTERN_RELAY_BIN";

/// A release binary: `postern` or `postern-relay`.
#[derive(Clone, Debug)]
pub struct Binary {
    path: PathBuf,
    /// Set for every command beside what the scenario inherits.
    environment: Vec<(String, String)>,
    /// The namespace in which it runs; this process's own when there is none.
    namespace: Option<String>,
}

impl Binary {
    /// Finds the release binary: `POSTERN_BIN`, or `target/release/postern`.
    ///
    /// # Errors
    /// [`LabError::Missing`] with the command that builds it.
    pub fn postern() -> Result<Self, LabError> {
        Self::at(config::postern_binary(), POSTERN_REMEDY)
    }

    /// Finds the release binary, or says loudly that `scenario` is skipped without it.
    ///
    /// # Errors
    /// [`LabError::Missing`] instead of `None` when `POSTERN_LAB_REQUIRED` is `1`.
    pub fn postern_or_skip(scenario: &str) -> Result<Option<Self>, LabError> {
        or_skip(scenario, Self::postern())
    }

    /// As [`Binary::postern_or_skip`], for the relay: `POSTERN_RELAY_BIN`, or `target/release/postern-relay`.
    ///
    /// # Errors
    /// As [`Binary::postern_or_skip`].
    pub fn relay_or_skip(scenario: &str) -> Result<Option<Self>, LabError> {
        or_skip(scenario, Self::at(config::relay_binary(), RELAY_REMEDY))
    }

    fn at(path: PathBuf, remedy: &'static str) -> Result<Self, LabError> {
        if path.is_file() {
            return Ok(Self {
                path,
                environment: Vec::new(),
                namespace: None,
            });
        }
        Err(LabError::Missing {
            what: "the release binary",
            path,
            remedy,
        })
    }

    /// Returns the same program with a wall clock that starts at `moment`, such as `1970-01-02 00:00:00` (UTC), and goes
    /// on from there; or says loudly that `scenario` is skipped without Debian's faketime.
    ///
    /// # Errors
    /// [`LabError::Missing`] instead of `None` when `POSTERN_LAB_REQUIRED` is `1`.
    pub fn at_or_skip(&self, scenario: &str, moment: &str) -> Result<Option<Self>, LabError> {
        let library = or_skip(scenario, faketime())?;
        Ok(library.map(|library| Self {
            environment: vec![
                ("LD_PRELOAD".to_owned(), library.display().to_string()),
                ("FAKETIME".to_owned(), format!("@{moment}")),
                ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
                ("TZ".to_owned(), "UTC".to_owned()),
            ],
            ..self.clone()
        }))
    }

    /// Returns the same program, run inside a namespace.
    #[must_use]
    pub fn inside(&self, namespace: &Namespace) -> Self {
        Self {
            namespace: Some(namespace.name().to_owned()),
            ..self.clone()
        }
    }

    /// Returns where it stands.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the same program with more in its environment.
    #[must_use]
    pub fn with_environment(mut self, more: Vec<(String, String)>) -> Self {
        self.environment = more;
        self
    }

    /// Prepares a command line with `arguments`, and an environment without proxies, log settings or the lab's own
    /// variables, so that a scenario sees only what it sets itself.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.namespace {
            None => Command::new(&self.path),
            Some(namespace) => command_inside(namespace, &self.path),
        };
        command.args(arguments);
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command
                .env_remove(name)
                .env_remove(name.to_ascii_uppercase());
        }
        for name in [
            "RUST_LOG",
            "POSTERN_BIN",
            "POSTERN_RELAY_BIN",
            "POSTERN_SQUID_ROOT",
            "POSTERN_APACHE_ROOT",
            "POSTERN_FAKETIME_ROOT",
            "POSTERN_KRB5_ROOT",
            "POSTERN_SAMBA_ROOT",
            "POSTERN_CACHE",
            "KRB5CCNAME",
            "KRB5_CLIENT_KTNAME",
            "KRB5_CONFIG",
            "POSTERN_LAB_REQUIRED",
        ] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Finds the library that fakes the clock of one process.
fn faketime() -> Result<PathBuf, LabError> {
    let root = config::faketime_root();
    let libraries = std::fs::read_dir(root.join("usr/lib"))
        .into_iter()
        .flatten();
    let found = libraries
        .filter_map(Result::ok)
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file());
    found.ok_or(LabError::Missing {
        what: "Debian's faketime",
        path: root,
        remedy: "run `./test`, which unpacks it, or set POSTERN_FAKETIME_ROOT",
    })
}

/// Turns a missing part into a loud skip, unless the lab is required.
///
/// The line goes past the capture of the test runner, so that a passing run still shows what it did not test.
pub(crate) fn or_skip<T>(
    scenario: &str,
    found: Result<T, LabError>,
) -> Result<Option<T>, LabError> {
    match found {
        Ok(part) => Ok(Some(part)),
        Err(error @ LabError::Missing { .. }) if !config::lab_is_required() => {
            say_skipped(scenario, &error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Says that a scenario is skipped: also where nothing can provide what is missing.
pub(crate) fn say_skipped(scenario: &str, error: &LabError) {
    // A closed standard error is no reason to fail a test.
    // One write, on a line of its own: the runner prints its own lines from other threads.
    let line = format!("\nSKIPPED: {scenario} ({error})\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_that_is_missing_names_the_build_command() {
        let error = Binary::at(PathBuf::from("/nonexistent/postern"), POSTERN_REMEDY)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("cargo build --release -p postern-daemon"),
            "{error}"
        );
    }

    #[test]
    fn command_of_the_binary_sees_no_proxy() {
        let binary = Binary {
            path: PathBuf::from("/bin/true"),
            environment: Vec::new(),
            namespace: None,
        };
        let command = binary.command(&["status"]);
        let removed = |name: &str| {
            command
                .get_envs()
                .any(|(key, value)| key == name && value.is_none())
        };
        for name in [
            "https_proxy",
            "HTTPS_PROXY",
            "NO_PROXY",
            "all_proxy",
            "RUST_LOG",
        ] {
            assert!(removed(name), "{name}");
        }
    }
}
