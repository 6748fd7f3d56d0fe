mod actual;
mod answers;
mod carried;
mod heartbeat;
mod keys;
mod receipts;
mod streams;

use super::{ExchangeLimits, Exchanges, Held, MailboxKeys, Step};
use crate::fixtures::{
    admitted, answer, ask, channel_id, chunks, delta, greet, mailbox_signer, poll, post, report,
    report_ack, revision, snapshot, snapshot_of,
};
use crate::limits::REPEAT_INTERVAL_MS;
use postern_protocol::Reject;
use postern_protocol::frame::{UpFrame, Wanted};
use postern_protocol::id::{Digest, Plane};
use postern_protocol::limits::NEED_INTERVAL_MS;
use postern_protocol::revision::{Generation, Revision};
use postern_protocol::session::{ClientSession, ReceivedHello};

const FIRST: Generation = Generation::new(1);

fn exchanges() -> Exchanges {
    let keys = MailboxKeys::one(mailbox_signer());
    Exchanges::new(ExchangeLimits::default(), keys, [9; 32], 0)
}

/// Opens a session; `seed` tells one hello and session id from another.
fn open(exchanges: &mut Exchanges, seed: u8) -> ClientSession {
    let challenge = exchanges.answer_ask(&ask(), [seed; 8]).unwrap();
    let (greeting, frame) = greet(&challenge, seed);
    let hello = ReceivedHello::parse(&frame).unwrap();
    let welcome = exchanges
        .answer_hello(&hello, &[admitted()], [seed; 4], 0)
        .unwrap();
    greeting.handle_welcome(&welcome, 0).unwrap()
}

fn with_snapshot() -> Exchanges {
    let mut exchanges = exchanges();
    exchanges
        .mailboxes
        .post_snapshot(channel_id(), FIRST, &snapshot(1, 1), [])
        .unwrap();
    exchanges
}

fn step(exchanges: &mut Exchanges, frame: &[u8], now_ms: u64) -> Step {
    exchanges.handle_frame(frame, now_ms).unwrap().step
}

/// Polls and returns the number of items, or the time until which the poll is held.
fn items_or_hold(
    exchanges: &mut Exchanges,
    session: &mut ClientSession,
    held: Revision,
    now_ms: u64,
) -> Result<usize, Held> {
    let request = poll(session, 60, held);
    match step(exchanges, &request.bytes, now_ms) {
        Step::Answer(frame) => Ok(answer(session, request.counter, &frame).items.len()),
        Step::Hold(held) => Err(held),
        other @ (Step::Limited(..)
        | Step::Stream(_)
        | Step::Post(_)
        | Step::Put(_)
        | Step::Writer(_)) => {
            panic!("{other:?}")
        }
    }
}

//= spec/postern.md#poll type=test
//# A mailbox MUST answer at once when it has anything newer for the poll, except where the next
//# rule lets it wait.
#[test]
fn poll_with_news_is_answered_before_it_is_parked() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let mut check = |held, expected: Result<usize, u64>| {
        let found = items_or_hold(&mut exchanges, &mut session, held, 1_000);
        assert_eq!(found.map_err(|held| held.until_ms), expected);
    };
    check(Revision::NONE, Ok(1));
    check(revision(1, 2), Ok(1));
    check(revision(2, 1), Ok(1));
    check(revision(1, 1), Err(61_000));
}

//= spec/postern.md#poll type=test
//# A mailbox MUST answer a held poll at the latest after hold_s seconds.
#[test]
fn held_poll_released_by_news_brings_them_and_by_time_nothing() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let request = poll(&mut session, 60, revision(1, 1));
    let Step::Hold(held) = step(&mut exchanges, &request.bytes, 0) else {
        panic!("not held");
    };
    let empty = exchanges.release(&held, 60_000, None).unwrap();
    assert_eq!(empty.len(), 14);
    assert!(answer(&session, request.counter, &empty).items.is_empty());
    exchanges
        .mailboxes
        .post_delta(channel_id(), FIRST, &delta(1, 1, 2))
        .unwrap();
    let news = exchanges.release(&held, 60_000, None).unwrap();
    let items = answer(&session, request.counter, &news).items;
    assert_eq!(items[0].envelope, delta(1, 1, 2));
}

