//! Decisions: one number each, durable before signed, contiguous within an epoch.

use crate::Reject;
use crate::controller::{Event, Input};
use crate::limits::{LINEAGE_MAX, VALUE_BYTES_MAX};
use crate::revision::{Revision, Seq};
use crate::state::{Change, Path, Value};
use crate::testing::World;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

fn set(path: &str, value: Value) -> Change {
    Change::Set(Path::parse(path).unwrap(), value)
}

fn seq(world: &World) -> u64 {
    world.member(0).head().revision.seq.number()
}

fn refused(world: &World) -> Option<Reject> {
    match world.controller.events.last() {
        Some(Event::Refused { reject, .. }) => Some(*reject),
        _ => None,
    }
}

//= spec/postern.md#revisions type=test
//# A writer MUST raise seq by exactly one for each decision that changes the state.
#[test]
fn decision_counts_one_however_many_paths_change() {
    let mut world = World::with_devices(1, &["press-7"]);
    let before = seq(&world);
    let changes = (0..20).map(|n| set(&format!("a/{n}"), Value::Bool(true)));
    world.decide(0, changes.collect());
    assert_eq!(seq(&world), before + 1);
}

/// SQ-13: the number moves only with the meaning.
#[test]
fn change_of_nothing_is_no_decision() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    let (before, commits) = (seq(&world), world.controller.store.commits());
    world.set(0, "a/x", 1);
    assert_eq!(seq(&world), before);
    assert_eq!(world.controller.store.commits(), commits);
    let last = world.controller.events.last();
    assert!(matches!(
        last,
        Some(Event::Decided {
            is_change: false,
            ..
        })
    ));
}

//= spec/postern.md#revisions type=test
//# A writer MUST NOT sign two different digests for one revision.
/// SQ-10: D1, D2, D1 are three numbers.
#[test]
fn revert_is_a_new_decision_with_the_old_digest() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    let first = *world.member(0).head();
    world.set(0, "a/x", 2);
    world.set(0, "a/x", 1);
    let third = *world.member(0).head();
    assert_eq!(third.digest, first.digest);
    assert_eq!(
        third.revision.seq,
        Seq::new(first.revision.seq.number() + 2)
    );
}

#[test]
fn impossible_decisions_are_refused_and_count_nothing() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    let before = (seq(&world), world.controller.store.clone());
    let path = |text| Path::parse(text).unwrap();
    let long = Value::Text("x".repeat(VALUE_BYTES_MAX + 1));
    let cases = [
        (set("a/x/y", Value::Null), Reject::PathConflict),
        (set("a", Value::Null), Reject::PathConflict),
        (Change::Remove(path("a/z")), Reject::DeltaRemoveAbsent),
        (set("a/y", long), Reject::ValueOversize),
    ];
    for (change, reject) in cases {
        world.decide(0, vec![change]);
        assert_eq!(refused(&world), Some(reject));
    }
    assert_eq!((seq(&world), world.controller.store.clone()), before);
}

//= spec/postern.md#digest type=test
//# A writer MUST refuse with `state-oversize` a change after which the section table and the
//# longest lineage fit no envelope.
#[test]
fn table_that_fits_no_envelope_is_refused() {
    let mut world = World::with_devices(1, &["press-7"]);
    let name = "s".repeat(240);
    let changes = (0..200).map(|n| set(&format!("{name}{n}/x"), Value::Null));
    world.decide(0, changes.collect());
    assert_eq!(refused(&world), Some(Reject::StateOversize));
    world.set(0, "a/x", 1);
    world.run(10_000);
    assert!(world.is_converged());
}

#[test]
fn unknown_device_is_refused() {
    let mut world = World::with_devices(1, &["press-7"]);
    let channel = world.keys.channel("nobody");
    let ticket = world.ticket();
    world.control(Input::Decide {
        ticket,
        tenant: channel.tenant,
        device: channel.device,
        changes: vec![set("a/x", Value::Null)],
    });
    assert_eq!(refused(&world), Some(Reject::NotAdmitted));
}

#[test]
fn change_larger_than_an_envelope_travels_as_bodies() {
    let mut world = World::with_devices(1, &["press-7"]);
    let text = Value::Text("x".repeat(30_000));
    let changes: Vec<_> = (0..6)
        .map(|n| set(&format!("s{n}/x"), text.clone()))
        .collect();
    world.decide(0, changes);
    world.run(20_000);
    assert!(world.is_converged());
}

//= spec/postern.md#epochs type=test
//# A writer MUST open a new epoch at every start after which it cannot prove that its store is the
//# newest.
#[test]
fn start_opens_an_epoch_with_the_same_content() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    world.run(5_000);
    let before = *world.member(0).head();
    world.restart_controller(None);
    let after = *world.member(0).head();
    assert!(after.revision.epoch > before.revision.epoch);
    assert_eq!(
        (after.revision.seq, after.digest),
        (Seq::new(1), before.digest)
    );
    world.run(30_000);
    assert_eq!(world.devices[0].head(), Some(after.revision));
}

#[test]
fn start_without_a_clock_still_opens_a_higher_epoch() {
    let world = World::with_devices(1, &["press-7"]);
    let before = world.controller.engine.epoch();
    let mut node =
        crate::testing::ControllerNode::restore(&world.keys, world.controller.store.clone());
    let mut dice = crate::testing::Dice::new(3);
    let mut context = crate::controller::Context {
        now: crate::context::Now {
            mono_ms: 0,
            unix_s: None,
        },
        random: &mut dice,
        keys: &world.keys,
    };
    node.engine.handle_input(&mut context, Input::Start);
    assert!(node.engine.epoch() > before);
}

//= spec/postern.md#lineage type=test
//# A writer MUST keep an entry for every epoch that a reader has shown in a signed head and not yet
//# left.
#[test]
fn device_off_for_a_hundred_restarts_follows() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    world.run(5_000);
    world.kill(0);
    for n in 0..LINEAGE_MAX as u64 + 40 {
        world.run(1_000);
        world.restart_controller(None);
        world.set(0, "a/x", n + 2);
    }
    world.restart(0);
    world.run(60_000);
    assert!(world.is_converged());
}

#[test]
fn missing_records_are_named() {
    let world = {
        let mut world = World::with_devices(1, &["press-7"]);
        world.set(0, "a/x", 1);
        world
    };
    let mut store = world.controller.store.clone();
    let id = world.devices[0].identity.channel.id();
    let mut key = id.as_bytes().to_vec();
    key.extend_from_slice(b"a/x");
    store.overwrite(crate::record::Table::Values, &key, None);
    let restored = crate::controller::Controller::restore(world.keys.trust(), store.rows());
    let error = restored.map(|_| ()).unwrap_err();
    assert_eq!(
        (error.table, error.reject),
        ("values", Reject::DigestMismatch)
    );
}

#[test]
fn member_that_was_never_reached_holds_nothing() {
    let world = World::with_devices(1, &["press-7"]);
    assert_eq!(world.devices[0].head(), None);
    assert_ne!(world.member(0).head().revision, Revision::NONE);
}
