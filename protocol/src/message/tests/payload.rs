//! Payloads checked alone: what inspection and relays of files refuse without a context.

use super::{decode, judge};
use crate::cbor::Writer;
use crate::id::Digest;
use crate::key::{MemorySigner, Signer as _};
use crate::kind::MessageKind;
use crate::message::{IntentOutcome, REPORT_ACK_PAYLOAD, check_payload};
use crate::reject::Reject;
use alloc::vec::Vec;

/// Checks a payload under a digest that says nothing of it.
fn check(kind: MessageKind, payload: &[u8], expected: Option<Reject>) {
    let found = judge(
        kind,
        Some(Digest::from_bytes([7; 32])),
        payload,
        check_payload,
    );
    assert_eq!(found, expected, "{kind:?} {payload:x?}");
}

/// Checks a payload under its own digest, then the same one under another.
fn check_with_its_digest(kind: MessageKind, payload: &[u8], expected: Option<Reject>) {
    let found = judge(kind, Some(Digest::of(payload)), payload, check_payload);
    assert_eq!(found, expected, "{kind:?} {payload:x?}");
    check(kind, payload, expected.or(Some(Reject::DigestMismatch)));
}

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.into_bytes()
}

/// A request of so many members, for a token and two nonces of these lengths.
fn request(members: usize, lengths: [usize; 3], agreement: &[u8]) -> Vec<u8> {
    let [token, first, second] = lengths.map(|length| alloc::vec![5; length]);
    written(|writer| {
        writer.array(members).bytes(&token).text("press-7");
        MemorySigner::from_seed(&[1; 32])
            .public_key()
            .encode(writer);
        writer.bytes(&first).bytes(&second);
        if members > 5 {
            writer.bytes(agreement);
        }
    })
}

#[test]
fn enrol_request_is_checked_member_by_member_and_has_its_digest() {
    let kind = MessageKind::EnrolRequest;
    let agreement = crate::testing::agreement().public();
    check_with_its_digest(kind, &request(5, [8, 16, 16], &[]), None);
    check_with_its_digest(kind, &request(6, [8, 16, 16], agreement.as_bytes()), None);
    let shape = Some(Reject::Shape);
    for lengths in [[7, 16, 16], [8, 15, 16], [8, 16, 17]] {
        check_with_its_digest(kind, &request(5, lengths, &[]), shape);
    }
    check_with_its_digest(kind, &request(6, [8, 16, 16], &[9; 31]), shape);
    let short = written(|writer| {
        writer
            .array(4)
            .bytes(&[5; 8])
            .text("press-7")
            .uint(0)
            .uint(0);
    });
    check_with_its_digest(kind, &short, shape);
}

#[test]
fn enrol_answer_is_checked_member_by_member() {
    let answer = |members: usize, number: u64, thumbprint: usize, time: u64| {
        written(|writer| {
            writer.array(members).uint(number);
            writer.bytes(&alloc::vec![6; thumbprint]);
            if members > 2 {
                writer.uint(time);
            }
        })
    };
    let (kind, shape) = (MessageKind::EnrolAnswer, Some(Reject::Shape));
    check(kind, &answer(2, 1, 32, 0), None);
    check(kind, &answer(3, 1, 32, 1_795_000_000), None);
    check(kind, &answer(2, 0, 32, 0), shape);
    check(kind, &answer(2, 1, 31, 0), shape);
    check(kind, &answer(3, 1, 32, 0), shape);
    check(kind, &answer(3, 1, 32, 253_402_300_800), shape);
    check(kind, &[0x81, 1], shape);
}

#[test]
fn hello_and_welcome_are_checked_member_by_member() {
    let hello = |challenge: usize, ephemeral: usize| {
        written(|writer| {
            let (challenge, ephemeral) = (alloc::vec![1; challenge], alloc::vec![2; ephemeral]);
            writer.array(2).bytes(&challenge).bytes(&ephemeral);
        })
    };
    let shape = Some(Reject::Shape);
    check(MessageKind::SessionHello, &hello(16, 32), None);
    check(MessageKind::SessionHello, &hello(15, 32), shape);
    check(MessageKind::SessionHello, &hello(16, 33), shape);
    check(MessageKind::SessionHello, &[0x81, 0x40], shape);
    let welcome = |members: usize, id: usize, age_s: u64, time: u64| {
        written(|writer| {
            writer
                .array(members)
                .bytes(&alloc::vec![3; id])
                .uint(1)
                .uint(age_s);
            if members > 3 {
                writer.uint(time);
            }
        })
    };
    check(MessageKind::SessionWelcome, &welcome(3, 4, 86_400, 0), None);
    check(MessageKind::SessionWelcome, &welcome(4, 4, 1, 1), None);
    check(MessageKind::SessionWelcome, &welcome(3, 5, 1, 0), shape);
    check(
        MessageKind::SessionWelcome,
        &welcome(3, 4, 86_401, 0),
        shape,
    );
    check(MessageKind::SessionWelcome, &welcome(4, 4, 1, 0), shape);
    check(MessageKind::SessionWelcome, &[0x82, 0x40, 1], shape);
}

