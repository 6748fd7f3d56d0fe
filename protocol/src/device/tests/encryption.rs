//! Keys of the channel: which are taken, what is refused with and without them, what is said then.

use super::speech::post_of;
use crate::Reject;
use crate::encryption::{CipherKey, DigestKey, EncryptedBodies, Life, PlaneKey, Vault};
use crate::envelope::{Header, ReceivedEnvelope};
use crate::frame::{BodyChunk, DownFrame, FrameType, Item};
use crate::id::{Digest, Plane};
use crate::kind::MessageKind;
use crate::message::{Opened, PlaneMessage, Reading, Snapshot};
use crate::revision::{KeyGeneration, Lineage, LineageEntry, Revision, Seq};
use crate::state::State;
use crate::testing::{Dice, Lone, agreement, at, numbers};
use alloc::vec;
use alloc::vec::Vec;

const EPOCH: u64 = 100;

fn key(number: u64) -> PlaneKey {
    PlaneKey {
        generation: KeyGeneration::new(number),
        digest: DigestKey::from_bytes([1; 32]),
        desired: CipherKey::from_bytes([2; 32]),
        actual: CipherKey::from_bytes([3; 32]),
    }
}

fn life(lone: &Lone) -> Life {
    Life {
        channel: lone.node.identity.channel.clone(),
        incarnation: lone.node.identity.incarnation,
    }
}

fn seal(lone: &Lone, key: &PlaneKey, epoch: u64) -> Vec<u8> {
    let to = agreement().public();
    let payload = key.encrypt(&life(lone), &to, &mut Dice::new(epoch));
    seal_payload(lone, key.generation.number(), epoch, payload.unwrap(), None)
}

fn seal_payload(
    lone: &Lone,
    number: u64,
    epoch: u64,
    payload: Vec<u8>,
    digest: Option<Digest>,
) -> Vec<u8> {
    let digest = digest.unwrap_or_else(|| Digest::of(&payload));
    let place = at(epoch, number);
    lone.seal_message(MessageKind::PlaneKey, place, 0, Some(digest), payload)
}

fn give(lone: &mut Lone, envelope: &[u8]) {
    let poll = lone.paced_poll();
    let item = Item {
        plane: None,
        envelope,
    };
    lone.answer_items(&poll, vec![item]);
}

/// A device that holds (100, 5), and generation 1 of the keys.
pub(super) fn keyed() -> Lone {
    let mut lone = Lone::holding(&numbers(&[("a/x", 1)]), at(EPOCH, 5));
    let envelope = seal(&lone, &key(1), EPOCH);
    give(&mut lone, &envelope);
    assert_eq!(generation(&lone), Some(1));
    assert_eq!(lone.rejects(), []);
    lone
}

fn generation(lone: &Lone) -> Option<u64> {
    let engine = lone.node.engine.as_ref().unwrap();
    engine.key_generation().map(KeyGeneration::number)
}

fn vault(lone: &Lone) -> Vault {
    Vault::new(life(lone), key(1))
}

/// Signs an encrypted snapshot, whose lineage names `before`.
fn snapshot(lone: &Lone, state: &State, revision: Revision, before: LineageEntry) -> Vec<u8> {
    snapshot_under(&vault(lone), lone, state, revision, before).0
}

/// The same under other keys, with the bodies that it names.
fn snapshot_under(
    vault: &Vault,
    lone: &Lone,
    state: &State,
    revision: Revision,
    before: LineageEntry,
) -> (Vec<u8>, EncryptedBodies) {
    let state = state.under(vault.digester()).unwrap();
    let mut bodies = EncryptedBodies::default();
    bodies.refresh(vault, Plane::Desired, &state, &mut Dice::new(1));
    let payload = Snapshot {
        table: bodies.table(),
        lineage: Lineage::new(vec![before], revision.epoch).unwrap(),
    };
    let digest = Some(*state.root());
    let kind = MessageKind::Snapshot;
    let envelope = lone.seal_message(kind, revision, 0, digest, payload.encode());
    (envelope, bodies)
}

