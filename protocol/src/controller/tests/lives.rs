//! Lives of devices: next keys, clones, leaving, removal, and a name that is enrolled anew.

use super::hand::Hand;
use crate::Reject;
use crate::controller::{Event, Input, Output, Post};
use crate::enrol::{Enrolling, accept_rotation_answer, seal_rotation_request};
use crate::envelope::ReceivedEnvelope;
use crate::id::{Channel, Incarnation, Plane};
use crate::key::{MemorySigner, Signer as _};
use crate::message::Report;
use crate::revision::Revision;
use crate::state::State;
use crate::testing::{at, numbers, signer};
use alloc::vec::Vec;

/// A report that asks for the key of this name.
pub(super) fn rotation(hand: &Hand, rseq: u64, next: &str) -> Vec<u8> {
    let current = hand.key.public_key().thumbprint();
    let request = seal_rotation_request(
        &hand.channel,
        hand.incarnation,
        &current,
        [4; 16],
        &signer(next),
    );
    let mut report = Report::default();
    let request = request.unwrap().into_bytes();
    report.lists.set_rotation(Some(request)).unwrap();
    hand.report(at(50, rseq), &report)
}

fn key_answer(hand: &Hand) -> Option<Vec<u8>> {
    hand.posts().into_iter().find_map(|post| {
        let Post::EnrolAnswer { envelope } = post else {
            return None;
        };
        Some(envelope.clone())
    })
}

fn is_evicted(hand: &Hand) -> bool {
    let is_evict = |output: &Output| matches!(output, Output::Evict { .. });
    hand.outputs.iter().any(is_evict)
}

fn is_admitted(hand: &Hand) -> bool {
    let is_admit = |output: &Output| matches!(output, Output::Admit { .. });
    hand.outputs.iter().any(is_admit)
}

//= spec/freshness.md#signed-time type=test
//# A controller MUST leave the time out of an answer to a rotation.
#[test]
fn answer_to_a_rotation_states_no_time() {
    let mut hand = Hand::new();
    assert!(hand.unix_s.is_some());
    assert_eq!(hand.receive(&rotation(&hand, 1, "next")), None);
    let answer = key_answer(&hand).unwrap();
    let received = ReceivedEnvelope::parse(&answer).unwrap();
    let members = received.unverified_payload().first().copied();
    assert_eq!(members, Some(0x82), "an array of two");
}

//= spec/lives.md#rotation type=test
//# A controller MUST accept both keys of a device until an envelope verifies under the next
//# one, and then that one only.
#[test]
fn next_key_counts_once_it_is_confirmed_and_signs() {
    let mut hand = Hand::new();
    assert_eq!(hand.receive(&rotation(&hand, 1, "next")), None);
    let answer = key_answer(&hand).unwrap();
    let enrolling = Enrolling {
        channel: &hand.channel,
        incarnation: hand.incarnation,
        device_key: signer("next").public_key().thumbprint(),
        request: crate::enrol::verify_rotation_request(
            hand.member()
                .report()
                .unwrap()
                .report
                .lists
                .rotation()
                .unwrap(),
            &hand.channel,
            hand.incarnation,
            &hand.key.public_key().thumbprint(),
        )
        .unwrap()
        .message_id,
    };
    accept_rotation_answer(&answer, hand.engine.trust(), &enrolling).unwrap();
    let old = hand.report_at(at(50, 2), Revision::NONE);
    assert_eq!(hand.receive(&old), None, "the present key still counts");
    hand.key = signer("next");
    let new = hand.report_at(at(50, 3), Revision::NONE);
    assert_eq!(hand.receive(&new), None);
    assert!(
        hand.events()
            .iter()
            .any(|event| matches!(event, Event::KeyRotated { .. }))
    );
    hand.key = signer("press-7");
    let old = hand.report_at(at(50, 4), Revision::NONE);
    assert_eq!(hand.receive(&old), Some(Reject::KeyUnknown));
}

#[test]
fn next_key_and_the_report_of_the_former_survive_a_restart() {
    let mut hand = Hand::new();
    hand.receive(&rotation(&hand, 1, "next"));
    hand.forget();
    hand.restart(None);
    assert!(key_answer(&hand).is_some(), "the answer may have been lost");
    hand.key = signer("next");
    let heartbeat = hand.heartbeat(1, None, None);
    assert_eq!(hand.receive(&heartbeat), None);
    hand.restart(None);
    let replayed = hand.report_at(at(50, 1), Revision::NONE);
    assert_eq!(
        hand.receive(&replayed),
        Some(Reject::Equivocation),
        "still held"
    );
}

