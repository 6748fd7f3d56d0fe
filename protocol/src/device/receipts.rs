//! Receipts: what a mailbox put aside of what this device posted.
//!
//! ```text
//!   receipt --verified, new--> told once --> what is still disputed is posted again, 60 s after its last post
//!           '--known, older--> nothing
//!   either way the next poll of the session names it, and the mailbox lets it go
//! ```
//!
//! Kept in memory only: after a restart one may be told twice. Refuses to change any state by a
//! receipt, and to take it as an acknowledgement.

use super::work::Taken;
use super::{Context, Device, Event};
use crate::envelope::ReceivedEnvelope;
use crate::id::Thumbprint;
use crate::receipt::Receipt;
use crate::reject::Reject;
use crate::revision::ReceiptNumber;
use alloc::collections::BTreeMap;

/// The newest receipt of each mailbox that the bundle lists.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    newest: BTreeMap<Thumbprint, Receipt>,
}

/// The receipt that a session gave last, until its mailbox knows that it arrived.
#[derive(Debug, Default)]
pub(super) struct Naming {
    given: Option<ReceiptNumber>,
    /// What the poll under way names.
    polled: Option<ReceiptNumber>,
}

impl Naming {
    //= spec/relays.md#receipt
    //# A device MUST name the receipt that a session gave it last in the polls of that session until
    //# one of them is answered, and in no other.
    /// What the next poll names.
    pub(super) const fn poll(&mut self) -> Option<ReceiptNumber> {
        self.polled = self.given;
        self.given
    }

    /// Tells whether the mailbox waits for a poll that names the receipt.
    pub(super) const fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// The poll was answered: the mailbox has read what it named.
    pub(super) fn note_answered(&mut self) {
        let polled = self.polled.take();
        if polled == self.given {
            self.given = None;
        }
    }
}

impl Receipts {
    /// Takes what a mailbox signed. Returns true when it is new.
    fn take(&mut self, mailbox: Thumbprint, receipt: Receipt) -> Result<bool, Reject> {
        let (place, newest) = (receipt.place(), self.newest.get(&mailbox));
        if let Some(newest) = newest.filter(|newest| newest.store == receipt.store) {
            //= spec/relays.md#receipt
            //# A device MUST refuse with `equivocation` a receipt under a number that it knows with other
            //# content.
            if place == newest.place() && receipt != *newest {
                return Err(Reject::Equivocation);
            }
            //= spec/relays.md#receipt
            //# A device MUST take a receipt that is not above the newest that it knows of the same mailbox
            //# and store epoch as no news.
            if place <= newest.place() {
                return Ok(false);
            }
        }
        self.newest.insert(mailbox, receipt);
        Ok(true)
    }
}

impl Device {
    /// Takes a receipt that came beside no plane.
    pub(super) fn handle_receipt(
        &mut self,
        context: &Context<'_>,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<Taken, Reject> {
        let channel = &self.identity.channel;
        let (mailbox, receipt) = Receipt::verify(received, &self.trust, &channel.tenant)?;
        //= spec/relays.md#receipt
        //# A device MUST refuse a receipt about another channel with `not-admitted`.
        if receipt.channel != channel.id() {
            return Err(Reject::NotAdmitted);
        }
        // Bounded by the bundle: what is no mailbox any more is no use here.
        let trust = &self.trust;
        let is_listed = |held: &Thumbprint| {
            let mut listed = trust.mailboxes().iter();
            listed.any(|one| one.key.thumbprint() == *held)
        };
        self.receipts.newest.retain(|held, _| is_listed(held));
        let is_new = self.receipts.take(mailbox, receipt)?;
        if let Some(open) = self.link.open_mut() {
            open.receipt.given = Some(receipt.place());
        }
        if is_new {
            if receipt.code != 0 {
                self.disputes.hasten(context.now.mono_ms);
            }
            self.event(Event::Receipt { mailbox, receipt });
        }
        //= spec/relays.md#receipt
        //# A device MUST NOT take a receipt as an acknowledgement or change a state by it.
        Ok(Taken::Quiet)
    }
}
