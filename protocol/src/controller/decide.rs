//! Decisions: from the operator's changes to a signed delta, and epochs to signed snapshots.
//!
//! A decision is durable before it is posted. Refuses to reuse a number.

use super::member::Member;
use super::{Context, Controller, Event, Output, Post, Ticket, records};
use crate::envelope::{Binding, Draft, Header, SealedEnvelope};
use crate::id::{ChannelId, DeviceName, Tenant};
use crate::kind::{MessageKind, Role};
use crate::limits::{ENVELOPE_BYTES_MAX, LINEAGE_MAX};
use crate::message::Snapshot;
use crate::reject::Reject;
use crate::revision::{Epoch, Head, Lineage, Revision, Seq};
use crate::state::{Change, Delta, State};
use alloc::vec::Vec;

/// Bytes around a name in the section table: two heads and a digest.
const ROW_BYTES_MAX: usize = 37;
/// Bytes of the table that leave room for the longest lineage and the header in one envelope.
const TABLE_BYTES_MAX: usize = ENVELOPE_BYTES_MAX - LINEAGE_MAX * 56 - 512;

impl Controller {
    /// Opens an epoch above everything stored and offers every enrolled member a snapshot.
    pub(super) fn start(&mut self, context: &mut Context<'_>) {
        let random = u32::from_be_bytes(crate::context::draw(context.random));
        //= spec/postern.md#epochs
        //# A writer MUST open a new epoch at every start after which it cannot prove that its store
        //# is the newest.
        let Some(epoch) = Epoch::open(self.epoch.max(self.shown), context.now.unix_s, random)
        else {
            unreachable!("readers lift epochs to EPOCH_SHOWN_MAX at most, and a start spends one");
        };
        self.epoch = epoch;
        let mut writes = Vec::from([records::epoch(epoch)]);
        for member in self.members.values_mut() {
            let writer = self.trust.writer(&member.channel.tenant);
            let generation = writer.map_or(member.head.generation, |(generation, _)| generation);
            member.open_epoch(epoch, generation);
            writes.push(records::member(member));
        }
        self.persist(writes);
        let enrolled: Vec<ChannelId> = self
            .members
            .iter()
            .filter(|(_, member)| member.is_enrolled())
            .map(|(id, _)| *id)
            .collect();
        for channel in &enrolled {
            self.admit(*channel);
            //= spec/postern.md#epochs
            //# A writer MUST begin an epoch with a snapshot.
            self.post_snapshot(context, *channel);
            self.post_ack(context, *channel);
        }
        self.event(Event::Started {
            epoch,
            members: enrolled.len(),
        });
    }

