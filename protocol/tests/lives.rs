//! Both ends over time: planes that come together, writers that lose history, actions that run once.
//!
//! Real engines in virtual time. Refuses to look into them: only what they show counts.

#![expect(
    clippy::expect_used,
    reason = "tests name what they expect and fail where it is not"
)]

use postern_protocol::controller::{self, Input};
use postern_protocol::device::{Device, Event};
use postern_protocol::state::{Path, State, Value};
use postern_protocol::testing::{Faults, MemoryStore, World};

fn started(seed: u64) -> World {
    let mut world = World::with_devices(seed, &["press-7"]);
    world.set(0, "a/x", 1);
    world.run(30_000);
    world
}

fn engine(world: &World) -> &Device {
    let node = world.devices.first().expect("it was enrolled");
    node.engine.as_ref().expect("it lives")
}

/// True when the controller holds exactly what the device wrote.
fn is_read(world: &World) -> bool {
    let own = engine(world)
        .actual_head()
        .map(|head| (head.revision, head.digest));
    let held = world
        .member(0)
        .actual_head()
        .map(|head| (head.revision, head.digest));
    own == held && world.member(0).actual() == engine(world).actual()
}

fn value(state: &State, path: &str) -> Option<Value> {
    state.value(path).cloned()
}

fn number(value: u64) -> Option<Value> {
    Some(Value::Int(value.into()))
}

#[test]
fn actual_plane_reaches_the_controller_and_is_acknowledged() {
    let mut world = started(1);
    world.write_actual(0, "net/mtu", 1_500);
    world.run(30_000);
    assert!(is_read(&world));
    for mtu in 1..=40 {
        world.write_actual(0, "net/mtu", mtu);
        world.run(500);
    }
    world.run(30_000);
    assert!(is_read(&world));
    let head = engine(&world).actual_head().expect("written").revision;
    assert_eq!(engine(&world).actual_acknowledged(), head);
}

#[test]
fn large_actual_plane_is_put_in_pieces() {
    let mut world = started(2);
    for section in 0..12 {
        for entry in 0..300 {
            world.write_actual(0, &format!("s{section}/{entry:03}-{}", "x".repeat(150)), 1);
        }
    }
    world.run(200_000);
    assert!(is_read(&world));
}

/// SQ-04, SQ-11, SQ-15, SQ-40: lost, doubled, late, forged and replayed frames, and devices that die.
#[test]
fn both_planes_come_together_after_a_rough_network() {
    for seed in 0..12 {
        let mut world = started(seed);
        world.faults = Faults::ROUGH;
        for turn in 0..12 {
            world.set(0, "a/x", turn);
            world.write_actual(0, "net/mtu", turn);
            world.run(7_000);
            if turn % 5 == 4 {
                world.restart(0);
            }
        }
        world.faults = Faults::default();
        world.run(400_000);
        assert!(world.is_converged() && is_read(&world), "seed {seed}");
    }
}

#[test]
fn device_restarts_continue_their_actual_plane() {
    let mut world = started(3);
    world.write_actual(0, "net/mtu", 1);
    world.run(30_000);
    for _ in 0..5 {
        world.restart(0);
        world.run(40_000);
        assert!(is_read(&world));
    }
}

/// PROTOCOL 2: a device whose disk was put back lost writes that the controller holds.
#[test]
fn device_restored_from_a_backup_is_read_again() {
    let mut world = started(4);
    world.write_actual(0, "net/mtu", 1);
    world.run(30_000);
    let backup = world.devices[0].store.clone();
    for turn in 2..6 {
        world.write_actual(0, "net/mtu", turn);
        world.run(20_000);
        world.restart(0);
        world.run(20_000);
    }
    world.put_back(0, backup);
    world.run(400_000);
    assert!(is_read(&world));
    assert_eq!(value(world.member(0).actual(), "net/mtu"), number(1));
}

