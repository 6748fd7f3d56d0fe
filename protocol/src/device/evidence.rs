//! Evidence: what the device holds against its controller, and what the controller holds against it.
//!
//! A contradiction is told with the envelopes that prove it, once a session and ever more rarely
//! while nothing resolves it, until a later epoch is refused; accepting a revision resolves it. The controller's evidence about the
//! actual plane is how a device that lost a part of its store learns what it wrote in that life.
//! Refuses to accuse of anything that no signature shows.

use super::work::Taken;
use super::{Context, Device, Event, records};
use crate::envelope::{Binding, Expected, Header, ReceivedEnvelope, Verified};
use crate::frame::Hints;
use crate::id::{MessageId, Plane};
use crate::kind::{MessageKind, Role};
use crate::limits::{EVIDENCE_RESEND_MS_MAX, RESEND_MS};
use crate::message::{Evidence, EvidenceCode, Opened, PlaneMessage, Proof, Reading};
use crate::record::Write;
use crate::reject::Reject;
use crate::revision::{Epoch, Generation, Head, Revision, Seq};
use alloc::vec::Vec;

/// Contradictions of the controller that nothing resolved yet, at most one of each kind.
#[derive(Debug, Default)]
pub(super) struct Disputes {
    open: Vec<Dispute>,
}

/// One contradiction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dispute {
    pub(super) code: EvidenceCode,
    /// The own head, or the disputed revision with the digest that was accepted first.
    pub(super) head: Head,
    pub(super) proofs: Vec<(MessageId, Option<Vec<u8>>)>,
    /// When it is told next, and how long to wait then.
    due_ms: u64,
    wait_ms: u64,
    /// When it was told last in this process.
    told_ms: Option<u64>,
    /// The highest epoch that was refused for it; a later one is of a life that was told nothing.
    refused: Epoch,
}

impl Dispute {
    pub(super) const fn new(
        code: EvidenceCode,
        head: Head,
        proofs: Vec<(MessageId, Option<Vec<u8>>)>,
    ) -> Self {
        Self {
            code,
            head,
            proofs,
            due_ms: 0,
            wait_ms: RESEND_MS,
            told_ms: None,
            refused: Epoch::new(0),
        }
    }

    /// A later epoch is told as soon as it may be, and then ever more rarely again.
    fn note_refused(&mut self, epoch: Epoch) {
        if epoch > self.refused {
            self.refused = epoch;
            self.wait_ms = RESEND_MS;
            let told_ms = self.told_ms.map(|told| told.saturating_add(RESEND_MS));
            self.due_ms = self.due_ms.min(told_ms.unwrap_or_default());
        }
    }
}

impl Disputes {
    /// Takes a contradiction; the same one again is no news. Returns true when it is new.
    pub(super) fn open(&mut self, dispute: Dispute) -> bool {
        let is_known = |one: &Dispute| (one.code, one.head) == (dispute.code, dispute.head);
        if self.open.iter().any(is_known) {
            return false;
        }
        self.open.retain(|one| one.code != dispute.code);
        self.open.push(dispute);
        true
    }

    /// Notes the epoch of what was refused for a contradiction that is open.
    fn note_refused(&mut self, code: EvidenceCode, epoch: Epoch) {
        let mut open = self.open.iter_mut();
        if let Some(one) = open.find(|one| one.code == code) {
            one.note_refused(epoch);
        }
    }

    /// Nothing is disputed any more. Returns true when something was.
    pub(super) fn resolve(&mut self) -> bool {
        !core::mem::take(&mut self.open).is_empty()
    }

    /// When something is to be told next, if anything is disputed.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.open.iter().map(|one| one.due_ms).min()
    }

    /// A new session may reach another mailbox.
    pub(super) fn begin_session(&mut self) {
        for one in &mut self.open {
            (one.due_ms, one.wait_ms) = (0, RESEND_MS);
        }
    }

    //= spec/relays.md#receipt
    //# A device MUST post evidence that is still open again when a receipt with a code above 0 comes,
    //# 60 s after its last post at the earliest.
    /// A mailbox dropped something: what is open is told again, as soon as it may be.
    pub(super) fn hasten(&mut self, now_ms: u64) {
        for one in &mut self.open {
            let told_ms = one.told_ms.map(|told| told.saturating_add(RESEND_MS));
            one.due_ms = one.due_ms.min(told_ms.unwrap_or(now_ms).max(now_ms));
        }
    }

    /// Every contradiction that is open.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Dispute> {
        self.open.iter()
    }
}

impl Device {
    //= spec/lives.md#recovery
    //# A device that refuses with `writer-behind` MUST keep its state, list the reject, and post
    //# evidence with its table and the newest envelope that it accepted.
    /// The writer of the desired plane opened an epoch that does not continue what is held here.
    pub(super) fn dispute_behind(&mut self, refused: &Verified<'_>) {
        let Some(head) = self.desired.head else {
            return;
        };
        let newest = self.desired.envelope.as_deref();
        let proof = newest.and_then(|envelope| self.proof_of(envelope));
        let proof = proof.unwrap_or_else(|| proof_of_verified(refused));
        let code = EvidenceCode::WriterBehind;
        self.disputes
            .open(Dispute::new(code, head, Vec::from([proof])));
        self.disputes.note_refused(code, refused.header().epoch);
    }

