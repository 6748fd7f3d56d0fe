//! Encryption over time: switched on under way, rotated, restored, restarted; and what nobody on the
//! way can read.
//!
//! Real engines in virtual time. Refuses to look into them: only what they show and what a mailbox
//! holds counts.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests name what they expect and fail where it is not"
)]

use postern_protocol::Reject;
use postern_protocol::controller::{self, Input};
use postern_protocol::device::{Device, Event};
use postern_protocol::revision::KeyGeneration;
use postern_protocol::state::{Change, Path, Value};
use postern_protocol::testing::{Faults, World};

const MARK: &str = "marker-that-nobody-reads";

fn started(seed: u64) -> World {
    let mut world = World::with_devices(seed, &["press-7"]);
    world.set(0, "a/x", 1);
    world.write_actual(0, "net/mtu", 1);
    world.run(30_000);
    world
}

fn encrypt(world: &mut World) {
    world.encrypt(0);
}

fn encrypted(seed: u64) -> World {
    let mut world = started(seed);
    encrypt(&mut world);
    world.run(60_000);
    world
}

fn mark(world: &mut World, path: &str) {
    let path = Path::parse(path).expect("a path");
    world.decide(0, vec![Change::Set(path, Value::Text(MARK.into()))]);
}

fn engine(world: &World) -> &Device {
    let node = world.devices.first().expect("it was enrolled");
    node.engine.as_ref().expect("it lives")
}

/// True when both ends hold the same of both planes, and both under keyed digests.
fn is_together(world: &World) -> bool {
    let (member, device) = (world.member(0), engine(world));
    let own = device
        .actual_head()
        .map(|head| (head.revision, head.digest));
    let held = member
        .actual_head()
        .map(|head| (head.revision, head.digest));
    let states = [
        member.desired(),
        member.actual(),
        device.state(),
        device.actual(),
    ];
    let is_keyed = states.iter().all(|state| state.digester().is_keyed());
    world.is_converged() && own == held && is_keyed && member.actual() == device.actual()
}

/// True when the mailbox holds the mark in a byte that is not encrypted.
fn is_readable(world: &World) -> bool {
    let channel = world.devices[0].identity.channel.id();
    let file = world.mailbox.file_of(channel);
    assert!(!file.is_empty());
    let holds = |frame: &Vec<u8>| {
        frame
            .windows(MARK.len())
            .any(|part| part == MARK.as_bytes())
    };
    file.iter().any(holds)
}

fn generation(number: u64) -> Option<KeyGeneration> {
    Some(KeyGeneration::new(number))
}

//= spec/encryption.md#switching-on type=test
//# A controller that gives keys of a further generation MUST open a further epoch of `desired`
//# with a snapshot that they encrypt.
//= spec/encryption.md#switching-on type=test
//# A device that takes its first plane keys MUST open a further epoch of `actual`, whose
//# digests are keyed.
#[test]
fn planes_that_are_encrypted_under_way_stay_together() {
    let mut world = started(1);
    let before = (
        world.member(0).head().revision,
        engine(&world).actual_head().copied(),
    );
    encrypt(&mut world);
    world.run(60_000);
    assert!(is_together(&world));
    assert!(world.member(0).head().revision.epoch > before.0.epoch);
    let actual = engine(&world).actual_head().expect("written").revision;
    assert!(actual.epoch > before.1.expect("written").revision.epoch);
    world.set(0, "a/x", 2);
    world.write_actual(0, "net/mtu", 2);
    world.run(60_000);
    assert!(is_together(&world));
}

#[test]
fn mailbox_of_an_encrypted_device_holds_nothing_readable() {
    let mut world = started(2);
    mark(&mut world, "a/secret");
    world.run(30_000);
    assert!(is_readable(&world), "the test finds what is there");
    encrypt(&mut world);
    assert!(!is_readable(&world));
    mark(&mut world, "b/secret");
    assert!(!is_readable(&world));
    world.run(60_000);
    assert!(!is_readable(&world) && is_together(&world));
}

//= spec/encryption.md#plane-key type=test
//# A device MUST forget the generations below the one that encrypts a snapshot which it
//# accepted.
#[test]
fn keys_are_rotated_while_both_planes_change() {
    let mut world = encrypted(3);
    for turn in 2..=9 {
        encrypt(&mut world);
        world.set(0, "a/x", turn);
        world.write_actual(0, "net/mtu", turn);
        world.run(20_000);
        assert_eq!(engine(&world).key_generation(), generation(turn));
    }
    world.run(60_000);
    assert!(is_together(&world));
    assert_eq!(engine(&world).key_generations_count(), 1);
}

#[test]
fn device_that_was_away_for_many_rotations_comes_back() {
    let mut world = encrypted(4);
    world.write_actual(0, "net/mtu", 7);
    world.kill(0);
    for turn in 2..=9 {
        encrypt(&mut world);
        world.set(0, "a/x", turn);
        world.run(1_000);
    }
    world.restart(0);
    world.run(200_000);
    assert!(is_together(&world));
    assert_eq!(engine(&world).key_generation(), generation(9));
}

