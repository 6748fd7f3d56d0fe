//! What the engine does with each class of delta and snapshot.

use crate::Reject;
use crate::device::Event;
use crate::frame::FrameType;
use crate::revision::LineageEntry;
use crate::state::State;
use crate::testing::{Lone, at, numbers};
use alloc::vec;
use alloc::vec::Vec;

const EPOCH: u64 = 100;

fn one() -> State {
    numbers(&[("a/x", 1), ("b/y", 1)])
}

fn two() -> State {
    numbers(&[("a/x", 2), ("b/y", 1)])
}

fn three() -> State {
    numbers(&[("a/x", 3), ("b/y", 1)])
}

fn holding_five() -> Lone {
    Lone::holding(&one(), at(EPOCH, 5))
}

fn entry(epoch: u64, seq: u64, state: &State) -> LineageEntry {
    LineageEntry {
        last: at(epoch, seq),
        digest: *state.root(),
    }
}

/// Serves one envelope to a device at (100, 5) and compares where it stands afterwards.
fn check(
    seal: impl Fn(&Lone) -> Vec<u8>,
    head: (u64, u64),
    rejects: &[Reject],
    asks_for_snapshot: bool,
) {
    let mut lone = holding_five();
    let envelope = seal(&lone);
    let commits = lone.node.store.commits();
    lone.serve(&[envelope]);
    lone.take_reports();
    lone.run(6_000);
    let asked = lone.request(FrameType::Need).is_some();
    assert_eq!(lone.node.head(), Some(at(head.0, head.1)));
    assert_eq!(lone.rejects(), rejects);
    assert_eq!(asked, asks_for_snapshot, "{rejects:?}");
    assert!(lone.node.store.commits() - commits <= 1);
}

#[test]
fn first_snapshot_is_accepted_and_applied() {
    let mut lone = Lone::new();
    lone.connect();
    lone.bring(&one(), at(EPOCH, 5));
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
    let engine = lone.node.engine.as_ref().unwrap();
    assert_eq!(engine.state(), &one());
    assert_eq!(engine.applied(), at(EPOCH, 5));
}

#[test]
fn first_delta_asks_for_a_snapshot() {
    let mut lone = Lone::new();
    lone.connect();
    lone.take_reports();
    let delta = lone.seal_step(&State::empty(), &one(), 1, at(EPOCH, 2));
    lone.serve(&[delta]);
    assert!(lone.request(FrameType::Need).is_some());
    assert_eq!(lone.rejects(), [Reject::NothingStored]);
    assert_eq!(lone.node.head(), None);
}

#[test]
fn next_delta_is_applied() {
    check(
        |lone| lone.seal_step(&one(), &two(), 5, at(EPOCH, 6)),
        (EPOCH, 6),
        &[],
        false,
    );
}

#[test]
fn delta_over_several_decisions_is_applied() {
    check(
        |lone| lone.seal_step(&one(), &two(), 5, at(EPOCH, 9)),
        (EPOCH, 9),
        &[],
        false,
    );
}

#[test]
fn delta_with_older_base_asks_for_a_snapshot() {
    check(
        |lone| lone.seal_step(&one(), &two(), 4, at(EPOCH, 6)),
        (EPOCH, 5),
        &[Reject::BaseOlder],
        true,
    );
}

#[test]
fn delta_with_newer_base_asks_for_a_snapshot() {
    check(
        |lone| lone.seal_step(&one(), &two(), 6, at(EPOCH, 7)),
        (EPOCH, 5),
        &[Reject::BaseNewer],
        true,
    );
}

#[test]
fn delta_of_a_higher_epoch_asks_for_a_snapshot() {
    check(
        |lone| lone.seal_step(&one(), &two(), 5, at(EPOCH + 1, 6)),
        (EPOCH, 5),
        &[Reject::EpochNeedsSnapshot],
        true,
    );
}

#[test]
fn delta_to_another_digest_is_refused_and_a_snapshot_asked() {
    let wrong = |lone: &Lone| {
        let delta = one().diff(&two()).unwrap();
        lone.seal_delta(&delta, 5, at(EPOCH, 6), *three().root())
    };
    check(wrong, (EPOCH, 5), &[Reject::DigestMismatch], true);
}

#[test]
fn lower_epoch_is_refused_without_a_question() {
    let old = |lone: &Lone| lone.seal_step(&one(), &two(), 5, at(EPOCH - 1, 6));
    check(old, (EPOCH, 5), &[Reject::EpochStale], false);
    let old = |lone: &Lone| lone.seal_snapshot(&two(), at(EPOCH - 1, 900), vec![]);
    check(old, (EPOCH, 5), &[Reject::EpochStale], false);
}

