//! The actual plane: numbered, offered one change at a time, acknowledged by a signature only.

use super::speech::{
    acknowledge_actual, anchor, answer_hints, evidence, header, post_of, serve_item, set, wanted,
    write,
};
use crate::Reject;
use crate::device::{Event, Input};
use crate::frame::{FrameType, Hints, Refusal, SessionFrame, UpFrame};
use crate::id::{MessageId, Plane};
use crate::kind::MessageKind;
use crate::message::{EvidenceCode, Proof, Snapshot};
use crate::revision::{LineageEntry, Revision};
use crate::state::Change;
use crate::testing::{Answering, Lone, at, numbers};
use alloc::vec;
use alloc::vec::Vec;

/// A connected device whose freshness is anchored and whose report is posted.
pub(super) fn connected() -> Lone {
    let mut lone = Lone::new();
    lone.connect();
    lone.take_reports();
    anchor(&mut lone);
    lone
}

fn head(lone: &Lone) -> Revision {
    lone.node
        .engine
        .as_ref()
        .unwrap()
        .actual_head()
        .unwrap()
        .revision
}

/// A device whose first write the controller holds.
pub(super) fn acknowledged() -> Lone {
    let mut lone = connected();
    write(&mut lone, "net/mtu", 1);
    let (post, _) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    lone.answer(&post, &[]);
    let held = head(&lone);
    acknowledge_actual(&mut lone, held);
    lone
}

fn polled(lone: &mut Lone) -> Option<Revision> {
    let poll = lone.paced_poll();
    let frame = SessionFrame::split(&poll.frame, crate::frame::Direction::Up).unwrap();
    let Ok(UpFrame::Poll(body)) = frame.danger_unverified_body().unwrap().decode_up() else {
        panic!("a poll");
    };
    lone.answer(&poll, &[]);
    body.actual
}

//= spec/planes.md#actual type=test
//# A device MUST start a delta of `actual` from the newest head that a heartbeat of the controller
//# named, and post a snapshot where there is none.
#[test]
fn first_write_is_a_snapshot_of_a_new_epoch() {
    let mut lone = connected();
    write(&mut lone, "net/mtu", 1_500);
    let written = Event::ActualWritten {
        ticket: 1_500,
        revision: head(&lone),
        is_change: true,
    };
    assert!(lone.node.events.contains(&written));
    let (_, envelope) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    let header = header(&envelope);
    assert_eq!(
        (header.seq.number(), header.digest),
        (1, Some(*numbers(&[("net/mtu", 1_500)]).root()))
    );
}

#[test]
fn device_that_never_wrote_names_no_head() {
    let mut lone = connected();
    assert_eq!(polled(&mut lone), None);
    assert!(post_of(&mut lone, MessageKind::Snapshot).is_none());
}

/// SQ-13: the number moves only with the meaning.
#[test]
fn write_of_the_same_value_is_no_decision() {
    let mut lone = acknowledged();
    let (before, commits) = (head(&lone), lone.node.store.commits());
    write(&mut lone, "net/mtu", 1);
    assert_eq!((head(&lone), lone.node.store.commits()), (before, commits));
}

#[test]
fn refused_write_changes_nothing() {
    let absent = Change::Remove(super::speech::path("net/absent"));
    for (change, reject) in [
        (set("intent/restart", 9), Reject::PathInvalid),
        (set("intent", 9), Reject::PathInvalid),
        (set("net/mtu/x", 1), Reject::PathConflict),
        (absent, Reject::DeltaRemoveAbsent),
    ] {
        let mut lone = acknowledged();
        let (before, commits) = (head(&lone), lone.node.store.commits());
        lone.input(Input::WriteActual {
            ticket: 3,
            changes: vec![set("ok/y", 1), change],
        });
        let refused = Event::ActualRefused { ticket: 3, reject };
        assert_eq!(lone.node.events.last(), Some(&refused));
        assert_eq!((head(&lone), lone.node.store.commits()), (before, commits));
    }
}

