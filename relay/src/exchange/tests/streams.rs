//! Streams, without a server: what each answer brings, what wakes none, and how it ends.

use super::{FIRST, open, poll, revision, step, with_snapshot};
use crate::exchange::{Exchanges, Parting, Step, StreamStep, Streaming};
use crate::fixtures::{
    bundle, bundle_steps, channel_id, delta, enrol_answer, evidence, heartbeat, report_ack,
    snapshot, stream,
};
use crate::limits::REPEAT_INTERVAL_MS;
use postern_protocol::Reject;
use postern_protocol::frame::{Hints, Poll, Stream, StreamIndex, UpFrame};
use postern_protocol::id::Plane;
use postern_protocol::revision::BundleNumber;
use postern_protocol::session::ClientSession;

const USUAL: (u16, u16, u16) = (15_000, 100, 0);

/// A stream and the device's end of it.
struct Ends {
    exchanges: Exchanges,
    session: ClientSession,
    streaming: Box<Streaming>,
    counter: u16,
    index: StreamIndex,
}

/// What an answer brought.
#[derive(Debug, Default, PartialEq, Eq)]
struct Came {
    items: Vec<Vec<u8>>,
    hints: Hints,
    age_ms: u64,
    bytes: usize,
    is_last: bool,
}

impl Ends {
    fn of(mut exchanges: Exchanges, terms: (u16, u16, u16), held: (u64, u64)) -> Self {
        let mut session = open(&mut exchanges, 1);
        let request = stream(&mut session, terms, revision(held.0, held.1));
        let Step::Stream(streaming) = step(&mut exchanges, &request.bytes, 0) else {
            panic!("no stream");
        };
        Self {
            exchanges,
            session,
            streaming,
            counter: request.counter,
            index: StreamIndex::new(terms.1),
        }
    }

    fn poll(&mut self, now_ms: u64) -> Result<Came, Option<u64>> {
        self.poll_parting(now_ms, None)
    }

    /// The next answer, or until when there is none; `None` at the end.
    fn poll_parting(
        &mut self,
        now_ms: u64,
        parting: Option<&Parting>,
    ) -> Result<Came, Option<u64>> {
        let polled = self
            .exchanges
            .poll_stream(&mut self.streaming, now_ms, parting)
            .unwrap();
        let (frame, is_last) = match polled {
            None => return Err(None),
            Some(StreamStep::Wait(until_ms)) => return Err(Some(until_ms)),
            Some(StreamStep::Answer { frame, is_last }) => (frame, is_last),
        };
        let answer = self
            .session
            .open_stream_answer(self.counter, &mut self.index, &frame)
            .unwrap();
        let items = answer.answer.items.iter();
        Ok(Came {
            items: items.map(|item| item.envelope.to_vec()).collect(),
            hints: answer.answer.hints,
            age_ms: answer.age_ms,
            bytes: frame.len(),
            is_last,
        })
    }

    fn append(&mut self, base: u64) {
        self.exchanges
            .mailboxes
            .post_delta(channel_id(), FIRST, &delta(1, base, base + 1))
            .unwrap();
    }
}

//= spec/postern.md#stream type=test
//# A mailbox MUST send the first answer of a stream at once, as to a poll that is not held.
#[test]
fn first_answer_comes_at_once_with_what_is_newer() {
    let mut ends = Ends::of(with_snapshot(), USUAL, (1, 1));
    let first = ends.poll(0).unwrap();
    assert_eq!((first.items, first.bytes), (vec![], 17));
    let mut behind = Ends::of(with_snapshot(), USUAL, (0, 0));
    assert_eq!(behind.poll(0).unwrap().items, [snapshot(1, 1)]);
    assert_eq!(behind.poll(0), Err(Some(15_000)), "once");
}

//= spec/postern.md#stream type=test
//# A mailbox MUST send another answer when it has anything newer than it sent, and at the latest
//# interval_ms after the one before.
//= spec/postern.md#stream type=test
//# A mailbox MUST number the answers of a stream from 0 without gaps.
#[test]
fn answers_come_with_news_and_at_the_interval() {
    let mut ends = Ends::of(with_snapshot(), USUAL, (1, 1));
    ends.poll(0).unwrap();
    assert_eq!(ends.poll(14_999), Err(Some(15_000)));
    assert_eq!(ends.poll(15_000).unwrap().items, Vec::<Vec<u8>>::new());
    ends.append(1);
    let news = ends.poll(16_000).unwrap();
    assert_eq!((news.items, news.age_ms), (vec![delta(1, 1, 2)], 16_000));
    assert_eq!(ends.poll(16_000), Err(Some(31_000)));
    ends.append(2);
    ends.append(3);
    let both = ends.poll(17_000).unwrap().items;
    assert_eq!(both, [delta(1, 2, 3), delta(1, 3, 4)]);
}

