//! Devices that stand in a higher epoch than this store offers: it went back, and its clock with it.
//!
//! What such a store offers is `epoch-stale` to the device, which has no evidence to give for that.

use super::hand::Hand;
use super::recovery::{
    Held, covers, decide_to, held, is_conflict, recovered, resolve, restart, show,
};
use crate::controller::{Controller, Take};
use crate::limits::EPOCH_SHOWN_MAX;
use crate::revision::{Epoch, Revision, Seq};
use crate::testing::at;

/// A store restored with a clock that shows 1970, and what the device took in a later epoch.
fn restored() -> (Hand, Held) {
    let mut hand = Hand::new();
    decide_to(&mut hand, 3);
    let backup = hand.store.clone();
    let now = hand.store.clone();
    restart(&mut hand, now);
    let last = decide_to(&mut hand, 2);
    hand.unix_s = Some(0);
    restart(&mut hand, backup);
    hand.forget();
    assert!(hand.head().revision.epoch < last.head.revision.epoch);
    (hand, last)
}

/// The device says in a report where it stands. Returns true when it is offered something else after that.
fn is_reopened(hand: &mut Hand, number: Revision, accepted: Revision) -> bool {
    let before = hand.head().revision.epoch;
    let report = hand.report_at(number, accepted);
    assert_eq!(hand.receive(&report), None);
    hand.head().revision.epoch > before
}

//= spec/lives.md#recovery type=test
//# A controller to which a device shows in a signed head a higher epoch than the one that it offers, or
//# a higher seq of it, MUST offer the device a snapshot of a further epoch, once in 60 s at most.
#[test]
fn store_whose_epoch_is_below_the_devices_opens_one_above_it_and_recovers() {
    let (mut hand, last) = restored();
    let shown = last.head.revision;
    assert!(is_reopened(&mut hand, at(50, 1), shown));
    assert!(hand.head().revision.epoch > shown.epoch);
    assert!(
        !covers(&hand, &last.head),
        "so that the device gives evidence"
    );
    assert_eq!(show(&mut hand, &last), None);
    assert_eq!(is_conflict(&hand), Some(false));
    let taken = recovered(&hand).map(|(epoch, _, _, take)| (epoch, take));
    assert_eq!(taken, Some((shown.epoch, Take::Device)));
    assert_eq!(hand.member().desired(), &last.state);
    assert!(covers(&hand, &last.head));
}

#[test]
fn heartbeat_of_a_session_is_enough_to_open_one() {
    let (mut hand, last) = restored();
    let heartbeat = super::hearing::heartbeat_at(&hand, last.head.revision);
    hand.receive_from(&heartbeat, false);
    assert!(hand.head().revision < last.head.revision, "it may be old");
    hand.receive(&heartbeat);
    assert!(hand.head().revision > last.head.revision);
}

//= spec/lives.md#recovery type=test
//# A controller that made a decision in an epoch of its own that the device does not know, or finds no
//# signature of its own, MUST post no state to the device until its operator has chosen one of the
//# two.
/// Both histories are shown; the operator's decision is not taken back in silence.
#[test]
fn decision_below_the_devices_epoch_waits_for_the_operator() {
    for restarts in 0..3 {
        let (mut hand, last) = restored();
        hand.set("b/own", 77);
        for _ in 0..restarts {
            let store = hand.store.clone();
            restart(&mut hand, store);
            assert!(hand.head().revision < last.head.revision);
        }
        let own = held(&hand);
        assert!(is_reopened(&mut hand, at(50, 1), last.head.revision));
        assert_eq!(show(&mut hand, &last), None);
        assert_eq!(is_conflict(&hand), Some(true), "{restarts} restarts");
        assert_eq!(recovered(&hand), None);
        assert_eq!(hand.member().desired(), &own.state);
        resolve(&mut hand, Take::Controller);
        assert!(covers(&hand, &last.head));
        assert_eq!(hand.member().desired(), &own.state);
    }
}

/// A crash between the two words of the device forgets nothing of it.
#[test]
fn decision_below_the_devices_epoch_waits_after_a_crash_too() {
    let (mut hand, last) = restored();
    hand.set("b/own", 77);
    assert!(is_reopened(&mut hand, at(50, 1), last.head.revision));
    let store = hand.store.clone();
    restart(&mut hand, store);
    assert!(hand.head().revision > last.head.revision);
    assert_eq!(show(&mut hand, &last), None);
    assert_eq!(is_conflict(&hand), Some(true));
}

/// What was settled once does not make a conflict of the next restore.
#[test]
fn next_restore_after_a_settled_one_is_adopted_again() {
    let (mut hand, last) = restored();
    assert!(is_reopened(&mut hand, at(50, 1), last.head.revision));
    assert_eq!(show(&mut hand, &last), None);
    hand.set("b/later", 1);
    let backup = hand.store.clone();
    hand.forget();
    hand.set("b/later", 2);
    let newer = held(&hand);
    restart(&mut hand, backup);
    assert_eq!(show(&mut hand, &newer), None);
    assert_eq!(is_conflict(&hand), Some(false));
    assert_eq!(hand.member().desired(), &newer.state);
}

