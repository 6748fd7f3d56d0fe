//! Daemons that stand between a site and its controller, each a module that writes its configuration.
//!
//! ```text
//!  Tinyproxy, Privoxy, ForwardApache, Haproxy, Nginx, Dante, Mitmproxy ──Door::start──▶ Door (port open) ──drop──▶ ended by pid
//! ```
//!
//! Squid, and Apache before a controller, have modules of their own. Every daemon runs in the foreground, in a folder of its own, on a port
//! chosen by the caller. It refuses to return before the daemon itself listens: looked up in the kernel's table of its
//! own namespace, where no test could connect.

mod apache;
mod dante;
mod haproxy;
mod mitmproxy;
mod nginx;
mod package;
mod privoxy;
mod tinyproxy;

use std::net::SocketAddr;
use std::process::Command;

pub use apache::ForwardApache;
pub use dante::Dante;
pub use haproxy::Haproxy;
pub use mitmproxy::{Delivery, Mitmproxy};
pub use nginx::Nginx;
pub use package::{Package, Unpacked};
pub use privoxy::Privoxy;
pub use tinyproxy::Tinyproxy;

use crate::netns::Namespace;
use crate::{Folder, LabError, Process};

/// Where a daemon listens.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    /// Address and port.
    pub listen: SocketAddr,
    /// The namespace; this process's own when there is none.
    pub namespace: Option<&'a Namespace>,
}

impl Spot<'static> {
    /// A free port on loopback.
    ///
    /// # Errors
    /// [`LabError::Io`] when the system has no port left.
    pub fn loopback() -> Result<Self, LabError> {
        Ok(Self {
            listen: crate::free_address()?,
            namespace: None,
        })
    }
}

/// What [`Door::start`] needs to know of a daemon.
pub trait Program {
    /// Where it is found.
    const PACKAGE: Package;

    /// Writes what the daemon reads into its folder and returns its arguments.
    ///
    /// # Errors
    /// [`LabError::Io`] when the folder cannot be written.
    fn configure(
        &self,
        unpacked: &Unpacked,
        folder: &Folder,
        listen: SocketAddr,
    ) -> Result<Vec<String>, LabError>;
}

/// A running daemon; ended when dropped.
#[derive(Debug)]
pub struct Door {
    process: Process,
    address: SocketAddr,
    /// Declared last: removed after the process ended.
    folder: Folder,
}

impl Door {
    /// Starts a daemon and waits until it listens.
    ///
    /// # Errors
    /// [`LabError::Missing`] when it was not unpacked, [`LabError::Ended`] with what it printed when it refuses.
    pub fn start<P: Program>(program: &P, spot: Spot<'_>) -> Result<Self, LabError> {
        let unpacked = P::PACKAGE.find()?;
        let folder = Folder::new()?;
        let arguments = program.configure(&unpacked, &folder, spot.listen)?;
        let mut command: Command = unpacked.command(package::name_of(spot.namespace));
        command.args(arguments).current_dir(folder.path());
        let mut process = Process::start("door", command, folder.path())?;
        process.wait_for_listener(spot.listen.port())?;
        Ok(Self {
            process,
            address: spot.listen,
            folder,
        })
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns it as a proxy's URL: `http://ADDRESS:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns everything that it printed.
    #[must_use]
    pub fn log(&self) -> String {
        format!("{}{}", self.process.stdout(), self.process.stderr())
    }

    /// Returns the folder in which it runs.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Returns the running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Asked first, so that a daemon of several processes ends them all; killed by the process's own drop else.
        drop(self.process.terminate());
    }
}
