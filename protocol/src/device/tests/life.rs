//! Keys that follow each other, mailboxes that go, devices that leave, and files in between.

use super::speech::{anchor, header, post_of, serve_item, write};
use crate::Reject;
use crate::device::{Context, Event, Input};
use crate::enrol::{EnrolAnswer, seal_rotation_request};
use crate::frame::{Direction, FrameType, PlainFrame, frame_type};
use crate::id::{Incarnation, Plane};
use crate::key::{MemorySigner, Signer as _};
use crate::kind::MessageKind;
use crate::revision::BundleNumber;
use crate::state::State;
use crate::testing::{Lone, at, numbers, signer};
use alloc::vec::Vec;

const EPOCH: u64 = 100;

fn state(value: u64) -> State {
    numbers(&[("a/x", value)])
}

fn holding() -> Lone {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    lone.acknowledge();
    lone
}

/// The request for the next key, by whoever holds it.
fn request(lone: &Lone, next: &MemorySigner) -> crate::envelope::SealedEnvelope {
    let identity = &lone.node.identity;
    let current = lone.node.signer.public_key().thumbprint();
    let sealed = seal_rotation_request(
        &identity.channel,
        identity.incarnation,
        &current,
        [4; 16],
        next,
    );
    sealed.unwrap()
}

fn answer(lone: &Lone, request: crate::id::MessageId, next: &MemorySigner) -> Vec<u8> {
    let answer = EnrolAnswer {
        revision: at(EPOCH, 9),
        request,
        bundle: BundleNumber::new(1),
        device_key: next.public_key().thumbprint(),
        time: None,
    };
    let identity = &lone.node.identity;
    let sealed = answer.seal(&identity.channel, identity.incarnation, &lone.keys.writer);
    sealed.unwrap().into_bytes()
}

//= spec/lives.md#rotation type=test
//# A device MUST NOT sign with the next key before it holds the answer durably.
#[test]
fn next_key_counts_once_the_controller_says_so() {
    let (mut lone, next) = (holding(), signer("next"));
    let asked = request(&lone, &next);
    lone.input(Input::RotateKey {
        request: asked.as_bytes().to_vec(),
    });
    assert!(post_of(&mut lone, MessageKind::Report).is_some());
    let confirmed = answer(&lone, asked.message_id(), &next);
    serve_item(&mut lone, None, &confirmed);
    let thumbprint = next.public_key().thumbprint();
    assert!(
        lone.node
            .events
            .contains(&Event::KeyConfirmed { thumbprint })
    );
    assert_eq!(
        lone.reconnects, 1,
        "the next session is opened with the next key"
    );
    lone.node.signer = next;
    lone.outbox.clear();
    lone.connect();
    let (_, report) = post_of(&mut lone, MessageKind::Report).unwrap();
    let key_id = *thumbprint.key_id().as_bytes();
    assert!(
        report.windows(8).any(|bytes| bytes == key_id),
        "signed by it"
    );
    lone.restart();
    assert_eq!(
        lone.node.engine.as_ref().unwrap().confirmed_key(),
        Some(&thumbprint)
    );
}

/// PROTOCOL 1, attack: a thief rotates first: a request that the present key did not carry is none.
#[test]
fn request_for_another_key_life_or_device_is_refused() {
    let next = signer("next");
    let mut lone = holding();
    let identity = lone.node.identity.clone();
    let current = lone.node.signer.public_key().thumbprint();
    let seal = |channel, life, present: &crate::id::Thumbprint, key: &MemorySigner| {
        let sealed = seal_rotation_request(channel, life, present, [4; 16], key);
        sealed.unwrap().into_bytes()
    };
    let (channel, life) = (&identity.channel, identity.incarnation);
    let cases = [
        (
            seal(channel, life, &next.public_key().thumbprint(), &next),
            Reject::TokenUnknown,
        ),
        (
            seal(channel, Incarnation::from_bytes([9; 16]), &current, &next),
            Reject::TokenUnknown,
        ),
        (
            seal(&lone.keys.channel("press-8"), life, &current, &next),
            Reject::TokenUnknown,
        ),
        (
            seal(channel, life, &current, &lone.node.signer),
            Reject::TokenUsed,
        ),
        (alloc::vec![0x80], Reject::Shape),
    ];
    for (request, reject) in cases {
        let before = lone.node.store.commits();
        lone.input(Input::RotateKey { request });
        assert_eq!(lone.rejects().last(), Some(&reject));
        assert_eq!(lone.node.store.commits(), before);
    }
}

