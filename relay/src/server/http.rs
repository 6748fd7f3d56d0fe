//! The HTTP binding: one route, one frame in, one frame out, everything else an RFC 9457 problem.
//!
//! Refuses bodies without a length, beyond a frame, or slower than a trickle; looks at no header
//! but Content-Length, because middleboxes rewrite the others.

use super::answer::Answerer;
use super::body::ServedBody;
use super::clock::now;
use super::events::Event;
use super::gates::TooMany;
use super::link::Link;
use super::random;
use super::settings::ServerLimits;
use super::stream::Rest;
use super::turns::Outgoing;
use crate::budget::{Pool, Reserved};
use crate::limits::RETRY_MS_BASE;
use crate::metrics::HttpRefusal;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use postern_protocol::limits::FRAME_BYTES_MAX;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The connection has to end: its request cannot be answered.
#[derive(Debug, thiserror::Error)]
#[error("the request body broke off or came too slowly")]
pub(super) struct Broken;

/// A refusal and when to try again.
#[derive(Debug, Clone, Copy)]
struct Problem {
    reason: HttpRefusal,
    retry_ms: Option<u64>,
}

impl From<HttpRefusal> for Problem {
    fn from(reason: HttpRefusal) -> Self {
        Self {
            reason,
            retry_ms: None,
        }
    }
}

impl From<TooMany> for Problem {
    fn from(too_many: TooMany) -> Self {
        Self {
            reason: HttpRefusal::TooManyRequests,
            retry_ms: Some(random::retry_ms(too_many.retry_ms.max(RETRY_MS_BASE))),
        }
    }
}

/// Serves the requests of all connections.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) answerer: Answerer,
    pub(super) limits: ServerLimits,
    /// The path of the one route.
    pub(super) path: Arc<str>,
}

impl Service {
    /// Answers one request. # Errors: [`Broken`], which ends the connection or stream.
    pub(super) async fn serve(
        &self,
        link: &Arc<Link>,
        request: Request<Incoming>,
    ) -> Result<Response<ServedBody>, Broken> {
        match self.answer(link, request).await {
            Ok(mut outgoing) => {
                let rest = outgoing.rest.take();
                let frame = self.answerer.queued(outgoing);
                Ok(match rest {
                    None => frame_response(frame),
                    Some(rest) => stream_response(frame, rest),
                })
            }
            Err(problem) => {
                self.answerer.mailbox.tell(Event::HttpRefused {
                    reason: problem.reason,
                    source: link.source(),
                });
                problem_response(problem)
            }
        }
    }

    async fn answer(
        &self,
        link: &Arc<Link>,
        request: Request<Incoming>,
    ) -> Result<Outgoing, Problem> {
        self.answerer.admit(link.source())?;
        if request.uri().path() != &*self.path {
            return Err(HttpRefusal::NotFound.into());
        }
        if request.method() != Method::POST {
            return Err(HttpRefusal::MethodNotAllowed.into());
        }
        let length = content_length(request.headers()).ok_or(HttpRefusal::LengthRequired)?;
        if length > FRAME_BYTES_MAX as u64 {
            return Err(HttpRefusal::ContentTooLarge.into());
        }
        let (frame, room) = self.read_body(request.into_body(), length).await?;
        drop(room);
        //= spec/postern.md#http-binding
        //# A server whose store takes nothing now SHOULD answer a post, put, deliver or deliver-bodies with
        //# status 503.
        if let Some(retry_ms) = self.answerer.unavailable_ms(&frame) {
            return Err(Problem {
                reason: HttpRefusal::Unavailable,
                retry_ms: Some(random::retry_ms(retry_ms.max(RETRY_MS_BASE))),
            });
        }
        Ok(self.answerer.answer(link, frame).await?)
    }

    /// Reads a whole body, as long as it keeps coming. The permit stands for its memory.
    async fn read_body(
        &self,
        mut body: Incoming,
        length: u64,
    ) -> Result<(Vec<u8>, Option<Reserved>), Problem> {
        let started = now();
        let mut frame = Vec::new();
        let mut room: Option<Reserved> = None;
        loop {
            let deadline = body_deadline(started, frame.len(), &self.limits);
            let next = tokio::time::timeout_at(deadline, body.frame()).await;
            let Some(part) = next.map_err(|_| HttpRefusal::BodyBroken)? else {
                break;
            };
            let part = part.map_err(|_| HttpRefusal::BodyBroken)?;
            let Ok(data) = part.into_data() else {
                continue;
            };
            if frame.len().saturating_add(data.len()) as u64 > length {
                return Err(HttpRefusal::ContentTooLarge.into());
            }
            self.take_room(data.len(), &mut room)?;
            frame.extend_from_slice(&data);
        }
        if frame.len() as u64 == length {
            Ok((frame, room))
        } else {
            Err(HttpRefusal::BodyBroken.into())
        }
    }

