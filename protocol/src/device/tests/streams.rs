//! Streams: answers that come one by one, what ends them, and the change to the next.

use crate::Reject;
use crate::device::{Event, Input, StreamAsk, StreamEnd};
use crate::frame::{
    Answer, Direction, DownFrame, FrameType, Hints, Item, PlainFrame, SessionFrame, StreamAnswer,
    UpFrame,
};
use crate::id::{MessageId, Plane};
use crate::receipt::Receipt;
use crate::revision::{Seq, StoreEpoch};
use crate::testing::{Answering, Lone, at, numbers};
use alloc::vec;
use alloc::vec::Vec;

const ASK: StreamAsk = StreamAsk {
    interval_ms: 15_000,
    frames: 40,
    pad: 0,
};

/// Makes an answer that is none.
type Forge = fn(&Lone, &Answering) -> Vec<u8>;

fn connected() -> Lone {
    let mut lone = Lone::holding(&numbers(&[("a/x", 1)]), at(100, 5));
    lone.acknowledge();
    lone.drop_requests();
    lone
}

pub(super) fn open(lone: &mut Lone) -> Answering {
    lone.input(Input::Stream(ASK));
    lone.request(FrameType::Stream).unwrap()
}

pub(super) fn sealed(lone: &Lone, to: &Answering, index: u16, answer: Answer<'_>) -> Vec<u8> {
    let answer = StreamAnswer {
        index,
        age_ms: u64::from(index) * 15_000,
        padding: 3,
        answer,
    };
    lone.seal(to.counter, &DownFrame::StreamAnswer(answer))
}

fn idle(lone: &mut Lone, to: &Answering, index: u16) {
    let frame = sealed(lone, to, index, Answer::default());
    lone.answer_raw(to.exchange, &frame);
}

pub(super) fn bring(lone: &mut Lone, to: &Answering, index: u16, envelope: &[u8]) {
    let items = vec![Item {
        plane: Some(Plane::Desired),
        envelope,
    }];
    let answer = Answer {
        items,
        ..Answer::default()
    };
    let frame = sealed(lone, to, index, answer);
    lone.answer_raw(to.exchange, &frame);
}

fn ends(lone: &Lone) -> Vec<StreamEnd> {
    let end = |event: &Event| {
        let Event::StreamEnded { why, .. } = event else {
            return None;
        };
        Some(*why)
    };
    lone.node.events.iter().filter_map(end).collect()
}

pub(super) fn step(lone: &Lone, from: u64) -> Vec<u8> {
    let (before, after) = (numbers(&[("a/x", from)]), numbers(&[("a/x", from + 1)]));
    lone.seal_step(&before, &after, from + 4, at(100, from + 5))
}

fn seq(lone: &Lone) -> u64 {
    let engine = lone.node.engine.as_ref().unwrap();
    engine.head().unwrap().revision.seq.number()
}

#[test]
fn stream_names_what_is_held_and_its_own_terms() {
    let mut lone = connected();
    let stream = open(&mut lone);
    let frame = SessionFrame::split(&stream.frame, Direction::Up).unwrap();
    let UpFrame::Stream(asked) = frame.danger_unverified_body().unwrap().decode_up().unwrap()
    else {
        panic!("{:?}", frame.frame_type())
    };
    let terms = (asked.interval_ms, asked.frames, asked.pad);
    assert_eq!(terms, (15_000, 40, 0));
    assert_eq!(asked.heads.desired, at(100, 5));
    assert!(!asked.is_probe());
}

#[test]
fn answers_of_a_stream_bring_one_delta_after_another() {
    let mut lone = connected();
    let stream = open(&mut lone);
    idle(&mut lone, &stream, 0);
    for place in 1..4_u16 {
        let delta = step(&lone, place.into());
        bring(&mut lone, &stream, place, &delta);
        assert_eq!(seq(&lone), u64::from(place) + 5);
    }
    assert_eq!((ends(&lone), lone.rejects()), (vec![], vec![]));
}

#[test]
fn stream_that_flows_asks_nothing_until_a_word_of_the_driver() {
    let mut lone = connected();
    let stream = open(&mut lone);
    idle(&mut lone, &stream, 0);
    lone.run(600_000);
    assert!(lone.request(FrameType::Poll).is_none());
    assert!(lone.request(FrameType::Stream).is_none());
    assert!(lone.poll().is_some(), "a poll may replace it");
}

