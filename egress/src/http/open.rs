//! Answers that go on: the head comes, then the body piece by piece, for as long as whoever asked reads.
//!
//! Refuses to decide what is too slow: each piece has the moment until which it is waited for. A connection whose
//! body did not come to its end is not used again.

use super::{Broken, Complete, HttpClient, Lease, read_body, read_error, refusal};
use crate::client::ExchangeLimits;
use crate::fault::{Fault, TransportError};
use crate::limits::PROBLEM_BYTES_MAX;
use crate::path::LinkReport;
use crate::trail::Stage;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// A body that is still coming. Nothing in it is verified.
pub struct OpenBody<'c> {
    client: &'c HttpClient,
    /// Gone once the body has ended, well or badly.
    lease: Option<Lease<'c>>,
    incoming: Incoming,
    started: Instant,
    came: usize,
    link: Arc<LinkReport>,
}

impl HttpClient {
    /// As [`Client::open`](crate::Client::open).
    pub(crate) async fn open(
        &self,
        body: Bytes,
        limits: ExchangeLimits,
        is_new: bool,
    ) -> Result<OpenBody<'_>, TransportError> {
        let mut lease = match is_new {
            true => self.lease_new().await?,
            false => self.lease().await?,
        };
        let started = Instant::now();
        let link = Arc::clone(&lease.connection.report);
        let outcome = match self.request(body, lease.connection.http) {
            Ok(request) => {
                let answering = lease.connection.sender.send(request);
                match timeout(limits.deadline, answering).await {
                    Ok(Ok(response)) => Ok(response),
                    Ok(Err(error)) => Err(read_error(&error)),
                    Err(_elapsed) => Err(Fault::Silent),
                }
            }
            Err(fault) => Err(fault),
        };
        let place = self.path.target.authority();
        let seen = outcome
            .as_ref()
            .map(|response| response.status().to_string());
        self.path
            .note(Stage::Exchange, place, started, seen.map_err(Fault::clone));
        let response = match outcome {
            Ok(response) => response,
            Err(fault) => {
                self.pool.forget(&lease.connection);
                return Err(self.open_error(fault, started));
            }
        };
        if response.status() != StatusCode::OK {
            let bytes_max = PROBLEM_BYTES_MAX.min(limits.answer_bytes_max);
            let fault = match read_body(response, bytes_max).await {
                Ok(complete) => self.refused(lease, complete),
                Err(Broken(fault)) => {
                    self.pool.forget(&lease.connection);
                    fault
                }
            };
            return Err(self.open_error(fault, started));
        }
        Ok(OpenBody {
            client: self,
            lease: Some(lease),
            incoming: response.into_body(),
            started,
            came: 0,
            link,
        })
    }

    fn refused(&self, lease: Lease<'_>, complete: Complete) -> Fault {
        self.pool.keep(lease.connection);
        refusal(complete)
    }

    fn open_error(&self, fault: Fault, started: Instant) -> TransportError {
        let place = self.path.target.authority().to_string();
        TransportError {
            sent_for: Some(started.elapsed()),
            ..self.path.error(place, fault)
        }
    }
}

impl OpenBody<'_> {
    /// Returns the time since the request was sent.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the connection that carries it.
    #[must_use]
    pub const fn link(&self) -> &Arc<LinkReport> {
        &self.link
    }

    /// Returns the next piece; `None` at the end of the body.
    ///
    /// # Errors
    /// [`TransportError`]: nothing until then, or the connection broke. The connection is given up.
    pub async fn piece(&mut self, until: Instant) -> Result<Option<Bytes>, TransportError> {
        loop {
            let fault = match timeout_at(until, self.incoming.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => {
                        self.came = self.came.saturating_add(piece.len());
                        return Ok(Some(piece));
                    }
                    // Trailers are ignored: nothing may depend on them.
                    Err(_trailers) => continue,
                },
                Ok(None) => {
                    if let Some(lease) = self.lease.take() {
                        self.client.pool.keep(lease.connection);
                    }
                    return Ok(None);
                }
                Ok(Some(Err(_error))) => Fault::Truncated {
                    came: self.came,
                    announced: None,
                },
                Err(_elapsed) => Fault::Silent,
            };
            if let Some(lease) = self.lease.take() {
                self.client.pool.forget(&lease.connection);
            }
            return Err(self.client.open_error(fault, self.started));
        }
    }
}

impl std::fmt::Debug for OpenBody<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBody")
            .field("came", &self.came)
            .finish_non_exhaustive()
    }
}
