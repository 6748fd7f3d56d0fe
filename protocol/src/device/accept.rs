//! The desired plane: every envelope of it passes the acceptance table here, once.
//!
//! Refuses to apply: what is accepted is made durable first and handed to the application by the engine.

use super::fetch::Pending;
use super::{Context, Device, Event, records};
use crate::envelope::Verified;
use crate::id::Plane;
use crate::kind::MessageKind;
use crate::message::{Opened, PlaneMessage, Reading, RejectNote, Snapshot, SupersededNote};
use crate::record::{Table, Write};
use crate::reject::Reject;
use crate::revision::{
    Arrival, Epoch, Generation, Head, KeyGeneration, Outcome, Revision, Seq, accept,
};
use crate::state::{DeltaView, SnapshotAssembly, State};
use alloc::vec::Vec;
use core::cmp::Ordering;

/// What the device holds of the desired plane.
#[derive(Debug, Default)]
pub(super) struct Desired {
    pub(super) state: State,
    pub(super) head: Option<Head>,
    /// The newest accepted envelope, as it was signed.
    pub(super) envelope: Option<Vec<u8>>,
    pub(super) frozen: Option<Epoch>,
    pub(super) pending: Option<Pending>,
    pub(super) need: Need,
}

/// Whether a snapshot must be asked for, and when that is allowed again.
#[derive(Debug, Default)]
pub(super) struct Need {
    pub(super) is_wanted: bool,
    pub(super) allowed_ms: u64,
}

/// How an accepted revision came.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) kind: MessageKind,
    /// Bytes that it cost on the way.
    pub(super) bytes: usize,
    /// The signed delta or snapshot.
    pub(super) envelope: Vec<u8>,
    /// The key generation of an encrypted snapshot.
    pub(super) generation: Option<KeyGeneration>,
}

impl Desired {
    pub(super) fn wake_ms(&self) -> Option<u64> {
        let need = self.need.is_wanted.then_some(self.need.allowed_ms);
        let fetch = self.pending.as_ref().map(|pending| pending.retry_ms);
        [need, fetch].into_iter().flatten().min()
    }

    /// Tells whether bodies are being fetched: nothing newer could be used, its base is not here yet. Once they could
    /// not be had, a newer snapshot may have taken the place of theirs, and polls go on.
    pub(super) fn is_fetching(&self) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| pending.failures == 0)
    }

    /// Tells whether a delta continues the snapshot that is being fetched: it will come again.
    fn is_on_pending(&self, incoming: &Head, base: Seq) -> bool {
        self.pending.as_ref().is_some_and(|pending| {
            pending.head.generation == incoming.generation
                && pending.head.revision.epoch == incoming.revision.epoch
                && pending.head.revision.seq <= base
        })
    }

    /// Refuses what the acceptance table refuses whatever it holds: old keys may be forgotten.
    /// # Errors: `generation-stale`, `epoch-stale`.
    fn check_stale(&self, incoming: &Head) -> Result<(), Reject> {
        let Some(head) = &self.head else {
            return Ok(());
        };
        match incoming.generation.cmp(&head.generation) {
            Ordering::Less => Err(Reject::GenerationStale),
            Ordering::Equal if incoming.revision.epoch < head.revision.epoch => {
                Err(Reject::EpochStale)
            }
            Ordering::Equal | Ordering::Greater => Ok(()),
        }
    }

    /// What polls say is held: a snapshot whose bodies are on their way counts as seen.
    pub(super) fn seen(&self) -> Revision {
        let pending = self.pending.as_ref().map(|pending| pending.head.revision);
        pending
            .or(self.head.map(|head| head.revision))
            .unwrap_or(Revision::NONE)
    }
}

impl Device {
    /// Takes a verified delta or snapshot. Returns true when it brought the device forward.
    pub(super) fn handle_desired(
        &mut self,
        context: &mut Context<'_>,
        verified: &Verified<'_>,
        generation: Generation,
    ) -> bool {
        let header = *verified.header();
        let Some(digest) = header.digest else {
            return false;
        };
        let revision = Revision::new(header.epoch, header.seq);
        let incoming = Head {
            generation,
            revision,
            digest,
        };
        match self.open_desired(context, verified, &incoming) {
            Ok(is_progress) => is_progress,
            Err(reject) => {
                self.refuse_desired(context, verified, reject);
                false
            }
        }
    }

    fn open_desired(
        &mut self,
        context: &mut Context<'_>,
        verified: &Verified<'_>,
        incoming: &Head,
    ) -> Result<bool, Reject> {
        let vault = self.encryption.vault();
        if vault.is_some() {
            self.desired.check_stale(incoming)?;
        }
        let opened = Opened::of(verified, Plane::Desired, vault, Reading::Refused)?;
        match opened.message()? {
            PlaneMessage::Delta(delta) => self.handle_delta(verified, incoming, &delta),
            PlaneMessage::Snapshot(snapshot) => {
                self.handle_snapshot(context, verified, incoming, &snapshot)
            }
            PlaneMessage::Report(_)
            | PlaneMessage::ReportAck
            | PlaneMessage::Heartbeat(_)
            | PlaneMessage::Evidence(_) => Err(Reject::SignerRole),
        }
    }

