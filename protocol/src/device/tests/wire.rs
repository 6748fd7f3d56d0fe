//! The way to the mailbox: what ends a session, what slows down, what never becomes a busy loop.

use crate::Reject;
use crate::device::{Event, Input};
use crate::frame::{Answer, BodyChunk, DownFrame, FrameType, Hints, Item, PlainFrame, Refusal};
use crate::id::{Digest, Plane};
use crate::revision::Revision;
use crate::state::State;
use crate::testing::{Lone, at, numbers};
use alloc::vec;
use alloc::vec::Vec;

const EPOCH: u64 = 100;

fn state(value: u64) -> State {
    numbers(&[("a/x", value)])
}

fn connected() -> Lone {
    let mut lone = Lone::new();
    lone.connect();
    lone.drop_requests();
    lone
}

fn fetching() -> Lone {
    let mut lone = connected();
    let snapshot = lone.seal_snapshot(&state(1), at(EPOCH, 5), vec![]);
    lone.serve(&[snapshot]);
    lone
}

/// Counts the exchanges that a device starts within a minute of answers made by `answer`.
fn exchanges_per_minute(
    lone: &mut Lone,
    kind: FrameType,
    answer: impl Fn(&mut Lone, &crate::testing::Answering),
) -> usize {
    let (start, end) = (lone.node.events.len(), lone.now_ms + 60_000);
    let mut count = 0;
    while lone.now_ms < end {
        lone.input(Input::Hold { seconds: 55 });
        while let Some(request) = lone.request(kind) {
            count += 1;
            assert!(count < 1_000, "an unpaced loop of {kind:?}");
            answer(lone, &request);
        }
        lone.drop_requests();
        lone.run(100);
    }
    assert!(lone.node.events.len() - start < 2_000);
    count
}

#[test]
fn connected_device_polls_by_the_drivers_word_only() {
    let mut lone = connected();
    assert!(lone.request(FrameType::Poll).is_none());
    let poll = lone.poll().unwrap();
    assert!(lone.poll().is_none(), "one poll at a time");
    lone.run(55_000);
    lone.answer(&poll, &[]);
    assert!(
        lone.request(FrameType::Poll).is_some(),
        "the second word was kept"
    );
}

//= spec/postern.md#sessions type=test
//# A device MUST count a route as working only on an answer that verifies.
#[test]
fn tampered_answer_ends_the_session_and_changes_nothing() {
    let mut lone = connected();
    let poll = lone.poll().unwrap();
    let mut frame = lone.seal(poll.counter, &DownFrame::Answer(Answer::default()));
    frame[5] ^= 1;
    let commits = lone.node.store.commits();
    lone.answer_raw(poll.exchange, &frame);
    assert_eq!(lone.rejects(), [Reject::SessionMac]);
    assert_eq!((lone.reconnects, lone.node.store.commits()), (1, commits));
}

#[test]
fn replayed_answer_is_refused() {
    let mut lone = connected();
    let first = lone.poll().unwrap();
    let answer = lone.seal(first.counter, &DownFrame::Answer(Answer::default()));
    lone.run(55_000);
    lone.answer_raw(first.exchange, &answer);
    let second = lone.poll().unwrap();
    lone.answer_raw(second.exchange, &answer);
    assert_eq!(lone.rejects(), [Reject::AnswerMismatch]);
}

#[test]
fn answer_to_nothing_is_ignored() {
    let mut lone = connected();
    let first = lone.poll().unwrap();
    let answer = lone.seal(first.counter, &DownFrame::Answer(Answer::default()));
    lone.answer_raw(first.exchange, &answer);
    let events = lone.node.events.len();
    lone.answer_raw(first.exchange, &answer);
    lone.answer_raw(crate::device::ExchangeId(999), &answer);
    assert_eq!((lone.node.events.len(), lone.reconnects), (events, 0));
}

//= spec/postern.md#rejects type=test
//# A peer MUST NOT be able to end a process, close another's session or change a state by what is
//# refused.
#[test]
fn garbage_ends_the_session() {
    for garbage in [&b"<html>"[..], b"", &[0x01], &[0xff; 64], &[22]] {
        let mut lone = connected();
        let poll = lone.poll().unwrap();
        lone.answer_raw(poll.exchange, garbage);
        assert_eq!(lone.reconnects, 1, "{garbage:?}");
        assert_eq!(lone.rejects().len(), 1, "{garbage:?}");
    }
}

