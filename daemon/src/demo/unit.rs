//! One device of the demo: its folder, its process, and what it says about itself.
//!
//! `status.json` counts from the start of a process; what earlier processes counted is added here.
//! Refuses to take that file for the truth about the state: digests come from signed reports.

use super::process::Process;
use crate::exit::CommandError;
use postern_protocol::id::DeviceName;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How a device reaches the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By itself.
    Direct,
    /// Through the inspecting proxy.
    Inspected,
    /// Through the inspecting proxy, with a password.
    InspectedWithPassword,
}

/// What a device counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Bytes on its sockets.
    pub(super) bytes_up: u64,
    /// Bytes on its sockets.
    pub(super) bytes_down: u64,
    /// What it refused, by name of the reject.
    pub(super) rejected: BTreeMap<String, u64>,
}

/// What a running device says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Sequence number of the newest revision that it applied.
    pub(super) applied_seq: Option<u64>,
    /// The word for its way.
    pub(super) route: String,
    /// Counts of this process.
    pub(super) counts: Counts,
}

/// One device.
#[derive(Debug)]
pub(super) struct Unit {
    /// Its name.
    pub(super) name: DeviceName,
    /// Its way.
    pub(super) way: Way,
    /// Its folder.
    pub(super) dir: PathBuf,
    /// Where its processes log.
    pub(super) log: PathBuf,
    /// Its process, while there is one.
    pub(super) process: Option<Process>,
    /// Processes that were started after one was killed.
    pub(super) restarts: u64,
    /// What ended processes counted.
    pub(super) counted: Counts,
}

impl Unit {
    /// Reads the device's own status; defaults while it has not written any.
    pub(super) fn status(&self) -> Status {
        let text = std::fs::read_to_string(self.status_file()).unwrap_or_default();
        let mut status = Status::parse(&text).unwrap_or_default();
        status.counts.add(&self.counted);
        status
    }

    fn status_file(&self) -> PathBuf {
        self.dir.join("status.json")
    }

    /// Kills the process by its recorded id and keeps what it counted.
    ///
    /// # Errors
    /// It did not run.
    pub(super) async fn kill(&mut self) -> Result<(), CommandError> {
        let failed = |error: std::io::Error| {
            let message = format!("{} cannot be killed: {error}", self.name);
            CommandError::failure("demo-kill", message, "look at its log")
        };
        let Some(process) = self.process.take() else {
            return Err(failed(std::io::ErrorKind::NotFound.into()));
        };
        process.kill().await.map_err(failed)?;
        self.counted = self.status().counts;
        // The next process writes its own; until then there is nothing to show.
        let _absent = std::fs::remove_file(self.status_file());
        Ok(())
    }

    /// Tells whether its process runs.
    pub(super) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }
}

impl Status {
    /// Reads `status.json`; `None` when it is none.
    fn parse(text: &str) -> Option<Self> {
        let json: Json = serde_json::from_str(text).ok()?;
        let number = |pointer: &str| json.pointer(pointer).and_then(Json::as_u64);
        let text = |pointer: &str| {
            let text = json.pointer(pointer).and_then(Json::as_str);
            text.unwrap_or_default().to_owned()
        };
        let rejected = json.get("rejected").and_then(Json::as_object);
        let rejected = rejected.into_iter().flatten();
        Some(Self {
            applied_seq: number("/applied/seq").filter(|seq| *seq > 0),
            route: text("/route"),
            counts: Counts {
                bytes_up: number("/bytes_up")?,
                bytes_down: number("/bytes_down")?,
                rejected: rejected
                    .filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)))
                    .collect(),
            },
        })
    }
}

impl Counts {
    /// Adds what was counted elsewhere.
    pub(super) fn add(&mut self, other: &Self) {
        self.bytes_up = self.bytes_up.saturating_add(other.bytes_up);
        self.bytes_down = self.bytes_down.saturating_add(other.bytes_down);
        for (name, count) in &other.rejected {
            *self.rejected.entry(name.clone()).or_default() += count;
        }
    }

    /// Returns how often a reject was counted.
    pub(super) fn rejected(&self, name: &str) -> u64 {
        self.rejected.get(name).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Status};
    use std::collections::BTreeMap;

    const FULL: &str = r#"{"applied":{"epoch":5,"seq":4},"route":"proxy",
        "bytes_up":10,"bytes_down":20,"rejected":{"session-mac":1}}"#;

    fn counts(up: u64, down: u64, rejected: &[(&str, u64)]) -> Counts {
        let rejected = rejected
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        Counts {
            bytes_up: up,
            bytes_down: down,
            rejected: rejected.collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn status_file_is_read() {
        let status = Status::parse(FULL).unwrap();
        assert_eq!(
            (status.applied_seq, status.route.as_str()),
            (Some(4), "proxy")
        );
        assert_eq!(status.counts, counts(10, 20, &[("session-mac", 1)]));
    }

    #[test]
    fn status_of_a_device_that_holds_nothing_has_no_number() {
        let text = FULL.replace("\"seq\":4", "\"seq\":0");
        let status = Status::parse(&text).unwrap();
        assert_eq!(status.applied_seq, None);
    }

    #[test]
    fn other_files_are_no_status() {
        for text in [
            "",
            "{",
            "[]",
            "{}",
            "null",
            r#"{"bytes_up":1}"#,
            r#"{"bytes_up":-1,"bytes_down":1}"#,
        ] {
            assert_eq!(Status::parse(text), None, "{text}");
        }
    }

    #[test]
    fn counts_of_processes_add_up() {
        let mut sum = counts(1, 2, &[("session-mac", 1), ("base-newer", 2)]);
        sum.add(&counts(10, u64::MAX, &[("session-mac", 4), ("quota", 1)]));
        let expected = counts(
            11,
            u64::MAX,
            &[("base-newer", 2), ("quota", 1), ("session-mac", 5)],
        );
        assert_eq!(sum, expected);
        assert_eq!((sum.rejected("session-mac"), sum.rejected("shape")), (5, 0));
    }
}
