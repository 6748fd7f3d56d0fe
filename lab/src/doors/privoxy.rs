//! privoxy: a filtering proxy with a list of ports for CONNECT.

use std::net::SocketAddr;

use super::{Package, Program, Unpacked};
use crate::{Folder, LabError};

/// A CONNECT proxy that gives up silent tunnels.
#[derive(Clone, Copy, Debug)]
pub struct Privoxy {
    /// The only port that may be reached.
    pub allowed_port: u16,
    /// Seconds after which a silent tunnel ends.
    pub timeout_s: u64,
}

impl Program for Privoxy {
    const PACKAGE: Package = Package::Privoxy;

    fn configure(
        &self,
        unpacked: &Unpacked,
        folder: &Folder,
        listen: SocketAddr,
    ) -> Result<Vec<String>, LabError> {
        let (at, timeout) = (folder.path().display(), self.timeout_s);
        let templates = unpacked.file("etc/privoxy/templates");
        let templates = templates.display();
        folder.write(
            "lab.action",
            format!("{{+limit-connect{{{}}} }}\n/\n", self.allowed_port),
        )?;
        let file = folder.write(
            "config",
            format!(
                "confdir {at}\nlogdir {at}\ntempldir {templates}\nactionsfile lab.action\nlisten-address {listen}\n\
                 keep-alive-timeout 5\nsocket-timeout {timeout}\nmax-client-connections 64\ndebug 1\n"
            ),
        )?;
        Ok(vec!["--no-daemon".to_owned(), file.display().to_string()])
    }
}
