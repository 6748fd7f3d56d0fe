//! Offering the actual plane: one sealed change at a time, until the controller's cursor covers it.
//!
//! ```text
//!  head ahead of cursor --seal--> offered --taken by a mailbox--> waiting --heartbeat--> acknowledged
//!                                   ^                                |
//!                                   '------- 60 s, or a session -----'
//! ```
//!
//! What is written while an offer waits becomes one delta over several decisions. A delta starts at
//! the head that the controller signed to hold; without one, or when it is refused, a snapshot is
//! offered. Refuses to have two changes under way: the second could only be refused.

use super::link::PACE_MS;
use super::{Context, Device, Event};
use crate::encryption::EncryptedBodies;
use crate::envelope::Header;
use crate::frame::{Hints, Wanted};
use crate::id::{Plane, Thumbprint};
use crate::kind::MessageKind;
use crate::limits::RESEND_MS;
use crate::message::Snapshot;
use crate::reject::Reject;
use crate::revision::{Head, Revision, Seq};
use crate::state::State;
use alloc::vec::Vec;

/// A sealed change of the actual plane that nobody acknowledged.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) revision: Revision,
    /// The state at that revision: bodies of a snapshot are put from here, the next delta starts here.
    pub(super) state: State,
    /// Its bodies as they travel, where keys are held and it is a snapshot.
    pub(super) bodies: Option<EncryptedBodies>,
    pub(super) envelope: Vec<u8>,
    /// The key that signed it: after a rotation the same revision is signed anew.
    signer: Thumbprint,
    /// `None` until a mailbox took it; then the moment at which it is sent again.
    resend_ms: Option<u64>,
    /// True when the reader has all of it, bodies included.
    is_whole: bool,
}

/// A sealed snapshot, and its bodies as they travel where keys are held.
type Whole = (Vec<u8>, Option<EncryptedBodies>);

impl super::actual::Actual {
    /// The moment at which something is to be posted, if there is something.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let head = self.head?.revision;
        if self.snapshot.is_wanted {
            return Some(self.snapshot.allowed_ms);
        }
        match &self.offer {
            Some(offer) => Some(offer.resend_ms.unwrap_or(0)),
            None => (self.acknowledged() != head).then_some(self.snapshot.allowed_ms),
        }
    }

    /// The head that a mailbox may compare with what the controller holds: what it took, or what
    /// the controller signed to hold. Left out of polls while neither is known.
    pub(super) fn polled(&self) -> Option<Revision> {
        let taken = self.offer.as_ref();
        let taken = taken.filter(|offer| offer.is_whole && offer.resend_ms.is_some());
        let acked = self.acked.as_ref().map(|(revision, _)| *revision);
        taken.map(|offer| offer.revision).or(acked)
    }

    /// A new session may reach another mailbox; what a former key signed counts no more there.
    pub(super) fn begin_session(&mut self, signer: &Thumbprint) {
        self.offer.take_if(|offer| offer.signer != *signer);
        if let Some(offer) = &mut self.offer {
            offer.resend_ms = None;
        }
    }
}

impl Device {
    /// Returns what is to be posted of the actual plane now, sealed.
    pub(super) fn offer_actual(
        &mut self,
        context: &mut Context<'_>,
    ) -> Option<(Revision, Vec<u8>)> {
        let now_ms = context.now.mono_ms;
        if self.actual.due_ms()? > now_ms {
            return None;
        }
        if self.actual.snapshot.is_wanted {
            self.actual.offer = None;
            self.actual.acked = None;
            self.actual.snapshot.is_wanted = false;
            self.actual.snapshot.allowed_ms = now_ms.saturating_add(PACE_MS);
        }
        //= spec/planes.md#actual
        //# A device MUST keep at most one change of `actual` outstanding; later writes join into
        //# one delta.
        if self.actual.offer.is_none() {
            match self.seal_offer(context) {
                Ok(offer) => self.actual.offer = offer,
                Err(reject) => {
                    self.event(Event::Rejected { reject });
                    self.actual.snapshot.allowed_ms = now_ms.saturating_add(RESEND_MS);
                }
            }
        }
        let offer = self.actual.offer.as_ref()?;
        Some((offer.revision, offer.envelope.clone()))
    }

    /// Seals a delta from the cursor when there is one, else a snapshot. `None` without a head.
    fn seal_offer(&mut self, context: &mut Context<'_>) -> Result<Option<Offer>, Reject> {
        let Some(head) = self.actual.head else {
            return Ok(None);
        };
        //= spec/planes.md#actual
        //# A device MUST start a delta of `actual` from the newest head that a heartbeat of the
        //# controller named, and post a snapshot where there is none.
        let sealed = match self.seal_delta(context, own_header(&head))? {
            Some(envelope) => Some((envelope, None)),
            None => self.seal_actual_snapshot(context)?,
        };
        Ok(sealed.map(|(envelope, bodies)| Offer {
            revision: head.revision,
            state: self.actual.state.clone(),
            bodies,
            envelope,
            signer: context.signer.public_key().thumbprint(),
            resend_ms: None,
            is_whole: false,
        }))
    }

