//! The route leads to another mailbox: what ends, what is told again, what is not believed any more.

use super::speech::post_of;
use crate::device::Input;
use crate::frame::{FrameType, frame_type};
use crate::kind::MessageKind;
use crate::state::State;
use crate::testing::{Lone, at, numbers};

const EPOCH: u64 = 100;

fn state(value: u64) -> State {
    numbers(&[("a/x", value)])
}

#[test]
fn device_at_another_mailbox_tells_its_report_again() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    lone.input(Input::OtherMailbox);
    assert_eq!(lone.reconnects, 1);
    lone.outbox.clear();
    lone.connect();
    assert!(post_of(&mut lone, MessageKind::Report).is_some());
}

#[test]
fn answer_of_the_mailbox_before_changes_nothing() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let poll = lone.poll().unwrap();
    let step = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.input(Input::OtherMailbox);
    lone.answer(&poll, &[step]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
}

#[test]
fn device_without_a_session_has_none_to_end() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    lone.input(Input::OtherMailbox);
    lone.input(Input::OtherMailbox);
    assert_eq!(lone.reconnects, 1);
}

#[test]
fn device_in_a_handshake_begins_it_anew() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    lone.input(Input::OtherMailbox);
    lone.outbox.clear();
    lone.input(Input::Connect);
    lone.input(Input::OtherMailbox);
    lone.input(Input::Connect);
    assert_eq!(lone.reconnects, 2);
    let asks = lone
        .outbox
        .iter()
        .filter(|one| frame_type(&one.frame) == Ok(FrameType::Ask));
    assert_eq!(asks.count(), 2);
}
