//! Files in both directions, with a device that no network reaches: both ends converge, a second
//! reading changes nothing, and what is not for the reader or not signed for it is refused.

use crate::controller::{self, Context};
use crate::device::{self, Applied, Event};
use crate::frame::{Direction, PlainFrame};
use crate::id::ChannelId;
use crate::reject::Reject;
use crate::revision::Revision;
use crate::state::{Change, Path, Value};
use crate::testing::World;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A controller and a device that never connects; something larger than a chunk is decided.
fn world() -> World {
    let mut world = World::with_devices(3, &["press-7"]);
    let path = |text: &str| Path::parse(text).unwrap();
    let long = Value::Text(String::from("x").repeat(30_000));
    world.decide(0, Vec::from([Change::Set(path("a/x"), long.clone())]));
    world.decide(0, Vec::from([Change::Set(path("a/y"), long)]));
    world
}

fn down(world: &mut World, device: usize) -> Result<Vec<Vec<u8>>, Reject> {
    let channel = world.devices[device].identity.channel.clone();
    let mut context = Context {
        now: crate::context::Now {
            mono_ms: world.now_ms,
            unix_s: None,
        },
        random: &mut world.dice,
        keys: &world.keys,
    };
    let engine = &mut world.controller.engine;
    engine.export(&mut context, &channel.tenant, &channel.device)
}

/// Gives a device a file and returns what it refused.
fn read(world: &mut World, device: usize, file: &[Vec<u8>]) -> Vec<Reject> {
    let before = world.devices[device].events.len();
    for frame in file {
        world.input(device, device::Input::Filed { frame });
    }
    let mut refused = Vec::new();
    for event in &world.devices[device].events[before..] {
        if let Event::Rejected { reject } = event {
            refused.push(*reject);
        }
    }
    refused
}

fn up(world: &mut World) -> Vec<Vec<u8>> {
    let (now_ms, node) = (world.now_ms, &mut world.devices[0]);
    let mut context = device::Context {
        now: crate::context::Now {
            mono_ms: now_ms,
            unix_s: None,
        },
        random: &mut world.dice,
        signer: &node.signer,
    };
    let frames = node.engine.as_mut().unwrap().export(&mut context);
    world.input(0, device::Input::Timeout);
    frames
}

/// Gives the controller a file and returns what it refused.
fn bring(world: &mut World, file: &[Vec<u8>]) -> Vec<Reject> {
    let before = world.controller.events.len();
    for frame in file {
        match PlainFrame::decode(frame, Direction::File).unwrap() {
            PlainFrame::Posted {
                channel, envelope, ..
            } => world.control(controller::Input::Received {
                channel,
                envelope,
                is_live: false,
            }),
            PlainFrame::FiledBody {
                channel,
                plane,
                chunk,
            } => world.control(controller::Input::Put {
                channel,
                plane,
                chunks: &[chunk],
            }),
            other @ (PlainFrame::Enrol { .. }
            | PlainFrame::Enrolled { .. }
            | PlainFrame::Ask { .. }
            | PlainFrame::Challenge { .. }
            | PlainFrame::Hello { .. }
            | PlainFrame::Welcome { .. }
            | PlainFrame::Refused { .. }) => panic!("a device does not write {other:?}"),
        }
    }
    let mut refused = Vec::new();
    for event in &world.controller.events[before..] {
        if let controller::Event::Rejected { reject, .. } = event {
            refused.push(*reject);
        }
    }
    refused
}

fn apply(world: &mut World) -> Revision {
    let revision = world.devices[0].head().unwrap();
    let applied = Applied {
        revision,
        status: 0,
        output: "ok".to_string(),
    };
    world.input(0, device::Input::Applied(applied));
    revision
}

fn write_actual(world: &mut World, value: u64) {
    let set = Change::Set(Path::parse("seen/x").unwrap(), Value::Int(value.into()));
    world.input(
        0,
        device::Input::WriteActual {
            ticket: value,
            changes: Vec::from([set]),
        },
    );
}

#[test]
fn files_carry_both_planes_and_the_acknowledgements() {
    let mut world = world();
    let file = down(&mut world, 0).unwrap();
    assert_eq!(file[0][0], 17, "the enrolment comes first");
    assert_eq!(read(&mut world, 0, &file), []);
    write_actual(&mut world, 7);
    let revision = apply(&mut world);
    let file = up(&mut world);
    assert_eq!(bring(&mut world, &file), []);
    let member = world.member(0);
    assert!(member.is_converged());
    assert_eq!(member.head().revision, revision);
    let engine = world.devices[0].engine.as_ref().unwrap();
    assert_eq!(member.actual_head(), engine.actual_head());
    let file = down(&mut world, 0).unwrap();
    assert_eq!(file[0][0], 23, "the life has begun");
    assert_eq!(read(&mut world, 0, &file), []);
    let engine = world.devices[0].engine.as_ref().unwrap();
    let held = engine.actual_head().unwrap().revision;
    assert_eq!(engine.actual_acknowledged(), held);
}

#[test]
fn file_that_comes_back_within_a_boot_anchors_freshness() {
    let mut world = world();
    let file = up(&mut world);
    bring(&mut world, &file);
    let file = down(&mut world, 0).unwrap();
    read(&mut world, 0, &file);
    let is_anchor = |event: &Event| matches!(event, Event::Anchored);
    assert!(world.devices[0].events.iter().any(is_anchor));
}

