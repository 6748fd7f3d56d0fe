//! What would keep a relay from running well, found before it runs: one finding each, with its remedy.
//!
//! ```text
//!  relay.toml -> keys and their modes -> trust line -> certificate -> store -> addresses -> memory and files
//! ```
//!
//! Nothing is changed: a store is opened and closed, an address is bound and given back. Refuses to
//! call a warning an error: only what would stop or endanger the relay decides the exit code.

mod machine;
#[cfg(test)]
mod tests;
mod tls;

pub use machine::raise_files;
pub use tls::{Certificate, read as read_certificate};

use crate::audit;
use crate::config::RelayConfig;
use crate::make;
use crate::upstream;
use postern_console::exit::CommandError;
use postern_console::keys::{self, KeyRole};
use postern_console::listener_secret;
use postern_egress::Date;
use postern_protocol::key::Signer as _;
use postern_relay::store::{DiskStore, Profile, Store as _};
use serde::Serialize;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// All is well.
    Fine,
    /// Somebody should look at it.
    Warning,
    /// The relay would not start, or not be reachable.
    Error,
}

impl Weight {
    /// Returns the word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at; stable.
    pub about: &'static str,
    /// How much it matters.
    pub weight: Weight,
    /// What was found.
    pub found: String,
    /// What to do; empty when all is well.
    pub next: String,
}

impl Finding {
    fn fine(about: &'static str, found: impl Into<String>) -> Self {
        Self::new(about, Weight::Fine, found, "")
    }

    fn new(
        about: &'static str,
        weight: Weight,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            about,
            weight,
            found: found.into(),
            next: next.into(),
        }
    }

    fn error(about: &'static str, error: CommandError) -> Self {
        Self::new(about, Weight::Error, error.message, error.next)
    }
}

/// Looks at everything that a relay needs. `is_running` says that its own process holds store and
/// addresses, so that they are no fault.
///
/// # Errors
/// A configuration that cannot be read at all.
pub fn all(
    dir: &Path,
    is_running: bool,
    unix_s: Option<u64>,
) -> Result<Vec<Finding>, CommandError> {
    let config = RelayConfig::load(dir)?;
    let keys = config.entries().len();
    let mut findings = vec![Finding::fine(
        "config",
        format!("{}: {keys} keys are well", RelayConfig::file(dir).display()),
    )];
    findings.push(folder(dir));
    findings.push(key(&config));
    findings.push(trust(&config));
    findings.extend(quic_key(&config));
    findings.extend(upstream_line(&config));
    findings.extend(tls::findings(&config, unix_s));
    if is_running {
        let found = "a relay runs in this folder: store and addresses are its own";
        findings.push(Finding::fine("running", found));
    } else {
        findings.push(store(&config));
        let listen = config.listen;
        findings.push(bindable("listen", listen, TcpListener::bind(listen)));
        findings.extend(
            config
                .quic
                .listen
                .map(|listen| bindable("quic", listen, UdpSocket::bind(listen))),
        );
        let admin = config.admin_listen;
        findings.push(bindable("admin", admin, TcpListener::bind(admin)));
    }
    findings.push(admin(config.admin_listen));
    findings.push(audit_log(&config));
    findings.extend(machine::findings(&config, &machine::Machine::read()));
    findings.push(clock(unix_s));
    Ok(findings)
}

/// The relay that this one dials, if it dials one.
fn upstream_line(config: &RelayConfig) -> Option<Finding> {
    const ABOUT: &str = "upstream";
    let upstream = config.upstream.as_ref()?;
    // Without its own key the relay does not start anyway; that is a finding of its own.
    let own = keys::read(&config.mailbox_key, KeyRole::Mailbox).ok()?;
    Some(
        match upstream::read_line(&upstream.line, own.public_key()) {
            Ok(line) => Finding::fine(ABOUT, format!("dials {}", line.urls.join(", "))),
            Err(error) => Finding::error(ABOUT, error),
        },
    )
}