//= spec/planes.md#actual type=test
//# A device MUST keep at most one change of `actual` outstanding; later writes join into one delta.
//= spec/planes.md#actual type=test
//# A device MUST start a delta of `actual` from the newest head that a heartbeat of the controller
//# named, and post a snapshot where there is none.
#[test]
fn writes_while_an_offer_waits_become_one_delta() {
    let mut lone = acknowledged();
    write(&mut lone, "net/mtu", 2);
    let (post, first) = post_of(&mut lone, MessageKind::Delta).unwrap();
    lone.answer(&post, &[]);
    for value in 3..=5 {
        write(&mut lone, "net/mtu", value);
    }
    assert!(
        post_of(&mut lone, MessageKind::Delta).is_none(),
        "one at a time"
    );
    acknowledge_actual(&mut lone, at(header(&first).epoch.number(), 2));
    let (_, second) = post_of(&mut lone, MessageKind::Delta).unwrap();
    assert_eq!(
        (header(&second).base.number(), header(&second).seq.number()),
        (2, 5)
    );
}

//= spec/planes.md#actual type=test
//# A device MUST post an outstanding change again 60 s after it was posted, and in each new
//# session.
//= spec/planes.md#actual type=test
//# A device MUST take a change of `actual` as acknowledged only by a heartbeat of the controller
//# that names its revision or a later one.
/// SQ-04, SQ-05, SQ-15: neither a status nor a receipt is an acknowledgement.
#[test]
fn offer_is_posted_again_until_a_signature_covers_it() {
    let mut lone = acknowledged();
    write(&mut lone, "net/mtu", 2);
    for _ in 0..3 {
        let (post, _) = post_of(&mut lone, MessageKind::Delta).unwrap();
        lone.answer(&post, &[]);
        assert!(post_of(&mut lone, MessageKind::Delta).is_none());
        lone.run(61_000);
    }
    let held = head(&lone);
    let (post, _) = post_of(&mut lone, MessageKind::Delta).unwrap();
    lone.answer(&post, &[]);
    acknowledge_actual(&mut lone, held);
    lone.run(300_000);
    assert!(post_of(&mut lone, MessageKind::Delta).is_none());
}

//= spec/planes.md#actual type=test
//# A device MUST take a change of `actual` as acknowledged only by a heartbeat of the controller
//# that names its revision or a later one.
#[test]
fn acknowledgement_by_a_stranger_is_none() {
    let mut lone = acknowledged();
    write(&mut lone, "net/mtu", 2);
    let (post, _) = post_of(&mut lone, MessageKind::Delta).unwrap();
    lone.answer(&post, &[]);
    let held = head(&lone);
    lone.keys.writer = crate::testing::signer("mailbox");
    acknowledge_actual(&mut lone, held);
    assert_eq!(lone.rejects().last(), Some(&Reject::KeyUnknown));
    lone.run(61_000);
    assert!(post_of(&mut lone, MessageKind::Delta).is_some());
}

#[test]
fn delta_that_is_not_understood_is_followed_by_a_snapshot() {
    for code in [
        Reject::NothingStored,
        Reject::EpochNeedsSnapshot,
        Reject::BaseOlder,
        Reject::BaseNewer,
    ] {
        let mut lone = acknowledged();
        write(&mut lone, "net/mtu", 2);
        let (post, _) = post_of(&mut lone, MessageKind::Delta).unwrap();
        let refused = vec![Refusal {
            index: 0,
            code: code.code(),
        }];
        answer_hints(
            &mut lone,
            &post,
            Hints {
                refused,
                ..Hints::default()
            },
        );
        lone.run(6_000);
        assert!(
            post_of(&mut lone, MessageKind::Snapshot).is_some(),
            "{code}"
        );
    }
}

/// SQ-22: a mailbox compares heads before it parks the poll, and says that a snapshot is wanted.
#[test]
fn need_hint_brings_a_snapshot_at_a_pace() {
    let mut lone = acknowledged();
    assert_eq!(polled(&mut lone), Some(head(&lone)));
    let hints = Hints {
        need: vec![Plane::Actual],
        ..Hints::default()
    };
    for is_due in [true, false] {
        let poll = lone.paced_poll();
        answer_hints(&mut lone, &poll, hints.clone());
        let posted = post_of(&mut lone, MessageKind::Snapshot);
        assert_eq!(posted.is_some(), is_due);
        if let Some((post, _)) = posted {
            lone.answer(&post, &[]);
        }
    }
}

