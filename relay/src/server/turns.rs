//! Whose turn it is: in front of the host, and on the way out; and who is told late that it is not his.
//!
//! ```text
//!   request --host_queue--> host --> answer --out_queue, if it is large--> connection
//!       '--refused: told a moment later
//! ```
//!
//! Tenants are served in turn at both places. Refuses to let a tenant that asks or fetches much hold up another.

use super::answer::Answerer;
use super::clock::after_ms;
use super::host::{Host, HostAnswer};
use super::host_queue::{Caller, HostQueue, Place};
use super::random;
use super::stream::Rest;
use crate::limits::{HOST_ANSWER_MS_MAX, OUT_FREE_BYTES, SHED_PAUSE_MS_BASE, SHED_PAUSES_MAX};
use postern_protocol::Reject;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::Instant;

/// A frame on its way out, and its place there, held until it is sent.
pub(super) struct Outgoing {
    pub(super) frame: Vec<u8>,
    pub(super) _place: Option<Place>,
    /// The answers that follow it, where it is the first of a stream.
    pub(super) rest: Option<Rest>,
}

impl From<Vec<u8>> for Outgoing {
    fn from(frame: Vec<u8>) -> Self {
        Self {
            frame,
            _place: None,
            rest: None,
        }
    }
}

/// Counts a refusal that is held back.
struct Paused<'a>(&'a AtomicUsize);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Answerer {
    /// Holds the refusal of a session's request back for a moment, at a time of its own for each.
    pub(super) async fn pause(&self) {
        let held = self.pauses.fetch_add(1, Ordering::Relaxed);
        let _counted = Paused(&self.pauses);
        if held < SHED_PAUSES_MAX {
            tokio::time::sleep_until(after_ms(random::retry_ms(SHED_PAUSE_MS_BASE))).await;
        }
    }

    /// Asks the host, in a task of its own: a client that hangs up never cuts a commit in half.
    pub(super) async fn ask_host<T: Send + 'static>(
        &self,
        caller: Caller,
        deadline: Instant,
        call: impl FnOnce(&dyn Host) -> HostAnswer<T>,
    ) -> Result<T, Reject> {
        self.ask_through(&self.host_queue, caller, deadline, call)
            .await
    }

    pub(super) async fn ask_through<T: Send + 'static>(
        &self,
        queue: &HostQueue,
        caller: Caller,
        deadline: Instant,
        call: impl FnOnce(&dyn Host) -> HostAnswer<T>,
    ) -> Result<T, Reject> {
        let (clock, metrics) = (self.mailbox.clock(), self.mailbox.metrics());
        let place = match queue.enter(caller, clock, metrics, deadline).await {
            Ok(place) => place,
            Err(reject) => {
                self.pause().await;
                return Err(reject);
            }
        };
        let work = call(self.host.as_ref());
        let task = tokio::spawn(async move {
            let answer = work.await;
            drop(place);
            answer
        });
        match tokio::time::timeout_at(deadline, task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::error!(%error, "the host did not answer");
                Err(Reject::Overloaded)
            }
            Err(_) => Err(Reject::Overloaded),
        }
    }

    /// Finds a larger answer its place on the way out: tenant by tenant, an answer of one frame at most in each
    /// turn. # Errors: `overloaded` when too many wait, or it waited too long; what was asked for is asked again.
    pub(super) async fn let_out(&self, leaver: Caller, frame: Vec<u8>) -> Result<Outgoing, Reject> {
        if frame.len() <= OUT_FREE_BYTES {
            return Ok(frame.into());
        }
        let (clock, metrics) = (self.mailbox.clock(), self.mailbox.metrics());
        let deadline = after_ms(HOST_ANSWER_MS_MAX);
        let place = self
            .out_queue
            .enter(leaver, clock, metrics, deadline)
            .await?;
        Ok(Outgoing {
            frame,
            _place: Some(place),
            rest: None,
        })
    }
}
