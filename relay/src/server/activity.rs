//! What a connection is doing: requests under way, a request head that is coming, or nothing.
//!
//! ```text
//!   opened --> head --(request)--> under way --(answer)--> idle --(first byte)--> head
//!               | header_ms_max                             | idle_ms_max
//!               v                                           v
//!              cut                                        closed
//! ```
//!
//! hyper has one timer for both, and a device may well pause for longer than a head may take. Whoever
//! opens a connection has something to ask: its first head is due from the start.
//! Refuses to look into what is read.

use super::clock::now;
use super::settings::ServerLimits;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

#[derive(Debug)]
struct State {
    in_flight: usize,
    /// Since when nothing is under way.
    since: Instant,
    /// Since when a request head is coming.
    head_since: Option<Instant>,
}

/// Shared by a connection's IO, its requests and its timer.
#[derive(Debug, Clone)]
pub(super) struct Activity {
    state: Arc<Mutex<State>>,
    head_began: Arc<Notify>,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Nobody used it for long.
    Idle,
    /// A request head did not come to its end.
    HeadSlow,
}

/// Counts one request as under way.
pub(super) struct InFlight(Activity);

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                in_flight: 0,
                since: now(),
                head_since: Some(now()),
            })),
            head_began: Arc::new(Notify::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is complete as far as its head goes.
    pub(super) fn begin(&self) -> InFlight {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_add(1);
        state.head_since = None;
        drop(state);
        InFlight(self.clone())
    }

    fn hear(&self) {
        let mut state = self.lock();
        if state.in_flight == 0 && state.head_since.is_none() {
            state.head_since = Some(now());
            self.head_began.notify_one();
        }
    }

    /// Ends when the connection is over.
    pub(super) async fn over(&self, limits: &ServerLimits) -> Over {
        let idle = Duration::from_millis(limits.idle_ms_max);
        let head = Duration::from_millis(limits.header_ms_max);
        loop {
            let (from, allowed, over) = {
                let state = self.lock();
                match state.head_since {
                    _ if state.in_flight > 0 => (now(), idle, Over::Idle),
                    Some(since) => (since, head, Over::HeadSlow),
                    None => (state.since, idle, Over::Idle),
                }
            };
            let until = from.checked_add(allowed).unwrap_or(from);
            if until <= now() {
                return over;
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = self.head_began.notified() => {}
            }
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.since = now();
    }
}

/// A stream that tells when bytes arrive, where somebody wants to know.
pub(super) struct Heard<S> {
    stream: S,
    activity: Option<Activity>,
}

impl<S> Heard<S> {
    pub(super) const fn new(stream: S, activity: Option<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if buffer.filled().len() > before
            && let Some(activity) = &this.activity
        {
            activity.hear();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
