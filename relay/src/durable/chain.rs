//! Between two mailboxes: what another one carries here from its devices, and what a writer brought elsewhere.
//!
//! ```text
//!   carried, from downstream --each to its tenant's line--> a post like a device's own --> actual lane
//!   onward, from upstream ---in order, tenant by tenant---> a delivery like a writer's --> desired lane
//! ```
//!
//! Both come from a machine that may lie, so nothing but the signature of each envelope counts. Refuses to
//! take a carried envelope for a contact with its writer, and to keep an order that tenants do not share.

use super::driver::Task;
use super::ledger::Admission;
use super::posts::Proof;
use super::stage::Stage;
use super::{Durable, Shared};
use crate::exchange::{Delivered, DeliveredItem};
use crate::mailbox::lane::Slot;
use crate::mailbox::{Chunk, Stamp};
use crate::server::Taken;
use postern_protocol::Reject;
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope};
use postern_protocol::id::{ChannelId, Plane, TenantId};
use postern_protocol::key::PublicKey;
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::receipt::{Lost, Receipt};
use postern_protocol::revision::Generation;
use tokio::sync::oneshot;

/// The line of what belongs to no tenant: bundles.
const OF_ALL: TenantId = TenantId::from_bytes([0; 16]);

impl Durable {
    /// Takes envelopes of devices, and of mailboxes, that another mailbox carries here. Answers once those that
    /// were not refused are durable, and tells what is still wanted of them.
    pub(crate) async fn carry(&self, items: Vec<DeliveredItem>) -> Delivered {
        //= spec/relays.md#chains
        //# A mailbox MUST judge each envelope that another mailbox brings by its signature alone, as a post
        //# of the device that the channel names.
        let mut waiting = Vec::with_capacity(items.len());
        for item in items {
            let channel = item.channel.ok_or(Reject::SignerRole);
            waiting.push(channel.and_then(|channel| {
                let (plane, envelope) = (item.plane, item.envelope);
                let bytes = envelope.len();
                let answer = self.submit_for(channel, bytes, |reply| Task::Post {
                    channel,
                    plane,
                    envelope,
                    proof: Proof::Carried,
                    reply,
                })?;
                Ok((channel, answer))
            }));
        }
        let mut delivered = Delivered::default();
        for (index, one) in (0..).zip(waiting) {
            let answered = match one {
                Ok((channel, answer)) => {
                    let taken = answer.await.unwrap_or(Err(Reject::Overloaded));
                    taken.map(|taken| note_wanted(&mut delivered, channel, taken))
                }
                Err(reject) => Err(reject),
            };
            if let Err(reject) = answered {
                delivered.refused.push((index, reject));
            }
        }
        delivered
    }

    /// Takes pieces of section bodies of one plane. They are unsigned: the digest of the whole body counts.
    ///
    /// # Errors
    /// `not-admitted`, `quota`, `overloaded`; those of the body.
    pub(crate) async fn put_bodies(
        &self,
        channel: ChannelId,
        plane: Plane,
        chunks: Vec<Chunk>,
    ) -> Result<Taken, Reject> {
        let bytes = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        let answer = self.submit_for(channel, bytes, |reply| Task::Bodies {
            channel,
            plane,
            chunks,
            reply,
        })?;
        answer.await.unwrap_or(Err(Reject::Overloaded))
    }

    fn submit_for<T>(
        &self,
        channel: ChannelId,
        bytes: usize,
        make: impl FnOnce(oneshot::Sender<Result<T, Reject>>) -> Task,
    ) -> Result<oneshot::Receiver<Result<T, Reject>>, Reject> {
        let tenant = self.ledger().admitted(channel).map(Admission::tenant);
        let (reply, answer) = oneshot::channel();
        let tenant = tenant.ok_or(Reject::NotAdmitted)?;
        self.shared.submit(tenant, bytes, make(reply))?;
        Ok(answer)
    }

    /// Takes envelopes of writers, and bundles, that another mailbox holds, in their order. Answers once those
    /// that were not refused are durable.
    pub(crate) async fn take_onward(&self, items: Vec<DeliveredItem>) -> Delivered {
        let mut delivered = Delivered::default();
        let mut items = (0_u32..).zip(items).peekable();
        while let Some((first, item)) = items.next() {
            let tenant = match self.tenant_of(&item) {
                Ok(tenant) => tenant,
                Err(reject) => {
                    delivered.refused.push((first, reject));
                    continue;
                }
            };
            // An admission may be what the next ones rest on, so each run is durable before the next begins.
            let (mut places, mut run) = (vec![first], vec![item]);
            while let Some((place, item)) =
                items.next_if(|(_, item)| self.tenant_of(item) == Ok(tenant))
            {
                places.push(place);
                run.push(item);
            }
            let answer = deliver_run(&self.shared, tenant, run).await;
            merge(&mut delivered, &places, answer);
        }
        delivered
    }