/// Gives one plane-key to a device that holds generation 1 of (generation 1, epoch 100).
fn check(make: impl Fn(&Lone) -> Vec<u8>, expected: Option<Reject>, held: u64) {
    let mut lone = keyed();
    let envelope = make(&lone);
    give(&mut lone, &envelope);
    let engine = lone.node.engine.as_ref().unwrap();
    // The former one decrypts what is under way.
    assert_eq!(engine.key_generations_count() as u64, held);
    assert_eq!(lone.rejects().first().copied(), expected);
    assert_eq!(generation(&lone), Some(held));
    lone.restart();
    assert_eq!(generation(&lone), Some(held), "what counts is durable");
}

//= spec/encryption.md#plane-key type=test
//# A device MUST refuse a plane-key that compares lower than the one held with
//# `plane-key-stale`.
//= spec/encryption.md#plane-key type=test
//# A device MUST refuse a plane-key that compares equal and has another digest with
//# `equivocation`.
#[test]
fn plane_key_that_is_not_above_is_refused() {
    let other = || {
        let mut other = key(1);
        other.desired = CipherKey::from_bytes([9; 32]);
        other
    };
    let stale = Some(Reject::PlaneKeyStale);
    check(|lone| seal(lone, &other(), EPOCH - 1), stale, 1);
    check(
        |lone| seal(lone, &other(), EPOCH),
        Some(Reject::Equivocation),
        1,
    );
    check(|lone| seal(lone, &key(1), EPOCH), None, 1);
    check(|lone| seal(lone, &other(), EPOCH + 1), None, 1);
    check(|lone| seal(lone, &key(2), EPOCH), None, 2);
}

//= spec/encryption.md#plane-key type=test
//# The digest of a plane-key MUST be `h(payload)`, else `digest-mismatch`.
#[test]
fn plane_key_that_is_not_for_this_device_is_refused() {
    let digest = Some(Digest::from_bytes([7; 32]));
    let payload = |lone: &Lone| {
        let to = agreement().public();
        key(2).encrypt(&life(lone), &to, &mut Dice::new(1)).unwrap()
    };
    let mismatch = Some(Reject::DigestMismatch);
    check(
        |lone| seal_payload(lone, 2, EPOCH, payload(lone), digest),
        mismatch,
        1,
    );
    let failed = Some(Reject::DecryptionFailed);
    check(
        |lone| seal_payload(lone, 3, EPOCH, payload(lone), None),
        failed,
        1,
    );
    check(
        |lone| seal_payload(lone, 2, EPOCH, vec![0x80], None),
        Some(Reject::Shape),
        1,
    );
    let other_digests = || PlaneKey {
        digest: DigestKey::from_bytes([8; 32]),
        ..key(2)
    };
    let conflict = Some(Reject::PlaneKeyConflict);
    check(|lone| seal(lone, &other_digests(), EPOCH), conflict, 1);
}

//= spec/encryption.md#switching-on type=test
//# A device that holds plane keys, and a controller that holds an encrypted state of `actual`,
//# MUST refuse a delta or snapshot of the plane that is not encrypted with `not-encrypted`.
#[test]
fn device_with_keys_refuses_what_is_readable() {
    let (one, two) = (numbers(&[("a/x", 1)]), numbers(&[("a/x", 2)]));
    let past = LineageEntry {
        last: at(EPOCH, 5),
        digest: *one.root(),
    };
    type Seal<'a> = &'a dyn Fn(&Lone) -> Vec<u8>;
    let seals: [Seal<'_>; 2] = [
        &|lone| lone.seal_step(&one, &two, 5, at(EPOCH, 6)),
        &|lone| lone.seal_snapshot(&two, at(EPOCH + 1, 1), vec![past]),
    ];
    for seal in seals {
        let mut lone = keyed();
        let envelope = seal(&lone);
        lone.serve(&[envelope]);
        assert_eq!(lone.rejects(), [Reject::NotEncrypted]);
        assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
    }
}

