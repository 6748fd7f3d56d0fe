//! `controller.toml`: what a controller may be told, with every default.
//!
//! Holds no secret: keys stand in files of their own, and the trust anchors are thumbprints.

mod template;

pub use template::{NewController, NewListener};

use super::egress::{environment, read_ca_files, read_proxy, read_quic};
use super::reader::{Placed, Section, read_file};
use super::{ConfigError, LogConfig, path_in, read_log, resolve};
use postern_egress::{MailboxUrl, ProxySettings, Variables};
use postern_protocol::id::{Tenant, Thumbprint};
use postern_protocol::limits::{HOLD_S_MAX, URL_BYTES_MAX, URLS_MAX};
use postern_relay::limits::{
    CONNECTIONS_MAX, MAILBOX_BYTES_MAX, MAILBOXES_BYTES_MAX, SOURCE_CONNECTIONS_MAX,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What `listen` says where nobody is let in.
const NONE: &str = "none";
/// Name of the file in the controller's folder.
const FILE: &str = "controller.toml";

/// All that a running controller needs to know; nothing is optional but what may be absent.
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    /// The controller's folder.
    pub dir: PathBuf,
    /// Where devices connect; absent for a controller that only dials out.
    pub listen: Option<SocketAddr>,
    /// URLs under which devices reach it, at most 8, at least one where it listens; they go into join lines.
    pub urls: Vec<String>,
    /// Certificate and key of the HTTPS server; there where it listens.
    pub tls: Option<ServerTls>,
    /// The proxy on the way to relays, file first, environment second.
    pub proxy: ProxySettings,
    /// Whether QUIC may be tried on the way to relays.
    pub has_quic: bool,
    /// CA files or folders that vouch for relays beside the system's.
    pub extra_ca_files: Vec<PathBuf>,
    /// Thumbprint of the genesis root key: the name of the trust domain.
    pub root: Thumbprint,
    /// Thumbprint of the first recovery key.
    pub recovery: Thumbprint,
    /// Writer key file of each tenant.
    pub writers: BTreeMap<Tenant, PathBuf>,
    /// Key file of the embedded mailbox.
    pub mailbox_key: PathBuf,
    /// Folder with the chain of bundles, `1.cbor`, `2.cbor`, …, each an untagged envelope.
    pub bundles: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// The operator socket.
    pub socket: PathBuf,
    /// Bounds of mailboxes and server.
    pub limits: ControllerLimits,
    /// Secret file of the QUIC door, where devices may come that way too.
    pub quic_key: Option<PathBuf>,
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

impl Default for ControllerLimits {
    fn default() -> Self {
        Self {
            mailbox_bytes_max: MAILBOX_BYTES_MAX,
            mailboxes_bytes_max: MAILBOXES_BYTES_MAX,
            hold_s_max: HOLD_S_MAX,
            connections_max: CONNECTIONS_MAX,
            source_connections_max: SOURCE_CONNECTIONS_MAX,
        }
    }
}

impl ControllerConfig {
    /// Returns the configuration file of a controller's folder.
    #[must_use]
    pub fn file(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }

    /// Returns the operator socket of a controller's folder.
    #[must_use]
    pub fn socket_in(dir: &Path) -> PathBuf {
        dir.join("controller.sock")
    }

    /// Reads `controller.toml` of a folder.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line, key and remedy of everything that is wrong.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let file = Self::file(dir);
        let missing = format!(
            "make a controller with `postern controller init --dir {}`, or name its folder with --dir",
            dir.display()
        );
        let text = read_file(&file, &missing)?;
        Self::parse(dir, &file, &text, &environment()?)
    }

    /// Reads the text of `controller.toml`; `variables` are the environment's.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(
        dir: &Path,
        file: &Path,
        text: &str,
        variables: &Variables,
    ) -> Result<Self, ConfigError> {
        resolve(file, text, |root| {
            let listen = read_listen(root);
            let listens = listen.is_none_or(|listen| listen.is_some());
            let urls = read_urls(root, listens);
            let tls = if listens {
                read_tls(dir, root).map(Some)
            } else {
                Some(None)
            };
            let proxy = read_proxy(dir, file, root, variables);
            let has_quic = read_quic(root);
            let extra_ca_files = read_ca_files(dir, root);
            let trust = read_trust(root);
            let writers = read_tenants(dir, root);
            let (mailbox_key, limits, offers_quic) = read_bounds(dir, root);
            let log = read_log(root, |_| ());
            let (root, recovery) = trust?;
            Some(Self {
                dir: dir.into(),
                listen: listen?,
                urls: urls?,
                tls: tls?,
                proxy: proxy?,
                has_quic,
                extra_ca_files,
                root,
                recovery,
                writers: writers?,
                mailbox_key: mailbox_key?,
                bundles: dir.join("bundles"),
                store: dir.join("controller.redb"),
                socket: Self::socket_in(dir),
                limits,
                // Without HTTPS there is no port to share, and nobody to greet.
                quic_key: (offers_quic && listens).then(|| dir.join("quic.key")),
                log,
            })
        })
    }
}

/// Reads where to listen; the inner `None` means nowhere.
#[expect(
    clippy::option_option,
    reason = "not readable, nowhere and somewhere are three answers"
)]
fn read_listen(root: &mut Section<'_, '_>) -> Option<Option<SocketAddr>> {
    let Some(text) = root.text("listen") else {
        root.missing(
            "listen",
            "write an address and a port, such as listen = \"0.0.0.0:8443\", or \"none\" to dial out only",
        );
        return None;
    };
    if text.value == NONE {
        return Some(None);
    }
    let parsed = text.value.parse().ok();
    if parsed.is_none() {
        let what = format!(
            "must be an address and a port such as \"0.0.0.0:8443\" or \"[::]:8443\", or \"none\", not \"{}\"",
            text.value
        );
        root.refuse(text.line, "listen", what);
    }
    parsed.map(Some)
}

