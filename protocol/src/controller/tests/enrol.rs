//! Invitations: who becomes a member, who is refused, what a second try may do.

use super::hand::Hand;
use crate::Reject;
use crate::controller::enrol::fits;
use crate::controller::{Event, Input, Output, Ticket};
use crate::device::Identity;
use crate::enrol::JoinSecret;
use crate::envelope::ReceivedEnvelope;
use crate::frame::{Direction, PlainFrame};
use crate::id::{Digest, Incarnation, Tenant, Thumbprint, TokenId};
use crate::limits::{BUNDLE_LIST_MAX, ENROL_ANSWER_BYTES_MAX, FRAME_BYTES_MAX};
use crate::revision::Revision;
use crate::testing::{World, at, signer};
use alloc::vec::Vec;

const TOKEN: TokenId = TokenId::from_bytes([4; 8]);
const SECRET: [u8; 32] = [5; 32];

fn identity(world: &World, incarnation: u8) -> Identity {
    Identity {
        channel: world.keys.channel("press-7"),
        incarnation: Incarnation::from_bytes([incarnation; 16]),
    }
}

fn invite(world: &mut World, token: TokenId) -> Ticket {
    let channel = world.keys.channel("press-7");
    let ticket = world.ticket();
    world.control(Input::Invite {
        ticket,
        tenant: channel.tenant,
        device: channel.device,
        token,
        secret: JoinSecret::from_bytes(SECRET),
        expires_unix_s: None,
    });
    ticket
}

fn join(world: &mut World, key: &str, incarnation: u8) -> Result<(), Reject> {
    let identity = identity(world, incarnation);
    let secret = JoinSecret::from_bytes(SECRET);
    let joined = world.join(&identity, &signer(key), TOKEN, &secret);
    joined.map(|_| ())
}

/// The reject of the newest refusal.
fn refused(world: &World) -> Option<Reject> {
    let mut events = world.controller.events.iter().rev();
    events.find_map(|event| {
        let Event::Refused { reject, .. } = event else {
            return None;
        };
        Some(*reject)
    })
}

#[test]
fn invited_key_becomes_a_member() {
    let mut world = World::new(1);
    invite(&mut world, TOKEN);
    assert_eq!(join(&mut world, "device", 1), Ok(()));
    let channel = world.keys.channel("press-7");
    let member = world.controller.engine.member_of(channel.id()).unwrap();
    assert!(member.is_enrolled());
    assert!(!member.is_converged(), "it reported nothing yet");
}

//= spec/postern.md#enrolment type=test
//# The controller MUST refuse a token id that no invitation has, or whose frame, payload, tenant
//# and device name do not agree with the invitation, with `token-unknown`.
#[test]
fn uninvited_key_is_refused() {
    let mut world = World::new(1);
    assert!(join(&mut world, "device", 1).is_err());
    assert_eq!(refused(&world), Some(Reject::TokenUnknown));
}

#[test]
fn inspector_that_took_the_token_cannot_enrol() {
    let mut world = World::new(1);
    invite(&mut world, TOKEN);
    let identity = identity(&world, 1);
    let guess = JoinSecret::from_bytes([6; 32]);
    let stolen = world.join(&identity, &signer("thief"), TOKEN, &guess);
    assert!(stolen.is_err());
    assert_eq!(refused(&world), Some(Reject::EnrolMac));
    assert_eq!(join(&mut world, "device", 1), Ok(()), "still open");
}

#[test]
fn same_key_may_ask_until_it_is_answered() {
    let mut world = World::new(1);
    invite(&mut world, TOKEN);
    assert_eq!(join(&mut world, "device", 1), Ok(()));
    assert_eq!(join(&mut world, "device", 1), Ok(()));
    assert_eq!(
        join(&mut world, "device", 2),
        Ok(()),
        "nothing was reported"
    );
}

//= spec/postern.md#enrolment type=test
//# The controller MUST refuse a token that another key has used with `token-used`.
#[test]
fn second_key_is_refused() {
    let mut world = World::new(1);
    invite(&mut world, TOKEN);
    assert_eq!(join(&mut world, "device", 1), Ok(()));
    assert!(join(&mut world, "thief", 1).is_err());
    assert_eq!(refused(&world), Some(Reject::TokenUsed));
}

