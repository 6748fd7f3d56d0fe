//! What a writer's store knows of the epochs of one plane, and how a head that its reader shows stands to it.
//!
//! ```text
//!  lineage: ended epochs, ascending -- head: the present one
//!                    '---- a shown head: known | passed | news ----> the controller decides what follows
//! ```
//!
//! Refuses to adopt, to ask an operator and to open epochs: those are decisions of the controller.

use super::{Epoch, Head, LineageEntry, Revision, Seq};
use crate::limits::{EPOCH_SHOWN_MAX, LINEAGE_MAX};
use alloc::vec::Vec;

/// One writer's knowledge of one plane of one reader, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// The newest decision.
    pub head: Head,
    /// The ends of earlier epochs, ascending, the present one left out.
    pub lineage: &'a [LineageEntry],
    /// The first epoch of this writer of which the reader may know nothing, because somebody else's decisions
    /// showed up.
    pub contested: Option<Epoch>,
    /// The head that the reader signed last as accepted, in a report.
    pub reported: Option<Revision>,
}

/// How a head that a reader shows stands to what the writer's store knows (spec: #recovery).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The lineage covers it: the reader only has to follow.
    Known,
    /// The reader signed a higher one before: it gains nothing by showing an old one.
    Passed,
    /// The store does not know it.
    News,
}

impl History<'_> {
    /// Returns what is known of the epoch of `revision`.
    #[must_use]
    pub fn known(&self, revision: Revision) -> Option<LineageEntry> {
        let present = core::iter::once(ended(&self.head));
        let mut all = self.lineage.iter().copied().chain(present);
        all.find(|entry| entry.last.epoch == revision.epoch)
    }

    /// Tells whether a head is above all that is known of its epoch.
    #[must_use]
    pub fn is_unknown(&self, revision: Revision) -> bool {
        if revision == Revision::NONE {
            return false;
        }
        let oldest = self.lineage.first().map(|entry| entry.last.epoch);
        match self.known(revision) {
            Some(known) => revision.seq > known.last.seq,
            None => oldest.is_some_and(|oldest| revision.epoch > oldest),
        }
    }

    /// Tells how a head that the reader shows in evidence stands to what is known.
    #[must_use]
    pub fn standing(&self, head: &Head) -> Standing {
        let is_below_report = self
            .reported
            .is_some_and(|reported| head.revision < reported);
        // Older epochs were forgotten because the reader itself had left them.
        let oldest = self.lineage.first().copied().unwrap_or(ended(&self.head));
        if is_below_report || head.revision.epoch < oldest.last.epoch {
            return Standing::Passed;
        }
        match self.known(head.revision) {
            Some(known) if head.revision.seq < known.last.seq => Standing::Known,
            Some(known) if head.revision == known.last && head.digest == known.digest => {
                Standing::Known
            }
            Some(_) | None => Standing::News,
        }
    }

    /// Tells whether taking the history behind `head` would drop a decision of this writer, or might.
    #[must_use]
    pub fn has_own_decisions(&self, head: &Head) -> bool {
        let known = self.known(head.revision);
        let is_fork = known.is_some_and(|known| known.last.seq == head.revision.seq);
        // The epoch may be one of those that the limit made us forget.
        let is_gap = known.is_none()
            && self.lineage.len() >= LINEAGE_MAX
            && head.revision.epoch < self.head.revision.epoch;
        let decided = self.lineage.iter().map(|entry| entry.last);
        let is_contested = |epoch| self.contested.is_some_and(|first| epoch >= first);
        let is_own = |last: &Revision| last.epoch > head.revision.epoch || is_contested(last.epoch);
        let mut since = decided.filter(is_own).chain([self.head.revision]);
        is_fork || is_gap || since.any(|last| last.seq > Seq::new(1))
    }

    /// Returns the first epoch of this writer of which a reader at `shown` may know nothing; `None` where the
    /// reader is not ahead of what is offered.
    #[must_use]
    pub fn passed_by(&self, shown: Revision) -> Option<Epoch> {
        let own = self.head.revision;
        let epoch = shown.epoch.min(Epoch::new(EPOCH_SHOWN_MAX));
        if epoch > own.epoch {
            // The first entry is where the reader was seen last.
            let unseen = self.lineage.get(1).map(|entry| entry.last.epoch);
            Some(unseen.unwrap_or(own.epoch))
        } else if shown.epoch == own.epoch && shown.seq > own.seq {
            Some(own.epoch)
        } else {
            None
        }
    }

    /// Returns what is contested once the reader signed that it accepted a head: nothing where that is a later
    /// one that the store knows.
    #[must_use]
    pub fn contested_after(&self, accepted: Revision) -> Option<Epoch> {
        let is_ours = self.known(accepted).is_some() && !self.is_unknown(accepted);
        self.contested
            .filter(|first| !is_ours || *first >= accepted.epoch)
    }
}

/// Returns the epoch of `head` as the lineage of a later one names it.
#[must_use]
pub const fn ended(head: &Head) -> LineageEntry {
    LineageEntry {
        last: head.revision,
        digest: head.digest,
    }
}

/// Adds the epoch of `head`, which ends here, to the lineage of the one that follows (spec: #lineage).
///
/// `reported` is the epoch of the head that the reader signed last as accepted.
pub fn end_epoch(lineage: &mut Vec<LineageEntry>, head: &Head, reported: Option<Epoch>) {
    //= spec/postern.md#lineage
    //# A writer MUST keep an entry for every epoch that a reader has shown in a signed head and
    //# not yet left.
    lineage.push(ended(head));
    prune(lineage, head.revision.epoch, reported);
}

/// Names a reader's head in the lineage of the epoch `present`, which was just opened (spec: #recovery).
pub fn cover(
    lineage: &mut Vec<LineageEntry>,
    shown: &Head,
    present: Epoch,
    reported: Option<Epoch>,
) {
    // The reader signed that it is there: it left what is older.
    lineage.retain(|known| known.last.epoch > shown.revision.epoch);
    lineage.push(ended(shown));
    lineage.sort_by_key(|known| known.last.epoch);
    prune(lineage, present, reported);
}

/// Forgets epochs older than the one that the reader signed as its own, and those after it above the limit.
pub fn prune(lineage: &mut Vec<LineageEntry>, present: Epoch, reported: Option<Epoch>) {
    // An epoch that this store never knew leaves open how the reader came there: what it left can
    // be forgotten once its history is covered.
    let is_known = |epoch: &Epoch| {
        let mut ends = lineage.iter().map(|entry| entry.last.epoch);
        *epoch == present || ends.any(|end| end == *epoch)
    };
    if let Some(oldest) = reported.filter(is_known) {
        lineage.retain(|entry| entry.last.epoch >= oldest);
    }
    // The oldest entry is where the reader was last seen: it goes last.
    while lineage.len() > LINEAGE_MAX {
        lineage.remove(1);
    }
}
