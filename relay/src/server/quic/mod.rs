//! The second door: QUIC, one bidirectional stream for each exchange, the same frames as HTTPS.
//!
//! ```text
//!   attempt --door--> Retry | refusal | handshake (deadline) -> places of its source
//!   stream  --> limits -> frame (least rate, bound) -> Answerer, as HTTPS -> frame, end
//! ```
//!
//! Never the only door: networks block UDP, and what stands in front of servers rarely carries it.
//! Refuses 0-RTT, datagrams, unidirectional streams, and keys for addresses that proved nothing.

mod connection;
mod door;
mod ids;
mod keys;
mod settings;
mod stream;
#[cfg(test)]
mod tests;

pub use keys::{BadSecret, ListenerSecret};

use super::connection::Shared;
use super::counts::Counted;
use crate::budget::{Pool, Reserved};
use crate::limiter::Source;
use crate::limits as fixed;
use crate::metrics::{ConnectionRefusal, QuicAttempt};
use connection::QuicError;
use door::{Attempt, Verdict};
use quinn::{Endpoint, Incoming, TokioRuntime};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::Sender;

/// The protocol's name in the TLS handshake.
pub const ALPN: &[u8] = b"postern/1";

/// Where to listen for QUIC, and with which secret.
#[derive(Debug, Clone)]
pub struct QuicListener {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// What makes connections of a former life end at once.
    pub secret: ListenerSecret,
}

/// A door that is open.
#[derive(Debug)]
pub(super) struct QuicDoor {
    endpoint: Endpoint,
    secret: ListenerSecret,
}

impl QuicDoor {
    /// Takes connections on a socket until the server drains.
    ///
    /// # Errors
    /// Those of the socket, and of TLS without 1.3.
    pub(super) fn open(
        listener: &QuicListener,
        socket: UdpSocket,
        shared: &Arc<Shared>,
        alive: &Sender<()>,
    ) -> std::io::Result<Self> {
        let settings = settings_of(shared, &listener.secret)?;
        let endpoint = Endpoint::new(
            settings::endpoint(&listener.secret),
            Some(settings),
            socket,
            Arc::new(TokioRuntime),
        )?;
        let acceptor = Acceptor {
            shared: Arc::clone(shared),
            alive: alive.clone(),
            half_open: Arc::new(AtomicUsize::new(0)),
        };
        tokio::spawn(acceptor.accept(endpoint.clone()));
        Ok(Self {
            endpoint,
            secret: listener.secret.clone(),
        })
    }

    /// Where it listens. # Errors: those of the socket.
    pub(super) fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Ends what is left, and waits until the peers were told, at most `close_ms`.
    pub(super) async fn close(&self, close_ms: u64) {
        self.endpoint.close(QuicError::Draining.code(), &[]);
        let told = self.endpoint.wait_idle();
        let _ = tokio::time::timeout_at(super::clock::after_ms(close_ms), told).await;
    }

    /// Takes the certificate that the server has now, for new connections.
    /// # Errors: as [`Self::open`].
    pub(super) fn renew(&self, shared: &Shared) -> std::io::Result<()> {
        let settings = settings_of(shared, &self.secret)?;
        self.endpoint.set_server_config(Some(settings));
        Ok(())
    }
}

fn settings_of(shared: &Shared, secret: &ListenerSecret) -> std::io::Result<quinn::ServerConfig> {
    let tls = shared.tls();
    settings::server(&tls, secret, shared.limits()).map_err(std::io::Error::other)
}

/// Opens the socket of a door. # Errors: those of the socket.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    // A flood must not push out the packets of those who are known; the kernel clamps it.
    socket2::SockRef::from(&socket).set_recv_buffer_size(fixed::QUIC_SOCKET_BYTES)?;
    Ok(socket)
}

/// Takes connections.
struct Acceptor {
    shared: Arc<Shared>,
    alive: Sender<()>,
    half_open: Arc<AtomicUsize>,
}

