//! Streams over both versions of HTTP, and without a connection where time has to be virtual.

use super::client::{Client, ROUTE, refusal};
use super::holds::{FIRST, fill};
use super::{Running, start, start_with};
use crate::fixtures::{answer, ask, channel_id, delta, greet, poll, revision, stream};
use crate::limiter::Source;
use crate::server::ServerLimits;
use crate::server::answer::Answerer;
use crate::server::link::Link;
use crate::server::turns::Outgoing;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming};
use postern_protocol::Reject;
use postern_protocol::frame::{Deframed, Deframer, StreamAnswer, StreamIndex};
use postern_protocol::session::{self, ClientSession};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};

const USUAL: (u16, u16, u16) = (15_000, 100, 0);

/// The device's end of a stream.
struct Reader {
    source: Pieces,
    deframer: Deframer,
    ready: std::collections::VecDeque<Vec<u8>>,
    counter: u16,
    index: StreamIndex,
}

enum Pieces {
    Http(Incoming),
    Bare(Option<Bytes>, mpsc::Receiver<Bytes>),
}

impl Reader {
    fn new(source: Pieces, request: &session::Request, frames: u16) -> Self {
        Self {
            source,
            deframer: Deframer::new(),
            ready: std::collections::VecDeque::new(),
            counter: request.counter,
            index: StreamIndex::new(frames),
        }
    }

    async fn piece(&mut self) -> Option<Bytes> {
        match &mut self.source {
            Pieces::Http(body) => body.frame().await?.unwrap().into_data().ok(),
            Pieces::Bare(first, rest) => match first.take() {
                Some(first) => Some(first),
                None => rest.recv().await,
            },
        }
    }

    /// The next answer: its items, its hint to come again, and its age.
    async fn next(&mut self, session: &ClientSession) -> Option<(usize, Option<u64>, u64)> {
        while self.ready.is_empty() {
            let piece = self.piece().await?;
            for frame in self.deframer.push(&piece).unwrap() {
                let Deframed::Frame(frame) = frame else {
                    panic!("{frame:?}");
                };
                self.ready.push_back(frame);
            }
        }
        let frame = self.ready.pop_front()?;
        let StreamAnswer { age_ms, answer, .. } = session
            .open_stream_answer(self.counter, &mut self.index, &frame)
            .unwrap();
        Some((answer.items.len(), answer.hints.retry_ms, age_ms))
    }
}

async fn send(client: &mut Client, frame: Vec<u8>) -> Response<Incoming> {
    let request = Request::post(format!("https://localhost{ROUTE}"))
        .header("content-length", frame.len())
        .body(Full::new(Bytes::from(frame)))
        .unwrap();
    match client {
        Client::Http1(sender) => sender.send_request(request).await.unwrap(),
        Client::Http2(sender) => sender.send_request(request).await.unwrap(),
    }
}

async fn open_stream(
    client: &mut Client,
    session: &mut ClientSession,
    terms: (u16, u16, u16),
) -> Reader {
    let request = stream(session, terms, revision(1, 1));
    let response = send(client, request.bytes.clone()).await;
    assert_eq!(response.status(), 200);
    assert!(response.headers().get("content-length").is_none());
    Reader::new(Pieces::Http(response.into_body()), &request, terms.1)
}

/// A mailbox with something in it, and the beginning of a stream of it.
async fn begun(
    running: &Running,
    is_h2: bool,
    terms: (u16, u16, u16),
) -> (Client, ClientSession, Reader) {
    fill(&running.mailbox);
    let mut client = running.site.client(is_h2).await;
    let mut session = client.open(1).await;
    let reader = open_stream(&mut client, &mut session, terms).await;
    (client, session, reader)
}

fn append(running: &Running, base: u64) {
    let mailbox = &running.mailbox;
    mailbox
        .post_delta(channel_id(), FIRST, &delta(1, base, base + 1))
        .unwrap();
}

//= spec/postern.md#http-binding type=test
//# A server MUST answer a stream that it serves with status 200 and a body without Content-Length,
//# in which each answer is `length(4, big endian) ‖ frame`.
#[tokio::test]
async fn stream_brings_each_delta_when_it_is_posted() {
    for is_h2 in [false, true] {
        let running = start();
        let (_client, session, mut reader) = begun(&running, is_h2, USUAL).await;
        assert_eq!(reader.next(&session).await.unwrap().0, 0);
        for base in 1..4 {
            append(&running, base);
            assert_eq!(reader.next(&session).await.unwrap().0, 1, "{base}");
        }
        assert_eq!(running.mailbox.metrics().streams(), 1);
        assert_eq!(running.mailbox.metrics().holds(), 1);
    }
}

