//! A real Apache on loopback, standing before a controller as a front: it ends TLS with a certificate of its own and
//! passes each request on over TLS.
//!
//! ```text
//!  device ──TLS──▶ Apache (certificate of Pki's origin authority) ──TLS──▶ controller
//! ```
//!
//! The program comes from Debian's package `apache2-bin`, unpacked privately by `./test` and never installed. It runs
//! as one process, so that killing the recorded pid ends it. It refuses to use an installed Apache or the system's
//! configuration.

mod access;
mod configuration;
mod tree;

use std::net::SocketAddr;

pub use access::FrontLine;
pub use tree::ApacheTree;

use crate::{Folder, LabError, Pki, Process, process, wait};

/// The largest request body that [`Front::SmallBodies`] passes on, in bytes.
pub const FRONT_BODY_BYTES_MAX: u64 = 8_192;

/// Which front to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// HTTP/1.0 on both sides, a connection for each exchange.
    Http10,
    /// HTTP/1.1 that answers 413 to every request body above [`FRONT_BODY_BYTES_MAX`].
    SmallBodies,
}

/// Where a front stands and what it shows and trusts.
#[derive(Clone, Copy, Debug)]
pub struct FrontPlan<'a> {
    /// Which front to play.
    pub front: Front,
    /// Where it listens: the port that the controller's URL names.
    pub listen: SocketAddr,
    /// Host and port of the far side, such as `localhost:8443`.
    pub behind: &'a str,
    /// Holds the certificate that it shows, which devices trust by `origin_ca_pem`.
    pub pki: &'a Pki,
    /// PEM certificates that it trusts on its far side.
    pub trusted_pem: &'a str,
}

/// A running Apache; killed when dropped.
#[derive(Debug)]
pub struct Apache {
    process: Process,
    /// Declared last: removed after the process ended.
    folder: Folder,
}

impl Apache {
    /// Starts an Apache and waits until its port is open.
    ///
    /// # Errors
    /// [`LabError::Ended`] with the end of its log when it refuses its configuration or the port is taken;
    /// [`LabError::Io`] when its folder cannot be prepared.
    pub fn start(tree: &ApacheTree, plan: &FrontPlan<'_>) -> Result<Self, LabError> {
        let folder = configuration::prepare(tree, plan)?;
        let mut process = Process::start("apache", tree.command(folder.path()), folder.path())?;
        let opened = process.wait_for_port(plan.listen);
        opened
            .map_err(|error| error.with_log(&error_log(&folder)))
            .map(|()| Self { process, folder })
    }

    /// Returns the running process, to kill it or read its pid.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns every exchange so far, in the order in which they ended. A held one stands there once it ended.
    #[must_use]
    pub fn access_log(&self) -> Vec<FrontLine> {
        let log = self.folder.path().join(configuration::ACCESS_LOG);
        FrontLine::parse_all(&process::read(&log))
    }

    /// Waits until an exchange satisfies `wanted`, and returns it.
    ///
    /// # Errors
    /// [`LabError::GaveUp`] with the end of its log when no such exchange comes.
    pub fn wait_for_access(
        &self,
        what: &str,
        wanted: impl Fn(&FrontLine) -> bool,
    ) -> Result<FrontLine, LabError> {
        let found = wait::until(what, || {
            Ok(self.access_log().into_iter().find(|line| wanted(line)))
        });
        found.map_err(|error| error.with_log(&error_log(&self.folder)))
    }
}

fn error_log(folder: &Folder) -> String {
    process::read(&folder.path().join(configuration::ERROR_LOG))
}
