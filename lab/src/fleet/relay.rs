//! A relay of the release binary for a fleet whose controller only dials out.
//!
//! ```text
//!  controller trust ──▶ postern-relay init ──▶ relay line ──▶ controller relay add
//! ```
//!
//! It refuses to look into the relay's store: whether it serves is seen at its port.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use super::{Daemon, Fleet, succeeded};
use crate::{Binary, LabError, Process, free_address, wait};

/// What a relay prints once everybody can reach it.
const READY: &str = "relay ready:";

/// A relay in its folder, running or not.
#[derive(Debug)]
pub struct Relay {
    /// Its process.
    pub daemon: Daemon,
    address: SocketAddr,
    dir: PathBuf,
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
        let (address, admin) = (free_address()?, free_address()?.to_string());
        let dir = fleet.path().join("relay");
        let text = dir.display().to_string();
        let url = format!("https://localhost:{}", address.port());
        let listen = address.to_string();
        let trust = fleet.must(&["controller", "trust"])?;
        let init = ["init", "--dir", &text, "--url", &url, "--listen", &listen];
        let init = [&init[..], &["--admin-listen", &admin]].concat();
        let made = Process::run(
            "relay-init",
            binary.command(&init),
            fleet.path(),
            trust.as_bytes(),
        );
        let line = succeeded(&init, made?)?;
        let run = ["run", "--dir", &text];
        let mut relay = Self {
            daemon: Daemon::new(&binary, "relay", &run, READY, fleet.path()),
            address,
            dir,
        };
        relay.daemon.start()?;
        let add = ["controller", "relay", "add"];
        succeeded(
            &add,
            fleet.run(&add, &fleet.controller_dir(), line.as_bytes())?,
        )?;
        Ok(Some(relay))
    }

    /// Returns the certificate of its TLS authority: what devices are told to trust.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be read.
    pub fn ca_pem(&self) -> Result<String, LabError> {
        let file = self.dir.join("tls/ca.crt");
        std::fs::read_to_string(&file).map_err(LabError::io(format!("read {}", file.display())))
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
