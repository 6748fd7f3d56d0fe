//! What a narrow route makes wait: named once, tried now and then, never a loop.

use super::speech::{answer_hints, path, post_of, wanted as wanted_of};
use crate::device::sizes::HELD_BACK_MS;
use crate::device::{Event, Input};
use crate::frame::FrameType;
use crate::kind::MessageKind;
use crate::limits::FRAME_BYTES_MAX;
use crate::state::{Change, State, Value};
use crate::testing::{Answering, Lone, at, numbers};
use alloc::vec;
use alloc::vec::Vec;

const EPOCH: u64 = 100;

fn sizes(up_bytes_max: usize, down_bytes_max: usize) -> Input<'static> {
    Input::Sizes {
        up_bytes_max,
        down_bytes_max,
    }
}

fn connected() -> Lone {
    let mut lone = Lone::new();
    lone.connect();
    lone.acknowledge();
    lone
}

/// Sections of one value each.
fn wide_state() -> State {
    let names: Vec<_> = (0..20).map(|n| alloc::format!("s{n}/x")).collect();
    let values: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    numbers(&values)
}

fn fetching(up_bytes_max: usize, down_bytes_max: usize) -> Lone {
    let mut lone = connected();
    lone.input(sizes(up_bytes_max, down_bytes_max));
    let snapshot = lone.seal_snapshot(&wide_state(), at(EPOCH, 5), vec![]);
    lone.serve(&[snapshot]);
    lone
}

fn held_back(lone: &Lone) -> Vec<MessageKind> {
    let kinds = lone.node.events.iter().filter_map(|event| {
        if let Event::HeldBack { kind, .. } = event {
            return Some(*kind);
        }
        None
    });
    kinds.collect()
}

/// Gives the device a report to send that no bound below 500 bytes carries.
fn report_large(lone: &mut Lone) {
    let state = numbers(&[("a/x", 1)]);
    let snapshot = lone.seal_snapshot(&state, at(EPOCH, 5), vec![]);
    lone.serve(&[snapshot]);
    lone.serve_bodies(&state);
    lone.drop_requests();
    lone.apply(1, &"x".repeat(500));
}

/// Bodies that a fetch asks for: each takes 36 bytes, everything else together fewer.
fn wanted(request: &Answering) -> usize {
    request.frame.len() / 36
}

#[test]
fn fetch_asks_for_fewer_bodies_on_a_narrow_route() {
    let check = |down_bytes_max, expected| {
        let mut lone = fetching(FRAME_BYTES_MAX, down_bytes_max);
        let fetch = lone.request(FrameType::Fetch).unwrap();
        assert_eq!(wanted(&fetch), expected, "{down_bytes_max}");
    };
    check(usize::MAX, 16);
    check(48 * 1024, 16);
    check(24 * 1024, 8);
    check(6 * 1024, 2);
    check(4 * 1024, 1);
    check(1, 1);
}

#[test]
fn fetch_that_cannot_pass_is_named_once_and_tried_every_ten_minutes() {
    let mut lone = fetching(FRAME_BYTES_MAX, 0);
    for _ in 0..2 {
        assert!(lone.request(FrameType::Fetch).is_none());
        lone.run(HELD_BACK_MS + 1);
        let fetch = lone.request(FrameType::Fetch).unwrap();
        lone.input(Input::Failed {
            exchange: fetch.exchange,
        });
    }
    assert_eq!(held_back(&lone), [MessageKind::Snapshot]);
}

#[test]
fn fetch_goes_on_when_another_route_carries_more() {
    let mut lone = fetching(FRAME_BYTES_MAX, 0);
    assert!(lone.request(FrameType::Fetch).is_none());
    lone.input(sizes(FRAME_BYTES_MAX, 4096));
    assert!(lone.request(FrameType::Fetch).is_some());
}

#[test]
fn report_above_the_bound_is_named_once_and_tried_every_ten_minutes() {
    let mut lone = connected();
    lone.input(sizes(400, FRAME_BYTES_MAX));
    report_large(&mut lone);
    for _ in 0..2 {
        assert!(lone.request(FrameType::Post).is_none());
        lone.run(HELD_BACK_MS + 1);
        let post = lone.request(FrameType::Post).unwrap();
        lone.input(Input::Failed {
            exchange: post.exchange,
        });
    }
    assert_eq!(held_back(&lone), [MessageKind::Report]);
}

