//! What a store knows of heads that are shown to it: each place just below, at and above the borders.

use super::{DIGEST, OTHER, entry, head};
use crate::limits::{EPOCH_SHOWN_MAX, LINEAGE_MAX};
use crate::revision::history::{History, Standing, cover, end_epoch, ended, prune};
use crate::revision::{Epoch, LineageEntry, Revision, Seq};
use alloc::vec;
use alloc::vec::Vec;

fn at(epoch: u64, seq: u64) -> Revision {
    Revision::new(Epoch::new(epoch), Seq::new(seq))
}

/// Epochs 4 and 6 have ended, at 5 and 3; epoch 8 stands at 7.
fn lineage() -> [LineageEntry; 2] {
    [entry(4, 5, DIGEST), entry(6, 3, DIGEST)]
}

fn history(lineage: &[LineageEntry]) -> History<'_> {
    History {
        head: head(1, 8, 7, DIGEST),
        lineage,
        contested: None,
        reported: None,
    }
}

fn epochs(lineage: &[LineageEntry]) -> Vec<u64> {
    let numbers = lineage.iter().map(|entry| entry.last.epoch.number());
    numbers.collect()
}

/// One more epoch than a lineage may name, from 1.
fn too_many() -> Vec<LineageEntry> {
    let numbers = (1_u64..).take(LINEAGE_MAX + 1);
    numbers.map(|epoch| entry(epoch, 1, DIGEST)).collect()
}

#[test]
fn epoch_is_known_by_its_end_and_no_other_is() {
    let ends = lineage();
    let history = history(&ends);
    assert_eq!(history.known(at(4, 99)), Some(ends[0]));
    assert_eq!(history.known(at(6, 1)), Some(ends[1]));
    assert_eq!(history.known(at(8, 9)), Some(entry(8, 7, DIGEST)));
    for epoch in [0, 3, 5, 7, 9] {
        assert_eq!(history.known(at(epoch, 1)), None, "epoch {epoch}");
    }
}

#[test]
fn head_above_what_is_known_of_its_epoch_is_unknown() {
    let ends = lineage();
    for (revision, expected) in [
        (Revision::NONE, false),
        (at(4, 5), false),
        (at(4, 6), true),
        (at(6, 2), false),
        (at(8, 6), false),
        (at(8, 7), false),
        (at(8, 8), true),
        // Of an epoch that nobody here opened, or that the reader had left long ago.
        (at(5, 1), true),
        (at(9, 1), true),
        (at(3, 99), false),
    ] {
        assert_eq!(history(&ends).is_unknown(revision), expected, "{revision}");
        // Without an earlier epoch nothing is known of when a reader was where.
        let is_known_epoch = revision.epoch == Epoch::new(8);
        assert_eq!(
            history(&[]).is_unknown(revision),
            expected && is_known_epoch
        );
    }
}

#[test]
fn head_shown_in_evidence_stands_as_its_place_and_digest_say() {
    let ends = lineage();
    for (shown, expected) in [
        (head(1, 3, 99, OTHER), Standing::Passed),
        (head(1, 4, 4, OTHER), Standing::Known),
        (head(1, 4, 5, DIGEST), Standing::Known),
        (head(1, 4, 5, OTHER), Standing::News),
        (head(1, 4, 6, DIGEST), Standing::News),
        (head(1, 5, 1, DIGEST), Standing::News),
        (head(1, 8, 6, OTHER), Standing::Known),
        (head(1, 8, 7, DIGEST), Standing::Known),
        (head(1, 8, 7, OTHER), Standing::News),
        (head(1, 8, 8, DIGEST), Standing::News),
        (head(1, 9, 1, DIGEST), Standing::News),
    ] {
        assert_eq!(history(&ends).standing(&shown), expected, "{shown:?}");
    }
    // With no earlier epoch, the present one is the oldest.
    assert_eq!(
        history(&[]).standing(&head(1, 7, 9, OTHER)),
        Standing::Passed
    );
    assert_eq!(history(&[]).standing(&head(1, 8, 8, OTHER)), Standing::News);
}

