//! tinyproxy: answers in HTTP/1.0 and closes, and gives up tunnels that are silent.

use std::net::SocketAddr;

use super::{Package, Program, Unpacked};
use crate::{Folder, LabError};

/// A CONNECT proxy that answers 407 in HTTP/1.0 with `Connection: close`.
#[derive(Clone, Debug)]
pub struct Tinyproxy {
    /// The only port that may be reached.
    pub allowed_port: u16,
    /// Seconds after which a silent tunnel ends.
    pub timeout_s: u64,
    /// User and password, if it asks for them.
    pub login: Option<(String, String)>,
}

impl Program for Tinyproxy {
    const PACKAGE: Package = Package::Tinyproxy;

    fn configure(
        &self,
        _unpacked: &Unpacked,
        folder: &Folder,
        listen: SocketAddr,
    ) -> Result<Vec<String>, LabError> {
        let (port, address) = (listen.port(), listen.ip());
        let (timeout, allowed) = (self.timeout_s, self.allowed_port);
        let login = self
            .login
            .as_ref()
            .map(|(user, password)| format!("BasicAuth {user} {password}\n"));
        let login = login.unwrap_or_default();
        let file = folder.write(
            "tinyproxy.conf",
            format!(
                "Port {port}\nListen {address}\nTimeout {timeout}\nMaxClients 100\nConnectPort {allowed}\n{login}"
            ),
        )?;
        Ok(vec![
            "-d".to_owned(),
            "-c".to_owned(),
            file.display().to_string(),
        ])
    }
}
