//! Admission by queue delay: who waited too long in a queue that does not empty is sent away.
//!
//! The idea of CoDel (RFC 8289): a queue that empties now and then is a buffer, whatever its
//! length; one in which even the luckiest of an interval waited above the target is overload.
//! While it lasts, whoever waited twice the target is told to come later, before anything is
//! verified for him, and the queue stays short. Refuses time (an argument) and to look at load:
//! processors that are busy are well used.

#[cfg(test)]
mod tests;

use crate::limits::{QUEUE_INTERVAL_MS, QUEUE_TARGET_MS};

/// The waits of one queue.
#[derive(Debug, Default)]
pub struct QueueDelay {
    /// When the interval that is being watched ends.
    until_ms: u64,
    /// The least wait of that interval so far.
    least_ms: Option<u64>,
    is_overloaded: bool,
}

impl QueueDelay {
    /// Judges somebody who leaves the queue after this wait. Returns true when he is to be sent away.
    #[must_use]
    pub fn sheds(&mut self, now_ms: u64, waited_ms: u64) -> bool {
        if now_ms >= self.until_ms {
            let least_ms = self.least_ms.take();
            self.is_overloaded = least_ms.is_some_and(|least_ms| least_ms > QUEUE_TARGET_MS);
            self.until_ms = now_ms.saturating_add(QUEUE_INTERVAL_MS);
        }
        let least_ms = self
            .least_ms
            .map_or(waited_ms, |least| least.min(waited_ms));
        self.least_ms = Some(least_ms);
        if least_ms <= QUEUE_TARGET_MS {
            // Somebody got through quickly: the queue empties.
            self.is_overloaded = false;
        }
        self.is_overloaded && waited_ms > 2 * QUEUE_TARGET_MS
    }

    /// Tells whether the last interval was overload.
    #[must_use]
    pub const fn is_overloaded(&self) -> bool {
        self.is_overloaded
    }
}