#[test]
fn older_and_equal_revisions_change_nothing() {
    let older = |lone: &Lone| lone.seal_snapshot(&two(), at(EPOCH, 4), vec![]);
    check(older, (EPOCH, 5), &[], false);
    let older = |lone: &Lone| lone.seal_step(&two(), &one(), 3, at(EPOCH, 4));
    check(older, (EPOCH, 5), &[], false);
    let same = |lone: &Lone| lone.seal_snapshot(&one(), at(EPOCH, 5), vec![]);
    check(same, (EPOCH, 5), &[], false);
}

#[test]
fn higher_epoch_is_followed_along_its_lineage() {
    let mut lone = holding_five();
    let lineage = vec![entry(EPOCH, 7, &three())];
    let snapshot = lone.seal_snapshot(&two(), at(EPOCH + 1, 1), lineage);
    lone.serve(&[snapshot]);
    lone.serve_bodies(&two());
    assert_eq!(lone.node.head(), Some(at(EPOCH + 1, 1)));
    assert_eq!(lone.rejects(), []);
}

#[test]
fn writer_that_lost_history_is_refused() {
    let behind = |lone: &Lone| {
        let lineage = vec![entry(EPOCH, 4, &two())];
        lone.seal_snapshot(&two(), at(EPOCH + 1, 1), lineage)
    };
    check(behind, (EPOCH, 5), &[Reject::WriterBehind], false);
    let fork = |lone: &Lone| {
        let lineage = vec![entry(EPOCH, 5, &two())];
        lone.seal_snapshot(&two(), at(EPOCH + 1, 1), lineage)
    };
    check(fork, (EPOCH, 5), &[Reject::WriterBehind], false);
    let stranger = |lone: &Lone| lone.seal_snapshot(&two(), at(EPOCH + 1, 1), vec![]);
    check(stranger, (EPOCH, 5), &[Reject::WriterBehind], false);
}

//= spec/postern.md#acceptance type=test
//# A reader MUST keep its state and apply nothing more of a frozen epoch.
//= spec/postern.md#acceptance type=test
//# A frozen epoch MUST stay frozen across restarts of the reader.
#[test]
fn equivocation_freezes_the_epoch_until_a_higher_one() {
    let mut lone = holding_five();
    let contradiction = lone.seal_snapshot(&two(), at(EPOCH, 5), vec![]);
    lone.serve(&[contradiction]);
    let next = lone.seal_step(&one(), &three(), 5, at(EPOCH, 6));
    lone.serve(&[next]);
    lone.restart();
    lone.connect();
    lone.take_reports();
    let again = lone.seal_snapshot(&three(), at(EPOCH, 7), vec![]);
    lone.serve(&[again]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
    let rejects = [
        Reject::Equivocation,
        Reject::EpochFrozen,
        Reject::EpochFrozen,
    ];
    assert_eq!(lone.rejects(), rejects);
    lone.take_reports();
    assert!(
        lone.request(FrameType::Need).is_none(),
        "no answer could help"
    );
    let lineage = vec![entry(EPOCH, 9, &three())];
    let resumed = lone.seal_snapshot(&three(), at(EPOCH + 1, 1), lineage);
    lone.serve(&[resumed]);
    lone.serve_bodies(&three());
    assert_eq!(lone.node.head(), Some(at(EPOCH + 1, 1)));
}

#[test]
fn two_snapshots_of_one_number_are_equivocation_while_bodies_are_fetched() {
    let mut lone = holding_five();
    let first = lone.seal_snapshot(&two(), at(EPOCH, 8), vec![]);
    let second = lone.seal_snapshot(&three(), at(EPOCH, 8), vec![]);
    lone.serve(&[first, second]);
    lone.serve_bodies(&two());
    lone.serve_bodies(&three());
    assert_eq!(lone.rejects(), [Reject::Equivocation]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
}

#[test]
fn freeze_ends_the_fetch_of_a_snapshot_of_that_epoch() {
    let mut lone = holding_five();
    let pending = lone.seal_snapshot(&two(), at(EPOCH, 8), vec![]);
    let contradiction = lone.seal_snapshot(&three(), at(EPOCH, 5), vec![]);
    lone.serve(&[pending, contradiction]);
    lone.serve_bodies(&two());
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
}

#[test]
fn snapshot_that_was_overtaken_is_not_taken() {
    let mut lone = holding_five();
    let snapshot = lone.seal_snapshot(&two(), at(EPOCH, 8), vec![]);
    let overtaking = lone.seal_step(&one(), &three(), 5, at(EPOCH, 9));
    lone.serve(&[snapshot, overtaking]);
    lone.serve_bodies(&two());
    assert_eq!(lone.node.head(), Some(at(EPOCH, 9)));
    assert_eq!(lone.node.engine.as_ref().unwrap().state(), &three());
}

#[test]
fn older_snapshot_does_not_replace_the_one_being_fetched() {
    let mut lone = holding_five();
    let newer = lone.seal_snapshot(&three(), at(EPOCH, 9), vec![]);
    let older = lone.seal_snapshot(&two(), at(EPOCH, 8), vec![]);
    lone.serve(&[newer, older]);
    lone.serve_bodies(&three());
    assert_eq!(lone.node.head(), Some(at(EPOCH, 9)));
}

#[test]
fn delta_on_the_snapshot_being_fetched_asks_for_nothing() {
    let mut lone = holding_five();
    let snapshot = lone.seal_snapshot(&two(), at(EPOCH, 8), vec![]);
    let delta = lone.seal_step(&two(), &three(), 8, at(EPOCH, 9));
    lone.serve(&[snapshot, delta.clone()]);
    lone.serve_bodies(&two());
    assert_eq!(lone.rejects(), []);
    lone.serve(&[delta]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 9)));
}