#[test]
fn poll_asking_for_a_longer_hold_than_served_is_told() {
    let limits = ExchangeLimits {
        hold_s_max: 30,
        ..ExchangeLimits::default()
    };
    let mut exchanges = Exchanges::new(limits, MailboxKeys::one(mailbox_signer()), [9; 32], 0);
    let mut session = open(&mut exchanges, 1);
    let request = poll(&mut session, 60, Revision::NONE);
    let Step::Hold(held) = step(&mut exchanges, &request.bytes, 0) else {
        panic!("not held");
    };
    assert_eq!(held.until_ms, 30_000);
    let frame = exchanges.release(&held, 30_000, Some(5)).unwrap();
    let hints = answer(&session, request.counter, &frame).hints;
    assert_eq!((hints.hold_s_max, hints.retry_ms), (Some(30), Some(5)));
}

#[test]
fn reader_that_cannot_use_its_news_is_slowed_down() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let ahead = revision(1, 9);
    for _ in 0..3 {
        let found = items_or_hold(&mut exchanges, &mut session, ahead, 1_000);
        assert_eq!(found, Ok(1));
    }
    let held = items_or_hold(&mut exchanges, &mut session, ahead, 2_000).unwrap_err();
    assert_eq!(held.until_ms, 1_000 + REPEAT_INTERVAL_MS);
    let frame = exchanges.release(&held, held.until_ms, None).unwrap();
    assert_eq!(answer(&session, 4, &frame).items.len(), 1);
    // Anything new is given at once.
    exchanges
        .mailboxes
        .post_delta(channel_id(), FIRST, &delta(1, 1, 2))
        .unwrap();
    let found = items_or_hold(&mut exchanges, &mut session, ahead, 7_000);
    assert_eq!(found, Ok(2));
}

#[test]
fn reader_without_hold_that_cannot_use_its_news_is_told_to_wait() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let mut last = (usize::MAX, None);
    for _ in 0..4 {
        let request = poll(&mut session, 0, revision(1, 9));
        let Step::Answer(frame) = step(&mut exchanges, &request.bytes, 1_000) else {
            panic!("not answered");
        };
        let answer = answer(&session, request.counter, &frame);
        last = (answer.items.len(), answer.hints.retry_ms);
    }
    assert_eq!(last, (0, Some(REPEAT_INTERVAL_MS)));
}

#[test]
fn frame_that_does_not_verify_is_refused_by_name() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let good = poll(&mut session, 0, Revision::NONE).bytes;
    let changed = |at: usize, by: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= by;
        bytes
    };
    let mut check = |frame: &[u8], expected: Reject| {
        let found = exchanges.handle_frame(frame, 1).unwrap_err();
        assert_eq!(found, expected);
    };
    check(&changed(good.len() - 1, 1), Reject::SessionMac);
    check(&changed(6, 1), Reject::SessionMac);
    check(&changed(1, 1), Reject::SessionUnknown);
    check(&changed(0, 1), Reject::FrameDirection);
    check(&changed(0, 0x40), Reject::FrameUnknown);
    check(&good[..good.len() - 1], Reject::SessionMac);
    check(&good[..9], Reject::Shape);
    check(&[], Reject::Shape);
    check(&vec![0; 50_000], Reject::Oversize);
    assert!(exchanges.handle_frame(&good, 1).is_ok());
    let replayed = exchanges.handle_frame(&good, 1).unwrap_err();
    assert_eq!(replayed, Reject::SessionReplay);
}

