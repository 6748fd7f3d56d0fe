//! The actual plane: what the device is, written by its application and by the engine's intents.
//!
//! ```text
//!  write -> next seq, durable -> offered to the controller (offer.rs) -> acknowledged by its heartbeat
//!  start, or a reader that knows more -> further epoch, seq 1, lineage of the epochs before
//! ```
//!
//! One decision per write, numbered and durable before anything is told. Refuses to believe an
//! HTTP status, a receipt or a mailbox: only the controller's signed cursor says that it holds something.

use super::accept::Need;
use super::offer::Offer;
use super::{Context, Device, Event, act, records};
use crate::cbor::Writer;
use crate::encryption::EncryptedBodies;
use crate::id::Digest;
use crate::limits::{
    ENCRYPTED_ROW_BYTES, ENVELOPE_BYTES_MAX, ENVELOPE_OVERHEAD_BYTES_MAX, EPOCH_SHOWN_MAX,
    LINEAGE_BYTES_MAX, LINEAGE_MAX,
};
use crate::record::{Table, Write};
use crate::reject::Reject;
use crate::revision::{Epoch, Generation, Head, Lineage, LineageEntry, Revision, Seq};
use crate::state::{Change, State};
use alloc::vec::Vec;

/// Bytes that the section table of a state may take: a snapshot with the longest lineage still fits.
const TABLE_BYTES_MAX: usize = ENVELOPE_BYTES_MAX - ENVELOPE_OVERHEAD_BYTES_MAX - LINEAGE_BYTES_MAX;
const _: () = assert!(TABLE_BYTES_MAX == 44_446);

/// What the device holds of the plane that it writes.
#[derive(Debug, Default)]
pub(super) struct Actual {
    pub(super) state: State,
    pub(super) head: Option<Head>,
    /// The ends of earlier epochs that the controller may still hold.
    pub(super) lineage: Vec<LineageEntry>,
    /// The newest revision of this epoch that the controller signed to hold, and the state there.
    pub(super) acked: Option<(Revision, State)>,
    /// What was sealed and is not acknowledged.
    pub(super) offer: Option<Offer>,
    /// The state as it travels where keys are held.
    pub(super) bodies: EncryptedBodies,
    /// Whether a snapshot is wanted, and when one may be made again.
    pub(super) snapshot: Need,
    /// True when a cursor covered lineage and nothing was kept since.
    is_covered: bool,
}

impl Actual {
    /// The newest revision that the controller signed to hold, in this process.
    pub(super) fn acknowledged(&self) -> Revision {
        let acked = self.acked.as_ref().map(|(revision, _)| *revision);
        acked.unwrap_or(Revision::NONE)
    }

    /// Forgets the ends of epochs before the one that the controller holds.
    fn cover(&mut self, held: Epoch) {
        let before = self.lineage.len();
        self.lineage.retain(|entry| entry.last.epoch >= held);
        self.is_covered |= self.lineage.len() < before;
    }

    /// Takes the record to be kept with the next commit, if a cursor covered something.
    pub(super) fn take_covered(&mut self) -> Option<(&Head, &[LineageEntry])> {
        let is_covered = core::mem::take(&mut self.is_covered);
        let head = self.head.as_ref().filter(|_| is_covered)?;
        Some((head, &self.lineage))
    }

    /// Names the end of an epoch; the controller's word about it replaces ours.
    fn name(&mut self, last: Revision, digest: Digest) {
        self.lineage.retain(|entry| entry.last.epoch != last.epoch);
        self.lineage.push(LineageEntry { last, digest });
        self.lineage.sort_by_key(|entry| entry.last.epoch);
        let excess = self.lineage.len().saturating_sub(LINEAGE_MAX);
        self.lineage.drain(..excess);
    }

    /// The lineage that a snapshot of the present epoch carries.
    pub(super) fn lineage_below(&self, epoch: Epoch) -> Lineage {
        let below = self.lineage.iter().filter(|entry| entry.last.epoch < epoch);
        Lineage::new(below.copied().collect(), epoch).unwrap_or_default()
    }
}

impl Device {
    /// Takes a write of the application: all of it or nothing.
    pub(super) fn write_actual(
        &mut self,
        context: &mut Context<'_>,
        ticket: u64,
        changes: &[Change],
    ) {
        let is_reserved = |change: &Change| match change {
            Change::Set(path, _) | Change::Remove(path) => act::is_reserved(path),
        };
        let changed = if changes.iter().any(is_reserved) {
            Err(Reject::PathInvalid)
        } else {
            self.change_actual(context, changes)
        };
        match changed {
            Ok(writes) => {
                let is_change = !writes.is_empty();
                if is_change {
                    self.persist(writes);
                }
                let head = self.actual.head.map(|head| head.revision);
                self.event(Event::ActualWritten {
                    ticket,
                    revision: head.unwrap_or(Revision::NONE),
                    is_change,
                });
            }
            Err(reject) => self.event(Event::ActualRefused { ticket, reject }),
        }
    }

    /// Decides the next revision of the plane. Returns what must be made durable; nothing when
    /// nothing differs in the end. # Errors: those of [`State::change`], `state-oversize`, `header-numbers`.
    pub(super) fn change_actual(
        &mut self,
        context: &mut Context<'_>,
        changes: &[Change],
    ) -> Result<Vec<Write>, Reject> {
        let Some((state, _)) = self.actual.state.change(changes)? else {
            return Ok(Vec::new());
        };
        check_table(&state)?;
        let revision = match self.actual.head {
            Some(head) => {
                let seq = head.revision.seq.next().ok_or(Reject::HeaderNumbers)?;
                Revision::new(head.revision.epoch, seq)
            }
            None => {
                let epoch = draw_epoch(context, Epoch::new(0)).ok_or(Reject::HeaderNumbers)?;
                Revision::new(epoch, Seq::new(1))
            }
        };
        let mut writes = records::changes(Table::Actual, &self.actual.state, &state);
        let head = own_head(revision, *state.root());
        self.actual.state = state;
        self.actual.head = Some(head);
        writes.push(records::actual_head((&head, &self.actual.lineage)));
        Ok(writes)
    }

