//! A controller and its devices as real processes of the release binary, in one temporary folder.
//!
//! ```text
//!  Fleet ── init, run ──▶ controller (a Daemon, its folder, one port for its whole life)
//!    ├── operate(["desired", "set", …]) ──▶ operator command, run to its end
//!    └── device(name, settings) ── invite, join ──▶ Device (a Daemon, its folder, status.json)
//! ```
//!
//! Everything is observed from outside: exit codes, printed JSON, `status.json`, rendered files and logs. It refuses
//! to look into a store and to wait without a condition.

mod daemon;
mod device;
pub mod local;
mod operator;
mod relay;
mod settings;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

pub use daemon::Daemon;
pub use device::{Device, DeviceFolder, Revision};
pub use local::LocalAnswer;
pub use operator::Operator;
pub use relay::Relay;
pub use settings::DeviceSettings;

use crate::dated::Month;
use crate::netns::{Namespace, Site};
use crate::{Binary, DatedPki, Finished, Folder, LabError, Process, free_address, wait};

/// What the controller prints once devices and operators can reach it.
const READY: &str = "controller ready:";

/// One controller and the folder in which it and its devices live; everything ends when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    /// The controller's process.
    pub controller: Daemon,
    postern: Binary,
    /// The same program where devices run.
    device_postern: Binary,
    address: SocketAddr,
    url: String,
    commands: AtomicU64,
    /// Declared last: removed after the controller ended.
    folder: Folder,
}

impl Fleet {
    /// Makes and starts a controller that devices reach as `host` (`localhost`, or a name only a proxy resolves), or
    /// says loudly that `scenario` is skipped without the release binary.
    ///
    /// # Errors
    /// [`LabError::Ended`] when a command fails or the controller refuses to start.
    pub fn start_or_skip(scenario: &str, host: &str) -> Result<Option<Self>, LabError> {
        let address = free_address()?;
        let url = format!("https://{host}:{}", address.port());
        Self::start_at(scenario, None, address, url, &[])
    }

    /// As [`Fleet::start_or_skip`], with the controller outside of a site at `listen`, under `url`, and all devices
    /// inside.
    ///
    /// # Errors
    /// As [`Fleet::start_or_skip`].
    pub fn start_outside_or_skip(
        scenario: &str,
        site: &Site,
        listen: SocketAddr,
        url: &str,
    ) -> Result<Option<Self>, LabError> {
        Self::start_at(scenario, Some(site), listen, url.to_owned(), &[])
    }

    /// As [`Fleet::start_or_skip`], for a controller that only dials out, to a relay that comes later.
    ///
    /// # Errors
    /// As [`Fleet::start_or_skip`].
    pub fn start_dialling_or_skip(scenario: &str) -> Result<Option<Self>, LabError> {
        let address = free_address()?;
        Self::start_at(scenario, None, address, String::new(), &["--no-listen"])
    }

    /// As [`Fleet::start_or_skip`], for a controller whose join lines name a front at `front` on this machine. The
    /// front is the caller's, and may start later.
    ///
    /// # Errors
    /// As [`Fleet::start_or_skip`].
    pub fn start_behind_or_skip(
        scenario: &str,
        front: SocketAddr,
    ) -> Result<Option<Self>, LabError> {
        let url = format!("https://localhost:{}", front.port());
        Self::start_at(scenario, None, free_address()?, url, &[])
    }

    fn start_at(
        scenario: &str,
        site: Option<&Site>,
        address: SocketAddr,
        url: String,
        instead: &[&str],
    ) -> Result<Option<Self>, LabError> {
        let Some(postern) = Binary::postern_or_skip(scenario)? else {
            return Ok(None);
        };
        let folder = Folder::new()?;
        let dir = folder.path().join("controller").display().to_string();
        let run = ["controller", "run", "--dir", &dir];
        let within = |place: fn(&Site) -> &Namespace| {
            site.map_or_else(|| postern.clone(), |site| postern.inside(place(site)))
        };
        let outside = within(|site| &site.outside);
        let mut fleet = Self {
            controller: Daemon::new(&outside, "controller", &run, READY, folder.path()),
            device_postern: within(|site| &site.device),
            postern,
            address,
            url,
            commands: AtomicU64::new(0),
            folder,
        };
        let (listen, url) = (fleet.address.to_string(), fleet.url());
        let init = ["controller", "init", "--listen", &listen, "--url", &url];
        let init = match instead {
            [] => init.to_vec(),
            instead => [&["controller", "init"], instead].concat(),
        };
        fleet.must(&init)?;
        fleet.controller.start()?;
        Ok(Some(fleet))
    }