#[test]
fn hello_from_who_is_not_admitted_is_refused_by_name() {
    let mut exchanges = exchanges();
    let challenge = exchanges.answer_ask(&ask(), [1; 8]).unwrap();
    let (_, frame) = greet(&challenge, 1);
    let hello = ReceivedHello::parse(&frame).unwrap();
    let mut other_life = admitted();
    other_life.incarnation = postern_protocol::id::Incarnation::from_bytes([8; 16]);
    let mut other_key = admitted();
    let stranger = postern_protocol::key::MemorySigner::from_seed(&[4; 32]);
    other_key.key = postern_protocol::key::Signer::public_key(&stranger).clone();
    let mut check = |admitted: &[super::AdmittedDevice], now_ms, expected: Reject| {
        let found = exchanges.answer_hello(&hello, admitted, [1; 4], now_ms);
        assert_eq!(found, Err(expected));
        assert_eq!(exchanges.sessions(), 0);
    };
    check(&[], 0, Reject::NotAdmitted);
    check(&[other_key], 0, Reject::KeyUnknown);
    check(&[other_life], 0, Reject::SignatureInvalid);
    check(&[admitted()], 100_000, Reject::ChallengeUnknown);
}

#[test]
fn asks_however_many_keep_nothing() {
    let exchanges = exchanges();
    let before = format!("{exchanges:?}");
    for nonce in 0..10_000_u64 {
        exchanges.answer_ask(&ask(), nonce.to_be_bytes()).unwrap();
    }
    assert_eq!(exchanges.sessions(), 0);
    assert_eq!(format!("{exchanges:?}"), before);
}

#[test]
fn session_displaced_by_the_first_frame_of_a_newer_one_only() {
    let mut exchanges = with_snapshot();
    let mut older = open(&mut exchanges, 1);
    assert!(items_or_hold(&mut exchanges, &mut older, Revision::NONE, 1).is_ok());
    let mut newer = open(&mut exchanges, 2);
    let held = items_or_hold(&mut exchanges, &mut older, revision(1, 1), 2).unwrap_err();
    let first = poll(&mut newer, 60, revision(1, 1));
    assert!(exchanges.handle_frame(&first.bytes, 3).unwrap().displaced);
    let late = poll(&mut older, 60, revision(1, 1));
    let found = exchanges.handle_frame(&late.bytes, 4).unwrap_err();
    assert_eq!(found, Reject::SessionUnknown);
    let found = exchanges.release(&held, 5, None).unwrap_err();
    assert_eq!(found, Reject::SessionUnknown);
}

//= spec/postern.md#need type=test
//# A mailbox MUST answer a limited need at once, without items and with a retry_ms hint.
#[test]
fn need_is_served_once_then_limited_with_a_hint() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let mut need = |session: &mut ClientSession, now_ms| {
        let request = session
            .seal_request(&UpFrame::Need {
                plane: Plane::Desired,
                held: revision(1, 1),
            })
            .unwrap();
        let (frame, reject) = match step(&mut exchanges, &request.bytes, now_ms) {
            Step::Answer(frame) => (frame, None),
            Step::Limited(frame, reject) => (frame, Some(reject)),
            other @ (Step::Hold(_)
            | Step::Stream(_)
            | Step::Post(_)
            | Step::Put(_)
            | Step::Writer(_)) => {
                panic!("{other:?}")
            }
        };
        let answer = answer(session, request.counter, &frame);
        (answer.items.len(), answer.hints.retry_ms, reject)
    };
    assert_eq!(need(&mut session, 0), (1, None, None));
    let limited = (0, Some(NEED_INTERVAL_MS), Some(Reject::NeedLimited));
    assert_eq!(need(&mut session, 1), limited);
    assert_eq!(need(&mut session, 4_999), limited);
    assert_eq!(need(&mut session, 5_000), (1, None, None));
}