//= spec/postern.md#stream type=test
//# A mailbox MUST take what it sent on a stream as held by the device until that stream ends, and
//# no longer.
#[test]
fn what_was_sent_on_a_stream_is_sent_again_to_the_next_poll() {
    let mut ends = Ends::of(with_snapshot(), USUAL, (0, 0));
    ends.append(1);
    assert_eq!(ends.poll(0).unwrap().items.len(), 2);
    assert_eq!(ends.poll(1_000), Err(Some(15_000)));
    let request = stream(&mut ends.session, USUAL, revision(0, 0));
    let Step::Stream(again) = step(&mut ends.exchanges, &request.bytes, 2_000) else {
        panic!("no stream");
    };
    (ends.streaming, ends.counter) = (again, request.counter);
    ends.index = StreamIndex::new(100);
    assert_eq!(ends.poll(2_000).unwrap().items.len(), 2);
    let request = poll(&mut ends.session, 60, revision(1, 1));
    let Step::Answer(frame) = step(&mut ends.exchanges, &request.bytes, 3_000) else {
        panic!("not answered");
    };
    let answer = crate::fixtures::answer(&ends.session, request.counter, &frame);
    assert_eq!(answer.items.len(), 1);
}

#[test]
fn what_lies_in_a_slot_is_sent_once_until_another_takes_its_place() {
    let mut ends = Ends::of(with_snapshot(), USUAL, (1, 1));
    ends.poll(0).unwrap();
    let post = |ends: &mut Ends, what: u8| {
        let mailboxes = &mut ends.exchanges.mailboxes;
        let (channel, mark) = (channel_id(), u64::from(what));
        match what {
            1 | 2 => mailboxes.post_report_ack(channel, &report_ack(1, mark)),
            3 => mailboxes.post_evidence(channel, &evidence(1, 9)),
            _ => mailboxes.post_enrol_answer(channel, &enrol_answer(1)),
        }
        .unwrap();
    };
    for (what, wanted) in [
        (1, report_ack(1, 1)),
        (2, report_ack(1, 2)),
        (3, evidence(1, 9)),
        (4, enrol_answer(1)),
    ] {
        post(&mut ends, what);
        assert_eq!(ends.poll(1_000).unwrap().items, [wanted], "{what}");
        assert_eq!(ends.poll(2_000), Err(Some(16_000)), "{what}");
    }
}

#[test]
fn acknowledgement_that_was_held_before_is_no_news_and_one_of_another_epoch_is() {
    let mut exchanges = with_snapshot();
    let mailboxes = &mut exchanges.mailboxes;
    mailboxes
        .post_report_ack(channel_id(), &report_ack(1, 50))
        .unwrap();
    let mut ends = Ends::of(exchanges, USUAL, (1, 1));
    assert_eq!(ends.poll(0).unwrap().items, Vec::<Vec<u8>>::new());
    assert_eq!(ends.poll(1_000), Err(Some(15_000)));
    let mailboxes = &mut ends.exchanges.mailboxes;
    mailboxes
        .post_report_ack(channel_id(), &report_ack(2, 1))
        .unwrap();
    assert_eq!(ends.poll(1_000).unwrap().items, [report_ack(2, 1)]);
}

#[test]
fn bundles_and_heartbeats_come_on_a_stream_once() {
    let mut ends = Ends::of(with_snapshot(), USUAL, (1, 1));
    ends.poll(0).unwrap();
    let mailboxes = &mut ends.exchanges.mailboxes;
    mailboxes.show_bundles(&bundle_steps(&[bundle(1)])).unwrap();
    assert_eq!(ends.poll(1_000).unwrap().items, [bundle(1)]);
    let mailboxes = &mut ends.exchanges.mailboxes;
    mailboxes
        .post_heartbeat(channel_id(), &heartbeat(1), false, 1_000)
        .unwrap();
    assert_eq!(ends.poll(2_000), Err(Some(16_000)), "it waits for the next");
    assert_eq!(ends.poll(16_000).unwrap().items, [heartbeat(1)]);
    let mailboxes = &mut ends.exchanges.mailboxes;
    mailboxes
        .post_heartbeat(channel_id(), &heartbeat(2), true, 17_000)
        .unwrap();
    assert_eq!(ends.poll(17_000).unwrap().items, [heartbeat(2)]);
    assert_eq!(ends.poll(18_000), Err(Some(32_000)));
}

