//! From a configuration to a relay that serves: everything is checked before the first port is opened.
//!
//! ```text
//!  key, trust line, certificate -> the process before, if any -> sockets, audit log -> server -> loop
//! ```
//!
//! Refuses to leave anything running when a later step fails: the process ends then.

use super::notify::Notify;
use super::reload::Reloader;
use super::{Control, Logging, moment};
use crate::admin::{self, Desk, Order};
use crate::audit::Audit;
use crate::check::{Certificate, raise_files, read_certificate};
use crate::config::{Limit, RelayConfig};
use crate::handover::{Inherited, Predecessor};
use crate::health::Health;
use crate::http;
use crate::limits::ORDERS_MAX;
use crate::make;
use crate::operable::{Operable, Served, StartedWith};
use crate::upstream;
use postern_console::exit::CommandError;
use postern_console::keys::{self, KeyRole};
use postern_console::listener_secret;
use postern_console::random::OsRandom;
use postern_console::{clock, output};
use postern_protocol::key::Signer as _;
use postern_relay::server::QuicListener;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// A relay that serves, and what its loop needs.
pub(super) struct Started {
    /// A double of the admin socket, for a process that goes on in this one's place.
    pub(super) operators_socket: UnixListener,
    /// A double of the health socket, for the same.
    pub(super) health_socket: TcpListener,
    pub(super) served: Arc<Served>,
    pub(super) control: Control,
    pub(super) queue: mpsc::Receiver<Order>,
    /// The task that serves the admin socket.
    pub(super) operators: AbortHandle,
    /// The task that serves the health address.
    pub(super) watchers: AbortHandle,
}

impl Started {
    pub(super) async fn start(
        config: Arc<RelayConfig>,
        logging: Logging,
        predecessor: Option<Predecessor>,
    ) -> Result<Self, CommandError> {
        raise_files();
        let certificate = read_certificate(&config)?;
        let with = read_parts(&config, &certificate)?;
        let (predecessor, inherited) = receive(predecessor).await?;
        let (operators_socket, health_socket, inherited) = sockets(&config, inherited)?;
        let audit = Audit::open(&config.audit, clock::unix_s())?;
        let (served, sessions) = Served::start(&config, with, inherited)?;
        let served = Arc::new(served);
        let relay: Arc<dyn Operable> = served.clone();
        let health = Arc::new(Health::new(Arc::clone(&relay), moment()));
        let (orders, queue) = mpsc::channel(ORDERS_MAX);
        let desk = Arc::new(Desk::new(
            Arc::clone(&relay),
            Arc::clone(&health),
            audit,
            Arc::clone(&config),
            orders,
        ));
        desk.note("start", begun(predecessor.is_some(), sessions), "done")?;
        let reloader = Reloader::new(
            Arc::clone(&config),
            &certificate,
            Arc::clone(&relay),
            Arc::clone(&health),
            logging.level,
            logging.over,
        );
        let socket = admin::double(&operators_socket).map_err(no_double)?;
        let operators = tokio::spawn(admin::serve(socket, Arc::clone(&desk)));
        let shown = Arc::new(http::Shown {
            relay: Arc::clone(&relay),
            health: Arc::clone(&health),
        });
        let socket = http::double(&health_socket).map_err(no_double)?;
        let watchers = tokio::spawn(http::serve(socket, shown));
        say_ready(&config, served.local_address());
        if let Some(listening) = served.quic_address() {
            tracing::info!(listen = %listening, transport = "quic", "relay listens");
        }
        if let Some(predecessor) = predecessor {
            tracing::info!(sessions, "goes on in place of another process");
            predecessor.tell_serving();
            // Before it has named this process to the service manager, that one would not listen.
            wait(move || predecessor.wait_end()).await?;
        }
        let notify = Notify::of_process();
        Ok(Self {
            operators_socket,
            health_socket,
            served,
            control: Control::new(relay, health, desk, reloader, logging.rates, notify),
            queue,
            operators: operators.abort_handle(),
            watchers: watchers.abort_handle(),
        })
    }
}