    /// Hands the controller's process over, so that one thread can kill it while others operate; ends with it.
    #[must_use]
    pub fn take_controller(&mut self) -> Daemon {
        let idle = self.controller.idle_copy();
        std::mem::replace(&mut self.controller, idle)
    }

    /// Returns where the controller listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL in its join lines.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Returns the folder in which it and its devices live.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the controller's folder.
    #[must_use]
    pub fn controller_dir(&self) -> PathBuf {
        self.path().join("controller")
    }

    /// Returns the certificate of the controller's TLS authority: what a proxy needs on its far side.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be read.
    pub fn ca_pem(&self) -> Result<String, LabError> {
        let file = self.controller_dir().join("tls/ca.crt");
        std::fs::read_to_string(&file).map_err(LabError::io(format!("read {}", file.display())))
    }

    /// Runs a command on the controller's folder to its end, with nothing on standard input.
    ///
    /// # Errors
    /// [`LabError::GaveUp`] when it does not end. A refusal is data: see [`Finished::status`].
    pub fn operate(&self, arguments: &[&str]) -> Result<Finished, LabError> {
        self.run(arguments, &self.controller_dir(), b"")
    }

    /// As [`Fleet::operate`], and the command must succeed; returns its standard output.
    ///
    /// # Errors
    /// [`LabError::Ended`] with its standard error when it fails.
    pub fn must(&self, arguments: &[&str]) -> Result<String, LabError> {
        succeeded(arguments, self.operate(arguments)?)
    }

    /// Decides a value (JSON, or plain text for the program to judge) and returns the revision.
    ///
    /// # Errors
    /// As [`Fleet::must`]; [`LabError::Io`] when no revision is printed.
    pub fn set(&self, device: &str, path: &str, value: &str) -> Result<Revision, LabError> {
        self.decide(&["desired", "set", device, path, value])
    }

    /// Runs a command that decides, with `--json`, and returns the revision that it prints.
    ///
    /// # Errors
    /// As [`Fleet::set`].
    pub fn decide(&self, arguments: &[&str]) -> Result<Revision, LabError> {
        let printed = self.must(&[arguments, &["--json"]].concat())?;
        let desired = parse(&printed)?.get("desired").and_then(Revision::of);
        desired.ok_or_else(|| invalid("find a revision", &printed))
    }

    /// Returns what the controller knows of a device: its object in `postern status --json`.
    ///
    /// # Errors
    /// As [`Fleet::must`]; [`LabError::Io`] when no such object is printed.
    pub fn status(&self, device: &str) -> Result<Value, LabError> {
        let printed = self.must(&["status", device, "--json"])?;
        let found = parse(&printed)?.pointer("/devices/0").cloned();
        found.ok_or_else(|| invalid("find a device", &printed))
    }

    /// Waits until the controller's status of a device says that it converged, and returns that status.
    ///
    /// # Errors
    /// [`LabError::GaveUp`] when it never does; as [`Fleet::status`].
    pub fn wait_converged(&self, device: &str) -> Result<Value, LabError> {
        let converged = |status: &Value| status.get("converged") == Some(&Value::Bool(true));
        wait::until(&format!("{device} to converge"), || {
            Ok(Some(self.status(device)?).filter(converged))
        })
    }

    /// Gives commands and devices from now on more in their environment.
    pub fn set_environment(&mut self, more: Vec<(String, String)>) {
        self.postern = self.postern.clone().with_environment(more.clone());
        self.device_postern = self.device_postern.clone().with_environment(more);
    }

    /// Opens a connection for many decisions, as a program that operates the fleet has.
    ///
    /// # Errors
    /// [`LabError::Io`] when the controller does not run.
    pub fn operator(&self) -> Result<Operator, LabError> {
        Operator::connect(&self.controller_dir())
    }

    /// Invites a device and returns its join line.
    ///
    /// # Errors
    /// As [`Fleet::must`].
    pub fn invite(&self, device: &str) -> Result<String, LabError> {
        self.must(&["controller", "invite", device])
    }

    /// Invites a device and joins it; it does not run yet.
    ///
    /// # Errors
    /// [`LabError::Ended`] with its standard error when joining fails.
    pub fn device(&self, name: &str, settings: &DeviceSettings) -> Result<Device, LabError> {
        let (device, joined) = self.try_join(name, settings, |_folder| Ok(()))?;
        succeeded(&["device", "join"], joined)?;
        Ok(device)
    }

