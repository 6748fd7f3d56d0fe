//! What mailboxes are told: whom to serve, in which order it counts, and what one that lost its store gets.

use super::hand::Hand;
use crate::Reject;
use crate::admission::{Admission, AdmissionHead, AdmissionStatus, Offered};
use crate::controller::{Event, Input, Output, Post};
use crate::enrol::seal_rotation_request;
use crate::envelope::ReceivedEnvelope;
use crate::id::{ChannelId, MessageId, Plane};
use crate::key::Signer as _;
use crate::kind::MessageKind;
use crate::limits::WITHDRAWN_MAX;
use crate::message::Report;
use crate::receipt::{Lost, Receipt};
use crate::revision::{Epoch, Revision, Seq, StoreEpoch};
use crate::testing::{TestKeys, at, signer};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// The admissions that left since [`Hand::forget`], verified as a mailbox would.
fn admissions(hand: &Hand) -> Vec<(AdmissionHead, Admission)> {
    let envelope = |output: &Output| match output {
        Output::Post { post, .. } | Output::Refill { post, .. } => match post {
            Post::Admission { envelope } => Some(envelope.clone()),
            Post::Delta { .. }
            | Post::Snapshot { .. }
            | Post::ReportAck { .. }
            | Post::Heartbeat { .. }
            | Post::Evidence { .. }
            | Post::PlaneKey { .. }
            | Post::EnrolAnswer { .. } => None,
        },
        Output::Persist(_)
        | Output::Admit { .. }
        | Output::Evict { .. }
        | Output::Wanted { .. }
        | Output::ActualHeld { .. }
        | Output::PostBundle { .. }
        | Output::Answer { .. }
        | Output::Event(_) => None,
    };
    let verify = |bytes: Vec<u8>| {
        let received = ReceivedEnvelope::parse(&bytes).unwrap();
        Admission::verify(&received, hand.engine.trust(), &hand.keys.tenant).unwrap()
    };
    let envelopes = hand.outputs.iter().filter_map(envelope);
    envelopes.map(verify).collect()
}

/// The one admission that left, which must take the place of `before`.
fn newer(hand: &Hand, before: &AdmissionHead) -> (AdmissionHead, Admission) {
    let [(head, admission)] = &admissions(hand)[..] else {
        panic!("one admission, not {:?}", admissions(hand));
    };
    assert_eq!(head.judge(Some(before)), Ok(Offered::Newer), "{head:?}");
    (*head, admission.clone())
}

/// The admission of the last start or enrolment.
fn current(hand: &mut Hand) -> AdmissionHead {
    hand.forget();
    hand.restart(None);
    let (head, _) = admissions(hand)[0];
    hand.forget();
    head
}

fn remove(hand: &mut Hand) {
    let ticket = hand.ticket();
    let channel = hand.channel.clone();
    hand.forget();
    hand.input(Input::Remove {
        ticket,
        tenant: channel.tenant,
        device: channel.device,
    });
}

fn refill(hand: &mut Hand, channel: ChannelId) -> Vec<MessageKind> {
    let ticket = hand.ticket();
    hand.forget();
    hand.input(Input::Refill { ticket, channel });
    let kind = |output: &Output| match output {
        Output::Refill {
            post,
            ticket: of,
            channel: about,
            ..
        } => {
            assert_eq!((*of, *about), (ticket, channel));
            let (Post::Admission { envelope }
            | Post::Snapshot { envelope, .. }
            | Post::ReportAck { envelope }
            | Post::EnrolAnswer { envelope }
            | Post::Heartbeat { envelope }
            | Post::Evidence { envelope }
            | Post::PlaneKey { envelope }
            | Post::Delta { envelope }) = post;
            let received = ReceivedEnvelope::parse(envelope).unwrap();
            Some(received.unverified_header().kind)
        }
        Output::Post { .. } => panic!("only one mailbox asked"),
        Output::Persist(_)
        | Output::Admit { .. }
        | Output::Evict { .. }
        | Output::Wanted { .. }
        | Output::ActualHeld { .. }
        | Output::PostBundle { .. }
        | Output::Answer { .. }
        | Output::Event(_) => None,
    };
    hand.outputs.iter().filter_map(kind).collect()
}

