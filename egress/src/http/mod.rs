//! Exchanges over HTTP: POST with Content-Length, one answer, no retries.
//!
//! HTTP/2 shares one connection; HTTP/1.1 keeps at most two. A kept connection that the peer closed
//! is noticed before it is used again; what cannot be noticed becomes an error, never a silent
//! second send, because the age of a held exchange must be true. Refuses chunked uploads, `Expect`,
//! redirects, and answers over the bound. A status of 200 is not success: only the caller can tell,
//! by verifying the body.

mod open;

pub use open::OpenBody;

use crate::client::{Answer, ExchangeLimits};
use crate::fault::{Fault, TransportError};
use crate::foreign::Foreign;
use crate::limits::{
    ANSWER_HEAD_BYTES_MAX, ANSWER_HEADERS_MAX, BODY_BYTES_PER_S_MIN, BODY_PROGRESS,
    H1_CONNECTIONS_MAX, PROBLEM_BYTES_MAX, RETRY_AFTER_S_MAX,
};
use crate::path::{BoxStream, HttpVersion, Link, Path};
use crate::pool::{Connection, Pool, Sender};
use crate::tls::{Period, TimeCheck};
use crate::trail::Stage;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

/// A client of one mailbox along one route, over HTTP.
#[derive(Debug)]
pub(crate) struct HttpClient {
    path: Path,
    pool: Pool,
    /// Exchanges over HTTP/1.1 at a time.
    slots: Semaphore,
    /// Connecting: one at a time, so that HTTP/2 gets one connection.
    dialing: Semaphore,
    /// That of the newest connection's certificate.
    period: Mutex<Option<Period>>,
}

/// A connection taken from the pool for one exchange.
struct Lease<'c> {
    connection: Connection,
    /// Held until the exchange ends; HTTP/2 needs none.
    slot: Option<SemaphorePermit<'c>>,
}

impl HttpClient {
    pub(crate) fn new(path: Path) -> Self {
        Self {
            path,
            pool: Pool::default(),
            slots: Semaphore::new(H1_CONNECTIONS_MAX),
            dialing: Semaphore::new(1),
            period: Mutex::default(),
        }
    }

    pub(crate) const fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn path_mut(&mut self) -> &mut Path {
        &mut self.path
    }

    /// Closes the kept connections; exchanges under way go on.
    pub(crate) fn close_kept(&self) {
        self.pool.clear();
    }

    /// Sends one body and returns the answer. Never sends it twice.
    pub(crate) async fn exchange(
        &self,
        body: Bytes,
        limits: ExchangeLimits,
    ) -> Result<Answer, TransportError> {
        let mut lease = self.lease().await?;
        let started = Instant::now();
        let outcome = match self.request(body, lease.connection.http) {
            Ok(request) => send(&mut lease.connection.sender, request, &limits).await,
            Err(fault) => Err(Broken(fault)),
        };
        let link = lease.connection.link();
        let outcome = self.settle(lease, outcome);
        let age = started.elapsed();
        let seen = outcome.as_ref().map(|complete| complete.status.to_string());
        let place = self.path.target.authority();
        self.path
            .note(Stage::Exchange, place, started, seen.map_err(Fault::clone));
        tracing::trace!(
            transport = self.path.route().as_str(),
            elapsed_ms = age.as_millis(),
            reason = outcome.as_ref().err().map_or("", Fault::code),
            "ended an exchange"
        );
        match outcome {
            Ok(complete) => Ok(Answer {
                status: complete.status.as_u16(),
                retry_after_s: retry_after(&complete.headers),
                content_type: hint(&complete.headers, &CONTENT_TYPE).map(Foreign::new),
                body: complete.body,
                age,
                link,
            }),
            Err(fault) => Err(TransportError {
                sent_for: Some(age),
                ..self
                    .path
                    .error(self.path.target.authority().to_string(), fault)
            }),
        }
    }