#[test]
fn head_below_the_one_that_the_reader_reported_is_passed() {
    let ends = lineage();
    let reported = History {
        reported: Some(at(8, 6)),
        ..history(&ends)
    };
    for (shown, expected) in [
        (head(1, 6, 9, OTHER), Standing::Passed),
        (head(1, 8, 5, OTHER), Standing::Passed),
        (head(1, 8, 6, OTHER), Standing::Known),
        (head(1, 8, 8, OTHER), Standing::News),
    ] {
        assert_eq!(reported.standing(&shown), expected, "{shown:?}");
    }
}

#[test]
fn decisions_after_the_opening_of_a_later_epoch_are_own() {
    let ends = [entry(4, 5, DIGEST), entry(6, 1, DIGEST)];
    let opened = History {
        head: head(1, 8, 1, DIGEST),
        ..history(&ends)
    };
    assert!(!opened.has_own_decisions(&head(1, 5, 9, OTHER)));
    assert!(!opened.has_own_decisions(&head(1, 4, 9, OTHER)));
    // Epoch 4 decided something, and the reader stands before it.
    assert!(opened.has_own_decisions(&head(1, 3, 9, OTHER)));
    // The present epoch decided something.
    assert!(history(&ends).has_own_decisions(&head(1, 5, 9, OTHER)));
    // The reader stands at the end of a known epoch, with another content.
    assert!(opened.has_own_decisions(&head(1, 4, 5, OTHER)));
}

#[test]
fn decisions_since_the_contested_epoch_are_own_wherever_the_reader_stands() {
    let ends = [entry(4, 5, DIGEST), entry(6, 1, DIGEST)];
    for (contested, expected) in [(3, true), (4, true), (5, false), (8, false)] {
        let history = History {
            head: head(1, 8, 1, DIGEST),
            contested: Some(Epoch::new(contested)),
            ..history(&ends)
        };
        let shown = head(1, 9, 9, OTHER);
        assert_eq!(history.has_own_decisions(&shown), expected, "{contested}");
    }
}

/// A history whose present epoch has decided nothing but its opening.
fn opened(ends: &[LineageEntry], present: u64) -> History<'_> {
    History {
        head: head(1, present, 1, DIGEST),
        ..history(ends)
    }
}

#[test]
fn epoch_that_the_limit_may_have_dropped_counts_as_own() {
    let mut ends = too_many();
    let present = ends.len() as u64 + 2;
    let shown = head(1, present - 1, 9, OTHER);
    ends.remove(1);
    assert_eq!(ends.len(), LINEAGE_MAX);
    assert!(
        opened(&ends, present).has_own_decisions(&shown),
        "a full lineage"
    );
    // Above the present epoch nothing was dropped, and what is known was not.
    assert!(!opened(&ends, present).has_own_decisions(&head(1, present + 1, 9, OTHER)));
    assert!(!opened(&ends, present).has_own_decisions(&head(1, present, 9, OTHER)));
    ends.remove(1);
    assert!(
        !opened(&ends, present).has_own_decisions(&shown),
        "room for one"
    );
}

#[test]
fn reader_ahead_passed_the_first_epoch_that_it_may_not_know() {
    let ends = lineage();
    for (shown, expected) in [
        (at(8, 6), None),
        (at(8, 7), None),
        (at(8, 8), Some(8)),
        (at(7, 99), None),
        (at(6, 99), None),
        // The first entry is where it was seen last: from the second on it may know nothing.
        (at(9, 0), Some(6)),
        (at(9, 8), Some(6)),
    ] {
        let expected = expected.map(Epoch::new);
        assert_eq!(history(&ends).passed_by(shown), expected, "{shown}");
    }
    assert_eq!(history(&ends[..1]).passed_by(at(9, 1)), Some(Epoch::new(8)));
    assert_eq!(history(&[]).passed_by(at(9, 1)), Some(Epoch::new(8)));
}

