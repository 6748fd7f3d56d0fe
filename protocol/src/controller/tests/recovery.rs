//! Recovery: a store that went back, two writers in one epoch, and devices that show what is not so.

use super::hand::Hand;
use crate::Reject;
use crate::controller::{Event, Input, Take};
use crate::envelope::Draft;
use crate::id::{Channel, Plane};
use crate::kind::Role;
use crate::message::EvidenceCode;
use crate::revision::{Epoch, Head, Revision, Seq};
use crate::state::State;
use crate::testing::{MemoryStore, at, numbers};
use alloc::vec::Vec;

/// What a device holds: a head, its state, and the envelope that brought it.
pub(super) struct Held {
    pub(super) head: Head,
    pub(super) state: State,
    pub(super) envelope: Vec<u8>,
}

pub(super) fn held(hand: &Hand) -> Held {
    Held {
        head: hand.head(),
        state: hand.member().desired().clone(),
        envelope: hand.desired_post().unwrap(),
    }
}

pub(super) fn decide_to(hand: &mut Hand, seq: u64) -> Held {
    while hand.head().revision.seq < Seq::new(seq) {
        hand.forget();
        let next = hand.head().revision.seq.number() + 1;
        hand.set("a/x", next);
    }
    held(hand)
}

/// A store restored from 110 to 100, and what devices at 105 and at 110 hold.
fn restored() -> (Hand, Held, Held) {
    let mut hand = Hand::new();
    decide_to(&mut hand, 100);
    let backup = hand.store.clone();
    let middle = decide_to(&mut hand, 105);
    let last = decide_to(&mut hand, 110);
    restart(&mut hand, backup);
    (hand, middle, last)
}

pub(super) fn restart(hand: &mut Hand, backup: MemoryStore) {
    hand.now_ms += 60_000;
    hand.unix_s = hand.unix_s.map(|unix_s| unix_s + 60);
    hand.forget();
    hand.restart(Some(backup));
}

/// The device shows what it holds and puts the bodies that are asked for.
pub(super) fn show(hand: &mut Hand, held: &Held) -> Option<Reject> {
    let evidence = hand.behind(&held.head, &held.state, &held.envelope);
    let reject = hand.receive(&evidence);
    if hand.wanted().is_some() {
        hand.put(Plane::Desired, &held.state);
    }
    reject
}

pub(super) fn resolve(hand: &mut Hand, take: Take) {
    let ticket = hand.ticket();
    let Channel { tenant, device, .. } = hand.channel.clone();
    hand.forget();
    hand.input(Input::Resolve {
        ticket,
        tenant,
        device,
        take,
    });
}

/// (epoch, first, last, whose content) of a recovery.
pub(super) fn recovered(hand: &Hand) -> Option<(Epoch, u64, u64, Take)> {
    hand.events().into_iter().find_map(|event| {
        let Event::Recovered {
            epoch,
            first,
            last,
            take,
            ..
        } = event
        else {
            return None;
        };
        Some((*epoch, first.number(), last.number(), *take))
    })
}

pub(super) fn is_conflict(hand: &Hand) -> Option<bool> {
    hand.events().into_iter().find_map(|event| {
        let Event::Behind { is_conflict, .. } = event else {
            return None;
        };
        Some(*is_conflict)
    })
}

pub(super) fn covers(hand: &Hand, head: &Head) -> bool {
    hand.posted_lineage()
        .is_some_and(|lineage| lineage.covers(head))
}

//= spec/lives.md#recovery type=test
//# A controller that made no decision since, and finds its own signature over that head in the
//# evidence, MUST adopt the device's state, add its head to the lineage, and post a snapshot of
//# a further epoch.
/// SQ-20, SQ-21: the range that the restore lost comes back from the device; no number is used twice.
#[test]
fn restored_store_takes_the_lost_range_back_from_the_device() {
    let (mut hand, _, last) = restored();
    let before = hand.head();
    assert!(
        !covers(&hand, &last.head),
        "the restored store knows no better"
    );
    assert_eq!(show(&mut hand, &last), None);
    assert_eq!(is_conflict(&hand), Some(false));
    let epoch = last.head.revision.epoch;
    assert_eq!(recovered(&hand), Some((epoch, 101, 110, Take::Device)));
    assert_eq!(hand.member().desired(), &last.state);
    assert!(hand.head().revision.epoch > before.revision.epoch);
    assert_eq!(
        hand.head().revision.seq,
        Seq::new(1),
        "the old epoch is never continued"
    );
    assert!(covers(&hand, &last.head));
    assert!(!hand.member().is_behind());
}

