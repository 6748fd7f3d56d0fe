//! What comes in a file and goes out in one beside the ordinary: bundles, evidence.

use super::speech::header;
use crate::Reject;
use crate::device::{Context, Input};
use crate::frame::{Direction, PlainFrame};
use crate::id::Plane;
use crate::kind::MessageKind;
use crate::revision::LineageEntry;
use crate::state::State;
use crate::testing::{Lone, at, numbers};
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
    for _ in 0..3 {
        lone.keys.push_bundle(1, &[]);
    }
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
