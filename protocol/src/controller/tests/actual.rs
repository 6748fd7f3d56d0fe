//! The actual plane: what a device wrote counts once it is durable, and never backwards.

use super::hand::Hand;
use crate::Reject;
use crate::controller::{Event, Output};
use crate::id::Plane;
use crate::message::{Evidence, EvidenceCode};
use crate::revision::{Generation, Head, Revision};
use crate::state::State;
use crate::testing::{at, numbers};

fn state(value: u64) -> State {
    numbers(&[("a/x", value), ("b/y", 7)])
}

fn head(revision: Revision, state: &State) -> Head {
    Head {
        generation: Generation::new(0),
        revision,
        digest: *state.root(),
    }
}

/// A controller that holds `state(1)` at 50.3.
fn holding() -> Hand {
    let mut hand = Hand::new();
    let snapshot = hand.snapshot(&state(1), at(50, 3), &[]);
    assert_eq!(hand.receive(&snapshot), None);
    hand.put(Plane::Actual, &state(1));
    hand.run(5_000);
    hand
}

fn held(hand: &Hand) -> Option<Revision> {
    hand.member().actual_head().map(|head| head.revision)
}

//= spec/planes.md#actual type=test
//# A reader MUST answer a posted snapshot whose bodies are missing with hint 5 and accept it
//# when they are complete.
#[test]
fn snapshot_counts_once_its_bodies_are_here() {
    let mut hand = Hand::new();
    let snapshot = hand.snapshot(&state(1), at(50, 3), &[]);
    assert_eq!(hand.receive(&snapshot), None);
    assert_eq!((hand.wanted(), held(&hand)), (Some(2), None));
    assert_eq!(
        hand.heartbeats().len(),
        1,
        "it asks, and acknowledges nothing"
    );
    hand.put(Plane::Actual, &state(1));
    assert_eq!((hand.wanted(), held(&hand)), (None, Some(at(50, 3))));
    assert_eq!(hand.member().actual(), &state(1));
    hand.run(5_000);
    assert_eq!(hand.heartbeats().last().unwrap().other, at(50, 3));
}

#[test]
fn empty_snapshot_needs_no_bodies() {
    let mut hand = Hand::new();
    let snapshot = hand.snapshot(&State::empty(), at(50, 1), &[]);
    assert_eq!(hand.receive(&snapshot), None);
    assert_eq!((hand.wanted(), held(&hand)), (None, Some(at(50, 1))));
}

//= spec/planes.md#actual type=test
//# A controller MUST post a heartbeat when a revision of `actual` became durable, at most one
//# in 5 s for each device.
#[test]
fn delta_applies_in_one_commit_and_is_acknowledged_by_a_heartbeat() {
    let mut hand = holding();
    hand.run(10_000);
    let commits = hand.store.commits();
    let delta = hand.delta(&state(1), &state(2), 3, at(50, 5));
    assert_eq!(hand.receive(&delta), None);
    assert_eq!(hand.store.commits(), commits + 1);
    assert_eq!(hand.member().actual(), &state(2));
    assert_eq!(hand.heartbeats().last().unwrap().other, at(50, 5));
    let accepted = hand.events().into_iter().any(
        |event| matches!(event, Event::ActualAccepted { revision, .. } if *revision == at(50, 5)),
    );
    assert!(accepted);
}

#[test]
fn same_revision_again_is_acknowledged_again_without_a_commit() {
    let mut hand = holding();
    let snapshot = hand.snapshot(&state(1), at(50, 3), &[]);
    let commits = hand.store.commits();
    for _ in 0..2 {
        assert_eq!(hand.receive(&snapshot), None);
        hand.run(5_000);
        assert_eq!(hand.heartbeats().last().unwrap().other, at(50, 3));
    }
    assert_eq!(hand.store.commits(), commits);
}

