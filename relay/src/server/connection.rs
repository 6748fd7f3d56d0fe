//! Accepts connections, counts them, and drives each until it ends.
//!
//! ```text
//!   accept -> front? its PROXY header -> caps -> TLS (deadline) -> HTTP/1.1 or HTTP/2 by ALPN -> idle or drain -> close (deadline)
//! ```
//!
//! Refuses connections beyond the caps before TLS, and clients that hold one without using it.

use super::activity::{Activity, Heard, Over};
use super::clock::after_ms;
use super::counts::{Counted, Counts};
use super::events::Event;
use super::fronts::{self, Fronts};
use super::http::{Broken, Service};
use super::link::Link;
use super::settings::ServerLimits;
use crate::limiter::Source;
use crate::limits as fixed;
use crate::metrics::{ConnectionRefusal, HttpRefusal};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, rustls};

/// The server's state that every connection sees.
pub(super) struct Shared {
    pub(super) service: Service,
    pub(super) tls: Mutex<Arc<rustls::ServerConfig>>,
    pub(super) counts: Arc<Counts>,
    /// Milliseconds that connections have to end, once the server drains.
    pub(super) draining: watch::Receiver<Option<u64>>,
    /// Whose word about a client's address is believed.
    pub(super) fronts: Fronts,
}

impl Shared {
    pub(super) fn limits(&self) -> &ServerLimits {
        &self.service.limits
    }

    /// The TLS settings of new connections.
    pub(super) fn tls(&self) -> Arc<rustls::ServerConfig> {
        let tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&tls)
    }

    pub(super) fn tell(&self, source: Source, reason: ConnectionRefusal) {
        let event = Event::ConnectionRefused { reason, source };
        self.service.answerer.mailbox.tell(event);
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
    // Answers are small and must not wait for more: Nagle cost 44 ms in a measurement.
    let _ = stream.set_nodelay(true);
    let source = Source::of(peer.ip());
    if shared.fronts.has(peer) {
        return begin_behind(stream, peer, shared, alive);
    }
    let counted = match shared.counts.take(source) {
        Ok(counted) => counted,
        Err(refusal) => return shared.tell(source, refusal),
    };
    let (alive, shared) = (alive.clone(), Arc::clone(shared));
    tokio::spawn(async move {
        drive(stream, &shared, source, counted).await;
        drop(alive);
    });
}

/// A connection of a load balancer counts for the client that it states, and for nobody before.
fn begin_behind(
    mut stream: TcpStream,
    front: SocketAddr,
    shared: &Arc<Shared>,
    alive: &tokio::sync::mpsc::Sender<()>,
) {
    let Some(reading) = shared.fronts.begin() else {
        return shared.tell(Source::of(front.ip()), ConnectionRefusal::Full);
    };
    let (alive, shared) = (alive.clone(), Arc::clone(shared));
    tokio::spawn(async move {
        let deadline = after_ms(shared.limits().tls_handshake_ms_max);
        let stated = fronts::read(&mut stream, front);
        let stated = tokio::time::timeout_at(deadline, stated).await;
        drop(reading);
        match stated {
            Ok(Ok(client)) => {
                let source = Source::of(client);
                match shared.counts.take(source) {
                    Ok(counted) => drive(stream, &shared, source, counted).await,
                    Err(refusal) => shared.tell(source, refusal),
                }
            }
            Ok(Err(reason)) => {
                tracing::debug!(%reason, "dropped a connection of a front");
                shared.tell(Source::of(front.ip()), ConnectionRefusal::ProxyHeader);
            }
            Err(_) => shared.tell(Source::of(front.ip()), ConnectionRefusal::ProxyHeader),
        }
        drop(alive);
    });
}

async fn drive(stream: TcpStream, shared: &Arc<Shared>, source: Source, counted: Counted) {
    let link = Arc::new(Link::new(counted));
    if let Some(stream) = handshake(stream, shared, source).await {
        serve(stream, shared, &link).await;
    }
}

async fn handshake(
    stream: TcpStream,
    shared: &Shared,
    source: Source,
) -> Option<TlsStream<TcpStream>> {
    let config = shared.tls();
    let deadline = after_ms(shared.limits().tls_handshake_ms_max);
    let accepting = TlsAcceptor::from(config).accept(stream);
    match tokio::time::timeout_at(deadline, accepting).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(_)) => {
            shared.tell(source, ConnectionRefusal::TlsFailed);
            None
        }
        Err(_) => {
            shared.tell(source, ConnectionRefusal::TlsSlow);
            None
        }
    }
}

async fn serve(stream: TlsStream<TcpStream>, shared: &Shared, link: &Arc<Link>) {
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let draining = shared.draining.clone();
    carry(stream, is_h2, &shared.service, draining, link).await;
}

/// Serves the requests of a connection that is as good as TLS, until it ends.
pub(super) async fn carry<S>(
    stream: S,
    is_h2: bool,
    service: &Service,
    mut draining: watch::Receiver<Option<u64>>,
    link: &Arc<Link>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = service.limits;
    let activity = Activity::new();
    let answering = {
        let (service, link) = (service.clone(), Arc::clone(link));
        let activity = activity.clone();
        service_fn(move |request| {
            let (service, link) = (service.clone(), Arc::clone(&link));
            let in_flight = activity.begin();
            async move {
                let response = service.serve(&link, request).await?;
                Ok::<_, Broken>(response.map(|body| body.under_way(in_flight)))
            }
        })
    };
    let builder = protocol(is_h2, &limits);
    // Frames of HTTP/2 come without a request too, and hyper bounds its heads.
    let heard = (!is_h2).then(|| activity.clone());
    let stream = TokioIo::new(Heard::new(stream, heard));
    let connection = builder.serve_connection(stream, answering);
    let mut connection = std::pin::pin!(connection);
    let close_ms = tokio::select! {
        _ = connection.as_mut() => return,
        over = activity.over(&limits) => match over {
            Over::Idle => limits.close_ms_max,
            Over::HeadSlow => {
                let (reason, source) = (HttpRefusal::HeadSlow, link.source());
                let event = Event::HttpRefused { reason, source };
                return service.answerer.mailbox.tell(event);
            }
        },
        () = link.cut() => limits.close_ms_max,
        grace = draining.wait_for(Option::is_some) => {
            grace.ok().and_then(|grace| *grace).unwrap_or_default()
        }
    };
    connection.as_mut().graceful_shutdown();
    // What has not ended by then is cut: the client polls again.
    let _ = tokio::time::timeout_at(after_ms(close_ms), connection).await;
}

/// Settings of both protocols; hyper's defaults suit a file server.
fn protocol(is_h2: bool, limits: &ServerLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // It counts the pause between two requests; a head has a deadline of its own.
        .header_read_timeout(Duration::from_millis(limits.idle_ms_max))
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