    /// Invites a device whose every process has a clock that starts at `moment` (UTC), and joins it; or says loudly that
    /// `scenario` is skipped without Debian's faketime.
    ///
    /// # Errors
    /// As [`Fleet::device`] and [`Binary::at_or_skip`].
    pub fn device_at_or_skip(
        &self,
        scenario: &str,
        name: &str,
        moment: &str,
    ) -> Result<Option<Device>, LabError> {
        let Some(postern) = self.postern.at_or_skip(scenario, moment)? else {
            return Ok(None);
        };
        let line = self.invite(name)?;
        let settings = DeviceSettings::direct();
        let device = Device::prepare(&postern, name, self.path(), &settings)?;
        let arguments = ["device", "join"];
        let dir = device.folder.path();
        let joined = self.run_by(&postern, &arguments, dir, line.as_bytes())?;
        succeeded(&arguments, joined)?;
        Ok(Some(device))
    }

    /// Lets the controller show a certificate of another authority for `localhost`, valid from one month to another, and
    /// starts it anew. Join lines from now on carry that authority.
    ///
    /// # Errors
    /// [`LabError::Io`] when a file cannot be written; [`LabError::Ended`] when the controller does not start.
    pub fn show_certificate(
        &mut self,
        pki: &DatedPki,
        from: Month,
        until: Month,
    ) -> Result<(), LabError> {
        let shown = pki.server("localhost", from, until)?;
        let folder = self.controller_dir().join("tls");
        for (name, content) in [
            ("ca.crt", pki.ca_pem()),
            ("server.crt", &shown.certificate_pem),
            ("server.key", &shown.key_pem),
        ] {
            let file = folder.join(name);
            let written = std::fs::write(&file, content);
            written.map_err(LabError::io(format!("write {}", file.display())))?;
        }
        self.controller.start()
    }

    /// Invites a device, lets `prepare` write files into its folder, and tries to join it.
    ///
    /// # Errors
    /// As [`Fleet::must`]. A join that is refused is data: see [`Finished::status`].
    pub fn try_join(
        &self,
        name: &str,
        settings: &DeviceSettings,
        prepare: impl FnOnce(&DeviceFolder) -> Result<(), LabError>,
    ) -> Result<(Device, Finished), LabError> {
        let line = self.invite(name)?;
        let device = Device::prepare(&self.device_postern, name, self.path(), settings)?;
        prepare(&device.folder)?;
        let joined = self.join(&device, &line)?;
        Ok((device, joined))
    }

    /// Tries to join a device by a line.
    ///
    /// # Errors
    /// [`LabError::GaveUp`] when the command does not end.
    pub fn join(&self, device: &Device, line: &str) -> Result<Finished, LabError> {
        let (postern, dir) = (&device.postern, device.folder.path());
        self.run_by(postern, &["device", "join"], dir, line.as_bytes())
    }

    /// Runs a command on a device's folder to its end, with nothing on standard input.
    ///
    /// # Errors
    /// As [`Fleet::operate`].
    pub fn on_device(&self, device: &Device, arguments: &[&str]) -> Result<Finished, LabError> {
        self.run_by(&device.postern, arguments, device.folder.path(), b"")
    }

    fn run(&self, arguments: &[&str], dir: &Path, input: &[u8]) -> Result<Finished, LabError> {
        self.run_by(&self.postern, arguments, dir, input)
    }

    fn run_by(
        &self,
        postern: &Binary,
        arguments: &[&str],
        dir: &Path,
        input: &[u8],
    ) -> Result<Finished, LabError> {
        let dir = dir.to_string_lossy();
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        let command = postern.command(&[arguments, &["--dir", &*dir]].concat());
        Process::run(&format!("command-{number}"), command, self.path(), input)
    }
}

fn succeeded(arguments: &[&str], finished: Finished) -> Result<String, LabError> {
    if finished.status.success() {
        return Ok(finished.stdout);
    }
    Err(LabError::Ended {
        name: arguments.join(" "),
        status: finished.status.to_string(),
        what: "success".to_owned(),
        evidence: format!("{}{}", finished.stdout, finished.stderr),
    })
}

fn parse(text: &str) -> Result<Value, LabError> {
    serde_json::from_str(text).map_err(|error| invalid(&format!("read JSON ({error})"), text))
}

fn invalid(what: &str, text: &str) -> LabError {
    LabError::io(format!("{what} in {text:?}"))(std::io::ErrorKind::InvalidData.into())
}
