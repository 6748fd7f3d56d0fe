//! The Unix socket and its HTTP/1.1: one request a connection, bounded in time, bytes and number.
//!
//! Who may connect is the file system's decision (mode and group of the socket); what only the
//! device's own user may do is decided by the peer's user id. Refuses to listen on anything else.

use super::desk::{Answer, Desk};
use super::limits;
use super::problem::Problem;
use super::request::Target;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_protocol::revision::Revision;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Serves applications until the engine's loop is gone.
pub async fn serve(listener: UnixListener, desk: Desk) {
    let room = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let bodies = Arc::new(Semaphore::new(limits::BODIES_BYTES_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            () = desk.asks.closed() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors: yield, so that connections under way can end.
            tokio::task::yield_now().await;
            continue;
        };
        let connection = Connection {
            desk: desk.clone(),
            bodies: Arc::clone(&bodies),
            is_owner: is_owner(&stream),
        };
        let _task = crate::tasks::spawn(async move {
            connection.serve(stream).await;
            drop(permit);
        });
    }
}

/// Tells whether the other end is the user who runs this process, or root.
fn is_owner(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

#[derive(Debug, Clone)]
struct Connection {
    desk: Desk,
    bodies: Arc<Semaphore>,
    is_owner: bool,
}

impl Connection {
    async fn serve(self, stream: UnixStream) {
        let service = service_fn(move |request| {
            let connection = self.clone();
            async move { Ok::<_, Infallible>(connection.respond(request).await) }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits::HEAD_DEADLINE)
            .max_headers(limits::HEADERS_MAX)
            .max_buf_size(limits::HEAD_BYTES_MAX)
            .keep_alive(false);
        let served = builder.serve_connection(TokioIo::new(stream), service);
        match timeout(limits::CONNECTION_DEADLINE, served).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "local connection broke off"),
            Err(_elapsed) => tracing::debug!("local connection took too long"),
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let known = etag_of(request.headers());
        match self.answer(request).await {
            Ok(Answer::Json(_, Some(revision))) if known == Some(etag(revision)) => {
                empty(StatusCode::NOT_MODIFIED, revision)
            }
            Ok(Answer::Json(json, revision)) => {
                let mut response = response(StatusCode::OK, "application/json", json.to_string());
                if let Some(revision) = revision {
                    set_etag(&mut response, revision);
                }
                response
            }
            Ok(Answer::Text(text)) => response(StatusCode::OK, "text/plain; version=0.0.4", text),
            Ok(Answer::Unchanged(revision)) => empty(StatusCode::NO_CONTENT, revision),
            Err(problem) => {
                tracing::debug!(reason = problem.name(), "local request refused");
                problem_response(&problem)
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Problem> {
        let uri = request.uri();
        let target = Target::parse(request.method(), uri.path(), uri.query())?;
        let question = if target.has_body() {
            let length = content_length(request.headers())?;
            let permits = u32::try_from(length).map_err(|_| Problem::ContentTooLarge)?;
            let _room = self
                .bodies
                .try_acquire_many(permits)
                .map_err(|_| Problem::Overloaded)?;
            let body = timeout(limits::BODY_DEADLINE, request.into_body().collect()).await;
            let body = body.map_err(|_| Problem::BodySlow)?;
            target.into_question(&body.map_err(|_| Problem::BodySlow)?.to_bytes())?
        } else {
            target.into_question(b"")?
        };
        self.desk.answer(question, self.is_owner).await
    }
}

/// Reads Content-Length, which bounds what is read.
fn content_length(headers: &HeaderMap) -> Result<usize, Problem> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Problem::LengthRequired);
    }
    let value = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .ok_or(Problem::LengthRequired)?;
    match value.parse() {
        Ok(length) if length <= limits::BODY_BYTES_MAX => Ok(length),
        Ok(_) | Err(_) => Err(Problem::ContentTooLarge),
    }
}

fn etag(Revision { epoch, seq }: Revision) -> String {
    format!("\"{epoch}.{seq}\"")
}

fn etag_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::IF_NONE_MATCH)?.to_str().ok()?;
    Some(value.trim().to_owned())
}

fn set_etag(response: &mut Response<Full<Bytes>>, revision: Revision) {
    if let Ok(value) = HeaderValue::from_str(&etag(revision)) {
        response.headers_mut().insert(header::ETAG, value);
    }
}

fn empty(status: StatusCode, revision: Revision) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    set_etag(&mut response, revision);
    response
}

fn problem_response(problem: &Problem) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(problem.status());
    let mut response = response(
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        "application/problem+json",
        problem.to_json().to_string(),
    );
    let headers = response.headers_mut();
    if let Problem::MethodNotAllowed { allow } = problem {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    if problem.status() == 503 {
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from(limits::RETRY_AFTER_S),
        );
    }
    response
}

fn response(status: StatusCode, kind: &'static str, mut text: String) -> Response<Full<Bytes>> {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
