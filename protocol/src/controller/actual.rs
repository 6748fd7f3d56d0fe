//! The actual plane: every envelope of it passes the acceptance table here, once.
//!
//! ```text
//!  delta ------------------------------------> applied, durable, acknowledged by a heartbeat
//!  snapshot --bodies wanted--> pending --puts--^
//! ```
//!
//! The table is the one that devices use, with the roles swapped; a device key has generation 0.
//! Refuses to believe a body that nobody signed before its digest is the one in the signed table.

use super::{Context, Controller, Event, Output, records};
use crate::envelope::Verified;
use crate::frame::{BodyChunk, Wanted};
use crate::id::{ChannelId, Plane};
use crate::limits::FETCH_DIGESTS_MAX;
use crate::message::{EvidenceCode, Opened, PlaneMessage, Snapshot};
use crate::reject::Reject;
use crate::revision::{Arrival, Epoch, Generation, Head, Lineage, Outcome, Revision, accept};
use crate::state::{DeltaView, SnapshotAssembly, State};
use alloc::vec::Vec;
use core::cmp::Ordering;

/// What the controller holds of a device's actual plane.
#[derive(Debug, Default)]
pub(super) struct Actual {
    pub(super) state: State,
    pub(super) head: Option<Head>,
    /// The epoch in which the device contradicted itself.
    pub(super) frozen: Option<Epoch>,
    /// The newest envelope that was accepted.
    pub(super) newest: Option<Vec<u8>>,
    pub(super) pending: Option<Pending>,
    /// The newest evidence of ours against the device since the last revision that was held, for files.
    pub(super) accusation: Option<Vec<u8>>,
}

/// A snapshot whose bodies are on their way.
#[derive(Debug)]
pub(super) struct Pending {
    head: Head,
    lineage: Lineage,
    assembly: SnapshotAssembly,
    envelope: Vec<u8>,
}

impl Actual {
    /// Asks the acceptance table, in which a pending snapshot counts like a stored one for its own number.
    fn decide(&self, incoming: &Head, arrival: Arrival<'_>) -> Outcome {
        let outcome = accept(self.head.as_ref(), self.frozen, incoming, arrival);
        let Some(pending) = self.pending.as_ref().filter(|_| outcome == Outcome::Accept) else {
            return outcome;
        };
        match incoming.revision.cmp(&pending.head.revision) {
            Ordering::Greater => Outcome::Accept,
            Ordering::Equal if incoming.digest == pending.head.digest => Outcome::Duplicate,
            Ordering::Equal => Outcome::Refuse(Reject::Equivocation),
            Ordering::Less => Outcome::Older,
        }
    }

    fn may_finish(&self, pending: &Pending) -> bool {
        let arrival = Arrival::Snapshot {
            lineage: &pending.lineage,
        };
        accept(self.head.as_ref(), self.frozen, &pending.head, arrival) == Outcome::Accept
    }
}

impl Controller {
    /// Takes a verified delta or snapshot of a device's actual plane.
    pub(super) fn receive_actual(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        verified: &Verified<'_>,
    ) -> Result<(), Reject> {
        let header = verified.header();
        let incoming = Head {
            generation: Generation::new(0),
            revision: Revision::new(header.epoch, header.seq),
            digest: header.digest.ok_or(Reject::DigestLength)?,
        };
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        let (vault, reading) = (member.encryption.vault(), member.reading());
        let opened = Opened::of(verified, Plane::Actual, vault, reading)?;
        let taken = match opened.message()? {
            PlaneMessage::Delta(delta) => self.take_delta(channel, verified, &incoming, &delta),
            PlaneMessage::Snapshot(snapshot) => {
                self.take_snapshot(channel, verified, &incoming, snapshot)
            }
            PlaneMessage::Report(_)
            | PlaneMessage::ReportAck
            | PlaneMessage::Heartbeat(_)
            | PlaneMessage::Evidence(_) => Err(Reject::SignerRole),
        };
        //= spec/planes.md#actual
        //# A controller that refuses `actual` with `writer-behind` or `equivocation`
        //# MUST post evidence (#evidence).
        match taken {
            Err(Reject::WriterBehind) => {
                self.accuse(context, channel, EvidenceCode::WriterBehind, verified);
            }
            Err(Reject::Equivocation) => {
                self.freeze_actual(channel, incoming.revision.epoch);
                self.accuse(context, channel, EvidenceCode::Equivocation, verified);
            }
            Ok(()) | Err(_) => {}
        }
        taken
    }

    fn take_delta(
        &mut self,
        channel: ChannelId,
        verified: &Verified<'_>,
        incoming: &Head,
        delta: &DeltaView<'_>,
    ) -> Result<(), Reject> {
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        let arrival = Arrival::Delta {
            base: verified.header().base,
        };
        //= spec/planes.md#actual
        //# A reader MUST answer a posted change that needs a snapshot with its reject
        //# in hint 4.
        match member.actual.decide(incoming, arrival) {
            Outcome::Apply | Outcome::Accept => {
                let state = member.actual.state.apply_view(delta, &incoming.digest)?;
                self.hold_actual(channel, incoming, state, verified.as_bytes());
                Ok(())
            }
            Outcome::Duplicate | Outcome::Older => {
                self.want_heartbeat(channel);
                Ok(())
            }
            Outcome::Need(reject) | Outcome::Refuse(reject) => Err(reject),
        }
    }