//= spec/lives.md#rotation type=test
//# A device MUST NOT sign with the next key before it holds the answer durably.
#[test]
fn answer_for_another_request_or_key_changes_no_key() {
    let (mut lone, next) = (holding(), signer("next"));
    let asked = request(&lone, &next);
    let early = answer(&lone, asked.message_id(), &next);
    serve_item(&mut lone, None, &early);
    lone.input(Input::RotateKey {
        request: asked.as_bytes().to_vec(),
    });
    let other = answer(&lone, asked.message_id(), &signer("thief"));
    serve_item(&mut lone, None, &other);
    assert_eq!(lone.rejects(), [Reject::EnrolAnswerMismatch; 2]);
    assert_eq!(lone.node.engine.as_ref().unwrap().confirmed_key(), None);
}

#[test]
fn rotation_is_asked_for_in_each_session_until_it_is_answered() {
    let (mut lone, next) = (holding(), signer("next"));
    let asked = request(&lone, &next);
    lone.input(Input::RotateKey {
        request: asked.as_bytes().to_vec(),
    });
    lone.acknowledge();
    lone.restart();
    lone.connect();
    lone.acknowledge();
    assert_eq!(
        lone.node.engine.as_ref().unwrap().rotation(),
        Some(asked.as_bytes())
    );
    let confirmed = answer(&lone, asked.message_id(), &next);
    serve_item(&mut lone, None, &confirmed);
    assert_eq!(lone.node.engine.as_ref().unwrap().rotation(), None);
}

//= spec/lives.md#rotation type=test
//# A device MUST end a session whose mailbox key a new bundle drops or revokes.
/// SQ-26, SQ-27: a mailbox key that a bundle drops or revokes serves no session any more.
#[test]
fn session_ends_when_a_bundle_drops_its_mailbox() {
    let mut lone = holding();
    lone.keys.mailbox = signer("mailbox-2");
    lone.keys.push_bundle(1, &[]);
    let bundle = lone.keys.bundles[1].clone();
    serve_item(&mut lone, None, &bundle);
    assert_eq!((lone.reconnects, lone.rejects().len()), (1, 0));
}

#[test]
fn session_goes_on_when_a_bundle_keeps_its_mailbox() {
    let mut lone = holding();
    lone.keys.push_bundle(1, &[]);
    let bundle = lone.keys.bundles[1].clone();
    serve_item(&mut lone, None, &bundle);
    assert_eq!(lone.reconnects, 0);
}

#[test]
fn leaving_is_reported_until_it_is_acknowledged() {
    let mut lone = holding();
    lone.input(Input::Leave);
    lone.take_reports();
    assert!(!lone.node.events.contains(&Event::Left));
    lone.restart();
    lone.connect();
    lone.acknowledge();
    assert!(lone.node.events.contains(&Event::Left));
    lone.outbox.clear();
    lone.input(Input::Connect);
    assert!(lone.outbox.is_empty(), "nothing is exchanged any more");
}

/// SQ-30, SQ-23: the controller holds a later report epoch than a device restored without a clock.
#[test]
fn acknowledgement_of_a_later_life_opens_an_epoch_above_it_once() {
    let mut lone = holding();
    let number = lone.node.engine.as_ref().unwrap().report_number();
    let ahead = number.epoch.number() + 1_000;
    let ack = lone.seal_ack(at(ahead, 7));
    lone.serve(&[ack]);
    let after = lone.node.engine.as_ref().unwrap().report_number();
    assert!(after.epoch.number() > ahead);
    let again = lone.seal_ack(at(after.epoch.number() + 1_000, 7));
    lone.serve(&[again]);
    assert_eq!(lone.node.engine.as_ref().unwrap().report_number(), after);
}