impl Started {
    /// Ends: nobody goes on.
    pub(super) async fn stop(self) {
        self.operators.abort();
        let config = Arc::clone(self.control.reloader.config());
        self.served.stop(config.limits.of(Limit::CloseMs)).await;
        self.control.note("stop", serde_json::json!({}), "done");
        self.watchers.abort();
        // Who finds no socket knows that nothing runs here.
        let _ = std::fs::remove_file(&config.socket);
        tracing::info!("relay stopped");
    }
}

/// Reads everything that an operator could have got wrong.
fn read_parts(
    config: &RelayConfig,
    certificate: &Certificate,
) -> Result<StartedWith, CommandError> {
    make::read_trust(config)?;
    let signer = keys::read(&config.mailbox_key, KeyRole::Mailbox)?;
    Ok(StartedWith {
        upstream: upstream::read(config, signer.public_key())?,
        signer: Arc::new(signer),
        chain_pem: certificate.pem.chain.as_bytes().to_vec(),
        key_pem: certificate.pem.key.as_bytes().to_vec(),
        quic: quic_door(config)?,
        bundles: make::read_trust_line(config)?.bundles,
    })
}

/// Waits for what the process before leaves to this one.
async fn receive(
    predecessor: Option<Predecessor>,
) -> Result<(Option<Predecessor>, Option<Inherited>), CommandError> {
    let Some(predecessor) = predecessor else {
        return Ok((None, None));
    };
    let (predecessor, received) = wait(move || {
        let received = predecessor.receive();
        (predecessor, received)
    })
    .await?;
    received.map(|inherited| (Some(predecessor), Some(inherited)))
}

/// Takes over or binds the two sockets of operators and watchers.
fn sockets(
    config: &RelayConfig,
    mut inherited: Option<Inherited>,
) -> Result<(UnixListener, TcpListener, Option<Inherited>), CommandError> {
    let left = inherited.as_mut();
    let operators = left.and_then(|left| left.take_operators(&config.socket));
    let operators = operators.map_or_else(|| admin::bind(&config.socket), Ok)?;
    let left = inherited.as_mut();
    let health = left.and_then(|left| left.take_health(config.admin_listen));
    let health = health.map_or_else(|| http::bind(config.admin_listen), Ok)?;
    Ok((operators, health, inherited))
}

/// What the audit log says about a start.
fn begun(takes_over: bool, sessions: usize) -> serde_json::Value {
    let version = env!("CARGO_PKG_VERSION");
    if takes_over {
        serde_json::json!({ "version": version, "sessions": sessions })
    } else {
        serde_json::json!({ "version": version })
    }
}

/// Does on a thread of its own what blocks.
async fn wait<T: Send + 'static>(
    blocks: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CommandError> {
    let waited = tokio::task::spawn_blocking(blocks).await;
    waited.map_err(|_| {
        CommandError::failure(
            "start-failed",
            "a part of the start ended unexpectedly",
            "look at the relay's log",
        )
    })
}

fn no_double(error: std::io::Error) -> CommandError {
    CommandError::failure(
        "socket-failed",
        format!("a socket cannot be used: {error}"),
        "raise LimitNOFILE= or `ulimit -n`",
    )
}

/// The second door, with its secret; the first start makes that.
fn quic_door(config: &RelayConfig) -> Result<Option<QuicListener>, CommandError> {
    let Some(listen) = config.quic.listen else {
        return Ok(None);
    };
    let secret = listener_secret::read_or_make(&config.quic.key, &mut OsRandom)?;
    Ok(Some(QuicListener { listen, secret }))
}

fn say_ready(config: &RelayConfig, listening: Option<SocketAddr>) {
    let listening = listening.unwrap_or(config.listen);
    tracing::info!(listen = %listening, admin = %config.admin_listen, socket = %config.socket.display(), "relay started");
    output::hint(format!(
        "relay ready: devices and controllers connect to {} (listening on {listening}); operators use {}",
        config.urls.join(", "),
        config.dir.display()
    ));
}
