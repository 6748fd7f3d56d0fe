//! One request of a client, carried to the target on a connection of the proxy's own.
//!
//! Bodies are read whole, which is what makes a proxy an inspecting one. A body beyond the bound,
//! or a target that cannot be reached, becomes a gateway error of the proxy.

use super::Shared;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

/// Bytes of one body. Arbitrary, above the largest frame (48 KiB).
const BODY_BYTES_MAX: usize = 131_072;

/// The connection to the target that belongs to one client connection, opened when first needed.
#[derive(Debug, Default)]
pub(super) struct Upstream(Mutex<Option<SendRequest<Full<Bytes>>>>);

/// Carries a request to the target and its answer back.
pub(super) async fn forward(
    shared: &Arc<Shared>,
    upstream: &Upstream,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    match exchange(shared, upstream, request).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(%error, "proxy could not carry a request");
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            answer
        }
    }
}

async fn exchange(
    shared: &Arc<Shared>,
    upstream: &Upstream,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let sent = whole(body).await?;
    let bytes_up = sent.len();
    let mut carried = Request::new(Full::new(Bytes::from(sent)));
    *carried.method_mut() = head.method;
    *carried.uri_mut() = head.uri.path().parse().map_err(io::Error::other)?;
    copy(&head.headers, carried.headers_mut());
    let mut connection = upstream.0.lock().await;
    let answer = send(shared, &mut connection, carried).await?;
    let (head, body) = answer.into_parts();
    let mut received = whole(body).await?;
    shared.falsify(&mut received);
    shared.count(bytes_up, received.len());
    let mut answer = Response::new(Full::new(Bytes::from(received)));
    *answer.status_mut() = head.status;
    copy(&head.headers, answer.headers_mut());
    Ok(answer)
}

async fn send(
    shared: &Arc<Shared>,
    connection: &mut Option<SendRequest<Full<Bytes>>>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, io::Error> {
    if connection.as_ref().is_none_or(SendRequest::is_closed) {
        *connection = Some(dial(shared).await?);
    }
    let Some(sender) = connection else {
        unreachable!("the line above dialled or returned");
    };
    sender.ready().await.map_err(io::Error::other)?;
    sender.send_request(request).await.map_err(io::Error::other)
}

async fn dial(shared: &Arc<Shared>) -> Result<SendRequest<Full<Bytes>>, io::Error> {
    let stream = TcpStream::connect(shared.setup.target).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(shared.setup.target_host.clone()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::clone(&shared.upstream));
    let tls = connector.connect(name, stream).await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
        .await
        .map_err(io::Error::other)?;
    let _task = crate::tasks::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "proxy connection to the target ended");
        }
    });
    Ok(sender)
}

async fn whole<B>(body: B) -> Result<Vec<u8>, io::Error>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = Limited::new(body, BODY_BYTES_MAX).collect().await;
    Ok(collected.map_err(io::Error::other)?.to_bytes().to_vec())
}

/// Copies what belongs to the message and not to the connection.
fn copy(from: &HeaderMap, to: &mut HeaderMap) {
    for name in [CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT] {
        if let Some(value) = from.get(&name) {
            to.insert(name, value.clone());
        }
    }
}