#[tokio::test]
async fn probe_is_answered_at_its_interval_and_its_connection_goes_on() {
    let running = start();
    let (mut client, mut session, mut reader) = begun(&running, false, (250, 4, 1_024)).await;
    let began = Instant::now();
    let mut ages = Vec::new();
    while let Some((_, _, age_ms)) = reader.next(&session).await {
        ages.push(age_ms / 250);
    }
    assert_eq!(ages, [0, 1, 2, 3]);
    assert!(began.elapsed() >= Duration::from_millis(700));
    let request = poll(&mut session, 0, revision(1, 1));
    let frame = client.exchange(request.bytes).await;
    assert_eq!(answer(&session, request.counter, &frame).items.len(), 0);
    assert_eq!(running.mailbox.metrics().streams(), 0);
}

//= spec/postern.md#stream type=test
//# A mailbox MUST end a stream when a newer poll or stream of its session comes.
#[tokio::test]
async fn a18_newer_stream_or_poll_ends_the_older_and_nothing_is_lost_or_doubled() {
    for is_poll in [false, true] {
        let running = start();
        let (mut client, mut session, mut older) = begun(&running, true, USUAL).await;
        older.next(&session).await.unwrap();
        append(&running, 1);
        assert_eq!(older.next(&session).await.unwrap().0, 1);
        if is_poll {
            let request = poll(&mut session, 0, revision(1, 2));
            let frame = client.exchange(request.bytes).await;
            assert!(answer(&session, request.counter, &frame).items.is_empty());
        } else {
            let request = stream(&mut session, USUAL, revision(1, 2));
            let body = send(&mut client, request.bytes.clone()).await.into_body();
            let mut newer = Reader::new(Pieces::Http(body), &request, USUAL.1);
            assert_eq!(newer.next(&session).await.unwrap().0, 0);
            append(&running, 2);
            assert_eq!(newer.next(&session).await.unwrap().0, 1);
        }
        assert_eq!(older.next(&session).await, None);
    }
}

#[tokio::test]
async fn stream_of_a_session_that_was_displaced_ends() {
    let running = start();
    let (mut client, session, mut reader) = begun(&running, true, USUAL).await;
    reader.next(&session).await.unwrap();
    let mut newer = client.open(2).await;
    let request = poll(&mut newer, 0, revision(1, 1));
    client.exchange(request.bytes).await;
    assert_eq!(reader.next(&session).await, None);
}

#[tokio::test]
async fn stream_of_a_server_that_leaves_is_told_when_to_come_again_and_ends() {
    for is_h2 in [false, true] {
        let running = start();
        let (_client, session, mut reader) = begun(&running, is_h2, USUAL).await;
        reader.next(&session).await.unwrap();
        let metrics = running.mailbox.clone();
        let stopping = tokio::spawn(running.server.shutdown(60_000));
        let (items, retry_ms, _) = reader.next(&session).await.unwrap();
        assert_eq!(items, 0);
        assert!(retry_ms.is_some());
        assert_eq!(reader.next(&session).await, None);
        stopping.await.unwrap();
        assert_eq!(metrics.metrics().streams(), 0);
    }
}

#[tokio::test]
async fn stream_that_is_let_go_alone_ends() {
    let running = start();
    let (_client, session, mut reader) = begun(&running, true, USUAL).await;
    reader.next(&session).await.unwrap();
    running.mailbox.set_leaving(Some(60_000), &[]);
    while running.mailbox.release(1) == 0 {
        tokio::task::yield_now().await;
    }
    let (_, retry_ms, _) = reader.next(&session).await.unwrap();
    assert!(retry_ms.unwrap() >= 60_000);
    assert_eq!(reader.next(&session).await, None);
}

