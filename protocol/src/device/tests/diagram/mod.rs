//! Draws what becomes of the planes, the application and the streams of a device, by playing them.

mod actual;
mod streams;

use crate::device::Input;
use crate::frame::{PlainFrame, body_frames};
use crate::id::Plane;
use crate::revision::{Revision, ended};
use crate::state::State;
use crate::testing::{Lone, at, diagram_page, diagram_states, numbers};
use std::format;
use std::string::String;
use std::vec::Vec;

const FIRST_EPOCH: u64 = 100;

const DESIRED: [&str; 8] = [
    "a snapshot above it, bodies held",
    "a snapshot above it, bodies missing",
    "the missing bodies",
    "a delta that continues it",
    "a delta from another base",
    "its number with another content",
    "a further epoch that covers it",
    "the process restarts",
];

/// Gives an envelope by hand: no session has to be opened for it.
fn bring(lone: &mut Lone, envelope: &[u8]) {
    let frame = PlainFrame::Posted {
        channel: lone.node.identity.channel.id(),
        plane: Some(Plane::Desired),
        envelope,
    };
    let frame = frame.encode().unwrap();
    lone.input(Input::Filed { frame: &frame });
}

fn bring_bodies(lone: &mut Lone, state: &State) {
    let channel = lone.node.identity.channel.id();
    for frame in body_frames(channel, Plane::Desired, state.bodies()).unwrap() {
        lone.input(Input::Filed { frame: &frame });
    }
}

/// A state that no other number has.
fn content(number: u64) -> State {
    numbers(&[("a/x", number)])
}

fn play_desired(row: &[usize]) -> String {
    let mut lone = Lone::new();
    for event in row {
        let engine = lone.node.engine.as_ref().unwrap();
        let (held, state) = (engine.desired.head, engine.state().clone());
        let pending = engine.desired.pending.as_ref();
        let seen = pending.map(|pending| pending.head.revision);
        let head = held.map_or(at(FIRST_EPOCH, 50), |head| head.revision);
        let epoch = head.epoch.number();
        let seq = |revision: Revision| revision.seq.number();
        let above = seq(seen.unwrap_or(head)) + 10;
        let envelope = match *event {
            0 => lone.seal_snapshot(&state, at(epoch, above), Vec::new()),
            1 => lone.seal_snapshot(&content(above), at(epoch, above), Vec::new()),
            2 => {
                bring_bodies(&mut lone, &content(seen.map_or(0, seq)));
                continue;
            }
            3 | 4 => {
                let base = seq(head) + if *event == 3 { 0 } else { 3 };
                lone.seal_step(&state, &content(above + 1), base, at(epoch, base + 1))
            }
            5 if held.is_some() => lone.seal_snapshot(&content(7), head, Vec::new()),
            6 => {
                let lineage = held.iter().map(ended).collect();
                lone.seal_snapshot(&state, at(epoch + 1, 1), lineage)
            }
            7 => {
                lone.restart();
                continue;
            }
            _ => continue,
        };
        bring(&mut lone, &envelope);
    }
    let desired = &lone.node.engine.as_ref().unwrap().desired;
    let held = match (desired.head, desired.frozen) {
        (None, None) => "nothing",
        (None, Some(_)) => "nothing, an epoch is frozen",
        (Some(_), None) => "a state",
        (Some(_), Some(_)) => "a state, its epoch is frozen",
    };
    let pending = desired.pending.as_ref();
    pending.map_or_else(
        || held.into(),
        |_| format!("{held}, and a snapshot that waits for bodies"),
    )
}

const APPLICATION: [&str; 6] = [
    "a revision is accepted",
    "it ends well",
    "it fails",
    "its time to try again comes",
    "the gate closes",
    "the gate opens",
];

fn play_application(row: &[usize]) -> String {
    let mut lone = Lone::holding(&content(0), at(FIRST_EPOCH, 1));
    for event in row {
        let engine = lone.node.engine.as_ref().unwrap();
        let (state, head) = (engine.state().clone(), engine.desired.head.unwrap());
        match *event {
            0 => {
                let base = head.revision.seq.number();
                let to = at(FIRST_EPOCH, base + 1);
                let delta = lone.seal_step(&state, &content(base), base, to);
                bring(&mut lone, &delta);
            }
            1 => lone.apply(0, ""),
            2 => lone.apply(1, "no"),
            3 => {
                lone.run(3_600_000);
            }
            4 => lone.input(Input::Gate { is_open: false }),
            _ => lone.input(Input::Gate { is_open: true }),
        }
    }
    let engine = lone.node.engine.as_ref().unwrap();
    let newest = engine.desired.head.map(|head| head.revision);
    let application = match (lone.applies.is_empty(), newest == Some(engine.applied())) {
        (false, _) => "applying",
        (true, true) => "applied",
        (true, false) => "not applied",
    };
    if engine.application.is_closed {
        format!("{application}, gate closed")
    } else {
        application.into()
    }
}

#[test]
fn device_is_drawn_as_it_moves() {
    diagram_page::check(
        env!("CARGO_MANIFEST_DIR"),
        &[
            (
                "The desired plane of a device",
                "`protocol/src/device/accept.rs` and `fetch.rs`, for #acceptance and #snapshot; the table of #acceptance is drawn above",
                diagram_states::draw(&DESIRED, &play_desired),
            ),
            (
                "A device and its application",
                "`protocol/src/device/apply.rs`, for #report",
                diagram_states::draw(&APPLICATION, &play_application),
            ),
            (
                "The actual plane of a device",
                "`protocol/src/device/offer.rs`, for #actual",
                diagram_states::draw(&actual::EVENTS, &actual::play),
            ),
            (
                "The streams of a device",
                "`protocol/src/device/stream.rs`, for #stream",
                diagram_states::draw(&streams::EVENTS, &streams::play),
            ),
        ],
    );
}