//= spec/relays.md#admission type=test
//# A writer MUST give each admission of a channel a higher place than the one before.
#[test]
fn admission_of_every_start_and_life_is_above_the_one_before() {
    let mut hand = Hand::new();
    let mut last = current(&mut hand);
    for token in [2, 3] {
        hand.restart(None);
        let (head, admission) = newer(&hand, &last);
        assert_eq!(admission.status, AdmissionStatus::Admitted);
        assert_eq!(admission.keys, [hand.key.public_key().clone()]);
        assert_eq!(admission.incarnation, hand.incarnation);
        hand.incarnation = crate::id::Incarnation::from_bytes([token; 16]);
        hand.enrol([token; 8]).unwrap();
        let (head, admission) = newer(&hand, &head);
        assert_eq!(admission.incarnation, hand.incarnation);
        last = head;
        hand.forget();
    }
    // A controller without a clock counts on.
    hand.unix_s = None;
    hand.restart(None);
    newer(&hand, &last);
}

#[test]
fn admission_names_both_keys_until_the_next_one_signs() {
    let mut hand = Hand::new();
    let before = current(&mut hand);
    let current = hand.key.public_key().clone();
    let next = signer("next");
    let thumbprint = current.thumbprint();
    let request =
        seal_rotation_request(&hand.channel, hand.incarnation, &thumbprint, [4; 16], &next);
    let mut report = Report::default();
    let request = request.unwrap().into_bytes();
    report.lists.set_rotation(Some(request)).unwrap();
    hand.receive(&hand.report(at(50, 1), &report));
    let (head, admission) = newer(&hand, &before);
    assert_eq!(admission.keys, [current, next.public_key().clone()]);
    hand.forget();
    hand.key = signer("next");
    let signed = hand.report_at(at(50, 2), Revision::NONE);
    assert_eq!(hand.receive(&signed), None);
    let (_, admission) = newer(&hand, &head);
    assert_eq!(admission.keys, [next.public_key().clone()]);
}

#[test]
fn removed_device_is_withdrawn_at_every_start_until_it_is_enrolled_again() {
    let mut hand = Hand::new();
    let before = current(&mut hand);
    remove(&mut hand);
    let (mut head, admission) = newer(&hand, &before);
    assert_eq!(admission.status, AdmissionStatus::Withdrawn);
    let is_evict = |output: &Output| matches!(output, Output::Evict { .. });
    assert!(hand.outputs.iter().any(is_evict));
    for _ in 0..2 {
        hand.forget();
        hand.restart(None);
        let (next, admission) = newer(&hand, &head);
        assert_eq!(admission.status, AdmissionStatus::Withdrawn);
        head = next;
    }
    let id = hand.id();
    assert_eq!(refill(&mut hand, id), [MessageKind::Admission]);
    let (head, _) = newer(&hand, &head);
    hand.incarnation = crate::id::Incarnation::from_bytes([8; 16]);
    hand.enrol([2; 8]).unwrap();
    let (head, admission) = newer(&hand, &head);
    assert_eq!(admission.status, AdmissionStatus::Admitted);
    assert_eq!(hand.engine.withdrawn().count(), 0);
    hand.forget();
    hand.restart(None);
    let (_, admission) = newer(&hand, &head);
    assert_eq!(admission.status, AdmissionStatus::Admitted);
}

