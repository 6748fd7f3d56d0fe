//! Semantic sequence numbers: epochs, sequences, revisions, and the one acceptance table.
//!
//! A number counts decisions, never transmissions. The table below is total: every class of
//! (stored or nothing, kind, generation, epoch, seq, base) has exactly one outcome.
//! Refuses to look at clocks, transports or arrival order.

mod history;
#[cfg(test)]
mod tests;

pub use history::{History, Standing, cover, end_epoch, ended, prune};

use crate::id::Digest;
use crate::limits::UNIX_S_MAX;
use crate::reject::Reject;
use alloc::vec::Vec;

macro_rules! numbers {
    ($( $(#[$meta:meta])* $name:ident; )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            /// Wraps a number.
            #[must_use]
            pub const fn new(number: u64) -> Self { Self(number) }

            /// Returns the number.
            #[must_use]
            pub const fn number(self) -> u64 { self.0 }

            /// Returns the next number, or `None` at the end of the range.
            #[must_use]
            pub const fn next(self) -> Option<Self> {
                //= spec/postern.md#limits
                //# Arithmetic on numbers from a peer MUST NOT wrap.
                match self.0.checked_add(1) { Some(next) => Some(Self(next)), None => None }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { self.0.fmt(f) }
        }
    )* };
}

numbers! {
    /// One life of a writer; 0 means none (spec: #revisions).
    Epoch;
    /// One decision within an epoch, from 1, +1 each; 0 means none (spec: #revisions).
    Seq;
    /// How often the tenant's writer key changed, from 1 (spec: #bundle).
    Generation;
    /// How often the keys of an encrypted channel changed, from 1 (spec: #plane-key).
    KeyGeneration;
    /// Number of a bundle, from 1; 0 means none (spec: #bundle).
    BundleNumber;
    /// One life of a mailbox's store, from 1; 0 means none (spec: #collect).
    StoreEpoch;
    /// Place in the order in which a mailbox took what it keeps, from 1; 0 means none (spec: #collect).
    ArrivalNumber;
    /// What a mailbox calls one enrolment that it holds (spec: #knocks).
    Knock;
}

/// Where a receipt stands among those of one mailbox (spec: #receipt).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReceiptNumber {
    /// The life of the mailbox's store, at least 1. Two lives are not ordered.
    pub store: StoreEpoch,
    /// Ascends with each receipt of this store, from 1.
    pub number: Seq,
}

impl Epoch {
    /// Opens an epoch above `highest`: chance keeps two lives of one store apart, the clock only makes it likelier
    /// (spec: #epochs).
    ///
    /// `unix_s` is the writer's wall clock in seconds if it has one, 0 to [`UNIX_S_MAX`], else it is none; `random`
    /// fills the low 20 bits. Returns `None` when the range is exhausted: after 2^44 openings without a clock.
    #[must_use]
    pub fn open(highest: Self, unix_s: Option<u64>, random: u32) -> Option<Self> {
        let low = u64::from(random) & 0xf_ffff;
        //= spec/postern.md#epochs
        //# A new epoch MUST be s times 2^20 plus 20 random bits, where s is the larger of the writer's clock in
        //# seconds and (highest epoch stored or shown by a reader) / 2^20, rounded down, plus 1.
        let above = (highest.0 >> 20).saturating_add(1);
        let clock = unix_s.filter(|unix_s| *unix_s <= UNIX_S_MAX);
        let high = above.max(clock.unwrap_or_default());
        high.checked_mul(1 << 20).map(|high| Self(high | low))
    }
}

/// A place in the history of a plane (spec: #revisions). Ordered by epoch, then seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision {
    /// The writer's life.
    pub epoch: Epoch,
    /// The decision within it.
    pub seq: Seq,
}

impl Revision {
    /// The place before anything was decided.
    pub const NONE: Self = Self {
        epoch: Epoch(0),
        seq: Seq(0),
    };

    /// Names a revision.
    #[must_use]
    pub const fn new(epoch: Epoch, seq: Seq) -> Self {
        Self { epoch, seq }
    }
}

impl core::fmt::Display for Revision {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

/// What a reader holds of a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Generation of the key that signed it.
    pub generation: Generation,
    /// Its place.
    pub revision: Revision,
    /// The digest of the state there.
    pub digest: Digest,
}

/// The end of one earlier epoch, as the writer of a later one knows it (spec: #lineage).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineageEntry {
    /// The earlier epoch and its last decision.
    pub last: Revision,
    /// The digest of the state there.
    pub digest: Digest,
}

/// The earlier epochs that a snapshot continues, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lineage(Vec<LineageEntry>);