    fn handle_delta(
        &mut self,
        verified: &Verified<'_>,
        incoming: &Head,
        delta: &DeltaView<'_>,
    ) -> Result<bool, Reject> {
        let arrival = Arrival::Delta {
            base: verified.header().base,
        };
        if self.desired.is_on_pending(incoming, verified.header().base) {
            return Ok(false);
        }
        match self.decide(incoming, arrival) {
            Outcome::Apply | Outcome::Accept => {
                //= spec/postern.md#state
                //# A reader MUST apply an envelope to a copy, compare the digest, persist the
                //# result, and only then act on it or acknowledge it.
                let state = self.desired.state.apply_view(delta, &incoming.digest)?;
                let arrived = Arrived {
                    kind: MessageKind::Delta,
                    bytes: verified.as_bytes().len(),
                    envelope: verified.as_bytes().to_vec(),
                    generation: None,
                };
                self.adopt(incoming, state, arrived);
                Ok(true)
            }
            Outcome::Duplicate | Outcome::Older => Ok(false),
            Outcome::Need(reject) | Outcome::Refuse(reject) => Err(reject),
        }
    }

    fn handle_snapshot(
        &mut self,
        context: &mut Context<'_>,
        verified: &Verified<'_>,
        incoming: &Head,
        snapshot: &Snapshot,
    ) -> Result<bool, Reject> {
        let arrival = Arrival::Snapshot {
            lineage: &snapshot.lineage,
        };
        match self.decide(incoming, arrival) {
            Outcome::Accept | Outcome::Apply => {
                self.begin_snapshot(context, verified, incoming, snapshot);
                Ok(true)
            }
            Outcome::Duplicate | Outcome::Older => Ok(false),
            Outcome::Need(reject) | Outcome::Refuse(reject) => Err(reject),
        }
    }

    fn begin_snapshot(
        &mut self,
        context: &mut Context<'_>,
        verified: &Verified<'_>,
        incoming: &Head,
        snapshot: &Snapshot,
    ) {
        self.reporter.received = self.reporter.received.max(incoming.revision);
        let (table, held) = (&snapshot.table, &self.desired.state);
        let assembly = match self.encryption.vault() {
            Some(vault) if table.is_encrypted() => {
                SnapshotAssembly::encrypted(table, held, vault, Plane::Desired)
            }
            Some(_) | None => SnapshotAssembly::new(table, held),
        };
        self.desired.pending = Some(Pending {
            head: *incoming,
            assembly,
            envelope: verified.as_bytes().to_vec(),
            bytes: verified.as_bytes().len(),
            generation: table.generation(),
            retry_ms: 0,
            failures: 0,
        });
        self.finish_snapshot_if_whole(context);
    }

    /// Asks the acceptance table, in which a snapshot that is being fetched counts like a stored one
    /// for whatever is not above it.
    fn decide(&self, incoming: &Head, arrival: Arrival<'_>) -> Outcome {
        let desired = &self.desired;
        let outcome = accept(desired.head.as_ref(), desired.frozen, incoming, arrival);
        if outcome != Outcome::Accept {
            return outcome;
        }
        if desired.frozen == Some(incoming.revision.epoch)
            && desired
                .head
                .is_none_or(|head| head.generation == incoming.generation)
        {
            return Outcome::Refuse(Reject::EpochFrozen);
        }
        let Some(Pending { head, .. }) = &desired.pending else {
            return outcome;
        };
        let place = (incoming.generation, incoming.revision);
        match place.cmp(&(head.generation, head.revision)) {
            Ordering::Greater => outcome,
            Ordering::Less => Outcome::Older,
            Ordering::Equal if incoming.digest == head.digest => Outcome::Duplicate,
            Ordering::Equal => Outcome::Refuse(Reject::Equivocation),
        }
    }