fn folder(dir: &Path) -> Finding {
    const ABOUT: &str = "folder";
    match std::fs::metadata(dir) {
        Ok(found) if found.mode() & 0o077 != 0 => Finding::new(
            ABOUT,
            Weight::Error,
            format!(
                "{}: others may look into it (mode {:04o})",
                dir.display(),
                found.mode() & 0o7777
            ),
            format!(
                "run `chmod 700 {}`: whoever may open relay.sock operates the relay",
                dir.display()
            ),
        ),
        Ok(_) => Finding::fine(ABOUT, format!("{}: private", dir.display())),
        Err(error) => Finding::new(
            ABOUT,
            Weight::Error,
            format!("{}: {error}", dir.display()),
            "run this as the user who runs the relay",
        ),
    }
}

fn key(config: &RelayConfig) -> Finding {
    const ABOUT: &str = "mailbox-key";
    match keys::read(&config.mailbox_key, KeyRole::Mailbox) {
        Ok(signer) => Finding::fine(ABOUT, signer.public_key().thumbprint().to_string()),
        Err(error) => Finding::error(ABOUT, error.into()),
    }
}

fn trust(config: &RelayConfig) -> Finding {
    const ABOUT: &str = "trust";
    match make::read_trust(config) {
        Ok(trust) => {
            let tenants = trust
                .held()
                .map_or(0, |bundle| bundle.content().writers.len());
            let found = format!(
                "bundle {} of {}, tenants: {tenants}",
                trust.number().number(),
                trust.root()
            );
            Finding::fine(ABOUT, found)
        }
        Err(error) => Finding::error(ABOUT, error),
    }
}

fn store(config: &RelayConfig) -> Finding {
    const ABOUT: &str = "store";
    if !config.store.exists() {
        let found = format!("{}: will be made", config.store.display());
        return Finding::fine(ABOUT, found);
    }
    let opened = DiskStore::open(&config.store, Profile::Device);
    match opened.and_then(|store| store.close()) {
        Ok(()) => Finding::fine(ABOUT, format!("{}: sound", config.store.display())),
        Err(error) => Finding::error(ABOUT, error.into()),
    }
}

fn quic_key(config: &RelayConfig) -> Option<Finding> {
    const ABOUT: &str = "quic-key";
    config.quic.listen?;
    let file = config.quic.key.display();
    Some(match listener_secret::read(&config.quic.key) {
        Ok(Some(_)) => Finding::fine(ABOUT, format!("{file}: private")),
        Ok(None) => Finding::fine(ABOUT, format!("{file}: will be made")),
        Err(error) => Finding::error(ABOUT, error),
    })
}

fn bindable<T>(about: &'static str, address: SocketAddr, bound: io::Result<T>) -> Finding {
    match bound {
        Ok(_) => Finding::fine(about, format!("{address} can be listened on")),
        Err(error) => {
            let next = if error.kind() == io::ErrorKind::PermissionDenied {
                "ports below 1024 need CAP_NET_BIND_SERVICE: use the unit in relay/systemd, or a higher port"
            } else {
                "end the process that holds it (`ss -ltunp`), or correct the address in relay.toml"
            };
            Finding::new(
                about,
                Weight::Error,
                format!("{address} cannot be listened on: {error}"),
                next,
            )
        }
    }
}

fn admin(address: SocketAddr) -> Finding {
    const ABOUT: &str = "admin-address";
    if address.ip().is_loopback() {
        return Finding::fine(ABOUT, format!("{address} is loopback"));
    }
    Finding::new(
        ABOUT,
        Weight::Warning,
        format!("/metrics on {address} is not protected and not loopback"),
        "let only your monitoring network reach it, or set admin.listen = \"127.0.0.1:9464\"",
    )
}

fn audit_log(config: &RelayConfig) -> Finding {
    const ABOUT: &str = "audit";
    if !config.audit.exists() {
        return Finding::fine(ABOUT, format!("{}: will be made", config.audit.display()));
    }
    match audit::verify(&config.audit) {
        Ok(end) => Finding::fine(ABOUT, format!("{} lines, chain unbroken", end.n)),
        Err(error) => Finding::error(ABOUT, error),
    }
}

fn clock(unix_s: Option<u64>) -> Finding {
    const ABOUT: &str = "clock";
    match unix_s {
        Some(seconds) => Finding::fine(ABOUT, Date(seconds).to_string()),
        None => Finding::new(
            ABOUT,
            Weight::Warning,
            "the machine's clock is not set",
            "start a time service: certificates and the audit log need it, messages do not",
        ),
    }
}
