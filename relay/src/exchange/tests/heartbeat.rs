use super::{answer, channel_id, open, poll, revision, step, with_snapshot};
use crate::exchange::{Exchanges, Step};
use crate::fixtures::heartbeat;
use crate::limits::{BEAT_ASK_INTERVAL_MS, BEAT_AWAITED_MS_MAX, BEAT_WANTED_AGE_MS};
use crate::mailbox::Posted;
use postern_protocol::session::ClientSession;

fn beat(exchanges: &mut Exchanges, mark: u64, is_awaited: bool, now_ms: u64) -> Posted {
    let mailboxes = &mut exchanges.mailboxes;
    mailboxes
        .post_heartbeat(channel_id(), &heartbeat(mark), is_awaited, now_ms)
        .unwrap()
}

/// Polls and lets the hold run out. Returns the items, and whether the poll was held.
fn idle(
    exchanges: &mut Exchanges,
    session: &mut ClientSession,
    now_ms: u64,
) -> (Vec<Vec<u8>>, bool) {
    let request = poll(session, 60, revision(1, 1));
    let (frame, was_held) = match step(exchanges, &request.bytes, now_ms) {
        Step::Answer(frame) => (frame, false),
        Step::Hold(held) => {
            let frame = exchanges.release(&held, held.until_ms, None).unwrap();
            (frame, true)
        }
        other @ (Step::Limited(..)
        | Step::Stream(_)
        | Step::Post(_)
        | Step::Put(_)
        | Step::Writer(_)) => {
            panic!("{other:?}")
        }
    };
    let items = answer(session, request.counter, &frame).items;
    let items = items.iter().map(|item| item.envelope.to_vec());
    (items.collect(), was_held)
}

#[test]
fn heartbeat_that_nobody_waits_for_rides_on_an_idle_answer_once() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    beat(&mut exchanges, 1, false, 0);
    let first = idle(&mut exchanges, &mut session, 0);
    assert_eq!(first, (vec![heartbeat(1)], true));
    assert_eq!(idle(&mut exchanges, &mut session, 0), (vec![], true));
    beat(&mut exchanges, 2, false, 0);
    let next = idle(&mut exchanges, &mut session, 0);
    assert_eq!(next, (vec![heartbeat(2)], true));
}

#[test]
fn heartbeat_that_the_device_waits_for_is_answered_at_once_and_once() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    beat(&mut exchanges, 1, true, 0);
    let first = idle(&mut exchanges, &mut session, 0);
    assert_eq!(first, (vec![heartbeat(1)], false));
    assert_eq!(idle(&mut exchanges, &mut session, 0), (vec![], true));
}

#[test]
fn new_session_is_given_the_newest_heartbeat_again_without_being_woken_for_it() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    beat(&mut exchanges, 1, true, 0);
    assert!(!idle(&mut exchanges, &mut session, 0).0.is_empty());
    let mut session = open(&mut exchanges, 2);
    let again = idle(&mut exchanges, &mut session, 0);
    assert_eq!(again, (vec![heartbeat(1)], true));
}

#[test]
fn heartbeat_that_a_device_waits_for_is_not_lost_to_another() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    beat(&mut exchanges, 1, true, 0);
    assert_eq!(beat(&mut exchanges, 2, false, 10), Posted::Older);
    assert_eq!(beat(&mut exchanges, 3, true, 20), Posted::Kept);
    let late = 20 + BEAT_AWAITED_MS_MAX;
    assert_eq!(beat(&mut exchanges, 4, false, late), Posted::Older);
    assert_eq!(beat(&mut exchanges, 5, false, late + 1), Posted::Kept);
    let found = idle(&mut exchanges, &mut session, 59_000);
    assert_eq!(found, (vec![heartbeat(5)], true));
}

#[test]
fn heartbeats_take_memory_for_one_and_leave_with_their_channel() {
    let mut exchanges = with_snapshot();
    let before = exchanges.mailboxes.bytes();
    for mark in 0..20 {
        beat(&mut exchanges, mark, true, mark);
    }
    let after = exchanges.mailboxes.bytes();
    assert_eq!(after - before, heartbeat(1).len());
    exchanges.mailboxes.remove(channel_id());
    assert_eq!(exchanges.mailboxes.bytes(), 0);
}

#[test]
fn idle_answer_asks_for_a_heartbeat_when_the_last_one_is_old() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let mut asks = |exchanges: &mut Exchanges, now_ms: u64, waited_ms: u64| {
        let request = poll(&mut session, 60, revision(1, 1));
        let Step::Hold(held) = step(exchanges, &request.bytes, now_ms) else {
            panic!("not held");
        };
        exchanges.ask_heartbeat(&held, now_ms + waited_ms)
    };
    assert!(!asks(&mut exchanges, 0, 59_999));
    assert!(asks(&mut exchanges, 0, 60_000));
    assert!(!asks(&mut exchanges, 0, 60_000 + BEAT_ASK_INTERVAL_MS - 1));
    assert!(asks(&mut exchanges, 0, 60_000 + BEAT_ASK_INTERVAL_MS));
    beat(&mut exchanges, 1, false, 100_000);
    assert!(!asks(&mut exchanges, 100_000, BEAT_WANTED_AGE_MS - 1));
    assert!(asks(&mut exchanges, 100_000, BEAT_WANTED_AGE_MS));
}
