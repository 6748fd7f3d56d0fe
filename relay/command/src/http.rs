//! The health address: `/metrics`, `/livez` and `/readyz` in plain HTTP/1.1, for machines that watch.
//!
//! It shows counts and names of checks, nothing of tenants or devices, and takes nothing. Refuses
//! other paths and methods, slow heads, and more than a few connections.

use crate::health::Health;
use crate::limits::{HEALTH_CONNECTIONS_MAX, HEALTH_HEADER_BYTES_MAX, HEALTH_HEADER_MS_MAX};
use crate::metrics;
use crate::operable::Operable;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_console::clock;
use postern_console::exit::CommandError;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What the answers are made from.
pub struct Shown {
    /// The relay.
    pub relay: Arc<dyn Operable>,
    /// Its health.
    pub health: Arc<Health>,
}

/// Listens on the health address.
///
/// # Errors
/// An address that is taken.
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, CommandError> {
    std::net::TcpListener::bind(address).map_err(|error| {
        CommandError::configuration(
            "admin-listen",
            format!("cannot listen on {address} for metrics and health: {error}"),
            "correct admin.listen in relay.toml, or end the process that holds the address",
        )
    })
}

/// Makes a double of the socket for the current runtime.
///
/// # Errors
/// Those of the system.
pub fn double(socket: &std::net::TcpListener) -> std::io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.try_clone()?)
}

/// Serves until the task is aborted.
pub async fn serve(listener: TcpListener, shown: Arc<Shown>) {
    let room = Arc::new(Semaphore::new(HEALTH_CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: yield, so that connections under way can end.
            tokio::task::yield_now().await;
            continue;
        };
        let shown = Arc::clone(&shown);
        let _task = tokio::spawn(async move {
            connection(stream, shown).await;
            drop(permit);
        });
    }
}

async fn connection(stream: TcpStream, shown: Arc<Shown>) {
    let service = service_fn(move |request| {
        let response = answer(&shown, &request);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEALTH_HEADER_MS_MAX))
        .max_buf_size(HEALTH_HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "health connection ended");
    }
}

fn answer(shown: &Shown, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET is served\n".into(),
        );
        let allow = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allow);
        return response;
    }
    match request.uri().path() {
        "/metrics" => {
            let body = metrics::text(shown.relay.as_ref(), &shown.health);
            let mut response = text(StatusCode::OK, body);
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        "/livez" => match shown.health.is_alive(clock::mono_ms()) {
            true => text(StatusCode::OK, "alive\n".into()),
            false => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the loop had no turn\n".into(),
            ),
        },
        "/readyz" => {
            let checks = shown.health.checks();
            let is_ready = checks.iter().all(|check| check.is_well);
            let lines = checks.iter().map(|check| match check.is_well {
                true => format!("{} ok\n", check.name),
                false => format!("{} failed: {}\n", check.name, check.reason),
            });
            let status = if is_ready {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            text(status, lines.collect())
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "here are /metrics, /livez and /readyz\n".into(),
        ),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