#[test]
fn head_that_this_store_knows_opens_nothing() {
    let mut hand = Hand::new();
    let old = decide_to(&mut hand, 3).head.revision;
    let store = hand.store.clone();
    restart(&mut hand, store);
    for (number, accepted) in [(1, Revision::NONE), (2, old), (3, hand.head().revision)] {
        assert!(!is_reopened(&mut hand, at(50, number), accepted));
    }
}

//= spec/lives.md#recovery type=test
//# A controller to which a device shows in a signed head a higher epoch than the one that it offers, or
//# a higher seq of it, MUST offer the device a snapshot of a further epoch, once in 60 s at most.
#[test]
fn device_that_shows_higher_and_higher_epochs_opens_one_a_minute() {
    let (mut hand, _) = restored();
    let mut opened = 0;
    for number in 1..=10 {
        let epoch = hand.head().revision.epoch.number() + 10;
        let shown = Revision::new(Epoch::new(epoch), Seq::new(1));
        opened += usize::from(is_reopened(&mut hand, at(50, number), shown));
        let before = hand.head();
        hand.run(10_000);
        opened += usize::from(hand.head() != before);
    }
    assert_eq!(opened, 2);
}

#[test]
fn device_that_shows_an_epoch_beyond_all_opens_one_and_no_more() {
    let (mut hand, _) = restored();
    let beyond = Revision::new(Epoch::new(u64::MAX), Seq::new(1));
    assert!(is_reopened(&mut hand, at(50, 1), beyond));
    let opened = hand.head().revision.epoch;
    assert_eq!(opened.number() >> 20, (EPOCH_SHOWN_MAX >> 20) + 1);
    hand.run(120_000);
    assert!(!is_reopened(&mut hand, at(50, 2), beyond));
    hand.run(120_000);
    assert_eq!(hand.head().revision.epoch, opened);
}

#[test]
fn first_epoch_that_a_device_may_not_know_is_the_lowest_ever_noted() {
    let mut hand = Hand::new();
    let id = hand.id();
    let member = hand.engine.members.get_mut(&id).unwrap();
    for (noted, lowest) in [(5, 5), (7, 5), (5, 5), (3, 3), (4, 3)] {
        member.contest(Epoch::new(noted));
        assert_eq!(member.contested, Some(Epoch::new(lowest)), "{noted}");
    }
}

/// A further epoch may have to wait for its minute; what is contested meanwhile is durable.
#[test]
fn contest_noted_before_a_further_epoch_may_open_survives_a_crash() {
    let (mut hand, last) = restored();
    assert!(is_reopened(&mut hand, at(50, 1), last.head.revision));
    assert_eq!(show(&mut hand, &last), None);
    let settled = hand.head().revision;
    assert!(!is_reopened(&mut hand, at(50, 2), settled));
    assert_eq!(hand.member().contested, None, "the device followed");
    assert!(!hand.member().report().unwrap().is_encrypted);
    let store = hand.store.clone();
    let reread = Controller::restore(hand.keys.trust(), store.rows());
    let reread = reread.unwrap();
    let stored = reread.member_of(hand.id()).unwrap().contested;
    assert_eq!(stored, None, "for good");
    let higher = Revision::new(Epoch::new(settled.epoch.number() + 10), Seq::new(1));
    assert!(!is_reopened(&mut hand, at(50, 3), higher), "not yet");
    let noted = hand.member().contested;
    assert!(noted.is_some());
    let store = hand.store.clone();
    restart(&mut hand, store);
    assert_eq!(hand.member().contested, noted);
}

/// Whoever accepted a later epoch of ours knows of all that was decided before it.
#[test]
fn contest_ends_for_good_once_the_device_accepts_a_later_epoch() {
    let mut hand = Hand::new();
    let write = Controller::mark_restored();
    let mut store = hand.store.clone();
    store.overwrite(write.table, &write.key, write.value);
    restart(&mut hand, store);
    let first = hand.member().contested;
    assert_eq!(first, Some(hand.head().revision.epoch));
    let store = hand.store.clone();
    restart(&mut hand, store);
    assert_eq!(hand.member().contested, first);
    let report = hand.report_at(at(50, 1), hand.head().revision);
    assert_eq!(hand.receive(&report), None);
    assert_eq!(hand.member().contested, None);
    let reread = Controller::restore(hand.keys.trust(), hand.store.rows());
    let reread = reread.unwrap();
    assert_eq!(reread.member_of(hand.id()).unwrap().contested, None);
}
