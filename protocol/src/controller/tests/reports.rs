//! Reports: the newest of an incarnation counts, each is acknowledged, none is believed unsigned.

use crate::Reject;
use crate::controller::{Event, Input};
use crate::envelope::{Binding, Draft, Header};
use crate::id::Digest;
use crate::key::Signer as _;
use crate::kind::{MessageKind, Role};
use crate::message::Report;
use crate::revision::Seq;
use crate::testing::{World, at, signer};
use alloc::vec::Vec;

/// Signs a report of the first device.
fn report(world: &World, epoch: u64, rseq: u64, report: &Report, key: &str) -> Vec<u8> {
    let header = Header {
        kind: MessageKind::Report,
        epoch: at(epoch, rseq).epoch,
        seq: at(epoch, rseq).seq,
        base: Seq::new(0),
        digest: (report.applied != at(0, 0)).then(|| Digest::from_bytes([1; 32])),
    };
    let identity = &world.devices[0].identity;
    let binding = Binding::Device {
        channel: &identity.channel,
        incarnation: identity.incarnation,
    };
    let draft = Draft {
        header,
        payload: report.encode(),
    };
    draft
        .seal(Role::Device, binding, &signer(key))
        .unwrap()
        .into_bytes()
}

fn receive(world: &mut World, envelope: &[u8]) -> Option<Reject> {
    let channel = world.devices[0].identity.channel.id();
    world.control(Input::Received {
        channel,
        envelope,
        is_live: true,
    });
    match world.controller.events.last() {
        Some(Event::Rejected { reject, .. }) => Some(*reject),
        _ => None,
    }
}

fn number(world: &World) -> (u64, u64) {
    let ack = world.member(0).report().unwrap().ack;
    (ack.epoch.number(), ack.rseq.number())
}

/// A world with one device that is killed before it said anything.
fn silent() -> World {
    let mut world = World::with_devices(1, &["press-7"]);
    world.kill(0);
    world
}

#[test]
fn newer_report_counts_and_gaps_are_allowed() {
    let mut world = silent();
    for rseq in [1, 2, 9] {
        let envelope = report(&world, 50, rseq, &Report::default(), "press-7");
        assert_eq!(receive(&mut world, &envelope), None);
        assert_eq!(number(&world), (50, rseq));
    }
    let envelope = report(&world, 51, 1, &Report::default(), "press-7");
    assert_eq!(receive(&mut world, &envelope), None);
    assert_eq!(number(&world), (51, 1));
}

/// SQ-18, SQ-30: the report's own number orders, and a replay is not news.
#[test]
fn replayed_report_does_not_hide_a_newer_one() {
    let mut world = silent();
    let applied = Report {
        received: at(60, 7),
        accepted: at(60, 7),
        applied: at(60, 7),
        ..Report::default()
    };
    let old = report(&world, 50, 1, &applied, "press-7");
    assert_eq!(receive(&mut world, &old), None);
    let mut failed = applied.clone();
    failed.lists.push_result(crate::message::ResultNote {
        revision: at(60, 7),
        status: 1,
        output: "failed".into(),
    });
    let newer = report(&world, 50, 2, &failed, "press-7");
    assert_eq!(receive(&mut world, &newer), None);
    assert_eq!(receive(&mut world, &old), Some(Reject::ReportStale));
    let held = world.member(0).report().unwrap();
    assert_eq!(held.report.lists.results().len(), 1);
}

#[test]
fn same_report_again_is_acknowledged_again_without_a_commit() {
    let mut world = silent();
    let envelope = report(&world, 50, 1, &Report::default(), "press-7");
    receive(&mut world, &envelope);
    let commits = world.controller.store.commits();
    assert_eq!(receive(&mut world, &envelope), None);
    assert_eq!(world.controller.store.commits(), commits);
}

#[test]
fn two_reports_of_one_number_are_equivocation() {
    let mut world = silent();
    let first = report(&world, 50, 1, &Report::default(), "press-7");
    receive(&mut world, &first);
    let other = Report {
        received: at(9, 9),
        ..Report::default()
    };
    let second = report(&world, 50, 1, &other, "press-7");
    assert_eq!(receive(&mut world, &second), Some(Reject::Equivocation));
    assert_eq!(
        world.member(0).report().unwrap().report,
        Report::default(),
        "the first stays"
    );
}

