//! One device of a fleet: its folder, its process, and what it shows of itself.
//!
//! It refuses to look into the device's store: `status.json`, the rendered files and the log are what a supervisor
//! has, too.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::daemon::Daemon;
use super::local::{self, LocalAnswer};
use super::settings::DeviceSettings;
use crate::process::read;
use crate::{Binary, LabError};

/// What a device logs at start.
const STARTED: &str = "device started";

/// Position in a plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision {
    /// The writer's life.
    pub epoch: u64,
    /// The decision within it.
    pub seq: u64,
}

impl Revision {
    /// Reads `{"epoch": …, "seq": …}`, whatever else stands there.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        Some(Self {
            epoch: value.get("epoch")?.as_u64()?,
            seq: value.get("seq")?.as_u64()?,
        })
    }
}

/// A device in its folder, running or not.
#[derive(Debug)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// What it reads and shows.
    pub folder: DeviceFolder,
    /// Its process.
    pub daemon: Daemon,
    /// The program, in the namespace of devices.
    pub(super) postern: Binary,
}

/// The folder of a device, as a supervisor sees it.
#[derive(Clone, Debug)]
pub struct DeviceFolder {
    dir: PathBuf,
}

impl Device {
    /// Makes the folder and writes `device.toml`.
    pub(super) fn prepare(
        postern: &Binary,
        name: &str,
        parent: &Path,
        settings: &DeviceSettings,
    ) -> Result<Self, LabError> {
        let dir = parent.join(name);
        std::fs::create_dir(&dir).map_err(LabError::io(format!("make {}", dir.display())))?;
        let text = dir.to_string_lossy().into_owned();
        let arguments = ["device", "run", "--dir", &text];
        let device = Self {
            name: name.to_owned(),
            daemon: Daemon::new(postern, name, &arguments, STARTED, parent),
            folder: DeviceFolder { dir },
            postern: postern.clone(),
        };
        device.folder.configure(settings)?;
        Ok(device)
    }

    /// Waits until it has applied `revision` or a later one.
    ///
    /// # Errors
    /// As [`Daemon::wait_for`].
    pub fn wait_applied(&mut self, revision: Revision) -> Result<(), LabError> {
        self.wait_for(&format!("{revision:?} to be applied"), |folder| {
            let applied = folder.revision("applied")?;
            (applied >= revision).then_some(())
        })
    }

    /// Waits until a count in `status.json` is at least `least`.
    ///
    /// # Errors
    /// As [`Daemon::wait_for`].
    pub fn wait_count(&mut self, group: &str, name: &str, least: u64) -> Result<(), LabError> {
        self.wait_for(&format!("{least} of {group}/{name}"), |folder| {
            (folder.count(group, name) >= least).then_some(())
        })
    }

    /// Waits until `probe` finds something in its folder.
    ///
    /// # Errors
    /// As [`Daemon::wait_for`].
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        mut probe: impl FnMut(&DeviceFolder) -> Option<T>,
    ) -> Result<T, LabError> {
        let folder = &self.folder;
        let found = self.daemon.wait_for(what, || probe(folder));
        found.map_err(|error| match error {
            LabError::GaveUp { what, evidence } => LabError::GaveUp {
                what,
                evidence: format!("{evidence}\n--- status\n{:#}", folder.status()),
            },
            other @ (LabError::Io { .. }
            | LabError::Missing { .. }
            | LabError::Ended { .. }
            | LabError::Certificate(_)
            | LabError::Tls(_)
            | LabError::Pem(_)) => other,
        })
    }
}

impl DeviceFolder {
    /// Returns where it stands.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Replaces `device.toml`; read at the next start.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be written.
    pub fn configure(&self, settings: &DeviceSettings) -> Result<(), LabError> {
        self.write("device.toml", settings.to_toml())
    }

    /// Writes a file that only its owner may read.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<(), LabError> {
        let file = self.dir.join(name);
        let what = format!("write {}", file.display());
        let written = std::fs::write(&file, content)
            .and_then(|()| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)));
        written.map_err(LabError::io(what))
    }

    /// Returns the file in which the value of a path is rendered.
    #[must_use]
    pub fn rendered_file(&self, path: &str) -> PathBuf {
        self.dir.join("desired/current").join(path)
    }

    /// Returns the rendered value of a path, if there is one.
    #[must_use]
    pub fn rendered(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.rendered_file(path)).ok()
    }

    /// Returns the status: that of the running device, else `status.json` as it stands, `null` before there is one.
    /// The file may be a moment behind, and a start does not remove that of the last one.
    #[must_use]
    pub fn status(&self) -> Value {
        match self.ask("GET", "/v1/status", "") {
            Ok(answer) if answer.status == 200 => answer.json(),
            Ok(_) | Err(_) => {
                serde_json::from_str(&read(&self.dir.join("status.json"))).unwrap_or_default()
            }
        }
    }

    /// Asks the local API of the running device.
    ///
    /// # Errors
    /// [`LabError::Io`] when nobody listens or the answer is no HTTP.
    pub fn ask(&self, method: &str, resource: &str, body: &str) -> Result<LocalAnswer, LabError> {
        local::request(&self.dir.join("local.sock"), method, resource, body)
    }

    /// Returns the count of `name` below `group` (`rejected`, `refused_by_mailbox`, `failures`) in the status.
    #[must_use]
    pub fn count(&self, group: &str, name: &str) -> u64 {
        let status = self.status();
        let count = status.get(group).and_then(|group| group.get(name));
        count.and_then(Value::as_u64).unwrap_or_default()
    }

    /// Returns the revision below `cursor` (`accepted`, `applied`) in the status.
    #[must_use]
    pub fn revision(&self, cursor: &str) -> Option<Revision> {
        self.status().get(cursor).and_then(Revision::of)
    }
}