fn read_urls(root: &mut Section<'_, '_>, listens: bool) -> Option<Vec<String>> {
    let Some(Placed { value: urls, line }) = root.texts("urls") else {
        if !listens {
            return Some(Vec::new());
        }
        root.missing(
            "urls",
            "write urls = [\"https://host:port\"] as devices reach this controller",
        );
        return None;
    };
    let least = usize::from(listens);
    if !(least..=URLS_MAX).contains(&urls.len()) {
        root.refuse(
            line,
            "urls",
            format!("must hold {least} to {URLS_MAX} URLs, not {}", urls.len()),
        );
        return None;
    }
    for url in &urls {
        if let Err(reason) = check_url(&url.value) {
            root.refuse(
                url.line,
                "urls",
                format!("\"{}\" is refused: {reason}", url.value),
            );
        }
    }
    Some(urls.into_iter().map(|url| url.value).collect())
}

/// Checks a URL for join lines.
///
/// # Errors
/// What is wrong, for people.
pub fn check_url(url: &str) -> Result<(), String> {
    if url.len() > URL_BYTES_MAX {
        return Err(format!("it is longer than {URL_BYTES_MAX} bytes"));
    }
    MailboxUrl::parse(url)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn read_tls(dir: &Path, root: &mut Section<'_, '_>) -> Option<ServerTls> {
    let mut section = root.section("tls");
    let cert = path_in(dir, &mut section, "cert_file");
    let key = path_in(dir, &mut section, "key_file");
    let ca = path_in(dir, &mut section, "ca_file");
    for (found, name) in [(&cert, "cert_file"), (&key, "key_file")] {
        if found.is_none() {
            section.missing(name, "name a PEM file, relative to this folder");
        }
    }
    section.finish();
    Some(ServerTls {
        cert: cert?,
        key: key?,
        ca,
    })
}

fn read_trust(root: &mut Section<'_, '_>) -> Option<(Thumbprint, Thumbprint)> {
    let mut section = root.section("trust");
    let mut thumbprint = |key: &str| {
        let Some(text) = section.text(key) else {
            section.missing(
                key,
                "copy it from the output of `controller init` or from a backup",
            );
            return None;
        };
        let parsed = parse_thumbprint(&text.value);
        if parsed.is_none() {
            section.refuse(
                text.line,
                key,
                "must be 64 hexadecimal digits, as `controller init` wrote them",
            );
        }
        parsed
    };
    let root_key = thumbprint("root");
    let recovery = thumbprint("recovery");
    section.finish();
    Some((root_key?, recovery?))
}

fn parse_thumbprint(text: &str) -> Option<Thumbprint> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        if digits.starts_with('+') {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(Thumbprint::from_bytes(bytes))
}

fn read_tenants(dir: &Path, root: &mut Section<'_, '_>) -> Option<BTreeMap<Tenant, PathBuf>> {
    let mut section = root.section("tenants");
    let mut writers = BTreeMap::new();
    for name in section.names() {
        let mut entry = section.section(&name.value);
        let key_file = path_in(dir, &mut entry, "writer_key_file");
        if key_file.is_none() {
            entry.missing("writer_key_file", "name the tenant's writer key file");
        }
        entry.finish();
        match Tenant::parse(&name.value) {
            Ok(tenant) => writers.extend(key_file.map(|file| (tenant, file))),
            Err(reject) => section.refuse(name.line, &name.value, reject.sentence()),
        }
    }
    if !section.is_present() {
        root.missing("tenants", "add [tenants.default] with its writer_key_file");
        return None;
    }
    Some(writers)
}

fn read_bounds(
    dir: &Path,
    root: &mut Section<'_, '_>,
) -> (Option<PathBuf>, ControllerLimits, bool) {
    let default = ControllerLimits::default();
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let mut mailbox = root.section("mailbox");
    let key = path_in(dir, &mut mailbox, "key_file");
    if key.is_none() {
        mailbox.missing(
            "key_file",
            "name the mailbox key file, such as \"mailbox.key\"",
        );
    }
    let least = wide(MAILBOX_BYTES_MAX);
    let bytes = mailbox.uint(
        "bytes_max",
        least..=1 << 30,
        wide(default.mailbox_bytes_max),
    );
    let total = mailbox.uint(
        "total_bytes_max",
        least..=1 << 40,
        wide(default.mailboxes_bytes_max),
    );
    mailbox.finish();
    let mut server = root.section("server");
    let connections = server.uint(
        "connections_max",
        1..=1_000_000,
        wide(default.connections_max),
    );
    let source = server.uint(
        "source_connections_max",
        1..=1_000_000,
        wide(default.source_connections_max),
    );
    let hold_s_max = server.uint("hold_s_max", 5..=HOLD_S_MAX, default.hold_s_max);
    let offers_quic = server.flag("quic", true);
    server.finish();
    let limits = ControllerLimits {
        mailbox_bytes_max: size(bytes),
        mailboxes_bytes_max: size(total),
        hold_s_max,
        connections_max: size(connections),
        source_connections_max: size(source),
    };
    (key, limits, offers_quic)
}

#[cfg(test)]
mod tests;