    /// As [`Client::exchange_for_time`](crate::Client::exchange_for_time).
    pub(crate) async fn exchange_for_time(
        &self,
        body: Bytes,
        limits: ExchangeLimits,
    ) -> Result<Answer, TransportError> {
        let here = |fault| {
            let place = self.path.target.authority().to_string();
            self.path.error(place, fault)
        };
        let link = self.path.open(TimeCheck::Relaxed).await?;
        let http = link.http;
        let started = start_http(link, self.path.budgets.tls).await;
        let mut connection = started.map_err(here)?;
        let begun = Instant::now();
        let link = Arc::clone(&connection.report);
        let request = self.request(body, http).map_err(here)?;
        let complete = send(&mut connection.sender, request, &limits).await;
        let complete = complete.map_err(|Broken(fault)| here(fault))?;
        if complete.status != StatusCode::OK {
            return Err(here(refusal(complete)));
        }
        Ok(Answer {
            status: complete.status.as_u16(),
            retry_after_s: retry_after(&complete.headers),
            content_type: hint(&complete.headers, &CONTENT_TYPE).map(Foreign::new),
            body: complete.body,
            age: begun.elapsed(),
            link,
        })
    }

    /// When the certificate of the newest connection is valid; `None` before there was one.
    pub(crate) fn period(&self) -> Option<Period> {
        *self.period.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps or drops the connection and judges the status.
    fn settle(
        &self,
        lease: Lease<'_>,
        outcome: Result<Complete, Broken>,
    ) -> Result<Complete, Fault> {
        let Lease { connection, slot } = lease;
        match outcome {
            Ok(complete) => {
                self.pool.keep(connection);
                drop(slot);
                //= spec/postern.md#http-binding
                //# A client MUST take a frame only from an answer with status 200, whatever its
                //# content type.
                if complete.status == StatusCode::OK {
                    return Ok(complete);
                }
                Err(refusal(complete))
            }
            Err(Broken(fault)) => {
                self.pool.forget(&connection);
                Err(fault)
            }
        }
    }

    fn request(&self, body: Bytes, http: HttpVersion) -> Result<Request<Full<Bytes>>, Fault> {
        let target = &self.path.target;
        let place = target.authority();
        let host = if place.port == 443 {
            place.host.to_string()
        } else {
            place.to_string()
        };
        let request = Request::builder()
            .method(Method::POST)
            .header(USER_AGENT, &self.path.user_agent)
            //= spec/postern.md#http-binding
            //# A client MUST send a frame as the body of `POST <base URL>/postern/1` with
            //# Content-Length and the content type `application/octet-stream`.
            //= spec/postern.md#http-binding
            //# A client MUST NOT need Upgrade, chunked uploads, cookies, or any header beyond
            //# Content-Length and Content-Type.
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, body.len());
        let path = target.path();
        let (uri, request) = match http {
            HttpVersion::Http1 => (path.to_owned(), request.header(HOST, host)),
            HttpVersion::Http2 => (format!("https://{host}{path}"), request),
        };
        let uri: Uri = uri.parse().map_err(|_bad| Fault::BadRequest)?;
        let built = request.uri(uri).body(Full::new(body));
        built.map_err(|_bad| Fault::BadRequest)
    }

    async fn lease(&self) -> Result<Lease<'_>, TransportError> {
        if let Some(connection) = self.pool.shared() {
            return Ok(Lease {
                connection,
                slot: None,
            });
        }
        let slot = self.slots.acquire().await.ok();
        if let Some(connection) = self.pool.take_idle().await {
            return Ok(Lease { connection, slot });
        }
        let _dialing = self.dialing.acquire().await.ok();
        // Another exchange may have connected while this one waited.
        if let Some(connection) = self.pool.shared() {
            return Ok(Lease {
                connection,
                slot: None,
            });
        }
        if let Some(connection) = self.pool.take_idle().await {
            return Ok(Lease { connection, slot });
        }
        self.dial(slot).await
    }

    /// Connects, whatever is kept. Over HTTP/2 what is asked from now on goes along the new connection.
    async fn lease_new(&self) -> Result<Lease<'_>, TransportError> {
        let is_shared = self.pool.shared().is_some();
        let slot = match is_shared {
            true => None,
            false => self.slots.acquire().await.ok(),
        };
        let _dialing = self.dialing.acquire().await.ok();
        self.dial(slot).await
    }

    async fn dial<'c>(
        &'c self,
        slot: Option<SemaphorePermit<'c>>,
    ) -> Result<Lease<'c>, TransportError> {
        let link = self.path.open(TimeCheck::Strict).await?;
        let started = start_http(link, self.path.budgets.tls).await;
        let connection = started.map_err(|fault| {
            self.path
                .error(self.path.target.authority().to_string(), fault)
        })?;
        *self.period.lock().unwrap_or_else(PoisonError::into_inner) = connection.report.leaf.period;
        let slot = match connection.http {
            HttpVersion::Http1 => slot,
            HttpVersion::Http2 => {
                self.pool.share(&connection);
                None
            }
        };
        Ok(Lease { connection, slot })
    }
}