#[test]
fn answers_are_filled_up_and_larger_ones_are_left_alone() {
    for pad in [0_u16, 17, 18, 40, 280, 1_024, 4_096] {
        let mut ends = Ends::of(with_snapshot(), (15_000, 100, pad), (1, 1));
        let bytes = ends.poll(0).unwrap().bytes;
        let wanted = usize::from(pad).max(17);
        assert!((wanted..=wanted + 3).contains(&bytes), "{pad}: {bytes}");
    }
    let mut probe = Ends::of(with_snapshot(), (500, 4, 16_384), (1, 1));
    let bytes = probe.poll(0).unwrap().bytes;
    assert!((16_384..=16_387).contains(&bytes), "{bytes}");
}

//= spec/postern.md#stream type=test
//# A mailbox MUST end a stream after its last frame, and at the latest 900 s after it began.
#[test]
fn stream_ends_behind_its_last_answer_and_at_its_age() {
    let mut probe = Ends::of(with_snapshot(), (500, 3, 0), (1, 1));
    let lasts = [0, 500, 1_000].map(|now_ms| probe.poll(now_ms).unwrap().is_last);
    assert_eq!(lasts, [false, false, true]);
    probe.append(1);
    assert_eq!(probe.poll(1_500), Err(None));
    let mut old = Ends::of(with_snapshot(), USUAL, (1, 1));
    old.poll(0).unwrap();
    assert!(old.poll(899_999).is_ok());
    old.append(1);
    assert_eq!(old.poll(900_000), Err(None));
}

#[test]
fn stream_that_is_let_go_says_when_to_come_again_and_ends() {
    let mut ends = Ends::of(with_snapshot(), USUAL, (1, 1));
    ends.poll(0).unwrap();
    ends.exchanges
        .set_elsewhere(vec!["https://b.example".to_owned()]);
    let parting = Parting {
        retry_ms: Some(7_000),
        elsewhere: true,
    };
    let last = ends.poll_parting(1_000, Some(&parting)).unwrap();
    assert!(last.is_last);
    assert_eq!(last.hints.retry_ms, Some(7_000));
    assert_eq!(last.hints.move_url.as_deref(), Some("https://b.example"));
}

#[test]
fn stream_whose_session_ended_is_refused() {
    let mut ends = Ends::of(with_snapshot(), USUAL, (1, 1));
    ends.poll(0).unwrap();
    ends.exchanges.close_sessions(channel_id());
    ends.append(1);
    let refused = ends.exchanges.poll_stream(&mut ends.streaming, 1_000, None);
    assert_eq!(refused, Err(Reject::SessionUnknown));
}

#[test]
fn reader_that_opens_streams_again_and_again_for_the_same_news_is_slowed_down() {
    let mut ends = Ends::of(with_snapshot(), USUAL, (1, 9));
    let mut counts = vec![ends.poll(1_000).unwrap().items.len()];
    for _ in 0..3 {
        let request = stream(&mut ends.session, USUAL, revision(1, 9));
        let Step::Stream(again) = step(&mut ends.exchanges, &request.bytes, 1_000) else {
            panic!("no stream");
        };
        (ends.streaming, ends.counter) = (again, request.counter);
        ends.index = StreamIndex::new(100);
        counts.push(ends.poll(1_000).unwrap().items.len());
    }
    assert_eq!(counts, [1, 1, 1, 0]);
    let until_ms = 1_000 + REPEAT_INTERVAL_MS;
    assert_eq!(ends.poll(1_001), Err(Some(until_ms)));
    assert_eq!(ends.poll(until_ms).unwrap().items.len(), 1);
}

#[test]
fn device_whose_actual_head_differs_is_asked_for_a_snapshot_once() {
    let mut exchanges = with_snapshot();
    exchanges
        .mailboxes
        .set_actual_head(channel_id(), revision(3, 3));
    let mut ends = Ends::of(exchanges, USUAL, (1, 1));
    let heads = Poll {
        hold_s: 0,
        bundle: BundleNumber::new(0),
        acked: None,
        desired: revision(1, 1),
        actual: Some(revision(3, 2)),
        receipt: None,
    };
    let stream = UpFrame::Stream(Stream {
        interval_ms: 15_000,
        frames: 100,
        pad: 0,
        heads,
    });
    let request = ends.session.seal_request(&stream).unwrap();
    let Step::Stream(again) = step(&mut ends.exchanges, &request.bytes, 0) else {
        panic!("no stream");
    };
    (ends.streaming, ends.counter) = (again, request.counter);
    assert_eq!(ends.poll(0).unwrap().hints.need, [Plane::Actual]);
    assert_eq!(ends.poll(1_000), Err(Some(15_000)), "once");
    ends.exchanges.mailboxes.want_actual(channel_id());
    let asked = ends.poll(6_000).unwrap();
    assert_eq!(asked.hints.need, [Plane::Actual], "wanted anew");
}
