//! Letting devices go, a few at a time: who drains decides when, this does it.
//!
//! From [`Mailbox::set_leaving`] on every poll is answered at once with a retry hint;
//! [`Mailbox::release`] answers some of those that were held before. Refuses to decide how fast.

use super::mailbox::Mailbox;

impl Mailbox {
    /// From now on holds no poll and tells devices to come again after at least `retry_ms`
    /// milliseconds, each at a time of its own; `None` ends that. Polls that are held stay held.
    pub fn set_leaving(&self, retry_ms: Option<u64>) {
        let mut state = self.lock();
        state.is_draining = retry_ms.is_some();
        state.leaving_retry_ms = retry_ms;
    }

    /// Answers so many of the held polls, and returns how many there were.
    pub fn release(&self, count: usize) -> usize {
        self.lock().holds.wake_some(count)
    }
}