    /// Whose line an envelope of a writer stands in. # Errors: an envelope reject, `not-admitted`, `key-unknown`.
    fn tenant_of(&self, item: &DeliveredItem) -> Result<TenantId, Reject> {
        let Some(channel) = item.channel else {
            return Ok(OF_ALL);
        };
        let ledger = self.ledger();
        if let Some(admission) = ledger.admissions.get(&channel) {
            return Ok(admission.tenant());
        }
        // Nothing is known of the channel but what its admission, if it is one, says itself.
        let received = ReceivedEnvelope::parse(&item.envelope)?;
        if received.unverified_header().kind != MessageKind::Admission {
            return Err(Reject::NotAdmitted);
        }
        let key_id = received.unverified_key_id();
        let mut tenants = ledger.tenants().keys().copied();
        let of_key = |tenant: &TenantId| {
            let writer = ledger.writer(*tenant);
            writer.is_some_and(|(_, _, key)| key.key_id() == key_id)
        };
        tenants.find(of_key).ok_or(Reject::KeyUnknown)
    }
}

async fn deliver_run(shared: &Shared, tenant: TenantId, items: Vec<DeliveredItem>) -> Delivered {
    let all = u32::try_from(items.len()).unwrap_or(u32::MAX);
    let bytes = items.iter().map(|item| item.envelope.len()).sum();
    let (reply, answer) = oneshot::channel();
    //= spec/relays.md#chains
    //# A relay MUST verify each envelope that its upstream shows, as if it had come over an untrusted way.
    let task = Task::Deliver {
        tenant,
        items,
        proof: Proof::Signature,
        reply,
    };
    let answered = match shared.submit(tenant, bytes, task) {
        Ok(()) => answer.await.unwrap_or(Err(Reject::Overloaded)),
        Err(reject) => Err(reject),
    };
    answered.unwrap_or_else(|reject| Delivered {
        refused: (0..all).map(|index| (index, reject)).collect(),
        ..Delivered::default()
    })
}

/// Adds the answer to a part of the items, which stood at these places.
fn merge(delivered: &mut Delivered, places: &[u32], part: Delivered) {
    for (index, reject) in part.refused {
        let place = usize::try_from(index).ok().and_then(|at| places.get(at));
        delivered
            .refused
            .extend(place.map(|place| (*place, reject)));
    }
    delivered.snapshots_wanted.extend(part.snapshots_wanted);
    delivered.bodies_wanted.extend(part.bodies_wanted);
}

/// Notes what the lane of a device's plane lacks after its latest envelope.
fn note_wanted(delivered: &mut Delivered, channel: ChannelId, taken: Taken) {
    let place = (channel, Plane::Actual);
    if taken.wants_snapshot {
        delivered.snapshots_wanted.insert(place);
    } else {
        delivered.snapshots_wanted.remove(&place);
    }
    delivered.bodies_wanted.retain(|(of, ..)| *of != channel);
    let wanted = taken.wanted.into_iter();
    delivered
        .bodies_wanted
        .extend(wanted.map(|one| (channel, Plane::Actual, one)));
}

impl Stage<'_> {
    /// Takes what a mailbox said about a channel, carried here by another or by itself.
    pub(super) fn take_notice(
        &mut self,
        admission: &Admission,
        plane: Option<Plane>,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<Taken, Reject> {
        let kind = received.unverified_header().kind;
        let (channel, trust) = (&admission.channel, self.trust());
        let slot = match (kind, plane) {
            (MessageKind::Receipt, None) => {
                let (_, receipt) = Receipt::verify(received, trust, &channel.tenant)?;
                if receipt.channel != channel.id() {
                    return Err(Reject::NotAdmitted);
                }
                Slot::Receipt
            }
            (MessageKind::Lost, Some(plane @ Plane::Desired)) => {
                Lost::verify(received, trust, channel, admission.incarnation, plane)?;
                Slot::Lost
            }
            _ => return Err(Reject::SignerRole),
        };
        self.on_lane(admission, Plane::Actual, |lane, space, stamp| {
            lane.post_letter(space, slot, received, stamp)
        })?;
        Ok(Taken::default())
    }

    /// Takes a receipt that an upstream holds for a device.
    ///
    /// # Errors
    /// `signer-role` beside a plane; an envelope reject; `not-admitted` when it is about another channel.
    pub(super) fn take_receipt(
        &mut self,
        admission: &Admission,
        plane: Option<Plane>,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<(), Reject> {
        if plane.is_some() {
            return Err(Reject::SignerRole);
        }
        let (channel, trust) = (&admission.channel, self.trust());
        //= spec/relays.md#chains
        //# A relay MUST verify each envelope that its upstream shows, as if it had come over an untrusted way.
        let (_, receipt) = Receipt::verify(received, trust, &channel.tenant)?;
        if receipt.channel != channel.id() {
            return Err(Reject::NotAdmitted);
        }
        let stamp = Stamp {
            arrival: 0,
            at_s: self.clock_s(),
        };
        let (tenant, channel) = (admission.tenant(), channel.id());
        let lane = &mut self.lanes(tenant, channel).desired;
        lane.keep_receipt(received, stamp, false);
        Ok(())
    }

    /// Checks that the writer of a tenant signed an envelope for this device. Returns its generation.
    pub(super) fn verify_writer(
        &self,
        admission: &Admission,
        plane: Option<Plane>,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<Generation, Reject> {
        let (_, generation, key) = self.writer(admission.tenant()).ok_or(Reject::KeyRevoked)?;
        let expected = Expected {
            role: Role::Writer,
            plane,
        };
        let binding = Binding::Device {
            channel: &admission.channel,
            incarnation: admission.incarnation,
        };
        let keys: [&PublicKey; 1] = [key];
        received.verify(expected, binding, keys, |_| false)?;
        Ok(generation)
    }
}
