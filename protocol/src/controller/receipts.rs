//! What mailboxes say under their own keys: what they did with a message, and what they lost.
//!
//! Events for people and drivers. Refuses to change any state by it: a mailbox speaks for itself alone.

use super::{Controller, Event};
use crate::envelope::ReceivedEnvelope;
use crate::id::{ChannelId, Plane};
use crate::receipt::{Lost, Receipt};
use crate::reject::Reject;

impl Controller {
    /// Takes a receipt that a mailbox handed over for a channel.
    pub(super) fn receive_receipt(
        &mut self,
        channel: ChannelId,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<(), Reject> {
        let member = self.members.get(&channel);
        let withdrawn = self.withdrawn.get(&channel).map(|one| &one.channel);
        let names = member.map(|member| &member.channel).or(withdrawn);
        let tenant = &names.ok_or(Reject::NotAdmitted)?.tenant;
        let (mailbox, receipt) = Receipt::verify(received, &self.trust, tenant)?;
        // It is about the channel that it names and signs, not about the one that it came for.
        if receipt.channel != channel {
            return Err(Reject::NotAdmitted);
        }
        self.event(Event::Receipt {
            channel,
            mailbox,
            receipt,
        });
        Ok(())
    }

    /// Takes a marker of what a mailbox lost: of either plane, which only its signature tells.
    pub(super) fn receive_lost(
        &mut self,
        channel: ChannelId,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<(), Reject> {
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        let enrolled = member.enrolled.as_ref().ok_or(Reject::NotAdmitted)?;
        let verify = |plane| {
            let incarnation = enrolled.incarnation;
            Lost::verify(received, &self.trust, &member.channel, incarnation, plane)
        };
        let (mailbox, lost) = match verify(Plane::Actual) {
            Err(Reject::SignatureInvalid) => verify(Plane::Desired),
            found => found,
        }?;
        self.event(Event::Lost {
            channel,
            mailbox,
            lost,
        });
        Ok(())
    }
}