fn export(lone: &mut Lone) -> Vec<Vec<u8>> {
    let engine = lone.node.engine.as_mut().unwrap();
    let mut context = Context {
        now: crate::context::Now {
            mono_ms: lone.now_ms,
            unix_s: None,
        },
        random: &mut lone.dice,
        signer: &lone.node.signer,
    };
    let frames = engine.export(&mut context);
    lone.input(Input::Timeout);
    frames
}

#[test]
fn file_takes_along_report_heartbeat_and_actual_plane() {
    let mut lone = holding();
    write(&mut lone, "net/mtu", 1);
    let kinds: Vec<_> = export(&mut lone)
        .iter()
        .map(|frame| match PlainFrame::decode(frame, Direction::File) {
            Ok(PlainFrame::Posted {
                plane, envelope, ..
            }) => (plane, Some(header(envelope).kind)),
            _ => (None, None),
        })
        .collect();
    let actual = Some(Plane::Actual);
    let expected = [
        (actual, Some(MessageKind::Report)),
        (actual, Some(MessageKind::Heartbeat)),
        (actual, Some(MessageKind::Snapshot)),
        (None, None),
    ];
    assert_eq!(kinds, expected);
}

fn posted(lone: &Lone, envelope: &[u8]) -> Vec<u8> {
    let frame = PlainFrame::Posted {
        channel: lone.node.identity.channel.id(),
        plane: Some(Plane::Desired),
        envelope,
    };
    frame.encode().unwrap()
}

//= spec/files.md#file-binding type=test
//# A reader of a file MUST check the digest of a complete body before it uses any byte of it, else
//# `body-mismatch`.
#[test]
fn file_brings_what_a_mailbox_would_without_a_session() {
    let mut lone = Lone::new();
    let snapshot = lone.seal_snapshot(&state(1), at(EPOCH, 5), Vec::new());
    let frame = posted(&lone, &snapshot);
    lone.input(Input::Filed { frame: &frame });
    let wanted = state(1);
    let (_, digest) = wanted.section_digests().next().unwrap();
    let bytes = wanted.body(digest).unwrap();
    let frame = PlainFrame::FiledBody {
        channel: lone.node.identity.channel.id(),
        plane: Plane::Desired,
        chunk: crate::frame::BodyChunk {
            digest: *digest,
            size: bytes.len() as u64,
            offset: 0,
            bytes,
        },
    };
    lone.input(Input::Filed {
        frame: &frame.encode().unwrap(),
    });
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
}

//= spec/files.md#file-binding type=test
//# A reader of a file MUST verify each envelope exactly as if it had come over the network.
//= spec/files.md#file-binding type=test
//# A reader of a file MUST refuse a frame of another type with `frame-direction`, or
//# `frame-unknown` where no frame has it, and read nothing behind it.
#[test]
fn file_of_another_device_and_garbage_are_refused() {
    let mut lone = holding();
    let snapshot = lone.seal_snapshot(&state(2), at(EPOCH, 9), Vec::new());
    let mut other = posted(&lone, &snapshot);
    other[5] ^= 1;
    let mut tampered = posted(&lone, &snapshot);
    let last = tampered.len() - 1;
    tampered[last] ^= 1;
    for (frame, reject) in [
        (other, Reject::NotAdmitted),
        (tampered, Reject::SignatureInvalid),
        (Vec::from([99]), Reject::FrameUnknown),
        (Vec::new(), Reject::Shape),
        (Vec::from([18, 1]), Reject::FrameDirection),
    ] {
        lone.input(Input::Filed { frame: &frame });
        assert_eq!(
            lone.rejects().last(),
            Some(&reject),
            "{:?}",
            frame_type(&frame)
        );
    }
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
}

/// PROTOCOL 7: the poll of two planes takes 48 bytes at most, tag included; of one plane 34.
#[test]
fn polls_keep_to_their_bytes() {
    let mut lone = holding();
    let poll = lone.paced_poll();
    assert!(poll.frame.len() <= 40, "{}", poll.frame.len());
    lone.answer(&poll, &[]);
    anchor(&mut lone);
    write(&mut lone, "net/mtu", 1);
    let (post, _) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    lone.answer(&post, &[]);
    let poll = lone.paced_poll();
    assert!(poll.frame.len() <= 52, "{}", poll.frame.len());
    assert_eq!(frame_type(&poll.frame), Ok(FrameType::Poll));
}