#[test]
fn higher_generation_outranks_a_writer_that_ran_ahead() {
    let mut lone = Lone::holding(&one(), at(EPOCH + 50, 900));
    lone.keys.rotate_writer("writer-2", 2);
    let bundle = lone.keys.bundles[1].clone();
    let poll = lone.paced_poll();
    lone.answer_items(
        &poll,
        vec![crate::frame::Item {
            plane: None,
            envelope: &bundle,
        }],
    );
    let snapshot = lone.seal_snapshot(&two(), at(EPOCH, 1), vec![]);
    lone.serve(&[snapshot]);
    lone.serve_bodies(&two());
    assert_eq!(lone.node.head(), Some(at(EPOCH, 1)));
    lone.take_reports();
    lone.restart();
    assert_eq!(lone.node.head(), Some(at(EPOCH, 1)));
    let engine = lone.node.engine.as_ref().unwrap();
    assert!(engine.applied() <= at(EPOCH, 1));
}

#[test]
fn application_of_an_outranked_revision_is_not_reported_as_applied() {
    let mut lone = Lone::new();
    lone.connect();
    let first = lone.seal_snapshot(&one(), at(EPOCH + 50, 900), vec![]);
    lone.serve(&[first]);
    lone.serve_bodies(&one());
    lone.keys.rotate_writer("writer-2", 2);
    let bundle = lone.keys.bundles[1].clone();
    let poll = lone.paced_poll();
    let item = crate::frame::Item {
        plane: None,
        envelope: &bundle,
    };
    lone.answer_items(&poll, vec![item]);
    let snapshot = lone.seal_snapshot(&two(), at(EPOCH, 1), vec![]);
    lone.serve(&[snapshot]);
    lone.serve_bodies(&two());
    lone.apply(0, "");
    lone.restart();
    assert_eq!(lone.applies, [at(EPOCH, 1)]);
}