#[test]
fn epoch_beyond_what_may_be_shown_lifts_nobody_above_the_bound() {
    let ends = lineage();
    let below = History {
        head: head(1, EPOCH_SHOWN_MAX - 1, 7, DIGEST),
        ..history(&ends)
    };
    assert_eq!(below.passed_by(at(u64::MAX, 1)), Some(Epoch::new(6)));
    let highest = History {
        head: head(1, EPOCH_SHOWN_MAX, 7, DIGEST),
        ..history(&ends)
    };
    assert_eq!(highest.passed_by(at(u64::MAX, 8)), None);
}

#[test]
fn contest_ends_where_a_later_head_of_ours_was_accepted() {
    let ends = lineage();
    let contested = History {
        contested: Some(Epoch::new(6)),
        ..history(&ends)
    };
    for (accepted, expected) in [
        (at(8, 7), None),
        (at(8, 1), None),
        // Of a later epoch, and not ours.
        (at(8, 8), Some(6)),
        (at(7, 1), Some(6)),
        (at(9, 1), Some(6)),
        // Ours, and not later.
        (at(6, 3), Some(6)),
        (at(4, 5), Some(6)),
    ] {
        let expected = expected.map(Epoch::new);
        assert_eq!(contested.contested_after(accepted), expected, "{accepted}");
    }
    assert_eq!(history(&ends).contested_after(at(9, 9)), None);
}

#[test]
fn ended_epoch_is_named_last_and_older_than_reported_is_forgotten() {
    for (reported, expected) in [
        (None, [4, 6, 8].as_slice()),
        (Some(3), &[4, 6, 8]),
        (Some(4), &[4, 6, 8]),
        (Some(6), &[6, 8]),
        (Some(8), &[8]),
        // Of an epoch that this store never knew: how the reader came there stays open.
        (Some(7), &[4, 6, 8]),
        (Some(9), &[4, 6, 8]),
    ] {
        let mut known = lineage().to_vec();
        end_epoch(&mut known, &head(1, 8, 7, DIGEST), reported.map(Epoch::new));
        assert_eq!(epochs(&known), expected, "{reported:?}");
        assert_eq!(known.last(), Some(&entry(8, 7, DIGEST)));
    }
}

#[test]
fn covered_head_stands_in_order_and_what_the_reader_left_is_gone() {
    for (shown, expected) in [
        (head(1, 3, 1, OTHER), [3, 4, 6].as_slice()),
        (head(1, 5, 1, OTHER), &[5, 6]),
        (head(1, 6, 9, OTHER), &[6]),
        (head(1, 7, 1, OTHER), &[7]),
    ] {
        let mut known = lineage().to_vec();
        cover(&mut known, &shown, Epoch::new(9), None);
        assert_eq!(epochs(&known), expected, "{shown:?}");
        let first = known.first().copied();
        assert_eq!(first, Some(ended(&shown)), "the reader's own end of it");
    }
}

#[test]
fn lineage_that_is_full_keeps_its_oldest_entry_and_drops_the_next() {
    let mut known = too_many();
    prune(&mut known, Epoch::new(999), None);
    assert_eq!(known.len(), LINEAGE_MAX);
    assert_eq!(epochs(&known)[..3], [1, 3, 4]);
    // What has room is left alone.
    prune(&mut known, Epoch::new(999), None);
    assert_eq!(epochs(&known)[..3], [1, 3, 4]);
}

#[test]
fn present_epoch_that_was_reported_leaves_no_earlier_one() {
    let mut known = lineage().to_vec();
    prune(&mut known, Epoch::new(8), Some(Epoch::new(8)));
    assert_eq!(known, vec![]);
}