#[test]
fn device_that_left_is_withdrawn_after_its_grace_and_over_a_restart() {
    for is_restarted in [false, true] {
        let mut hand = Hand::new();
        let before = current(&mut hand);
        let mut report = Report::default();
        report.lists.set_leaving(true);
        hand.receive(&hand.report(at(50, 1), &report));
        assert!(admissions(&hand).is_empty(), "it is still served");
        if is_restarted {
            hand.restart(None);
        } else {
            hand.run(60_000);
        }
        let (_, admission) = newer(&hand, &before);
        assert_eq!(admission.status, AdmissionStatus::Withdrawn);
        assert_eq!(hand.engine.withdrawn().count(), 1);
    }
}

#[test]
fn device_whose_key_is_revoked_is_withdrawn() {
    let mut hand = Hand::new();
    let before = current(&mut hand);
    let thumbprint = hand.key.public_key().thumbprint();
    hand.keys.push_bundle(1, &[thumbprint]);
    let (ticket, envelope) = (hand.ticket(), hand.keys.bundles[1].clone());
    hand.input(Input::Bundle {
        ticket,
        envelope: &envelope,
        is_urgent: false,
    });
    let (head, admission) = newer(&hand, &before);
    assert_eq!(admission.status, AdmissionStatus::Withdrawn);
    hand.forget();
    hand.restart(None);
    let (_, admission) = newer(&hand, &head);
    assert_eq!(admission.status, AdmissionStatus::Withdrawn);
}

#[test]
fn rotated_writer_signs_admissions_and_withdrawals_again() {
    let mut hand = Hand::new();
    let before = current(&mut hand);
    remove(&mut hand);
    let (head, _) = newer(&hand, &before);
    hand.forget();
    hand.keys.rotate_writer("writer-2", 2);
    let (ticket, envelope) = (hand.ticket(), hand.keys.bundles[1].clone());
    hand.input(Input::Bundle {
        ticket,
        envelope: &envelope,
        is_urgent: false,
    });
    let (head, admission) = newer(&hand, &head);
    assert_eq!(
        (head.generation.number(), admission.bundle.number()),
        (2, 2)
    );
    // A fenced controller says nothing.
    hand.keys.writer = signer("writer");
    hand.forget();
    hand.restart(None);
    assert!(admissions(&hand).is_empty());
}

#[test]
fn refill_hands_one_mailbox_everything_of_a_channel() {
    let mut hand = Hand::new();
    hand.set("a/x", 1);
    let id = hand.id();
    let wanted = [MessageKind::Admission, MessageKind::Snapshot];
    assert_eq!(refill(&mut hand, id), wanted);
    hand.receive(&hand.report_at(at(50, 1), Revision::NONE));
    let wanted = [wanted[0], wanted[1], MessageKind::ReportAck];
    assert_eq!(refill(&mut hand, id), wanted);
    let events = hand.events();
    let is_end = |event: &&&Event| matches!(event, Event::Refilled { .. });
    assert_eq!(events.iter().filter(is_end).count(), 1);
    // Afterwards posts go to every mailbox again.
    hand.set("a/x", 2);
    assert!(hand.desired_post().is_some());
}

#[test]
fn refill_of_a_channel_that_nobody_knows_is_refused() {
    let mut hand = Hand::new();
    let unknown = ChannelId::from_bytes([9; 16]);
    assert_eq!(refill(&mut hand, unknown), []);
    assert_eq!(hand.refused(), Some(Reject::NotAdmitted));
    let ended = |event: &&Event| matches!(event, Event::Refilled { .. });
    assert!(!hand.events().iter().any(ended));
}

fn receipt(hand: &Hand, channel: ChannelId) -> Receipt {
    assert_eq!(hand.keys.tenant.as_str(), "acme");
    Receipt {
        store: StoreEpoch::new(5),
        number: Seq::new(1),
        message: MessageId::from_bytes([3; 32]),
        channel,
        code: 113,
    }
}

