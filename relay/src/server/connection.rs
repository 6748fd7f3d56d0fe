//! Accepts connections, counts them, and drives each until it ends.
//!
//! ```text
//!   accept -> caps -> TLS (deadline) -> HTTP/1.1 or HTTP/2 by ALPN -> idle or drain -> close (deadline)
//! ```
//!
//! Refuses connections beyond the caps before TLS, and clients that hold one without using it.

use super::clock::{after_ms, now};
use super::events::Event;
use super::http::Service;
use super::settings::ServerLimits;
use crate::limiter::Source;
use crate::limits as fixed;
use crate::metrics::ConnectionRefusal;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, rustls};

/// The server's state that every connection sees.
pub(super) struct Shared {
    pub(super) service: Service,
    pub(super) tls: Mutex<Arc<rustls::ServerConfig>>,
    pub(super) counts: Mutex<Counts>,
    /// Milliseconds that connections have to end, once the server drains.
    pub(super) draining: watch::Receiver<Option<u64>>,
}

/// Open connections, in all and for each source.
#[derive(Debug, Default)]
pub(super) struct Counts {
    total: usize,
    by_source: BTreeMap<Source, usize>,
}

/// One connection's place in the counts.
struct Counted {
    shared: Arc<Shared>,
    source: Source,
}

impl Shared {
    fn limits(&self) -> &ServerLimits {
        &self.service.limits
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, source: Source, reason: ConnectionRefusal) {
        let event = Event::ConnectionRefused { reason, source };
        self.service.answerer.mailbox.tell(event);
    }
}

impl Counted {
    fn take(shared: &Arc<Shared>, source: Source) -> Result<Self, ConnectionRefusal> {
        let mut counts = shared.counts();
        let limits = shared.limits();
        if counts.total >= limits.connections_max {
            return Err(ConnectionRefusal::Full);
        }
        let of_source = counts.by_source.get(&source).copied().unwrap_or_default();
        if of_source >= limits.source_connections_max {
            return Err(ConnectionRefusal::SourceFull);
        }
        counts.total = counts.total.saturating_add(1);
        counts.by_source.insert(source, of_source.saturating_add(1));
        shared
            .service
            .answerer
            .mailbox
            .metrics()
            .connection_opened();
        Ok(Self {
            shared: Arc::clone(shared),
            source,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.shared.counts();
        counts.total = counts.total.saturating_sub(1);
        let left = counts
            .by_source
            .get(&self.source)
            .map_or(0, |of_source| of_source.saturating_sub(1));
        if left == 0 {
            counts.by_source.remove(&self.source);
        } else {
            counts.by_source.insert(self.source, left);
        }
        drop(counts);
        self.shared
            .service
            .answerer
            .mailbox
            .metrics()
            .connection_closed();
    }
}

/// Accepts until the server drains. `alive` is dropped by the last connection to end.
pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    alive: tokio::sync::mpsc::Sender<()>,
) {
    let mut draining = shared.draining.clone();
    loop {
        let accepted = tokio::select! {
            _ = draining.wait_for(Option::is_some) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => begin(stream, peer, &shared, &alive),
            Err(error) => {
                tracing::warn!(reason = %error, "cannot accept connections");
                tokio::time::sleep_until(after_ms(fixed::ACCEPT_PAUSE_MS)).await;
            }
        }
    }
}

fn begin(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    alive: &tokio::sync::mpsc::Sender<()>,
) {
    let source = Source::of(peer.ip());
    let counted = match Counted::take(shared, source) {
        Ok(counted) => counted,
        Err(refusal) => return shared.tell(source, refusal),
    };
    // Answers are small and must not wait for more: Nagle cost 44 ms in a measurement.
    let _ = stream.set_nodelay(true);
    let alive = alive.clone();
    tokio::spawn(async move {
        if let Some(stream) = handshake(stream, &counted).await {
            serve(stream, &counted).await;
        }
        drop(alive);
    });
}

async fn handshake(stream: TcpStream, counted: &Counted) -> Option<TlsStream<TcpStream>> {
    let shared = &counted.shared;
    let config = {
        let tls = shared.tls.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&tls)
    };
    let deadline = after_ms(shared.limits().tls_handshake_ms_max);
    let accepting = TlsAcceptor::from(config).accept(stream);
    match tokio::time::timeout_at(deadline, accepting).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(_)) => {
            shared.tell(counted.source, ConnectionRefusal::TlsFailed);
            None
        }
        Err(_) => {
            shared.tell(counted.source, ConnectionRefusal::TlsSlow);
            None
        }
    }
}

/// When a connection last began or ended a request, and how many are under way.
#[derive(Debug)]
struct Activity {
    in_flight: usize,
    since: Instant,
}

/// Counts one request as under way.
struct InFlight(Arc<Mutex<Activity>>);

fn lock(activity: &Mutex<Activity>) -> MutexGuard<'_, Activity> {
    activity.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InFlight {
    fn begin(activity: &Arc<Mutex<Activity>>) -> Self {
        let mut state = lock(activity);
        state.in_flight = state.in_flight.saturating_add(1);
        drop(state);
        Self(Arc::clone(activity))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.in_flight = state.in_flight.saturating_sub(1);
        state.since = now();
    }
}

async fn serve(stream: TlsStream<TcpStream>, counted: &Counted) {
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let limits = *counted.shared.limits();
    let activity = Arc::new(Mutex::new(Activity {
        in_flight: 0,
        since: now(),
    }));
    let service = {
        let (service, source) = (counted.shared.service.clone(), counted.source);
        let activity = Arc::clone(&activity);
        service_fn(move |request| {
            let service = service.clone();
            let in_flight = InFlight::begin(&activity);
            async move {
                let _in_flight = in_flight;
                service.serve(source, request).await
            }
        })
    };
    let builder = protocol(is_h2, &limits);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut draining = counted.shared.draining.clone();
    let close_ms = tokio::select! {
        _ = connection.as_mut() => return,
        () = idle(&activity, limits.idle_ms_max) => limits.close_ms_max,
        grace = draining.wait_for(Option::is_some) => {
            grace.ok().and_then(|grace| *grace).unwrap_or_default()
        }
    };
    connection.as_mut().graceful_shutdown();
    // What has not ended by then is cut: the client polls again.
    let _ = tokio::time::timeout_at(after_ms(close_ms), connection).await;
}

/// Ends when no request was under way for `idle_ms`.
async fn idle(activity: &Mutex<Activity>, idle_ms: u64) {
    let idle = Duration::from_millis(idle_ms);
    loop {
        let until = {
            let state = lock(activity);
            let from = if state.in_flight == 0 {
                state.since
            } else {
                now()
            };
            from.checked_add(idle).unwrap_or(from)
        };
        if until <= now() {
            return;
        }
        tokio::time::sleep_until(until).await;
    }
}

/// Settings of both protocols; hyper's defaults suit a file server.
fn protocol(is_h2: bool, limits: &ServerLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.header_ms_max))
        .max_buf_size(fixed::HEADER_BYTES_MAX)
        .max_headers(fixed::HEADERS_MAX)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(fixed::STREAMS_MAX)
        .max_header_list_size(fixed::HEADER_LIST_BYTES_MAX)
        .max_pending_accept_reset_streams(fixed::RESET_STREAMS_MAX)
        .max_local_error_reset_streams(fixed::ERROR_RESETS_MAX)
        .initial_stream_window_size(fixed::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(fixed::CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(fixed::STREAM_SEND_BYTES);
    if is_h2 {
        builder.http2_only()
    } else {
        builder.http1_only()
    }
}
