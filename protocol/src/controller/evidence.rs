//! Evidence: what a device proves against this writer, and what we prove against a device's.
//!
//! What comes is kept and shown, whatever is done about it. Refuses to take a device's word for what
//! our own key signed: that is true only when the envelopes inside verify.

use super::{Context, Controller, Event, Post, records};
use crate::envelope::{Binding, Expected, Header, ReceivedEnvelope, Verified};
use crate::id::{ChannelId, MessageId, Plane};
use crate::kind::{MessageKind, Role};
use crate::limits::{EVIDENCE_HELD_MAX, EVIDENCE_INTERVAL_MS, REOPEN_INTERVAL_MS};
use crate::message::{Evidence, EvidenceCode, Opened, PlaneMessage, Proof, Reading};
use crate::reject::Reject;
use crate::revision::{Head, Revision, Seq};
use alloc::vec::Vec;

/// One proof that a device sent, as it signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceHeld {
    /// Its place in the order of arrival.
    pub(super) number: u64,
    /// What it says that the writer did.
    pub code: EvidenceCode,
    /// The head that the device holds, or the number that has two contents.
    pub head: Head,
    /// True when this controller's own key signed what it shows.
    pub is_proven: bool,
    /// The envelope.
    pub envelope: Vec<u8>,
}

impl Controller {
    /// Takes a device's evidence against the desired plane.
    pub(super) fn receive_evidence(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        verified: &Verified<'_>,
    ) -> Result<(), Reject> {
        let header = verified.header();
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        let vault = member.encryption.vault();
        let opened = Opened::of(verified, Plane::Desired, vault, Reading::Allowed)?;
        let PlaneMessage::Evidence(evidence) = opened.message()? else {
            return Err(Reject::SignerRole);
        };
        let head = Head {
            generation: member.head.generation,
            revision: Revision::new(header.epoch, header.seq),
            digest: header.digest.ok_or(Reject::DigestLength)?,
        };
        let proofs = self.verify_proofs(channel, &evidence.proofs)?;
        let held = EvidenceHeld {
            number: 0,
            code: evidence.code,
            head,
            is_proven: is_proven(evidence.code, &head, &proofs),
            envelope: verified.as_bytes().to_vec(),
        };
        match evidence.code {
            EvidenceCode::WriterBehind => {
                self.take_behind(context, channel, held, evidence.table.as_ref())
            }
            EvidenceCode::Equivocation => {
                self.take_equivocation(context, channel, held);
                Ok(())
            }
        }
    }