/// SQ-20: a database restored from 110 to 100 while the relay shows it only 105.
#[test]
fn restored_110_to_100_while_the_relay_shows_105_ends_at_110() {
    let (mut hand, middle, last) = restored();
    show(&mut hand, &middle);
    assert_eq!(hand.member().desired(), &middle.state);
    assert!(covers(&hand, &middle.head) && !covers(&hand, &last.head));
    assert_eq!(show(&mut hand, &last), None);
    assert_eq!(hand.member().desired(), &last.state);
    assert!(covers(&hand, &last.head));
    assert_eq!(show(&mut hand, &middle), None, "an old head gains nothing");
    assert_eq!(hand.member().desired(), &last.state);
}

//= spec/lives.md#recovery type=test
//# The snapshot after a choice MUST have a further epoch whose lineage covers the device's
//# head.
/// A write before first contact: both histories are shown, and neither is dropped silently.
#[test]
fn write_before_first_contact_is_a_conflict_until_the_operator_chooses() {
    for take in [Take::Device, Take::Controller] {
        let (mut hand, _, last) = restored();
        hand.set("b/y", 1);
        let own = hand.member().desired().clone();
        assert_eq!(show(&mut hand, &last), None);
        assert_eq!((is_conflict(&hand), recovered(&hand)), (Some(true), None));
        assert!(hand.member().is_in_conflict());
        let head = hand.head();
        resolve(&mut hand, take);
        let epoch = last.head.revision.epoch;
        assert_eq!(recovered(&hand), Some((epoch, 101, 110, take)));
        let expected = if take == Take::Device {
            &last.state
        } else {
            &own
        };
        assert_eq!(hand.member().desired(), expected);
        assert!(hand.head().revision.epoch > head.revision.epoch);
        assert!(covers(&hand, &last.head));
    }
}

//= spec/lives.md#recovery type=test
//# A controller that made a decision in an epoch of its own that the device does not know, or
//# finds no signature of its own, MUST post no state to the device until its operator has
//# chosen one of the two.
#[test]
fn nothing_is_offered_during_a_conflict() {
    let (mut hand, _, last) = restored();
    hand.set("b/y", 1);
    show(&mut hand, &last);
    hand.forget();
    hand.set("b/y", 2);
    let channel = hand.id();
    hand.input(Input::SnapshotWanted { channel });
    assert_eq!(hand.desired_post(), None);
    resolve(&mut hand, Take::Controller);
    hand.set("b/y", 3);
    assert!(hand.desired_post().is_some());
}

/// A decision that was made before another restart still counts as one.
#[test]
fn write_before_first_contact_is_remembered_over_a_restart() {
    let (mut hand, _, last) = restored();
    hand.set("b/y", 1);
    let store = hand.store.clone();
    restart(&mut hand, store);
    assert_eq!(hand.head().revision.seq, Seq::new(1));
    show(&mut hand, &last);
    assert_eq!((is_conflict(&hand), recovered(&hand)), (Some(true), None));
}

//= spec/lives.md#recovery type=test
//# A controller MUST NOT adopt a head that its lineage covers, or one below a head that the
//# device has signed.
/// A compromised device shows an old head to get a permission back.
#[test]
fn old_head_of_a_compromised_device_gains_nothing() {
    let mut hand = Hand::new();
    let old = decide_to(&mut hand, 5);
    let newer = decide_to(&mut hand, 9);
    let store = hand.store.clone();
    restart(&mut hand, store);
    let before = hand.head();
    assert_eq!(show(&mut hand, &old), None, "our lineage covers it");
    let report = hand.report_at(at(50, 1), before.revision);
    assert_eq!(hand.receive(&report), None);
    for lower in [None, Some(old.head.revision)] {
        if let Some(revision) = lower {
            let report = hand.report_at(at(50, 2), revision);
            assert_eq!(hand.receive(&report), None);
        }
        for held in [&old, &newer] {
            assert_eq!(show(&mut hand, held), Some(Reject::EpochStale));
        }
    }
    assert_eq!(hand.head(), before);
    assert!(hand.member().behind().is_none());
}