    /// The writer of the desired plane signed one number twice. Returns what must be made durable.
    pub(super) fn dispute_equivocation(&mut self, refused: &Verified<'_>) -> Vec<Write> {
        let place = Revision::new(refused.header().epoch, refused.header().seq);
        let pending = self.desired.pending.as_ref();
        let pending = pending.filter(|pending| pending.head.revision == place);
        let stored = self.desired.head.filter(|head| head.revision == place);
        let (head, envelope) = match (pending, stored) {
            (_, Some(head)) => (head, self.desired.envelope.as_deref()),
            (Some(pending), None) => (pending.head, Some(pending.envelope.as_slice())),
            (None, None) => return Vec::new(),
        };
        let first = envelope.and_then(|envelope| self.proof_of(envelope));
        let proofs = first.into_iter().chain([proof_of_verified(refused)]);
        let dispute = Dispute::new(EvidenceCode::Equivocation, head, proofs.collect());
        let write = records::dispute(Some(&dispute));
        if self.disputes.open(dispute) {
            Vec::from([write])
        } else {
            Vec::new()
        }
    }

    /// Identifies an envelope of the desired plane that was verified when it was accepted.
    fn proof_of(&self, envelope: &[u8]) -> Option<(MessageId, Option<Vec<u8>>)> {
        let binding = Binding::Device {
            channel: &self.identity.channel,
            incarnation: self.identity.incarnation,
        };
        let received = ReceivedEnvelope::parse(envelope).ok()?;
        let expected = Expected {
            role: Role::Writer,
            plane: Some(Plane::Desired),
        };
        let message_id = received.unverified_message_id(expected, binding)?;
        Some((message_id, Some(envelope.to_vec())))
    }

    /// Seals what is to be told now.
    pub(super) fn next_evidence(
        &mut self,
        context: &mut Context<'_>,
    ) -> Option<(EvidenceCode, Vec<u8>)> {
        let now_ms = context.now.mono_ms;
        let due = self
            .disputes
            .open
            .iter_mut()
            .find(|one| one.due_ms <= now_ms)?;
        due.due_ms = now_ms.saturating_add(due.wait_ms);
        due.wait_ms = due.wait_ms.saturating_mul(2).min(EVIDENCE_RESEND_MS_MAX);
        due.told_ms = Some(now_ms);
        let mut due = due.clone();
        let sealed = match self.seal_evidence(context, &due) {
            Ok(envelope) if !self.sizes.carries(envelope.len()) => {
                // What the route does not carry is named and left out, as what no frame holds.
                due.proofs
                    .iter_mut()
                    .for_each(|(_, envelope)| *envelope = None);
                self.seal_evidence(context, &due)
            }
            sealed => sealed,
        };
        match sealed {
            Ok(envelope) => Some((due.code, envelope)),
            Err(reject) => {
                self.event(Event::Rejected { reject });
                None
            }
        }
    }

    pub(super) fn seal_evidence(
        &mut self,
        context: &mut Context<'_>,
        dispute: &Dispute,
    ) -> Result<Vec<u8>, Reject> {
        let proofs = dispute.proofs.iter().map(|(message_id, envelope)| Proof {
            message_id: *message_id,
            envelope: envelope.as_deref(),
        });
        let table = match dispute.code {
            EvidenceCode::WriterBehind => Some(self.desired_table(context)),
            EvidenceCode::Equivocation => None,
        };
        let mut evidence = Evidence {
            code: dispute.code,
            table,
            proofs: proofs.collect(),
        };
        evidence.shorten();
        let header = Header {
            kind: MessageKind::Evidence,
            epoch: dispute.head.revision.epoch,
            seq: dispute.head.revision.seq,
            base: Seq::new(0),
            digest: Some(dispute.head.digest),
        };
        self.seal(context, header, evidence.encode())
    }

    /// Takes what a mailbox said to evidence.
    pub(super) fn handle_evidence_answer(&mut self, code: EvidenceCode, hints: &Hints) {
        if hints.refused.is_empty() {
            self.event(Event::EvidencePosted { code });
            self.begin_puts(Plane::Desired, &hints.wanted);
        }
    }

    /// Takes evidence of the controller about the actual plane: what it signed to hold of this
    /// incarnation that the present epoch does not continue.
    pub(super) fn handle_evidence(
        &mut self,
        context: &mut Context<'_>,
        verified: &Verified<'_>,
    ) -> Result<Taken, Reject> {
        let vault = self.encryption.vault();
        let opened = Opened::of(verified, Plane::Actual, vault, Reading::Allowed)?;
        let PlaneMessage::Evidence(evidence) = opened.message()? else {
            return Err(Reject::SignerRole);
        };
        let header = verified.header();
        let digest = header.digest.ok_or(Reject::DigestLength)?;
        for proof in &evidence.proofs {
            self.check_proof(context, proof)?;
        }
        let held = Head {
            generation: Generation::new(0),
            revision: Revision::new(header.epoch, header.seq),
            digest,
        };
        Ok(if self.continue_from(context, &held) {
            Taken::Forward
        } else {
            Taken::Nothing
        })
    }

    /// Verifies an envelope that this device is said to have signed. One of a former key cannot be
    /// verified any more; the controller's signature over its head stands for it.
    fn check_proof(&self, context: &Context<'_>, proof: &Proof<'_>) -> Result<(), Reject> {
        let expected = Expected {
            role: Role::Device,
            plane: Some(Plane::Actual),
        };
        let binding = Binding::Device {
            channel: &self.identity.channel,
            incarnation: self.identity.incarnation,
        };
        let key = context.signer.public_key();
        match proof.verify(expected, binding, [key], |_| false) {
            Ok(_) | Err(Reject::KeyUnknown) => Ok(()),
            Err(reject) => Err(reject),
        }
    }
}

fn proof_of_verified(verified: &Verified<'_>) -> (MessageId, Option<Vec<u8>>) {
    (verified.message_id(), Some(verified.as_bytes().to_vec()))
}
