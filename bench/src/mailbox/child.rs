//! The relay that is measured: the whole of it, with its store on a disk, in a process of its own.
//!
//! ```text
//!  Place (a folder) -- start --> Child (this program as `mailbox-child`) -- kill_9 or stop --> start again
//! ```
//!
//! Limits are those that ship, or, where one address stands for a whole fleet, none on sources and
//! tenants. Refuses to start on another certificate than the one that clients trust.

use super::domain;
use crate::error::BenchError;
use crate::relay::process::{self, Child, Greeting, Numbers};
use postern_relay::exchange::{ExchangeLimits, MailboxKeys};
use postern_relay::server::{ServerConfig, ServerLimits};
use postern_relay::{Relay, RelayConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// File of a certificate in its folder.
pub const CERTIFICATE: &str = "tls.crt";
/// File of the key of a certificate.
pub const KEY: &str = "tls.key";

/// Whose limits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Limits {
    /// Those that ship.
    Shipped,
    /// None on sources, devices and tenants.
    Open,
}

impl Limits {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Open => "open",
        }
    }
}

/// What the process is told.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder of store and certificate.
    folder: std::path::PathBuf,
    /// Where to listen.
    listen: SocketAddr,
    /// Tenants of the bundle.
    tenants: usize,
    /// Whose limits count.
    limits: Limits,
}

/// The folder of a relay, and where it listens once it has.
pub struct Place {
    folder: tempfile::TempDir,
    listen: SocketAddr,
    tenants: usize,
    limits: Limits,
}

impl Place {
    /// Makes a folder. # Errors: of the machine.
    pub fn new(tenants: usize, limits: Limits) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::io("make a folder"))?;
        write_certificate(folder.path())?;
        Ok(Self {
            folder,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tenants,
            limits,
        })
    }

    /// The file with its certificate.
    pub fn certificate(&self) -> std::path::PathBuf {
        self.folder.path().join(CERTIFICATE)
    }

    /// Starts the relay, the second time where it listened the first time. Returns when it serves.
    /// # Errors: when it does not.
    pub fn start(&mut self) -> Result<Child, BenchError> {
        let folder = self.folder.path().display().to_string();
        let (listen, tenants) = (self.listen.to_string(), self.tenants.to_string());
        let limits = self.limits.as_str();
        let child = Child::start(&["mailbox-child", &folder, &listen, &tenants, limits])?;
        self.listen = child.greeting.https;
        Ok(child)
    }
}

/// Makes a certificate for `localhost` and writes it with its key into a folder; returns it. # Errors: of the machine.
pub fn write_certificate(folder: &Path) -> Result<String, BenchError> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .map_err(BenchError::network("cannot make a certificate"))?;
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).map_err(BenchError::io("write a certificate"))
    };
    let certificate = made.cert.pem();
    write(CERTIFICATE, &certificate)?;
    write(KEY, &made.signing_key.serialize_pem())?;
    Ok(certificate)
}

/// Serves until standard input ends.
///
/// # Errors
/// When the relay cannot start.
pub fn serve(arguments: &Arguments) -> Result<(), BenchError> {
    process::allow_many_files()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(BenchError::io("start a runtime"))?;
    let _inside = runtime.enter();
    let certificate = read(&arguments.folder, CERTIFICATE)?;
    let config = RelayConfig {
        store: arguments.folder.join("relay.store"),
        genesis: domain::genesis(),
        recovery: domain::recovery(),
        bundles: vec![domain::bundle(arguments.tenants)?],
        keys: MailboxKeys::one(Arc::new(domain::mailbox())),
        limits: ExchangeLimits::default(),
        server: ServerConfig {
            listen: arguments.listen,
            prefix: String::new(),
            certificate_pem: certificate.clone(),
            key_pem: read(&arguments.folder, KEY)?,
            quic: None,
            limits: match arguments.limits {
                Limits::Shipped => ServerLimits::default(),
                Limits::Open => crate::relay::limits(),
            },
        },
    };
    let relay = Relay::start(config).map_err(BenchError::network("cannot start the relay"))?;
    let greeting = Greeting {
        https: relay.local_address(),
        quic: None,
        certificate_pem: String::from_utf8_lossy(&certificate).into_owned(),
    };
    let numbers = || Numbers {
        holds: relay.mailbox().metrics().holds(),
        connections: relay.mailbox().metrics().connections(),
    };
    process::answer_lines(&greeting, numbers).map_err(BenchError::io("talk to the benchmark"))?;
    runtime.block_on(relay.shutdown(0));
    Ok(())
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, BenchError> {
    std::fs::read(folder.join(name)).map_err(BenchError::io("read a certificate"))
}
