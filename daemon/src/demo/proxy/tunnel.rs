//! One client's connection: CONNECT, the password when wanted, then TLS in the target's name.
//!
//! Refuses every method but CONNECT and every target but the one that the proxy is for.

use super::exchange::{Upstream, forward};
use super::{Door, Shared};
use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Serves one connection until either side ends it.
pub(super) async fn serve(shared: Arc<Shared>, door: Door, stream: TcpStream) {
    let _delay = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(connect(shared, door, request)) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "proxy connection ended");
    }
}

/// Answers CONNECT and lets the tunnel run beside.
fn connect(shared: Arc<Shared>, door: Door, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::CONNECT {
        return refusal(StatusCode::METHOD_NOT_ALLOWED);
    }
    let given = request.headers().get(PROXY_AUTHORIZATION);
    if door == Door::Guarded && !is_let_in(&shared, given) {
        shared.challenged.fetch_add(1, Ordering::Relaxed);
        let mut answer = refusal(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        let challenge = HeaderValue::from_static("Basic realm=\"postern demo\"");
        answer.headers_mut().insert(PROXY_AUTHENTICATE, challenge);
        return answer;
    }
    let authority = request.uri().authority();
    let is_target = authority.is_some_and(|authority| {
        authority.host() == shared.setup.target_host
            && authority.port_u16() == Some(shared.setup.target.port())
    });
    if !is_target {
        return refusal(StatusCode::FORBIDDEN);
    }
    let _tunnel = crate::tasks::spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => inspect(shared, upgraded).await,
            Err(error) => tracing::debug!(%error, "proxy tunnel not opened"),
        }
    });
    Response::new(Full::default())
}

fn is_let_in(shared: &Shared, given: Option<&HeaderValue>) -> bool {
    let expected = format!(
        "Basic {}",
        Base64::encode_string(shared.credentials.as_bytes())
    );
    given.is_some_and(|given| given.as_bytes() == expected.as_bytes())
}

fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// Speaks TLS with the client in the target's name, and forwards what it asks.
async fn inspect(shared: Arc<Shared>, upgraded: Upgraded) {
    let server = match shared.authority.impersonate(&shared.setup.target_host) {
        Ok(server) => server,
        Err(error) => {
            tracing::warn!(%error, "proxy certificate not made");
            return;
        }
    };
    let tls = match TlsAcceptor::from(server)
        .accept(TokioIo::new(upgraded))
        .await
    {
        Ok(tls) => tls,
        Err(error) => {
            tracing::debug!(%error, "proxy handshake failed");
            return;
        }
    };
    let upstream = Arc::new(Upstream::default());
    let service = service_fn(move |request| {
        let (shared, upstream) = (Arc::clone(&shared), Arc::clone(&upstream));
        async move { Ok::<_, Infallible>(forward(&shared, &upstream, request).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "inspected connection ended");
    }
}
