//! Intents: once for each rise, whatever comes in between.

use super::speech::{path, stored};
use crate::device::intents::Intents;
use crate::device::{ActOutcome, Event, Input};
use crate::message::IntentOutcome;
use crate::record::Table;
use crate::state::{Path, State, Value};
use crate::testing::{Lone, World, at, numbers};
use alloc::vec;
use alloc::vec::Vec;

const EPOCH: u64 = 100;
const RESTART: &str = "intent/restart";

fn state(value: u64) -> State {
    numbers(&[("a/x", 1), (RESTART, value)])
}

/// Brings a device from one state to the next and ends the application with `status`.
fn step(lone: &mut Lone, from: &State, to: &State, seq: u64, status: i64) {
    let delta = lone.seal_step(from, to, seq - 1, at(EPOCH, seq));
    lone.serve(&[delta]);
    lone.apply(status, "");
}

fn acts(lone: &Lone) -> Vec<(u64, bool)> {
    let acts = lone.node.acts.iter();
    acts.map(|(_, value, is_retry)| (*value, *is_retry))
        .collect()
}

fn outcomes(lone: &Lone) -> Vec<(u64, IntentOutcome)> {
    let noted = lone.node.events.iter().filter_map(|event| {
        if let Event::IntentNoted { note } = event {
            return Some((note.value, note.outcome.clone()));
        }
        None
    });
    noted.collect()
}

fn finish(lone: &mut Lone, value: u64) {
    let outcome = ActOutcome::Finished {
        status: 0,
        output: "done".into(),
    };
    lone.input(Input::Acted {
        path: path(RESTART),
        value,
        outcome,
    });
}

//= spec/planes.md#intents type=test
//# A device MUST only record the intents of the first snapshot of an incarnation: taken and done
//# become the value, with the outcome 0.
/// SQ-03: no stored value at the first boot: the first sight records only.
#[test]
fn first_snapshot_records_and_fires_nothing() {
    let lone = Lone::holding(&state(7), at(EPOCH, 5));
    assert_eq!(acts(&lone), []);
    assert_eq!(outcomes(&lone), [(7, IntentOutcome::Recorded)]);
}

//= spec/planes.md#intents type=test
//# A device MUST write the value to the same path of `actual` when the action has ended.
#[test]
fn rise_fires_once_and_stays_done_over_a_restart() {
    let mut lone = Lone::holding(&state(7), at(EPOCH, 5));
    step(&mut lone, &state(7), &state(8), 6, 0);
    finish(&mut lone, 8);
    lone.restart();
    lone.connect();
    assert_eq!(acts(&lone), [(8, false)]);
    let engine = lone.node.engine.as_ref().unwrap();
    assert_eq!(
        engine.actual().value(RESTART),
        Some(&Value::Int(8_u64.into()))
    );
}

//= spec/planes.md#intents type=test
//# A device MUST take a value above taken by at most 2^20, where an absent mark counts as 0, and
//# persist it as taken in the commit of the applied cursor, before the action starts.
#[test]
fn intent_absent_from_the_first_snapshot_counts_as_zero() {
    let without = numbers(&[("a/x", 1)]);
    let mut lone = Lone::holding(&without, at(EPOCH, 5));
    step(&mut lone, &without, &state(1), 6, 0);
    assert_eq!(acts(&lone), [(1, false)]);
}

//= spec/planes.md#intents type=test
//# A device MUST judge intents when the attempt to apply the newest head has ended, however it
//# ended.
#[test]
fn failed_application_of_the_newest_revision_fires_all_the_same() {
    let mut lone = Lone::holding(&state(7), at(EPOCH, 5));
    step(&mut lone, &state(7), &state(8), 6, 3);
    assert_eq!(acts(&lone), [(8, false)]);
    lone.run(40_000);
    lone.apply(3, "");
    assert_eq!(acts(&lone), [(8, false)], "the attempt after it is no rise");
}

#[test]
fn increments_seen_together_are_one_action() {
    let mut lone = Lone::holding(&state(7), at(EPOCH, 5));
    let one = lone.seal_step(&state(7), &state(8), 5, at(EPOCH, 6));
    let two = lone.seal_step(&state(8), &state(11), 6, at(EPOCH, 7));
    lone.serve(&[one, two]);
    lone.apply(0, "");
    assert_eq!(acts(&lone), [(11, false)]);
}

#[test]
fn rise_during_an_action_is_one_further_action_after_it() {
    let mut lone = Lone::holding(&state(7), at(EPOCH, 5));
    step(&mut lone, &state(7), &state(8), 6, 0);
    step(&mut lone, &state(8), &state(10), 7, 0);
    assert_eq!(acts(&lone), [(8, false)]);
    finish(&mut lone, 8);
    assert_eq!(acts(&lone), [(8, false), (10, false)]);
}

