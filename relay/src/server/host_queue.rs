//! The queue in front of the host: a line for each tenant, served in turn; some calls at once, some that wait,
//! the rest come later.
//!
//! ```text
//!   call --room, and its line has its share--> place --given back--> first of the next line in turn
//!     '--waits in its line, if that is short-----^
//! ```
//!
//! What is asked of the host costs it a signature check and a commit; whoever is sent away here costs nothing of
//! it. Each line may have an equal part of the places among those that were seen lately, so that a tenant that
//! floods waits for itself. Refuses to let anybody wait for a host that does not keep up.

use super::clock::Clock;
use crate::delay::QueueDelay;
use crate::exchange::Collector;
use crate::limits::{
    HOST_CALLS_AT_ONCE, HOST_CALLS_WAITING_MAX, HOST_LINE_SEEN_MS, HOST_LINES_MAX, HOST_SHARE_LEAST,
};
use crate::metrics::{Metrics, Shed};
use postern_protocol::Reject;
use postern_protocol::id::Tenant;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Whose line a call stands in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Caller {
    /// A device of a tenant.
    Tenant(Tenant),
    /// A writer or a mailbox.
    Collector(Collector),
    /// Somebody whom nobody knows yet.
    Nobody,
}

#[derive(Debug, Default)]
struct Line {
    active: usize,
    waiting: VecDeque<oneshot::Sender<Place>>,
    seen_ms: u64,
    delay: QueueDelay,
}

impl Line {
    fn is_idle(&self) -> bool {
        self.active == 0 && self.waiting.is_empty()
    }
}

#[derive(Debug, Default)]
struct Lines {
    active: usize,
    waiting: usize,
    by_caller: BTreeMap<Caller, Line>,
    /// Lines with somebody who waits, first to last.
    turns: VecDeque<Caller>,
    swept_ms: u64,
}

#[derive(Debug)]
struct Inner {
    at_once_max: usize,
    waiting_max: usize,
    /// Whether those who waited long in a queue that stands are sent away.
    sheds: bool,
    lines: Mutex<Lines>,
}

/// See the head of this module.
#[derive(Debug)]
pub(super) struct HostQueue {
    inner: Arc<Inner>,
}

/// A call under way; given back when it ends.
#[derive(Debug)]
pub(super) struct Place {
    inner: Arc<Inner>,
    caller: Caller,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.inner.take_back(&self.caller);
        self.inner.call_next();
    }
}

impl Default for HostQueue {
    fn default() -> Self {
        Self::new(HOST_CALLS_AT_ONCE, HOST_CALLS_WAITING_MAX)
    }
}

impl HostQueue {
    pub(super) fn new(at_once_max: usize, waiting_max: usize) -> Self {
        Self::make(at_once_max, waiting_max, true)
    }

    /// A queue of what is worth waiting for: nobody is sent away but at its bounds and at the deadline.
    pub(super) fn patient(at_once_max: usize, waiting_max: usize) -> Self {
        Self::make(at_once_max, waiting_max, false)
    }

    fn make(at_once_max: usize, waiting_max: usize, sheds: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                at_once_max,
                waiting_max,
                sheds,
                lines: Mutex::default(),
            }),
        }
    }

    /// Waits for a place at the host, at most until the deadline.
    /// # Errors: `overloaded` when too many wait, or waited too long.
    pub(super) async fn enter(
        &self,
        caller: Caller,
        clock: Clock,
        metrics: &Metrics,
        deadline: Instant,
    ) -> Result<Place, Reject> {
        let came_ms = clock.now_ms();
        let waiting = match self.inner.come(&caller, came_ms) {
            Coming::In(place) => {
                let _ = self.inner.sheds(&caller, came_ms, 0);
                return Ok(place);
            }
            Coming::Waits(waiting) => waiting,
            Coming::Away => {
                metrics.shed(Shed::QueueFull);
                return Err(Reject::Overloaded);
            }
        };
        let entered = tokio::time::timeout_at(deadline, waiting).await;
        let now_ms = clock.now_ms();
        let waited_ms = now_ms.saturating_sub(came_ms);
        let is_shed = self.inner.sheds(&caller, now_ms, waited_ms);
        match entered {
            Ok(Ok(place)) if !is_shed => Ok(place),
            Ok(_) | Err(_) => {
                metrics.shed(Shed::QueueDelay);
                Err(Reject::Overloaded)
            }
        }
    }
}