#[test]
fn fetch_gives_bodies_of_the_desired_plane_only() {
    let body = vec![0xa1, 0x61, b'a', 0x01];
    let mut exchanges = exchanges();
    let envelope = snapshot_of(1, 1, 1, std::slice::from_ref(&body));
    exchanges
        .mailboxes
        .post_snapshot(channel_id(), FIRST, &envelope, [body.clone()])
        .unwrap();
    let mut session = open(&mut exchanges, 1);
    let mut check = |plane, digest: Digest, offset, expected: &[&[u8]]| {
        let request = session
            .seal_request(&UpFrame::Fetch {
                plane,
                wanted: vec![Wanted { digest, offset }],
            })
            .unwrap();
        let Step::Answer(frame) = step(&mut exchanges, &request.bytes, 1) else {
            panic!("not answered");
        };
        let chunks = chunks(&session, request.counter, &frame);
        let found: Vec<_> = chunks.iter().map(|chunk| chunk.bytes).collect();
        assert_eq!(found, expected);
    };
    check(Plane::Desired, Digest::of(&body), 1, &[&body[1..]]);
    check(Plane::Desired, Digest::of(&body), 4, &[]);
    check(Plane::Desired, Digest::of(b"x"), 0, &[]);
    check(Plane::Actual, Digest::of(&body), 0, &[]);
}

//= spec/postern.md#post type=test
//# An item that is refused MUST be named by its index and reject code in hint 4.
#[test]
fn post_hands_over_what_devices_sign_and_refuses_the_rest_by_index() {
    let mut exchanges = exchanges();
    let mut session = open(&mut exchanges, 1);
    let envelopes = [
        report(1, 1),
        report_ack(1, 1),
        vec![0x84, 0x40, 0xa0, 0x40, 0x40],
        snapshot(1, 1),
        crate::fixtures::bundle(1),
    ];
    let request = post(&mut session, &envelopes);
    let Step::Post(posted) = step(&mut exchanges, &request.bytes, 1) else {
        panic!("not a post");
    };
    let indices: Vec<u32> = posted.items.iter().map(|item| item.index).collect();
    assert_eq!(indices, [0, 3]);
    let refused = [
        (1, Reject::SignerRole),
        (2, Reject::CborTruncated),
        (4, Reject::SignerRole),
    ];
    assert_eq!(posted.refused, refused);
    let frame = exchanges
        .answer_post(&posted, &posted.refused, &[], false, None)
        .unwrap();
    let hints = answer(&session, request.counter, &frame).hints;
    let codes: Vec<_> = hints
        .refused
        .iter()
        .map(|refusal| (refusal.index, refusal.code))
        .collect();
    assert_eq!(codes, refused.map(|(index, reject)| (index, reject.code())));
}

#[test]
fn removed_device_loses_session_and_mailbox() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    exchanges.remove(channel_id());
    let request = poll(&mut session, 0, Revision::NONE);
    let found = exchanges.handle_frame(&request.bytes, 1).unwrap_err();
    assert_eq!(found, Reject::SessionUnknown);
    assert_eq!(exchanges.mailboxes.bytes(), 0);
    assert_eq!(exchanges.sessions(), 0);
}

//= spec/postern.md#sessions type=test
//# A mailbox MUST end a session at the age that its welcome names, which is at most 86400 s.
#[test]
fn tick_ends_sessions_of_age_and_old_challenges() {
    let limits = ExchangeLimits {
        session_age_s_max: 100,
        ..ExchangeLimits::default()
    };
    let mut exchanges = Exchanges::new(limits, MailboxKeys::one(mailbox_signer()), [9; 32], 0);
    let mut session = open(&mut exchanges, 1);
    assert!(items_or_hold(&mut exchanges, &mut session, Revision::NONE, 1).is_err());
    exchanges.handle_tick(99_999, [8; 32]);
    assert_eq!(exchanges.sessions(), 1);
    exchanges.handle_tick(100_000, [7; 32]);
    assert_eq!(exchanges.sessions(), 0);
}
