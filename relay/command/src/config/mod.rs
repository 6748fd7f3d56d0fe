//! `relay.toml`: what a relay may be told, with every default.
//!
//! ```text
//!  relay.toml --RelayConfig::load--> RelayConfig --changes--> what a reload changes
//! ```
//!
//! Holds no secret: keys stand in files of their own. Refuses unknown keys with the key that was
//! meant, and keys that this version knows of and would not obey.

mod bounds;
mod fronts;
mod limit;
mod template;
#[cfg(test)]
mod tests;
mod unbuilt;

pub use limit::{Limit, Limits, Takes};
pub use template::{NewRelay, template};

use postern_console::config::reader::{Placed, Section, read_file};
use postern_console::config::{ConfigError, LogConfig, egress, path_in, read_log, resolve};
use postern_egress::{MailboxUrl, ProxySettings, Variables};
use postern_protocol::id::Thumbprint;
use postern_protocol::limits::{URL_BYTES_MAX, URLS_MAX};
use postern_relay::server::Network;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Name of the file in the relay's folder.
const FILE: &str = "relay.toml";
/// What `quic.listen` says without a line in the file: there is no QUIC door.
const NO_QUIC: &str = "none";
/// What `upstream.line_file` says without a line in the file: this relay dials nobody.
const NO_UPSTREAM: &str = "none";
/// Where metrics and health are served without a line in the file.
pub const ADMIN_LISTEN: &str = "127.0.0.1:9464";

/// All that a running relay needs to know; nothing is optional but what may be absent.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// The relay's folder.
    pub dir: PathBuf,
    /// Where devices and controllers connect.
    pub listen: SocketAddr,
    /// URLs under which they reach it, 1..=8; they go into the relay line.
    pub urls: Vec<String>,
    /// Files of the HTTPS server, whose certificate the QUIC door uses as well.
    pub tls: ServerTls,
    /// The QUIC door; most relays have none.
    pub quic: QuicDoor,
    /// Load balancers whose PROXY header is believed; most relays have none.
    pub fronts: Vec<Network>,
    /// Thumbprint of the genesis root key: the trust domain that is served.
    pub root: Thumbprint,
    /// Thumbprint of the first recovery key.
    pub recovery: Thumbprint,
    /// The trust line with the bundles that were known when the relay was made.
    pub trust: PathBuf,
    /// Key file of the mailbox.
    pub mailbox_key: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// Where metrics and health are served, in plain HTTP; never towards the internet.
    pub admin_listen: SocketAddr,
    /// The admin socket.
    pub socket: PathBuf,
    /// The audit log.
    pub audit: PathBuf,
    /// The relay that this one dials; most relays have none.
    pub upstream: Option<UpstreamRelay>,
    /// Every number.
    pub limits: Limits,
    /// Logs.
    pub log: LogConfig,
}

/// Files of the HTTPS server, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// The certificate chain, leaf first.
    pub cert: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
    /// The CA certificate that the relay line carries; absent when everybody trusts the issuer anyway.
    pub ca: Option<PathBuf>,
}

/// The second door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuicDoor {
    /// UDP address and port on which devices and controllers connect; absent: no door.
    pub listen: Option<SocketAddr>,
    /// File of the secret by which a restart is noticed at once; the first `run` makes it.
    pub key: PathBuf,
}

/// Another relay, to which this one dials out.
#[derive(Debug, Clone)]
pub struct UpstreamRelay {
    /// File with its relay line.
    pub line: PathBuf,
    /// PEM files that vouch for its TLS beside the system and its relay line.
    pub extra_ca_files: Vec<PathBuf>,
    /// The site's proxy.
    pub proxy: ProxySettings,
}

/// What the command line says of logs; it wins over the file, also over one that is read again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogOverride {
    /// The level or filter.
    pub level: Option<String>,
    /// One JSON object a line.
    pub is_json: Option<bool>,
}

/// One key that two files say differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The key with its table.
    pub key: String,
    /// What counted so far.
    pub from: String,
    /// What the file says now.
    pub to: String,
    /// When it counts.
    pub takes: Takes,
}