/// Starts HTTP on a connection; its task ends when the connection does.
async fn start_http(link: Link, budget: Duration) -> Result<Connection, Fault> {
    let stream: BoxStream = Box::new(link.stream);
    let io = TokioIo::new(stream);
    let sender = match link.http {
        HttpVersion::Http1 => {
            let mut builder = hyper::client::conn::http1::Builder::new();
            builder
                .max_headers(ANSWER_HEADERS_MAX)
                .max_buf_size(ANSWER_HEAD_BYTES_MAX);
            let started = timeout(budget, builder.handshake(io)).await;
            let (sender, connection) = started
                .map_err(|_elapsed| Fault::Silent)?
                .map_err(|error| read_error(&error))?;
            tokio::spawn(connection);
            Sender::Http1(sender)
        }
        HttpVersion::Http2 => {
            let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            builder.max_header_list_size(u32::try_from(ANSWER_HEAD_BYTES_MAX).unwrap_or(u32::MAX));
            let started = timeout(budget, builder.handshake(io)).await;
            let (sender, connection) = started
                .map_err(|_elapsed| Fault::Silent)?
                .map_err(|error| read_error(&error))?;
            tokio::spawn(connection);
            Sender::Http2(sender)
        }
    };
    Ok(Connection::new(
        sender,
        link.liveness,
        link.report,
        link.http,
    ))
}

/// A whole answer, whatever its status.
struct Complete {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

fn refusal(complete: Complete) -> Fault {
    Fault::Status {
        status: complete.status.as_u16(),
        retry_after_s: retry_after(&complete.headers),
        excerpt: Foreign::new(&complete.body),
        body: complete.body,
    }
}

/// An exchange after which the connection is not to be used again.
struct Broken(Fault);

async fn send(
    sender: &mut Sender,
    request: Request<Full<Bytes>>,
    limits: &ExchangeLimits,
) -> Result<Complete, Broken> {
    let answering = timeout(limits.deadline, sender.send(request)).await;
    let response = match answering {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(Broken(read_error(&error))),
        Err(_elapsed) => return Err(Broken(Fault::Silent)),
    };
    let bytes_max = match response.status() {
        StatusCode::OK => limits.answer_bytes_max,
        _refused => PROBLEM_BYTES_MAX.min(limits.answer_bytes_max),
    };
    read_body(response, bytes_max).await
}

async fn read_body(response: Response<Incoming>, bytes_max: usize) -> Result<Complete, Broken> {
    let (parts, mut incoming) = response.into_parts();
    let status = parts.status;
    let announced = hint(&parts.headers, &CONTENT_LENGTH).and_then(digits);
    let mut body = BytesMut::new();
    let whole_s = u64::try_from(bytes_max).unwrap_or(u64::MAX) / BODY_BYTES_PER_S_MIN;
    let whole = Instant::now() + BODY_PROGRESS + Duration::from_secs(whole_s);
    loop {
        let until = whole.min(Instant::now() + BODY_PROGRESS);
        let frame = match timeout_at(until, incoming.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_error))) => {
                let came = body.len();
                return Err(Broken(Fault::Truncated { came, announced }));
            }
            Ok(None) => break,
            Err(_elapsed) => return Err(Broken(Fault::Stalled)),
        };
        // Trailers are ignored: nothing may depend on them.
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if body.len().saturating_add(piece.len()) > bytes_max {
            let status = status.as_u16();
            return Err(Broken(Fault::Oversize { status, bytes_max }));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Complete {
        status,
        headers: parts.headers,
        body: body.freeze(),
    })
}

fn read_error(error: &hyper::Error) -> Fault {
    if error.is_parse() {
        Fault::NotHttp
    } else if error.is_user() {
        Fault::BadRequest
    } else {
        Fault::Closed
    }
}

fn hint<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    headers.get(name).map(|value| value.as_bytes())
}

/// Seconds only; the form with a date needs a clock that may be wrong.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let seconds = digits(hint(headers, &RETRY_AFTER)?)?;
    Some(u64::try_from(seconds).ok()?.min(RETRY_AFTER_S_MAX))
}

fn digits(value: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let is_number = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}
