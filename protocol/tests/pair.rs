//! Controller, mailbox and devices together, in virtual time: what must hold whatever happens.
//!
//! The world checks after every input that heads never go back, that nothing durable is lost and
//! that no engine asks to be woken in the past. A failure prints the seed that repeats it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests name what they expect and fail where it is not"
)]

use postern_protocol::Reject;
use postern_protocol::device::Event;
use postern_protocol::revision::Revision;
use postern_protocol::state::{Change, Path, Value};
use postern_protocol::testing::{Crash, Faults, World};

const NAMES: [&str; 3] = ["press-7", "press-8", "saw-1"];

fn converge(world: &mut World, seed: u64, limit_ms: u64) {
    let end_ms = world.now_ms + limit_ms;
    while world.now_ms < end_ms {
        if world.is_converged() {
            return;
        }
        world.run(5_000);
    }
    assert!(world.is_converged(), "seed {seed} does not converge");
}

fn rejects(world: &World, device: usize) -> Vec<Reject> {
    let events = world.devices[device].events.iter();
    events
        .filter_map(|event| match event {
            Event::Rejected { reject } => Some(*reject),
            _ => None,
        })
        .collect()
}

fn accepted(world: &World, device: usize) -> Vec<Revision> {
    let events = world.devices[device].events.iter();
    events
        .filter_map(|event| match event {
            Event::Accepted { revision, .. } => Some(*revision),
            _ => None,
        })
        .collect()
}

#[test]
fn devices_enrol_follow_and_report() {
    let mut world = World::with_devices(1, &NAMES);
    for device in 0..NAMES.len() {
        world.set(device, "a/x", device as u64);
    }
    world.run(3_000);
    assert!(world.is_converged());
    assert!((0..3).all(|device| rejects(&world, device).is_empty()));
}

#[test]
fn held_poll_delivers_a_change_without_waiting() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    world.run(30_000);
    let start = world.devices[0].exchanges;
    world.set(0, "a/x", 2);
    world.run(100);
    assert!(world.is_converged(), "a change travels in two round trips");
    let spent = world.devices[0].exchanges - start;
    assert!(spent <= 4, "{spent} exchanges for one change");
}

#[test]
fn change_costs_two_commits_and_idle_polls_none() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    world.run(60_000);
    let before = world.devices[0].store.commits();
    world.run(600_000);
    assert_eq!(world.devices[0].store.commits(), before);
    let controller = world.controller.store.commits();
    world.set(0, "a/x", 2);
    world.run(60_000);
    assert_eq!(world.devices[0].store.commits() - before, 2);
    assert_eq!(world.controller.store.commits() - controller, 2);
}

#[test]
fn restarted_controller_is_followed_along_its_lineage() {
    let mut world = World::with_devices(1, &NAMES);
    world.set(0, "a/x", 1);
    world.run(5_000);
    for value in 2..6 {
        world.restart_controller(None);
        world.set(0, "a/x", value);
        world.run(20_000);
        assert!(world.is_converged());
    }
    assert!(rejects(&world, 0).is_empty());
}

#[test]
fn restored_controller_is_refused_by_a_device_that_knows_better() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    world.run(5_000);
    let backup = world.controller.store.clone();
    world.set(0, "a/x", 2);
    world.run(5_000);
    let (head, state) = (world.devices[0].head(), world.member(0).desired().clone());
    world.restart_controller(Some(backup));
    world.set(0, "a/x", 3);
    world.run(300_000);
    assert_eq!(world.devices[0].head(), head);
    assert_eq!(world.devices[0].engine.as_ref().unwrap().state(), &state);
    assert!(rejects(&world, 0).contains(&Reject::WriterBehind));
    let report = world.member(0).report().unwrap();
    let codes: Vec<_> = report
        .report
        .lists
        .rejects()
        .iter()
        .map(|it| it.reject())
        .collect();
    assert!(
        codes.contains(&Some(Reject::WriterBehind)),
        "the operator is told"
    );
    assert!(report.report.accepted > world.member(0).head().revision || !world.is_converged());
}

#[test]
fn rotated_writer_is_followed_by_the_next_bundle() {
    let mut world = World::with_devices(1, &NAMES);
    world.set(0, "a/x", 1);
    world.run(5_000);
    world.keys.rotate_writer("writer-2", 2);
    world.restart_controller(None);
    world.set(0, "a/x", 2);
    world.run(120_000);
    assert!(world.is_converged());
    let number = world.devices[0].engine.as_ref().unwrap().trust().number();
    assert_eq!(number.number(), 2);
}

