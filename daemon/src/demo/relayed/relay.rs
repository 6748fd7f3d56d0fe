//! The relay of the demo: its folder, and the process that runs it from the library of `postern-relay`.
//!
//! One program is enough for a demo. For real, `postern-relay` makes and runs a relay, with limits, checks and
//! a runbook. Refuses to be more than the demo needs.

use crate::exit::CommandError;
use crate::keys::{self, KeyRole};
use crate::random::OsRandom;
use postern_console::certificate;
use postern_protocol::key::Signer as _;
use postern_protocol::trust_line::{RelayLine, TrustLine};
use postern_relay::exchange::{ExchangeLimits, MailboxKeys};
use postern_relay::server::{ServerConfig, ServerLimits};
use postern_relay::{Relay, RelayConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Milliseconds that exchanges get when the demo ends.
const GRACE_MS: u64 = 500;

/// Makes the folder of a relay. Returns the line that names it to its controller.
///
/// # Errors
/// A trust line that is none, a file system that refuses.
pub(super) fn make(dir: &Path, host: &str, url: &str, trust: &str) -> Result<String, CommandError> {
    let wrong = |error: io::Error| failed(&error);
    crate::folder::create_private(dir).map_err(wrong)?;
    let signer = keys::create(&dir.join("relay.key"), KeyRole::Mailbox, &mut OsRandom)?;
    let made = certificate::make("Postern demo relay", &[host.to_owned()])
        .map_err(|reason| wrong(io::Error::other(reason)))?;
    let files = [
        ("trust.line", trust.as_bytes()),
        ("tls.crt", made.server.chain.as_bytes()),
        ("tls.key", made.server.key.as_bytes()),
        ("ca.crt", made.ca.as_bytes()),
    ];
    for (name, content) in files {
        keys::write_private(&dir.join(name), content).map_err(wrong)?;
    }
    let anchor = CertificateDer::from_pem_slice(made.ca.as_bytes())
        .map_err(|error| wrong(io::Error::other(error)))?;
    let line = RelayLine {
        key: signer.public_key().clone(),
        urls: vec![url.to_owned()],
        tls_ca: Some(anchor.to_vec()),
    };
    line.text().map_err(|error| wrong(io::Error::other(error)))
}

/// Runs the relay of a folder until it is told to stop.
///
/// # Errors
/// A folder that is none, an address that is taken.
pub async fn run_relay(dir: &Path, listen: SocketAddr) -> Result<(), CommandError> {
    let wrong = |error: io::Error| failed(&error);
    let read = |name: &str| fs::read(dir.join(name)).map_err(wrong);
    let text =
        String::from_utf8(read("trust.line")?).map_err(|error| wrong(io::Error::other(error)))?;
    let trust = TrustLine::parse(&text).map_err(|error| wrong(io::Error::other(error)))?;
    let signer = keys::read(&dir.join("relay.key"), KeyRole::Mailbox)?;
    let relay = Relay::start(RelayConfig {
        store: dir.join("relay.redb"),
        genesis: trust.root,
        recovery: trust.recovery,
        bundles: trust.bundles,
        keys: MailboxKeys::one(Arc::new(signer)),
        limits: ExchangeLimits::default(),
        server: ServerConfig {
            listen,
            prefix: String::new(),
            certificate_pem: read("tls.crt")?,
            key_pem: read("tls.key")?,
            quic: None,
            limits: ServerLimits::default(),
        },
    })
    .map_err(|error| wrong(io::Error::other(error)))?;
    crate::signals::stop().await;
    relay.shutdown(GRACE_MS).await;
    Ok(())
}

fn failed(error: &io::Error) -> CommandError {
    CommandError::failure(
        "demo-relay",
        format!("the relay does not start: {error}"),
        "look at the logs in the demo's folder",
    )
}