    fn take_room(&self, bytes: usize, room: &mut Option<Reserved>) -> Result<(), Problem> {
        let has_room = match room {
            Some(room) => room.grow(bytes),
            None => {
                *room = self.answerer.budget.take(Pool::Bodies, bytes);
                room.is_some()
            }
        };
        if has_room {
            return Ok(());
        }
        Err(Problem {
            reason: HttpRefusal::Unavailable,
            retry_ms: Some(random::retry_ms(RETRY_MS_BASE)),
        })
    }
}

impl Answerer {
    /// The bytes of an answer, counted until they are sent.
    pub(super) fn queued(&self, outgoing: Outgoing) -> Bytes {
        let memory = self.budget.take_owed(Pool::Answers, outgoing.frame.len());
        Bytes::from_owner(Queued {
            outgoing,
            _memory: memory,
        })
    }
}

/// An answer and the memory that it is counted for.
struct Queued {
    outgoing: Outgoing,
    _memory: Reserved,
}

impl AsRef<[u8]> for Queued {
    fn as_ref(&self) -> &[u8] {
        &self.outgoing.frame
    }
}

/// When the next bytes of a body have to be there, by what came so far: a least rate after a
/// grace, and one bound for the whole.
pub(super) fn body_deadline(started: Instant, bytes: usize, limits: &ServerLimits) -> Instant {
    let earned_ms = (bytes as u64)
        .saturating_mul(1_000)
        .checked_div(limits.body_bytes_per_s_min)
        .unwrap_or_default();
    let allowed_ms = limits.body_grace_ms.saturating_add(earned_ms);
    let allowed = Duration::from_millis(allowed_ms.min(limits.body_ms_max));
    started.checked_add(allowed).unwrap_or(started)
}

/// Reads Content-Length; `None` when it is absent, doubled or no number, or the body is chunked.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let value = values.next()?.to_str().ok()?;
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if values.next().is_some() || !is_number {
        return None;
    }
    value.parse().ok()
}

//= spec/postern.md#http-binding
//# A server MUST answer a stream that it serves with status 200 and a body without Content-Length, in
//# which each answer is `length(4, big endian) ‖ frame`.
fn stream_response(first: Bytes, rest: Rest) -> Response<ServedBody> {
    let response = respond(StatusCode::OK, "application/octet-stream", Bytes::new());
    response.map(|_| ServedBody::Stream {
        first: Some(first),
        rest,
        in_flight: None,
    })
}

fn frame_response(frame: Bytes) -> Response<ServedBody> {
    //= spec/postern.md#http-binding
    //# A server MUST answer with status 200, Content-Length and one frame in every case in which it
    //# answers in Postern, refusals included, but for a stream that it serves.
    respond(StatusCode::OK, "application/octet-stream", frame)
}

fn problem_response(problem: Problem) -> Result<Response<ServedBody>, Broken> {
    let (status, title) = match problem.reason {
        //= spec/postern.md#http-binding
        //# Every other answer that the server's own code gives MUST be an RFC 9457 problem with
        //# status 404, 405, 411, 413, 429 or 503.
        HttpRefusal::NotFound => (StatusCode::NOT_FOUND, "no such resource"),
        HttpRefusal::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "only POST is served"),
        HttpRefusal::LengthRequired => (StatusCode::LENGTH_REQUIRED, "Content-Length is required"),
        HttpRefusal::ContentTooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "a frame has at most 49152 bytes",
        ),
        HttpRefusal::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too many requests"),
        HttpRefusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "no capacity now"),
        HttpRefusal::BodyBroken | HttpRefusal::HeadSlow => return Err(Broken),
    };
    let name = problem.reason.as_str();
    let text = format!(
        "{{\"type\":\"urn:postern:problem:{name}\",\"title\":\"{title}\",\"status\":{}}}",
        status.as_u16()
    );
    let mut response = respond(status, "application/problem+json", Bytes::from(text));
    let headers = response.headers_mut();
    if let Some(retry_ms) = problem.retry_ms {
        headers.insert(
            //= spec/postern.md#http-binding
            //# An answer with status 429, or with 503 for `overloaded`, MUST carry Retry-After.
            header::RETRY_AFTER,
            HeaderValue::from(retry_ms.div_ceil(1_000)),
        );
    }
    if problem.reason == HttpRefusal::MethodNotAllowed {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    Ok(response)
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<ServedBody> {
    let mut response = Response::new(ServedBody::Whole(Full::new(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