//= spec/postern.md#frames type=test
//# A receiver of frame 22 MUST take it as advice about when to try again and change no state.
//= spec/postern.md#frames type=test
//# A device MUST end a session when frame 22 answers a request of it, but for a stream that is
//# refused with `frame-unknown`.
#[test]
fn forged_refusal_only_slows_down() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let refused = PlainFrame::Refused {
        code: Reject::Overloaded.code(),
        retry_ms: None,
    };
    let refused = refused.encode().unwrap();
    let poll = lone.poll().unwrap();
    lone.answer_raw(poll.exchange, &refused);
    assert_eq!(lone.reconnects, 1);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
    assert_eq!(lone.rejects(), []);
    lone.connect();
    assert!(lone.poll().is_some());
}

//= spec/postern.md#rejects type=test
//# A receiver MUST accept a reject number that it does not know, in a report, a hint or frame 22,
//# as an unknown reason.
#[test]
fn refusal_during_the_handshake_starts_it_again() {
    let mut lone = Lone::new();
    lone.input(Input::Connect);
    let ask = lone.outbox.remove(0);
    let refused = PlainFrame::Refused {
        code: 999,
        retry_ms: Some(5),
    };
    lone.answer_raw(ask.id, &refused.encode().unwrap());
    let unknown = Event::RefusedByMailbox { reject: None };
    assert_eq!(lone.node.events.last(), Some(&unknown));
    lone.connect();
    assert!(lone.node.events.contains(&Event::Connected));
}

#[test]
fn failed_handshake_asks_the_driver_to_wait() {
    let mut lone = Lone::new();
    lone.input(Input::Connect);
    let exchange = lone.outbox.remove(0).id;
    lone.input(Input::Failed { exchange });
    assert_eq!((lone.reconnects, lone.outbox.len()), (1, 0));
}

#[test]
fn need_that_failed_on_the_way_is_asked_again() {
    let mut lone = connected();
    let delta = lone.seal_step(&State::empty(), &state(1), 1, at(EPOCH, 2));
    lone.serve(&[delta]);
    let need = lone.request(FrameType::Need).unwrap();
    lone.input(Input::Failed {
        exchange: need.exchange,
    });
    assert!(lone.request(FrameType::Need).is_none(), "not at once");
    lone.run(5_000);
    assert!(lone.request(FrameType::Need).is_some());
}

#[test]
fn needs_are_five_seconds_apart() {
    let mut lone = connected();
    let delta = lone.seal_step(&State::empty(), &state(1), 1, at(EPOCH, 2));
    let count = exchanges_per_minute(&mut lone, FrameType::Poll, |lone, poll| {
        lone.answer(poll, core::slice::from_ref(&delta));
    });
    assert!(count <= 14, "{count} polls");
}

#[test]
fn mailbox_that_serves_old_envelopes_for_ever_is_polled_at_a_pace() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let old = lone.seal_snapshot(&state(1), at(EPOCH, 5), vec![]);
    let commits = lone.node.store.commits();
    let count = exchanges_per_minute(&mut lone, FrameType::Poll, |lone, poll| {
        lone.answer(poll, &vec![old.clone(); 20]);
    });
    assert!(count <= 14, "{count} polls");
    assert_eq!(lone.node.store.commits(), commits);
}

#[test]
fn mailbox_that_serves_garbage_for_ever_is_polled_at_a_pace() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let commits = lone.node.store.commits();
    let count = exchanges_per_minute(&mut lone, FrameType::Poll, |lone, poll| {
        let item = Item {
            plane: Some(Plane::Desired),
            envelope: &[0x80],
        };
        lone.answer_items(poll, vec![item; 50]);
    });
    assert!(count <= 14, "{count} polls");
    assert_eq!(lone.node.store.commits(), commits);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
}

#[test]
fn mailbox_without_bodies_is_asked_at_a_pace() {
    let mut lone = fetching();
    let count = exchanges_per_minute(&mut lone, FrameType::Fetch, |lone, fetch| {
        let frame = lone.seal(fetch.counter, &DownFrame::Bodies(vec![]));
        lone.answer_raw(fetch.exchange, &frame);
    });
    assert!(count <= 14, "{count} fetches");
    assert_eq!(lone.node.head(), None);
}

/// Answers a fetch with no bodies: a newer snapshot took the place of theirs.
fn bring_nothing(lone: &mut Lone) {
    let fetch = lone.request(FrameType::Fetch).unwrap();
    let frame = lone.seal(fetch.counter, &DownFrame::Bodies(vec![]));
    lone.answer_raw(fetch.exchange, &frame);
}

