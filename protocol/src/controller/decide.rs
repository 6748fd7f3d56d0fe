//! Decisions: from the operator's changes to a signed delta.
//!
//! A decision is durable before it is posted. Refuses to reuse a number, to decide for a tenant whose
//! writer another controller is, and to sign what a key of ours may not say.

use super::member::Member;
use super::{Context, Controller, Event, Post, Ticket, records};
use crate::envelope::{Binding, Draft, Header};
use crate::id::{ChannelId, DeviceName, Tenant};
use crate::key::Signer;
use crate::kind::{MessageKind, Role};
use crate::limits::{ENCRYPTED_ROW_BYTES, ENVELOPE_BYTES_MAX, LINEAGE_MAX};
use crate::reject::Reject;
use crate::revision::{Head, Revision, Seq};
use crate::state::{Change, Delta, State};
use alloc::vec::Vec;

/// Bytes around a name in the section table: two heads and a digest.
const ROW_BYTES_MAX: usize = 37;
/// Bytes of the table that leave room for the longest lineage and the header in one envelope.
const TABLE_BYTES_MAX: usize = ENVELOPE_BYTES_MAX - LINEAGE_MAX * 56 - 512;
const _: () = assert!(TABLE_BYTES_MAX == 44_032);

impl Controller {
    /// Takes the operator's changes as one decision.
    pub(super) fn decide(
        &mut self,
        context: &mut Context<'_>,
        ticket: Ticket,
        tenant: &Tenant,
        device: &DeviceName,
        changes: &[Change],
    ) {
        let id = self.channel(tenant, device).id();
        match self.decide_member(context, id, changes) {
            Ok((head, is_change)) => self.event(Event::Decided {
                ticket,
                channel: id,
                revision: head.revision,
                digest: head.digest,
                is_change,
            }),
            Err(reject) => self.refuse(ticket, reject),
        }
    }

    /// Returns the head after the decision, and whether there was anything to decide.
    pub(super) fn decide_member(
        &mut self,
        context: &mut Context<'_>,
        id: ChannelId,
        changes: &[Change],
    ) -> Result<(Head, bool), Reject> {
        let member = self.members.get(&id).ok_or(Reject::NotAdmitted)?;
        self.signer(context, &member.channel.tenant)?;
        let Some((state, delta)) = member.state.change(changes)? else {
            return Ok((member.head, false));
        };
        //= spec/postern.md#revisions
        //# A writer MUST raise seq by exactly one for each decision that changes the state.
        //= spec/postern.md#revisions
        //# A writer MUST NOT sign two different digests for one revision.
        let seq = member.head.revision.seq.next();
        let seq = seq.ok_or(Reject::HeaderNumbers)?;
        check_table(&state)?;
        let Some(member) = self.members.get_mut(&id) else {
            return Err(Reject::NotAdmitted);
        };
        let base = member.head.revision.seq;
        member.head = Head {
            revision: Revision::new(member.head.revision.epoch, seq),
            digest: *state.root(),
            ..member.head
        };
        let before = core::mem::replace(&mut member.state, state);
        let head = member.head;
        //= spec/postern.md#revisions
        //# A writer MUST persist a revision before it sends it.
        let writes = records::decision(member, &before);
        self.persist(writes);
        // What travels may be shorter than what changed: parts of a text instead of all of it.
        self.post_delta(context, id, base, &delta.shortened(&before));
        Ok((head, true))
    }

    fn post_delta(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        base: Seq,
        delta: &Delta,
    ) {
        let Some(member) = self.offered(channel) else {
            return;
        };
        let header = Header {
            kind: MessageKind::Delta,
            epoch: member.head.revision.epoch,
            seq: member.head.revision.seq,
            base,
            digest: Some(member.head.digest),
        };
        let payload = Self::encrypt_payload(member, context.random, &header, delta.encode());
        match self.seal(context, member, header, payload) {
            Ok(Some(envelope)) => self.post(channel, Post::Delta { envelope }),
            Ok(None) => {}
            // A change too large for one envelope travels as a snapshot, whose bodies are fetched in chunks.
            Err(_) => self.post_snapshot(context, channel),
        }
    }

    /// The member, unless it must not be offered anything before an operator has decided.
    pub(super) fn offered(&self, channel: ChannelId) -> Option<&Member> {
        let member = self.members.get(&channel);
        member.filter(|member| !member.is_in_conflict() && !member.pulse.is_withheld)
    }

    /// The writer key of a tenant, only while the newest bundle names it: a fenced controller signs nothing.
    ///
    /// # Errors
    /// `key-unknown`.
    pub(super) fn signer<'k>(
        &self,
        context: &Context<'k>,
        tenant: &Tenant,
    ) -> Result<&'k dyn Signer, Reject> {
        let signer = context.keys.writer(tenant).ok_or(Reject::KeyUnknown)?;
        match self.trust.writer(tenant) {
            //= spec/postern.md#mailboxes
            //# A mailbox MUST accept into a chain only envelopes that it, or the writer that embeds
            //# it, has verified or signed under the current bundle.
            Some((_, key)) if key == signer.public_key() => Ok(signer),
            Some(_) | None => Err(Reject::KeyUnknown),
        }
    }

    /// Seals for an enrolled member; `None` while there is no device.
    pub(super) fn seal(
        &self,
        context: &Context<'_>,
        member: &Member,
        header: Header,
        payload: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let Some(enrolled) = &member.enrolled else {
            return Ok(None);
        };
        let signer = self.signer(context, &member.channel.tenant)?;
        let binding = Binding::Device {
            channel: &member.channel,
            incarnation: enrolled.incarnation,
        };
        let sealed = Draft { header, payload }.seal(Role::Writer, binding, signer)?;
        Ok(Some(sealed.into_bytes()))
    }
}

//= spec/postern.md#digest
//# A writer MUST refuse with `state-oversize` a change after which the section table and the
//# longest lineage fit no envelope.
/// # Errors
/// `state-oversize` for a state whose section table may not fit into a snapshot.
pub(super) fn check_table(state: &State) -> Result<(), Reject> {
    let names = state.section_digests().map(|(name, _)| name.as_str().len());
    let row_bytes = if state.digester().is_keyed() {
        ROW_BYTES_MAX + ENCRYPTED_ROW_BYTES
    } else {
        ROW_BYTES_MAX
    };
    let bytes: usize = names.map(|name_bytes| name_bytes + row_bytes).sum();
    if bytes > TABLE_BYTES_MAX {
        return Err(Reject::StateOversize);
    }
    Ok(())
}