#[test]
fn next_key_of_another_algorithm_survives_a_restart() {
    let mut hand = Hand::new();
    let next = MemorySigner::esp256_from_secret(&[6; 32]).unwrap();
    let current = hand.key.public_key().thumbprint();
    let request = seal_rotation_request(&hand.channel, hand.incarnation, &current, [4; 16], &next);
    let mut report = Report::default();
    let request = request.unwrap().into_bytes();
    report.lists.set_rotation(Some(request)).unwrap();
    assert_eq!(hand.receive(&hand.report(at(50, 1), &report)), None);
    hand.restart(None);
    hand.key = next;
    for rseq in [2, 3] {
        let report = hand.report_at(at(50, rseq), Revision::NONE);
        assert_eq!(hand.receive(&report), None);
        hand.restart(None);
    }
    assert_eq!(
        hand.member().key(),
        Some(hand.key.public_key().thumbprint())
    );
}

/// A thief rotates first: nobody rotates itself.
#[test]
fn key_that_was_not_confirmed_signs_nothing() {
    let mut hand = Hand::new();
    hand.key = signer("thief");
    let report = hand.report_at(at(50, 1), Revision::NONE);
    assert_eq!(hand.receive(&report), Some(Reject::KeyUnknown));
    assert_eq!(
        hand.receive(&rotation(&hand, 1, "other")),
        Some(Reject::KeyUnknown)
    );
    assert!(hand.member().next_key().is_none());
}

//= spec/lives.md#rotation type=test
//# A controller MUST check a next key as at enrolment and persist it before it answers.
#[test]
fn next_key_that_breaks_a_rule_is_refused() {
    let mut hand = Hand::new();
    let stolen = core::mem::replace(&mut hand.incarnation, Incarnation::from_bytes([8; 16]));
    let foreign = rotation(&hand, 1, "next");
    hand.incarnation = stolen;
    assert_eq!(hand.receive(&foreign), Some(Reject::SignatureInvalid));
    assert_eq!(
        hand.receive(&rotation(&hand, 2, "press-7")),
        Some(Reject::TokenUsed)
    );
    let revoked = signer("revoked").public_key().thumbprint();
    hand.keys.push_bundle(1, &[revoked]);
    hand.restart(None);
    assert_eq!(
        hand.receive(&rotation(&hand, 3, "revoked")),
        Some(Reject::KeyRevoked)
    );
    assert!(hand.member().next_key().is_none());
}

//= spec/lives.md#clones type=test
//# A controller MUST show two devices under one key when a report inside a live session has a
//# lower epoch than the one held, or its number and other content.
/// SQ-25: two units run one life; both are named by their device epochs, until the name is enrolled anew.
#[test]
fn clone_is_shown_and_may_not_rotate() {
    let mut hand = Hand::new();
    let (first, second) = (at(50, 4), at(40, 9));
    assert_eq!(hand.receive(&hand.report_at(first, Revision::NONE)), None);
    let lower = hand.report_at(second, Revision::NONE);
    assert_eq!(hand.receive(&lower), Some(Reject::ReportStale));
    let cloned = *hand.member().cloned().unwrap();
    let epochs = (cloned.held.epoch, cloned.shown.epoch);
    assert_eq!(epochs, (first.epoch, second.epoch));
    assert!(
        hand.events()
            .iter()
            .any(|event| matches!(event, Event::Cloned { .. }))
    );
    hand.restart(None);
    assert!(hand.member().is_cloned());
    assert_eq!(
        hand.receive(&rotation(&hand, 5, "next")),
        Some(Reject::KeyRefused)
    );
    hand.incarnation = Incarnation::from_bytes([8; 16]);
    assert_eq!(hand.enrol([2; 8]), Ok(()));
    assert!(!hand.member().is_cloned());
}

#[test]
fn same_number_with_other_content_is_a_clone() {
    let mut hand = Hand::new();
    hand.receive(&hand.report_at(at(50, 4), Revision::NONE));
    let other = hand.report_at(at(50, 4), at(1, 1));
    assert_eq!(hand.receive(&other), Some(Reject::Equivocation));
    assert!(hand.member().is_cloned());
}

/// SQ-23: what was late on the way, came out of a file, or follows an honest restart is no clone.
#[test]
fn honest_restart_and_late_reports_are_no_clone() {
    let mut hand = Hand::new();
    for number in [at(50, 4), at(51, 1), at(52, 1)] {
        assert_eq!(hand.receive(&hand.report_at(number, Revision::NONE)), None);
    }
    let filed = hand.report_at(at(50, 1), Revision::NONE);
    assert_eq!(hand.receive_from(&filed, false), Some(Reject::ReportStale));
    hand.receive(&hand.report_at(at(52, 3), Revision::NONE));
    let late = hand.report_at(at(52, 2), Revision::NONE);
    assert_eq!(hand.receive(&late), Some(Reject::ReportStale));
    assert!(!hand.member().is_cloned());
}