//= spec/lives.md#evidence type=test
//# A receiver MUST verify an envelope in evidence like any other before it believes it.
/// The controller imports on its own only what its own key signed.
#[test]
fn head_that_our_key_never_signed_waits_for_the_operator() {
    let (mut hand, _, last) = restored();
    let forged = numbers(&[("a/x", 666)]);
    let head = Head {
        digest: *forged.root(),
        ..last.head
    };
    let cases: [&[&[u8]]; 2] = [&[], &[&last.envelope]];
    for proofs in cases {
        let code = EvidenceCode::WriterBehind;
        let evidence = hand.evidence(code, &head, Some(&forged), proofs);
        assert_eq!(hand.receive(&evidence), None);
        hand.put(Plane::Desired, &forged);
        assert!(hand.member().is_in_conflict());
        assert_ne!(hand.member().desired(), &forged);
        assert!(!hand.member().evidence()[0].is_proven);
    }
}

#[test]
fn evidence_that_contradicts_itself_is_refused() {
    let (mut hand, _, last) = restored();
    let store = hand.store.clone();
    let other = numbers(&[("a/x", 1)]);
    let wrong_root = hand.behind(&last.head, &other, &last.envelope);
    assert_eq!(hand.receive(&wrong_root), Some(Reject::DigestMismatch));
    let mut huge = last.head;
    huge.revision.epoch = Epoch::new(u64::MAX);
    let huge = hand.behind(&huge, &last.state, &last.envelope);
    assert_eq!(hand.receive(&huge), Some(Reject::HeaderNumbers));
    let mut tampered = hand.behind(&last.head, &last.state, &last.envelope);
    *tampered.last_mut().unwrap() ^= 1;
    assert_eq!(hand.receive(&tampered), Some(Reject::SignatureInvalid));
    assert_eq!(hand.store, store);
}

//= spec/lives.md#recovery type=test
//# A controller MUST NOT adopt evidence before the device's signature, the incarnation, the
//# root and every body are verified.
#[test]
fn bodies_of_another_state_are_not_adopted() {
    let (mut hand, _, last) = restored();
    let evidence = hand.behind(&last.head, &last.state, &last.envelope);
    hand.receive(&evidence);
    hand.put(Plane::Desired, &numbers(&[("a/x", 666)]));
    assert_eq!(hand.rejected(), Some(Reject::BodyMismatch));
    assert_eq!((recovered(&hand), hand.wanted()), (None, Some(1)));
    resolve(&mut hand, Take::Device);
    assert_eq!(hand.refused(), Some(Reject::BodyMismatch));
}

#[test]
fn operator_without_a_conflict_has_nothing_to_choose() {
    let mut hand = Hand::new();
    resolve(&mut hand, Take::Controller);
    assert_eq!(hand.refused(), Some(Reject::NothingStored));
    hand.channel = hand.keys.channel("nobody");
    resolve(&mut hand, Take::Controller);
    assert_eq!(hand.refused(), Some(Reject::NotAdmitted));
}

#[test]
fn evidence_survives_a_restart_and_asks_for_its_bodies_again() {
    let (mut hand, _, last) = restored();
    let evidence = hand.behind(&last.head, &last.state, &last.envelope);
    assert_eq!(hand.receive(&evidence), None);
    let store = hand.store.clone();
    restart(&mut hand, store);
    assert!(hand.member().is_behind());
    assert_eq!(hand.member().evidence()[0].code, EvidenceCode::WriterBehind);
    assert_eq!(show(&mut hand, &last), None);
    assert_eq!(hand.member().desired(), &last.state);
}

/// SQ-22: the report alone shows that the store went back, before any poll is parked.
#[test]
fn report_beyond_what_is_known_shows_that_the_store_is_behind() {
    let (mut hand, _, last) = restored();
    assert!(!hand.member().is_behind());
    let report = hand.report_at(at(50, 1), last.head.revision);
    assert_eq!(hand.receive(&report), None);
    assert!(hand.member().is_behind());
}

/// Two controllers in one epoch: without a clock both drew the same number.
fn other_writer(hand: &Hand, value: u64) -> Held {
    let state = numbers(&[("a/x", value)]);
    let head = Head {
        digest: *state.root(),
        ..hand.head()
    };
    let envelope = {
        let header = crate::envelope::Header {
            kind: crate::kind::MessageKind::Snapshot,
            epoch: head.revision.epoch,
            seq: head.revision.seq,
            base: Seq::new(0),
            digest: Some(head.digest),
        };
        let payload = crate::message::Snapshot {
            table: state.section_table(),
            lineage: crate::revision::Lineage::default(),
        };
        let payload = payload.encode();
        let draft = Draft { header, payload };
        let sealed = draft.seal(Role::Writer, hand.binding(), &hand.keys.writer);
        sealed.unwrap().into_bytes()
    };
    Held {
        head,
        state,
        envelope,
    }
}

