//! The rules that the model asks: those of the crate, or the same with one of them broken.
//!
//! Nothing here says what the rules are. A broken variant asks the real one first and then answers wrongly in one class.

use super::wire::Trusting;
use core::cmp::Ordering;
use postern_protocol::Reject;
use postern_protocol::revision::{
    Arrival, Epoch, Head, History, Lineage, LineageEntry, Outcome, Standing, accept, cover,
    end_epoch,
};

type Accept = fn(Option<&Head>, Option<Epoch>, &Head, Arrival<'_>) -> Outcome;

/// What both ends ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) accept: Accept,
    pub(crate) trusting: Trusting,
    pub(crate) standing: fn(&History<'_>, &Head) -> Standing,
    pub(crate) has_own_decisions: fn(&History<'_>, &Head) -> bool,
    pub(crate) open: fn(Epoch, Option<u64>, u32) -> Option<Epoch>,
    pub(crate) end_epoch: fn(&mut Vec<LineageEntry>, &Head, Option<Epoch>),
    pub(crate) cover: fn(&mut Vec<LineageEntry>, &Head, Epoch, Option<Epoch>),
    /// A delta whose result has not the signed digest is refused, as #delta says. Left out where the table has to do alone.
    pub(crate) checks_digests: bool,
    /// A device reports before its commit.
    pub(crate) reports_early: bool,
    /// A controller changes its key without a look at where devices stand.
    pub(crate) rotates_blindly: bool,
    /// A controller that restarts goes on in its epoch.
    pub(crate) continues_epoch: bool,
}

impl Rules {
    /// Those of the crate.
    pub(crate) const REAL: Self = Self {
        accept,
        trusting: Trusting::Real,
        standing: |history, head| history.standing(head),
        has_own_decisions: |history, head| history.has_own_decisions(head),
        open: Epoch::open,
        end_epoch,
        cover,
        checks_digests: false,
        reports_early: false,
        rotates_blindly: false,
        continues_epoch: false,
    };
}

/// How the offer stands to what is held.
fn compare(stored: &Head, incoming: &Head) -> [Ordering; 3] {
    [
        incoming.generation.cmp(&stored.generation),
        incoming.revision.epoch.cmp(&stored.revision.epoch),
        incoming.revision.seq.cmp(&stored.revision.seq),
    ]
}

const fn taken(arrival: &Arrival<'_>) -> Outcome {
    match arrival {
        Arrival::Delta { .. } => Outcome::Apply,
        Arrival::Snapshot { .. } => Outcome::Accept,
    }
}

/// Takes whatever the table refuses or drops with one of these answers.
macro_rules! taking {
    ($($answer:pat_param)|+) => {
        |stored, frozen, incoming, arrival| match accept(stored, frozen, incoming, arrival) {
            $($answer)|+ => taken(&arrival),
            other => other,
        }
    };
}

/// The variants of the acceptance table, by the row that each breaks.
pub(crate) const BROKEN_TABLES: [(&str, Accept); 15] = [
    (
        "row 1: a delta onto nothing",
        taking!(Outcome::Need(Reject::NothingStored)),
    ),
    (
        "row 2: the first snapshot is refused",
        |stored, frozen, incoming, arrival| match stored {
            None => Outcome::Refuse(Reject::EpochStale),
            Some(_) => accept(stored, frozen, incoming, arrival),
        },
    ),
    (
        "row 3: a lower generation",
        taking!(Outcome::Refuse(Reject::GenerationStale)),
    ),
    (
        "row 4: a higher generation is refused",
        |stored, frozen, incoming, arrival| match stored.map(|stored| compare(stored, incoming)) {
            Some([Ordering::Greater, ..]) => Outcome::Refuse(Reject::WriterBehind),
            Some(_) | None => accept(stored, frozen, incoming, arrival),
        },
    ),
    (
        "rows 5 and 7: a delta begins an epoch",
        taking!(Outcome::Need(Reject::EpochNeedsSnapshot)),
    ),
    (
        "row 6: a lower epoch",
        taking!(Outcome::Refuse(Reject::EpochStale)),
    ),
    (
        "row 8: a lineage that covers is refused",
        |stored, frozen, incoming, arrival| match stored.map(|stored| compare(stored, incoming)) {
            Some([Ordering::Equal, Ordering::Greater, _]) => Outcome::Refuse(Reject::WriterBehind),
            Some(_) | None => accept(stored, frozen, incoming, arrival),
        },
    ),
    (
        "row 9: a lineage that does not cover",
        taking!(Outcome::Refuse(Reject::WriterBehind)),
    ),
    ("row 10: a frozen epoch", |stored, _, incoming, arrival| {
        accept(stored, None, incoming, arrival)
    }),
    ("row 11: an older revision", taking!(Outcome::Older)),
    (
        "row 13: the later of two contents",
        taking!(Outcome::Refuse(Reject::Equivocation)),
    ),
    (
        "row 13: the earlier of two contents, without a word",
        |stored, frozen, incoming, arrival| {
            let outcome = accept(stored, frozen, incoming, arrival);
            if outcome == Outcome::Refuse(Reject::Equivocation) {
                Outcome::Duplicate
            } else {
                outcome
            }
        },
    ),
    (
        "row 15: a delta from an older base",
        taking!(Outcome::Need(Reject::BaseOlder)),
    ),
    (
        "row 16: a delta from a newer base",
        taking!(Outcome::Need(Reject::BaseNewer)),
    ),
    (
        "row 17: a newer snapshot is dropped",
        |stored, frozen, incoming, arrival| match (
            stored.map(|stored| compare(stored, incoming)),
            arrival,
        ) {
            (
                Some([Ordering::Equal, Ordering::Equal, Ordering::Greater]),
                Arrival::Snapshot { .. },
            ) => Outcome::Older,
            (_, arrival) => accept(stored, frozen, incoming, arrival),
        },
    ),
];

fn covers_by_epoch_alone(
    stored: Option<&Head>,
    frozen: Option<Epoch>,
    incoming: &Head,
    arrival: Arrival<'_>,
) -> Outcome {
    if let (Some(stored), Arrival::Snapshot { lineage }) = (stored, arrival)
        && compare(stored, incoming)[..2] == [Ordering::Equal, Ordering::Greater]
    {
        let named = lineage.entries().iter();
        let mut named = named.filter(|entry| entry.last.epoch == stored.revision.epoch);
        return match named.next() {
            Some(_) => Outcome::Accept,
            None => Outcome::Refuse(Reject::WriterBehind),
        };
    }
    accept(stored, frozen, incoming, arrival)
}

fn covers_without_digest(
    stored: Option<&Head>,
    frozen: Option<Epoch>,
    incoming: &Head,
    arrival: Arrival<'_>,
) -> Outcome {
    let outcome = accept(stored, frozen, incoming, arrival);
    if let (Some(stored), Arrival::Snapshot { lineage }) = (stored, arrival)
        && outcome == Outcome::Refuse(Reject::WriterBehind)
    {
        let entries = lineage.entries().iter();
        let mut same = entries.filter(|entry| entry.last == stored.revision);
        return same.next().map_or(outcome, |_| Outcome::Accept);
    }
    outcome
}

type Break = fn(Rules) -> Rules;

/// What else can be broken: the lineage, recovery, epochs, places, durability.
pub(crate) const BROKEN_RULES: [(&str, Break); 13] = [
    ("a lineage that names the epoch covers all of it", |real| {
        Rules {
            accept: covers_by_epoch_alone,
            ..real
        }
    }),
    (
        "a lineage covers its last revision whatever it holds",
        |real| Rules {
            accept: covers_without_digest,
            ..real
        },
    ),
    ("an envelope names the channel that it is for", |real| {
        Rules {
            trusting: Trusting::AnyChannel,
            ..real
        }
    }),
    ("any key may sign", |real| Rules {
        trusting: Trusting::AnyKey,
        ..real
    }),
    ("an earlier life counts", |real| Rules {
        trusting: Trusting::AnyLife,
        ..real
    }),
    ("every head that a device shows is news", |real| Rules {
        standing: |_, _| Standing::News,
        ..real
    }),
    ("no head that a device shows is news", |real| Rules {
        standing: |_, _| Standing::Known,
        ..real
    }),
    ("decisions of the controller's own do not count", |real| {
        Rules {
            has_own_decisions: |_, _| false,
            ..real
        }
    }),
    ("a restarted controller goes on in its epoch", |real| {
        Rules {
            continues_epoch: true,
            ..real
        }
    }),
    ("the lineage forgets the epoch that ends", |real| Rules {
        end_epoch: |_, _, _| {},
        ..real
    }),
    (
        "an epoch after recovery does not cover the device",
        |real| Rules {
            cover: |_, _, _, _| {},
            ..real
        },
    ),
    ("a device reports before its commit", |real| Rules {
        reports_early: true,
        ..real
    }),
    ("a key changes without a look at the devices", |real| {
        Rules {
            rotates_blindly: true,
            ..real
        }
    }),
];

/// The lineage that a snapshot carries. # Panics: when the writer's own lineage is not valid.
pub(crate) fn lineage(entries: Vec<LineageEntry>, epoch: Epoch) -> Lineage {
    Lineage::new(entries, epoch).expect("a writer lists what is earlier, ascending")
}
