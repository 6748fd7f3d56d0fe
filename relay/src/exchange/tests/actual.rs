use super::{answer, channel_id, exchanges, open, post, report, revision, step, with_snapshot};
use crate::exchange::{Exchanges, Held, Step};
use crate::fixtures::poll_of;
use crate::limits::ACTUAL_ASK_INTERVAL_MS;
use postern_protocol::id::Plane;
use postern_protocol::revision::Revision;
use postern_protocol::session::ClientSession;

/// Polls with a head of the actual plane. Returns the planes asked for, or the hold.
fn asked(
    exchanges: &mut Exchanges,
    session: &mut ClientSession,
    actual: Option<Revision>,
    now_ms: u64,
) -> Result<Vec<Plane>, Held> {
    let request = poll_of(session, 60, revision(1, 1), actual);
    match step(exchanges, &request.bytes, now_ms) {
        Step::Answer(frame) => Ok(answer(session, request.counter, &frame).hints.need),
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

//= spec/planes.md#actual type=test
//# A mailbox that holds another head of `actual` than a poll names MUST answer it at once with hint
//# 6, at most every 5 s.
#[test]
fn poll_that_shows_another_actual_head_is_asked_for_a_snapshot_before_it_is_parked() {
    let check = |held: Revision, shown: Option<Revision>, is_asked: bool| {
        let mut exchanges = with_snapshot();
        exchanges.mailboxes.set_actual_head(channel_id(), held);
        let mut session = open(&mut exchanges, 1);
        let found = asked(&mut exchanges, &mut session, shown, 7_000);
        let found = found.map_err(|held| held.until_ms);
        let expected = if is_asked {
            Ok(vec![Plane::Actual])
        } else {
            Err(67_000)
        };
        assert_eq!(found, expected, "{held} {shown:?}");
    };
    check(revision(4, 2), Some(revision(4, 2)), false);
    check(revision(4, 2), None, false);
    check(Revision::NONE, None, false);
    check(revision(4, 2), Some(revision(4, 3)), true);
    check(revision(4, 2), Some(revision(4, 1)), true);
    check(revision(4, 2), Some(revision(5, 1)), true);
    // The reader was restored or replaced and holds nothing.
    check(Revision::NONE, Some(revision(4, 2)), true);
}

//= spec/planes.md#actual type=test
//# A mailbox that holds another head of `actual` than a poll names MUST answer it at once with hint
//# 6, at most every 5 s.
#[test]
fn device_that_keeps_showing_another_head_is_asked_more_and_more_rarely() {
    let mut exchanges = exchanges();
    let mut session = open(&mut exchanges, 1);
    let shown = Some(revision(4, 2));
    let mut now_ms = 1_000;
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let need = asked(&mut exchanges, &mut session, shown, now_ms);
        assert_eq!(need, Ok(vec![Plane::Actual]));
        let held = asked(&mut exchanges, &mut session, shown, now_ms + 1).unwrap_err();
        pauses.push(held.until_ms - now_ms);
        now_ms = held.until_ms;
    }
    assert_eq!(pauses, [5_000, 10_000, 20_000, 40_000, 60_001]);
}

#[test]
fn poll_that_slept_until_the_next_question_is_asked_then() {
    let mut exchanges = exchanges();
    let mut session = open(&mut exchanges, 1);
    let shown = Some(revision(4, 2));
    assert!(asked(&mut exchanges, &mut session, shown, 0).is_ok());
    let request = poll_of(&mut session, 60, revision(1, 1), shown);
    let Step::Hold(held) = step(&mut exchanges, &request.bytes, 1) else {
        panic!("not held");
    };
    let frame = exchanges.release(&held, held.until_ms, None).unwrap();
    let hints = answer(&session, request.counter, &frame).hints;
    assert_eq!(hints.need, [Plane::Actual]);
}

#[test]
fn poll_that_slept_while_the_head_moved_tells_of_the_past() {
    let mut exchanges = exchanges();
    let mut session = open(&mut exchanges, 1);
    let mut check = |shown, moved, now_ms| {
        let request = poll_of(&mut session, 1, revision(1, 1), Some(shown));
        let Step::Hold(held) = step(&mut exchanges, &request.bytes, now_ms) else {
            panic!("not held");
        };
        exchanges.mailboxes.set_actual_head(channel_id(), moved);
        let frame = exchanges.release(&held, now_ms + 90_000, None).unwrap();
        let hints = answer(&session, request.counter, &frame).hints;
        assert_eq!(hints.need, []);
    };
    // Parked with the head that was held, then the device wrote.
    check(Revision::NONE, revision(4, 1), 0);
    check(revision(4, 1), revision(4, 2), 100_000);
}

#[test]
fn difference_that_a_post_under_way_may_explain_is_not_asked_about_yet() {
    let mut exchanges = exchanges();
    let mut session = open(&mut exchanges, 1);
    let request = post(&mut session, &[report(1, 1)]);
    let Step::Post(posted) = step(&mut exchanges, &request.bytes, 0) else {
        panic!("not a post");
    };
    let shown = Some(revision(4, 1));
    let held = asked(&mut exchanges, &mut session, shown, 0).unwrap_err();
    assert_eq!(held.until_ms, ACTUAL_ASK_INTERVAL_MS);
    exchanges
        .answer_post(&posted, &[], &[], false, None)
        .unwrap();
    exchanges.end_post(channel_id());
    let need = asked(&mut exchanges, &mut session, shown, 0);
    assert_eq!(need, Ok(vec![Plane::Actual]));
}