#[test]
fn snapshot_whose_bodies_are_gone_gives_way_to_a_newer_one_at_once() {
    let mut lone = fetching();
    assert!(lone.poll().is_none(), "what is newer could not be used");
    bring_nothing(&mut lone);
    let poll = lone.poll().unwrap();
    let newer = lone.seal_snapshot(&state(2), at(EPOCH, 9), vec![]);
    lone.answer(&poll, &[newer]);
    lone.serve_bodies(&state(2));
    assert_eq!(lone.node.head(), Some(at(EPOCH, 9)));
}

#[test]
fn snapshot_whose_bodies_are_gone_and_that_comes_again_is_not_fetched_before_its_time() {
    let mut lone = fetching();
    bring_nothing(&mut lone);
    let poll = lone.poll().unwrap();
    let same = lone.seal_snapshot(&state(1), at(EPOCH, 5), vec![]);
    lone.answer(&poll, &[same]);
    assert!(lone.request(FrameType::Fetch).is_none());
    assert!(lone.poll().is_none(), "it brought nothing: at a pace");
}

#[test]
fn deltas_behind_a_snapshot_are_asked_for_as_soon_as_it_is_here() {
    let mut lone = fetching();
    bring_nothing(&mut lone);
    let poll = lone.poll().unwrap();
    let delta = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    lone.run(3_000);
    lone.answer(&poll, core::slice::from_ref(&delta));
    assert!(lone.poll().is_none(), "it leads nowhere yet: at a pace");
    lone.run(2_000);
    lone.serve_bodies(&state(1));
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
    let poll = lone.poll().unwrap();
    lone.answer(&poll, &[delta]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 6)));
}

#[test]
fn fetch_answered_by_an_answer_is_asked_at_a_pace() {
    let mut lone = fetching();
    let count = exchanges_per_minute(&mut lone, FrameType::Fetch, |lone, fetch| {
        lone.answer(fetch, &[]);
    });
    assert!(count <= 14, "{count} fetches");
}

#[test]
fn first_byte_again_and_again_is_no_progress() {
    let mut lone = fetching();
    let want = state(1);
    let count = exchanges_per_minute(&mut lone, FrameType::Fetch, |lone, fetch| {
        let (_, digest) = want.section_digests().next().unwrap();
        let body = want.body(digest).unwrap();
        let chunk = BodyChunk {
            digest: *digest,
            size: body.len() as u64,
            offset: 0,
            bytes: &body[..1],
        };
        let frame = lone.seal(fetch.counter, &DownFrame::Bodies(vec![chunk]));
        lone.answer_raw(fetch.exchange, &frame);
    });
    assert!(count <= 15, "{count} fetches");
}

#[test]
fn bodies_that_nobody_asked_for_are_answered_with_distrust() {
    let mut lone = connected();
    let poll = lone.poll().unwrap();
    let chunk = BodyChunk {
        digest: Digest::from_bytes([1; 32]),
        size: 1,
        offset: 0,
        bytes: &[0],
    };
    let frame = lone.seal(poll.counter, &DownFrame::Bodies(vec![chunk]));
    lone.answer_raw(poll.exchange, &frame);
    assert_eq!(lone.rejects(), [Reject::AnswerMismatch]);
    assert_eq!(lone.reconnects, 1);
}

//= spec/postern.md#bodies type=test
//# A device MUST check the digest of the complete body before it uses any byte of it, else
//# `body-mismatch`.
#[test]
fn wrong_bodies_are_refused_and_the_snapshot_asked_anew() {
    let mut lone = fetching();
    let want = state(1);
    let (_, digest) = want.section_digests().next().unwrap();
    let mut body = want.body(digest).unwrap().to_vec();
    let last = body.len() - 1;
    body[last] ^= 1;
    for _ in 0..3 {
        lone.run(6_000);
        let fetch = lone.request(FrameType::Fetch).unwrap();
        let chunk = BodyChunk {
            digest: *digest,
            size: body.len() as u64,
            offset: 0,
            bytes: &body,
        };
        let frame = lone.seal(fetch.counter, &DownFrame::Bodies(vec![chunk]));
        lone.answer_raw(fetch.exchange, &frame);
    }
    assert_eq!(lone.rejects(), [Reject::BodyMismatch; 3]);
    lone.run(6_000);
    assert!(lone.request(FrameType::Fetch).is_none());
    assert!(lone.request(FrameType::Need).is_some());
    assert_eq!(lone.node.head(), None);
}

