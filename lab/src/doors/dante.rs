//! dante: a SOCKS 5 server that resolves names itself and lets one port pass.

use std::net::SocketAddr;

use super::{Package, Program, Unpacked};
use crate::{Folder, LabError};

/// A SOCKS server.
#[derive(Clone, Copy, Debug)]
pub struct Dante<'a> {
    /// The only port that may be reached.
    pub allowed_port: u16,
    /// The interface by which it leaves: `lo`, `eth0`.
    pub external: &'a str,
    /// Seconds after which a silent connection ends.
    pub timeout_s: u64,
}

impl Program for Dante<'_> {
    const PACKAGE: Package = Package::Dante;

    fn configure(
        &self,
        _unpacked: &Unpacked,
        folder: &Folder,
        listen: SocketAddr,
    ) -> Result<Vec<String>, LabError> {
        let (address, port) = (listen.ip(), listen.port());
        let (external, timeout) = (self.external, self.timeout_s);
        let rule = |word: &str, to: &str| {
            format!("{word} {{\nfrom: 0.0.0.0/0 to: 0.0.0.0/0{to}\nlog: connect error\n}}\n")
        };
        let rules = [
            rule("client pass", ""),
            rule("socks pass", &format!(" port = {}", self.allowed_port)),
            rule("socks block", ""),
        ]
        .concat();
        let file = folder.write(
            "danted.conf",
            format!(
                "logoutput: stderr\ninternal: {address} port = {port}\nexternal: {external}\nclientmethod: none\n\
                 socksmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\ntimeout.io.tcp: {timeout}\n{rules}"
            ),
        )?;
        let pid = folder.path().join("danted.pid");
        let (file, pid) = (file.display().to_string(), pid.display().to_string());
        Ok(vec!["-f".to_owned(), file, "-p".to_owned(), pid])
    }
}
