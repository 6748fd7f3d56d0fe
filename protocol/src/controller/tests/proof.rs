//! What proves that a device's word is true, what does not, and what is kept of either.

use super::hand::Hand;
use super::recovery::{Held, decide_to, held, is_conflict, recovered, restart};
use crate::Reject;
use crate::controller::{Controller, Event, Input, Take, Unsettled};
use crate::enrol::JoinSecret;
use crate::id::{DeviceName, Plane, Tenant, TokenId};
use crate::limits::EPOCH_SHOWN_MAX;
use crate::message::EvidenceCode;
use crate::record::Table;
use crate::revision::{Head, Revision, Seq};
use crate::testing::at;
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

/// Whoever accepted one of our later heads has left what it showed before.
#[test]
fn history_that_was_shown_is_closed_by_a_later_head_of_ours_and_by_nothing_else() {
    let (mut hand, middle, last) = restored();
    claim(&mut hand, &last, &[&middle.envelope]);
    hand.put(Plane::Desired, &last.state);
    assert_eq!(hand.member().shown(), last.head.revision);
    let ours = hand.head().revision;
    assert!(ours > last.head.revision);
    let unknown = Revision::new(ours.epoch, Seq::new(ours.seq.number() + 5));
    let shown = [Revision::NONE, at(1, 1), last.head.revision, unknown];
    for (number, accepted) in (1..).zip(shown) {
        hand.forget();
        let report = hand.report_at(at(50, number), accepted);
        assert_eq!(hand.receive(&report), None);
        assert!(hand.member().behind().is_some(), "{accepted}");
        assert_eq!(hand.desired_post(), None, "{accepted}");
    }
}

#[test]
fn history_that_was_shown_is_closed_once_the_device_accepts_what_we_offer() {
    let (mut hand, middle, last) = restored();
    claim(&mut hand, &last, &[&middle.envelope]);
    hand.put(Plane::Desired, &last.state);
    assert!(hand.member().is_in_conflict());
    hand.forget();
    let report = hand.report_at(at(50, 1), hand.head().revision);
    assert_eq!(hand.receive(&report), None);
    assert!(hand.member().behind().is_none() && !hand.member().is_in_conflict());
    assert!(hand.desired_post().is_some(), "it is served again");
}

#[test]
fn next_key_that_was_asked_for_already_is_no_news_and_another_one_is() {
    let mut hand = Hand::new();
    let rotate = |hand: &mut Hand, number: u64, name: &str| {
        let commits = hand.store.commits();
        let rotation = super::lives::rotation(hand, number, name);
        assert_eq!(hand.receive(&rotation), None);
        (hand.member().next_key(), hand.store.commits() - commits)
    };
    let (first, commits) = rotate(&mut hand, 1, "next");
    let (again, commits_again) = rotate(&mut hand, 2, "next");
    assert_eq!(first, again);
    assert!(commits_again < commits, "{commits_again} after {commits}");
    let (other, _) = rotate(&mut hand, 3, "other");
    assert!(other.is_some() && other != first);
}

#[test]
fn devices_of_a_restored_store_are_unsettled_until_they_were_heard() {
    let mut hand = Hand::new();
    let tenant = hand.channel.tenant.clone();
    assert_eq!(hand.engine.unsettled(&tenant).count(), 0);
    let write = Controller::mark_restored();
    let mut store = hand.store.clone();
    store.overwrite(write.table, &write.key, write.value);
    // A row that nobody knows says nothing of it.
    store.overwrite(Table::Identity, b"zzz-later", Some(Vec::from([0xff])));
    restart(&mut hand, store);
    // Whoever was invited and never came has nothing to lose.
    let ticket = hand.ticket();
    hand.input(Input::Invite {
        ticket,
        tenant: tenant.clone(),
        device: DeviceName::parse("press-8").unwrap(),
        token: TokenId::from_bytes([42; 8]),
        secret: JoinSecret::from_bytes([7; 32]),
        expires_unix_s: None,
    });
    let unsettled: Vec<_> = hand.engine.unsettled(&tenant).collect();
    assert_eq!(unsettled.len(), 1);
    assert_eq!(unsettled[0].0.channel().id(), hand.id());
    assert_eq!(unsettled[0].1, Unsettled::Unheard);
    let other = Tenant::parse("other").unwrap();
    assert_eq!(hand.engine.unsettled(&other).count(), 0);
    let heartbeat = super::hearing::heartbeat_at(&hand, hand.head().revision);
    hand.receive(&heartbeat);
    assert_eq!(hand.engine.unsettled(&tenant).count(), 0);
}

/// What a device shows may have the number of one of our own decisions and another content.
#[test]
fn history_under_our_own_number_is_not_closed_by_a_report_that_names_that_number() {
    let mut hand = Hand::new();
    let own = decide_to(&mut hand, 3);
    hand.set("a/x", 9);
    let other = Held {
        head: Head {
            digest: *hand.member().desired().root(),
            ..own.head
        },
        state: hand.member().desired().clone(),
        envelope: Vec::new(),
    };
    let revision = hand.head().revision;
    let other = Held {
        head: Head {
            revision,
            digest: own.head.digest,
            ..other.head
        },
        state: own.state,
        ..other
    };
    claim(&mut hand, &other, &[&own.envelope]);
    assert_eq!(*hand.member().behind().unwrap().head(), other.head);
    let report = hand.report_at(at(50, 1), revision);
    assert_eq!(hand.receive(&report), None);
    assert!(hand.member().behind().is_some());
}

#[test]
fn other_content_under_the_number_that_was_shown_takes_its_place() {
    let (mut hand, middle, last) = restored();
    let forged = Held {
        head: Head {
            digest: *middle.state.root(),
            ..last.head
        },
        state: middle.state.clone(),
        envelope: Vec::new(),
    };
    claim(&mut hand, &forged, &[&middle.envelope]);
    assert_eq!(*hand.member().behind().unwrap().head(), forged.head);
    claim(&mut hand, &last, &[&last.envelope]);
    assert_eq!(*hand.member().behind().unwrap().head(), last.head);
    assert!(is_proven(&hand));
}

#[test]
fn history_that_was_taken_is_not_collected_again_after_a_start() {
    let (mut hand, _, last) = restored();
    claim(&mut hand, &last, &[&last.envelope]);
    hand.put(Plane::Desired, &last.state);
    assert!(recovered(&hand).is_some());
    let store = hand.store.clone();
    restart(&mut hand, store);
    assert_eq!(hand.member().evidence().len(), 1, "it is shown");
    assert!(hand.member().behind().is_none());
}

#[test]
fn contradiction_that_was_shown_is_no_history_to_collect_after_a_start() {
    let (mut hand, _, last) = restored();
    let evidence = hand.evidence(
        EvidenceCode::Equivocation,
        &last.head,
        Some(&last.state),
        &[],
    );
    hand.receive(&evidence);
    let store = hand.store.clone();
    restart(&mut hand, store);
    assert!(hand.member().behind().is_none());
}

#[test]
fn last_epoch_that_may_be_shown_is_taken_and_the_one_after_it_refused() {
    for (epoch, refused) in [
        (EPOCH_SHOWN_MAX, None),
        (EPOCH_SHOWN_MAX + 1, Some(Reject::HeaderNumbers)),
    ] {
        let (mut hand, _, last) = restored();
        let head = Head {
            revision: at(epoch, 1),
            ..last.head
        };
        let evidence = hand.behind(&head, &last.state, &last.envelope);
        assert_eq!(hand.receive(&evidence), refused);
        assert_eq!(hand.member().behind().is_some(), refused.is_none());
    }
}