    /// Verifies the envelopes inside with our present key; those of another prove nothing.
    fn verify_proofs<'e>(
        &self,
        channel: ChannelId,
        proofs: &[Proof<'e>],
    ) -> Result<Vec<Verified<'e>>, Reject> {
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        let enrolled = member.enrolled.as_ref().ok_or(Reject::NotAdmitted)?;
        let writer = self.trust.writer(&member.channel.tenant);
        let expected = Expected {
            role: Role::Writer,
            plane: Some(Plane::Desired),
        };
        let binding = Binding::Device {
            channel: &member.channel,
            incarnation: enrolled.incarnation,
        };
        let mut found = Vec::new();
        for proof in proofs {
            let keys = writer.map(|(_, key)| key);
            let is_revoked = |key: &_| self.trust.is_revoked(key);
            //= spec/lives.md#evidence
            //# A receiver MUST verify an envelope in evidence like any other before
            //# it believes it.
            match proof.verify(expected, binding, keys, is_revoked) {
                Ok(Some(one)) => found.push(one),
                Err(Reject::DigestMismatch) => return Err(Reject::DigestMismatch),
                Ok(None) | Err(_) => {}
            }
        }
        Ok(found)
    }

    /// A number of ours has two contents: believe the device that it stopped, and go on above it.
    fn take_equivocation(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        held: EvidenceHeld,
    ) {
        let (epoch, is_proven) = (held.head.revision.epoch, held.is_proven);
        self.keep_evidence(channel, held);
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        if member.head.revision.epoch != epoch {
            // A higher epoch is on offer already.
            return;
        }
        member.contest(epoch);
        if is_proven {
            self.reopen(context, channel);
        } else {
            let now_ms = context.now.mono_ms;
            member.pulse.want_reopen(now_ms, REOPEN_INTERVAL_MS);
        }
    }

    /// Keeps evidence for people, once for each head; a full list drops its oldest.
    pub(super) fn keep_evidence(&mut self, channel: ChannelId, mut held: EvidenceHeld) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let is_same = |one: &EvidenceHeld| (one.code, one.head) == (held.code, held.head);
        let same = member.evidence.iter().position(is_same);
        let is_known = same.and_then(|at| member.evidence.get(at));
        if is_known.is_some_and(|known| known.is_proven || !held.is_proven) {
            return;
        }
        let last = member.evidence.last().map_or(0, |last| last.number);
        held.number = last.saturating_add(1);
        //= spec/lives.md#recovery
        //# A controller MUST keep evidence durably, at most 16 of a device, and show
        //# it.
        let mut writes = Vec::new();
        let dropped = same.or_else(|| (member.evidence.len() >= EVIDENCE_HELD_MAX).then_some(0));
        if let Some(at) = dropped {
            let old = member.evidence.remove(at);
            writes.push(records::no_evidence(member, old.number));
        }
        writes.push(records::evidence(member, &held));
        let (code, is_proven) = (held.code.reject(), held.is_proven);
        member.evidence.push(held);
        self.persist(writes);
        self.event(Event::EvidenceKept {
            channel,
            code,
            is_proven,
        });
    }

    /// Shows a device why its actual plane was refused: what is held, and the newest envelope that was accepted.
    pub(super) fn accuse(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        code: EvidenceCode,
        refused: &Verified<'_>,
    ) {
        let now_ms = context.now.mono_ms;
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let last_ms = member.pulse.accused_ms;
        if last_ms.is_some_and(|last| now_ms.saturating_sub(last) < EVIDENCE_INTERVAL_MS) {
            return;
        }
        member.pulse.accused_ms = Some(now_ms);
        match self.seal_accusation(context, channel, code, refused) {
            Ok(Some(envelope)) => {
                if let Some(member) = self.members.get_mut(&channel) {
                    member.actual.accusation = Some(envelope.clone());
                }
                self.post(channel, Post::Evidence { envelope });
            }
            Ok(None) => {}
            Err(reject) => self.event(Event::Rejected { channel, reject }),
        }
    }

    fn seal_accusation(
        &self,
        context: &Context<'_>,
        channel: ChannelId,
        code: EvidenceCode,
        refused: &Verified<'_>,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let Some(member) = self.members.get(&channel) else {
            return Ok(None);
        };
        let actual = &member.actual;
        let (Some(head), Some(newest)) = (&actual.head, &actual.newest) else {
            return Ok(None);
        };
        let number = Revision::new(refused.header().epoch, refused.header().seq);
        if code == EvidenceCode::Equivocation && head.revision != number {
            return Ok(None);
        }
        let first = Proof {
            message_id: self.actual_message_id(channel, newest)?,
            envelope: Some(newest),
        };
        let second = (code == EvidenceCode::Equivocation).then(|| Proof {
            message_id: refused.message_id(),
            envelope: Some(refused.as_bytes()),
        });
        let mut evidence = Evidence {
            code,
            table: (code == EvidenceCode::WriterBehind).then(|| actual.state.section_table()),
            proofs: [Some(first), second].into_iter().flatten().collect(),
        };
        evidence.shorten();
        let header = Header {
            kind: MessageKind::Evidence,
            epoch: head.revision.epoch,
            seq: head.revision.seq,
            base: Seq::new(0),
            digest: Some(head.digest),
        };
        self.seal(context, member, header, evidence.encode())
    }

    /// The identity of an envelope of the actual plane that was verified when it came.
    fn actual_message_id(&self, channel: ChannelId, envelope: &[u8]) -> Result<MessageId, Reject> {
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        let enrolled = member.enrolled.as_ref().ok_or(Reject::NotAdmitted)?;
        let binding = Binding::Device {
            channel: &member.channel,
            incarnation: enrolled.incarnation,
        };
        let received = ReceivedEnvelope::parse(envelope)?;
        let expected = Expected {
            role: Role::Device,
            plane: Some(Plane::Actual),
        };
        let identity = received.unverified_message_id(expected, binding);
        identity.ok_or(Reject::SignerRole)
    }
}

/// Tells whether the envelopes, which our key signed, show what the device says.
fn is_proven(code: EvidenceCode, head: &Head, proofs: &[Verified<'_>]) -> bool {
    let is_of_head = |one: &&Verified<'_>| {
        let header = one.header();
        let is_state = matches!(header.kind, MessageKind::Delta | MessageKind::Snapshot);
        is_state && Revision::new(header.epoch, header.seq) == head.revision
    };
    let mut digests = proofs
        .iter()
        .filter(is_of_head)
        .map(|one| one.header().digest);
    match code {
        EvidenceCode::WriterBehind => digests.any(|digest| digest == Some(head.digest)),
        EvidenceCode::Equivocation => {
            let (first, second) = (digests.next(), digests.next());
            second.is_some() && first != second
        }
    }
}