    /// Moves to an accepted revision: state, head, envelope, cursors and marks in one commit.
    pub(super) fn adopt(&mut self, head: &Head, state: State, arrived: Arrived) {
        if let Some(open) = self.link.open_mut() {
            open.paced_until_ms = 0;
        }
        if arrived.kind == MessageKind::Snapshot {
            self.note_skipped(head.revision);
        }
        let mut writes = records::changes(Table::Values, &self.desired.state, &state);
        writes.push(records::envelope(&arrived.envelope));
        writes.extend(self.forget_old_keys(arrived.generation));
        let is_first = self.desired.head.is_none();
        if is_first && self.desired.frozen.is_some() {
            writes.push(records::frozen(None));
        }
        if self.disputes.resolve() {
            writes.push(records::dispute(None));
        }
        self.desired.state = state;
        self.desired.envelope = Some(arrived.envelope);
        // Nothing of a frozen epoch gets here: this is a higher epoch or generation.
        self.desired.frozen = None;
        self.desired.head = Some(*head);
        self.desired.need.is_wanted = false;
        if is_first {
            writes.extend(self.record_intents());
        }
        self.move_cursors(head.revision);
        writes.push(records::head(head, None));
        writes.push(records::reporter(&self.reporter));
        //= spec/postern.md#acceptance
        //# A reader MUST persist the accepted head together with the state, before it acknowledges.
        self.persist(writes);
        self.event(Event::Accepted {
            revision: head.revision,
            kind: arrived.kind,
            bytes: arrived.bytes,
        });
        self.apply_next();
    }

    /// A writer of a higher generation may open a lower epoch, or the same one again: the cursors follow it down, and
    /// what was applied under this very number was something else.
    fn move_cursors(&mut self, to: Revision) {
        self.reporter.received = to;
        self.reporter.accepted = to;
        if self.reporter.applied >= to {
            self.reporter.applied = Revision::NONE;
            self.reporter.applied_digest = None;
        }
    }

    fn note_skipped(&mut self, to: Revision) {
        let Some(from) = self.desired.head.map(|head| head.revision) else {
            return;
        };
        // The last sequence has none after it: nothing of its epoch was skipped.
        let Some(first) = from.seq.next() else {
            return;
        };
        let last = Seq::new(to.seq.number().saturating_sub(1));
        //= spec/postern.md#acceptance
        //# A reader MUST report the range from stored seq + 1 to seq - 1 as superseded when it
        //# accepts by row 17 and the range is not empty.
        if from.epoch == to.epoch && first <= last {
            self.note_superseded(SupersededNote {
                epoch: to.epoch,
                first,
                last,
            });
        }
    }

    /// Counts a refusal, asks for what is missing, and reports what contradicts.
    fn refuse_desired(
        &mut self,
        context: &mut Context<'_>,
        verified: &Verified<'_>,
        reject: Reject,
    ) {
        let header = verified.header();
        self.event(Event::Rejected { reject });
        //= spec/postern.md#acceptance
        //# For the outcome *need* a reader MUST count the reject and ask for a snapshot (#need),
        //# and not list the reject in its report.
        if is_need(reject) {
            return self.want_snapshot();
        }
        let note = RejectNote::new(header.kind, Revision::new(header.epoch, header.seq), reject);
        //= spec/postern.md#acceptance
        //# For the outcome *refuse* a reader MUST count the reject and list it in its report.
        self.note_reject(note);
        if reject == Reject::Equivocation {
            let evidence = self.dispute_equivocation(verified);
            self.freeze(context, header.epoch, evidence);
        } else if reject == Reject::WriterBehind {
            self.dispute_behind(verified);
        } else if header.kind == MessageKind::Delta && !is_contradiction(reject) {
            self.want_snapshot();
        }
    }

    /// Believes nothing more of an epoch whose writer contradicted itself.
    fn freeze(&mut self, context: &mut Context<'_>, epoch: Epoch, mut writes: Vec<Write>) {
        let desired = &mut self.desired;
        //= spec/postern.md#acceptance
        //# A reader MUST keep its state and apply nothing more of a frozen epoch.
        desired.frozen = Some(epoch);
        desired.need.is_wanted = false;
        desired
            .pending
            .take_if(|pending| pending.head.revision.epoch == epoch);
        //= spec/postern.md#acceptance
        //# A frozen epoch MUST stay frozen across restarts of the reader.
        writes.push(match &desired.head {
            Some(head) => records::head(head, Some(epoch)),
            None => records::frozen(Some(epoch)),
        });
        self.send_report(context, writes);
    }

    pub(super) fn want_snapshot(&mut self) {
        self.desired.need.is_wanted = true;
    }
}

/// Tells whether the revision itself was refused: no other envelope of it could help.
fn is_contradiction(reject: Reject) -> bool {
    let refusals = [
        Reject::GenerationStale,
        Reject::EpochStale,
        Reject::WriterBehind,
        Reject::EpochFrozen,
        Reject::Equivocation,
    ];
    refusals.contains(&reject)
}

/// Tells whether the table answers with a question instead of a refusal.
pub(super) fn is_need(reject: Reject) -> bool {
    let needs = [
        Reject::NothingStored,
        Reject::EpochNeedsSnapshot,
        Reject::BaseOlder,
        Reject::BaseNewer,
        Reject::PlaneKeyMissing,
    ];
    needs.contains(&reject)
}