#[test]
fn retry_hint_delays_the_next_poll() {
    let mut lone = connected();
    let poll = lone.poll().unwrap();
    let hints = Hints {
        retry_ms: Some(20_000),
        ..Hints::default()
    };
    let answer = DownFrame::Answer(Answer {
        hints,
        items: vec![],
    });
    let frame = lone.seal(poll.counter, &answer);
    lone.answer_raw(poll.exchange, &frame);
    assert!(lone.poll().is_none());
    lone.run(19_999);
    assert!(lone.request(FrameType::Poll).is_none());
    lone.run(1);
    assert!(lone.request(FrameType::Poll).is_some());
}

//= spec/postern.md#answer type=test
//# A device MUST begin a session without the pause of retry_ms that an earlier one gave.
#[test]
fn retry_hint_of_one_session_does_not_delay_the_next() {
    let mut lone = connected();
    let poll = lone.poll().unwrap();
    let hints = Hints {
        retry_ms: Some(3_600_000),
        ..Hints::default()
    };
    let answer = DownFrame::Answer(Answer {
        hints,
        items: vec![],
    });
    let frame = lone.seal(poll.counter, &answer);
    lone.answer_raw(poll.exchange, &frame);
    assert!(lone.poll().is_none());
    lone.input(Input::OtherMailbox);
    lone.connect();
    assert!(lone.poll().is_some());
}

#[test]
fn refused_report_is_shown_and_sent_again_later() {
    let mut lone = Lone::new();
    lone.connect();
    let post = lone.request(FrameType::Post).unwrap();
    let hints = Hints {
        retry_ms: Some(7_000),
        refused: vec![Refusal {
            index: 0,
            code: Reject::Quota.code(),
        }],
        ..Hints::default()
    };
    let answer = DownFrame::Answer(Answer {
        hints,
        items: vec![],
    });
    let frame = lone.seal(post.counter, &answer);
    lone.answer_raw(post.exchange, &frame);
    let shown = Event::RefusedByMailbox {
        reject: Some(Reject::Quota),
    };
    assert!(lone.node.events.contains(&shown));
    lone.run(6_000);
    assert!(lone.request(FrameType::Post).is_none());
    lone.run(1_000);
    assert!(lone.request(FrameType::Post).is_some());
}

#[test]
fn session_of_full_age_is_replaced_without_a_complaint() {
    let mut lone = connected();
    lone.run(3_600_000);
    lone.input(Input::Hold { seconds: 0 });
    assert_eq!(lone.reconnects, 1);
    assert_eq!(lone.rejects(), []);
}

//= spec/postern.md#poll type=test
//# A device SHOULD poll once a second when held polls keep coming back at once and empty.
#[test]
fn mailbox_that_never_holds_is_polled_once_a_second() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let mut polls = 0;
    let end_ms = lone.now_ms + 10_000;
    while lone.now_ms < end_ms {
        if let Some(poll) = lone.poll() {
            polls += 1;
            lone.answer(&poll, &[]);
        } else {
            lone.run(100);
        }
    }
    assert!((8..=14).contains(&polls), "{polls}");
}

#[test]
fn mailbox_that_answers_empty_once_is_polled_again_at_once() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    for seq in 5..8 {
        let poll = lone.poll().unwrap();
        lone.answer(&poll, &[]);
        let poll = lone.poll().unwrap();
        let step = lone.seal_step(&state(seq - 4), &state(seq - 3), seq, at(EPOCH, seq + 1));
        lone.answer(&poll, &[step]);
    }
    assert_eq!(lone.rejects(), []);
}

//= spec/postern.md#answer type=test
//# A device MUST verify every item of an answer as if it had come over an untrusted way.
#[test]
fn unverified_items_are_each_refused_by_name() {
    let mut lone = Lone::holding(&state(1), at(EPOCH, 5));
    let good = lone.seal_step(&state(1), &state(2), 5, at(EPOCH, 6));
    let mut tampered = good.clone();
    let last = tampered.len() - 1;
    tampered[last] ^= 1;
    let report = lone.node.engine.as_ref().map(|_| Revision::NONE);
    assert!(report.is_some());
    let poll = lone.paced_poll();
    let cases = [
        (Some(Plane::Desired), &tampered),
        (Some(Plane::Actual), &good),
        (None, &good),
    ];
    let items: Vec<_> = cases
        .iter()
        .map(|(plane, envelope)| Item {
            plane: *plane,
            envelope,
        })
        .collect();
    lone.answer_items(&poll, items);
    let expected = [
        Reject::SignatureInvalid,
        Reject::PlaneMismatch,
        Reject::SignerRole,
    ];
    assert_eq!(lone.rejects(), expected);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 5)));
}