#[test]
fn number_without_a_change_in_the_end_is_told_by_a_snapshot() {
    let mut lone = acknowledged();
    let under_way = {
        write(&mut lone, "net/mtu", 2);
        post_of(&mut lone, MessageKind::Delta).unwrap().0
    };
    write(&mut lone, "net/mtu", 1);
    lone.answer(&under_way, &[]);
    write(&mut lone, "net/mtu", 2);
    let second = at(head(&lone).epoch.number(), 2);
    acknowledge_actual(&mut lone, second);
    let (_, envelope) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    assert_eq!(header(&envelope).seq.number(), 4);
}

/// Reads the chunks of a put.
fn put_bytes(put: &Answering) -> (Plane, usize) {
    let frame = SessionFrame::split(&put.frame, crate::frame::Direction::Up).unwrap();
    let body = frame.danger_unverified_body().unwrap();
    let Ok(UpFrame::Put { plane, chunks }) = body.decode_up() else {
        panic!("a put");
    };
    (plane, chunks.iter().map(|chunk| chunk.bytes.len()).sum())
}

#[test]
fn bodies_that_are_wanted_are_put_and_resumed() {
    let mut lone = connected();
    write(&mut lone, "net/mtu", 1);
    let (post, _) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    let state = numbers(&[("net/mtu", 1)]);
    answer_hints(&mut lone, &post, wanted(&state));
    let put = lone.request(FrameType::Put).unwrap();
    let whole = put_bytes(&put);
    let mut rest = wanted(&state);
    rest.wanted[0].offset = 5;
    answer_hints(&mut lone, &put, rest);
    let put = lone.request(FrameType::Put).unwrap();
    assert_eq!(put_bytes(&put), (Plane::Actual, whole.1 - 5));
    answer_hints(&mut lone, &put, Hints::default());
    assert!(lone.request(FrameType::Put).is_none());
    assert_eq!(polled(&mut lone), Some(head(&lone)));
}

#[test]
fn bodies_asked_for_without_progress_or_end_are_not_put_for_ever() {
    let mut lone = connected();
    write(&mut lone, "net/mtu", 1);
    let state = numbers(&[("net/mtu", 1)]);
    let (post, _) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    answer_hints(&mut lone, &post, wanted(&state));
    let mut puts = 0;
    while let Some(put) = lone.request(FrameType::Put) {
        puts += 1;
        let mut again = wanted(&state);
        again.wanted[0].offset = puts % 2;
        answer_hints(&mut lone, &put, again);
    }
    assert_eq!(puts, 128);
    let unknown = Hints {
        wanted: vec![crate::frame::Wanted {
            digest: super::speech::digest_of(9),
            offset: u64::MAX,
        }],
        ..Hints::default()
    };
    lone.run(61_000);
    let (post, _) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    answer_hints(&mut lone, &post, unknown);
    assert!(lone.request(FrameType::Put).is_none());
}

//= spec/planes.md#actual type=test
//# A device MUST open a new epoch of `actual` at every start at which something is stored there.
#[test]
fn restart_opens_an_epoch_whose_lineage_names_the_one_before() {
    let mut lone = acknowledged();
    let before = head(&lone);
    let commits = lone.node.store.commits();
    lone.restart();
    assert_eq!(lone.node.store.commits() - commits, 1, "with the report");
    lone.connect();
    assert!(head(&lone).epoch > before.epoch);
    let (_, envelope) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    let lineage = lineage_of(&envelope);
    assert_eq!(lineage.last().map(|entry| entry.last), Some(before));
}

fn lineage_of(envelope: &[u8]) -> Vec<LineageEntry> {
    let received = crate::envelope::ReceivedEnvelope::parse(envelope).unwrap();
    let snapshot = Snapshot::decode(received.unverified_payload(), header(envelope).epoch);
    snapshot.unwrap().lineage.entries().to_vec()
}

#[test]
fn lineage_stays_within_its_limit_over_many_restarts() {
    let mut lone = acknowledged();
    for _ in 0..80 {
        lone.restart();
    }
    lone.connect();
    let (_, envelope) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    assert!(lineage_of(&envelope).len() <= 64);
}

