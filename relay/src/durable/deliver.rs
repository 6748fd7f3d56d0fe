//! What a writer brings: bundles, admissions, and envelopes for its own devices.
//!
//! ```text
//!   bundle ------> verified by the bundle before it --> trust from the next item on
//!   admission ---> verified with the tenant's writer key --> highest of its channel
//!   all others --> header, plane and key id of the writer, under the tag of its session --> lane
//! ```
//!
//! Each item is judged by what stands before it. Refuses what belongs to another tenant, what
//! another key signed, and everything for a channel that is not admitted.

use super::ledger::Admission;
use super::limits::ADMISSIONS_MAX;
use super::posts::Proof;
use super::stage::Stage;
use crate::exchange::{Delivered, DeliveredItem};
use crate::mailbox::lane::Slot;
use crate::mailbox::{Chunk, Lanes, Posted};
use postern_protocol::Reject;
use postern_protocol::admission::{Admission as Document, AdmissionStatus, Offered};
use postern_protocol::enrol::is_settled;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::id::{ChannelId, Plane, TenantId};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::{BundleNumber, Generation};
use std::sync::Arc;

impl Stage<'_> {
    /// Takes what a tenant's writer delivered, item by item.
    pub(super) fn take_deliver(
        &mut self,
        tenant: TenantId,
        items: &[DeliveredItem],
        proof: Proof,
    ) -> Delivered {
        if proof == Proof::Session {
            self.note_contact(tenant);
        }
        let mut delivered = Delivered::default();
        for (index, item) in (0..).zip(items) {
            let taken = match item.channel {
                None => self.take_bundle(&item.envelope),
                Some(channel) => {
                    self.take_delivered(tenant, channel, (item, proof), &mut delivered)
                }
            };
            if let Err(reject) = taken {
                delivered.refused.push((index, reject));
            }
        }
        delivered
    }

    fn take_bundle(&mut self, envelope: &[u8]) -> Result<(), Reject> {
        let received = ReceivedEnvelope::parse(envelope)?;
        let header = received.unverified_header();
        if header.kind != MessageKind::Bundle {
            return Err(Reject::SignerRole);
        }
        let trust = self.trust();
        let number = BundleNumber::new(header.seq.number());
        let is_held = trust.held().is_some_and(|held| held.as_bytes() == envelope);
        // A writer that fills an empty relay brings all of them; what was passed is no fault.
        if number < trust.number() || is_held {
            return Ok(());
        }
        let next = trust.offer(envelope)?;
        self.changes.trust.push(next);
        Ok(())
    }

    fn take_delivered(
        &mut self,
        tenant: TenantId,
        channel: ChannelId,
        (item, proof): (&DeliveredItem, Proof),
        delivered: &mut Delivered,
    ) -> Result<(), Reject> {
        let received = ReceivedEnvelope::parse(&item.envelope)?;
        let kind = received.unverified_header().kind;
        if proof == Proof::Signature && kind == MessageKind::Receipt {
            let admission = self.admitted_to(tenant, channel)?;
            return self.take_receipt(&admission, item.plane, &received);
        }
        kind.check_signer(Role::Writer, item.plane)?;
        if kind == MessageKind::Admission {
            return self.take_admission(tenant, channel, &received);
        }
        let admission = self.admitted_to(tenant, channel)?;
        let generation = match proof {
            Proof::Session => self.check_writer(tenant, &received)?,
            Proof::Signature | Proof::Carried => {
                self.verify_writer(&admission, item.plane, &received)?
            }
        };
        if kind == MessageKind::EnrolAnswer && is_settled(&received, &admission.keys) {
            return Ok(());
        }
        let limits = self.limits;
        let result = self.on_lane(&admission, Plane::Desired, |lane, space, stamp| {
            lane.post(&limits, space, generation, &received, stamp)
        });
        if matches!(kind, MessageKind::Delta | MessageKind::Snapshot) {
            self.want(tenant, channel, delivered);
        }
        // What was not held before, its writer said lately.
        if result == Ok(Posted::Kept) {
            self.note_contact(tenant);
        }
        result.map(|_| ())
    }

    /// Adds what a lane of the writer still lacks.
    fn want(&mut self, tenant: TenantId, channel: ChannelId, delivered: &mut Delivered) {
        let (limits, plane) = (self.limits, Plane::Desired);
        let lane = &self.lanes(tenant, channel).desired;
        if lane.wants_snapshot(&limits).is_some() {
            delivered.snapshots_wanted.insert((channel, plane));
        } else {
            delivered.snapshots_wanted.remove(&(channel, plane));
        }
        let wanted = lane.wanted();
        delivered.bodies_wanted.retain(|(of, ..)| *of != channel);
        let wanted = wanted.into_iter().map(|one| (channel, plane, one));
        delivered.bodies_wanted.extend(wanted);
    }

    /// Checks that the header names the key of the tenant's writer. The tag of its session stands
    /// for the signature.
    fn check_writer(
        &self,
        tenant: TenantId,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<Generation, Reject> {
        let (_, generation, key) = self.writer(tenant).ok_or(Reject::KeyRevoked)?;
        if received.unverified_key_id() == key.key_id() {
            Ok(generation)
        } else {
            Err(Reject::KeyUnknown)
        }
    }

    fn admitted_to(&self, tenant: TenantId, channel: ChannelId) -> Result<Admission, Reject> {
        let admission = self.admission(channel);
        let own = admission.filter(|held| !held.is_withdrawn && held.tenant() == tenant);
        own.cloned().ok_or(Reject::NotAdmitted)
    }

    fn take_admission(
        &mut self,
        tenant: TenantId,
        channel: ChannelId,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<(), Reject> {
        let (name, _, _) = self.writer(tenant).ok_or(Reject::KeyRevoked)?;
        let name = name.clone();
        let (head, document) = Document::verify(received, self.trust(), &name)?;
        let about = document.channel(self.trust().root(), &name);
        if about.id() != channel {
            return Err(Reject::NotAdmitted);
        }
        let held = self.admission(channel).cloned();
        match head.judge(held.as_ref().map(|held| &held.head))? {
            Offered::Same => return Ok(()),
            Offered::Newer => {}
        }
        if held.is_none() && self.ledger.admissions.len() >= ADMISSIONS_MAX {
            return Err(Reject::Overloaded);
        }
        let is_same_life = held
            .as_ref()
            .is_none_or(|held| held.incarnation == document.incarnation);
        let is_key_settled =
            document.keys.len() == 1 && held.is_some_and(|held| held.keys != document.keys);
        let lanes = self.lanes(tenant, channel);
        if !is_same_life {
            // What was posted in another life verifies nowhere any more.
            *lanes = Lanes::default();
        } else if is_key_settled {
            lanes.desired.clear(Slot::EnrolAnswer);
        }
        let admission = Admission {
            channel: about,
            incarnation: document.incarnation,
            keys: document.keys,
            quota_bytes: document.quota_bytes,
            is_withdrawn: document.status == AdmissionStatus::Withdrawn,
            bundle: document.bundle,
            head,
            envelope: Arc::from(received.as_bytes()),
        };
        self.changes.admissions.insert(channel, admission);
        Ok(())
    }

    /// Takes pieces of section bodies for a snapshot that the writer delivered.
    pub(super) fn take_delivered_bodies(
        &mut self,
        tenant: TenantId,
        channel: ChannelId,
        plane: Plane,
        chunks: &[Chunk],
    ) -> Result<Delivered, Reject> {
        if plane != Plane::Desired {
            return Err(Reject::PlaneMismatch);
        }
        self.admitted_to(tenant, channel)?;
        self.note_contact(tenant);
        self.take_bodies(channel, plane, chunks)?;
        let mut delivered = Delivered::default();
        self.want(tenant, channel, &mut delivered);
        Ok(delivered)
    }
}
