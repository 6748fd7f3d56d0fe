//! When a device asks again for a better way than the one in use. Pure: time and random bits come in.
//!
//! ```text
//!   best way --leave--> pause --poll--> asked --miss--> longer pause --> ...
//!       ^------------------------------ arrive (and leave soon after: longer pause)
//! ```
//!
//! A way that comes and goes is tried less and less often, so that a device does not swing with it.
//! Refuses to judge ways: it only says when.

#[cfg(test)]
mod tests;

/// Milliseconds before a way that was left is asked for the first time. Arbitrary: longer than a
/// restart takes, shorter than people wait.
const PAUSE_MS: u64 = 30_000;
/// Milliseconds between two questions at most. Arbitrary: one small exchange in 16 minutes.
const PAUSE_MS_MAX: u64 = 960_000;
/// Milliseconds on the best way after which its failure is a new one.
const SETTLED_MS: u64 = 600_000;

/// The schedule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comeback {
    pause_ms: u64,
    due_ms: Option<u64>,
    arrived_ms: Option<u64>,
}

impl Comeback {
    /// Begins on the best way.
    pub(super) const fn new() -> Self {
        Self {
            pause_ms: PAUSE_MS,
            due_ms: None,
            arrived_ms: None,
        }
    }

    /// The moment of the next question, if one is planned.
    pub(super) const fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// A way that is not the best is in use now. A question that is planned already stays planned.
    pub(super) fn leave(&mut self, now_ms: u64, random: u64) {
        if let Some(arrived_ms) = self.arrived_ms.take() {
            let is_settled = now_ms.saturating_sub(arrived_ms) >= SETTLED_MS;
            self.pause_ms = if is_settled { PAUSE_MS } else { self.longer() };
        }
        if self.due_ms.is_none() {
            self.plan(now_ms, random);
        }
    }

    /// True once when it is time to ask; then [`Self::miss`], [`Self::leave`] or [`Self::arrive`] plans on.
    pub(super) fn poll(&mut self, now_ms: u64) -> bool {
        self.due_ms.take_if(|due_ms| *due_ms <= now_ms).is_some()
    }

    /// Nobody answered.
    pub(super) fn miss(&mut self, now_ms: u64, random: u64) {
        self.pause_ms = self.longer();
        self.plan(now_ms, random);
    }

    /// The best way is in use again.
    pub(super) const fn arrive(&mut self, now_ms: u64) {
        self.due_ms = None;
        self.arrived_ms = Some(now_ms);
    }

    const fn longer(self) -> u64 {
        let doubled = self.pause_ms.saturating_mul(2);
        if doubled < PAUSE_MS_MAX {
            doubled
        } else {
            PAUSE_MS_MAX
        }
    }

    /// Between half the pause and the whole: a fleet that lost one relay does not come back in one moment.
    fn plan(&mut self, now_ms: u64, random: u64) {
        let half = self.pause_ms / 2;
        let jitter = random % half.max(1);
        self.due_ms = Some(now_ms.saturating_add(half).saturating_add(jitter));
    }
}