#[test]
fn report_that_waits_for_a_wider_route_keeps_nothing_else_waiting() {
    let mut lone = connected();
    lone.input(sizes(400, FRAME_BYTES_MAX));
    report_large(&mut lone);
    let snapshot = lone.seal_snapshot(&wide_state(), at(EPOCH, 6), vec![]);
    lone.serve(&[snapshot]);
    assert!(lone.request(FrameType::Fetch).is_some());
    assert!(lone.request(FrameType::Post).is_none());
    lone.input(sizes(500, FRAME_BYTES_MAX));
    assert!(lone.request(FrameType::Post).is_none(), "still too narrow");
    lone.input(sizes(4096, FRAME_BYTES_MAX));
    assert!(lone.request(FrameType::Post).is_none(), "one at a time");
}

#[test]
fn report_goes_out_when_the_route_became_wide_enough() {
    let mut lone = connected();
    lone.input(sizes(400, FRAME_BYTES_MAX));
    report_large(&mut lone);
    assert!(lone.request(FrameType::Post).is_none());
    lone.input(sizes(4096, FRAME_BYTES_MAX));
    assert!(lone.request(FrameType::Post).is_some());
}

#[test]
fn report_that_waits_causes_no_busy_loop() {
    let mut lone = connected();
    lone.input(sizes(100, FRAME_BYTES_MAX));
    report_large(&mut lone);
    let due_ms = lone.node.engine.as_ref().unwrap().poll_timeout().unwrap();
    assert!(due_ms > lone.now_ms, "{due_ms} at {}", lone.now_ms);
}

#[test]
fn report_that_was_acknowledged_after_all_wakes_nobody() {
    let mut lone = connected();
    lone.input(sizes(400, FRAME_BYTES_MAX));
    report_large(&mut lone);
    lone.run(HELD_BACK_MS + 1);
    lone.acknowledge();
    assert_eq!(held_back(&lone), [MessageKind::Report]);
    let wakes = lone.run(2 * HELD_BACK_MS);
    assert!(wakes < 60, "{wakes}: heartbeats and nothing else");
    assert!(lone.request(FrameType::Post).is_none());
}

#[test]
fn bounds_that_are_told_again_or_become_narrower_are_no_news() {
    let mut lone = connected();
    lone.input(sizes(400, FRAME_BYTES_MAX));
    report_large(&mut lone);
    for up_bytes_max in [400, 300, 300] {
        lone.input(sizes(up_bytes_max, FRAME_BYTES_MAX));
        assert_eq!(held_back(&lone), [MessageKind::Report], "{up_bytes_max}");
    }
    let mut lone = fetching(FRAME_BYTES_MAX, 0);
    lone.input(sizes(FRAME_BYTES_MAX, 0));
    assert_eq!(held_back(&lone), [MessageKind::Snapshot]);
    assert!(lone.request(FrameType::Fetch).is_none());
}

#[test]
fn wider_way_down_does_not_hurry_a_fetch_that_waits_for_its_bodies() {
    let mut lone = fetching(FRAME_BYTES_MAX, 4096);
    let fetch = lone.request(FrameType::Fetch).unwrap();
    lone.answer(&fetch, &[]);
    lone.input(sizes(FRAME_BYTES_MAX, 8192));
    assert!(lone.request(FrameType::Fetch).is_none(), "at a pace");
    lone.run(5_000);
    assert!(lone.request(FrameType::Fetch).is_some());
}

#[test]
fn bodies_up_fill_what_the_route_carries_and_no_byte_more() {
    let text = Value::Text("x".repeat(20_000));
    let change = Change::Set(path("log/last"), text.clone());
    let state = State::from_entries([(path("log/last"), text)]).unwrap();
    for up_bytes_max in [2_048, 4_096, 8_192] {
        let mut lone = connected();
        lone.input(sizes(up_bytes_max, FRAME_BYTES_MAX));
        let changes = vec![change.clone()];
        lone.input(Input::WriteActual { ticket: 1, changes });
        let (post, _) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
        answer_hints(&mut lone, &post, wanted_of(&state));
        let put = lone.request(FrameType::Put).unwrap().frame.len();
        assert!(put <= up_bytes_max, "{put} of {up_bytes_max}");
        assert!(put + 64 > up_bytes_max, "{put} of {up_bytes_max}");
    }
}

#[test]
fn small_bodies_travel_up_together() {
    let mut lone = connected();
    let text = || Value::Text("x".repeat(1_000));
    let entries = ["a/x", "b/x", "c/x"].map(|name| (path(name), text()));
    let state = State::from_entries(entries.clone()).unwrap();
    let changes = entries.map(|(path, value)| Change::Set(path, value));
    lone.input(Input::WriteActual {
        ticket: 1,
        changes: changes.to_vec(),
    });
    let (post, _) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    answer_hints(&mut lone, &post, wanted_of(&state));
    let put = lone.request(FrameType::Put).unwrap();
    assert!(put.frame.len() > 3_000, "all three are in it");
}
