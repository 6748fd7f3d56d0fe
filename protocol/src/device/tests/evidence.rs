//! Evidence: a writer that contradicts itself or lost history is told so, with the proof.

use super::speech::{answer_hints, post_of, stored, wanted};
use crate::device::evidence::{Dispute, Disputes};
use crate::device::{Event, Input};
use crate::envelope::{Binding, Expected, ReceivedEnvelope, Verified};
use crate::frame::{FrameType, Hints};
use crate::id::Plane;
use crate::key::Signer as _;
use crate::kind::{MessageKind, Role};
use crate::message::{EvidenceCode, PlaneMessage};
use crate::record::Table;
use crate::revision::{Generation, Head, LineageEntry};
use crate::state::State;
use crate::testing::{Lone, at, numbers};
use alloc::vec;
use alloc::vec::Vec;

const EPOCH: u64 = 100;

fn state(value: u64) -> State {
    numbers(&[("a/x", value)])
}

fn binding(lone: &Lone) -> Binding<'_> {
    Binding::Device {
        channel: &lone.node.identity.channel,
        incarnation: lone.node.identity.incarnation,
    }
}

/// Verifies evidence as the controller does.
pub(super) fn verify<'a>(lone: &Lone, envelope: &'a [u8]) -> Verified<'a> {
    let expected = Expected {
        role: Role::Device,
        plane: Some(Plane::Desired),
    };
    let received = ReceivedEnvelope::parse(envelope).unwrap();
    let key = lone.node.signer.public_key();
    received
        .verify(expected, binding(lone), [key], |_| false)
        .unwrap()
}

/// A device at (100, 110) to which a controller restored to 105 offers a new epoch.
fn behind() -> (Lone, Vec<u8>) {
    let mut lone = Lone::holding(&state(110), at(EPOCH, 110));
    lone.acknowledge();
    let lineage = vec![LineageEntry {
        last: at(EPOCH, 105),
        digest: *state(105).root(),
    }];
    let snapshot = lone.seal_snapshot(&state(106), at(EPOCH + 1, 1), lineage);
    lone.serve(core::slice::from_ref(&snapshot));
    (lone, snapshot)
}

//= spec/lives.md#recovery type=test
//# A device that refuses with `writer-behind` MUST keep its state, list the reject, and post
//# evidence with its table and the newest envelope that it accepted.
/// SQ-20, PROTOCOL 2, attack: a database restored from 110 to 100 while the relay shows it only 105.
#[test]
fn writer_that_is_behind_is_told_with_the_newest_envelope() {
    let (mut lone, _) = behind();
    let (_, envelope) = post_of(&mut lone, MessageKind::Evidence).unwrap();
    let verified = verify(&lone, &envelope);
    let Ok(PlaneMessage::Evidence(evidence)) = PlaneMessage::decode(&verified) else {
        panic!("evidence");
    };
    assert_eq!(evidence.code, EvidenceCode::WriterBehind);
    assert_eq!(evidence.table, Some(state(110).section_table()));
    let expected = Expected {
        role: Role::Writer,
        plane: Some(Plane::Desired),
    };
    let writer = lone.keys.writer.public_key();
    let proof = evidence.proofs[0].verify(expected, binding(&lone), [writer], |_| false);
    let proof = proof.unwrap().expect("it fits");
    assert_eq!(proof.header().seq.number(), 110);
}

#[test]
fn newest_envelope_survives_a_restart() {
    let (mut lone, snapshot) = behind();
    lone.restart();
    lone.connect();
    lone.take_reports();
    lone.serve(&[snapshot]);
    assert!(post_of(&mut lone, MessageKind::Evidence).is_some());
    let kept = stored(&lone, Table::Envelopes, b"desired").unwrap();
    let header = *ReceivedEnvelope::parse(&kept).unwrap().unverified_header();
    assert_eq!(header.seq.number(), 110);
}

//= spec/lives.md#recovery type=test
//# A device MUST put the bodies that the answer wants.
#[test]
fn bodies_of_the_state_that_evidence_names_are_put() {
    let (mut lone, _) = behind();
    let (post, _) = post_of(&mut lone, MessageKind::Evidence).unwrap();
    answer_hints(&mut lone, &post, wanted(&state(110)));
    let told = Event::EvidencePosted {
        code: EvidenceCode::WriterBehind,
    };
    assert!(lone.node.events.contains(&told));
    let put = lone.request(FrameType::Put).unwrap();
    answer_hints(&mut lone, &put, Hints::default());
    assert!(lone.request(FrameType::Put).is_none());
}