#[test]
fn restarted_mailbox_costs_a_new_session() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    world.run(5_000);
    world.mailbox.restart();
    world.set(0, "a/x", 2);
    world.run(120_000);
    assert!(world.is_converged());
}

#[test]
fn device_that_was_off_catches_up() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 0);
    world.run(5_000);
    world.kill(0);
    for value in 1..200 {
        world.set(0, "a/x", value);
    }
    world.run(86_400_000);
    world.restart(0);
    world.run(10_000);
    assert!(world.is_converged());
}

#[test]
fn failed_application_is_reported_and_tried_again() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.run(2_000);
    world.devices[0].failures = 2;
    world.set(0, "a/x", 1);
    world.run(10_000);
    assert!(!world.is_converged());
    let report = &world.member(0).report().unwrap().report;
    assert_eq!(report.lists.results()[0].status, 1);
    world.run(120_000);
    assert!(world.is_converged());
}

//= spec/postern.md#acceptance type=test
//# A reader MUST persist the accepted head together with the state, before it acknowledges.
/// Kills a device at its nth commit, before and after it, while changes keep coming.
#[test]
fn device_killed_at_any_commit_loses_and_repeats_nothing() {
    for after_commits in 0..12 {
        for is_lost in [true, false] {
            let seed = after_commits as u64;
            let mut world = World::with_devices(seed, &["press-7"]);
            world.devices[0].crash = Some(Crash {
                after_commits,
                is_lost,
            });
            for value in 0..6 {
                world.set(0, "a/x", value);
                world.run(700);
            }
            converge(&mut world, seed, 300_000);
            let accepted = accepted(&world, 0);
            let is_ascending = accepted.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(is_ascending, "applied to the store twice: {accepted:?}");
        }
    }
}

fn random_change(world: &mut World) -> Change {
    let section = world.dice.below(4);
    let path = format!("s{section}/p{}", world.dice.below(6));
    let path = Path::parse(&path).expect("a path");
    if world.dice.chance(250) {
        return Change::Remove(path);
    }
    let value = match world.dice.below(3) {
        0 => Value::Int(world.dice.below(1_000).into()),
        1 => Value::Bool(world.dice.chance(500)),
        _ => {
            let length = world.dice.below(9_000) as usize;
            Value::Text("x".repeat(length))
        }
    };
    Change::Set(path, value)
}

fn random_step(world: &mut World, device: usize) {
    match world.dice.below(100) {
        0..70 => {
            let change = random_change(world);
            world.decide(device, vec![change]);
        }
        70..78 => {
            let after_commits = world.dice.below(6) as usize;
            let is_lost = world.dice.chance(500);
            world.devices[device].crash = Some(Crash {
                after_commits,
                is_lost,
            });
        }
        78..84 => world.restart(device),
        84..90 => world.restart_controller(None),
        90..94 => world.mailbox.restart(),
        _ => world.devices[device].failures += 1,
    }
}

/// One random history over a rough network, then a calm end.
fn play(seed: u64) {
    let mut world = World::with_devices(seed, &NAMES);
    world.faults = Faults::ROUGH;
    for _ in 0..40 {
        let device = world.dice.below(NAMES.len() as u64) as usize;
        if world.devices[device].engine.is_none() {
            world.restart(device);
        }
        random_step(&mut world, device);
        let ms = world.dice.below(4_000);
        world.run(ms);
    }
    world.faults = Faults::default();
    for device in &mut world.devices {
        device.failures = 0;
        device.crash = None;
    }
    converge(&mut world, seed, 4_000_000);
    for device in 0..NAMES.len() {
        let accepted = accepted(&world, device);
        assert!(
            accepted.windows(2).all(|pair| pair[0] < pair[1]),
            "seed {seed}: applied to the store twice: {accepted:?}"
        );
        let exchanges = world.devices[device].exchanges;
        assert!(exchanges < 3_000, "seed {seed}: {exchanges} exchanges");
    }
}

#[test]
fn random_histories_converge() {
    for seed in 0..300 {
        play(seed);
    }
}

#[test]
fn same_seed_gives_the_same_bytes() {
    let run = || {
        let mut world = World::with_devices(11, &NAMES);
        world.faults = Faults::ROUGH;
        world.set(0, "a/x", 1);
        world.run(60_000);
        (
            world.controller.store.clone(),
            world.devices[0].store.clone(),
        )
    };
    assert_eq!(run(), run());
}
