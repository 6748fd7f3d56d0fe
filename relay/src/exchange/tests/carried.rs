use super::{answer, channel_id, open, post, report, report_ack, revision, step, with_snapshot};
use crate::exchange::{Ended, Exchanges, Held, Post, Step};
use crate::fixtures::{enrol_answer, evidence, poll_for_ack, put};
use postern_protocol::Reject;
use postern_protocol::frame::Wanted;
use postern_protocol::id::{Digest, Plane};
use postern_protocol::session::ClientSession;

/// Begins a post of a report and returns it with its counter.
fn begin(exchanges: &mut Exchanges, session: &mut ClientSession, rseq: u64) -> (Post, u16) {
    let request = post(session, &[report(1, rseq)]);
    let Step::Post(mut posted) = step(exchanges, &request.bytes, 1) else {
        panic!("not a post");
    };
    for item in std::mem::take(&mut posted.items) {
        posted.note_taken(&item);
    }
    (posted, request.counter)
}

fn hold_for_ack(exchanges: &mut Exchanges, session: &mut ClientSession) -> Held {
    let request = poll_for_ack(session, 60, revision(1, 1));
    match step(exchanges, &request.bytes, 1) {
        Step::Hold(held) => held,
        other @ (Step::Answer(_)
        | Step::Limited(..)
        | Step::Stream(_)
        | Step::Post(_)
        | Step::Put(_)
        | Step::Writer(_)) => {
            panic!("{other:?}")
        }
    }
}

fn carried(
    exchanges: &mut Exchanges,
    session: &ClientSession,
    (posted, counter): &(Post, u16),
) -> Vec<Vec<u8>> {
    let frame = exchanges
        .answer_post(posted, &[], &[], false, None)
        .unwrap();
    let items = answer(session, *counter, &frame).items;
    items.iter().map(|item| item.envelope.to_vec()).collect()
}

#[test]
fn acknowledgement_rides_on_the_answer_to_the_post_of_its_report() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let held = hold_for_ack(&mut exchanges, &mut session);
    let posted = begin(&mut exchanges, &mut session, 1);
    let mailboxes = &mut exchanges.mailboxes;
    mailboxes
        .post_report_ack(channel_id(), &report_ack(1, 1))
        .unwrap();
    assert!(exchanges.leave_to_answer(channel_id()));
    let found = carried(&mut exchanges, &session, &posted);
    assert_eq!(found, [report_ack(1, 1)]);
    let ended = exchanges.end_post(channel_id());
    let expected = Ended {
        wakes: false,
        closes: false,
    };
    assert_eq!(ended, expected);
    // The poll that slept would still find it: an answer may be lost.
    assert!(exchanges.has_news(&held));
}

#[test]
fn acknowledgement_below_the_posted_report_is_not_carried() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    exchanges
        .mailboxes
        .post_report_ack(channel_id(), &report_ack(1, 1))
        .unwrap();
    let posted = begin(&mut exchanges, &mut session, 2);
    assert!(carried(&mut exchanges, &session, &posted).is_empty());
    exchanges.end_post(channel_id());
    // The same report again: its acknowledgement was lost on the way.
    let posted = begin(&mut exchanges, &mut session, 1);
    let found = carried(&mut exchanges, &session, &posted);
    assert_eq!(found, [report_ack(1, 1)]);
}

#[test]
fn acknowledgement_of_a_post_that_nobody_answers_wakes_the_poll() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let _posted = begin(&mut exchanges, &mut session, 1);
    exchanges
        .mailboxes
        .post_report_ack(channel_id(), &report_ack(1, 1))
        .unwrap();
    assert!(exchanges.leave_to_answer(channel_id()));
    assert!(exchanges.end_post(channel_id()).wakes);
    assert!(!exchanges.leave_to_answer(channel_id()));
}

#[test]
fn evidence_and_enrol_answer_ride_along_only_when_they_are_new() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    exchanges
        .mailboxes
        .post_enrol_answer(channel_id(), &enrol_answer(1))
        .unwrap();
    let posted = begin(&mut exchanges, &mut session, 1);
    exchanges
        .mailboxes
        .post_evidence(channel_id(), &evidence(4, 2))
        .unwrap();
    let found = carried(&mut exchanges, &session, &posted);
    assert_eq!(found, [evidence(4, 2)]);
}

#[test]
fn put_hands_over_its_chunks_and_is_answered_with_what_is_missing() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let request = put(&mut session, Plane::Actual, b"body");
    let Step::Put(found) = step(&mut exchanges, &request.bytes, 1) else {
        panic!("not a put");
    };
    assert_eq!(
        (found.plane, found.chunks[0].bytes.as_slice()),
        (Plane::Actual, &b"body"[..])
    );
    let missing = |number: u64| Wanted {
        digest: Digest::of(&number.to_be_bytes()),
        offset: number,
    };
    let wanted: Vec<Wanted> = (0..20).map(missing).collect();
    let frame = exchanges.answer_put(&found, &wanted).unwrap();
    let hints = answer(&session, request.counter, &frame).hints;
    assert_eq!(hints.wanted, wanted[..16]);
}

#[test]
fn evicted_device_gets_the_answer_to_its_post_and_nothing_else() {
    let mut exchanges = with_snapshot();
    let mut session = open(&mut exchanges, 1);
    let posted = begin(&mut exchanges, &mut session, 1);
    exchanges
        .mailboxes
        .post_report_ack(channel_id(), &report_ack(1, 1))
        .unwrap();
    exchanges.evict(channel_id());
    assert_eq!(exchanges.mailboxes.bytes(), 0);
    let request = poll_for_ack(&mut session, 60, revision(1, 1));
    let refused = exchanges.handle_frame(&request.bytes, 2).unwrap_err();
    assert_eq!(refused, Reject::SessionUnknown);
    let found = carried(&mut exchanges, &session, &posted);
    assert_eq!(found, [report_ack(1, 1)]);
    assert!(exchanges.end_post(channel_id()).closes);
    assert_eq!(exchanges.sessions(), 0);
}

#[test]
fn evicted_device_without_a_post_loses_its_session_at_once() {
    let mut exchanges = with_snapshot();
    let _session = open(&mut exchanges, 1);
    exchanges.evict(channel_id());
    assert_eq!(exchanges.sessions(), 0);
    assert_eq!(exchanges.mailboxes.bytes(), 0);
}