    /// Begins a further epoch with the state that is held, above the own epoch and one that a
    /// reader showed. Returns what must be made durable: nothing when nothing was ever written.
    pub(super) fn open_actual_epoch(
        &mut self,
        context: &mut Context<'_>,
        shown: Epoch,
    ) -> Vec<Write> {
        let Some(head) = self.actual.head else {
            return Vec::new();
        };
        let shown = Epoch::new(shown.number().min(EPOCH_SHOWN_MAX));
        let Some(epoch) = draw_epoch(context, head.revision.epoch.max(shown)) else {
            return Vec::new();
        };
        //= spec/planes.md#actual
        //# A device MUST open a new epoch of `actual` at every start at which something is stored
        //# there.
        self.actual.name(head.revision, head.digest);
        let head = own_head(Revision::new(epoch, Seq::new(1)), *self.actual.state.root());
        self.actual.head = Some(head);
        self.actual.acked = None;
        self.actual.offer = None;
        self.actual.snapshot = Need::default();
        Vec::from([records::actual_head((&head, &self.actual.lineage))])
    }

    /// Follows what the controller signed to hold of another life of this store: its head joins the
    /// lineage and a further epoch begins. Returns false when the lineage covers it already.
    pub(super) fn continue_from(&mut self, context: &mut Context<'_>, held: &Head) -> bool {
        let Some(own) = self.actual.head else {
            return false;
        };
        let lineage = self.actual.lineage_below(own.revision.epoch);
        if held.revision.epoch < own.revision.epoch && lineage.covers(held) {
            return false;
        }
        let is_own = held.revision.epoch == own.revision.epoch
            && (held.revision.seq < own.revision.seq
                || (held.revision.seq == own.revision.seq && held.digest == own.digest));
        if is_own {
            return false;
        }
        self.open_actual_epoch(context, held.revision.epoch);
        self.actual.name(held.revision, held.digest);
        if let Some(head) = self.actual.head {
            self.persist(Vec::from([records::actual_head((
                &head,
                &self.actual.lineage,
            ))]));
        }
        true
    }

    /// Takes the head of the actual plane that a heartbeat says the controller holds. `is_proven`
    /// tells that the heartbeat is newer than all before: only then may it take something back.
    /// Returns true when it brought the plane forward.
    pub(super) fn take_actual_cursor(
        &mut self,
        context: &mut Context<'_>,
        held: Revision,
        is_proven: bool,
    ) -> bool {
        let Some(own) = self.actual.head.map(|head| head.revision) else {
            return false;
        };
        //= spec/planes.md#actual
        //# A device MUST take a change of `actual` as acknowledged only by a heartbeat of the
        //# controller that names its revision or a later one.
        let offered = self.actual.offer.take_if(|offer| offer.revision == held);
        if let Some(offer) = offered {
            self.actual.acked = Some((held, offer.state));
            self.actual.snapshot.is_wanted = false;
            self.actual.cover(held.epoch);
            self.event(Event::ActualAcknowledged { revision: held });
            return true;
        }
        if !is_proven || held == self.actual.acknowledged() {
            return false;
        }
        if held.epoch > own.epoch || (held.epoch == own.epoch && held.seq > own.seq) {
            // This store is not the newest. The controller will say what it holds, as evidence.
            let writes = self.open_actual_epoch(context, held.epoch);
            self.persist(writes);
            return true;
        }
        if held != Revision::NONE {
            self.actual.cover(held.epoch);
        }
        let is_beyond = |offer: &mut Offer| held > offer.revision;
        if held.epoch == own.epoch && self.actual.offer.take_if(is_beyond).is_some() {
            // A later change than the one that waits was taken: only a snapshot can follow it.
            self.want_actual_snapshot();
        }
        if self.actual.acked.take().is_some() {
            // The controller went back behind what it signed: only a snapshot can follow.
            self.want_actual_snapshot();
        }
        false
    }

    /// A delta from here would not be understood.
    pub(super) fn want_actual_snapshot(&mut self) {
        self.actual.snapshot.is_wanted = self.actual.head.is_some();
    }
}

/// A head of the plane that the device writes: its keys have no generation.
fn own_head(revision: Revision, digest: Digest) -> Head {
    Head {
        generation: Generation::new(0),
        revision,
        digest,
    }
}

fn draw_epoch(context: &mut Context<'_>, highest: Epoch) -> Option<Epoch> {
    let random = u32::from_be_bytes(crate::context::draw(context.random));
    Epoch::open(highest, context.now.unix_s, random)
}

//= spec/postern.md#digest
//# A writer MUST refuse with `state-oversize` a change after which the section table and the
//# longest lineage fit no envelope.
/// # Errors
/// `state-oversize` for a state whose table leaves no room for the longest lineage.
pub(super) fn check_table(state: &State) -> Result<(), Reject> {
    let mut writer = Writer::new();
    let table = state.section_table();
    table.encode(&mut writer);
    let mut bytes = writer.into_bytes().len();
    if state.digester().is_keyed() {
        bytes += table.sections_count() * ENCRYPTED_ROW_BYTES;
    }
    if bytes > TABLE_BYTES_MAX {
        return Err(Reject::StateOversize);
    }
    Ok(())
}
