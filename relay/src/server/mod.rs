//! The server around the mailboxes, with two doors (HTTPS, QUIC): everything in this crate that waits.
//!
//! ```text
//!   connection --> http --> answer --> exchange (pure) --> mailbox (pure)
//!                              +-----> Host: admit, enrol, take reports
//! ```
//!
//! Reading order: [`Host`] (what the embedding process does), [`Mailbox`] (its handle), [`Server`].
//! Refuses plain HTTP, client certificates, upgrades, and to start with settings that it would not obey.

mod activity;
mod answer;
mod body;
mod clock;
mod connection;
mod counts;
mod device;
mod devices;
mod drain;
mod events;
mod fronts;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fuzz;
mod gates;
mod holds;
mod host;
mod host_queue;
mod http;
mod link;
mod mailbox;
mod memory;
mod place;
mod quic;
mod random;
mod settings;
mod shown;
mod sockets;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod turns;
mod writer;

pub use events::Event;
pub use fronts::{Fronts, Network, NotNetwork};
pub use host::{Host, HostAnswer, Taken};
pub use mailbox::Mailbox;
pub use quic::{ALPN, BadSecret, ListenerSecret, QuicListener};
pub(crate) use random::bytes as random_bytes;
pub use settings::{ServerConfig, ServerLimits};
pub(crate) use shown::{Shown, ShownKnock};
pub use sockets::Sockets;
pub use tls::TlsError;