#[test]
fn receipt_and_lost_marker_of_a_mailbox_are_told() {
    let mut hand = Hand::new();
    let receipt = receipt(&hand, hand.id());
    let sealed = receipt.seal(hand.keys.domain(), &hand.keys.tenant, &hand.keys.mailbox);
    assert_eq!(hand.receive(sealed.unwrap().as_bytes()), None);
    let told = hand
        .events()
        .into_iter()
        .any(|event| matches!(event, Event::Receipt { receipt: found, .. } if *found == receipt));
    assert!(told);
    for plane in [Plane::Actual, Plane::Desired] {
        let lost = Lost {
            plane,
            epoch: Epoch::new(4),
            first: Seq::new(1),
            last: Seq::new(2),
            code: 113,
        };
        let sealed = lost.seal(&hand.channel, hand.incarnation, &hand.keys.mailbox);
        assert_eq!(hand.receive(sealed.unwrap().as_bytes()), None);
        let told = hand
            .events()
            .into_iter()
            .any(|event| matches!(event, Event::Lost { lost: found, .. } if *found == lost));
        assert!(told, "{plane:?}");
    }
}

#[test]
fn receipt_or_lost_marker_that_is_not_believed_is_refused() {
    let mut hand = Hand::new();
    let domain = hand.keys.domain();
    let about_another = receipt(&hand, ChannelId::from_bytes([1; 16]));
    let sealed = about_another.seal(domain, &hand.keys.tenant, &hand.keys.mailbox);
    let refused = hand.receive(sealed.unwrap().as_bytes());
    assert_eq!(refused, Some(Reject::NotAdmitted));
    let by_device = receipt(&hand, hand.id()).seal(domain, &hand.keys.tenant, &hand.key);
    let refused = hand.receive(by_device.unwrap().as_bytes());
    assert_eq!(refused, Some(Reject::KeyUnknown));
    let lost = Lost {
        plane: Plane::Actual,
        epoch: Epoch::new(4),
        first: Seq::new(1),
        last: Seq::new(2),
        code: 113,
    };
    let earlier = crate::id::Incarnation::from_bytes([0; 16]);
    let of_earlier_life = lost.seal(&hand.channel, earlier, &hand.keys.mailbox);
    let refused = hand.receive(of_earlier_life.unwrap().as_bytes());
    assert_eq!(refused, Some(Reject::SignatureInvalid));
    let by_writer = lost.seal(&hand.channel, hand.incarnation, &hand.keys.writer);
    let refused = hand.receive(by_writer.unwrap().as_bytes());
    assert_eq!(refused, Some(Reject::KeyUnknown));
    let other = TestKeys::new().channel("press-8");
    let of_other = lost.seal(&other, hand.incarnation, &hand.keys.mailbox);
    let refused = hand.receive(of_other.unwrap().as_bytes());
    assert_eq!(refused, Some(Reject::SignatureInvalid));
}

#[test]
fn withdrawals_beyond_the_limit_push_out_the_oldest() {
    let mut hand = Hand::new();
    let enrolled = hand.member().enrolled.clone().unwrap();
    let channels: Vec<_> = (0..=WITHDRAWN_MAX)
        .map(|number| hand.keys.channel(&alloc::format!("gone-{number}")))
        .collect();
    let (last, first) = channels.split_last().unwrap();
    for channel in first {
        let writes = hand.engine.note_withdrawn(channel, &enrolled);
        assert_eq!(writes.len(), 1);
    }
    assert_eq!(hand.engine.withdrawn().count(), WITHDRAWN_MAX);
    let writes = hand.engine.note_withdrawn(last, &enrolled);
    let removed: Vec<_> = writes.iter().map(|write| write.value.is_none()).collect();
    assert_eq!(removed, [false, true]);
    let left: BTreeSet<_> = hand
        .engine
        .withdrawn()
        .map(|one| one.channel().id())
        .collect();
    let expected = channels.iter().skip(1).map(|channel| channel.id());
    assert_eq!(left, expected.collect());
}