fn recovered(world: &World) -> bool {
    let is_it = |event: &controller::Event| matches!(event, controller::Event::Recovered { .. });
    world.controller.events.iter().any(is_it)
}

/// A controller restored to an earlier backup, which the device knows better than.
fn restored(seed: u64, decide: bool) -> (World, MemoryStore) {
    let mut world = started(seed);
    let backup = world.controller.store.clone();
    for turn in 2..=10 {
        world.set(0, "a/x", turn);
        world.run(10_000);
    }
    world.restart_controller(Some(backup.clone()));
    if decide {
        world.set(0, "a/other", 77);
    }
    world.run(300_000);
    (world, backup)
}

/// SQ-20, SQ-21: a database that went back is given its history by the fleet.
#[test]
fn restored_controller_takes_back_what_the_device_holds() {
    let (mut world, _) = restored(5, false);
    assert!(recovered(&world));
    assert_eq!(value(world.member(0).desired(), "a/x"), number(10));
    assert!(world.is_converged());
    world.set(0, "a/x", 11);
    world.run(60_000);
    assert!(world.is_converged());
}

#[test]
fn restored_controller_that_decided_waits_for_its_operator() {
    for (take, expected) in [
        (controller::Take::Device, 10),
        (controller::Take::Controller, 1),
    ] {
        let (mut world, _) = restored(6, true);
        assert!(!recovered(&world) && world.member(0).is_behind());
        assert_eq!(value(engine(&world).state(), "a/x"), number(10));
        let ticket = world.ticket();
        let channel = world.devices[0].identity.channel.clone();
        world.control(Input::Resolve {
            ticket,
            tenant: channel.tenant,
            device: channel.device,
            take,
        });
        world.run(120_000);
        assert!(world.is_converged());
        assert_eq!(value(engine(&world).state(), "a/x"), number(expected));
    }
}

#[test]
fn intent_runs_once_however_often_anybody_restarts() {
    let mut world = started(7);
    let channel = world.devices[0].identity.channel.clone();
    for _ in 0..3 {
        let ticket = world.ticket();
        world.control(Input::Intend {
            ticket,
            tenant: channel.tenant.clone(),
            device: channel.device.clone(),
            path: Path::parse("intent/restart").expect("a path"),
        });
        world.run(30_000);
        world.restart(0);
        world.restart_controller(None);
        world.run(60_000);
    }
    let acts = world.devices[0].acts.iter();
    let acts: Vec<_> = acts
        .map(|(_, value, is_retry)| (*value, *is_retry))
        .collect();
    assert_eq!(acts, [(1, false), (2, false), (3, false)]);
    assert_eq!(value(world.member(0).actual(), "intent/restart"), number(3));
}

fn is_stale(world: &World) -> bool {
    let now = postern_protocol::context::Now {
        mono_ms: world.now_ms,
        unix_s: None,
    };
    engine(world).freshness(now).is_stale
}

/// SQ-06: who holds everything back is noticed by an own clock that runs, and heard again at once.
#[test]
fn silence_turns_stale_and_an_echo_ends_it() {
    let mut world = started(8);
    world.run(3_600_000);
    assert!(!is_stale(&world), "an idle hour is fresh");
    world.faults.drop = 1_000;
    world.run(1_300_000);
    assert!(is_stale(&world));
    world.faults.drop = 0;
    world.run(200_000);
    assert!(!is_stale(&world));
    let turned = Event::FreshnessChanged { is_stale: true };
    assert!(world.devices[0].events.contains(&turned));
}

#[test]
fn idle_hour_costs_no_commit_and_few_exchanges() {
    let mut world = started(9);
    world.run(120_000);
    let (commits, exchanges) = (world.devices[0].store.commits(), world.devices[0].exchanges);
    world.run(3_600_000);
    assert_eq!(world.devices[0].store.commits(), commits);
    let spent = world.devices[0].exchanges - exchanges;
    assert!(spent <= 100, "{spent} exchanges");
}
