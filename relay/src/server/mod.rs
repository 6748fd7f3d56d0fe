//! The HTTPS server around the mailboxes: everything in this crate that waits.
//!
//! ```text
//!   connection --> http --> answer --> exchange (pure) --> mailbox (pure)
//!                              +-----> Host: admit, enrol, take reports
//! ```
//!
//! Reading order: [`Host`] (what the embedding process does), [`Mailbox`] (its handle), [`Server`].
//! Refuses plain HTTP, client certificates, upgrades, and to start with settings that it would not obey.

mod answer;
mod clock;
mod connection;
mod drain;
mod events;
mod holds;
mod host;
mod http;
mod mailbox;
mod random;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod writer;

pub use events::Event;
pub use host::{Host, HostAnswer, Taken};
pub use mailbox::Mailbox;
pub(crate) use random::bytes as random_bytes;
pub use settings::{ServerConfig, ServerLimits};
pub use tls::TlsError;

use crate::limiter::{Gate, Limiter};
use crate::limits::{BACKLOG, HOST_CALLS_MAX, SWEEP_MS};
use answer::{Answerer, Gates};
pub(crate) use clock::after_ms;
use connection::{Counts, Shared};
use http::Service;
use postern_protocol::Reject;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, mpsc, watch};
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
    drain: watch::Sender<Option<u64>>,
    /// Ends when the last connection has dropped its sender.
    ended: mpsc::Receiver<()>,
    sweeper: tokio::task::JoinHandle<()>,
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
        let tls = tls::read(&config.certificate_pem, &config.key_pem)?;
        let path = route(&config.prefix)?;
        let gates = gates(&config.limits).map_err(|_| StartError::Random)?;
        let failed = |source| StartError::Listen {
            listen: config.listen,
            source,
        };
        let listener = listen(config.listen).map_err(failed)?;
        let local_address = listener.local_addr().map_err(failed)?;
        let (drain, draining) = watch::channel(None);
        let shared = Arc::new(Shared {
            service: Service {
                answerer: Answerer {
                    mailbox: mailbox.clone(),
                    host,
                    gates: Arc::new(Mutex::new(gates)),
                    holds_max: config.limits.holds_max,
                    host_calls: Arc::new(Semaphore::new(HOST_CALLS_MAX)),
                },
                limits: config.limits,
                path,
                bodies: Arc::new(Semaphore::new(config.limits.bodies_bytes_max)),
            },
            tls: Mutex::new(tls),
            counts: Mutex::new(Counts::default()),
            draining,
        });
        mailbox.lock().is_draining = false;
        let (alive, ended) = mpsc::channel(1);
        tokio::spawn(connection::accept(listener, Arc::clone(&shared), alive));
        let sweeper = tokio::spawn(sweep(mailbox.clone()));
        info!(transport = "https", listen = %local_address, "started mailbox server");
        Ok(Self {
            mailbox,
            shared,
            local_address,
            drain,
            ended,
            sweeper,
        })
    }

    /// Where the server listens.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Takes another certificate and key for new connections.
    /// # Errors: [`TlsError`]; the old ones stay in use then.
    pub fn replace_certificate(
        &self,
        certificate_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<(), TlsError> {
        let tls = tls::read(certificate_pem, key_pem)?;
        let mut current = self
            .shared
            .tls
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *current = tls;
        drop(current);
        info!(transport = "https", "replaced certificate");
        Ok(())
    }

    /// Stops accepting, answers held polls with randomised retry hints, and waits for connections
    /// to end, at most `grace_ms`.
    pub async fn shutdown(mut self, grace_ms: u64) {
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
        info!(transport = "https", "stopped mailbox server");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.sweeper.abort();
        self.drain.send_replace(Some(0));
    }
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

fn gates(limits: &ServerLimits) -> Result<Gates, Reject> {
    Ok(Gates {
        exchanges: Limiter::new(limits.source_exchanges, random::bytes()?),
        handshakes: Limiter::new(limits.source_handshakes, random::bytes()?),
        all_handshakes: Gate::new(limits.handshakes),
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for the last connections of its predecessor to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Ends old sessions and changes ephemeral keys, until the server is dropped.
async fn sweep(mailbox: Mailbox) {
    loop {
        tokio::time::sleep_until(after_ms(SWEEP_MS)).await;
        let Ok(window) = random::bytes() else {
            continue;
        };
        let now_ms = mailbox.clock().now_ms();
        mailbox.lock().exchanges.handle_tick(now_ms, window);
    }
}