//= spec/planes.md#intents type=test
//# A device MUST note a greater jump, a lower value and a value that is no unsigned integer once
//# for each path and value, and do nothing else.
/// SQ-01: a lower or other value never fires and is reported.
#[test]
fn lower_value_never_fires_and_is_noted_once() {
    let mut lone = Lone::holding(&state(7), at(EPOCH, 5));
    step(&mut lone, &state(7), &state(3), 6, 0);
    let other = numbers(&[("a/x", 2), (RESTART, 3)]);
    step(&mut lone, &state(3), &other, 7, 0);
    step(&mut lone, &other, &state(7), 8, 0);
    assert_eq!(acts(&lone), []);
    let expected = [(7, IntentOutcome::Recorded), (3, IntentOutcome::Lower)];
    assert_eq!(outcomes(&lone), expected);
}

//= spec/planes.md#intents type=test
//# A device MUST note a greater jump, a lower value and a value that is no unsigned integer once
//# for each path and value, and do nothing else.
/// SQ-08: a damaged counter that runs ahead does not lock the verb out.
#[test]
fn jump_is_refused_and_the_verb_still_works() {
    let mut lone = Lone::holding(&state(7), at(EPOCH, 5));
    let far = 7 + (1 << 20) + 1;
    step(&mut lone, &state(7), &state(far), 6, 0);
    assert_eq!(acts(&lone), []);
    assert_eq!(outcomes(&lone).last(), Some(&(far, IntentOutcome::Jump)));
    step(&mut lone, &state(far), &state(far - 1), 7, 0);
    assert_eq!(acts(&lone), [(far - 1, false)]);
}

//= spec/planes.md#intents type=test
//# A device MUST note a greater jump, a lower value and a value that is no unsigned integer once
//# for each path and value, and do nothing else.
#[test]
fn value_that_is_no_unsigned_integer_is_noted() {
    let mut lone = Lone::holding(&state(7), at(EPOCH, 5));
    let entry = |value| {
        [
            (path("a/x"), Value::Int(1_u64.into())),
            (path(RESTART), value),
        ]
    };
    for (seq, value) in [
        (6, Value::Text("8".into())),
        (7, Value::Int((-1_i64).into())),
    ] {
        let engine = lone.node.engine.as_ref().unwrap();
        let (from, to) = (
            engine.state().clone(),
            State::from_entries(entry(value)).unwrap(),
        );
        step(&mut lone, &from, &to, seq, 0);
    }
    assert_eq!(acts(&lone), []);
    let expected = [(7, IntentOutcome::Recorded), (0, IntentOutcome::NotUint)];
    assert_eq!(outcomes(&lone), expected);
}

//= spec/planes.md#intents type=test
//# A device MUST NOT forget marks when the path is removed or an epoch begins.
/// SQ-16, SQ-12: a mark outlives removal: what comes back at its old value is no rise.
#[test]
fn mark_outlives_removal() {
    let without = numbers(&[("a/x", 1)]);
    let mut lone = Lone::holding(&state(7), at(EPOCH, 5));
    step(&mut lone, &state(7), &without, 6, 0);
    step(&mut lone, &without, &state(7), 7, 0);
    step(&mut lone, &state(7), &state(1), 8, 0);
    assert_eq!(acts(&lone), []);
}

//= spec/planes.md#intents type=test
//# A device MUST take an action that it does not repeat after a restart as ended, with the
//# outcome 7.
#[test]
fn action_under_way_at_a_crash_is_a_retry_and_may_be_told_interrupted() {
    let mut lone = Lone::holding(&state(7), at(EPOCH, 5));
    step(&mut lone, &state(7), &state(8), 6, 0);
    lone.restart();
    assert_eq!(acts(&lone), [(8, false), (8, true)]);
    lone.input(Input::Acted {
        path: path(RESTART),
        value: 8,
        outcome: ActOutcome::Interrupted,
    });
    lone.restart();
    assert_eq!(acts(&lone).len(), 2, "done for good");
    assert_eq!(
        outcomes(&lone).last(),
        Some(&(8, IntentOutcome::Interrupted))
    );
    let engine = lone.node.engine.as_ref().unwrap();
    let shown = engine.actual().section("intent").count();
    assert_eq!(shown, 1, "it has ended");
}