#[test]
fn evidence_is_told_once_a_session_and_ever_more_rarely() {
    let (mut lone, snapshot) = behind();
    let mut told = Vec::new();
    for minute in 0..20 {
        while let Some((post, _)) = post_of(&mut lone, MessageKind::Evidence) {
            told.push(minute);
            lone.answer(&post, &[]);
        }
        lone.serve(core::slice::from_ref(&snapshot));
        lone.run(60_000);
    }
    assert!((3..=6).contains(&told.len()), "{told:?}");
}

/// A controller that is restored once more knows nothing of what its lost life was told for hours.
#[test]
fn refusal_of_a_later_epoch_is_told_at_once_and_then_ever_more_rarely() {
    let (mut lone, snapshot) = behind();
    // How often it is told in three minutes in which the mailbox serves this one.
    let told = |lone: &mut Lone, snapshot: &[u8]| {
        let mut told = 0;
        for _ in 0..3 {
            while let Some((post, _)) = post_of(lone, MessageKind::Evidence) {
                told += 1;
                lone.answer(&post, &[]);
            }
            lone.serve(&[snapshot.to_vec()]);
            lone.run(60_000);
        }
        told
    };
    for _ in 0..12 {
        told(&mut lone, &snapshot);
    }
    assert_eq!(told(&mut lone, &snapshot), 0, "it is told rarely by now");
    let later = lone.seal_snapshot(&state(106), at(EPOCH + 2, 1), Vec::new());
    assert_eq!(told(&mut lone, &later), 2, "at once, and a minute later");
}

#[test]
fn accepted_continuation_ends_the_dispute() {
    let (mut lone, _) = behind();
    let lineage = vec![LineageEntry {
        last: at(EPOCH, 110),
        digest: *state(110).root(),
    }];
    let resumed = lone.seal_snapshot(&state(111), at(EPOCH + 2, 1), lineage);
    lone.drop_requests();
    lone.serve(&[resumed]);
    lone.serve_bodies(&state(111));
    lone.run(200_000);
    assert!(post_of(&mut lone, MessageKind::Evidence).is_none());
    assert_eq!(lone.node.head(), Some(at(EPOCH + 2, 1)));
}

pub(super) fn proofs_of(lone: &Lone, envelope: &[u8]) -> Vec<Vec<u8>> {
    let verified = verify(lone, envelope);
    let Ok(PlaneMessage::Evidence(evidence)) = PlaneMessage::decode(&verified) else {
        panic!("evidence");
    };
    let proofs = evidence.proofs.iter();
    proofs
        .map(|proof| proof.envelope.unwrap().to_vec())
        .collect()
}

/// SQ-19, PROTOCOL 2, attack: two controllers in one epoch.
#[test]
fn equivocation_is_told_with_both_envelopes_also_after_a_restart() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let first = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    let second = lone.seal_step(&state(1), &state(3), 5, at(EPOCH, 6));
    lone.serve(core::slice::from_ref(&first));
    lone.serve(core::slice::from_ref(&second));
    let expected = [first, second];
    let (_, envelope) = post_of(&mut lone, MessageKind::Evidence).unwrap();
    assert_eq!(proofs_of(&lone, &envelope), expected);
    lone.restart();
    lone.connect();
    let (_, envelope) = post_of(&mut lone, MessageKind::Evidence).unwrap();
    assert_eq!(proofs_of(&lone, &envelope), expected);
}

#[test]
fn epoch_stays_frozen_over_a_restart_with_nothing_stored() {
    let mut lone = Lone::new();
    lone.connect();
    let first = lone.seal_snapshot(&state(1), at(EPOCH, 5), vec![]);
    let second = lone.seal_snapshot(&state(2), at(EPOCH, 5), vec![]);
    lone.serve(&[first.clone(), second]);
    lone.restart();
    lone.connect();
    lone.take_reports();
    lone.serve(&[first]);
    lone.serve_bodies(&state(1));
    assert_eq!(lone.node.head(), None);
    assert_eq!(
        lone.node.engine.as_ref().unwrap().frozen(),
        Some(at(EPOCH, 5).epoch)
    );
    lone.bring(&state(3), at(EPOCH + 1, 1));
    assert_eq!(lone.node.head(), Some(at(EPOCH + 1, 1)));
    lone.restart();
    assert_eq!(lone.node.engine.as_ref().unwrap().frozen(), None);
}