#[test]
fn payload_of_each_other_kind_is_decoded() {
    for kind in [
        MessageKind::Delta,
        MessageKind::Snapshot,
        MessageKind::Report,
        MessageKind::Evidence,
        MessageKind::Admission,
        MessageKind::Receipt,
        MessageKind::Bundle,
        MessageKind::PlaneKey,
        MessageKind::Heartbeat,
    ] {
        check(kind, &[0x80], Some(Reject::Shape));
        check(kind, &[0xc0], Some(Reject::CborTag));
    }
    let ack = judge(
        MessageKind::ReportAck,
        None,
        REPORT_ACK_PAYLOAD,
        check_payload,
    );
    assert_eq!(ack, None);
    let other = judge(MessageKind::ReportAck, None, &[0x81, 0], check_payload);
    assert_eq!(other, Some(Reject::Shape));
}

/// An encrypted delta needs no key to be looked at, but its form has to be right.
#[test]
fn encrypted_payload_is_judged_by_its_form() {
    let protected = written(|writer| {
        writer
            .map(3)
            .uint(1)
            .uint(24)
            .uint(4)
            .bytes(&[1; 8])
            .uint(5)
            .bytes(&[2; 12]);
    });
    let delta = |protected: &[u8], unprotected: usize| {
        written(|writer| {
            writer.array(3).bytes(protected).map(unprotected);
            for label in 0..unprotected {
                writer.uint(label as u64).uint(0);
            }
            writer.bytes(&[9; 40]);
        })
    };
    check(MessageKind::Delta, &delta(&protected, 0), None);
    let outside = Some(Reject::UnprotectedNotEmpty);
    check(MessageKind::Delta, &delta(&protected, 1), outside);
    check(MessageKind::Delta, &delta(&[0x80], 0), Some(Reject::Shape));
    let missing = Some(Reject::PlaneKeyMissing);
    let seven = Some(Digest::from_bytes([7; 32]));
    assert_eq!(
        decode(MessageKind::Delta, seven, &delta(&protected, 0)),
        missing
    );
    // What is readable is decoded as such.
    check(MessageKind::Delta, &[0x81, 0xa0], Some(Reject::DeltaEmpty));
    let digest = written(|writer| {
        writer.bytes(&[8; 32]);
    });
    let table = [&[0xa1, 0x61, 0x61, 0x82][..], &digest, &digest].concat();
    let encrypted = [&[0x83][..], &table, &[0x80, 0x02]].concat();
    check(MessageKind::Snapshot, &encrypted, None);
    assert_eq!(decode(MessageKind::Snapshot, seven, &encrypted), missing);
    let unnumbered = [&[0x83][..], &table, &[0x80, 0x00]].concat();
    check(MessageKind::Snapshot, &unnumbered, Some(Reject::Shape));
    let readable = [&[0x82, 0xa1, 0x61, 0x61][..], &digest, &[0x80]].concat();
    check(
        MessageKind::Snapshot,
        &readable,
        Some(Reject::DigestMismatch),
    );
}

#[test]
fn outcome_of_an_intent_has_one_word() {
    let finished = IntentOutcome::Finished {
        status: 0,
        output: "done".into(),
    };
    let words = [
        (IntentOutcome::Recorded, "recorded"),
        (IntentOutcome::Fired, "fired"),
        (IntentOutcome::Lower, "lower"),
        (IntentOutcome::Jump, "jump"),
        (IntentOutcome::NotUint, "not-uint"),
        (finished, "finished"),
        (IntentOutcome::TooManyVerbs, "too-many-verbs"),
        (IntentOutcome::Interrupted, "interrupted"),
    ];
    for (number, (outcome, word)) in (0..).zip(words) {
        assert_eq!((outcome.number(), outcome.as_str()), (number, word));
    }
}
