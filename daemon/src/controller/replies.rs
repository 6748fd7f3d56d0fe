//! Who waits for the engine's answer to a ticket.
//!
//! A ticket is settled once. Whoever went away in the meantime is forgotten silently.

use super::work::Decided;
use postern_protocol::Reject;
use postern_protocol::controller::Ticket;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// One who waits, by what was asked.
#[derive(Debug)]
pub enum Reply {
    /// For an invitation.
    Invite(oneshot::Sender<Result<(), Reject>>),
    /// For a decision.
    Decide(oneshot::Sender<Result<Decided, Reject>>),
    /// For an enrolment.
    Enrol(oneshot::Sender<Result<Vec<u8>, Reject>>),
}

/// Everybody who waits, by ticket.
#[derive(Debug, Default)]
pub struct Replies {
    last: u64,
    waiting: BTreeMap<Ticket, Reply>,
}

impl Replies {
    /// Hands out the next ticket.
    pub fn ticket(&mut self, reply: Reply) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.waiting.insert(ticket, reply);
        ticket
    }

    /// The invitation is open.
    pub fn settle_invite(&mut self, ticket: Ticket) {
        if let Some(Reply::Invite(reply)) = self.waiting.remove(&ticket) {
            let _gone = reply.send(Ok(()));
        }
    }

    /// The decision is durable.
    pub fn settle_decide(&mut self, ticket: Ticket, decided: Decided) {
        if let Some(Reply::Decide(reply)) = self.waiting.remove(&ticket) {
            let _gone = reply.send(Ok(decided));
        }
    }

    /// The enrolment is durable and answered by this frame.
    pub fn settle_enrol(&mut self, ticket: Ticket, frame: Vec<u8>) {
        if let Some(Reply::Enrol(reply)) = self.waiting.remove(&ticket) {
            let _gone = reply.send(Ok(frame));
        }
    }

    /// The request was refused.
    pub fn refuse(&mut self, ticket: Ticket, reject: Reject) {
        match self.waiting.remove(&ticket) {
            Some(Reply::Invite(reply)) => {
                let _gone = reply.send(Err(reject));
            }
            Some(Reply::Decide(reply)) => {
                let _gone = reply.send(Err(reject));
            }
            Some(Reply::Enrol(reply)) => {
                let _gone = reply.send(Err(reject));
            }
            None => {}
        }
    }
}