//= spec/encryption.md#plane-key type=test
//# A device MUST persist the keys before it encrypts or decrypts with them.
//= spec/encryption.md#plane-key type=test
//# A controller MUST persist keys before it signs a plane-key that holds them.
#[test]
fn restarts_of_both_ends_keep_the_keys() {
    let mut world = encrypted(5);
    for turn in 2..6 {
        world.restart(0);
        world.restart_controller(None);
        world.set(0, "a/x", turn);
        world.write_actual(0, "net/mtu", turn);
        world.run(60_000);
        assert!(is_together(&world), "turn {turn}");
    }
    assert_eq!(engine(&world).key_generation(), generation(1));
}

#[test]
fn encrypted_planes_come_together_after_a_rough_network() {
    for seed in 0..8 {
        let mut world = started(seed);
        world.faults = Faults::ROUGH;
        for turn in 0..10 {
            if turn % 4 == 1 {
                encrypt(&mut world);
            }
            world.set(0, "a/x", turn);
            world.write_actual(0, "net/mtu", turn);
            world.run(7_000);
            if turn % 5 == 4 {
                world.restart(0);
            }
        }
        world.faults = Faults::default();
        world.run(400_000);
        assert!(is_together(&world), "seed {seed}");
    }
}

#[test]
fn restored_controller_takes_back_an_encrypted_history() {
    let mut world = encrypted(6);
    let backup = world.controller.store.clone();
    for turn in 2..=10 {
        world.set(0, "a/x", turn);
        world.run(10_000);
    }
    world.restart_controller(Some(backup));
    world.run(300_000);
    let is_recovered =
        |event: &controller::Event| matches!(event, controller::Event::Recovered { .. });
    assert!(world.controller.events.iter().any(is_recovered));
    let value = world.member(0).desired().value("a/x").cloned();
    assert_eq!(value, Some(Value::Int(10_u64.into())));
    assert!(is_together(&world));
}

#[test]
fn controller_restored_to_a_former_generation_rotates_on() {
    let mut world = encrypted(7);
    let backup = world.controller.store.clone();
    encrypt(&mut world);
    world.run(60_000);
    world.restart_controller(Some(backup));
    world.run(300_000);
    // The same number with other keys: the later epoch tells which count.
    encrypt(&mut world);
    world.set(0, "a/x", 5);
    world.run(300_000);
    assert!(is_together(&world));
}

#[test]
fn device_restored_from_before_its_keys_gets_them_again() {
    let mut world = started(8);
    let backup = world.devices[0].store.clone();
    encrypt(&mut world);
    world.set(0, "a/x", 2);
    world.write_actual(0, "net/mtu", 2);
    world.run(60_000);
    world.put_back(0, backup);
    world.run(400_000);
    assert!(is_together(&world));
}

#[test]
fn new_life_of_an_encrypted_name_is_encrypted() {
    let mut world = encrypted(9);
    let before = *world.member(0).desired().root();
    assert!(world.enrol_again(0, "device-b"));
    world.run(120_000);
    world.write_actual(0, "net/mtu", 4);
    world.run(120_000);
    assert!(is_together(&world));
    assert_ne!(*world.member(0).desired().root(), before, "keys of its own");
    assert!(!is_readable(&world));
}

#[test]
fn large_encrypted_planes_travel_in_pieces() {
    let mut world = encrypted(10);
    let text = "x".repeat(20_000);
    let changes = (0..6).map(|at| {
        let path = Path::parse(&format!("s{at}/text")).expect("a path");
        Change::Set(path, Value::Text(text.clone()))
    });
    world.decide(0, changes.collect());
    for section in 0..4 {
        for entry in 0..200 {
            world.write_actual(0, &format!("t{section}/{entry:03}-{}", "y".repeat(150)), 1);
        }
    }
    world.run(300_000);
    assert!(is_together(&world));
}

#[test]
fn unknown_device_is_not_encrypted() {
    let mut world = started(11);
    let ticket = world.ticket();
    let channel = world.keys.channel("press-9");
    world.control(Input::Encrypt {
        ticket,
        tenant: channel.tenant,
        device: channel.device,
    });
    let is_refused = |event: &controller::Event| {
        matches!(
            event,
            controller::Event::Refused {
                reject: Reject::NotAdmitted,
                ..
            }
        )
    };
    assert!(world.controller.events.iter().any(is_refused));
}

#[test]
fn keys_are_shown_as_an_event_and_never_as_bytes() {
    let world = encrypted(12);
    let taken = Event::PlaneKeysTaken {
        generation: KeyGeneration::new(1),
    };
    assert!(world.devices[0].events.contains(&taken));
    let shown = format!("{:?} {:?}", engine(&world), world.controller.engine);
    assert!(shown.contains("DigestKey(..)") && shown.contains("AgreementSecret(..)"));
}
