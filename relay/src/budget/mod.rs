//! One byte-accounted memory budget: who holds how much, and what is given up first.
//!
//! ```text
//!   0 % ...... calm ...... 70 % .. shedding .. 85 % .. closed .. 95 % .. dropping .. 100 %
//!                          heartbeats and       no new session    the sessions of the
//!                          bodies wait          or connection     largest tenant end
//! ```
//!
//! Bytes are taken before they are allocated and given back when a [`Reserved`] is dropped; what
//! others count themselves is told as it stands. Refuses to know tasks, sockets and time.

#[cfg(test)]
mod tests;

use crate::limits::{
    BUDGET_CLOSED_PERCENT, BUDGET_DROPPABLE_PERCENT, BUDGET_DROPPING_PERCENT,
    BUDGET_SHEDDING_PERCENT,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What memory is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// TCP and QUIC connections with their buffers and TLS state.
    Connections,
    /// Sessions of devices.
    Sessions,
    /// Polls that wait.
    Holds,
    /// Request bodies that are being read.
    Bodies,
    /// Answers that are not sent yet.
    Answers,
    /// Cells of the limiters.
    Limiters,
    /// Envelopes and section bodies that are kept for readers.
    Mailboxes,
}

impl Pool {
    /// Every pool.
    pub const ALL: &'static [Self] = &[
        Self::Connections,
        Self::Sessions,
        Self::Holds,
        Self::Bodies,
        Self::Answers,
        Self::Limiters,
        Self::Mailboxes,
    ];

    /// Returns the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Sessions => "sessions",
            Self::Holds => "holds",
            Self::Bodies => "bodies",
            Self::Answers => "answers",
            Self::Limiters => "limiters",
            Self::Mailboxes => "mailboxes",
        }
    }

    /// Tells whether ending sessions gives it back.
    const fn is_droppable(self) -> bool {
        match self {
            Self::Connections | Self::Sessions | Self::Holds => true,
            Self::Bodies | Self::Answers | Self::Limiters | Self::Mailboxes => false,
        }
    }
}

/// How full the budget is, in steps that something follows from. Higher ones include lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Everything is served.
    Calm,
    /// Heartbeats are not asked for and section bodies of `actual` have to wait.
    Shedding,
    /// No new session and no new connection.
    Closed,
    /// The sessions of the largest tenant end.
    Dropping,
}

/// What somebody wants to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// What can wait without harm: heartbeats, bodies of `actual`.
    Bulk,
    /// A session, or a connection that may become one.
    Newcomer,
    /// An exchange of a session that is open.
    Carry,
}

impl Pressure {
    /// Every step.
    pub const ALL: &'static [Self] = &[Self::Calm, Self::Shedding, Self::Closed, Self::Dropping];

    /// Returns the word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Shedding => "shedding",
            Self::Closed => "closed",
            Self::Dropping => "dropping",
        }
    }

    /// Tells whether work of this kind has to come later.
    #[must_use]
    pub fn refuses(self, work: Work) -> bool {
        match work {
            Work::Bulk => self >= Self::Shedding,
            Work::Newcomer => self >= Self::Closed,
            Work::Carry => false,
        }
    }
}

#[derive(Debug, Default)]
struct Use {
    bytes: AtomicUsize,
    bytes_max: Option<usize>,
}

/// The budget of one server.
#[derive(Debug)]
pub struct Budget {
    bytes_max: usize,
    bytes: AtomicUsize,
    pools: Vec<Use>,
}

impl Budget {
    /// Starts empty. `caps` bounds single pools beside the whole.
    #[must_use]
    pub fn new(bytes_max: usize, caps: &[(Pool, usize)]) -> Self {
        let pools = Pool::ALL.iter().map(|pool| Use {
            bytes: AtomicUsize::new(0),
            bytes_max: caps
                .iter()
                .find(|(capped, _)| capped == pool)
                .map(|(_, bytes_max)| *bytes_max),
        });
        Self {
            bytes_max,
            bytes: AtomicUsize::new(0),
            pools: pools.collect(),
        }
    }