//= spec/planes.md#actual type=test
//# A reader MUST answer a posted change that needs a snapshot with its reject in hint 4.
/// SQ-07, SQ-17: the same table as the device's, with the roles swapped.
#[test]
fn revision_that_does_not_follow_is_refused_by_name() {
    let (one, two) = (state(1), state(2));
    let hand = holding();
    let wrong = hand.delta(&state(2), &state(3), 3, at(50, 4));
    let cases = [
        (hand.delta(&one, &two, 2, at(50, 4)), Reject::BaseOlder),
        (hand.delta(&one, &two, 4, at(50, 5)), Reject::BaseNewer),
        (hand.delta(&one, &two, 1, at(49, 9)), Reject::EpochStale),
        (
            hand.delta(&one, &two, 1, at(51, 2)),
            Reject::EpochNeedsSnapshot,
        ),
        (hand.snapshot(&two, at(49, 9), &[]), Reject::EpochStale),
        (hand.snapshot(&two, at(51, 1), &[]), Reject::WriterBehind),
        (hand.snapshot(&two, at(50, 3), &[]), Reject::Equivocation),
    ];
    for (envelope, reject) in cases {
        let mut hand = holding();
        assert_eq!(hand.receive(&envelope), Some(reject));
        assert_eq!(hand.member().actual(), &one);
    }
    let mut hand = holding();
    assert_eq!(hand.receive(&wrong), None, "sets alone lead to the digest");
    let mut nothing = Hand::new();
    let delta = nothing.delta(&one, &two, 1, at(50, 2));
    assert_eq!(nothing.receive(&delta), Some(Reject::NothingStored));
}

#[test]
fn delta_that_leads_elsewhere_is_refused() {
    let mut hand = holding();
    let (from, to) = (state(5), numbers(&[("a/x", 5), ("b/y", 8)]));
    let delta = hand.delta(&from, &to, 3, at(50, 4));
    assert_eq!(hand.receive(&delta), Some(Reject::DigestMismatch));
    assert_eq!(held(&hand), Some(at(50, 3)));
}

#[test]
fn older_revision_is_dropped_and_acknowledged() {
    let mut hand = holding();
    let older = hand.snapshot(&state(9), at(50, 2), &[]);
    assert_eq!(hand.receive(&older), None);
    assert_eq!(held(&hand), Some(at(50, 3)));
}

#[test]
fn body_of_another_digest_is_refused_and_asked_for_again() {
    let mut hand = Hand::new();
    let snapshot = hand.snapshot(&state(1), at(50, 3), &[]);
    hand.receive(&snapshot);
    hand.put(Plane::Actual, &numbers(&[("a/x", 2)]));
    assert_eq!(hand.rejected(), Some(Reject::BodyMismatch));
    assert_eq!((hand.wanted(), held(&hand)), (Some(2), None));
    hand.put(Plane::Desired, &state(1));
    assert_eq!(held(&hand), None, "bodies of another plane");
}

#[test]
fn bodies_that_nobody_asked_for_change_nothing() {
    let mut hand = holding();
    let store = hand.store.clone();
    for plane in [Plane::Actual, Plane::Desired] {
        hand.put(plane, &state(3));
        assert_eq!((hand.wanted(), hand.rejected()), (None, None));
    }
    assert_eq!(hand.store, store);
}

#[test]
fn actual_plane_survives_a_restart_and_is_shown_to_mailboxes() {
    let mut hand = holding();
    hand.forget();
    hand.restart(None);
    assert_eq!(hand.member().actual(), &state(1));
    let is_shown = |output: &Output| matches!(output, Output::ActualHeld { revision, .. } if *revision == at(50, 3));
    assert!(hand.outputs.iter().any(is_shown));
    let delta = hand.delta(&state(1), &state(2), 3, at(50, 4));
    assert_eq!(hand.receive(&delta), None);
}

#[test]
fn snapshot_of_a_later_epoch_that_covers_is_accepted() {
    let mut hand = holding();
    let lineage = [head(at(50, 3), &state(1))];
    let snapshot = hand.snapshot(&state(1), at(60, 1), &lineage);
    assert_eq!(hand.receive(&snapshot), None);
    assert_eq!((hand.wanted(), held(&hand)), (None, Some(at(60, 1))));
}

//= spec/planes.md#actual type=test
//# A controller that refuses `actual` with `writer-behind` or `equivocation` MUST post evidence
//# (#evidence).
/// The device lost what it wrote: it is shown what is held, signed, so that it can go on above it.
#[test]
fn device_that_is_behind_gets_evidence_of_what_is_held() {
    let mut hand = holding();
    let snapshot = hand.snapshot(&state(2), at(60, 1), &[]);
    assert_eq!(hand.receive(&snapshot), Some(Reject::WriterBehind));
    let envelope = hand.evidence_post().unwrap();
    let verified = hand.verify(&envelope, Plane::Actual);
    assert_eq!(
        (verified.header().epoch, verified.header().seq),
        (at(50, 3).epoch, at(50, 3).seq)
    );
    let evidence = Evidence::decode(verified.payload()).unwrap();
    assert_eq!(evidence.code, EvidenceCode::WriterBehind);
    assert_eq!(evidence.table, Some(state(1).section_table()));
    assert!(evidence.proofs[0].envelope.is_some());
    assert_eq!(hand.receive(&snapshot), Some(Reject::WriterBehind));
    assert!(hand.evidence_post().is_none(), "not more often than in 5 s");
}

