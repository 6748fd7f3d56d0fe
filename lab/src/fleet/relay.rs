//! A relay of the release binary for a fleet whose controller only dials out.
//!
//! ```text
//!  controller trust ──▶ postern-relay init ──▶ relay line ──▶ controller relay add
//! ```
//!
//! It refuses to look into the relay's store: whether it serves is seen at its port.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};

use super::{Daemon, Fleet, succeeded};
use crate::netns::Site;
use crate::{Binary, Finished, LabError, Process, free_address, wait};

/// What a relay prints once everybody can reach it.
const READY: &str = "relay ready:";

/// A relay in its folder, running or not.
#[derive(Debug)]
pub struct Relay {
    /// Its process.
    pub daemon: Daemon,
    address: SocketAddr,
    dir: PathBuf,
    line: String,
    binary: Binary,
}

impl Relay {
    /// Makes a relay in the fleet's folder, starts it and names it in the fleet's bundle, or says loudly that
    /// `scenario` is skipped without the release binary.
    ///
    /// # Errors
    /// [`LabError::Ended`] when a command fails or the relay refuses to start.
    pub fn start_or_skip(scenario: &str, fleet: &Fleet) -> Result<Option<Self>, LabError> {
        let Some(binary) = Binary::relay_or_skip(scenario)? else {
            return Ok(None);
        };
        let address = free_address()?;
        let url = local_url(address);
        Self::make(binary, fleet, "relay", None, (address, url), None).map(Some)
    }

    /// As [`Self::start_or_skip`], for a relay whose URL leads to its QUIC door alone: there is no HTTPS at that port.
    ///
    /// # Errors
    /// As [`Self::start_or_skip`].
    pub fn start_quic_or_skip(scenario: &str, fleet: &Fleet) -> Result<Option<Self>, LabError> {
        let Some(binary) = Binary::relay_or_skip(scenario)? else {
            return Ok(None);
        };
        let (address, quic) = (free_address()?, free_address()?);
        let spot = (address, local_url(quic));
        Self::make(binary, fleet, "relay", None, spot, Some(quic)).map(Some)
    }

    /// As [`Self::start_or_skip`], outside of a site at `listen`, under `url`.
    ///
    /// # Errors
    /// As [`Self::start_or_skip`].
    pub fn start_outside_or_skip(
        scenario: &str,
        fleet: &Fleet,
        site: &Site,
        listen: SocketAddr,
        url: &str,
    ) -> Result<Option<Self>, LabError> {
        let Some(binary) = Binary::relay_or_skip(scenario)? else {
            return Ok(None);
        };
        let binary = binary.inside(&site.outside);
        let spot = (listen, url.to_owned());
        Self::make(binary, fleet, "relay", None, spot, None).map(Some)
    }

    /// Makes and starts a relay that dials this one, and names it before the others in the fleet's bundle.
    ///
    /// # Errors
    /// As [`Self::start_or_skip`].
    pub fn start_behind(&self, fleet: &Fleet, name: &str) -> Result<Self, LabError> {
        let address = free_address()?;
        let spot = (address, local_url(address));
        Self::make(self.binary.clone(), fleet, name, Some(self), spot, None)
    }

    fn make(
        binary: Binary,
        fleet: &Fleet,
        name: &str,
        upstream: Option<&Self>,
        (address, url): (SocketAddr, String),
        quic: Option<SocketAddr>,
    ) -> Result<Self, LabError> {
        let admin = free_address()?.to_string();
        let dir = fleet.path().join(name);
        let text = dir.display().to_string();
        let listen = address.to_string();
        let trust = fleet.must(&["controller", "trust"])?;
        let init = ["init", "--dir", &text, "--url", &url, "--listen", &listen];
        let init = [&init[..], &["--admin-listen", &admin]].concat();
        let file = fleet.path().join(format!("{name}.upstream"));
        let file = file.display().to_string();
        let init = match upstream {
            None => init,
            Some(upstream) => {
                std::fs::write(&file, &upstream.line)
                    .map_err(LabError::io(format!("write {file}")))?;
                [&init[..], &["--upstream", &file]].concat()
            }
        };
        let made = Process::run(
            "relay-init",
            binary.command(&init),
            fleet.path(),
            trust.as_bytes(),
        );
        let line = succeeded(&init, made?)?;
        if let Some(quic) = quic {
            open_quic(&dir.join("relay.toml"), quic)?;
        }
        let run = ["run", "--dir", &text];
        let mut relay = Self {
            daemon: Daemon::new(&binary, name, &run, READY, fleet.path()),
            address,
            dir,
            line: line.clone(),
            binary,
        };
        relay.daemon.start()?;
        let add = match upstream {
            None => &["controller", "relay", "add"][..],
            Some(_) => &["controller", "relay", "add", "--behind", "--first"],
        };
        succeeded(
            add,
            fleet.run(add, &fleet.controller_dir(), line.as_bytes())?,
        )?;
        Ok(relay)
    }

