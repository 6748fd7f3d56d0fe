//! From a configuration to a relay that serves: everything is checked before the first port is opened.
//!
//! ```text
//!  key, trust line, certificate -> admin socket, audit log, health address -> server -> loop
//! ```
//!
//! Refuses to leave anything running when a later step fails: the process ends then.

use super::notify::Notify;
use super::reload::Reloader;
use super::{Control, Logging, moment};
use crate::admin::{self, Desk, Order};
use crate::audit::Audit;
use crate::check::{raise_files, read_certificate};
use crate::config::RelayConfig;
use crate::health::Health;
use crate::http;
use crate::limits::ORDERS_MAX;
use crate::make;
use crate::operable::{Operable, Served, StartedWith};
use crate::secret;
use postern_console::exit::CommandError;
use postern_console::keys::{self, KeyRole};
use postern_console::random::OsRandom;
use postern_console::{clock, output};
use postern_relay::server::QuicListener;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// A relay that serves, and what its loop needs.
pub(super) struct Started {
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
    ) -> Result<Self, CommandError> {
        raise_files();
        let certificate = read_certificate(&config)?;
        make::read_trust(&config)?;
        let with = StartedWith {
            signer: Arc::new(keys::read(&config.mailbox_key, KeyRole::Mailbox)?),
            chain_pem: certificate.pem.chain.as_bytes().to_vec(),
            key_pem: certificate.pem.key.as_bytes().to_vec(),
            quic: quic_door(&config)?,
            bundles: make::read_trust_line(&config)?.bundles,
        };
        let socket = admin::bind(&config.socket)?;
        let audit = Audit::open(&config.audit, clock::unix_s())?;
        let health_listener = http::bind(config.admin_listen).await?;
        let served = Arc::new(Served::start(&config, with)?);
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
        let version = serde_json::json!({ "version": env!("CARGO_PKG_VERSION") });
        desk.note("start", version, "done")?;
        let reloader = Reloader::new(
            Arc::clone(&config),
            &certificate,
            Arc::clone(&relay),
            Arc::clone(&health),
            logging.level,
            logging.over,
        );
        let operators = tokio::spawn(admin::serve(socket, Arc::clone(&desk)));
        let shown = Arc::new(http::Shown {
            relay: Arc::clone(&relay),
            health: Arc::clone(&health),
        });
        let watchers = tokio::spawn(http::serve(health_listener, shown));
        say_ready(&config, served.local_address());
        if let Some(listening) = served.quic_address() {
            tracing::info!(listen = %listening, transport = "quic", "relay listens");
        }
        let notify = Notify::of_process();
        Ok(Self {
            served,
            control: Control::new(relay, health, desk, reloader, logging.rates, notify),
            queue,
            operators: operators.abort_handle(),
            watchers: watchers.abort_handle(),
        })
    }
}

/// The second door, with its secret; the first start makes that.
fn quic_door(config: &RelayConfig) -> Result<Option<QuicListener>, CommandError> {
    let Some(listen) = config.quic.listen else {
        return Ok(None);
    };
    let secret = secret::read_or_make(&config.quic.key, &mut OsRandom)?;
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