impl RelayConfig {
    /// Returns the configuration file of a relay's folder.
    #[must_use]
    pub fn file(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }

    /// Returns the admin socket of a relay's folder.
    #[must_use]
    pub fn socket_in(dir: &Path) -> PathBuf {
        dir.join("relay.sock")
    }

    /// Returns the audit log of a relay's folder.
    #[must_use]
    pub fn audit_in(dir: &Path) -> PathBuf {
        dir.join("audit.log")
    }

    /// Reads `relay.toml` of a folder.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line, key and remedy of everything that is wrong.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let file = Self::file(dir);
        let missing = format!(
            "make a relay with `postern-relay init --dir {}`, or name its folder with --dir",
            dir.display()
        );
        let text = read_file(&file, &missing)?;
        Self::parse(dir, &file, &text)
    }

    /// Reads the text of `relay.toml`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(dir: &Path, file: &Path, text: &str) -> Result<Self, ConfigError> {
        resolve(file, text, |root| {
            unbuilt::refuse_tables(root);
            let listen = read_address(root, "listen", "0.0.0.0:8443");
            let urls = read_urls(root);
            let mut limits = Limits::default();
            let tls = read_tls(dir, root, &mut limits);
            let quic = read_quic(dir, root, &mut limits);
            let trust = read_trust(dir, root);
            let mailbox_key = read_mailbox(dir, root, &mut limits);
            let fronts = read_server(root, &mut limits);
            read_numbers(root, "drain", &mut limits);
            let admin_listen = read_admin(root);
            let upstream = read_upstream(dir, file, root);
            let log = read_log_table(root, &mut limits);
            let (root, recovery, trust) = trust?;
            Some(Self {
                dir: dir.into(),
                listen: listen?,
                urls: urls?,
                tls: tls?,
                quic: quic?,
                fronts,
                root,
                recovery,
                trust,
                mailbox_key: mailbox_key?,
                store: dir.join("relay.redb"),
                admin_listen: admin_listen?,
                socket: Self::socket_in(dir),
                audit: Self::audit_in(dir),
                upstream: upstream?,
                limits,
                log,
            })
        })
    }

    /// Lets the command line win.
    pub fn override_log(&mut self, over: &LogOverride) {
        if let Some(level) = &over.level {
            self.log.level.clone_from(level);
        }
        if let Some(is_json) = over.is_json {
            self.log.is_json = is_json;
        }
    }

    /// Returns what a newer file says differently, by key.
    #[must_use]
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        let (old, new) = (self.entries(), newer.entries());
        let differing = old.into_iter().filter_map(|(key, (from, takes))| {
            let (to, _) = new.get(&key)?;
            (*to != from).then(|| Change {
                key,
                from,
                to: to.clone(),
                takes,
            })
        });
        differing.collect()
    }

    /// Returns every key with its value as text.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<String, (String, Takes)> {
        let shown = |path: &Path| path.display().to_string();
        let ca = self.tls.ca.as_deref().map_or_else(String::new, shown);
        let quic = self.quic.listen;
        let quic = quic.map_or_else(|| NO_QUIC.to_owned(), |listen| listen.to_string());
        let upstream = self.upstream.as_ref();
        let line = upstream.map_or_else(|| NO_UPSTREAM.to_owned(), |one| shown(&one.line));
        let cas = upstream.map_or(&[][..], |one| one.extra_ca_files.as_slice());
        let cas: Vec<String> = cas.iter().map(|file| shown(file)).collect();
        let texts = [
            ("listen", self.listen.to_string(), Takes::Restart),
            ("urls", self.urls.join(" "), Takes::Reload),
            ("tls.cert_file", shown(&self.tls.cert), Takes::Reload),
            ("tls.key_file", shown(&self.tls.key), Takes::Reload),
            ("tls.ca_file", ca, Takes::Reload),
            ("quic.listen", quic, Takes::Restart),
            (
                "server.proxy_protocol_from",
                fronts::shown(&self.fronts),
                Takes::Restart,
            ),
            ("quic.key_file", shown(&self.quic.key), Takes::Restart),
            ("trust.root", self.root.to_string(), Takes::Restart),
            ("trust.recovery", self.recovery.to_string(), Takes::Restart),
            ("trust.file", shown(&self.trust), Takes::Restart),
            ("mailbox.key_file", shown(&self.mailbox_key), Takes::Restart),
            (
                "admin.listen",
                self.admin_listen.to_string(),
                Takes::Restart,
            ),
            ("upstream.line_file", line, Takes::Restart),
            ("upstream.extra_ca_files", cas.join(" "), Takes::Restart),
            ("log.level", self.log.level.clone(), Takes::Reload),
            ("log.json", self.log.is_json.to_string(), Takes::Restart),
        ];
        let texts = texts.map(|(key, value, takes)| (key.to_owned(), (value, takes)));
        let numbers = Limit::ALL.iter().map(|limit| {
            let spec = limit.spec();
            let name = format!("{}.{}", spec.section, spec.key);
            (name, (self.limits.of(*limit).to_string(), spec.takes))
        });
        texts.into_iter().chain(numbers).collect()
    }
}

