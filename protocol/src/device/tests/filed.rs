//! What comes in a file and goes out in one beside the ordinary: bundles, evidence.

use super::actual::acknowledged;
use super::speech::{header, post_of, write};
use crate::Reject;
use crate::cbor::{Writer, decode_all};
use crate::device::{Context, Input};
use crate::envelope::ReceivedEnvelope;
use crate::frame::{Direction, PlainFrame};
use crate::id::Plane;
use crate::kind::MessageKind;
use crate::message::{Report, Snapshot};
use crate::revision::{BundleNumber, Lineage, LineageEntry};
use crate::session::{EphemeralWindows, MailboxHandshake, MailboxKey};
use crate::state::{SectionTable, State};
use crate::testing::{Lone, at, numbers, signer};
use alloc::vec;
use alloc::vec::Vec;

const EPOCH: u64 = 100;

fn state(value: u64) -> State {
    numbers(&[("a/x", value)])
}

/// What the device files for the controller: the kind of each message, and the plane of each piece of a body.
fn filed(lone: &mut Lone) -> (Vec<MessageKind>, Vec<Plane>) {
    let engine = lone.node.engine.as_mut().unwrap();
    let mut context = Context {
        now: crate::context::Now {
            mono_ms: lone.now_ms,
            unix_s: None,
        },
        random: &mut lone.dice,
        signer: &lone.node.signer,
    };
    let (mut kinds, mut bodies) = (Vec::new(), Vec::new());
    for frame in engine.export(&mut context) {
        match PlainFrame::decode(&frame, Direction::File) {
            Ok(PlainFrame::Posted { envelope, .. }) => kinds.push(header(envelope).kind),
            Ok(PlainFrame::FiledBody { plane, .. }) => bodies.push(plane),
            other => panic!("not in a file of a device: {other:?}"),
        }
    }
    (kinds, bodies)
}

#[test]
fn file_without_a_dispute_has_no_evidence() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let (kinds, bodies) = filed(&mut lone);
    assert_eq!(kinds, [MessageKind::Report, MessageKind::Heartbeat]);
    assert_eq!(bodies, []);
}

#[test]
fn file_tells_a_writer_that_is_behind_with_the_state_that_it_lacks() {
    let mut lone = Lone::holding(&state(110), at(EPOCH, 110));
    let lineage = vec![LineageEntry {
        last: at(EPOCH, 105),
        digest: *state(105).root(),
    }];
    let snapshot = lone.seal_snapshot(&state(106), at(EPOCH + 1, 1), lineage);
    lone.serve(&[snapshot]);
    let (kinds, bodies) = filed(&mut lone);
    assert!(kinds.contains(&MessageKind::Evidence), "{kinds:?}");
    assert_eq!(bodies, [Plane::Desired]);
}

#[test]
fn file_tells_a_writer_that_contradicts_itself_without_a_state() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let other = lone.seal_snapshot(&state(2), at(EPOCH, 5), vec![]);
    lone.serve(&[other]);
    let (kinds, bodies) = filed(&mut lone);
    assert!(kinds.contains(&MessageKind::Evidence), "{kinds:?}");
    assert_eq!(bodies, []);
}

/// Gives the device the answer to an enrolment, with these of the bundles that the root has signed.
fn give_bundles(lone: &mut Lone, which: &[usize]) {
    let bundles: Vec<_> = which.iter().map(|at| &*lone.keys.bundles[*at]).collect();
    let frame = PlainFrame::Enrolled {
        bundles,
        answer: &[0x84, 0x40, 0xa0, 0x40, 0x40],
    };
    let frame = frame.encode().unwrap();
    lone.input(Input::Filed { frame: &frame });
}

fn bundle_held(lone: &Lone) -> u64 {
    let engine = lone.node.engine.as_ref().unwrap();
    engine.trust().number().number()
}

#[test]
fn bundles_of_an_enrolment_that_are_newer_are_taken_in_their_order() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    for _ in 0..3 {
        lone.keys.push_bundle(1, &[]);
    }
    give_bundles(&mut lone, &[0, 1, 2]);
    assert_eq!((bundle_held(&lone), lone.rejects()), (3, vec![]));
    // All from the first once more, and one above.
    give_bundles(&mut lone, &[0, 1, 2, 3]);
    assert_eq!((bundle_held(&lone), lone.rejects()), (4, vec![]));
    lone.restart();
    assert_eq!(bundle_held(&lone), 4);
}

#[test]
fn bundles_of_an_enrolment_with_a_gap_end_at_it() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    lone.keys.push_bundle(1, &[]);
    lone.keys.push_root("root-2");
    lone.keys.push_bundle(1, &[]);
    give_bundles(&mut lone, &[0, 1, 3]);
    assert_eq!(bundle_held(&lone), 2);
    assert_eq!(lone.rejects(), [Reject::BundleGap]);
    let mut forged = lone.keys.bundles[2].clone();
    *forged.last_mut().unwrap() ^= 1;
    lone.keys.bundles[2] = forged;
    give_bundles(&mut lone, &[2]);
    assert_eq!(bundle_held(&lone), 2);
    assert_eq!(lone.rejects().last(), Some(&Reject::SignatureInvalid));
}

