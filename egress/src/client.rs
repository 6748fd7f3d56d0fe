//! One mailbox along one route: a body goes out, an answer comes back, whatever carries them.
//!
//! HTTP and QUIC are told apart here and nowhere above. Refuses retries over either: what was sent
//! and got no answer is an error, because the age of a held exchange must be true.

use crate::fault::TransportError;
use crate::foreign::Foreign;
use crate::http::{HttpClient, OpenBody};
use crate::mailbox_url::MailboxUrl;
use crate::path::{LinkReport, Path};
use crate::proxy_auth::PasswordUse;
use crate::quic::QuicClient;
use crate::route::Route;
use crate::tcp::Traffic;
use crate::tls::{Period, TimeCheck};
use crate::trail::{Stage, Trail};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Bounds of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeLimits {
    /// Longest time from sending the request to the head of the answer; for a held exchange the
    /// hold and its grace. Connecting is bounded by the budgets instead.
    pub deadline: Duration,
    /// Largest body of an answer, in bytes.
    pub answer_bytes_max: usize,
}

/// A complete answer. Nothing in it is verified.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status, always 200; QUIC has none, and a whole answer counts as 200.
    pub status: u16,
    /// Hint of `Retry-After` in seconds, at most an hour.
    pub retry_after_s: Option<u64>,
    /// Hint of `Content-Type`, escaped.
    pub content_type: Option<Foreign>,
    /// The body, at most as large as the limits said.
    pub body: Bytes,
    /// Time from sending the request to the end of the answer.
    pub age: Duration,
    /// The connection that carried it.
    pub link: Arc<LinkReport>,
}

/// A client of one mailbox along one route. Share it by reference or in an [`Arc`].
#[derive(Debug)]
pub struct Client {
    by: By,
}

#[derive(Debug)]
enum By {
    Http(HttpClient),
    Quic(QuicClient),
}

impl Client {
    pub(crate) fn http(path: Path) -> Self {
        Self {
            by: By::Http(HttpClient::new(path)),
        }
    }

    pub(crate) fn quic(path: Path) -> Self {
        Self {
            by: By::Quic(QuicClient::new(path)),
        }
    }

    const fn path(&self) -> &Path {
        match &self.by {
            By::Http(client) => client.path(),
            By::Quic(client) => client.path(),
        }
    }

    /// Lets this client write every hop down in a trail.
    #[must_use]
    pub fn with_trail(mut self, trail: Arc<Trail>) -> Self {
        match &mut self.by {
            By::Http(client) => client.path_mut().trail = Some(trail),
            By::Quic(client) => client.path_mut().trail = Some(trail),
        }
        self
    }

    /// Returns the proxy on the way, without credentials.
    #[must_use]
    pub fn proxy(&self) -> Option<String> {
        let proxy = self.path().proxy.as_ref();
        proxy.map(|proxy| proxy.url.to_string())
    }

    /// Returns whose password this way shows to its proxy; `None` where it shows none.
    #[must_use]
    pub fn password_use(&self) -> Option<PasswordUse> {
        self.path().proxy.as_ref()?.auth.password_use()
    }

    /// Returns the route.
    #[must_use]
    pub const fn route(&self) -> Route {
        self.path().route()
    }

    /// Returns the target.
    #[must_use]
    pub const fn target(&self) -> &MailboxUrl {
        &self.path().target
    }

    /// Returns the counters of bytes on the sockets of this client, whatever was inside.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.path().traffic
    }

    /// Closes the kept connections; exchanges under way go on.
    pub fn close_kept(&self) {
        match &self.by {
            By::Http(client) => client.close_kept(),
            By::Quic(client) => client.close_kept(),
        }
    }

    /// Closes the kept connections, and returns when their servers have been told: at the end of a process, which
    /// ends what would have told them.
    pub async fn close(&self) {
        match &self.by {
            By::Http(client) => client.close_kept(),
            By::Quic(client) => client.close().await,
        }
    }

    /// Takes notice of another address or network of this machine. Over QUIC the connection moves
    /// to a new socket, and a path that does not answer there ends within seconds; over HTTP the
    /// idle connections are closed. Exchanges under way go on.
    pub fn handle_network_changed(&self) {
        match &self.by {
            By::Http(client) => client.close_kept(),
            By::Quic(client) => client.handle_network_changed(),
        }
    }

    /// Sends one body and returns the answer. Never sends it twice.
    ///
    /// # Errors
    /// [`TransportError`]: everything but a complete answer, over HTTP with status 200. Its
    /// `sent_for` tells whether and how long ago the request was sent.
    pub async fn exchange(
        &self,
        body: Bytes,
        limits: ExchangeLimits,
    ) -> Result<Answer, TransportError> {
        let started = Instant::now();
        let ended = match &self.by {
            By::Http(client) => client.exchange(body, limits).await,
            By::Quic(client) => client.exchange(body, limits).await,
        };
        self.note(started, ended.as_ref().err());
        ended
    }

    /// Writes the end of an attempt down, unless a diagnosis made it.
    fn note(&self, started: Instant, error: Option<&TransportError>) {
        let path = self.path();
        if path.trail.is_none() {
            let stage = error.map_or(Stage::Exchange, TransportError::stage);
            let code = error.map(TransportError::code);
            path.attempts
                .note_end(path.label(), stage, code, started.elapsed());
        }
    }

    /// Says whether the target counts as a relay, which decides on the label of its attempts only.
    pub fn set_relay(&self, is_relay: bool) {
        self.path().is_relay.store(is_relay, Ordering::Relaxed);
    }

    //= spec/freshness.md#signed-time
    //# A device MUST take nothing but the time from what comes over such a connection, and close it.
    /// Sends one body over a connection of its own, whose certificate has to be right in all but its period: it may
    /// be valid at any time from the floor on. Nothing but the time may be taken from the answer; the
    /// connection is closed. A client over QUIC asks over TCP.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub async fn exchange_for_time(
        &self,
        body: Bytes,
        limits: ExchangeLimits,
    ) -> Result<Answer, TransportError> {
        match &self.by {
            By::Http(client) => client.exchange_for_time(body, limits).await,
            By::Quic(client) => {
                let client = HttpClient::new(client.path().over_tcp());
                client.exchange_for_time(body, limits).await
            }
        }
    }

    /// Makes one handshake in which everything has to be right at `unix_s`, seconds since 1970, and closes it.
    ///
    /// # Errors
    /// [`TransportError`] of the hop that failed.
    pub async fn prove_time(&self, unix_s: u64) -> Result<(), TransportError> {
        let check = TimeCheck::At(unix_s);
        match &self.by {
            By::Http(client) => client.path().open(check).await.map(|_link| ()),
            By::Quic(client) => client.path().over_tcp().open(check).await.map(|_link| ()),
        }
    }

    /// Sends one body and returns the answer as soon as its head came, to be read piece by piece; `None` over QUIC,
    /// which has whole exchanges only. Never sends it twice. `is_new` asks for a connection of its own age.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub async fn open(
        &self,
        body: Bytes,
        limits: ExchangeLimits,
        is_new: bool,
    ) -> Result<Option<OpenBody<'_>>, TransportError> {
        match &self.by {
            By::Http(client) => client.open(body, limits, is_new).await.map(Some),
            By::Quic(_) => Ok(None),
        }
    }

    /// When the certificate of the newest connection is valid; `None` before there was one.
    #[must_use]
    pub fn period(&self) -> Option<Period> {
        match &self.by {
            By::Http(client) => client.period(),
            By::Quic(client) => client.period(),
        }
    }
}
