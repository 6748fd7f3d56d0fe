//! Bundles while the controller runs: rotation, fencing and revocation without a restart.

use super::hand::Hand;
use crate::Reject;
use crate::controller::{Controller, Event, Input, Output};
use crate::key::Signer as _;
use crate::revision::{BundleNumber, Generation, Revision};
use crate::testing::{at, signer};

/// Gives the engine the newest bundle of the keys.
fn offer(hand: &mut Hand) {
    let envelope = hand.keys.bundles.last().unwrap().clone();
    offer_this(hand, &envelope);
}

fn offer_this(hand: &mut Hand, envelope: &[u8]) {
    let ticket = hand.ticket();
    hand.forget();
    hand.input(Input::Bundle {
        ticket,
        envelope,
        is_urgent: false,
    });
}

//= spec/lives.md#rotation type=test
//# A controller MUST sign a snapshot of the same revision anew for each device of a tenant
//# whose writer key changed.
/// SQ-26: every device gets its state signed by the new key, under the number that it had.
#[test]
fn rotated_writer_signs_the_same_revision_again() {
    let mut hand = Hand::new();
    hand.set("a/x", 1);
    let before = hand.head();
    hand.keys.rotate_writer("writer-2", 2);
    offer(&mut hand);
    let envelope = hand.desired_post().unwrap();
    let verified = hand.verify(&envelope, crate::id::Plane::Desired);
    let (epoch, seq) = (verified.header().epoch, verified.header().seq);
    assert_eq!(Revision::new(epoch, seq), before.revision);
    assert_eq!(verified.header().digest, Some(before.digest));
    assert_eq!(hand.head().generation, Generation::new(2));
    let is_posted = |output: &Output| matches!(output, Output::PostBundle { .. });
    assert!(hand.outputs.iter().any(is_posted));
    hand.set("a/x", 2);
    assert!(hand.desired_post().is_some() && hand.rejected().is_none());
}

#[test]
fn accepted_bundle_survives_a_restart_from_the_records_alone() {
    let mut hand = Hand::new();
    hand.keys.rotate_writer("writer-2", 2);
    offer(&mut hand);
    let trust = hand.keys.trust_after(1);
    let engine = Controller::restore(trust, hand.store.rows()).unwrap();
    assert_eq!(engine.trust().number(), BundleNumber::new(2));
    let steps = engine.trust().steps().iter();
    assert!(
        steps
            .map(|step| step.envelope.as_ref())
            .eq(&hand.keys.bundles)
    );
}

/// SQ-27; a thief of the writer key rotates first: only the roots make bundles.
#[test]
fn bundle_that_does_not_follow_changes_nothing() {
    let mut hand = Hand::new();
    let first = hand.keys.bundles[0].clone();
    hand.keys.push_root("root-2");
    hand.keys.push_bundle(1, &[]);
    let (second, third) = (hand.keys.bundles[1].clone(), hand.keys.bundles[2].clone());
    let trust = hand.keys.trust_after(1);
    let mut content = trust.held().unwrap().content().clone();
    content.mailboxes.clear();
    let domain = hand.keys.domain();
    let stolen = content
        .seal(trust.held(), domain, &hand.keys.writer)
        .unwrap();
    let store = hand.store.clone();
    let cases = [
        (first, Reject::BundleStale),
        (third, Reject::BundleGap),
        (stolen.into_bytes(), Reject::BundleRoot),
        (second[1..].to_vec(), Reject::Shape),
    ];
    for (envelope, reject) in cases {
        offer_this(&mut hand, &envelope);
        let refused = hand.refused();
        assert!(refused == Some(reject) || reject == Reject::Shape && refused.is_some());
    }
    assert_eq!(hand.store, store);
    offer_this(&mut hand, &second);
    assert!(hand.refused().is_none());
}

//= spec/postern.md#mailboxes type=test
//# A mailbox MUST accept into a chain only envelopes that it, or the writer that embeds it, has
//# verified or signed under the current bundle.
/// A revived old primary writes on: the bundle names another writer, so it signs and decides nothing.
#[test]
fn controller_that_a_bundle_fenced_decides_and_signs_nothing() {
    let mut hand = Hand::new();
    hand.keys.rotate_writer("writer-2", 2);
    hand.keys.writer = signer("writer");
    offer(&mut hand);
    let accepted = hand.events().into_iter().any(|event| {
        matches!(event, Event::BundleAccepted { number, .. } if *number == BundleNumber::new(2))
    });
    assert!(accepted && hand.posts().is_empty());
    let head = hand.head();
    hand.forget();
    hand.set("a/x", 1);
    assert_eq!(hand.refused(), Some(Reject::KeyUnknown));
    assert_eq!(hand.head(), head);
    hand.restart(None);
    assert!(hand.posts().is_empty());
}

#[test]
fn device_whose_key_is_revoked_is_evicted_and_not_believed() {
    let mut hand = Hand::new();
    let thumbprint = hand.key.public_key().thumbprint();
    hand.keys.push_bundle(1, &[thumbprint]);
    offer(&mut hand);
    let is_evicted = |output: &Output| matches!(output, Output::Evict { .. });
    assert!(hand.outputs.iter().any(is_evicted));
    let report = hand.report_at(at(50, 1), Revision::NONE);
    assert_eq!(hand.receive(&report), Some(Reject::KeyRevoked));
    hand.forget();
    hand.restart(None);
    let is_admitted = |output: &Output| matches!(output, Output::Admit { .. });
    assert!(!hand.outputs.iter().any(is_admitted));
}

/// A revocation is withheld by a relay: the device's own heartbeat shows the bundle that it holds.
#[test]
fn withheld_revocation_shows_in_the_bundle_that_the_device_names() {
    let mut hand = Hand::new();
    let revoked = signer("lost").public_key().thumbprint();
    hand.keys.push_bundle(1, &[revoked]);
    offer(&mut hand);
    let heartbeat = hand.heartbeat(1_000, None, None);
    hand.receive(&heartbeat);
    assert_eq!(hand.engine.lowest_bundle(), Some(BundleNumber::new(1)));
    assert!(hand.engine.lowest_bundle() < Some(hand.engine.trust().number()));
}