/// What becomes of somebody who comes.
enum Coming {
    In(Place),
    Waits(oneshot::Receiver<Place>),
    Away,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(self: &Arc<Self>, caller: &Caller) -> Place {
        Place {
            inner: Arc::clone(self),
            caller: caller.clone(),
        }
    }

    fn come(self: &Arc<Self>, caller: &Caller, now_ms: u64) -> Coming {
        let mut guard = self.lock();
        let lines = &mut *guard;
        lines.sweep(now_ms);
        let is_known = lines.by_caller.contains_key(caller);
        if !is_known && lines.by_caller.len() >= HOST_LINES_MAX {
            return Coming::Away;
        }
        lines.by_caller.entry(caller.clone()).or_default().seen_ms = now_ms;
        let count = lines.by_caller.len();
        let (share, length) = (self.share(count), self.waiting_max.div_ceil(count.max(1)));
        let Some(line) = lines.by_caller.get_mut(caller) else {
            return Coming::Away;
        };
        if lines.active < self.at_once_max && line.active < share && line.waiting.is_empty() {
            lines.active += 1;
            line.active += 1;
            return Coming::In(self.place(caller));
        }
        if line.waiting.len() >= length {
            let before = line.waiting.len();
            line.waiting.retain(|waiting| !waiting.is_closed());
            lines.waiting = lines.waiting.saturating_sub(before - line.waiting.len());
        }
        if line.waiting.len() >= length || lines.waiting >= self.waiting_max {
            return Coming::Away;
        }
        let (sender, waiting) = oneshot::channel();
        if line.waiting.is_empty() {
            lines.turns.push_back(caller.clone());
        }
        line.waiting.push_back(sender);
        lines.waiting += 1;
        Coming::Waits(waiting)
    }

    /// Places that one line may have while there are so many.
    fn share(&self, lines: usize) -> usize {
        let equal = self.at_once_max.div_ceil(lines.max(1));
        equal.max(HOST_SHARE_LEAST)
    }

    fn take_back(&self, caller: &Caller) {
        let mut lines = self.lock();
        lines.active = lines.active.saturating_sub(1);
        if let Some(line) = lines.by_caller.get_mut(caller) {
            line.active = line.active.saturating_sub(1);
        }
    }

    /// Gives the place that is free to whoever is next in turn. One who does not wait any more drops it again,
    /// which calls the next.
    fn call_next(self: &Arc<Self>) {
        if let Some((caller, sender)) = self.next() {
            let _gone = sender.send(self.place(&caller));
        }
    }

    /// Counts the next in turn in, if there is room for it.
    fn next(&self) -> Option<(Caller, oneshot::Sender<Place>)> {
        let mut guard = self.lock();
        let lines = &mut *guard;
        if lines.active >= self.at_once_max {
            return None;
        }
        let share = self.share(lines.by_caller.len());
        for _ in 0..lines.turns.len() {
            let caller = lines.turns.pop_front()?;
            let Some(line) = lines.by_caller.get_mut(&caller) else {
                continue;
            };
            if line.active >= share {
                lines.turns.push_back(caller);
                continue;
            }
            let sender = line.waiting.pop_front();
            if !line.waiting.is_empty() {
                lines.turns.push_back(caller.clone());
            }
            if let Some(sender) = sender {
                lines.active += 1;
                line.active += 1;
                lines.waiting = lines.waiting.saturating_sub(1);
                return Some((caller, sender));
            }
        }
        None
    }

    fn sheds(&self, caller: &Caller, now_ms: u64, waited_ms: u64) -> bool {
        if !self.sheds {
            return false;
        }
        let mut lines = self.lock();
        let line = lines.by_caller.get_mut(caller);
        line.is_some_and(|line| line.delay.sheds(now_ms, waited_ms))
    }
}

impl Lines {
    /// Forgets lines that were not seen lately, so that the others share their part.
    fn sweep(&mut self, now_ms: u64) {
        let is_old = |seen_ms: u64| now_ms.saturating_sub(seen_ms) >= HOST_LINE_SEEN_MS;
        if self.by_caller.len() < HOST_LINES_MAX && !is_old(self.swept_ms) {
            return;
        }
        self.swept_ms = now_ms;
        self.by_caller
            .retain(|_, line| !line.is_idle() || !is_old(line.seen_ms));
    }
}