#[test]
fn proof_that_fits_no_envelope_is_named_without_its_bytes() {
    let text = |fill: &str| crate::state::Value::Text(fill.repeat(30_000));
    let entries = [(super::speech::path("a/x"), text("x"))];
    let large = State::from_entries(entries).unwrap();
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let first = lone.seal_step(&state(1), &large, 5, at(EPOCH, 6));
    let other = State::from_entries([(super::speech::path("a/x"), text("y"))]).unwrap();
    let second = lone.seal_step(&state(1), &other, 5, at(EPOCH, 6));
    lone.serve(core::slice::from_ref(&first));
    lone.serve(&[second]);
    let (_, envelope) = post_of(&mut lone, MessageKind::Evidence).unwrap();
    let verified = verify(&lone, &envelope);
    let Ok(PlaneMessage::Evidence(evidence)) = PlaneMessage::decode(&verified) else {
        panic!("evidence");
    };
    let held: Vec<_> = evidence
        .proofs
        .iter()
        .map(|it| it.envelope.is_some())
        .collect();
    assert_eq!(held, [true, false]);
}

#[test]
fn disputes_are_one_of_each_code_and_the_newest() {
    let dispute = |code, seq| {
        let head = Head {
            generation: Generation::new(1),
            revision: at(EPOCH, seq),
            digest: *state(seq).root(),
        };
        Dispute::new(code, head, vec![])
    };
    let mut disputes = Disputes::default();
    assert_eq!((disputes.due_ms(), disputes.iter().count()), (None, 0));
    assert!(!disputes.resolve(), "nothing was disputed");
    for (code, seq, is_new, count) in [
        (EvidenceCode::WriterBehind, 5, true, 1),
        (EvidenceCode::WriterBehind, 5, false, 1),
        (EvidenceCode::Equivocation, 5, true, 2),
        (EvidenceCode::WriterBehind, 6, true, 2),
        (EvidenceCode::Equivocation, 5, false, 2),
    ] {
        assert_eq!(disputes.open(dispute(code, seq)), is_new, "{code:?} {seq}");
        assert_eq!(
            (disputes.iter().count(), disputes.due_ms()),
            (count, Some(0))
        );
    }
    let places: Vec<_> = disputes
        .iter()
        .map(|one| one.head.revision.seq.number())
        .collect();
    assert_eq!(places, [5, 6]);
    assert!(disputes.resolve() && !disputes.resolve());
    assert_eq!(disputes.due_ms(), None);
}

#[test]
fn two_snapshots_of_one_number_that_are_fetched_are_told_with_both_envelopes() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let first = lone.seal_snapshot(&state(2), at(EPOCH, 8), vec![]);
    let second = lone.seal_snapshot(&state(3), at(EPOCH, 8), vec![]);
    lone.serve(&[first.clone(), second.clone()]);
    let (_, envelope) = post_of(&mut lone, MessageKind::Evidence).unwrap();
    assert_eq!(super::speech::header(&envelope).seq.number(), 8);
    assert_eq!(proofs_of(&lone, &envelope), [first, second]);
}

/// Takes evidence, answers it, and lets the session end before it is due again.
#[test]
fn evidence_is_told_anew_in_a_new_session() {
    let (mut lone, _) = behind();
    let (post, _) = post_of(&mut lone, MessageKind::Evidence).unwrap();
    lone.answer(&post, &[]);
    assert!(post_of(&mut lone, MessageKind::Evidence).is_none());
    lone.drop_requests();
    lone.input(Input::OtherMailbox);
    lone.connect();
    assert!(post_of(&mut lone, MessageKind::Evidence).is_some());
}

#[test]
fn proof_that_the_route_does_not_carry_is_named_without_its_bytes() {
    let (mut lone, _) = behind();
    let (post, whole) = post_of(&mut lone, MessageKind::Evidence).unwrap();
    let frame_bytes = post.frame.len();
    for (bytes_max, is_shown) in [(whole.len() + 20, true), (whole.len() + 19, false)] {
        let (mut lone, _) = behind();
        lone.input(Input::Sizes {
            up_bytes_max: bytes_max,
            down_bytes_max: bytes_max,
        });
        let (post, envelope) = post_of(&mut lone, MessageKind::Evidence).unwrap();
        assert!(post.frame.len() <= bytes_max, "{bytes_max}");
        assert_eq!(post.frame.len() == frame_bytes, is_shown, "{bytes_max}");
        let verified = verify(&lone, &envelope);
        let Ok(PlaneMessage::Evidence(evidence)) = PlaneMessage::decode(&verified) else {
            panic!("evidence");
        };
        assert_eq!(evidence.proofs.len(), 1);
        assert_eq!(evidence.proofs[0].envelope.is_some(), is_shown);
    }
}