//= spec/postern.md#stream type=test
//# A device MUST end a stream at the first answer that it refuses, and change nothing by that
//# answer.
#[test]
fn answer_that_is_refused_ends_the_stream_and_not_the_session() {
    let refusals: [(&str, Forge, Reject); 5] = [
        (
            "gap",
            |lone, to| sealed(lone, to, 2, Answer::default()),
            Reject::StreamOrder,
        ),
        (
            "replay",
            |lone, to| sealed(lone, to, 0, Answer::default()),
            Reject::StreamOrder,
        ),
        (
            "beyond the last",
            |lone, to| sealed(lone, to, 40, Answer::default()),
            Reject::StreamOrder,
        ),
        (
            "answer to a poll",
            |lone, to| lone.seal(to.counter, &DownFrame::Answer(Answer::default())),
            Reject::AnswerMismatch,
        ),
        (
            "bit",
            |lone, to| {
                let mut frame = sealed(lone, to, 1, Answer::default());
                frame[8] ^= 1;
                frame
            },
            Reject::SessionMac,
        ),
    ];
    for (name, forge, reject) in refusals {
        let mut lone = connected();
        let stream = open(&mut lone);
        idle(&mut lone, &stream, 0);
        let (commits, reconnects) = (lone.node.store.commits(), lone.reconnects);
        let frame = forge(&lone, &stream);
        lone.answer_raw(stream.exchange, &frame);
        assert_eq!(lone.rejects(), [reject], "{name}");
        assert_eq!(ends(&lone), [StreamEnd::Refused(reject)], "{name}");
        assert_eq!(lone.node.store.commits(), commits, "{name}");
        assert_eq!(lone.reconnects, reconnects, "{name}");
        let delta = step(&lone, 1);
        bring(&mut lone, &stream, 1, &delta);
        assert_eq!(seq(&lone), 5, "{name}: nothing is taken behind it");
        lone.drop_requests();
        let poll = lone.poll().unwrap();
        lone.answer(&poll, &[delta]);
        assert_eq!(seq(&lone), 6, "{name}");
    }
}

//= spec/postern.md#stream type=test
//# A device MUST end a stream of which it refused an item or was given a receipt, and poll.
#[test]
fn item_that_is_refused_ends_the_stream() {
    let mut lone = connected();
    let stream = open(&mut lone);
    idle(&mut lone, &stream, 0);
    let delta = step(&lone, 3);
    bring(&mut lone, &stream, 1, &delta);
    assert_eq!(ends(&lone), [StreamEnd::PollDue]);
    assert_eq!(lone.rejects(), [Reject::BaseNewer]);
    lone.drop_requests();
    assert_eq!(lone.paced_poll().kind, FrameType::Poll);
}

#[test]
fn item_that_came_already_does_not_end_the_stream() {
    let mut lone = connected();
    let stream = open(&mut lone);
    let delta = step(&lone, 1);
    bring(&mut lone, &stream, 0, &delta);
    bring(&mut lone, &stream, 1, &delta);
    assert_eq!((seq(&lone), ends(&lone)), (6, vec![]));
}

//= spec/postern.md#stream type=test
//# A device MUST keep a stream until the first answer of the next one verifies.
#[test]
fn a18_next_stream_replaces_the_one_before_with_its_first_answer() {
    let mut lone = connected();
    let older = open(&mut lone);
    idle(&mut lone, &older, 0);
    let newer = open(&mut lone);
    let delta = step(&lone, 1);
    bring(&mut lone, &older, 1, &delta);
    assert_eq!((seq(&lone), ends(&lone)), (6, vec![]), "still taken");
    // It came on both: once is enough.
    bring(&mut lone, &newer, 0, &delta);
    assert_eq!(ends(&lone), [StreamEnd::Replaced]);
    let next = step(&lone, 2);
    bring(&mut lone, &older, 2, &next);
    assert_eq!(seq(&lone), 6, "the older one is over");
    bring(&mut lone, &newer, 1, &next);
    assert_eq!((seq(&lone), lone.rejects()), (7, vec![]));
}

#[test]
fn a18_next_stream_that_never_answers_leaves_the_one_before() {
    let mut lone = connected();
    let older = open(&mut lone);
    idle(&mut lone, &older, 0);
    let newer = open(&mut lone);
    lone.input(Input::Failed {
        exchange: newer.exchange,
    });
    let delta = step(&lone, 1);
    bring(&mut lone, &older, 1, &delta);
    assert_eq!((seq(&lone), ends(&lone)), (6, vec![]));
    lone.drop_requests();
    assert!(lone.poll().is_some());
}

#[test]
fn answer_to_a_poll_ends_the_stream_before_it() {
    let mut lone = connected();
    let stream = open(&mut lone);
    idle(&mut lone, &stream, 0);
    let poll = lone.poll().unwrap();
    assert_eq!(ends(&lone), []);
    lone.answer(&poll, &[]);
    assert_eq!(ends(&lone), [StreamEnd::Replaced]);
    let delta = step(&lone, 1);
    bring(&mut lone, &stream, 1, &delta);
    assert_eq!(seq(&lone), 5);
}

#[test]
fn last_answer_ends_the_stream_and_nothing_follows_it() {
    let mut lone = connected();
    lone.input(Input::Stream(StreamAsk {
        interval_ms: 500,
        frames: 2,
        pad: 1_024,
    }));
    let probe = lone.request(FrameType::Stream).unwrap();
    idle(&mut lone, &probe, 0);
    assert_eq!(ends(&lone), []);
    idle(&mut lone, &probe, 1);
    assert_eq!(ends(&lone), [StreamEnd::Complete]);
    let delta = step(&lone, 1);
    bring(&mut lone, &probe, 2, &delta);
    assert_eq!((seq(&lone), ends(&lone).len()), (5, 1));
}