/// SQ-19, SQ-20: the device froze the epoch; it is left for a further one, and nothing is lost silently.
#[test]
fn two_controllers_in_one_epoch_are_shown_and_the_epoch_is_left() {
    let mut hand = Hand::new();
    let own = decide_to(&mut hand, 3);
    let other = other_writer(&hand, 777);
    let proofs: [&[u8]; 2] = [&other.envelope, &own.envelope];
    let code = EvidenceCode::Equivocation;
    let evidence = hand.evidence(code, &other.head, None, &proofs);
    assert_eq!(hand.receive(&evidence), None);
    let is_alarm = |event: &&Event| {
        matches!(
            event,
            Event::EvidenceKept {
                code: Reject::Equivocation,
                is_proven: true,
                ..
            }
        )
    };
    assert!(hand.events().iter().any(is_alarm));
    assert!(hand.head().revision.epoch > own.head.revision.epoch);
    assert_eq!(hand.member().desired(), &own.state);
    assert!(
        !covers(&hand, &other.head),
        "the device will say what it holds"
    );
    show(&mut hand, &other);
    assert_eq!((is_conflict(&hand), recovered(&hand)), (Some(true), None));
    resolve(&mut hand, Take::Controller);
    assert!(covers(&hand, &other.head));
    assert_eq!(hand.member().desired(), &own.state);
}

#[test]
fn contradiction_that_nothing_proves_opens_an_epoch_a_minute_at_most() {
    let mut hand = Hand::new();
    let mut opened = 0;
    for _ in 0..10 {
        let head = hand.head();
        let evidence = hand.evidence(EvidenceCode::Equivocation, &head, None, &[]);
        assert_eq!(hand.receive(&evidence), None);
        hand.run(10_000);
        opened += usize::from(hand.head().revision.epoch > head.revision.epoch);
    }
    assert_eq!(opened, 2);
}

/// A device that is beyond us in our own epoch shows another writer there.
#[test]
fn own_epoch_that_somebody_else_writes_in_is_left() {
    let mut hand = Hand::new();
    let own = decide_to(&mut hand, 3);
    let mut other = other_writer(&hand, 777);
    other.head.revision = Revision::new(own.head.revision.epoch, Seq::new(5));
    let report = hand.report_at(at(50, 1), other.head.revision);
    assert_eq!(hand.receive(&report), None);
    assert!(hand.head().revision.epoch > own.head.revision.epoch);
    show(&mut hand, &other);
    assert_eq!(is_conflict(&hand), Some(true), "both decided in it");
}

//= spec/lives.md#recovery type=test
//# A controller MUST keep evidence durably, at most 16 of a device, and show it.
#[test]
fn sixteen_pieces_of_evidence_are_kept_and_the_oldest_goes() {
    let (mut hand, _, last) = restored();
    for seq in 111..140 {
        let mut head = last.head;
        head.revision.seq = Seq::new(seq);
        let code = EvidenceCode::WriterBehind;
        let evidence = hand.evidence(code, &head, Some(&last.state), &[]);
        assert_eq!(hand.receive(&evidence), None);
    }
    let kept = |hand: &Hand| -> Vec<u64> {
        let all = hand.member().evidence().iter();
        all.map(|one| one.head.revision.seq.number()).collect()
    };
    assert_eq!(kept(&hand), (124..140).collect::<Vec<_>>());
    let store = hand.store.clone();
    restart(&mut hand, store);
    assert_eq!(kept(&hand), (124..140).collect::<Vec<_>>());
}

/// SQ-08: a clock that jumps ten years ahead and back locks nobody out.
#[test]
fn clock_that_jumps_ahead_and_back_only_raises_epochs() {
    let mut hand = Hand::new();
    let mut device = decide_to(&mut hand, 3).head;
    let start_s = hand.unix_s.unwrap();
    for unix_s in [start_s + 315_360_000, start_s, 0, start_s + 1] {
        hand.unix_s = Some(unix_s);
        hand.forget();
        hand.restart(None);
        assert!(hand.head().revision.epoch > device.revision.epoch);
        assert!(
            covers(&hand, &device),
            "a device that followed until now follows on"
        );
        device = hand.head();
    }
}

/// SQ-28: without any clock the outcome is the same.
#[test]
fn recovery_needs_no_clock() {
    let mut hand = Hand::new();
    hand.unix_s = None;
    decide_to(&mut hand, 4);
    let backup = hand.store.clone();
    let last = decide_to(&mut hand, 6);
    restart(&mut hand, backup);
    show(&mut hand, &last);
    assert_eq!(hand.member().desired(), &last.state);
    assert!(covers(&hand, &last.head));
}
