//! Asking and greeting: one mailbox, and nobody in its place.

use super::desk::Desk;
use crate::frame::{FrameType, PlainFrame};
use crate::reject::Reject;
use crate::session::{MailboxHandshake, MailboxKey};
use crate::testing::signer;
use crate::writer_link::{Event, ExchangeId, Input};
use alloc::vec::Vec;

#[test]
fn link_greets_as_the_writer_of_its_tenant() {
    let mut desk = Desk::new();
    assert!(!desk.link.is_open());
    desk.connect();
    assert!(desk.link.is_open());
    desk.input(Input::Connect);
    assert!(desk.frames.is_empty(), "it is connected");
    desk.hold();
    assert!(desk.has_request(FrameType::Collect));
}

#[test]
fn challenge_of_another_mailbox_is_refused_before_anything_is_signed() {
    let mut desk = Desk::new();
    desk.input(Input::Connect);
    let (exchange, ask, _) = desk.frames.remove(0);
    let other = signer("another mailbox");
    let handshake = MailboxHandshake {
        keys: Vec::from([MailboxKey::only(&other)]),
        ..desk.handshake()
    };
    let challenge = handshake.answer_ask(&ask, [1; 8]).unwrap();
    desk.answer_raw(exchange, &challenge);
    assert_eq!(desk.rejects(), [Reject::MailboxMismatch]);
    assert!(desk.is_reconnecting() && desk.frames.is_empty());
}

#[test]
fn welcome_that_is_none_is_refused() {
    let mut desk = Desk::new();
    let (exchange, hello) = desk.ask();
    desk.answer_raw(exchange, &hello);
    assert_eq!(desk.rejects(), [Reject::FrameDirection]);
    assert!(desk.is_reconnecting() && !desk.link.is_open());
    let (exchange, hello) = desk.ask();
    let earlier = desk.welcome(&hello).unwrap();
    desk.outputs.clear();
    desk.input(Input::Failed { exchange });
    let (exchange, _) = desk.ask();
    desk.outputs.clear();
    desk.answer_raw(exchange, &earlier.frame);
    assert_eq!(desk.rejects(), [Reject::DigestMismatch]);
}

#[test]
fn refusal_of_the_mailbox_is_advice_and_ends_the_attempt() {
    for (code, reject) in [(114, Some(Reject::Overloaded)), (60_000, None)] {
        let mut desk = Desk::new();
        desk.input(Input::Connect);
        let (exchange, ..) = desk.frames.remove(0);
        let refused = PlainFrame::Refused {
            code,
            retry_ms: Some(5),
        };
        desk.answer_raw(exchange, &refused.encode().unwrap());
        let told = Event::RefusedByMailbox { reject };
        assert_eq!(desk.events(), [told]);
        assert!(desk.is_reconnecting());
    }
}

#[test]
fn answer_to_nothing_that_was_asked_changes_nothing() {
    let mut desk = Desk::open();
    desk.hold();
    let refused = PlainFrame::Refused {
        code: 114,
        retry_ms: None,
    };
    desk.answer_raw(ExchangeId(999), &refused.encode().unwrap());
    desk.answer_raw(ExchangeId(999), b"<html>");
    desk.input(Input::Failed {
        exchange: ExchangeId(999),
    });
    assert!(desk.outputs.is_empty() && desk.link.is_open());
}

#[test]
fn answer_that_does_not_verify_ends_the_session() {
    let mut desk = Desk::open();
    desk.hold();
    let (asked, ()) = desk.request(FrameType::Collect, |_| ());
    let answer = crate::frame::DownFrame::Bodies(Vec::new());
    let mut bytes = desk.seal(asked, &answer);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    desk.answer_raw(asked.exchange, &bytes);
    assert_eq!(desk.rejects(), [Reject::SessionMac]);
    assert!(desk.is_reconnecting());
    desk.connect();
    desk.hold();
    let (asked, ()) = desk.request(FrameType::Collect, |_| ());
    desk.answer_frame(asked, &answer);
    assert_eq!(desk.rejects(), [Reject::AnswerMismatch]);
}
