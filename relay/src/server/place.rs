//! The place of a request that waits, a poll or a collect, given back however the exchange ends.
//!
//! Refuses to outlive its wait: a place that is dropped leaves the holds at once.

use super::holds::Ticket;
use super::mailbox::{Mailbox, State};
use crate::exchange::{Collector, Held, HeldCollect};
use postern_protocol::id::ChannelId;
use tokio::sync::oneshot;

/// Whose place among the holds.
#[derive(Debug, Clone, Copy)]
enum Seat {
    Poll(ChannelId),
    Collect(Collector),
}

/// A place among the holds; given back when the exchange ends, however it ends.
#[derive(Debug)]
pub(super) struct Place {
    mailbox: Mailbox,
    seat: Seat,
    ticket: Ticket,
}

impl Place {
    /// Takes a place for a poll in a state that the caller has locked.
    pub(super) fn take(
        mailbox: &Mailbox,
        state: &mut State,
        held: Held,
    ) -> (Self, oneshot::Receiver<()>) {
        let (ticket, woken) = state.holds.park(held.channel, held);
        (Self::new(mailbox, Seat::Poll(held.channel), ticket), woken)
    }

    /// Takes a place for a collect in a state that the caller has locked.
    pub(super) fn take_collect(
        mailbox: &Mailbox,
        state: &mut State,
        held: HeldCollect,
    ) -> (Self, oneshot::Receiver<()>) {
        let collector = held.asked.collector;
        let (ticket, woken) = state.collects.park(collector, held);
        (Self::new(mailbox, Seat::Collect(collector), ticket), woken)
    }

    /// Takes its place again, after it was woken, in a state that the caller has locked.
    pub(super) fn take_again(&mut self, state: &mut State, held: Held) -> oneshot::Receiver<()> {
        let (ticket, woken) = state.holds.park(held.channel, held);
        self.ticket = ticket;
        woken
    }

    fn new(mailbox: &Mailbox, seat: Seat, ticket: Ticket) -> Self {
        mailbox.metrics().hold_began();
        Self {
            mailbox: mailbox.clone(),
            seat,
            ticket,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.mailbox.lock();
        match self.seat {
            Seat::Poll(channel) => state.holds.leave(&channel, self.ticket),
            Seat::Collect(collector) => state.collects.leave(&collector, self.ticket),
        }
        drop(state);
        self.mailbox.metrics().hold_ended();
    }
}