impl Lineage {
    /// Takes entries. # Errors: `lineage-invalid` when they are too many, not ascending, or not below `epoch`.
    pub fn new(entries: Vec<LineageEntry>, epoch: Epoch) -> Result<Self, Reject> {
        //= spec/postern.md#lineage
        //# Lineage entries MUST ascend strictly by epoch, else `lineage-invalid`.
        let is_ascending = entries.windows(2).all(|pair| match pair {
            [earlier, later] => earlier.last.epoch < later.last.epoch,
            _ => true,
        });
        //= spec/postern.md#lineage
        //# The epoch and the seq of an entry MUST be at least 1, else `lineage-invalid`.
        let is_named = entries
            .iter()
            .all(|entry| entry.last.epoch.0 > 0 && entry.last.seq.0 > 0);
        //= spec/postern.md#lineage
        //# The epoch of an entry MUST be below the snapshot's own, else `lineage-invalid`.
        let is_below = entries.last().is_none_or(|entry| entry.last.epoch < epoch);
        //= spec/postern.md#lineage
        //# A lineage MUST NOT have more than 64 entries, else `lineage-invalid`.
        if is_ascending && is_named && is_below && entries.len() <= crate::limits::LINEAGE_MAX {
            Ok(Self(entries))
        } else {
            Err(Reject::LineageInvalid)
        }
    }

    /// Returns the entries.
    #[must_use]
    pub fn entries(&self) -> &[LineageEntry] {
        &self.0
    }

    /// Tells whether a reader at `head` may follow: its epoch is listed and it is not beyond the end.
    #[must_use]
    pub fn covers(&self, head: &Head) -> bool {
        self.0.iter().any(|entry| {
            entry.last.epoch == head.revision.epoch
                && (head.revision.seq < entry.last.seq
                    || (head.revision.seq == entry.last.seq && head.digest == entry.digest))
        })
    }
}

/// What arrives, as far as the table looks at it.
#[derive(Debug, Clone, Copy)]
pub enum Arrival<'a> {
    /// A delta from this base.
    Delta {
        /// The sequence that the change starts from.
        base: Seq,
    },
    /// A snapshot with this lineage.
    Snapshot {
        /// The earlier epochs that it continues.
        lineage: &'a Lineage,
    },
}

/// What to do with a verified desired or actual message (spec: #acceptance).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Take the snapshot.
    Accept,
    /// Apply the delta to the stored state.
    Apply,
    /// The same revision again: acknowledge again.
    Duplicate,
    /// An older revision: drop and acknowledge again.
    Older,
    /// It cannot be used from here: ask for what is missing.
    Need(Reject),
    /// It contradicts what is held: refuse and report.
    Refuse(Reject),
}

//= spec/postern.md#acceptance
//# A reader MUST treat a verified delta or snapshot as the first row that fits says:
//= spec/postern.md#epochs
//# A reader MUST NOT draw any conclusion about time from an epoch.
/// Decides by the acceptance table; the first row that fits wins (spec: #acceptance).
///
/// `frozen` is the epoch in which the writer contradicted itself, if it did.
#[must_use]
pub fn accept(
    stored: Option<&Head>,
    frozen: Option<Epoch>,
    incoming: &Head,
    arrival: Arrival<'_>,
) -> Outcome {
    let Some(stored) = stored else {
        return match arrival {
            Arrival::Delta { .. } => Outcome::Need(Reject::NothingStored),
            Arrival::Snapshot { .. } => Outcome::Accept,
        };
    };
    if incoming.generation < stored.generation {
        return Outcome::Refuse(Reject::GenerationStale);
    }
    if incoming.generation > stored.generation {
        return match arrival {
            Arrival::Delta { .. } => Outcome::Need(Reject::EpochNeedsSnapshot),
            Arrival::Snapshot { .. } => Outcome::Accept,
        };
    }
    match incoming.revision.epoch.cmp(&stored.revision.epoch) {
        core::cmp::Ordering::Less => Outcome::Refuse(Reject::EpochStale),
        core::cmp::Ordering::Greater => match arrival {
            Arrival::Delta { .. } => Outcome::Need(Reject::EpochNeedsSnapshot),
            Arrival::Snapshot { lineage } if lineage.covers(stored) => Outcome::Accept,
            Arrival::Snapshot { .. } => Outcome::Refuse(Reject::WriterBehind),
        },
        core::cmp::Ordering::Equal => accept_in_epoch(stored, frozen, incoming, arrival),
    }
}

fn accept_in_epoch(
    stored: &Head,
    frozen: Option<Epoch>,
    incoming: &Head,
    arrival: Arrival<'_>,
) -> Outcome {
    if frozen == Some(stored.revision.epoch) {
        return Outcome::Refuse(Reject::EpochFrozen);
    }
    match (incoming.revision.seq.cmp(&stored.revision.seq), arrival) {
        (core::cmp::Ordering::Less, _) => Outcome::Older,
        (core::cmp::Ordering::Equal, _) if incoming.digest == stored.digest => Outcome::Duplicate,
        (core::cmp::Ordering::Equal, _) => Outcome::Refuse(Reject::Equivocation),
        (core::cmp::Ordering::Greater, Arrival::Snapshot { .. }) => Outcome::Accept,
        (core::cmp::Ordering::Greater, Arrival::Delta { base }) => {
            match base.cmp(&stored.revision.seq) {
                core::cmp::Ordering::Equal => Outcome::Apply,
                core::cmp::Ordering::Less => Outcome::Need(Reject::BaseOlder),
                core::cmp::Ordering::Greater => Outcome::Need(Reject::BaseNewer),
            }
        }
    }
}
