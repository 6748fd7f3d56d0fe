//! What comes first: durable before applied or sent, trust before what it vouches for.

use crate::Reject;
use crate::context::Now;
use crate::device::{Context, Event, Input, Output};
use crate::frame::{Answer, BodyChunk, DownFrame, FrameType, Hints, Item, frame_type};
use crate::id::Plane;
use crate::record::{Table, Write};
use crate::state::State;
use crate::testing::{Lone, at, numbers};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const EPOCH: u64 = 100;

fn state(value: u64) -> State {
    numbers(&[("a/x", value), ("b/y", 1), ("c/z", 1)])
}

/// Gives one input and returns everything that the engine asks for, in order.
fn outputs(lone: &mut Lone, input: Input<'_>) -> Vec<Output> {
    let engine = lone.node.engine.as_mut().unwrap();
    let mut context = Context {
        now: Now {
            mono_ms: lone.now_ms,
            unix_s: None,
        },
        random: &mut lone.dice,
        signer: &lone.node.signer,
    };
    engine.handle_input(&mut context, input);
    core::iter::from_fn(|| engine.poll_output()).collect()
}

/// The place of the first output that `is_it` picks. # Panics: when there is none.
fn place(outputs: &[Output], is_it: impl Fn(&Output) -> bool) -> usize {
    let found = outputs.iter().position(is_it);
    found.unwrap_or_else(|| panic!("not among {outputs:?}"))
}

fn writes(output: &Output) -> Option<&[Write]> {
    match output {
        Output::Persist(writes) => Some(writes),
        Output::Exchange(_)
        | Output::Apply { .. }
        | Output::Act { .. }
        | Output::Reconnect
        | Output::Event(_) => None,
    }
}

fn is_persist(output: &Output) -> bool {
    writes(output).is_some()
}

fn is_post(output: &Output) -> bool {
    let is_it = |frame: &[u8]| frame_type(frame) == Ok(FrameType::Post);
    matches!(output, Output::Exchange(exchange) if is_it(&exchange.frame))
}

/// Tables that one commit writes, and how many values.
fn tables(writes: &[Write]) -> (bool, usize) {
    let has_head = writes.iter().any(|write| write.table == Table::Heads);
    let values = writes.iter().filter(|write| write.table == Table::Values);
    (has_head, values.count())
}

//= spec/postern.md#state type=test
//# A reader MUST apply an envelope to a copy, compare the digest, persist the result, and only then
//# act on it or acknowledge it.
//= spec/postern.md#acceptance type=test
//# A reader MUST persist the accepted head together with the state, before it acknowledges.
#[test]
fn delta_is_durable_with_its_head_before_it_is_applied() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    let poll = lone.paced_poll();
    let items = vec![Item {
        plane: Some(Plane::Desired),
        envelope: &delta,
    }];
    let answer = DownFrame::Answer(Answer {
        items,
        ..Answer::default()
    });
    let frame = lone.seal(poll.counter, &answer);
    let exchange = poll.exchange;
    let outputs = outputs(
        &mut lone,
        Input::Answer {
            exchange,
            frame: &frame,
        },
    );
    let durable = place(&outputs, is_persist);
    assert_eq!(writes(&outputs[durable]).map(tables), Some((true, 1)));
    let is_apply = |output: &Output| matches!(output, Output::Apply { .. });
    assert!(durable < place(&outputs, is_apply));
    let is_told = |output: &Output| matches!(output, Output::Event(Event::Accepted { .. }));
    assert!(durable < place(&outputs, is_told));
}

//= spec/postern.md#state type=test
//# A reader MUST apply an envelope to a copy, compare the digest, persist the result, and only then
//# act on it or acknowledge it.
#[test]
fn delta_to_another_digest_changes_nothing_at_rest() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let delta = state(1).diff(&state(2)).unwrap();
    let wrong = lone.seal_delta(&delta, 5, at(EPOCH, 6), *state(3).root());
    let held = |lone: &Lone| {
        let is_state = |table| matches!(table, Table::Values | Table::Heads);
        let rows = lone.node.store.rows().filter(|row| is_state(row.0));
        rows.map(|(_, key, value)| (key.to_vec(), value.to_vec()))
            .collect::<Vec<_>>()
    };
    let before = held(&lone);
    lone.serve(&[wrong]);
    assert_eq!(lone.rejects(), [Reject::DigestMismatch]);
    assert_eq!(held(&lone), before);
    assert_eq!(lone.node.engine.as_ref().unwrap().state(), &state(1));
}