use crate::budget::{Budget, Pool};
use crate::limits::{KNOCKS_AT_ONCE, OUT_AT_ONCE, OUT_WAITING_MAX, SWEEP_MS};
use answer::Answerer;
pub(crate) use clock::after_ms;
use connection::Shared;
use counts::Counts;
use devices::Devices;
use gates::Gates;
use host_queue::HostQueue;
use http::Service;
use postern_protocol::id::{ChannelId, Tenant};
use quic::QuicDoor;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tracing::info;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Certificate or key.
    #[error("TLS is not usable")]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// What was asked for.
        listen: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The address cannot be listened on for QUIC.
    #[error("cannot listen for QUIC on {listen}")]
    Quic {
        /// What was asked for.
        listen: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The path prefix is not empty, or `/` and more without a final `/`.
    #[error("the path prefix {prefix:?} must be empty, or start with / and not end with it")]
    Prefix {
        /// What was asked for.
        prefix: String,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// A server that is listening.
pub struct Server {
    mailbox: Mailbox,
    shared: Arc<Shared>,
    local_address: SocketAddr,
    quic: Option<QuicDoor>,
    /// Doubles, for a process that goes on in this one's place.
    sockets: Option<Sockets>,
    drain: watch::Sender<Option<u64>>,
    /// Ends when the last connection has dropped its sender.
    ended: mpsc::Receiver<()>,
    keepers: [tokio::task::JoinHandle<()>; 2],
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("local_address", &self.local_address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Listens and serves in tasks of the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(
        config: &ServerConfig,
        mailbox: Mailbox,
        host: Arc<dyn Host>,
    ) -> Result<Self, StartError> {
        Self::start_on(config, Sockets::bind(config)?, mailbox, host, Vec::new())
    }

    /// As [`Self::start`], on sockets that are open, and with the tenants of `devices` whose
    /// sessions the mailboxes hold already.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(
        config: &ServerConfig,
        sockets: Sockets,
        mailbox: Mailbox,
        host: Arc<dyn Host>,
        devices: Vec<(ChannelId, Tenant)>,
    ) -> Result<Self, StartError> {
        let tls = tls::read(&config.certificate_pem, &config.key_pem)?;
        let path = route(&config.prefix)?;
        let answerer = answerer(&config.limits, &mailbox, host)?;
        let failed = |source| StartError::Listen {
            listen: config.listen,
            source,
        };
        let doubles = sockets.doubles().map_err(failed)?;
        answerer.know(devices);
        let listener = listener_of(sockets.https).map_err(failed)?;
        let local_address = listener.local_addr().map_err(failed)?;
        let (drain, draining) = watch::channel(None);
        let shared = Arc::new(Shared {
            service: Service {
                answerer: answerer.clone(),
                limits: config.limits,
                path,
            },
            tls: Mutex::new(tls),
            counts: Arc::new(Counts::new(&config.limits, &answerer.budget, &mailbox)),
            draining,
            fronts: sockets.fronts,
        });
        mailbox.lock().is_draining = false;
        let (alive, ended) = mpsc::channel(1);
        let quic = config.quic.as_ref().zip(sockets.quic);
        let quic = quic.map(|(door, socket)| open_quic(door, socket, &shared, &alive));
        let quic = quic.transpose()?;
        tokio::spawn(connection::accept(listener, Arc::clone(&shared), alive));
        let keepers = [
            tokio::spawn(sweep(answerer.clone())),
            tokio::spawn(memory::watch(answerer)),
        ];
        info!(transport = "https", listen = %local_address, "started mailbox server");
        Ok(Self {
            mailbox,
            shared,
            local_address,
            quic,
            sockets: Some(doubles),
            drain,
            ended,
            keepers,
        })
    }

    /// Where the server listens.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Where the server listens for QUIC, if it does.
    #[must_use]
    pub fn quic_address(&self) -> Option<SocketAddr> {
        self.quic
            .as_ref()
            .and_then(|door| door.local_address().ok())
    }

    /// Takes another certificate and key for new connections.
    /// # Errors: [`TlsError`]; the old ones stay in use then.
    pub fn replace_certificate(
        &self,
        certificate_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<(), TlsError> {
        let tls = tls::read(certificate_pem, key_pem)?;
        *self
            .shared
            .tls
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = tls;
        if let Some(door) = &self.quic
            && let Err(error) = door.renew(&self.shared)
        {
            // Not reached: it opened with the same settings but the certificate.
            tracing::warn!(reason = %error, transport = "quic", "cannot replace certificate");
        }
        info!(transport = "https", "replaced certificate");
        Ok(())
    }

    /// Stops accepting, answers held polls with randomised retry hints, and waits for connections
    /// to end, at most `grace_ms`.
    pub async fn shutdown(mut self, grace_ms: u64) {
        // Who connects now is refused at once and turns elsewhere.
        self.sockets = None;
        self.end(grace_ms).await;
    }

    /// As [`Self::shutdown`], but leaves the sockets open: who connects now waits in the kernel for
    /// the process that goes on. `None` after [`Self::shutdown`], which does not happen.
    pub async fn hand_over(mut self, grace_ms: u64) -> Option<Sockets> {
        self.end(grace_ms).await;
        self.sockets.take()
    }

    async fn end(&mut self, grace_ms: u64) {
        {
            let mut state = self.mailbox.lock();
            state.is_draining = true;
            state.holds.wake_all();
            state.collects.wake_all();
        }
        self.drain.send_replace(Some(grace_ms));
        // Connections cut themselves at the grace; the second bound is for their tasks only.
        let grace = after_ms(grace_ms.saturating_mul(2).max(1));
        let _ = tokio::time::timeout_at(grace, self.ended.recv()).await;
        if let Some(door) = &self.quic {
            door.close(self.shared.limits().close_ms_max).await;
        }
        info!(transport = "https", "stopped mailbox server");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for keeper in &self.keepers {
            keeper.abort();
        }
        self.drain.send_replace(Some(0));
    }
}

fn open_quic(
    listener: &QuicListener,
    socket: std::net::UdpSocket,
    shared: &Arc<Shared>,
    alive: &mpsc::Sender<()>,
) -> Result<QuicDoor, StartError> {
    let listen = listener.listen;
    let opened = QuicDoor::open(listener, socket, shared, alive);
    let door = opened.map_err(|source| StartError::Quic { listen, source })?;
    info!(transport = "quic", %listen, "started mailbox server");
    Ok(door)
}

fn route(prefix: &str) -> Result<Arc<str>, StartError> {
    let is_path = prefix.starts_with('/') && !prefix.ends_with('/');
    let is_plain = prefix
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    if prefix.is_empty() || (is_path && is_plain) {
        Ok(Arc::from(format!("{prefix}/postern/1")))
    } else {
        Err(StartError::Prefix {
            prefix: prefix.to_owned(),
        })
    }
}

fn answerer(
    limits: &ServerLimits,
    mailbox: &Mailbox,
    host: Arc<dyn Host>,
) -> Result<Answerer, StartError> {
    let caps = [(Pool::Bodies, limits.bodies_bytes_max)];
    Ok(Answerer {
        mailbox: mailbox.clone(),
        host,
        gates: Arc::new(Gates::new(limits).map_err(|_| StartError::Random)?),
        budget: Arc::new(Budget::new(limits.budget_bytes_max, &caps)),
        devices: Arc::new(Mutex::new(Devices::new(limits.device_connections_max))),
        holds_max: limits.holds_max,
        host_queue: Arc::new(HostQueue::default()),
        knock_queue: Arc::new(HostQueue::new(KNOCKS_AT_ONCE, 0)),
        out_queue: Arc::new(HostQueue::patient(OUT_AT_ONCE, OUT_WAITING_MAX)),
        pauses: Arc::default(),
    })
}

fn listener_of(socket: std::net::TcpListener) -> std::io::Result<TcpListener> {
    // One that was taken over may come from a process that waited for it.
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// Ends old sessions and changes ephemeral keys, until the server is dropped.
async fn sweep(answerer: Answerer) {
    loop {
        tokio::time::sleep_until(after_ms(SWEEP_MS)).await;
        let Ok(window) = random::bytes() else {
            continue;
        };
        let now_ms = answerer.mailbox.clock().now_ms();
        let mut state = answerer.mailbox.lock();
        state.exchanges.handle_tick(now_ms, window);
        let devices = answerer.devices.lock();
        devices
            .unwrap_or_else(PoisonError::into_inner)
            .sweep(|channel| state.exchanges.has_session(channel));
    }
}