//= spec/lives.md#recovery type=test
//# A reader that refuses with `equivocation` MUST keep its state, freeze the epoch, and post
//# evidence with both envelopes.
/// SQ-19: one number with two contents.
#[test]
fn device_that_contradicts_itself_is_frozen_until_a_higher_epoch() {
    let mut hand = holding();
    let other = hand.snapshot(&state(2), at(50, 3), &[]);
    assert_eq!(hand.receive(&other), Some(Reject::Equivocation));
    let envelope = hand.evidence_post().unwrap();
    let verified = hand.verify(&envelope, Plane::Actual);
    let proofs = Evidence::decode(verified.payload()).unwrap().proofs;
    assert_eq!(proofs.len(), 2);
    assert_ne!(proofs[0].message_id, proofs[1].message_id);
    hand.restart(None);
    let delta = hand.delta(&state(1), &state(3), 3, at(50, 4));
    assert_eq!(hand.receive(&delta), Some(Reject::EpochFrozen));
    let lineage = [head(at(50, 3), &state(1))];
    let thaw = hand.snapshot(&state(1), at(60, 1), &lineage);
    assert_eq!(hand.receive(&thaw), None);
    let delta = hand.delta(&state(1), &state(3), 1, at(60, 2));
    assert_eq!(hand.receive(&delta), None);
}

/// SQ-17: reports and revisions have numbers of their own.
#[test]
fn report_and_actual_plane_of_one_number_do_not_collide() {
    let mut hand = holding();
    let report = hand.report_at(at(50, 3), Revision::NONE);
    assert_eq!(hand.receive(&report), None);
    let delta = hand.delta(&state(1), &state(2), 3, at(50, 4));
    assert_eq!(hand.receive(&delta), None);
    let report = hand.report_at(at(50, 4), Revision::NONE);
    assert_eq!(hand.receive(&report), None);
}

/// SQ-32: a body that is valid at another end.
#[test]
fn actual_plane_signed_by_others_is_refused() {
    let mut hand = holding();
    for name in ["writer", "press-8", "root", "mailbox"] {
        let key = core::mem::replace(&mut hand.key, crate::testing::signer(name));
        let delta = hand.delta(&state(1), &state(2), 3, at(50, 4));
        hand.key = key;
        assert_eq!(hand.receive(&delta), Some(Reject::KeyUnknown));
    }
    assert_eq!(held(&hand), Some(at(50, 3)));
}

#[test]
fn two_snapshots_of_one_number_are_equivocation_while_bodies_are_missing() {
    let mut hand = holding();
    let first = hand.snapshot(&state(2), at(50, 8), &[]);
    assert_eq!(hand.receive(&first), None);
    assert_eq!(hand.receive(&first), None, "the same again is no news");
    let second = hand.snapshot(&state(3), at(50, 8), &[]);
    assert_eq!(hand.receive(&second), Some(Reject::Equivocation));
    hand.put(Plane::Actual, &state(2));
    hand.put(Plane::Actual, &state(3));
    assert_eq!(held(&hand), Some(at(50, 3)), "the epoch is frozen");
}

#[test]
fn freeze_ends_the_wait_for_bodies_of_that_epoch() {
    let mut hand = holding();
    let pending = hand.snapshot(&state(2), at(50, 8), &[]);
    assert_eq!(hand.receive(&pending), None);
    let contradiction = hand.snapshot(&state(3), at(50, 3), &[]);
    assert_eq!(hand.receive(&contradiction), Some(Reject::Equivocation));
    hand.put(Plane::Actual, &state(2));
    assert_eq!(held(&hand), Some(at(50, 3)));
    assert_eq!(hand.member().actual(), &state(1));
}

#[test]
fn evidence_of_what_is_held_is_given_once_in_5_s() {
    let mut hand = holding();
    let snapshot = hand.snapshot(&state(2), at(60, 1), &[]);
    for (wait_ms, is_given) in [(0, true), (4_999, false), (1, true), (4_999, false)] {
        hand.now_ms += wait_ms;
        assert_eq!(hand.receive(&snapshot), Some(Reject::WriterBehind));
        assert_eq!(hand.evidence_post().is_some(), is_given, "{wait_ms}");
    }
}