/// Gives the device, whose snapshot waits for its bodies, the newest bundle; tells whether it goes on with it.
fn goes_on(rotates: bool) -> bool {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let snapshot = lone.seal_snapshot(&state(2), at(EPOCH, 8), vec![]);
    lone.serve(&[snapshot]);
    if rotates {
        lone.keys.rotate_writer("writer-2", 2);
    } else {
        lone.keys.push_bundle(1, &[]);
    }
    give_bundles(&mut lone, &[0, 1]);
    assert_eq!(bundle_held(&lone), 2);
    lone.serve_bodies(&state(2));
    lone.node.head() == Some(at(EPOCH, 8))
}

#[test]
fn snapshot_that_waits_for_bodies_outlives_a_bundle_with_the_same_writer_only() {
    assert!(goes_on(false));
    assert!(
        !goes_on(true),
        "what the former writer signed counts no more"
    );
}

//= spec/postern.md#snapshot type=test
//# A reader MUST check `path-conflict` and the limits over the whole new state.
#[test]
fn snapshot_whose_sections_conflict_is_refused_and_reported() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    lone.acknowledge();
    let (file, folder) = (numbers(&[("net", 1)]), numbers(&[("net/mtu", 1)]));
    let mut writer = Writer::new();
    writer.map(2);
    for (name, source) in [("", &file), ("net", &folder)] {
        let (_, digest) = source.section_digests().next().unwrap();
        writer.text(name).bytes(digest.as_bytes());
    }
    let table = decode_all(writer.as_bytes(), SectionTable::decode).unwrap();
    let root = Some(table.root());
    let lineage = Lineage::default();
    let payload = Snapshot { table, lineage }.encode();
    let kind = MessageKind::Snapshot;
    let snapshot = lone.seal_message(kind, at(EPOCH, 8), 0, root, payload);
    lone.serve(&[snapshot]);
    lone.serve_bodies(&file);
    lone.serve_bodies(&folder);
    for source in [&file, &folder, &file] {
        lone.run(6_000);
        lone.serve_bodies(source);
    }
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
    assert_eq!(lone.rejects(), [Reject::PathConflict]);
    // Posted a first time among what was dropped here, and again after a minute.
    lone.run(61_000);
    let reports = lone.take_reports();
    let newest = ReceivedEnvelope::parse(reports.last().unwrap()).unwrap();
    let report = Report::decode(newest.unverified_payload()).unwrap();
    let listed: Vec<_> = report
        .lists
        .rejects()
        .iter()
        .map(|it| it.reject())
        .collect();
    assert_eq!(listed, [Some(Reject::PathConflict)]);
}

#[test]
fn file_of_what_the_controller_holds_is_not_posted_beside_it() {
    let mut lone = acknowledged();
    let (kinds, _) = filed(&mut lone);
    assert!(kinds.contains(&MessageKind::Snapshot), "{kinds:?}");
    lone.run(120_000);
    assert!(post_of(&mut lone, MessageKind::Snapshot).is_none());
}

#[test]
fn file_takes_the_place_of_no_change_that_is_on_its_way() {
    let mut lone = acknowledged();
    write(&mut lone, "net/mtu", 2);
    let (post, first) = post_of(&mut lone, MessageKind::Delta).unwrap();
    lone.answer(&post, &[]);
    write(&mut lone, "net/mtu", 3);
    filed(&mut lone);
    lone.run(61_000);
    let (_, again) = post_of(&mut lone, MessageKind::Delta).unwrap();
    assert_eq!(again, first);
}

/// A device that greeted the mailbox of its bundle and waits for the welcome.
fn greeting() -> Lone {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    lone.input(Input::OtherMailbox);
    lone.outbox.clear();
    lone.input(Input::Connect);
    let ask = lone.outbox.remove(0);
    let windows = EphemeralWindows::new([9; 32], lone.now_ms);
    let mailbox = signer("mailbox");
    let handshake = MailboxHandshake {
        windows: &windows,
        keys: vec![MailboxKey::only(&mailbox)],
        bundle: BundleNumber::new(1),
        age_max_s: 3_600,
        time: None,
    };
    let challenge = handshake.answer_ask(&ask.frame, [1; 8]).unwrap();
    lone.answer_raw(ask.id, &challenge);
    assert_eq!(lone.outbox.len(), 1, "the greeting");
    lone
}

//= spec/lives.md#rotation type=test
//# A device MUST end a session whose mailbox key a new bundle drops or revokes.
#[test]
fn greeting_of_a_mailbox_that_a_new_bundle_drops_is_over() {
    for is_dropped in [true, false] {
        let mut lone = greeting();
        let before = lone.reconnects;
        if is_dropped {
            lone.keys.mailbox = signer("mailbox 2");
        }
        lone.keys.push_bundle(1, &[]);
        give_bundles(&mut lone, &[0, 1]);
        assert_eq!(bundle_held(&lone), 2);
        assert_eq!(lone.reconnects > before, is_dropped);
    }
}