//= spec/postern.md#bundle type=test
//# A device MUST check envelopes against the highest bundle it holds.
#[test]
fn revoked_writer_writes_no_more() {
    let mut lone = holding_five();
    let stolen = lone.seal_step(&one(), &two(), 5, at(EPOCH, 6));
    lone.keys.rotate_writer("writer-2", 2);
    let bundle = lone.keys.bundles[1].clone();
    let poll = lone.paced_poll();
    let item = crate::frame::Item {
        plane: None,
        envelope: &bundle,
    };
    lone.answer_items(&poll, vec![item]);
    lone.serve(&[stolen]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
    assert_eq!(lone.rejects(), [Reject::KeyUnknown]);
}

//= spec/postern.md#bundle type=test
//# A device MUST persist the highest bundle it has accepted beside its heads.
#[test]
fn bundle_survives_a_restart() {
    let mut lone = holding_five();
    lone.keys.push_bundle(1, &[]);
    let bundle = lone.keys.bundles[1].clone();
    let poll = lone.paced_poll();
    let item = crate::frame::Item {
        plane: None,
        envelope: &bundle,
    };
    lone.answer_items(&poll, vec![item]);
    lone.restart();
    let number = lone.node.engine.as_ref().unwrap().trust().number().number();
    assert_eq!(number, 2);
    let accepted = |event: &Event| matches!(event, Event::BundleAccepted { .. });
    assert_eq!(lone.node.events.iter().filter(|it| accepted(it)).count(), 1);
}

#[test]
fn change_costs_two_commits() {
    let mut lone = holding_five();
    lone.acknowledge();
    let before = lone.node.store.commits();
    let delta = lone.seal_step(&one(), &two(), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    lone.apply(0, "");
    lone.acknowledge();
    assert_eq!(lone.node.store.commits() - before, 2);
}

#[test]
fn idle_polls_cost_no_commit() {
    let mut lone = holding_five();
    lone.acknowledge();
    let before = lone.node.store.commits();
    for _ in 0..10 {
        lone.serve(&[]);
    }
    assert_eq!(lone.node.store.commits(), before);
}

//= spec/postern.md#limits type=test
//# Arithmetic on numbers from a peer MUST NOT wrap.
#[test]
fn head_at_the_last_sequence_is_followed_into_the_next_epoch() {
    let mut lone = Lone::holding(&one(), at(EPOCH, u64::MAX));
    let lineage = vec![entry(EPOCH, u64::MAX, &one())];
    let snapshot = lone.seal_snapshot(&two(), at(EPOCH + 1, 1), lineage);
    lone.serve(&[snapshot]);
    lone.serve_bodies(&two());
    assert_eq!(lone.node.head(), Some(at(EPOCH + 1, 1)));
    assert_eq!(lone.rejects(), []);
}

/// Makes the device trust the writer of the next generation alone.
fn rotate_writer(lone: &mut Lone) {
    lone.keys.rotate_writer("writer-2", 2);
    let bundle = lone.keys.bundles[1].clone();
    let poll = lone.paced_poll();
    let item = crate::frame::Item {
        plane: None,
        envelope: &bundle,
    };
    lone.answer_items(&poll, vec![item]);
}

//= spec/postern.md#report type=test
//# A device MUST NOT raise the applied cursor before its application has finished with that
//# revision.
#[test]
fn revision_of_a_higher_generation_under_a_number_applied_before_is_applied() {
    let mut lone = holding_five();
    let applied = |lone: &Lone| lone.node.engine.as_ref().unwrap().applied();
    assert_eq!(applied(&lone), at(EPOCH, 5));
    rotate_writer(&mut lone);
    lone.applies.clear();
    let snapshot = lone.seal_snapshot(&two(), at(EPOCH, 5), vec![]);
    lone.serve(&[snapshot]);
    lone.serve_bodies(&two());
    assert_eq!(lone.node.engine.as_ref().unwrap().state(), &two());
    assert_eq!(lone.applies, [at(EPOCH, 5)]);
    assert_ne!(applied(&lone), at(EPOCH, 5), "it is not done yet");
    lone.apply(0, "");
    assert_eq!(applied(&lone), at(EPOCH, 5));
}

#[test]
fn application_of_another_content_under_the_same_number_is_followed_by_the_right_one() {
    let mut lone = Lone::new();
    lone.connect();
    let first = lone.seal_snapshot(&one(), at(EPOCH, 5), vec![]);
    lone.serve(&[first]);
    lone.serve_bodies(&one());
    rotate_writer(&mut lone);
    let second = lone.seal_snapshot(&two(), at(EPOCH, 5), vec![]);
    lone.serve(&[second]);
    lone.serve_bodies(&two());
    // What ends is the application of the first content.
    lone.apply(0, "");
    assert_eq!(lone.applies, [at(EPOCH, 5)]);
    assert_ne!(lone.node.engine.as_ref().unwrap().applied(), at(EPOCH, 5));
    lone.apply(0, "");
    assert_eq!(lone.node.engine.as_ref().unwrap().applied(), at(EPOCH, 5));
}

#[test]
fn frozen_epoch_is_free_again_for_a_higher_generation() {
    let mut lone = holding_five();
    let contradiction = lone.seal_snapshot(&two(), at(EPOCH, 5), vec![]);
    lone.serve(&[contradiction]);
    rotate_writer(&mut lone);
    let snapshot = lone.seal_snapshot(&three(), at(EPOCH, 1), vec![]);
    lone.serve(&[snapshot]);
    lone.serve_bodies(&three());
    assert_eq!(lone.rejects(), [Reject::Equivocation]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 1)));
    let next = lone.seal_step(&three(), &one(), 1, at(EPOCH, 2));
    lone.serve(&[next]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 2)));
}

#[test]
fn snapshot_sent_twice_while_its_bodies_are_fetched_is_one() {
    let mut lone = holding_five();
    let snapshot = lone.seal_snapshot(&two(), at(EPOCH, 8), vec![]);
    lone.serve(&[snapshot.clone(), snapshot]);
    lone.serve_bodies(&two());
    assert_eq!(lone.rejects(), []);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 8)));
}

#[test]
fn delta_that_does_not_continue_the_snapshot_being_fetched_is_judged() {
    for (base, revision, reject) in [
        (7, at(EPOCH, 9), Reject::BaseNewer),
        (8, at(EPOCH + 1, 9), Reject::EpochNeedsSnapshot),
        (9, at(EPOCH - 1, 10), Reject::EpochStale),
    ] {
        let mut lone = holding_five();
        let snapshot = lone.seal_snapshot(&two(), at(EPOCH, 8), vec![]);
        let delta = lone.seal_step(&two(), &three(), base, revision);
        lone.serve(&[snapshot, delta]);
        assert_eq!(lone.rejects(), [reject], "{base} to {revision}");
    }
}