/// Checks a URL for the relay line.
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

/// Asks a table for all its numbers and refuses what is left in it.
fn read_numbers(root: &mut Section<'_, '_>, name: &str, limits: &mut Limits) {
    let mut section = root.section(name);
    read_numbers_of(&mut section, name, limits);
    section.finish();
}

fn read_server(root: &mut Section<'_, '_>, limits: &mut Limits) -> Vec<Network> {
    let mut section = root.section("server");
    let fronts = fronts::read(&mut section);
    read_numbers_of(&mut section, "server", limits);
    section.finish();
    fronts
}

fn read_numbers_of(section: &mut Section<'_, '_>, name: &str, limits: &mut Limits) {
    unbuilt::refuse_keys(section, name);
    for limit in Limit::ALL {
        let spec = limit.spec();
        if spec.section == name {
            let value = section.uint(spec.key, spec.least..=spec.most, spec.default);
            limits.set(*limit, value);
        }
    }
}

fn read_address(root: &mut Section<'_, '_>, key: &str, example: &str) -> Option<SocketAddr> {
    let Some(text) = root.text(key) else {
        let remedy = format!("write an address and a port, such as {key} = \"{example}\"");
        root.missing(key, &remedy);
        return None;
    };
    parse_address(root, key, &text, example)
}

fn parse_address(
    section: &Section<'_, '_>,
    key: &str,
    text: &Placed<String>,
    example: &str,
) -> Option<SocketAddr> {
    let parsed = text.value.parse().ok();
    if parsed.is_none() {
        let what = format!(
            "must be an address and a port such as \"{example}\", not \"{}\"",
            text.value
        );
        section.refuse(text.line, key, what);
    }
    parsed
}

fn read_admin(root: &mut Section<'_, '_>) -> Option<SocketAddr> {
    let mut section = root.section("admin");
    let text = section.text("listen").unwrap_or(Placed {
        value: ADMIN_LISTEN.into(),
        line: 1,
    });
    let parsed = parse_address(&section, "listen", &text, ADMIN_LISTEN);
    section.finish();
    parsed
}

fn read_urls(root: &mut Section<'_, '_>) -> Option<Vec<String>> {
    let Some(Placed { value: urls, line }) = root.texts("urls") else {
        root.missing(
            "urls",
            "write urls = [\"https://host:port\"] as devices and controllers reach this relay",
        );
        return None;
    };
    if !(1..=URLS_MAX).contains(&urls.len()) {
        let what = format!("must hold 1 to {URLS_MAX} URLs, not {}", urls.len());
        root.refuse(line, "urls", what);
        return None;
    }
    for url in &urls {
        if let Err(reason) = check_url(&url.value) {
            let what = format!("\"{}\" is refused: {reason}", url.value);
            root.refuse(url.line, "urls", what);
        }
    }
    Some(urls.into_iter().map(|url| url.value).collect())
}