    fn take_snapshot(
        &mut self,
        channel: ChannelId,
        verified: &Verified<'_>,
        incoming: &Head,
        snapshot: Snapshot,
    ) -> Result<(), Reject> {
        let Some(member) = self.members.get_mut(&channel) else {
            return Err(Reject::NotAdmitted);
        };
        let arrival = Arrival::Snapshot {
            lineage: &snapshot.lineage,
        };
        match member.actual.decide(incoming, arrival) {
            Outcome::Accept | Outcome::Apply => {
                let (table, held) = (&snapshot.table, &member.actual.state);
                let assembly = member.assemble(Plane::Actual, table, held)?;
                member.actual.pending = Some(Pending {
                    head: *incoming,
                    assembly,
                    lineage: snapshot.lineage,
                    envelope: verified.as_bytes().to_vec(),
                });
                self.advance_actual(channel)
            }
            Outcome::Duplicate | Outcome::Older => {
                self.want_heartbeat(channel);
                self.advance_actual(channel)
            }
            Outcome::Need(reject) | Outcome::Refuse(reject) => Err(reject),
        }
    }

    /// Makes the pending snapshot count once every body is here, else asks for what is missing.
    fn advance_actual(&mut self, channel: ChannelId) -> Result<(), Reject> {
        let Some(member) = self.members.get_mut(&channel) else {
            return Ok(());
        };
        let Some(pending) = &member.actual.pending else {
            return Ok(());
        };
        if !pending.assembly.is_complete() {
            //= spec/planes.md#actual
            //# A reader MUST answer a posted snapshot whose bodies are missing with
            //# hint 5 and accept it when they are complete.
            let wanted = wanted(&pending.assembly);
            self.outputs.push_back(Output::Wanted { channel, wanted });
            return Ok(());
        }
        let Some(pending) = member.actual.pending.take() else {
            return Ok(());
        };
        if !member.actual.may_finish(&pending) {
            // Deltas overtook the snapshot while its bodies were on their way.
            return Ok(());
        }
        let state = pending.assembly.finish()?;
        self.hold_actual(channel, &pending.head, state, &pending.envelope);
        Ok(())
    }

    /// Makes a revision durable and known; the heartbeat that follows acknowledges it.
    fn hold_actual(&mut self, channel: ChannelId, head: &Head, state: State, envelope: &[u8]) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let actual = &mut member.actual;
        let before = core::mem::replace(&mut actual.state, state);
        (actual.head, actual.frozen, actual.accusation) = (Some(*head), None, None);
        actual.newest = Some(envelope.to_vec());
        let mut writes = records::actual(member, &before);
        writes.extend(self.note_actual_intents(channel));
        self.persist(writes);
        self.show_actual_held(channel);
        self.event(Event::ActualAccepted {
            channel,
            revision: head.revision,
        });
        //= spec/planes.md#actual
        //# A controller MUST post a heartbeat when a revision of `actual` became
        //# durable, at most one in 5 s for each device.
        self.want_heartbeat(channel);
    }

    /// Believes nothing more of an epoch whose writer contradicted itself.
    fn freeze_actual(&mut self, channel: ChannelId, epoch: Epoch) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let is_held = |head: &Head| head.revision.epoch == epoch;
        if !member.actual.head.as_ref().is_some_and(is_held) {
            // Only a pending snapshot was contradicted: nothing of that epoch counts yet.
            return;
        }
        //= spec/lives.md#recovery
        //# A reader that refuses with `equivocation` MUST keep its state, freeze the
        //# epoch, and post evidence with both envelopes.
        member.actual.frozen = Some(epoch);
        let writes = Vec::from([records::actual_head(member)]);
        self.persist(writes);
    }

    /// Takes section bodies that were asked for.
    pub(super) fn put(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        plane: Plane,
        chunks: &[BodyChunk<'_>],
    ) {
        for chunk in chunks {
            let Some(member) = self.members.get_mut(&channel) else {
                return;
            };
            let assembly = match plane {
                Plane::Actual => member.actual.pending.as_mut().map(|one| &mut one.assembly),
                Plane::Desired => member.behind.as_mut().and_then(|one| one.assembly_mut()),
            };
            let Some(assembly) = assembly else { break };
            let put = assembly.put(&chunk.digest, chunk.size, chunk.offset, chunk.bytes);
            if let Err(reject) = put {
                self.event(Event::Rejected { channel, reject });
            }
        }
        let advanced = match plane {
            Plane::Actual => self.advance_actual(channel),
            Plane::Desired => self.advance_behind(context, channel),
        };
        if let Err(reject) = advanced {
            self.event(Event::Rejected { channel, reject });
        }
        self.settle(context, channel);
    }
}

/// The bodies to ask for next.
pub(super) fn wanted(assembly: &SnapshotAssembly) -> Vec<Wanted> {
    let missing = assembly.missing().take(FETCH_DIGESTS_MAX);
    missing
        .map(|(digest, offset)| Wanted { digest, offset })
        .collect()
}
