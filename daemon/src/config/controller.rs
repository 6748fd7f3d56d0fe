//! `controller.toml`: what a controller may be told, with every default.

use super::LogConfig;
use postern_protocol::id::{Tenant, Thumbprint};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// All that a running controller needs to know; nothing is optional but what may be absent.
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    /// The controller's folder.
    pub dir: PathBuf,
    /// Where devices connect.
    pub listen: SocketAddr,
    /// URLs under which devices reach it, 1..=8; they go into join lines.
    pub urls: Vec<String>,
    /// Certificate and key of the HTTPS server.
    pub tls: ServerTls,
    /// Thumbprint of the genesis root key: the name of the trust domain.
    pub root: Thumbprint,
    /// Thumbprint of the first recovery key.
    pub recovery: Thumbprint,
    /// Writer key file of each tenant.
    pub writers: BTreeMap<Tenant, PathBuf>,
    /// Key file of the embedded mailbox.
    pub mailbox_key: PathBuf,
    /// Folder with the chain of bundles, `1.cbor`, `2.cbor`, …
    pub bundles: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// The operator socket.
    pub socket: PathBuf,
    /// Bounds of mailboxes and server.
    pub limits: ControllerLimits,
    /// Logs.
    pub log: LogConfig,
}

/// Files of the HTTPS server, PEM.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// The certificate chain, leaf first.
    pub cert: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
    /// The CA certificate that join lines carry; absent when devices trust the issuer anyway.
    pub ca: Option<PathBuf>,
}

/// Bounds that an operator may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControllerLimits {
    /// Bytes of one device's mailbox.
    pub mailbox_bytes_max: usize,
    /// Bytes of all mailboxes together.
    pub mailboxes_bytes_max: usize,
    /// Seconds that a poll is held at most, 5..=300.
    pub hold_s_max: u64,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one source address.
    pub source_connections_max: usize,
}