/// A device whose store was put back: the controller holds a later life of it.
#[test]
fn device_restored_from_a_backup_continues_what_the_controller_holds() {
    let mut lone = acknowledged();
    let own = head(&lone);
    let ahead = at(own.epoch.number() + 7, 40);
    let proof = Proof {
        message_id: MessageId::from_bytes([1; 32]),
        envelope: None,
    };
    let held = evidence(
        &lone,
        EvidenceCode::WriterBehind,
        ahead,
        &numbers(&[("z/z", 9)]),
        &proof,
    );
    serve_item(&mut lone, Some(Plane::Actual), &held);
    assert!(head(&lone).epoch > ahead.epoch);
    let (_, envelope) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    assert_eq!(
        lineage_of(&envelope).last().map(|entry| entry.last),
        Some(ahead)
    );
    let continued = head(&lone);
    serve_item(&mut lone, Some(Plane::Actual), &held);
    assert_eq!(head(&lone), continued, "the same evidence again is no news");
}

#[test]
fn equivocation_of_its_own_plane_is_left_for_a_further_epoch() {
    let mut lone = acknowledged();
    let own = head(&lone);
    let proof = Proof {
        message_id: MessageId::from_bytes([1; 32]),
        envelope: None,
    };
    let held = evidence(
        &lone,
        EvidenceCode::Equivocation,
        own,
        &numbers(&[("z/z", 9)]),
        &proof,
    );
    serve_item(&mut lone, Some(Plane::Actual), &held);
    assert!(head(&lone).epoch > own.epoch);
    let (_, envelope) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    let entry = *lineage_of(&envelope).last().unwrap();
    assert_eq!(
        (entry.last, entry.digest),
        (own, *numbers(&[("z/z", 9)]).root())
    );
}

#[test]
fn evidence_with_a_forged_envelope_is_refused() {
    let mut lone = acknowledged();
    write(&mut lone, "net/mtu", 2);
    let (_, mut forged) = post_of(&mut lone, MessageKind::Delta).unwrap();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let own = head(&lone);
    let proof = Proof {
        message_id: MessageId::from_bytes([1; 32]),
        envelope: Some(&forged),
    };
    let ahead = at(own.epoch.number() + 7, 40);
    let held = evidence(
        &lone,
        EvidenceCode::WriterBehind,
        ahead,
        &numbers(&[("z/z", 9)]),
        &proof,
    );
    serve_item(&mut lone, Some(Plane::Actual), &held);
    assert_eq!(head(&lone), own);
    assert_eq!(lone.rejects().last(), Some(&Reject::SignatureInvalid));
}

#[test]
fn heartbeat_that_shows_a_later_epoch_opens_a_further_one() {
    let mut lone = acknowledged();
    let ahead = at(head(&lone).epoch.number() + 1_000, 3);
    acknowledge_actual(&mut lone, ahead);
    assert!(head(&lone).epoch > ahead.epoch);
}

#[test]
fn epoch_shown_at_the_end_of_the_range_leaves_room_to_open() {
    let mut lone = acknowledged();
    acknowledge_actual(&mut lone, at(u64::MAX, u64::MAX));
    let opened = head(&lone).epoch;
    assert_eq!(opened.number() >> 20, 1 << 43);
    lone.restart();
    assert!(head(&lone).epoch > opened);
}

/// SQ-20, SQ-21: a controller that went back behind what it signed is noticed and told everything.
#[test]
fn controller_that_forgot_is_offered_a_snapshot() {
    let mut lone = acknowledged();
    lone.run(10_000);
    acknowledge_actual(&mut lone, Revision::NONE);
    assert!(post_of(&mut lone, MessageKind::Snapshot).is_some());
}

#[test]
fn replayed_heartbeat_takes_nothing_back() {
    let mut lone = acknowledged();
    let old = super::speech::heartbeat(&lone, 1_000_000, Revision::NONE, None);
    lone.serve(&[old]);
    assert!(post_of(&mut lone, MessageKind::Snapshot).is_none());
}

#[test]
fn actual_plane_survives_a_restart_and_damage_is_refused() {
    let mut lone = acknowledged();
    lone.restart();
    let engine = lone.node.engine.as_ref().unwrap();
    assert_eq!(engine.actual(), &numbers(&[("net/mtu", 1)]));
    let table = crate::record::Table::Actual;
    lone.node.store.overwrite(table, b"net/mtu", Some(vec![2]));
    let restored = crate::device::Device::restore(
        lone.node.identity.clone(),
        lone.keys.trust(),
        crate::device::Settings::default(),
        lone.node.store.rows(),
    );
    assert_eq!(
        restored.map(|_| ()).unwrap_err().reject,
        Reject::DigestMismatch
    );
}
