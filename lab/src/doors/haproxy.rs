//! HAProxy: passes TCP through, or ends TLS as an edge that speaks HTTP/2.

use std::net::SocketAddr;

use super::{Package, Program, Unpacked};
use crate::{Folder, LabError, Pki};

/// A load balancer before the controller.
#[derive(Clone, Copy, Debug)]
pub enum Haproxy<'a> {
    /// Bytes pass as they are; a connection that is silent for `timeout_s` seconds ends.
    Pass {
        /// Host and port of the far side.
        behind: &'a str,
        /// Seconds of silence.
        timeout_s: u64,
    },
    /// Ends TLS with the origin's certificate of `pki`, offers HTTP/2, and answers 504 after `timeout_s` seconds.
    Edge {
        /// Host and port of the far side.
        behind: &'a str,
        /// Holds the certificate that it shows.
        pki: &'a Pki,
        /// PEM certificates that it trusts on its far side.
        trusted_pem: &'a str,
        /// Seconds until an unanswered request gets 504.
        timeout_s: u64,
    },
}

impl Program for Haproxy<'_> {
    const PACKAGE: Package = Package::Haproxy;

    fn configure(
        &self,
        _unpacked: &Unpacked,
        folder: &Folder,
        listen: SocketAddr,
    ) -> Result<Vec<String>, LabError> {
        let (mode, timeout, bind, server) = match *self {
            Self::Pass { behind, timeout_s } => {
                ("tcp", timeout_s, listen.to_string(), behind.to_owned())
            }
            Self::Edge {
                behind,
                pki,
                trusted_pem,
                timeout_s,
            } => {
                let edge = format!("{}{}", pki.origin_pem, pki.origin_key_pem);
                let edge = folder.write_secret("edge.pem", edge)?;
                let trusted = folder.write("trusted.pem", trusted_pem)?;
                let bind = format!("{listen} ssl crt {} alpn h2,http/1.1", edge.display());
                let name = behind.split(':').next().unwrap_or_default();
                let server = format!(
                    "{behind} ssl verify required ca-file {} sni str({name}) verifyhost {name}",
                    trusted.display()
                );
                ("http", timeout_s, bind, server)
            }
        };
        let file = folder.write(
            "haproxy.cfg",
            format!(
                "global\n  maxconn 200\ndefaults\n  mode {mode}\n  timeout connect 5s\n  timeout client {timeout}s\n  \
                 timeout server {timeout}s\nfrontend near\n  bind {bind}\n  default_backend far\nbackend far\n  \
                 server only {server}\n"
            ),
        )?;
        Ok(vec![
            "-db".to_owned(),
            "-f".to_owned(),
            file.display().to_string(),
        ])
    }
}
