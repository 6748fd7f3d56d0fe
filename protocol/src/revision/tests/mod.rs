//! The acceptance table: one test per row, and a sweep that proves it total.

use super::{
    Arrival, Epoch, Generation, Head, Lineage, LineageEntry, Outcome, Revision, Seq, accept,
};
use crate::id::Digest;
use crate::reject::Reject;
use alloc::vec;
use alloc::vec::Vec;

mod history;

const DIGEST: Digest = Digest::from_bytes([1; 32]);
const OTHER: Digest = Digest::from_bytes([2; 32]);

fn head(generation: u64, epoch: u64, seq: u64, digest: Digest) -> Head {
    Head {
        generation: Generation::new(generation),
        revision: Revision::new(Epoch::new(epoch), Seq::new(seq)),
        digest,
    }
}

fn entry(epoch: u64, seq: u64, digest: Digest) -> LineageEntry {
    LineageEntry {
        last: Revision::new(Epoch::new(epoch), Seq::new(seq)),
        digest,
    }
}

/// What arrives in a case: a delta from a base, or a snapshot with a lineage.
enum Case {
    Delta(u64),
    Snapshot(Vec<LineageEntry>),
}

fn check(stored: Option<Head>, frozen: bool, incoming: Head, case: Case, expected: Outcome) {
    let epoch = stored
        .map(|stored| stored.revision.epoch)
        .filter(|_| frozen);
    let outcome = match case {
        Case::Delta(base) => {
            let arrival = Arrival::Delta {
                base: Seq::new(base),
            };
            accept(stored.as_ref(), epoch, &incoming, arrival)
        }
        Case::Snapshot(entries) => {
            let lineage = Lineage::new(entries, incoming.revision.epoch).unwrap();
            let arrival = Arrival::Snapshot { lineage: &lineage };
            accept(stored.as_ref(), epoch, &incoming, arrival)
        }
    };
    assert_eq!(outcome, expected, "{stored:?} <- {incoming:?}");
}

//= spec/postern.md#acceptance type=test
//# A reader MUST treat a verified delta or snapshot as the first row that fits says:
#[test]
fn revision_without_stored_head_needs_a_snapshot() {
    check(
        None,
        false,
        head(1, 5, 2, DIGEST),
        Case::Delta(1),
        Outcome::Need(Reject::NothingStored),
    );
    check(
        None,
        false,
        head(1, 5, 2, DIGEST),
        Case::Snapshot(vec![]),
        Outcome::Accept,
    );
}

//= spec/postern.md#acceptance type=test
//# A reader MUST treat a verified delta or snapshot as the first row that fits says:
#[test]
fn revision_of_another_generation_follows_rows_3_to_5() {
    let stored = Some(head(3, 9, 7, DIGEST));
    let stale = Outcome::Refuse(Reject::GenerationStale);
    check(
        stored,
        false,
        head(2, 99, 99, OTHER),
        Case::Delta(98),
        stale,
    );
    check(
        stored,
        false,
        head(2, 99, 99, OTHER),
        Case::Snapshot(vec![]),
        stale,
    );
    check(
        stored,
        true,
        head(4, 1, 1, OTHER),
        Case::Snapshot(vec![]),
        Outcome::Accept,
    );
    let need = Outcome::Need(Reject::EpochNeedsSnapshot);
    check(stored, false, head(4, 9, 8, OTHER), Case::Delta(7), need);
}

//= spec/postern.md#acceptance type=test
//# A reader MUST treat a verified delta or snapshot as the first row that fits says:
#[test]
fn revision_of_another_epoch_follows_rows_6_to_9() {
    let stored = Some(head(3, 9, 7, DIGEST));
    let stale = Outcome::Refuse(Reject::EpochStale);
    check(stored, false, head(3, 8, 99, OTHER), Case::Delta(98), stale);
    check(
        stored,
        false,
        head(3, 8, 99, OTHER),
        Case::Snapshot(vec![]),
        stale,
    );
    let need = Outcome::Need(Reject::EpochNeedsSnapshot);
    check(stored, false, head(3, 10, 8, OTHER), Case::Delta(7), need);
    let behind = Outcome::Refuse(Reject::WriterBehind);
    for (entries, outcome) in [
        (vec![entry(9, 7, DIGEST)], Outcome::Accept),
        (vec![entry(9, 8, OTHER)], Outcome::Accept),
        (
            vec![entry(2, 1, OTHER), entry(9, 8, OTHER)],
            Outcome::Accept,
        ),
        (vec![entry(9, 7, OTHER)], behind),
        (vec![entry(9, 6, DIGEST)], behind),
        (vec![entry(8, 99, DIGEST)], behind),
        (vec![], behind),
    ] {
        check(
            stored,
            true,
            head(3, 10, 1, OTHER),
            Case::Snapshot(entries),
            outcome,
        );
    }
}

//= spec/postern.md#acceptance type=test
//# A reader MUST treat a verified delta or snapshot as the first row that fits says:
#[test]
fn revision_of_a_frozen_epoch_is_refused() {
    let stored = Some(head(3, 9, 7, DIGEST));
    let frozen = Outcome::Refuse(Reject::EpochFrozen);
    check(stored, true, head(3, 9, 8, OTHER), Case::Delta(7), frozen);
    check(
        stored,
        true,
        head(3, 9, 8, OTHER),
        Case::Snapshot(vec![]),
        frozen,
    );
    check(stored, true, head(3, 9, 7, DIGEST), Case::Delta(6), frozen);
    check(stored, true, head(3, 9, 6, DIGEST), Case::Delta(5), frozen);
}

