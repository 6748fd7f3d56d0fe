//! Who is connected, and letting them go a few at a time: who drains decides when, this does it.
//!
//! From [`Mailbox::set_leaving`] on every poll is answered at once with a retry hint;
//! [`Mailbox::release`] answers some of those that were held before. Refuses to decide how fast.

use super::mailbox::Mailbox;
use crate::exchange::Owner;

impl Mailbox {
    /// From now on holds no poll and tells devices to come again after at least `retry_ms`
    /// milliseconds, each at a time of its own, or to go to one of the mailboxes at the URLs
    /// `elsewhere`; `None` ends that. Polls that are held stay held.
    pub fn set_leaving(&self, retry_ms: Option<u64>, elsewhere: &[String]) {
        let mut state = self.lock();
        let elsewhere = if retry_ms.is_some() { elsewhere } else { &[] };
        state.exchanges.set_elsewhere(elsewhere.to_vec());
        state.is_draining = retry_ms.is_some();
        state.leaving_retry_ms = retry_ms;
    }

    /// Answers so many of the held polls, then of the held collects, and returns how many there were.
    pub fn release(&self, count: usize) -> usize {
        let mut state = self.lock();
        let polls = state.holds.wake_some(count);
        let collects = state.collects.wake_some(count.saturating_sub(polls));
        polls.saturating_add(collects)
    }

    /// Tells whether a device, writer or mailbox has a session that it has used.
    #[must_use]
    pub fn is_connected(&self, owner: Owner) -> bool {
        self.lock().exchanges.is_connected(owner)
    }

    /// Tells whether a request of a device, writer or mailbox is held.
    #[must_use]
    pub fn is_held(&self, owner: Owner) -> bool {
        let state = self.lock();
        match owner {
            Owner::Device(channel) => state.holds.held(&channel).is_some(),
            Owner::Writer(_) | Owner::Mailbox(_) => owner
                .collector()
                .is_some_and(|collector| state.collects.held(&collector).is_some()),
        }
    }
}
