//! mitmproxy: breaks TLS open with the corporate authority and, by itself, holds every body back until its end.

use std::net::SocketAddr;

use super::{Package, Program, Unpacked};
use crate::{Folder, LabError, Pki};

/// When a body is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At its end: a virus scanner.
    AtEnd,
    /// As it comes.
    Streaming,
}

/// An inspector.
#[derive(Clone, Copy, Debug)]
pub struct Mitmproxy<'a> {
    /// Holds the corporate authority with which it signs.
    pub pki: &'a Pki,
    /// PEM certificates that it trusts on its far side.
    pub trusted_pem: &'a str,
    /// When a body is delivered.
    pub delivery: Delivery,
    /// Whether clients do not know of it: a firewall redirects them.
    pub is_transparent: bool,
}

impl Program for Mitmproxy<'_> {
    const PACKAGE: Package = Package::Mitmproxy;

    fn configure(
        &self,
        _unpacked: &Unpacked,
        folder: &Folder,
        listen: SocketAddr,
    ) -> Result<Vec<String>, LabError> {
        let trusted = folder.write("trusted.pem", self.trusted_pem)?;
        let authority = format!("{}{}", self.pki.corp_key_pem, self.pki.corp_ca_pem);
        folder.write_secret("mitmproxy-ca.pem", authority)?;
        let mut words = vec![
            format!("--listen-host={}", listen.ip()),
            format!("--listen-port={}", listen.port()),
            format!("--set=confdir={}", folder.path().display()),
            format!("--set=ssl_verify_upstream_trusted_ca={}", trusted.display()),
        ];
        match self.delivery {
            Delivery::AtEnd => {}
            Delivery::Streaming => words.push("--set=stream_large_bodies=1".to_owned()),
        }
        if self.is_transparent {
            words.push("--mode=transparent".to_owned());
        }
        Ok(words)
    }
}