fn read_tls(dir: &Path, root: &mut Section<'_, '_>, limits: &mut Limits) -> Option<ServerTls> {
    let mut section = root.section("tls");
    let cert = path_in(dir, &mut section, "cert_file");
    let key = path_in(dir, &mut section, "key_file");
    let ca = path_in(dir, &mut section, "ca_file");
    for (found, name) in [(&cert, "cert_file"), (&key, "key_file")] {
        if found.is_none() {
            section.missing(name, "name a PEM file, relative to this folder");
        }
    }
    read_numbers_of(&mut section, "tls", limits);
    section.finish();
    Some(ServerTls {
        cert: cert?,
        key: key?,
        ca,
    })
}

fn read_quic(dir: &Path, root: &mut Section<'_, '_>, limits: &mut Limits) -> Option<QuicDoor> {
    let mut section = root.section("quic");
    let text = section.text("listen");
    let text = text.filter(|text| text.value != NO_QUIC);
    let key = path_in(dir, &mut section, "key_file");
    let listen = text.map(|text| parse_address(&section, "listen", &text, "0.0.0.0:8443"));
    read_numbers_of(&mut section, "quic", limits);
    section.finish();
    Some(QuicDoor {
        // An address that cannot be read is a fault, and no door is none.
        listen: match listen {
            Some(parsed) => Some(parsed?),
            None => None,
        },
        key: key.unwrap_or_else(|| dir.join("quic.key")),
    })
}

/// Reads `[upstream]` and `[proxy]`, which is about nothing else here. `None`: something of it is wrong.
fn read_upstream(
    dir: &Path,
    file: &Path,
    root: &mut Section<'_, '_>,
) -> Option<Option<UpstreamRelay>> {
    let mut section = root.section("upstream");
    let text = section.text("line_file");
    let line = text.filter(|text| text.value != NO_UPSTREAM);
    let extra_ca_files = egress::read_ca_files(dir, &mut section);
    section.finish();
    let variables = match line {
        Some(_) => egress::environment().unwrap_or_default(),
        None => Variables::default(),
    };
    let proxy = egress::read_proxy(dir, file, root, &variables)?;
    Some(line.map(|line| UpstreamRelay {
        line: dir.join(line.value),
        extra_ca_files,
        proxy,
    }))
}

fn read_mailbox(dir: &Path, root: &mut Section<'_, '_>, limits: &mut Limits) -> Option<PathBuf> {
    let mut section = root.section("mailbox");
    let key = path_in(dir, &mut section, "key_file");
    if key.is_none() {
        section.missing(
            "key_file",
            "name the mailbox key file, such as \"mailbox.key\"",
        );
    }
    read_numbers_of(&mut section, "mailbox", limits);
    section.finish();
    key
}

/// The shared `[log]` table and the numbers that only a relay has.
fn read_log_table(root: &mut Section<'_, '_>, limits: &mut Limits) -> LogConfig {
    read_log(root, |section| read_numbers_of(section, "log", limits))
}

fn read_trust(dir: &Path, root: &mut Section<'_, '_>) -> Option<(Thumbprint, Thumbprint, PathBuf)> {
    let mut section = root.section("trust");
    let mut thumbprint = |key: &str| {
        let Some(text) = section.text(key) else {
            section.missing(
                key,
                "copy it from `postern controller trust` or from a backup",
            );
            return None;
        };
        let parsed = parse_thumbprint(&text.value);
        if parsed.is_none() {
            let what = "must be 64 hexadecimal digits, as `postern-relay init` wrote them";
            section.refuse(text.line, key, what);
        }
        parsed
    };
    let root_key = thumbprint("root");
    let recovery = thumbprint("recovery");
    let file = path_in(dir, &mut section, "file");
    if file.is_none() {
        section.missing(
            "file",
            "name the file with the trust line, such as \"trust.line\"",
        );
    }
    section.finish();
    Some((root_key?, recovery?, file?))
}

fn parse_thumbprint(text: &str) -> Option<Thumbprint> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(Thumbprint::from_bytes(bytes))
}