#[test]
fn device_with_keys_refuses_an_old_epoch_before_it_opens_anything() {
    let (one, two) = (numbers(&[("a/x", 1)]), numbers(&[("a/x", 2)]));
    let mut lone = keyed();
    let snapshot = lone.seal_snapshot(&two, at(EPOCH - 1, 900), vec![]);
    let delta = lone.seal_step(&one, &two, 5, at(EPOCH - 1, 6));
    lone.serve(&[snapshot, delta]);
    assert_eq!(lone.rejects(), [Reject::EpochStale; 2]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
}

//= spec/encryption.md#switching-on type=test
//# A reader without plane keys MUST refuse an encrypted delta or snapshot with
//# `plane-key-missing`, as for the outcome *need*.
#[test]
fn device_without_keys_asks_for_them() {
    let one = numbers(&[("a/x", 1)]);
    let past = LineageEntry {
        last: at(EPOCH, 5),
        digest: *one.root(),
    };
    let mut lone = Lone::holding(&one, at(EPOCH, 5));
    let envelope = snapshot(&lone, &one, at(EPOCH + 1, 1), past);
    lone.serve(&[envelope]);
    assert_eq!(lone.rejects(), [Reject::PlaneKeyMissing]);
    lone.run(6_000);
    assert!(lone.request(FrameType::Need).is_some());
    let header = Header {
        kind: MessageKind::Delta,
        epoch: at(EPOCH, 6).epoch,
        seq: Seq::new(6),
        base: Seq::new(5),
        digest: Some(*one.root()),
    };
    let payload = vault(&lone).encrypt_message(Plane::Desired, &header, &[0x80], &mut Dice::new(1));
    let kind = MessageKind::Delta;
    let envelope = lone.seal_message(kind, at(EPOCH, 6), 5, header.digest, payload);
    lone.serve(&[envelope]);
    assert_eq!(lone.rejects(), [Reject::PlaneKeyMissing; 2]);
}

#[test]
fn encrypted_delta_of_another_place_is_refused_and_reported() {
    let one = numbers(&[("a/x", 1)]);
    let mut lone = keyed();
    let header = Header {
        kind: MessageKind::Delta,
        epoch: at(EPOCH, 6).epoch,
        seq: Seq::new(6),
        base: Seq::new(5),
        digest: Some(*one.root()),
    };
    // What was encrypted for 6 stands under 7.
    let payload = vault(&lone).encrypt_message(Plane::Desired, &header, &[0x80], &mut Dice::new(1));
    let kind = MessageKind::Delta;
    let envelope = lone.seal_message(kind, at(EPOCH, 7), 5, header.digest, payload);
    lone.serve(&[envelope]);
    assert_eq!(lone.rejects(), [Reject::DecryptionFailed]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
}

#[test]
fn device_without_an_agreement_key_takes_no_keys() {
    let mut lone = Lone::new();
    lone.connect();
    let engine = lone.node.engine.take().unwrap();
    lone.node.engine = Some(engine.without_agreement());
    let envelope = seal(&lone, &key(1), EPOCH);
    give(&mut lone, &envelope);
    assert_eq!(lone.rejects(), [Reject::PlaneKeyMissing]);
    assert_eq!(generation(&lone), None);
}

//= spec/encryption.md#switching-on type=test
//# A device that holds plane keys MUST encrypt the lists of its reports.
#[test]
fn lists_of_a_device_with_keys_are_not_readable() {
    let mut lone = keyed();
    lone.drop_requests();
    let (one, two) = (numbers(&[("a/x", 1)]), numbers(&[("a/x", 2)]));
    // A refusal stands in list 1, of which a readable report has the map `a1 01 81`.
    let envelope = lone.seal_step(&one, &two, 5, at(EPOCH, 6));
    lone.serve(&[envelope]);
    let reports = lone.take_reports();
    let report = reports.last().unwrap();
    let list = [0xa1, 0x01, 0x81];
    assert!(!report.windows(list.len()).any(|part| part == list));
    let encrypt0 = [0x83, 0x55, 0xa3, 0x01, 0x18, 0x18];
    assert!(report.windows(encrypt0.len()).any(|part| part == encrypt0));
}

fn one() -> State {
    numbers(&[("a/x", 1)])
}

/// The head of [`keyed`], as a lineage names it.
fn past() -> LineageEntry {
    LineageEntry {
        last: at(EPOCH, 5),
        digest: *one().root(),
    }
}

fn generations(lone: &Lone) -> usize {
    lone.node.engine.as_ref().unwrap().key_generations_count()
}

/// Brings a device that holds generations 1 and 2 an encrypted snapshot.
fn bring(lone: &mut Lone, vault: &Vault) {
    let (envelope, bodies) = snapshot_under(vault, lone, &one(), at(EPOCH + 1, 1), past());
    lone.serve(&[envelope]);
    lone.drop_requests();
    let fetch = lone.request(FrameType::Fetch).unwrap();
    let chunks = bodies.iter().map(|(digest, bytes)| BodyChunk {
        digest,
        size: bytes.len() as u64,
        offset: 0,
        bytes,
    });
    let frame = lone.seal(fetch.counter, &DownFrame::Bodies(chunks.collect()));
    lone.answer_raw(fetch.exchange, &frame);
    assert_eq!(lone.node.head(), Some(at(EPOCH + 1, 1)));
}

//= spec/encryption.md#plane-key type=test
//# A device MUST forget the generations below the one that encrypts a snapshot which it accepted.
#[test]
fn generations_below_the_one_of_an_accepted_snapshot_are_forgotten_for_good() {
    for (newest, left) in [(1, 2), (2, 1)] {
        let mut lone = keyed();
        let envelope = seal(&lone, &key(2), EPOCH);
        give(&mut lone, &envelope);
        let mut vault = vault(&lone);
        if newest == 2 {
            vault.take(key(2)).unwrap();
        }
        assert_eq!(generations(&lone), 2);
        bring(&mut lone, &vault);
        assert_eq!(generations(&lone), left);
        let engine = lone.node.engine.as_mut().unwrap();
        let again = engine.forget_old_keys(Some(KeyGeneration::new(newest)));
        assert_eq!(again, None, "nothing is kept where nothing changed");
        lone.restart();
        assert_eq!(generations(&lone), left, "of generation {newest}");
        assert_eq!(generation(&lone), Some(2));
    }
}

#[test]
fn place_of_keys_that_came_again_is_kept_with_the_snapshot_behind_them() {
    let mut lone = keyed();
    let again = seal(&lone, &key(1), EPOCH);
    let payload = ReceivedEnvelope::parse(&again).unwrap();
    let payload = payload.unverified_payload().to_vec();
    let later = seal_payload(&lone, 1, EPOCH + 1, payload, None);
    give(&mut lone, &later);
    let vault = vault(&lone);
    bring(&mut lone, &vault);
    lone.restart();
    lone.connect();
    let mut other = key(1);
    other.desired = CipherKey::from_bytes([9; 32]);
    let between = seal(&lone, &other, EPOCH + 1);
    give(&mut lone, &between);
    assert_eq!(lone.rejects(), [Reject::Equivocation]);
}

fn is_list_readable(report: &[u8]) -> bool {
    let list = [0xa1, 0x01, 0x81];
    report.windows(list.len()).any(|part| part == list)
}

#[test]
fn refusal_that_was_told_readable_is_told_once_more_when_keys_come() {
    let mut lone = Lone::holding(&one(), at(EPOCH, 5));
    let stale = lone.seal_snapshot(&one(), at(EPOCH - 1, 9), vec![]);
    lone.serve(&[stale]);
    let told = lone.take_reports();
    assert!(is_list_readable(told.last().unwrap()));
    let envelope = seal(&lone, &key(1), EPOCH);
    give(&mut lone, &envelope);
    let told = lone.take_reports();
    assert_eq!(told.len(), 1);
    assert!(!is_list_readable(&told[0]));
}

#[test]
fn device_that_told_nothing_reports_nothing_when_keys_come() {
    let mut lone = Lone::holding(&one(), at(EPOCH, 5));
    lone.acknowledge();
    let number = |lone: &Lone| lone.node.engine.as_ref().unwrap().report_number();
    let before = number(&lone);
    let envelope = seal(&lone, &key(1), EPOCH);
    give(&mut lone, &envelope);
    assert_eq!(generation(&lone), Some(1));
    assert_eq!(number(&lone), before);
}

#[test]
fn state_from_before_the_keys_is_shown_to_a_writer_that_is_behind_as_it_was() {
    let mut lone = keyed();
    let lower = LineageEntry {
        last: at(EPOCH, 3),
        ..past()
    };
    let behind = snapshot(&lone, &one(), at(EPOCH + 1, 1), lower);
    lone.serve(&[behind]);
    assert_eq!(lone.rejects(), [Reject::WriterBehind]);
    let (_, envelope) = post_of(&mut lone, MessageKind::Evidence).unwrap();
    let verified = super::evidence::verify(&lone, &envelope);
    let vault = vault(&lone);
    let opened = Opened::of(&verified, Plane::Desired, Some(&vault), Reading::Allowed).unwrap();
    let Ok(PlaneMessage::Evidence(evidence)) = opened.message() else {
        panic!("evidence");
    };
    assert_eq!(evidence.table, Some(one().section_table()));
}