    /// Takes bytes before they are used. `None` when they would exceed the budget or their pool.
    #[must_use]
    pub fn take(self: &Arc<Self>, pool: Pool, bytes: usize) -> Option<Reserved> {
        let pool_max = self.pool(pool).and_then(|used| used.bytes_max);
        if let Some(used) = self.pool(pool)
            && !add(&used.bytes, bytes, pool_max.unwrap_or(usize::MAX))
        {
            return None;
        }
        if add(&self.bytes, bytes, self.bytes_max) {
            return Some(self.reserved(pool, bytes));
        }
        if let Some(used) = self.pool(pool) {
            subtract(&used.bytes, bytes);
        }
        None
    }

    /// Counts bytes that are used in any case, as those of an answer to what is done already.
    #[must_use]
    pub fn take_owed(self: &Arc<Self>, pool: Pool, bytes: usize) -> Reserved {
        self.give(pool, bytes);
        self.reserved(pool, bytes)
    }

    /// Tells how much a pool holds that counts itself.
    pub fn tell(&self, pool: Pool, bytes: usize) {
        let Some(used) = self.pool(pool) else {
            return;
        };
        let before = used.bytes.swap(bytes, Ordering::Relaxed);
        if bytes >= before {
            self.bytes
                .fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
        } else {
            subtract(&self.bytes, before.wrapping_sub(bytes));
        }
    }

    /// Bytes that a pool holds now.
    #[must_use]
    pub fn bytes_of(&self, pool: Pool) -> usize {
        self.pool(pool)
            .map_or(0, |used| used.bytes.load(Ordering::Relaxed))
    }

    /// Bytes that all pools hold now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that they may hold.
    #[must_use]
    pub const fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// How full it is.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let is_above = |percent: usize| self.is_above(self.bytes(), percent);
        if is_above(BUDGET_DROPPING_PERCENT) {
            Pressure::Dropping
        } else if is_above(BUDGET_CLOSED_PERCENT) {
            Pressure::Closed
        } else if is_above(BUDGET_SHEDDING_PERCENT) {
            Pressure::Shedding
        } else {
            Pressure::Calm
        }
    }

    /// Tells whether sessions have to end now: there is no other room, and it would make some.
    #[must_use]
    pub fn drops_sessions(&self) -> bool {
        let droppable = Pool::ALL
            .iter()
            .filter(|pool| pool.is_droppable())
            .map(|pool| self.bytes_of(*pool))
            .fold(0, usize::saturating_add);
        self.pressure() == Pressure::Dropping && self.is_above(droppable, BUDGET_DROPPABLE_PERCENT)
    }

    fn is_above(&self, bytes: usize, percent: usize) -> bool {
        // In 128 bits: the product of two sizes does not fit into one.
        (bytes as u128) * 100 > (self.bytes_max as u128) * (percent as u128)
    }

    fn pool(&self, pool: Pool) -> Option<&Use> {
        let at = Pool::ALL.iter().position(|known| *known == pool)?;
        self.pools.get(at)
    }

    fn give(&self, pool: Pool, bytes: usize) {
        if let Some(used) = self.pool(pool) {
            add(&used.bytes, bytes, usize::MAX);
        }
        add(&self.bytes, bytes, usize::MAX);
    }

    fn reserved(self: &Arc<Self>, pool: Pool, bytes: usize) -> Reserved {
        Reserved {
            budget: Arc::clone(self),
            pool,
            bytes,
        }
    }
}

/// Adds, unless the sum is above the bound.
fn add(counter: &AtomicUsize, bytes: usize, bytes_max: usize) -> bool {
    let sum = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= bytes_max);
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum)
        .is_ok()
}

fn subtract(counter: &AtomicUsize, bytes: usize) {
    let rest = |held: usize| Some(held.saturating_sub(bytes));
    // The closure never declines.
    let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
}

/// Bytes of a pool; given back when it is dropped.
#[derive(Debug)]
pub struct Reserved {
    budget: Arc<Budget>,
    pool: Pool,
    bytes: usize,
}

impl Reserved {
    /// How many.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes more of the same pool. False when there is no room; what is held stays.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        match self.budget.take(self.pool, bytes) {
            Some(mut more) => {
                self.bytes = self.bytes.saturating_add(more.bytes);
                more.bytes = 0;
                true
            }
            None => false,
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(used) = self.budget.pool(self.pool) {
            subtract(&used.bytes, self.bytes);
        }
        subtract(&self.budget.bytes, self.bytes);
    }
}