    /// Tells the mailbox whom it may serve.
    pub(super) fn admit(&mut self, channel: ChannelId) {
        let Some(member) = self.members.get(&channel) else {
            return;
        };
        if let Some(enrolled) = &member.enrolled {
            self.outputs.push_back(Output::Admit {
                channel: member.channel.clone(),
                incarnation: enrolled.incarnation,
                key: enrolled.key.clone(),
                next: None,
            });
        }
    }

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
        let Some(member) = self.members.get_mut(&id) else {
            return self.refuse(ticket, Reject::NotAdmitted);
        };
        let (state, delta, edits) = match member.state.change(changes) {
            Ok(Some((state, delta))) => {
                let edits = delta.clone().shortened(&member.state);
                (state, delta, edits)
            }
            Ok(None) => {
                let Head {
                    revision, digest, ..
                } = member.head;
                return self.event(Event::Decided {
                    ticket,
                    channel: id,
                    revision,
                    digest,
                    is_change: false,
                });
            }
            Err(reject) => return self.refuse(ticket, reject),
        };
        //= spec/postern.md#revisions
        //# A writer MUST raise seq by exactly one for each decision that changes the state.
        //= spec/postern.md#revisions
        //# A writer MUST NOT sign two different digests for one revision.
        let Some(seq) = member.head.revision.seq.next() else {
            return self.refuse(ticket, Reject::HeaderNumbers);
        };
        if table_bytes(&state) > TABLE_BYTES_MAX {
            return self.refuse(ticket, Reject::StateOversize);
        }
        let base = member.head.revision.seq;
        let revision = Revision::new(member.head.revision.epoch, seq);
        let digest = *state.root();
        member.head = Head {
            revision,
            digest,
            ..member.head
        };
        member.state = state;
        //= spec/postern.md#revisions
        //# A writer MUST persist a revision before it sends it.
        let writes = records::decision(member, &delta);
        self.persist(writes);
        self.post_delta(context, id, base, &edits);
        self.event(Event::Decided {
            ticket,
            channel: id,
            revision,
            digest,
            is_change: true,
        });
    }

    fn post_delta(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        base: Seq,
        delta: &Delta,
    ) {
        let Some(member) = self.members.get(&channel) else {
            return;
        };
        let header = Header {
            kind: MessageKind::Delta,
            epoch: member.head.revision.epoch,
            seq: member.head.revision.seq,
            base,
            digest: Some(member.head.digest),
        };
        match seal(
            context,
            member,
            Draft {
                header,
                payload: delta.encode(),
            },
        ) {
            Ok(Some(sealed)) => {
                let post = Post::Delta {
                    envelope: sealed.into_bytes(),
                };
                self.post(channel, post);
            }
            Ok(None) => {}
            // A change too large for one envelope travels as a snapshot, whose bodies are fetched in chunks.
            Err(_) => self.post_snapshot(context, channel),
        }
    }

    //= spec/postern.md#revisions
    //# A writer MUST NOT change seq for re-signing, re-encoding, resending, another key of the same
    //# generation, or another transport.
    /// Signs the whole state at its present revision; the number does not move.
    pub(super) fn post_snapshot(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        let Some(member) = self.members.get(&channel) else {
            return;
        };
        let Head {
            revision, digest, ..
        } = member.head;
        let Ok(lineage) = Lineage::new(member.lineage.clone(), revision.epoch) else {
            unreachable!(
                "epochs are opened in ascending order and the lineage is pruned to its limit"
            );
        };
        let header = Header {
            kind: MessageKind::Snapshot,
            epoch: revision.epoch,
            seq: revision.seq,
            base: Seq::new(0),
            digest: Some(digest),
        };
        let payload = Snapshot {
            table: member.state.section_table(),
            lineage,
        }
        .encode();
        match seal(context, member, Draft { header, payload }) {
            Ok(Some(sealed)) => {
                let bodies = bodies(&member.state);
                let post = Post::Snapshot {
                    envelope: sealed.into_bytes(),
                    bodies,
                };
                self.post(channel, post);
            }
            Ok(None) => {}
            Err(reject) => self.event(Event::Rejected { channel, reject }),
        }
    }
}

/// Bytes that the section table of a state takes in a snapshot, at most.
fn table_bytes(state: &State) -> usize {
    let names = state.section_digests().map(|(name, _)| name.as_str().len());
    names.map(|name_bytes| name_bytes + ROW_BYTES_MAX).sum()
}

fn bodies(state: &State) -> Vec<(crate::id::Digest, Vec<u8>)> {
    let sections = state.section_digests();
    sections
        .filter_map(|(_, digest)| state.body(digest).map(|body| (*digest, body.to_vec())))
        .collect()
}

/// Seals for an enrolled member; `None` while there is no device or no key to sign with.
pub(super) fn seal(
    context: &Context<'_>,
    member: &Member,
    draft: Draft,
) -> Result<Option<SealedEnvelope>, Reject> {
    let Some(enrolled) = &member.enrolled else {
        return Ok(None);
    };
    let Some(signer) = context.keys.writer(&member.channel.tenant) else {
        return Err(Reject::KeyUnknown);
    };
    let binding = Binding::Device {
        channel: &member.channel,
        incarnation: enrolled.incarnation,
    };
    draft.seal(Role::Writer, binding, signer).map(Some)
}

/// The first head of a member: nothing decided yet, one decision counted for the opening.
pub(super) fn first_head(epoch: Epoch, generation: crate::revision::Generation) -> Head {
    Head {
        generation,
        revision: Revision::new(epoch, Seq::new(1)),
        digest: *State::empty().root(),
    }
}