//= spec/postern.md#acceptance type=test
//# A reader MUST treat a verified delta or snapshot as the first row that fits says:
#[test]
fn revision_of_the_same_epoch_follows_rows_11_to_17() {
    let snapshot = || Case::Snapshot(vec![]);
    let twice = Outcome::Refuse(Reject::Equivocation);
    let rows = [
        (6, OTHER, Case::Delta(5), Outcome::Older),
        (6, OTHER, snapshot(), Outcome::Older),
        (7, DIGEST, Case::Delta(6), Outcome::Duplicate),
        (7, DIGEST, snapshot(), Outcome::Duplicate),
        (7, OTHER, Case::Delta(6), twice),
        (7, OTHER, snapshot(), twice),
        (8, OTHER, Case::Delta(7), Outcome::Apply),
        (99, OTHER, Case::Delta(7), Outcome::Apply),
        (8, OTHER, Case::Delta(6), Outcome::Need(Reject::BaseOlder)),
        (99, OTHER, Case::Delta(8), Outcome::Need(Reject::BaseNewer)),
        (8, OTHER, snapshot(), Outcome::Accept),
        (99, OTHER, snapshot(), Outcome::Accept),
    ];
    for (seq, digest, case, outcome) in rows {
        let stored = Some(head(3, 9, 7, DIGEST));
        check(stored, false, head(3, 9, seq, digest), case, outcome);
    }
}

#[test]
fn lineage_that_breaks_its_rule_is_refused() {
    let many = |length: u64| {
        (1..=length)
            .map(|epoch| entry(epoch, 1, DIGEST))
            .collect::<Vec<_>>()
    };
    for entries in [
        //= spec/postern.md#lineage type=test
        //# Lineage entries MUST ascend strictly by epoch, else `lineage-invalid`.
        vec![entry(2, 1, DIGEST), entry(2, 2, DIGEST)],
        vec![entry(3, 1, DIGEST), entry(2, 1, DIGEST)],
        //= spec/postern.md#lineage type=test
        //# The epoch of an entry MUST be below the snapshot's own, else `lineage-invalid`.
        vec![entry(100, 1, DIGEST)],
        vec![entry(101, 1, DIGEST)],
        //= spec/postern.md#lineage type=test
        //# The epoch and the seq of an entry MUST be at least 1, else `lineage-invalid`.
        vec![entry(0, 1, DIGEST)],
        vec![entry(1, 0, DIGEST)],
        //= spec/postern.md#lineage type=test
        //# A lineage MUST NOT have more than 64 entries, else `lineage-invalid`.
        many(65),
    ] {
        assert_eq!(
            Lineage::new(entries, Epoch::new(100)),
            Err(Reject::LineageInvalid)
        );
    }
    assert!(Lineage::new(many(64), Epoch::new(100)).is_ok());
}

//= spec/postern.md#epochs type=test
//# A new epoch MUST be s times 2^20 plus 20 random bits, where s is the larger of the writer's clock in
//# seconds and (highest epoch stored or shown by a reader) / 2^20, rounded down, plus 1.
//= spec/postern.md#epochs type=test
//# A reader MUST NOT draw any conclusion about time from an epoch.
#[test]
fn epoch_opened_is_above_the_highest_whatever_the_clock_says() {
    let highest = Epoch::new((1 << 50) | 0xf_ffff);
    for unix_s in [
        None,
        Some(0),
        Some(1),
        Some(1_800_000_000 >> 1),
        Some(u64::MAX),
    ] {
        for random in [0, 5, 0xffff_ffff] {
            let opened = Epoch::open(highest, unix_s, random).unwrap();
            let low = u64::from(random) & 0xf_ffff;
            let expected = (((1 << 30) + 1) << 20) | low;
            assert_eq!(opened, Epoch::new(expected), "{unix_s:?}");
        }
    }
    let opened = Epoch::open(Epoch::new(7), Some(1_800_000_000), 0xfff0_0001).unwrap();
    assert_eq!(opened, Epoch::new((1_800_000_000 << 20) | 1));
    assert_eq!(Seq::new(u64::MAX).next(), None);
}

#[test]
fn no_epoch_is_opened_above_the_last_second_of_the_range() {
    let last = u64::MAX << 20;
    assert_eq!(Epoch::open(Epoch::new(last), None, 0), None);
    assert_eq!(Epoch::open(Epoch::new(u64::MAX), Some(1), 0), None);
    let before = Epoch::open(Epoch::new(last - 1), None, 0xf_ffff);
    assert_eq!(before, Some(Epoch::new(u64::MAX)));
    let shown = Epoch::new(crate::limits::EPOCH_SHOWN_MAX);
    assert!(Epoch::open(shown, None, 0).is_some());
}

#[test]
fn revision_is_shown_as_its_two_numbers() {
    let shown = Revision::new(Epoch::new(100), Seq::new(5));
    assert_eq!(alloc::format!("{shown}"), "100.5");
}
