//! Intents: the next value is above all that was stored or shown, and each rise is one decision.

use super::hand::Hand;
use crate::Reject;
use crate::controller::{Event, Input};
use crate::id::{Channel, Incarnation, Plane};
use crate::limits::{INTENT_SHOWN_MAX, INTENT_VERBS_MAX};
use crate::message::{IntentNote, IntentOutcome, Report};
use crate::state::Path;
use crate::testing::{at, numbers};
use alloc::format;

fn intend(hand: &mut Hand, path: &str) -> Option<u64> {
    let Channel { tenant, device, .. } = hand.channel.clone();
    let ticket = hand.ticket();
    hand.forget();
    hand.input(Input::Intend {
        ticket,
        tenant,
        device,
        path: Path::parse(path).unwrap(),
    });
    hand.events().into_iter().find_map(|event| {
        let Event::Intended { value, .. } = event else {
            return None;
        };
        Some(*value)
    })
}

fn note(hand: &mut Hand, rseq: u64, value: u64, outcome: IntentOutcome) {
    let mut report = Report::default();
    report.lists.push_intent(IntentNote {
        path: Path::parse("intent/restart").unwrap(),
        value,
        outcome,
    });
    let report = hand.report(at(50, rseq), &report);
    assert_eq!(hand.receive(&report), None);
}

#[test]
fn intent_rises_by_one_and_is_one_decision() {
    let mut hand = Hand::new();
    let before = hand.head().revision.seq.number();
    for value in 1..=3 {
        assert_eq!(intend(&mut hand, "intent/restart"), Some(value));
    }
    assert_eq!(hand.head().revision.seq.number(), before + 3);
    hand.restart(None);
    assert_eq!(intend(&mut hand, "intent/restart"), Some(4));
}

//= spec/planes.md#intents type=test
//# A controller MUST allocate one more than the highest value that it holds or that the device
//# has shown.
/// SQ-01, SQ-16: a restored controller allocates above what the device's marks show.
#[test]
fn intent_is_above_what_reports_and_actual_state_showed() {
    let mut hand = Hand::new();
    note(&mut hand, 1, 7, IntentOutcome::Fired);
    hand.restart(None);
    assert_eq!(intend(&mut hand, "intent/restart"), Some(8));
    let state = numbers(&[("intent/restart", 20)]);
    hand.receive(&hand.snapshot(&state, at(50, 1), &[]));
    hand.put(Plane::Actual, &state);
    hand.restart(None);
    assert_eq!(intend(&mut hand, "intent/restart"), Some(21));
}

#[test]
fn values_that_the_device_did_not_take_lift_nothing() {
    let mut hand = Hand::new();
    let outcomes = [
        IntentOutcome::Lower,
        IntentOutcome::Jump,
        IntentOutcome::NotUint,
        IntentOutcome::TooManyVerbs,
    ];
    for (rseq, outcome) in (1..).zip(outcomes) {
        note(&mut hand, rseq, 1 << 40, outcome);
    }
    assert_eq!(intend(&mut hand, "intent/restart"), Some(1));
}

#[test]
fn device_that_shows_the_last_value_leaves_room() {
    let mut hand = Hand::new();
    note(&mut hand, 1, u64::MAX, IntentOutcome::Fired);
    assert_eq!(
        intend(&mut hand, "intent/restart"),
        Some(INTENT_SHOWN_MAX + 1)
    );
}

#[test]
fn newest_note_of_an_intent_is_shown() {
    let mut hand = Hand::new();
    let finished = IntentOutcome::Finished {
        status: 3,
        output: "failed".into(),
    };
    note(&mut hand, 1, 1, IntentOutcome::Fired);
    note(&mut hand, 2, 1, finished.clone());
    hand.restart(None);
    let path = Path::parse("intent/restart").unwrap();
    let shown = hand.member().intents().get(&path).unwrap();
    let outcome = shown.note.as_ref().map(|note| note.outcome.clone());
    assert_eq!((shown.value, outcome), (1, Some(finished)));
}

#[test]
fn intent_outside_its_section_or_of_nobody_is_refused() {
    let mut hand = Hand::new();
    for path in ["restart", "intent", "intents/restart", "a/intent/x"] {
        assert_eq!(intend(&mut hand, path), None);
        assert_eq!(hand.refused(), Some(Reject::PathInvalid));
    }
    hand.channel = hand.keys.channel("nobody");
    assert_eq!(intend(&mut hand, "intent/restart"), None);
    assert_eq!(hand.refused(), Some(Reject::NotAdmitted));
}

#[test]
fn verb_too_many_is_refused() {
    let mut hand = Hand::new();
    for n in 0..INTENT_VERBS_MAX {
        assert_eq!(intend(&mut hand, &format!("intent/v{n}")), Some(1));
    }
    assert_eq!(intend(&mut hand, "intent/more"), None);
    assert_eq!(hand.refused(), Some(Reject::StateOversize));
    assert_eq!(intend(&mut hand, "intent/v0"), Some(2));
}

#[test]
fn marks_of_an_earlier_life_do_not_count() {
    let mut hand = Hand::new();
    note(&mut hand, 1, 7, IntentOutcome::Fired);
    hand.incarnation = Incarnation::from_bytes([8; 16]);
    assert_eq!(hand.enrol([2; 8]), Ok(()));
    assert_eq!(intend(&mut hand, "intent/restart"), Some(1));
}
