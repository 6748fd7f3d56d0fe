//! Requests that wait, polls and collects: one for each owner, woken by a post, a newer request of
//! its owner or the end of the server.
//!
//! Waking means dropping or firing a one-shot; what the poll is answered is found out afresh.
//! Refuses to hold more than its bound.

use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// Names one wait, so that a wait that is over never takes away its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
struct Waiting<H> {
    ticket: Ticket,
    held: H,
    _wake_on_drop: oneshot::Sender<()>,
}

#[derive(Debug)]
pub(super) struct Holds<K, H> {
    waiting: BTreeMap<K, Waiting<H>>,
    tickets: u64,
}

impl<K, H> Default for Holds<K, H> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            tickets: 0,
        }
    }
}

impl<K: Ord, H: Copy> Holds<K, H> {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    //= spec/postern.md#mailboxes
    //# A mailbox SHOULD hold one poll per session and answer an older one at once when a newer
    //# comes.
    /// Parks a request; an older one of the same owner wakes. The receiver ends when it is woken.
    pub(super) fn park(&mut self, owner: K, held: H) -> (Ticket, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = Ticket(self.tickets);
        let waiting = Waiting {
            ticket,
            held,
            _wake_on_drop: sender,
        };
        self.waiting.insert(owner, waiting);
        (ticket, receiver)
    }

    /// Forgets a wait that ended by itself.
    pub(super) fn leave(&mut self, owner: &K, ticket: Ticket) {
        let is_same = self
            .waiting
            .get(owner)
            .is_some_and(|waiting| waiting.ticket == ticket);
        if is_same {
            self.waiting.remove(owner);
        }
    }

    /// The request of one owner that waits.
    pub(super) fn held(&self, owner: &K) -> Option<H> {
        self.waiting.get(owner).map(|waiting| waiting.held)
    }

    /// Wakes the request of one owner; true when there was one.
    pub(super) fn wake(&mut self, owner: &K) -> bool {
        self.waiting.remove(owner).is_some()
    }

    /// Wakes so many requests; returns how many there were.
    pub(super) fn wake_some(&mut self, count: usize) -> usize {
        let mut woken = 0;
        while woken < count && self.waiting.pop_first().is_some() {
            woken += 1;
        }
        woken
    }

    /// Wakes the requests of some owners; returns how many there were.
    pub(super) fn wake_where(&mut self, is_meant: impl Fn(&K) -> bool) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(|owner, _| !is_meant(owner));
        before.saturating_sub(self.waiting.len())
    }

    /// Wakes every request.
    pub(super) fn wake_all(&mut self) {
        self.waiting.clear();
    }
}
