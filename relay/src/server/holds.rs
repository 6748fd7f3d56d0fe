//! Polls that wait: one for each channel, woken by a post, a newer poll or the end of the server.
//!
//! Waking means dropping or firing a one-shot; what the poll is answered is found out afresh.
//! Refuses to hold more than its bound.

use crate::exchange::Held;
use postern_protocol::id::ChannelId;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// Names one wait, so that a wait that is over never takes away its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    held: Held,
    _wake_on_drop: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
pub(super) struct Holds {
    waiting: BTreeMap<ChannelId, Waiting>,
    tickets: u64,
}

impl Holds {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    //= spec/postern.md#mailboxes
    //# A mailbox SHOULD hold one poll per session and answer an older one at once when a newer
    //# comes.
    /// Parks a poll; an older one of the same channel wakes. The receiver ends when it is woken.
    pub(super) fn park(&mut self, held: Held) -> (Ticket, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = Ticket(self.tickets);
        let waiting = Waiting {
            ticket,
            held,
            _wake_on_drop: sender,
        };
        self.waiting.insert(held.channel, waiting);
        (ticket, receiver)
    }

    /// Forgets a wait that ended by itself.
    pub(super) fn leave(&mut self, channel: ChannelId, ticket: Ticket) {
        let is_same = self
            .waiting
            .get(&channel)
            .is_some_and(|waiting| waiting.ticket == ticket);
        if is_same {
            self.waiting.remove(&channel);
        }
    }

    /// The poll of one channel that waits.
    pub(super) fn held(&self, channel: ChannelId) -> Option<Held> {
        self.waiting.get(&channel).map(|waiting| waiting.held)
    }

    /// Wakes the poll of one channel; true when there was one.
    pub(super) fn wake(&mut self, channel: ChannelId) -> bool {
        self.waiting.remove(&channel).is_some()
    }

    /// Wakes every poll.
    pub(super) fn wake_all(&mut self) {
        self.waiting.clear();
    }
}
