//! Who waits for the engine's answer to a ticket.
//!
//! A ticket is settled once. Whoever went away in the meantime is forgotten silently.

use super::work::{Decided, Intended, Recovered, Refusal};
use postern_protocol::Reject;
use postern_protocol::controller::Ticket;
use postern_protocol::revision::BundleNumber;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// One who waits, by what was asked.
#[derive(Debug)]
pub enum Reply {
    /// For something that is done or refused: an invitation, its withdrawal, encryption, a removal.
    Done(oneshot::Sender<Result<(), Reject>>),
    /// For a decision.
    Decide(oneshot::Sender<Result<Decided, Refusal>>),
    /// For an intent; its value comes before its decision.
    Intend {
        /// Takes the answer.
        reply: oneshot::Sender<Result<Intended, Reject>>,
        /// The value, once it is chosen.
        value: Option<u64>,
    },
    /// For a choice between two histories.
    Resolve(oneshot::Sender<Result<Recovered, Reject>>),
    /// For a bundle.
    Bundle(oneshot::Sender<Result<BundleNumber, Reject>>),
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

    /// Hands out the next ticket for something that nobody waits for here.
    pub const fn bare_ticket(&mut self) -> Ticket {
        self.last += 1;
        Ticket(self.last)
    }

    /// What was asked is done.
    pub fn settle_done(&mut self, ticket: Ticket) {
        if let Some(Reply::Done(reply)) = self.waiting.remove(&ticket) {
            let _gone = reply.send(Ok(()));
        }
    }

    /// The value of an intent is chosen; its decision follows.
    pub fn note_intended(&mut self, ticket: Ticket, chosen: u64) {
        if let Some(Reply::Intend { value, .. }) = self.waiting.get_mut(&ticket) {
            *value = Some(chosen);
        }
    }

    /// The decision is durable.
    pub fn settle_decide(&mut self, ticket: Ticket, decided: Decided) {
        match self.waiting.remove(&ticket) {
            Some(Reply::Decide(reply)) => {
                let _gone = reply.send(Ok(decided));
            }
            Some(Reply::Intend { reply, value }) => {
                let intended = value.map(|value| Intended { value, decided });
                let _gone = reply.send(intended.ok_or(Reject::ValueInvalid));
            }
            Some(
                other @ (Reply::Done(_) | Reply::Resolve(_) | Reply::Bundle(_) | Reply::Enrol(_)),
            ) => {
                self.waiting.insert(ticket, other);
            }
            None => {}
        }
    }

    /// One history counts.
    pub fn settle_resolve(&mut self, ticket: Ticket, recovered: Recovered) {
        if let Some(Reply::Resolve(reply)) = self.waiting.remove(&ticket) {
            let _gone = reply.send(Ok(recovered));
        }
    }

    /// The bundle counts.
    pub fn settle_bundle(&mut self, ticket: Ticket, number: BundleNumber) {
        if let Some(Reply::Bundle(reply)) = self.waiting.remove(&ticket) {
            let _gone = reply.send(Ok(number));
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
            Some(Reply::Done(reply)) => drop(reply.send(Err(reject))),
            Some(Reply::Decide(reply)) => drop(reply.send(Err(Refusal::Reject(reject)))),
            Some(Reply::Intend { reply, .. }) => drop(reply.send(Err(reject))),
            Some(Reply::Resolve(reply)) => drop(reply.send(Err(reject))),
            Some(Reply::Bundle(reply)) => drop(reply.send(Err(reject))),
            Some(Reply::Enrol(reply)) => drop(reply.send(Err(reject))),
            None => {}
        }
    }
}