    /// Asks the running relay, as its operator does, and returns what it prints with `--json`.
    ///
    /// # Errors
    /// [`LabError::Ended`] when the command fails.
    pub fn ask(&self, question: &str) -> Result<serde_json::Value, LabError> {
        let dir = self.dir.display().to_string();
        let words = [question, "--dir", &dir, "--json"];
        let asked = Process::run(question, self.binary.command(&words), &self.dir, &[]);
        let text = succeeded(&words, asked?)?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Asks it to go on in a new process. A refusal is data: see [`Finished::status`].
    ///
    /// # Errors
    /// [`LabError::GaveUp`] when the command does not end.
    pub fn upgrade(&self) -> Result<Finished, LabError> {
        let dir = self.dir.display().to_string();
        let command = self.binary.command(&["upgrade", "--dir", &dir]);
        Process::run("upgrade", command, &self.dir, &[])
    }

    /// Returns the id of the process that serves, which after an upgrade is no child of this one.
    #[must_use]
    pub fn serving_pid(&self) -> Option<u32> {
        let status = self.ask("status").ok()?;
        let pid = status.pointer("/status/pid")?.as_u64()?;
        u32::try_from(pid).ok()
    }

    /// Ends a process that an upgrade started, by the id that it named, and waits until it no longer serves.
    ///
    /// # Errors
    /// [`LabError::Io`] when the signal cannot be sent; [`LabError::GaveUp`] when it goes on.
    pub fn end_successor(&self, pid: u32) -> Result<(), LabError> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        if let Some(raw) = raw {
            rustix::process::kill_process(raw, Signal::KILL)
                .map_err(|error| LabError::io(format!("kill {pid}"))(error.into()))?;
        }
        wait::until("the end of the next process", || {
            Ok(TcpStream::connect(self.address).is_err().then_some(()))
        })
    }

    /// Replaces text in its configuration; read at the next start.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be read or written.
    pub fn configure(&self, from: &str, to: &str) -> Result<(), LabError> {
        replace_in(&self.dir.join("relay.toml"), from, to)
    }

    /// Returns the certificate of its TLS authority: what devices are told to trust.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be read.
    pub fn ca_pem(&self) -> Result<String, LabError> {
        let file = self.dir.join("tls/ca.crt");
        std::fs::read_to_string(&file).map_err(LabError::io(format!("read {}", file.display())))
    }

    /// Returns where it listens for HTTPS.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it after a kill and looks at most `tries` times, as [`wait`] does, whether it takes connections.
    ///
    /// # Errors
    /// [`LabError::GaveUp`] when it does not within them.
    pub fn restart_within(&mut self, tries: u32) -> Result<(), LabError> {
        self.daemon.launch()?;
        wait::until_tries("the relay to serve", tries, || {
            Ok(TcpStream::connect(self.address).ok().map(drop))
        })
    }
}

/// Writes a QUIC door into a new relay's configuration.
fn open_quic(file: &Path, listen: SocketAddr) -> Result<(), LabError> {
    replace_in(
        file,
        "# listen = \"none\"",
        &format!("listen = \"{listen}\""),
    )
}

fn replace_in(file: &Path, from: &str, to: &str) -> Result<(), LabError> {
    let failed = || LabError::io(format!("change {}", file.display()));
    let text = std::fs::read_to_string(file).map_err(failed())?;
    std::fs::write(file, text.replace(from, to)).map_err(failed())
}

fn local_url(address: SocketAddr) -> String {
    format!("https://localhost:{}", address.port())
}
