//! Switching encryption on: for whom, with what, and that nothing ends it.

use super::hand::Hand;
use crate::Reject;
use crate::controller::{Event, Input, Output, Post};
use crate::encryption::{EncryptedBodies, Life, PlaneKey, Vault};
use crate::envelope::ReceivedEnvelope;
use crate::id::{Channel, Incarnation, Plane};
use crate::kind::MessageKind;
use crate::message::{Report, ResultNote, Snapshot};
use crate::record::Table;
use crate::revision::{Epoch, KeyGeneration, Lineage, LineageEntry, Seq};
use crate::testing::{Dice, agreement, at, numbers};
use alloc::vec;
use alloc::vec::Vec;

fn encrypt(hand: &mut Hand) -> Result<(), Reject> {
    let ticket = hand.ticket();
    let Channel { tenant, device, .. } = hand.channel.clone();
    hand.forget();
    hand.input(Input::Encrypt {
        ticket,
        tenant,
        device,
    });
    hand.refused().map_or(Ok(()), Err)
}

fn life(hand: &Hand) -> Life {
    Life {
        channel: hand.channel.clone(),
        incarnation: hand.incarnation,
    }
}

fn generation(hand: &Hand) -> Option<u64> {
    hand.member().key_generation().map(KeyGeneration::number)
}

/// What was posted since the last input, by kind.
fn posted(hand: &Hand) -> Vec<(MessageKind, Vec<u8>)> {
    let envelope = |output: &Output| match output {
        Output::Post { post, .. } => Some(match post {
            Post::Delta { envelope }
            | Post::Snapshot { envelope, .. }
            | Post::ReportAck { envelope }
            | Post::Heartbeat { envelope }
            | Post::Evidence { envelope }
            | Post::PlaneKey { envelope }
            | Post::Admission { envelope }
            | Post::EnrolAnswer { envelope } => envelope.clone(),
        }),
        Output::Persist(_)
        | Output::Admit { .. }
        | Output::Evict { .. }
        | Output::Wanted { .. }
        | Output::ActualHeld { .. }
        | Output::PostBundle { .. }
        | Output::Answer { .. }
        | Output::Refill { .. }
        | Output::Event(_) => None,
    };
    let envelopes = hand.outputs.iter().filter_map(envelope);
    let kind = |bytes: &[u8]| {
        ReceivedEnvelope::parse(bytes)
            .unwrap()
            .unverified_header()
            .kind
    };
    envelopes.map(|bytes| (kind(&bytes), bytes)).collect()
}

/// The keys, as the device gets them.
fn keys(hand: &Hand) -> PlaneKey {
    let (_, envelope) = posted(hand)
        .into_iter()
        .find(|(kind, _)| *kind == MessageKind::PlaneKey)
        .unwrap();
    let received = ReceivedEnvelope::parse(&envelope).unwrap();
    let number = KeyGeneration::new(received.unverified_header().seq.number());
    let life = life(hand);
    PlaneKey::decrypt(received.unverified_payload(), &life, number, &agreement()).unwrap()
}

#[test]
fn first_keys_are_posted_before_the_snapshot_that_they_encrypt() {
    let mut hand = Hand::new();
    hand.set("a/x", 1);
    let before = hand.head();
    assert_eq!(encrypt(&mut hand), Ok(()));
    let kinds: Vec<_> = posted(&hand).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [MessageKind::PlaneKey, MessageKind::Snapshot]);
    assert!(hand.head().revision.epoch > before.revision.epoch);
    assert_ne!(hand.head().digest, before.digest, "a keyed digest");
    let is_told = |output: &Output| matches!(output, Output::Event(Event::Encrypted { .. }));
    assert!(hand.outputs.iter().any(is_told));
    assert_eq!(keys(&hand).generation, KeyGeneration::new(1));
}

//= spec/encryption.md#agreement-key type=test
//# A controller MUST NOT switch encryption on for a device that bound no agreement key.
#[test]
fn device_without_an_agreement_key_is_not_encrypted() {
    let mut hand = Hand::new();
    (hand.agreement, hand.incarnation) = (None, Incarnation::from_bytes([8; 16]));
    hand.enrol([2; 8]).unwrap();
    assert_eq!(encrypt(&mut hand), Err(Reject::PlaneKeyMissing));
    assert_eq!(generation(&hand), None);
    assert_eq!(posted(&hand), []);
    let rows = hand.store.rows();
    assert_eq!(
        rows.filter(|(table, ..)| *table == Table::PlaneKeys)
            .count(),
        0
    );
}

#[test]
fn nobody_is_encrypted_whom_nobody_enrolled() {
    let mut hand = Hand::new();
    hand.channel = hand.keys.channel("press-9");
    assert_eq!(encrypt(&mut hand), Err(Reject::NotAdmitted));
    hand.invite([3; 8], None);
    assert_eq!(encrypt(&mut hand), Err(Reject::NotAdmitted));
}

