//! New writer keys of a restored controller: none before every device said where it stands.

use super::hand::Hand;
use crate::Reject;
use crate::controller::{Controller, Input, Take, Unsettled};
use crate::envelope::Header;
use crate::id::{Channel, Incarnation, Nonce, StartId};
use crate::kind::MessageKind;
use crate::message::{Heartbeat, Report};
use crate::revision::{Epoch, Generation, Revision, Seq};
use crate::testing::{MemoryStore, at};
use alloc::vec::Vec;

/// Gives the engine a bundle that names another writer; one that is refused leaves the keys as they were.
fn rotate(hand: &mut Hand, is_urgent: bool) -> Option<Reject> {
    let before = hand.keys.rotate_writer("writer-2", 2);
    let envelope = hand.keys.bundles[1].clone();
    let ticket = hand.ticket();
    hand.forget();
    hand.input(Input::Bundle {
        ticket,
        envelope: &envelope,
        is_urgent,
    });
    let refused = hand.refused();
    if refused.is_some() {
        hand.keys.take_back(before);
    }
    refused
}

/// A store that goes on from what it was before, as a restore leaves it.
fn restored() -> (Hand, Revision) {
    let mut hand = Hand::new();
    hand.set("a/x", 1);
    let backup = hand.store.clone();
    hand.set("a/x", 2);
    hand.set("a/x", 3);
    let lost = hand.head().revision;
    restart(&mut hand, backup);
    (hand, lost)
}

fn restart(hand: &mut Hand, mut backup: MemoryStore) {
    backup.commit(&[Controller::mark_restored()]);
    hand.now_ms += 60_000;
    hand.unix_s = hand.unix_s.map(|unix_s| unix_s + 60);
    hand.forget();
    hand.restart(Some(backup));
}

fn unsettled(hand: &Hand) -> Vec<Unsettled> {
    let found = hand.engine.unsettled(&hand.channel.tenant);
    found.map(|(_, why)| why).collect()
}

//= spec/lives.md#rotation type=test
//# A controller MUST refuse a bundle that changes a tenant's writer key while a device of it shows
//# a head that the controller does not know, or did not show a head of its present epoch since a
//# restore in a session or beside an echo of the controller's nonce, unless its operator says that
//# the change cannot wait.
/// SQ-26, SQ-20: the new generation would count for devices without a look at what they hold.
#[test]
fn restored_controller_refuses_another_writer_until_its_device_was_heard() {
    let (mut hand, _) = restored();
    let store = hand.store.clone();
    assert_eq!(unsettled(&hand), [Unsettled::Unheard]);
    assert_eq!(rotate(&mut hand, false), Some(Reject::WriterBehind));
    assert_eq!(hand.store, store, "nothing was changed");
    let report = hand.report_at(at(50, 1), hand.head().revision);
    hand.receive(&report);
    assert_eq!(unsettled(&hand), []);
    assert_eq!(rotate(&mut hand, false), None);
    assert_eq!(hand.head().generation, Generation::new(2));
}

#[test]
fn device_that_knows_more_keeps_the_writer_key_where_it_is() {
    let (mut hand, lost) = restored();
    let report = hand.report_at(at(50, 1), lost);
    hand.receive(&report);
    assert_eq!(unsettled(&hand), [Unsettled::Behind]);
    assert_eq!(rotate(&mut hand, false), Some(Reject::WriterBehind));
    // A restart forgets nothing of that.
    hand.restart(None);
    assert_eq!(rotate(&mut hand, false), Some(Reject::WriterBehind));
}

#[test]
fn report_out_of_a_file_is_no_hearing() {
    let (mut hand, _) = restored();
    let report = hand.report_at(at(50, 1), hand.head().revision);
    hand.receive_from(&report, false);
    assert_eq!(unsettled(&hand), [Unsettled::Unheard]);
    // The device itself says the same again.
    hand.receive_from(&report, true);
    assert_eq!(unsettled(&hand), []);
}

/// A heartbeat of the device that names the desired head that it accepted.
pub(super) fn heartbeat_at(hand: &Hand, other: Revision) -> Vec<u8> {
    echo_at(hand, other, None)
}

/// The same with an echo of a nonce of the controller's.
fn echo_at(hand: &Hand, other: Revision, echo: Option<Nonce>) -> Vec<u8> {
    let header = Header {
        kind: MessageKind::Heartbeat,
        epoch: Epoch::new(0),
        seq: Seq::new(0),
        base: Seq::new(1),
        digest: None,
    };
    let payload = Heartbeat {
        start: StartId::from_bytes([7; 8]),
        uptime_ms: 1_000,
        other,
        echo,
        ask: None,
    };
    hand.seal(header, payload.encode())
}