fn leave(hand: &mut Hand) {
    let mut report = Report::default();
    report.lists.set_leaving(true);
    let report = hand.report(at(50, 1), &report);
    assert_eq!(hand.receive(&report), None);
}

//= spec/lives.md#leaving type=test
//# A controller MUST acknowledge a report with list 7 before it closes the membership.
#[test]
fn device_that_leaves_is_acknowledged_and_then_no_longer_served() {
    let mut hand = Hand::new();
    leave(&mut hand);
    let is_ack = |post: &&Post| matches!(post, Post::ReportAck { .. });
    assert!(hand.posts().iter().any(is_ack) && !is_evicted(&hand));
    assert!(hand.member().has_left() && !hand.member().is_enrolled());
    leave(&mut hand);
    hand.run(60_000);
    assert!(is_evicted(&hand));
    let report = hand.report_at(at(50, 2), Revision::NONE);
    assert_eq!(hand.receive(&report), Some(Reject::NotAdmitted));
}

//= spec/lives.md#leaving type=test
//# A controller MUST NOT admit a device that left until a new invitation for its name was used.
#[test]
fn device_that_left_is_not_admitted_until_it_is_invited_again() {
    let mut hand = Hand::new();
    leave(&mut hand);
    hand.forget();
    hand.restart(None);
    assert!(!is_admitted(&hand) && hand.member().has_left());
    assert_eq!(hand.join([1; 8]), Err(Reject::TokenUsed));
    hand.incarnation = Incarnation::from_bytes([8; 16]);
    assert_eq!(hand.enrol([2; 8]), Ok(()));
    assert!(is_admitted(&hand) && hand.member().is_enrolled());
}

/// SQ-12, SQ-16: a name that comes back begins above every number that it had.
#[test]
fn removed_device_is_gone_and_its_name_begins_above_it() {
    let mut hand = Hand::new();
    hand.set("a/x", 1);
    let before = hand.head().revision;
    let rows = Hand::new().store.rows().count();
    let Channel { tenant, device, .. } = hand.channel.clone();
    let ticket = hand.ticket();
    hand.forget();
    hand.input(Input::Remove {
        ticket,
        tenant,
        device,
    });
    assert!(is_evicted(&hand) && hand.engine.member_of(hand.id()).is_none());
    assert!(hand.store.rows().count() < rows);
    let report = hand.report_at(at(50, 1), Revision::NONE);
    assert_eq!(hand.receive(&report), Some(Reject::NotAdmitted));
    hand.restart(None);
    hand.incarnation = Incarnation::from_bytes([8; 16]);
    assert_eq!(hand.enrol([2; 8]), Ok(()));
    assert!(hand.head().revision.epoch > before.epoch);
    assert!(hand.member().desired().is_empty());
}

#[test]
fn unknown_device_is_not_removed() {
    let mut hand = Hand::new();
    let Channel { tenant, device, .. } = hand.keys.channel("nobody");
    let ticket = hand.ticket();
    hand.input(Input::Remove {
        ticket,
        tenant,
        device,
    });
    assert_eq!(hand.refused(), Some(Reject::NotAdmitted));
}

//= spec/lives.md#leaving type=test
//# A controller MUST close the old life of a name when a new invitation for it is used.
/// An old snapshot, or a scrapped unit's reports, replayed after a reset.
#[test]
fn old_life_is_closed_both_ways_when_the_name_is_enrolled_anew() {
    let mut hand = Hand::new();
    let state = numbers(&[("a/x", 1)]);
    hand.receive(&hand.snapshot(&state, at(50, 1), &[]));
    hand.put(Plane::Actual, &state);
    let old = [
        hand.report_at(at(99, 1), Revision::NONE),
        hand.delta(&state, &State::empty(), 1, at(50, 2)),
        hand.heartbeat(1, None, None),
    ];
    hand.incarnation = Incarnation::from_bytes([8; 16]);
    assert_eq!(hand.enrol([2; 8]), Ok(()));
    assert!(hand.member().actual_head().is_none() && hand.member().actual().is_empty());
    for envelope in old {
        assert_eq!(hand.receive(&envelope), Some(Reject::SignatureInvalid));
    }
    hand.restart(None);
    assert!(hand.member().actual().is_empty());
    assert!(hand.desired_post().is_some(), "signed for the new life");
}