//= spec/encryption.md#switching-on type=test
//# A controller MUST refuse with `plane-key-missing` an enrolment without an agreement key for a
//# name whose planes it encrypts.
#[test]
fn new_life_without_an_agreement_key_is_refused() {
    let mut hand = Hand::new();
    encrypt(&mut hand).unwrap();
    let first = keys(&hand);
    let before = hand.agreement.take();
    hand.incarnation = Incarnation::from_bytes([8; 16]);
    hand.invite([2; 8], None);
    assert_eq!(hand.join([2; 8]), Err(Reject::PlaneKeyMissing));
    hand.agreement = before;
    assert_eq!(hand.join([2; 8]), Ok(()));
    assert_eq!(generation(&hand), Some(1));
    let second = keys(&hand);
    assert!(first.digest != second.digest && first.desired != second.desired);
}

#[test]
fn keys_and_state_survive_a_restart_and_a_rotation() {
    let mut hand = Hand::new();
    hand.set("a/x", 1);
    encrypt(&mut hand).unwrap();
    let first = keys(&hand);
    hand.restart(None);
    assert_eq!(keys(&hand), first, "told again in the next epoch");
    let digest = hand.head().digest;
    encrypt(&mut hand).unwrap();
    let second = keys(&hand);
    assert_eq!((generation(&hand), second.digest), (Some(2), first.digest));
    assert_ne!(second.desired, first.desired);
    assert_eq!(hand.head().digest, digest, "no rotation changes a digest");
}

//= spec/encryption.md#switching-on type=test
//# A device that holds plane keys, and a controller that holds an encrypted state of `actual`,
//# MUST refuse a delta or snapshot of the plane that is not encrypted with `not-encrypted`.
#[test]
fn readable_actual_is_taken_until_the_first_encrypted_one() {
    let mut hand = Hand::new();
    encrypt(&mut hand).unwrap();
    let key = keys(&hand);
    let one = numbers(&[("net/mtu", 1)]);
    let readable = hand.snapshot(&one, at(7, 1), &[]);
    assert_eq!(hand.receive(&readable), None);
    hand.put(Plane::Actual, &one);
    let held = *hand.member().actual_head().unwrap();
    let vault = Vault::new(life(&hand), key);
    let state = one.under(vault.digester()).unwrap();
    let mut bodies = EncryptedBodies::default();
    bodies.refresh(&vault, Plane::Actual, &state, &mut Dice::new(1));
    let past = LineageEntry {
        last: held.revision,
        digest: held.digest,
    };
    let payload = Snapshot {
        table: bodies.table(),
        lineage: Lineage::new(vec![past], Epoch::new(8)).unwrap(),
    };
    let header = crate::envelope::Header {
        kind: MessageKind::Snapshot,
        epoch: Epoch::new(8),
        seq: Seq::new(1),
        base: Seq::new(0),
        digest: Some(*state.root()),
    };
    let encrypted = hand.seal(header, payload.encode());
    assert_eq!(hand.receive(&encrypted), None);
    let channel = hand.id();
    for (digest, bytes) in bodies.iter() {
        let chunk = crate::frame::BodyChunk {
            digest,
            size: bytes.len() as u64,
            offset: 0,
            bytes,
        };
        hand.input(Input::Put {
            channel,
            plane: Plane::Actual,
            chunks: &[chunk],
        });
    }
    assert_eq!(hand.member().actual(), &state);
    let back = hand.snapshot(&one, at(9, 1), &[*hand.member().actual_head().unwrap()]);
    assert_eq!(hand.receive(&back), Some(Reject::NotEncrypted));
}

/// The device may have left the generation that encrypted them.
#[test]
fn lists_of_an_encrypted_report_are_known_after_a_restart() {
    let mut hand = Hand::new();
    encrypt(&mut hand).unwrap();
    let vault = Vault::new(life(&hand), keys(&hand));
    let mut report = Report::default();
    report.lists.push_result(ResultNote {
        revision: at(60, 7),
        status: 3,
        output: "broken".into(),
    });
    let header = crate::envelope::Header {
        kind: MessageKind::Report,
        epoch: Epoch::new(50),
        seq: Seq::new(1),
        base: Seq::new(0),
        digest: None,
    };
    let payload = report.encode_with(|lists| {
        vault.encrypt_message(Plane::Actual, &header, &lists, &mut Dice::new(3))
    });
    let envelope = hand.seal(header, payload);
    assert_eq!(hand.receive(&envelope), None);
    for _ in 0..2 {
        let held = hand.member().report().unwrap();
        assert_eq!((held.is_encrypted, &held.report), (true, &report));
        hand.restart(None);
    }
}