/// A relay keeps what it carries: only an echo of this start's nonce tells that it is not old.
#[test]
fn heartbeat_by_a_relay_is_hearing_only_with_an_echo_of_our_nonce() {
    let (mut hand, _) = restored();
    let channel = hand.id();
    hand.input(Input::HeartbeatWanted { channel });
    hand.run(10_000);
    let asks: Vec<_> = hand
        .heartbeats()
        .iter()
        .filter_map(|beat| beat.ask)
        .collect();
    let head = hand.head().revision;
    for echo in [None, Some(Nonce::from_bytes([1; 16]))] {
        let heartbeat = echo_at(&hand, head, echo);
        hand.receive_from(&heartbeat, false);
        assert_eq!(unsettled(&hand), [Unsettled::Unheard]);
    }
    let heartbeat = echo_at(&hand, head, Some(asks[0]));
    hand.receive_from(&heartbeat, false);
    assert_eq!(unsettled(&hand), []);
}

#[test]
fn heartbeat_in_a_session_shows_the_head_too() {
    let (mut hand, lost) = restored();
    let heartbeat = heartbeat_at(&hand, hand.head().revision);
    hand.receive_from(&heartbeat, false);
    assert_eq!(unsettled(&hand), [Unsettled::Unheard]);
    hand.receive(&heartbeat);
    assert_eq!(unsettled(&hand), []);
    let (mut hand, _) = restored();
    let ahead = heartbeat_at(&hand, lost);
    hand.receive(&ahead);
    assert_eq!(unsettled(&hand), [Unsettled::Behind]);
}

/// What a lost life signed can still reach a device that did not follow.
#[test]
fn device_at_a_known_head_of_an_earlier_epoch_has_not_followed() {
    let mut hand = Hand::new();
    hand.set("a/x", 1);
    let known = hand.head().revision;
    let backup = hand.store.clone();
    hand.set("a/x", 2);
    restart(&mut hand, backup);
    assert!(known.epoch < hand.head().revision.epoch);
    for shown in [Revision::NONE, known] {
        let heartbeat = heartbeat_at(&hand, shown);
        hand.receive(&heartbeat);
        assert_eq!(unsettled(&hand), [Unsettled::Unheard]);
        assert_eq!(rotate(&mut hand, false), Some(Reject::WriterBehind));
    }
    let heartbeat = heartbeat_at(&hand, hand.head().revision);
    hand.receive(&heartbeat);
    assert_eq!(rotate(&mut hand, false), None);
}

#[test]
fn refused_report_is_no_hearing() {
    let (mut hand, _) = restored();
    let mut report = hand.report_at(at(50, 1), hand.head().revision);
    let last = report.len() - 1;
    report[last] ^= 1;
    assert_eq!(hand.receive(&report), Some(Reject::SignatureInvalid));
    assert_eq!(unsettled(&hand), [Unsettled::Unheard]);
}

/// A stolen writer key cannot wait: the operator says so, and everything else is as ever.
#[test]
fn urgent_bundle_is_taken_whoever_was_not_heard() {
    let (mut hand, lost) = restored();
    let report = hand.report_at(at(50, 1), lost);
    hand.receive(&report);
    assert_eq!(rotate(&mut hand, true), None);
    assert_eq!(hand.head().generation, Generation::new(2));
}

#[test]
fn bundle_that_leaves_the_writer_is_taken_at_once() {
    let (mut hand, _) = restored();
    hand.keys.push_bundle(1, &[]);
    let envelope = hand.keys.bundles[1].clone();
    let ticket = hand.ticket();
    hand.input(Input::Bundle {
        ticket,
        envelope: &envelope,
        is_urgent: false,
    });
    assert_eq!(hand.refused(), None);
}

#[test]
fn mark_of_a_restore_stays_until_all_were_heard() {
    let (mut hand, _) = restored();
    hand.restart(None);
    assert_eq!(unsettled(&hand), [Unsettled::Unheard]);
    let report = hand.report_at(at(50, 1), hand.head().revision);
    hand.receive(&report);
    hand.restart(None);
    assert_eq!(unsettled(&hand), [], "an ordinary start asks nobody");
}

