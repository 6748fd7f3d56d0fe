//! What proves that a device's word is true, what does not, and what is kept of either.

use super::hand::Hand;
use super::recovery::{Held, decide_to, held, is_conflict, recovered, restart};
use crate::controller::{Event, Take};
use crate::id::Plane;
use crate::message::EvidenceCode;
use crate::revision::Head;
use alloc::vec::Vec;

/// A store that went back, and two later decisions of which its devices know.
fn restored() -> (Hand, Held, Held) {
    let mut hand = Hand::new();
    decide_to(&mut hand, 3);
    let backup = hand.store.clone();
    let middle = decide_to(&mut hand, 5);
    let last = decide_to(&mut hand, 7);
    restart(&mut hand, backup);
    (hand, middle, last)
}

/// Shows that the device holds `held`, with these envelopes as proof; no bodies follow.
fn claim(hand: &mut Hand, held: &Held, proofs: &[&[u8]]) {
    let code = EvidenceCode::WriterBehind;
    let evidence = hand.evidence(code, &held.head, Some(&held.state), proofs);
    assert_eq!(hand.receive(&evidence), None);
}

fn is_proven(hand: &Hand) -> bool {
    hand.member().behind().unwrap().is_proven()
}

/// How often something was kept since the last message.
fn kept(hand: &Hand) -> usize {
    let is_kept = |event: &&&Event| matches!(event, Event::EvidenceKept { .. });
    hand.events().iter().filter(is_kept).count()
}

#[test]
fn envelope_of_another_decision_proves_nothing() {
    let (mut hand, middle, last) = restored();
    claim(&mut hand, &last, &[&middle.envelope]);
    assert!(!is_proven(&hand));
    assert!(!hand.member().behind().unwrap().is_conflict(), "not whole");
    hand.put(Plane::Desired, &last.state);
    assert_eq!((is_conflict(&hand), recovered(&hand)), (Some(true), None));
    assert!(hand.member().behind().unwrap().is_conflict());
    assert_ne!(hand.member().desired(), &last.state);
}

#[test]
fn envelope_of_the_decision_with_another_content_proves_nothing() {
    let (mut hand, middle, last) = restored();
    let forged = Held {
        head: Head {
            digest: *middle.state.root(),
            ..last.head
        },
        state: middle.state.clone(),
        envelope: Vec::new(),
    };
    claim(&mut hand, &forged, &[&last.envelope]);
    hand.put(Plane::Desired, &forged.state);
    assert_eq!((is_conflict(&hand), recovered(&hand)), (Some(true), None));
}

/// The same content was decided before, under a lower number.
#[test]
fn envelope_of_an_earlier_decision_with_the_same_content_proves_nothing() {
    let mut hand = Hand::new();
    hand.set("a/x", 1);
    let backup = hand.store.clone();
    let mut decide = |value: u64| {
        hand.forget();
        hand.set("a/x", value);
        held(&hand)
    };
    let (earlier, _, last) = (decide(5), decide(6), decide(5));
    assert_eq!(earlier.head.digest, last.head.digest);
    restart(&mut hand, backup);
    claim(&mut hand, &last, &[&earlier.envelope]);
    hand.put(Plane::Desired, &last.state);
    assert_eq!((is_conflict(&hand), recovered(&hand)), (Some(true), None));
}

#[test]
fn proof_may_follow_and_is_not_taken_back() {
    let (mut hand, middle, last) = restored();
    claim(&mut hand, &last, &[&middle.envelope]);
    claim(&mut hand, &middle, &[&middle.envelope]);
    let head = *hand.member().behind().unwrap().head();
    assert_eq!(head, last.head, "the lower head does not take its place");
    assert!(!is_proven(&hand), "it is the lower one that was proven");
    claim(&mut hand, &last, &[&last.envelope]);
    assert!(is_proven(&hand));
    claim(&mut hand, &last, &[&middle.envelope]);
    assert!(is_proven(&hand));
    hand.put(Plane::Desired, &last.state);
    assert_eq!(is_conflict(&hand), Some(false));
    let take = recovered(&hand).map(|(_, _, _, take)| take);
    assert_eq!(take, Some(Take::Device));
    assert_eq!(hand.member().desired(), &last.state);
}

#[test]
fn higher_head_takes_the_place_of_a_lower_one() {
    let (mut hand, middle, last) = restored();
    claim(&mut hand, &middle, &[&middle.envelope]);
    claim(&mut hand, &last, &[&last.envelope]);
    assert_eq!(*hand.member().behind().unwrap().head(), last.head);
    hand.put(Plane::Desired, &last.state);
    assert_eq!(hand.member().desired(), &last.state);
}

#[test]
fn evidence_is_kept_once_for_each_head_and_again_when_it_is_proven() {
    let (mut hand, middle, last) = restored();
    for (proof, count) in [
        (&middle.envelope, 1),
        (&middle.envelope, 0),
        (&last.envelope, 1),
        (&last.envelope, 0),
        (&middle.envelope, 0),
    ] {
        claim(&mut hand, &last, &[proof]);
        assert_eq!(kept(&hand), count);
        assert_eq!(hand.member().evidence().len(), 1);
    }
    assert!(hand.member().evidence()[0].is_proven);
}

#[test]
fn contradiction_needs_two_envelopes_of_one_number_that_differ() {
    let (mut hand, middle, last) = restored();
    let code = EvidenceCode::Equivocation;
    let cases: [&[&[u8]]; 3] = [
        &[&last.envelope],
        &[&last.envelope, &last.envelope],
        &[&last.envelope, &middle.envelope],
    ];
    for proofs in cases {
        let evidence = hand.evidence(code, &last.head, None, proofs);
        hand.receive(&evidence);
    }
    let held = hand.member().evidence();
    assert!(held.iter().all(|one| !one.is_proven), "{}", held.len());
}

#[test]
fn device_that_asks_again_in_its_life_keeps_its_next_key() {
    let mut hand = Hand::new();
    assert_eq!(hand.enrol([2; 8]), Ok(()));
    let rotation = super::lives::rotation(&hand, 1, "next");
    assert_eq!(hand.receive(&rotation), None);
    let next = hand.member().next_key();
    assert!(next.is_some());
    let head = hand.head();
    assert_eq!(hand.join([2; 8]), Ok(()));
    assert_eq!((hand.member().next_key(), hand.head()), (next, head));
}