//= spec/postern.md#post type=test
//# A mailbox MUST verify every item of a post before it stores, compares or answers for it.
//= spec/postern.md#verification-order type=test
//# A verifier MUST NOT use any part of an envelope beyond selecting a key before step 14 has
//# passed.
#[test]
fn unsigned_foreign_and_tampered_reports_are_refused() {
    let mut world = silent();
    let stranger = report(&world, 50, 1, &Report::default(), "writer");
    assert_eq!(receive(&mut world, &stranger), Some(Reject::KeyUnknown));
    let mut tampered = report(&world, 50, 1, &Report::default(), "press-7");
    let last = tampered.len() - 1;
    tampered[last] ^= 1;
    assert_eq!(
        receive(&mut world, &tampered),
        Some(Reject::SignatureInvalid)
    );
    assert_eq!(receive(&mut world, &[]), Some(Reject::CborTruncated));
    assert!(world.member(0).report().is_none());
    let commits = world.controller.store.commits();
    let channel = world.keys.channel("nobody").id();
    world.control(Input::Received {
        channel,
        envelope: &stranger,
        is_live: true,
    });
    assert_eq!(world.controller.store.commits(), commits);
}

#[test]
fn report_of_a_revoked_key_is_refused() {
    let mut world = silent();
    let thumbprint = world.devices[0].signer.public_key().thumbprint();
    world.keys.push_bundle(1, &[thumbprint]);
    world.restart_controller(None);
    let envelope = report(&world, 50, 1, &Report::default(), "press-7");
    assert_eq!(receive(&mut world, &envelope), Some(Reject::KeyRevoked));
}

//= spec/postern.md#epochs type=test
//# A new epoch MUST be s times 2^20 plus 20 random bits, where s is the larger of the writer's clock in
//# seconds and (highest epoch stored or shown by a reader) / 2^20, rounded down, plus 1.
#[test]
fn next_epoch_is_above_what_a_device_showed() {
    let mut world = silent();
    let ahead = world.controller.engine.epoch().number() + (1 << 60);
    let cursors = Report {
        received: at(ahead, 3),
        accepted: at(ahead, 3),
        applied: at(ahead, 3),
        ..Report::default()
    };
    let envelope = report(&world, 50, 1, &cursors, "press-7");
    assert_eq!(receive(&mut world, &envelope), None);
    world.restart_controller(None);
    assert!(world.controller.engine.epoch().number() > ahead);
    world.restart_controller(None);
    assert!(world.controller.engine.epoch().number() > ahead + 1);
}

//= spec/lives.md#recovery type=test
//# A controller to which a device shows in a signed head a higher epoch than the one that it offers, or
//# a higher seq of it, MUST offer the device a snapshot of a further epoch, once in 60 s at most.
#[test]
fn device_in_an_epoch_above_ours_is_offered_a_further_one_without_a_restart() {
    let mut world = silent();
    let own = world.member(0).head().revision;
    let ahead = own.epoch.number() + (1 << 60);
    let shown = |epoch, seq| Report {
        received: at(epoch, seq),
        accepted: at(epoch, seq),
        applied: at(epoch, seq),
        ..Report::default()
    };
    let level = report(&world, 50, 1, &shown(own.epoch.number(), 1), "press-7");
    assert_eq!(receive(&mut world, &level), None);
    world.run(120_000);
    assert_eq!(world.member(0).head().revision, own, "nothing to leave");
    let above = report(&world, 50, 2, &shown(ahead, 3), "press-7");
    assert_eq!(receive(&mut world, &above), None);
    world.run(120_000);
    let opened = world.member(0).head().revision.epoch.number();
    assert!(opened > ahead, "{opened} is below {ahead}");
}

//= spec/postern.md#epochs type=test
//# A writer MUST count an epoch above 2^63 - 1 that a reader shows as 2^63 - 1.
#[test]
fn device_that_shows_the_last_epochs_leaves_the_controller_room_to_start() {
    for ahead in [u64::MAX, u64::MAX - 1] {
        let mut world = silent();
        let cursors = Report {
            received: at(ahead, 3),
            ..Report::default()
        };
        let envelope = report(&world, 50, 1, &cursors, "press-7");
        assert_eq!(receive(&mut world, &envelope), None);
        for _ in 0..3 {
            let before = world.controller.engine.epoch();
            world.restart_controller(None);
            assert!(world.controller.engine.epoch() > before);
        }
    }
}

#[test]
fn reports_survive_a_restart() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    world.run(10_000);
    assert!(world.is_converged());
    let before = number(&world);
    world.restart_controller(None);
    assert_eq!(number(&world), before);
    assert!(world.is_converged(), "content did not change");
}