#[test]
fn device_that_begins_a_new_life_has_nothing_to_lose() {
    let (mut hand, _) = restored();
    hand.incarnation = Incarnation::from_bytes([8; 16]);
    hand.enrol([9; 8]).unwrap();
    assert_eq!(unsettled(&hand), []);
    let report = hand.report(at(60, 1), &Report::default());
    hand.receive(&report);
    assert_eq!(rotate(&mut hand, false), None);
}

/// A store of before the rotation, started under the bundle of after it; the device has decisions in between.
fn restored_under_a_newer_bundle() -> (Hand, Revision) {
    let mut hand = Hand::new();
    hand.set("a/x", 1);
    let backup = hand.store.clone();
    hand.set("a/x", 2);
    let lost = hand.head().revision;
    assert_eq!(rotate(&mut hand, false), None);
    restart(&mut hand, backup);
    (hand, lost)
}

fn resolve(hand: &mut Hand, take: Take) -> Option<Reject> {
    let ticket = hand.ticket();
    let Channel { tenant, device, .. } = hand.channel.clone();
    hand.forget();
    hand.input(Input::Resolve {
        ticket,
        tenant,
        device,
        take,
    });
    hand.refused()
}

//= spec/lives.md#rotation type=test
//# A restored controller MUST post no state under a generation that its store did not know to a
//# device before that device shows in a session or beside an echo of the controller's nonce a head
//# that the controller knows, or its operator chose.
#[test]
fn restored_under_a_newer_bundle_posts_nothing_before_the_device_was_heard() {
    let (mut hand, _) = restored_under_a_newer_bundle();
    assert_eq!(hand.desired_post(), None);
    hand.set("a/x", 9);
    assert_eq!(hand.desired_post(), None, "a decision waits as well");
    let report = hand.report_at(at(50, 1), Revision::NONE);
    hand.receive_from(&report, false);
    assert_eq!(hand.desired_post(), None, "a file may be old");
    assert!(hand.member().is_withheld());
    hand.receive(&report);
    assert!(hand.desired_post().is_some() && !hand.member().is_withheld());
    assert_eq!(hand.head().generation, Generation::new(2));
}

#[test]
fn restored_controller_asks_its_devices_at_once() {
    let (mut hand, _) = restored_under_a_newer_bundle();
    hand.run(1_000);
    let asks = hand
        .heartbeats()
        .into_iter()
        .filter(|one| one.ask.is_some());
    assert_eq!(asks.count(), 1);
}

#[test]
fn restored_under_a_newer_bundle_waits_for_the_operator_where_the_device_knows_more() {
    let (mut hand, lost) = restored_under_a_newer_bundle();
    let heartbeat = heartbeat_at(&hand, lost);
    hand.receive(&heartbeat);
    assert!(hand.member().is_behind() && hand.member().is_in_conflict());
    assert_eq!(hand.desired_post(), None);
    hand.restart(None);
    assert_eq!(hand.desired_post(), None, "a restart forgets nothing");
    hand.receive(&heartbeat);
    let refused = resolve(&mut hand, Take::Device);
    assert_eq!(refused, Some(Reject::NothingStored), "it showed no state");
    assert_eq!(resolve(&mut hand, Take::Controller), None);
    assert!(hand.desired_post().is_some());
    let head = hand.head();
    assert!(head.revision.epoch > lost.epoch && head.generation == Generation::new(2));
    let report = hand.report_at(at(50, 1), head.revision);
    hand.receive(&report);
    assert_eq!(unsettled(&hand), []);
}

#[test]
fn choice_for_a_device_that_was_not_heard_is_refused() {
    let (mut hand, _) = restored_under_a_newer_bundle();
    let refused = resolve(&mut hand, Take::Controller);
    assert_eq!(refused, Some(Reject::NothingStored));
}

#[test]
fn store_that_was_not_restored_goes_on_under_a_newer_bundle_at_once() {
    let mut hand = Hand::new();
    hand.set("a/x", 1);
    let before = hand.store.clone();
    assert_eq!(rotate(&mut hand, false), None);
    hand.forget();
    hand.restart(Some(before));
    assert_eq!(hand.head().generation, Generation::new(2));
    assert!(hand.desired_post().is_some());
}

#[test]
fn restored_store_under_the_bundle_that_it_knew_offers_what_it_holds_at_once() {
    let (hand, _) = restored();
    assert_eq!(hand.head().generation, Generation::new(1));
    assert!(hand.desired_post().is_some());
}