/// A handshake under way and its memory.
struct HalfOpen {
    count: Arc<AtomicUsize>,
    _memory: Reserved,
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Acceptor {
    async fn accept(self, endpoint: Endpoint) {
        let mut draining = self.shared.draining.clone();
        loop {
            let incoming = tokio::select! {
                _ = draining.wait_for(Option::is_some) => break,
                incoming = endpoint.accept() => incoming,
            };
            match incoming {
                Some(incoming) => self.judge(incoming),
                None => break,
            }
        }
        // Newcomers are refused from here on, those who are connected have their grace.
        endpoint.set_server_config(None);
    }

    fn judge(&self, incoming: Incoming) {
        let answerer = &self.shared.service.answerer;
        let now_ms = answerer.mailbox.clock().now_ms();
        let is_proven = incoming.remote_address_validated();
        let attempt = Attempt {
            is_proven,
            half_open: self.half_open.load(Ordering::Relaxed),
            is_rush: !is_proven && !answerer.gates.take_quic_attempt(now_ms),
            pressure: answerer.budget.pressure(),
        };
        let metrics = answerer.mailbox.metrics();
        match door::judge(attempt) {
            Verdict::Count => self.count(incoming),
            Verdict::Try => self.begin(incoming, None),
            Verdict::Prove => {
                // Whose address it is was not proven: it is not logged.
                tracing::debug!(transport = "quic", "asked for proof of an address");
                metrics.quic_attempt(QuicAttempt::Retried);
                // It was not proven, and so it may be asked for proof.
                let _ = incoming.retry();
            }
            Verdict::Refuse => {
                tracing::debug!(transport = "quic", "refused attempt");
                metrics.quic_attempt(QuicAttempt::Refused);
                incoming.refuse();
            }
        }
    }

    //= spec/postern.md#quic-binding
    //# A server MUST NOT count an attempt against its source before the source's address is proven.
    fn count(&self, incoming: Incoming) {
        let source = Source::of(incoming.remote_address().ip());
        match self.shared.counts.take(source) {
            Ok(counted) => self.begin(incoming, Some(counted)),
            Err(refusal) => {
                self.shared.tell(source, refusal);
                incoming.refuse();
            }
        }
    }

    fn begin(&self, incoming: Incoming, counted: Option<Counted>) {
        let answerer = &self.shared.service.answerer;
        let metrics = answerer.mailbox.metrics();
        let memory = answerer
            .budget
            .take(Pool::Connections, fixed::QUIC_HALF_OPEN_BYTES);
        let Some(memory) = memory else {
            metrics.quic_attempt(QuicAttempt::Refused);
            return incoming.refuse();
        };
        metrics.quic_attempt(QuicAttempt::Begun);
        self.half_open.fetch_add(1, Ordering::Relaxed);
        let half_open = HalfOpen {
            count: Arc::clone(&self.half_open),
            _memory: memory,
        };
        let (shared, alive) = (Arc::clone(&self.shared), self.alive.clone());
        tokio::spawn(async move {
            let handshaken = handshake(incoming, &shared, counted).await;
            drop(half_open);
            if let Some((connection, counted)) = handshaken {
                connection::serve(connection, &shared, counted).await;
            }
            drop(alive);
        });
    }
}

/// Ends the handshake within its time; only then the address of one who was tried is proven.
async fn handshake(
    incoming: Incoming,
    shared: &Arc<Shared>,
    counted: Option<Counted>,
) -> Option<(quinn::Connection, Counted)> {
    let source = Source::of(incoming.remote_address().ip());
    let deadline = super::clock::after_ms(shared.limits().tls_handshake_ms_max);
    let connecting = incoming.accept();
    let connected = match connecting {
        Ok(connecting) => tokio::time::timeout_at(deadline, connecting).await,
        Err(error) => Ok(Err(error)),
    };
    let connection = match connected {
        Ok(Ok(connection)) => connection,
        Ok(Err(_)) => {
            shared.tell(source, ConnectionRefusal::TlsFailed);
            return None;
        }
        Err(_) => {
            shared.tell(source, ConnectionRefusal::TlsSlow);
            return None;
        }
    };
    let counted = match counted {
        Some(counted) => Ok(counted),
        None => shared.counts.take(source),
    };
    match counted {
        Ok(counted) => Some((connection, counted)),
        Err(refusal) => {
            shared.tell(source, refusal);
            QuicError::Full.close(&connection);
            None
        }
    }
}