#[test]
fn token_is_not_invited_twice() {
    let mut world = World::new(1);
    invite(&mut world, TOKEN);
    invite(&mut world, TOKEN);
    assert_eq!(refused(&world), Some(Reject::TokenUsed));
}

#[test]
fn tenant_without_a_writer_is_not_invited() {
    let mut world = World::new(1);
    let channel = world.keys.channel("press-7");
    let ticket = world.ticket();
    world.control(Input::Invite {
        ticket,
        tenant: Tenant::parse("stranger").unwrap(),
        device: channel.device,
        token: TOKEN,
        secret: JoinSecret::from_bytes(SECRET),
        expires_unix_s: None,
    });
    assert_eq!(refused(&world), Some(Reject::KeyUnknown));
}

//= spec/postern.md#enrolment type=test
//# The controller MUST refuse a token id that no invitation has, or whose frame, payload, tenant
//# and device name do not agree with the invitation, with `token-unknown`.
#[test]
fn token_of_another_name_is_refused() {
    let mut world = World::new(1);
    invite(&mut world, TOKEN);
    let other = Identity {
        channel: world.keys.channel("press-8"),
        incarnation: Incarnation::from_bytes([1; 16]),
    };
    let secret = JoinSecret::from_bytes(SECRET);
    assert!(
        world
            .join(&other, &signer("device"), TOKEN, &secret)
            .is_err()
    );
    assert_eq!(refused(&world), Some(Reject::TokenUnknown));
}

#[test]
fn key_of_another_device_is_refused() {
    let mut world = World::with_devices(1, &["press-8"]);
    invite(&mut world, TOKEN);
    assert!(join(&mut world, "press-8", 1).is_err());
    assert_eq!(refused(&world), Some(Reject::KeyRefused));
}

#[test]
fn invitation_survives_a_restart() {
    let mut world = World::new(1);
    invite(&mut world, TOKEN);
    world.restart_controller(None);
    assert_eq!(join(&mut world, "device", 1), Ok(()));
    world.restart_controller(None);
    assert!(join(&mut world, "thief", 1).is_err());
    assert_eq!(refused(&world), Some(Reject::TokenUsed));
}

//= spec/postern.md#incarnation type=test
//# A controller MUST NOT accept an envelope of a device's earlier incarnation.
#[test]
fn reset_device_starts_again_and_its_old_life_is_closed() {
    let mut world = World::with_devices(1, &["press-7"]);
    world.set(0, "a/x", 1);
    world.run(5_000);
    assert!(world.is_converged());
    let old = world.devices.remove(0);
    world.enrol("press-7");
    world.run(30_000);
    assert!(world.is_converged(), "the new life follows");
    let report = crate::envelope::Draft {
        header: crate::envelope::Header {
            kind: crate::kind::MessageKind::Report,
            epoch: crate::revision::Epoch::new(u64::MAX),
            seq: crate::revision::Seq::new(1),
            base: crate::revision::Seq::new(0),
            digest: None,
        },
        payload: crate::message::Report::default().encode(),
    };
    let binding = crate::envelope::Binding::Device {
        channel: &old.identity.channel,
        incarnation: old.identity.incarnation,
    };
    let scrapped = report
        .seal(crate::kind::Role::Device, binding, &old.signer)
        .unwrap();
    world.control(Input::Received {
        channel: old.identity.channel.id(),
        envelope: scrapped.as_bytes(),
        is_live: true,
    });
    let last = world.controller.events.last();
    let is_refused = matches!(
        last,
        Some(Event::Rejected {
            reject: Reject::SignatureInvalid,
            ..
        })
    );
    assert!(is_refused, "{last:?}");
}

/// Takes the next bundle of the domain, as from its operator.
fn take_bundle(hand: &mut Hand) {
    let envelope = hand.keys.bundles.last().unwrap().clone();
    let ticket = hand.ticket();
    hand.input(Input::Bundle {
        ticket,
        envelope: &envelope,
        is_urgent: false,
    });
    assert_eq!(hand.refused(), None);
    hand.forget();
}