//= spec/postern.md#snapshot type=test
//# A reader MUST commit all sections of a snapshot together.
#[test]
fn snapshot_of_many_sections_is_one_commit() {
    let mut lone = Lone::new();
    lone.connect();
    lone.drop_requests();
    let snapshot = lone.seal_snapshot(&state(1), at(EPOCH, 5), vec![]);
    lone.serve(&[snapshot]);
    let fetch = lone.request(FrameType::Fetch).unwrap();
    let want = state(1);
    let chunks = want.section_digests().map(|(_, digest)| {
        let bytes = want.body(digest).unwrap();
        BodyChunk {
            digest: *digest,
            size: bytes.len() as u64,
            offset: 0,
            bytes,
        }
    });
    let frame = lone.seal(fetch.counter, &DownFrame::Bodies(chunks.collect()));
    let exchange = fetch.exchange;
    let outputs = outputs(
        &mut lone,
        Input::Answer {
            exchange,
            frame: &frame,
        },
    );
    let commits: Vec<_> = outputs.iter().filter_map(writes).map(tables).collect();
    assert_eq!(commits, [(true, 3)]);
}

//= spec/postern.md#reports-and-acks type=test
//# A device MUST persist the number of a report before it sends the report.
#[test]
fn report_is_durable_before_it_is_sent() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    let applied = crate::device::Applied {
        revision: lone.applies.remove(0),
        status: 0,
        output: "".into(),
    };
    let outputs = outputs(&mut lone, Input::Applied(applied));
    let durable = place(&outputs, is_persist);
    let written = writes(&outputs[durable]).unwrap();
    assert!(written.iter().any(|write| write.table == Table::Reports));
    assert!(durable < place(&outputs, is_post));
}

//= spec/postern.md#answer type=test
//# A device MUST process the items in order, bundles before what they are needed for.
#[test]
fn bundle_before_what_it_vouches_for_is_taken_from_one_answer() {
    for (is_first, head) in [(true, at(EPOCH, 1)), (false, at(EPOCH, 5))] {
        let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
        lone.keys.rotate_writer("writer-2", 2);
        let bundle = lone.keys.bundles[1].clone();
        let snapshot = lone.seal_snapshot(&state(2), at(EPOCH, 1), vec![]);
        let mut items = [(None, &bundle), (Some(Plane::Desired), &snapshot)];
        if !is_first {
            items.reverse();
        }
        let items = items.iter().map(|(plane, envelope)| Item {
            plane: *plane,
            envelope,
        });
        let poll = lone.paced_poll();
        lone.answer_items(&poll, items.collect());
        lone.serve_bodies(&state(2));
        assert_eq!(lone.node.head(), Some(head), "bundle first: {is_first}");
    }
}

//= spec/postern.md#poll type=test
//# A device MUST NOT depend on a held poll for correctness: without an answer it polls again.
#[test]
fn poll_that_never_came_back_is_followed_by_another() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let lost = lone.paced_poll();
    let exchange = lost.exchange;
    lone.input(Input::Failed { exchange });
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.serve(&[delta]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 6)));
}

/// Answers the next poll with a hint to move at this time; returns where the device then goes.
fn told_to_move(lone: &mut Lone, at_ms: u64, url: &str) -> Vec<String> {
    let poll = lone.paced_poll();
    lone.now_ms = lone.now_ms.max(at_ms);
    let hints = Hints {
        move_url: Some(url.into()),
        ..Hints::default()
    };
    let answer = DownFrame::Answer(Answer {
        hints,
        items: vec![],
    });
    let frame = lone.seal(poll.counter, &answer);
    let exchange = poll.exchange;
    let outputs = outputs(
        lone,
        Input::Answer {
            exchange,
            frame: &frame,
        },
    );
    let moves = outputs.into_iter().filter_map(|output| {
        let Output::Event(Event::MoveAsked { url }) = output else {
            return None;
        };
        Some(url)
    });
    moves.collect()
}

//= spec/postern.md#answer type=test
//# A device MUST NOT move to a URL that its bundle does not list.
#[test]
fn move_hint_to_a_place_that_the_bundle_does_not_list_is_not_followed() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    for url in [
        "https://elsewhere.example/",
        "https://mailbox.test/",
        "https://mailbox.test.example",
        "http://mailbox.test",
    ] {
        assert_eq!(told_to_move(&mut lone, 0, url), [""; 0], "{url}");
    }
}

//= spec/postern.md#answer type=test
//# A device MUST NOT move because of hint 3 within 60 s of the last such move.
#[test]
fn move_hint_to_a_listed_place_is_followed_once_a_minute() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let listed = "https://mailbox.test";
    assert_eq!(told_to_move(&mut lone, 1_000_000, listed), [listed]);
    assert_eq!(told_to_move(&mut lone, 1_059_999, listed), [""; 0]);
    assert_eq!(told_to_move(&mut lone, 1_060_000, listed), [listed]);
}