#[tokio::test]
async fn stream_without_a_place_is_told_to_come_later_and_ends() {
    let limits = ServerLimits {
        holds_max: 0,
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    let (_client, session, mut reader) = begun(&running, true, USUAL).await;
    let (_, retry_ms, _) = reader.next(&session).await.unwrap();
    assert!(retry_ms.is_some());
    assert_eq!(reader.next(&session).await, None);
}

#[tokio::test]
async fn reader_that_hangs_up_gives_its_place_back() {
    let running = start();
    let (client, _session, reader) = begun(&running, true, USUAL).await;
    drop((reader, client));
    while running.mailbox.metrics().streams() + running.mailbox.metrics().holds() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn stream_that_is_no_honest_one_is_refused_with_one_frame() {
    let running = start();
    fill(&running.mailbox);
    let mut client = running.site.h1().await;
    let mut session = client.open(1).await;
    let mut forged = stream(&mut session, USUAL, revision(1, 1)).bytes;
    forged[9] ^= 1;
    let frame = client.exchange(forged).await;
    assert_eq!(refusal(&frame), Reject::SessionMac.code());
    let mut unknown = stream(&mut session, USUAL, revision(1, 1)).bytes;
    unknown[1] ^= 1;
    let frame = client.exchange(unknown).await;
    assert_eq!(refusal(&frame), Reject::SessionUnknown.code());
    let honest = stream(&mut session, (250, 1, 0), revision(1, 1));
    let mut body = send(&mut client, honest.bytes.clone()).await.into_body();
    while body.frame().await.is_some() {}
    let frame = client.exchange(honest.bytes).await;
    assert_eq!(refusal(&frame), Reject::SessionReplay.code());
    assert_eq!(running.mailbox.metrics().streams(), 0);
}

/// What serves connections, and one that is none.
fn bare(running: &Running) -> (Answerer, Arc<Link>) {
    let shared = &running.server.shared;
    let source = Source::of("127.0.0.1".parse().unwrap());
    let counted = shared.counts.take(source).unwrap();
    (
        shared.service.answerer.clone(),
        Arc::new(Link::new(counted)),
    )
}

async fn exchange(ends: &(Answerer, Arc<Link>), frame: Vec<u8>) -> Outgoing {
    ends.0.answer(&ends.1, frame).await.unwrap()
}

async fn open_bare(ends: &(Answerer, Arc<Link>)) -> ClientSession {
    let challenge = exchange(ends, ask()).await.frame;
    let (greeting, hello) = greet(&challenge, 1);
    let welcome = exchange(ends, hello).await.frame;
    greeting.handle_welcome(&welcome, 0).unwrap()
}

//= spec/postern.md#stream type=test
//# A mailbox MUST end a stream whose reader does not take an answer within 20 s.
#[tokio::test(start_paused = true)]
async fn stream_whose_reader_takes_nothing_holds_one_answer_and_ends() {
    let running = start();
    fill(&running.mailbox);
    running.durable.add_permits(100);
    let ends = bare(&running);
    let mut session = open_bare(&ends).await;
    let request = stream(&mut session, (5_000, 100, 0), revision(1, 1));
    let mut rest = exchange(&ends, request.bytes).await.rest.unwrap().0;
    let began = Instant::now();
    while running.mailbox.metrics().streams() > 0 {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    // Nobody took the first of the rest: the second waited 20 s for its place.
    let age = began.elapsed().as_millis();
    assert!((29_900..31_000).contains(&age), "{age}");
    assert!(rest.recv().await.is_some());
    assert!(rest.recv().await.is_none());
    assert_eq!(running.mailbox.metrics().holds(), 0);
}

#[tokio::test(start_paused = true)]
async fn idle_stream_sends_one_answer_an_interval_and_asks_the_host_seldom() {
    let mut running = start();
    fill(&running.mailbox);
    running.durable.add_permits(100);
    let ends = bare(&running);
    let mut session = open_bare(&ends).await;
    let request = stream(&mut session, USUAL, revision(1, 1));
    let mut outgoing = exchange(&ends, request.bytes.clone()).await;
    let rest = outgoing.rest.take().unwrap().0;
    let first = Some(Bytes::from(outgoing.frame));
    let mut reader = Reader::new(Pieces::Bare(first, rest), &request, USUAL.1);
    let began = Instant::now();
    let mut count = 0;
    while reader.next(&session).await.is_some() {
        count += 1;
    }
    // At 900 s it is over: 60 intervals, and nothing is sent at the last.
    assert_eq!(count, 60);
    assert_eq!(began.elapsed().as_secs(), 900);
    let mut asked = 0;
    while running.seen.try_recv().is_ok() {
        asked += 1;
    }
    assert!((1..=60).contains(&asked), "{asked}");
}
