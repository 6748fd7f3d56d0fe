//! The next bundle while the controller runs: believed, durable, handed on, and acted on for every device.
//!
//! A writer key that changed signs the same revisions again: the number does not move. Refuses a
//! bundle that the trust does not follow, one that would let devices lose decisions unseen, and to sign
//! on with a key that the bundle replaced.

use super::{Context, Controller, Event, Output, Ticket, records};
use crate::id::ChannelId;
use crate::record::{Table, Write};
use crate::reject::Reject;
use alloc::vec::Vec;

impl Controller {
    /// Takes a bundle that the roots signed.
    pub(super) fn take_bundle(
        &mut self,
        context: &mut Context<'_>,
        ticket: Ticket,
        envelope: &[u8],
        is_urgent: bool,
    ) {
        let trust = match self.trust.offer(envelope) {
            Ok(trust) => trust,
            Err(reject) => return self.refuse(ticket, reject),
        };
        //= spec/lives.md#rotation
        //# A controller MUST refuse a bundle that changes a tenant's writer key while a device of
        //# it shows a head that the controller does not know, or did not show a head of its present
        //# epoch since a restore in a session or beside an echo of the controller's nonce, unless its
        //# operator says that the change cannot wait.
        if !is_urgent && self.would_lose(&trust) {
            return self.refuse(ticket, Reject::WriterBehind);
        }
        let number = trust.number();
        let before = core::mem::replace(&mut self.trust, trust);
        let mut writes = Vec::from([Write {
            table: Table::Bundles,
            key: number.number().to_be_bytes().to_vec(),
            value: Some(envelope.to_vec()),
        }]);
        let mut rewritten: Vec<ChannelId> = Vec::new();
        for (id, member) in &mut self.members {
            let tenant = &member.channel.tenant;
            let Some((generation, _)) = self.trust.writer(tenant) else {
                continue;
            };
            if before.writer(tenant) != self.trust.writer(tenant) {
                member.head.generation = generation;
                member.pulse.is_withheld = false;
                writes.push(records::member(member));
                rewritten.push(*id);
            }
        }
        self.persist(writes);
        self.outputs.push_back(Output::PostBundle {
            steps: self.trust.steps().to_vec(),
        });
        self.evict_revoked(context);
        for channel in rewritten {
            //= spec/lives.md#rotation
            //# A controller MUST sign a snapshot of the same revision anew for each
            //# device of a tenant whose writer key changed.
            self.post_admission(context, channel);
            self.post_snapshot(context, channel);
            self.post_ack(context, channel);
            self.post_key_answer(context, channel);
        }
        self.post_withdrawals_of(context, &before);
        self.event(Event::BundleAccepted { ticket, number });
    }

    fn evict_revoked(&mut self, context: &Context<'_>) {
        let channels: Vec<ChannelId> = self.members.keys().copied().collect();
        for channel in channels {
            if self.drop_revoked(context, channel) {
                self.outputs.push_back(Output::Evict { channel });
            }
        }
    }
}