    /// Seals the whole plane for a file. The controller's cursor acknowledges it like a posted one,
    /// unless another change is on its way already.
    pub(super) fn offer_filed(
        &mut self,
        context: &mut Context<'_>,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let sealed = self.seal_actual_snapshot(context)?;
        let (Some(head), Some((envelope, bodies))) = (self.actual.head, sealed) else {
            return Ok(None);
        };
        let is_acknowledged = self.actual.acknowledged() == head.revision;
        if self.actual.offer.is_none() && !is_acknowledged {
            self.actual.offer = Some(Offer {
                revision: head.revision,
                state: self.actual.state.clone(),
                bodies,
                envelope: envelope.clone(),
                signer: context.signer.public_key().thumbprint(),
                resend_ms: None,
                is_whole: false,
            });
        }
        Ok(Some(envelope))
    }

    /// Seals the whole plane with its lineage, and encrypts its bodies where keys are held. `None`
    /// without a head.
    fn seal_actual_snapshot(&mut self, context: &mut Context<'_>) -> Result<Option<Whole>, Reject> {
        let Some(head) = self.actual.head else {
            return Ok(None);
        };
        let (table, bodies) = self.actual_table(context);
        let payload = Snapshot {
            table,
            lineage: self.actual.lineage_below(head.revision.epoch),
        };
        let sealed = self.seal(context, own_header(&head), payload.encode())?;
        Ok(Some((sealed, bodies)))
    }

    /// Seals the change from the cursor, unless there is none, nothing differs, or it does not fit.
    fn seal_delta(
        &self,
        context: &mut Context<'_>,
        header: Header,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let Some((base, state)) = &self.actual.acked else {
            return Ok(None);
        };
        // Back where the cursor is: a number without a change cannot be said as a delta.
        let Some(delta) = state.diff(&self.actual.state) else {
            return Ok(None);
        };
        let header = Header {
            kind: MessageKind::Delta,
            base: base.seq,
            ..header
        };
        let payload = self.encrypt_payload(context, Plane::Actual, &header, delta.encode());
        match self.seal(context, header, payload) {
            Ok(envelope) => Ok(Some(envelope).filter(|it| self.sizes.carries(it.len()))),
            Err(Reject::Oversize) => Ok(None),
            Err(reject) => Err(reject),
        }
    }

    /// Takes what a mailbox said to an offer.
    pub(super) fn handle_offer_answer(&mut self, now_ms: u64, revision: Revision, hints: &Hints) {
        let refused = hints.refused.first().map(|refusal| refusal.code);
        if let Some(code) = refused {
            let reject = Reject::from_code(code.into());
            if reject.is_some_and(super::accept::is_need) {
                return self.want_actual_snapshot();
            }
        }
        let wait_ms = hints.retry_ms.map_or(RESEND_MS, |wait| wait.max(PACE_MS));
        let offer = self.actual.offer.as_mut();
        if let Some(offer) = offer.filter(|offer| offer.revision == revision) {
            //= spec/planes.md#actual
            //# A device MUST post an outstanding change again 60 s after it was posted, and in each
            //# new session.
            offer.resend_ms = Some(now_ms.saturating_add(wait_ms));
            offer.is_whole = refused.is_none() && hints.wanted.is_empty();
        }
        if refused.is_none() {
            self.begin_puts(Plane::Actual, &hints.wanted);
        }
    }

    /// Takes the mailbox's word that the controller holds another head than the poll named.
    pub(super) fn handle_need_hint(&mut self, planes: &[Plane]) {
        // While a change is on its way the two differ anyway.
        let is_on_its_way = self
            .actual
            .offer
            .as_ref()
            .is_some_and(|offer| offer.resend_ms.is_none() || !offer.is_whole);
        if planes.contains(&Plane::Actual) && !is_on_its_way {
            self.want_actual_snapshot();
        }
    }

    /// The reader has every body that the posted snapshot names.
    pub(super) fn finish_offer(&mut self) {
        if let Some(offer) = &mut self.actual.offer {
            offer.is_whole = true;
        }
    }

    /// The bodies that a mailbox may ask for: of the offered state, else of what is held.
    pub(super) fn body_of(&self, plane: Plane, wanted: &Wanted) -> Option<&[u8]> {
        let (state, bodies) = match plane {
            Plane::Desired => (&self.desired.state, Some(&self.encryption.desired)),
            Plane::Actual => match &self.actual.offer {
                Some(offer) => (&offer.state, offer.bodies.as_ref()),
                None => (&self.actual.state, Some(&self.actual.bodies)),
            },
        };
        if state.digester().is_keyed() {
            //= spec/encryption.md#encrypted-snapshot
            //# An end MUST NOT give a body of an encrypted plane to anybody unless it is encrypted.
            return bodies?.body(&wanted.digest);
        }
        state.body(&wanted.digest)
    }
}

/// The header of a snapshot of the plane at its head.
const fn own_header(head: &Head) -> Header {
    Header {
        kind: MessageKind::Snapshot,
        epoch: head.revision.epoch,
        seq: head.revision.seq,
        base: Seq::new(0),
        digest: Some(head.digest),
    }
}