#[test]
fn mailbox_that_knows_no_streams_costs_the_stream_and_not_the_session() {
    let mut lone = connected();
    let reconnects = lone.reconnects;
    let stream = open(&mut lone);
    let refused = PlainFrame::Refused {
        code: Reject::FrameUnknown.code(),
        retry_ms: None,
    };
    lone.answer_raw(stream.exchange, &refused.encode().unwrap());
    assert_eq!(ends(&lone), [StreamEnd::Unknown]);
    assert_eq!(lone.reconnects, reconnects);
    assert!(lone.poll().is_some());
}

#[test]
fn refusal_of_the_session_on_a_stream_ends_the_session() {
    let mut lone = connected();
    let reconnects = lone.reconnects;
    let stream = open(&mut lone);
    let refused = PlainFrame::Refused {
        code: Reject::SessionUnknown.code(),
        retry_ms: None,
    };
    lone.answer_raw(stream.exchange, &refused.encode().unwrap());
    assert_eq!(lone.reconnects, reconnects + 1);
}

#[test]
fn stream_out_of_range_never_leaves() {
    let mut lone = connected();
    let reconnects = lone.reconnects;
    lone.input(Input::Stream(StreamAsk { frames: 0, ..ASK }));
    assert!(lone.request(FrameType::Stream).is_none());
    assert_eq!(lone.rejects(), [Reject::Shape]);
    assert_eq!(lone.reconnects, reconnects + 1);
}

#[test]
fn retry_hint_on_a_stream_delays_the_next_question() {
    let mut lone = connected();
    let stream = open(&mut lone);
    let hints = Hints {
        retry_ms: Some(7_000),
        ..Hints::default()
    };
    let answer = Answer {
        hints,
        ..Answer::default()
    };
    let frame = sealed(&lone, &stream, 0, answer);
    lone.answer_raw(stream.exchange, &frame);
    assert!(lone.poll().is_none());
    lone.run(7_000);
    assert!(lone.request(FrameType::Poll).is_some());
}

#[test]
fn nothing_else_is_asked_until_a_stream_has_answered() {
    let mut lone = connected();
    let stream = open(&mut lone);
    lone.input(Input::Stream(ASK));
    assert!(lone.request(FrameType::Stream).is_none(), "one at a time");
    assert!(lone.poll().is_none());
    lone.run(60_000);
    assert!(lone.request(FrameType::Poll).is_none());
    idle(&mut lone, &stream, 0);
    assert!(lone.request(FrameType::Poll).is_some(), "the word was kept");
}

/// A receipt of the mailbox, as it stands beside no plane.
fn receipt(lone: &Lone) -> Vec<u8> {
    let receipt = Receipt {
        store: StoreEpoch::new(77),
        number: Seq::new(5),
        message: MessageId::from_bytes([6; 32]),
        channel: lone.node.identity.channel.id(),
        code: 0,
    };
    let (domain, tenant) = (lone.keys.domain(), &lone.keys.tenant);
    let sealed = receipt.seal(domain, tenant, &lone.keys.mailbox);
    sealed.unwrap().into_bytes()
}

fn named(question: &Answering) -> Option<u64> {
    let frame = SessionFrame::split(&question.frame, Direction::Up).unwrap();
    let body = frame.danger_unverified_body().unwrap().decode_up();
    let heads = match body {
        Ok(UpFrame::Poll(heads)) => heads,
        Ok(UpFrame::Stream(stream)) => stream.heads,
        other => panic!("{other:?}"),
    };
    heads.receipt.map(|place| place.number.number())
}

//= spec/postern.md#stream type=test
//# A device MUST end a stream of which it refused an item or was given a receipt, and poll.
#[test]
fn receipt_ends_the_stream_and_the_poll_after_it_names_it() {
    let mut lone = connected();
    let stream = open(&mut lone);
    idle(&mut lone, &stream, 0);
    let envelope = receipt(&lone);
    let items = vec![Item {
        plane: None,
        envelope: &envelope,
    }];
    let answer = Answer {
        items,
        ..Answer::default()
    };
    let frame = sealed(&lone, &stream, 1, answer);
    lone.answer_raw(stream.exchange, &frame);
    assert_eq!(
        (ends(&lone), lone.rejects()),
        (vec![StreamEnd::PollDue], vec![])
    );
    assert_eq!(named(&lone.paced_poll()), Some(5));
}

//= spec/relays.md#receipt type=test
//# A device MUST name the receipt that a session gave it last in the polls of that session until one
//# of them is answered, and in no other.
#[test]
fn receipt_that_a_stream_names_is_known_with_its_first_answer() {
    let mut lone = connected();
    let envelope = receipt(&lone);
    super::speech::serve_item(&mut lone, None, &envelope);
    let stream = open(&mut lone);
    assert_eq!(named(&stream), Some(5));
    idle(&mut lone, &stream, 0);
    assert_eq!(ends(&lone), [], "it goes on");
    assert_eq!(named(&lone.paced_poll()), None);
}
