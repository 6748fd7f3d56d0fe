//! Answers and failures of exchanges that nobody waits for, and what a new session begins with.

use super::speech::{anchor, answer_hints, post_of, wanted, write};
use crate::device::{ExchangeId, Input};
use crate::frame::{Direction, FrameType, PlainFrame, SessionFrame, UpFrame};
use crate::kind::MessageKind;
use crate::revision::{BundleNumber, Revision};
use crate::session::{EphemeralWindows, MailboxHandshake, MailboxKey};
use crate::testing::{Lone, numbers, signer};
use alloc::vec;
use alloc::vec::Vec;

const STRAY: ExchangeId = ExchangeId(999);

fn refusal() -> Vec<u8> {
    let refused = PlainFrame::Refused {
        code: 114,
        retry_ms: None,
    };
    refused.encode().unwrap()
}

/// Brings everything that may come for an exchange of before; nothing may come of it.
fn bring_strays(lone: &mut Lone) {
    let (events, exchanges) = (lone.node.events.len(), lone.outbox.len());
    for frame in [&refusal()[..], b"<html>", b"", &[1, 2, 3]] {
        lone.answer_raw(STRAY, frame);
    }
    lone.input(Input::Failed { exchange: STRAY });
    assert_eq!(lone.reconnects, 0);
    let after = (lone.node.events.len(), lone.outbox.len());
    assert_eq!(after, (events, exchanges));
}

#[test]
fn stray_answer_without_a_session_is_nothing() {
    let mut lone = Lone::new();
    bring_strays(&mut lone);
}

#[test]
fn stray_answer_leaves_a_handshake_alone() {
    let mut lone = Lone::new();
    lone.input(Input::Connect);
    bring_strays(&mut lone);
    let ask = lone.outbox.pop().unwrap();
    let windows = EphemeralWindows::new([8; 32], lone.now_ms);
    let mailbox = signer("mailbox");
    let handshake = MailboxHandshake {
        windows: &windows,
        keys: Vec::from([MailboxKey::only(&mailbox)]),
        bundle: BundleNumber::new(1),
        age_max_s: 3_600,
        time: None,
    };
    let challenge = handshake.answer_ask(&ask.frame, [1; 8]).unwrap();
    lone.answer_raw(ask.id, &challenge);
    let hello = lone.outbox.last().unwrap().id;
    bring_strays(&mut lone);
    // The same, for the exchange that is waited for.
    lone.answer_raw(hello, &refusal());
    assert_eq!(lone.reconnects, 1);
}

#[test]
fn stray_answer_leaves_a_session_alone() {
    let mut lone = Lone::new();
    lone.connect();
    lone.take_reports();
    let poll = lone.poll().unwrap();
    bring_strays(&mut lone);
    lone.answer_raw(poll.exchange, &refusal());
    assert_eq!(lone.reconnects, 1);
}

#[test]
fn session_is_renewed_when_nothing_is_under_way() {
    let mut lone = Lone::new();
    lone.connect();
    lone.acknowledge();
    let poll = lone.poll().unwrap();
    // Three quarters of the age of a session that lives an hour.
    lone.run(2_750_000);
    assert_eq!(lone.reconnects, 0, "the poll comes first");
    lone.answer(&poll, &[]);
    assert_eq!(lone.reconnects, 1);
}

/// A device that wrote once, with its snapshot posted and taken.
fn offering() -> Lone {
    let mut lone = Lone::new();
    lone.connect();
    lone.take_reports();
    anchor(&mut lone);
    write(&mut lone, "net/mtu", 1);
    lone
}

//= spec/planes.md#actual type=test
//# A device MUST post an outstanding change again 60 s after it was posted, and in each new session.
#[test]
fn change_outstanding_is_posted_again_in_a_new_session() {
    let mut lone = offering();
    let (post, first) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    lone.answer(&post, &[]);
    assert!(post_of(&mut lone, MessageKind::Snapshot).is_none());
    lone.drop_requests();
    lone.input(Input::OtherMailbox);
    lone.connect();
    let (_, second) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    assert_eq!(first, second, "the very same");
}

#[test]
fn poll_names_an_actual_head_once_the_mailbox_has_all_of_it() {
    let mut lone = offering();
    let polled = |lone: &mut Lone| -> Option<Revision> {
        let poll = lone.paced_poll();
        let frame = SessionFrame::split(&poll.frame, Direction::Up).unwrap();
        let Ok(UpFrame::Poll(body)) = frame.danger_unverified_body().unwrap().decode_up() else {
            panic!("a poll");
        };
        lone.answer(&poll, &[]);
        body.actual
    };
    let (post, _) = post_of(&mut lone, MessageKind::Snapshot).unwrap();
    answer_hints(&mut lone, &post, wanted(&numbers(&[("net/mtu", 1)])));
    assert_eq!(polled(&mut lone), None, "a body is missing");
    let put = lone.request(FrameType::Put).unwrap();
    lone.answer_items(&put, vec![]);
    assert!(polled(&mut lone).is_some());
}