/// The numbers of the bundles in the answer to the hand's device.
fn numbers_in_answer(hand: &mut Hand, token: [u8; 8]) -> Vec<u64> {
    assert_eq!(hand.join(token), Ok(()));
    let is_answer = |output: &&Output| matches!(output, Output::Answer { .. });
    let Some(Output::Answer { frame, .. }) = hand.outputs.iter().find(is_answer) else {
        panic!("an answer");
    };
    let decoded = PlainFrame::decode(frame, Direction::Down);
    let Ok(PlainFrame::Enrolled { bundles, .. }) = decoded else {
        panic!("an enrolled frame");
    };
    let number = |bundle: &&[u8]| {
        let received = ReceivedEnvelope::parse(bundle).unwrap();
        received.unverified_header().seq.number()
    };
    bundles.iter().map(number).collect()
}

#[test]
fn domain_that_revoked_all_that_it_may_enrols_by_its_first_and_its_newest_bundle() {
    let mut hand = Hand::new();
    for mark in 0..BUNDLE_LIST_MAX / 4 {
        let number = |place: usize| Digest::of(&(mark * 4 + place).to_be_bytes());
        let revoked = [0, 1, 2, 3].map(|place| Thumbprint::from_bytes(*number(place).as_bytes()));
        hand.keys.push_bundle(1, &revoked);
        take_bundle(&mut hand);
    }
    hand.invite([9; 8], None);
    hand.key = signer("another unit");
    hand.forget();
    assert_eq!(numbers_in_answer(&mut hand, [9; 8]), [1, 65]);
}

#[test]
fn bundles_that_hand_the_root_on_stay_in_the_answer() {
    let mut hand = Hand::new();
    for root in ["root-2", "root-3"] {
        hand.keys.push_bundle(1, &[]);
        take_bundle(&mut hand);
        hand.keys.push_root(root);
        take_bundle(&mut hand);
    }
    hand.keys.push_bundle(1, &[]);
    take_bundle(&mut hand);
    hand.invite([9; 8], None);
    hand.key = signer("another unit");
    hand.forget();
    assert_eq!(numbers_in_answer(&mut hand, [9; 8]), [1, 3, 5, 6]);
}

//= spec/postern.md#enrolment type=test
//# The controller MUST refuse an enrolment whose answer does not fit into a frame with `oversize`, and
//# change nothing.
#[test]
fn device_whose_answer_would_not_fit_is_refused_and_the_one_before_it_stays() {
    let mut hand = Hand::new();
    let before = hand.member().key();
    hand.invite([9; 8], None);
    let thumbprint =
        |mark: usize| Thumbprint::from_bytes(*Digest::of(&mark.to_be_bytes()).as_bytes());
    let revoked: Vec<Thumbprint> = (0..BUNDLE_LIST_MAX).map(thumbprint).collect();
    hand.keys.push_bundle(1, &revoked);
    take_bundle(&mut hand);
    // Each of 8 KiB, and nobody comes past it.
    for root in 2..=7 {
        hand.keys.push_root(&alloc::format!("root-{root}"));
        take_bundle(&mut hand);
    }
    hand.invite([10; 8], None);
    assert_eq!(hand.refused(), Some(Reject::Oversize));
    hand.key = signer("another unit");
    hand.forget();
    assert_eq!(hand.join([9; 8]), Err(Reject::Oversize));
    let is_enrolled = |event: &&Event| matches!(event, Event::Enrolled { .. });
    assert!(!hand.events().iter().any(is_enrolled));
    assert_eq!(hand.member().key(), before);
}

#[test]
fn answer_fits_up_to_the_last_byte_of_a_frame() {
    assert!(fits(FRAME_BYTES_MAX - ENROL_ANSWER_BYTES_MAX));
    assert!(!fits(FRAME_BYTES_MAX - ENROL_ANSWER_BYTES_MAX + 1));
    assert!(!fits(usize::MAX));
}

//= spec/postern.md#enrolment type=test
//# The controller MUST refuse a token that another key has used with `token-used`.
#[test]
fn invitation_is_spent_once_the_life_that_it_began_has_reported() {
    let mut hand = Hand::new();
    let life = hand.incarnation;
    let report = hand.report_at(at(50, 1), Revision::NONE);
    assert_eq!(hand.receive(&report), None);
    hand.incarnation = Incarnation::from_bytes([8; 16]);
    assert_eq!(hand.join([1; 8]), Err(Reject::TokenUsed), "another life");
    hand.incarnation = life;
    assert_eq!(hand.join([1; 8]), Ok(()), "its answer was lost");
    assert!(hand.member().report().is_some(), "nothing begins anew");
    hand.key = signer("thief");
    assert_eq!(hand.join([1; 8]), Err(Reject::TokenUsed));
}