#[test]
fn file_that_is_read_twice_changes_nothing_more() {
    let mut world = world();
    let file = down(&mut world, 0).unwrap();
    read(&mut world, 0, &file);
    let (head, rows) = (
        world.devices[0].head(),
        world.devices[0].store.rows().count(),
    );
    let events = world.devices[0].events.len();
    assert_eq!(read(&mut world, 0, &file), []);
    assert_eq!(world.devices[0].events.len(), events);
    assert_eq!(
        (
            world.devices[0].head(),
            world.devices[0].store.rows().count()
        ),
        (head, rows)
    );
}

#[test]
fn answer_is_repeated_after_a_restart_of_the_controller() {
    let mut world = world();
    world.restart_controller(None);
    assert_eq!(down(&mut world, 0).unwrap()[0][0], 17);
}

#[test]
fn older_file_does_not_take_the_device_back() {
    let mut world = world();
    let old = down(&mut world, 0).unwrap();
    world.set(0, "b/z", 1);
    let new = down(&mut world, 0).unwrap();
    read(&mut world, 0, &new);
    let head = world.devices[0].head();
    assert_eq!(read(&mut world, 0, &old), []);
    assert_eq!(world.devices[0].head(), head);
}

#[test]
fn file_of_another_device_is_refused() {
    let mut world = world();
    let other = world.enrol("press-8");
    world.set(other, "a/x", 1);
    let file = down(&mut world, other).unwrap();
    let refused = read(&mut world, 0, &file);
    // The bundles of the domain are everybody's; all that names a channel is not.
    assert_eq!(refused.len(), file.len() - 1);
    assert!(refused.iter().all(|reject| *reject == Reject::NotAdmitted));
    assert_eq!(world.devices[0].head(), None);
}

#[test]
fn file_whose_channel_was_rewritten_is_refused() {
    let mut world = world();
    let other = world.enrol("press-8");
    let own = world.devices[0].identity.channel.id();
    let theirs = world.devices[other].identity.channel.id();
    let swap = |frame: Vec<u8>| {
        let at = frame.windows(16).position(|part| part == theirs.as_bytes());
        let mut frame = frame;
        if let Some(at) = at {
            frame[at..at + 16].copy_from_slice(own.as_bytes());
        }
        frame
    };
    let file = down(&mut world, other).unwrap();
    let file: Vec<Vec<u8>> = file.into_iter().skip(1).map(swap).collect();
    let refused = read(&mut world, 0, &file);
    assert_eq!(refused.len(), file.len());
    assert!(
        refused
            .iter()
            .all(|reject| *reject == Reject::SignatureInvalid)
    );
}

#[test]
fn body_with_a_flipped_bit_is_refused_and_the_snapshot_waits() {
    let mut world = world();
    let mut file = down(&mut world, 0).unwrap();
    let body = file.iter().rposition(|frame| frame[0] == 14).unwrap();
    *file[body].last_mut().unwrap() ^= 1;
    assert_eq!(read(&mut world, 0, &file), [Reject::BodyMismatch]);
    assert_eq!(world.devices[0].head(), None);
}

#[test]
fn fork_of_the_held_bundle_is_refused() {
    let mut world = world();
    let mut bundle = world.keys.bundles[0].clone();
    *bundle.last_mut().unwrap() ^= 1;
    let channel = world.devices[0].identity.channel.id();
    let frame = |envelope: &[u8], channel: ChannelId| {
        let posted = PlainFrame::Posted {
            channel,
            plane: None,
            envelope,
        };
        posted.encode().unwrap()
    };
    let file = [frame(&bundle, channel)];
    assert_eq!(read(&mut world, 0, &file), [Reject::BundleStale]);
    let file = [frame(&world.keys.bundles[0], channel)];
    assert_eq!(read(&mut world, 0, &file), []);
}

#[test]
fn file_for_a_name_that_nobody_enrolled_is_refused() {
    let mut world = World::new(3);
    let channel = world.keys.channel("press-9");
    let mut context = Context {
        now: crate::context::Now {
            mono_ms: 1,
            unix_s: None,
        },
        random: &mut world.dice,
        keys: &world.keys,
    };
    let engine = &mut world.controller.engine;
    let refused = engine.export(&mut context, &channel.tenant, &channel.device);
    assert_eq!(refused, Err(Reject::NotAdmitted));
}

#[test]
fn file_of_another_life_is_refused_by_the_controller() {
    let mut world = world();
    let file = up(&mut world);
    let key = crate::testing::signer("press-7 again");
    let mut identity = world.devices[0].identity.clone();
    identity.incarnation = crate::id::Incarnation::from_bytes([9; 16]);
    let token = crate::id::TokenId::from_bytes([9; 8]);
    let secret = crate::enrol::JoinSecret::from_bytes([9; 32]);
    let ticket = world.ticket();
    world.control(controller::Input::Invite {
        ticket,
        tenant: identity.channel.tenant.clone(),
        device: identity.channel.device.clone(),
        token,
        secret: secret.clone(),
        expires_unix_s: None,
    });
    world.join(&identity, &key, token, &secret).unwrap();
    let refused = bring(&mut world, &file);
    assert_eq!(refused.len(), file.len());
    assert!(world.member(0).report().is_none());
}
