//! What a device brings: envelopes under the tag of its session, and section bodies.
//!
//! Order of checks: admission, shape, signer and plane, key id of an admitted key, signature where
//! the session's tag does not stand for it, then the lane. Refuses what the device does not sign.

use super::ledger::Admission;
use super::stage::Stage;
use crate::mailbox::Chunk;
use crate::mailbox::chain::SnapshotWish;
use crate::server::Taken;
use postern_protocol::Reject;
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope};
use postern_protocol::id::{ChannelId, Plane};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::Generation;

/// The generation of a device's key (spec: #actual).
const DEVICE_GENERATION: Generation = Generation::new(0);

/// What stands for the signer of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The tag of a session that was opened under the present admission.
    Session,
    /// Nothing but the envelope's own signature.
    Signature,
    /// Nothing but the envelope's own signature, which may be a mailbox's: another one carries it.
    Carried,
}

impl Stage<'_> {
    fn admitted(&self, channel: ChannelId) -> Result<Admission, Reject> {
        let admission = self.admission(channel).ok_or(Reject::NotAdmitted)?;
        if admission.is_withdrawn {
            return Err(Reject::NotAdmitted);
        }
        Ok(admission.clone())
    }

    /// Takes an envelope of a device.
    pub(super) fn take_post(
        &mut self,
        channel: ChannelId,
        plane: Option<Plane>,
        envelope: &[u8],
        proof: Proof,
    ) -> Result<Taken, Reject> {
        let admission = self.admitted(channel)?;
        let received = ReceivedEnvelope::parse(envelope)?;
        let kind = received.unverified_header().kind;
        if proof == Proof::Carried && matches!(kind, MessageKind::Receipt | MessageKind::Lost) {
            return self.take_notice(&admission, plane, &received);
        }
        self.check_device(&admission, plane, &received, proof)?;
        let limits = self.limits;
        let posted = self.on_lane(&admission, Plane::Actual, |lane, space, stamp| {
            lane.post(&limits, space, DEVICE_GENERATION, &received, stamp)
        });
        posted?;
        let lane = &self.lanes(admission.tenant(), channel).actual;
        let wish = lane.wants_snapshot(&limits);
        Ok(Taken {
            wanted: lane.wanted(),
            wants_snapshot: wish == Some(SnapshotWish::Gap),
        })
    }

    fn check_device(
        &self,
        admission: &Admission,
        plane: Option<Plane>,
        received: &ReceivedEnvelope<'_>,
        proof: Proof,
    ) -> Result<(), Reject> {
        let kind = received.unverified_header().kind;
        kind.check_signer(Role::Device, plane)?;
        let key_id = received.unverified_key_id();
        let keys = admission.keys.iter().filter(|key| key.key_id() == key_id);
        let mut refusal = Reject::KeyUnknown;
        for key in keys {
            if self.trust().is_revoked(&key.thumbprint()) {
                refusal = Reject::KeyRevoked;
                continue;
            }
            if proof == Proof::Session {
                return Ok(());
            }
            let expected = Expected {
                role: Role::Device,
                plane,
            };
            let binding = Binding::Device {
                channel: &admission.channel,
                incarnation: admission.incarnation,
            };
            match received.verify(expected, binding, [key], |_| false) {
                Ok(_) => return Ok(()),
                Err(reject) => refusal = reject,
            }
        }
        Err(refusal)
    }

    /// Takes pieces of section bodies for the pending snapshot of a lane.
    pub(super) fn take_bodies(
        &mut self,
        channel: ChannelId,
        plane: Plane,
        chunks: &[Chunk],
    ) -> Result<Taken, Reject> {
        let admission = self.admitted(channel)?;
        let mut refusal = None;
        for chunk in chunks {
            let put = self.on_lane(&admission, plane, |lane, space, stamp| {
                lane.put(space, chunk, stamp)
            });
            match put {
                Ok(_) => {}
                Err(reject @ (Reject::Quota | Reject::StateOversize | Reject::SectionOversize)) => {
                    // It can never be whole here: the chain that is held stays.
                    let lanes = self.lanes(admission.tenant(), channel);
                    lanes.of_mut(plane).drop_pending();
                    return Err(reject);
                }
                Err(reject) => refusal = Some(reject),
            }
        }
        let wanted = self.lanes(admission.tenant(), channel).of(plane).wanted();
        match refusal {
            // A wrong body starts again; what is missing says so.
            Some(reject) if wanted.is_empty() => Err(reject),
            Some(_) | None => Ok(Taken {
                wanted,
                wants_snapshot: false,
            }),
        }
    }
}