//= spec/planes.md#intents type=test
//# A device MUST take a value above taken by at most 2^20, where an absent mark counts as 0, and
//# persist it as taken in the commit of the applied cursor, before the action starts.
#[test]
fn mark_is_durable_with_the_applied_cursor() {
    let mut lone = Lone::holding(&state(7), at(EPOCH, 5));
    let delta = lone.seal_step(&state(7), &state(8), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    let before = lone.node.store.commits();
    let mark = stored(&lone, Table::Intents, RESTART.as_bytes());
    lone.apply(0, "");
    assert_eq!(lone.node.store.commits() - before, 1);
    assert_ne!(stored(&lone, Table::Intents, RESTART.as_bytes()), mark);
}

#[test]
fn end_of_an_action_that_is_not_under_way_is_ignored() {
    let mut lone = Lone::holding(&state(7), at(EPOCH, 5));
    let before = lone.node.store.commits();
    for value in [6, 7, 8] {
        finish(&mut lone, value);
    }
    assert_eq!(lone.node.store.commits(), before);
}

//= spec/planes.md#intents type=test
//# A device MUST NOT keep marks of more than 64 paths; further ones have the outcome 6.
#[test]
fn verbs_beyond_the_limit_are_noted_and_never_fire() {
    let verbs = |value| {
        let paths = (0..66).map(|verb| alloc::format!("intent/v{verb:02}"));
        let entries = paths.map(|verb| (Path::parse(&verb).unwrap(), Value::Int(value)));
        State::from_entries(entries).unwrap()
    };
    let (one, two) = (verbs(1_u64.into()), verbs(2_u64.into()));
    let mut lone = Lone::holding(&one, at(EPOCH, 5));
    step(&mut lone, &one, &two, 6, 0);
    assert_eq!(acts(&lone).len(), 64);
    let left_out = |(_, outcome): &&(u64, IntentOutcome)| *outcome == IntentOutcome::TooManyVerbs;
    assert_eq!(outcomes(&lone).iter().filter(left_out).count(), 2);
}

#[test]
fn closed_gate_starts_nothing_until_it_opens() {
    let mut lone = Lone::holding(&state(7), at(EPOCH, 5));
    lone.input(Input::Gate { is_open: false });
    let delta = lone.seal_step(&state(7), &state(8), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    assert_eq!((lone.applies.len(), acts(&lone).len()), (0, 0));
    lone.input(Input::Gate { is_open: true });
    lone.apply(0, "");
    assert_eq!(acts(&lone), [(8, false)]);
}

/// Every intent fires exactly once a value, whatever the network does (the simulator answers each action).
#[test]
fn rough_network_fires_each_rise_at_most_once() {
    let mut world = World::with_devices(11, &["press-7"]);
    world.set(0, "a/x", 1);
    world.run(30_000);
    world.faults = crate::testing::Faults::ROUGH;
    for value in 1..=8 {
        world.set(0, RESTART, value);
        world.run(20_000);
    }
    world.faults = crate::testing::Faults::default();
    world.run(200_000);
    let fired: Vec<u64> = world.devices[0].acts.iter().map(|act| act.1).collect();
    assert!(fired.windows(2).all(|pair| pair[0] < pair[1]), "{fired:?}");
    assert_eq!(fired.last(), Some(&8));
}

#[test]
fn intents_are_shown_with_what_was_taken_and_what_was_done() {
    let shown = |lone: &Lone| {
        let engine = lone.node.engine.as_ref().unwrap();
        let shown = engine.intents();
        shown
            .map(|(path, taken, done)| (path.clone(), taken, done))
            .collect::<Vec<_>>()
    };
    let mut lone = Lone::new();
    assert_eq!(shown(&lone), []);
    lone.connect();
    lone.bring(&state(7), at(EPOCH, 5));
    assert_eq!(shown(&lone), [(path(RESTART), 7, 7)]);
    step(&mut lone, &state(7), &state(9), 6, 0);
    assert_eq!(shown(&lone), [(path(RESTART), 9, 7)]);
    finish(&mut lone, 9);
    assert_eq!(shown(&lone), [(path(RESTART), 9, 9)]);
}

//= spec/planes.md#intents type=test
//# A device MUST NOT keep marks of more than 64 paths; further ones have the outcome 6.
#[test]
fn verbs_without_room_are_noted_once_each_up_to_as_many_as_have_room() {
    let paths = (0..130).map(|verb| alloc::format!("intent/v{verb:03}"));
    let entries = paths.map(|verb| (Path::parse(&verb).unwrap(), Value::Int(1_u64.into())));
    let state = State::from_entries(entries).unwrap();
    let mut intents = Intents::default();
    let outcomes: Vec<_> = intents
        .record(&state)
        .iter()
        .map(|it| it.outcome.clone())
        .collect();
    let expected = [IntentOutcome::Recorded, IntentOutcome::TooManyVerbs].map(|it| vec![it; 64]);
    assert_eq!(outcomes, expected.concat());
    assert_eq!(intents.evaluate(&state), []);
}
