//! Streams over real TLS on loopback: what is read, what is not, and what each end teaches. Long silence is virtual.

use super::mailbox::{Behaviour, Site, Step};
use super::{OURS, Scene, challenge_of, scene, scene_in};
use crate::routes::{Pushed, StreamPiece, StreamStop, Streamer, Whereabouts, flow_end};
use postern_egress::canary::{Arrival, Reading, Verdict};
use postern_egress::hold::Next;
use postern_egress::push::limits::{CANARY_GAP, STREAM_FRAMES};
use postern_egress::push::{Flow, FlowEnd, PushMode};
use postern_protocol::frame::prefixed;
use postern_protocol::reject::Reject;
use std::time::Duration;
use tokio::time::Instant;

const FLOW: Flow = Flow {
    interval: Duration::from_secs(15),
    frames: STREAM_FRAMES,
    pad: 0,
    silence: Duration::from_secs(40),
    renewal: Some(Duration::from_secs(600)),
};

/// Scaled time, where the far end sets the pace.
const MOMENT: Duration = Duration::from_millis(100);

fn frame(mark: u8) -> Vec<u8> {
    prefixed(&[15, mark]).unwrap()
}

/// A device that uses the one way to a mailbox, which answers the next request like this.
async fn stage(steps: Vec<Step>) -> (Scene, Site) {
    let site = Site::open(Behaviour::Answer(challenge_of(OURS))).await;
    let mut stage = scene(&[&site], None);
    stage.routes.set_push(PushMode::Stream);
    stage.winner().await;
    site.behave(Behaviour::Body(steps));
    (stage, site)
}

/// All that comes, and how it ends; in virtual time once so many answers came.
async fn read(streamer: &Streamer, real: usize) -> (Vec<StreamPiece>, StreamStop) {
    let mut pieces = Vec::new();
    let mut reader = match streamer.open(b"a stream".to_vec()).await {
        Ok(reader) => reader,
        Err(stop) => return (pieces, stop),
    };
    loop {
        if pieces.len() == real {
            tokio::time::pause();
        }
        match reader.next().await {
            Ok(piece) => pieces.push(piece),
            Err(stop) => return (pieces, stop),
        }
    }
}

async fn read_of(steps: Vec<Step>) -> (Vec<Vec<u8>>, StreamStop, Duration) {
    read_as(FLOW, steps, usize::MAX).await
}

async fn read_as(
    flow: Flow,
    steps: Vec<Step>,
    real: usize,
) -> (Vec<Vec<u8>>, StreamStop, Duration) {
    let (stage, _site) = stage(steps).await;
    let began = Instant::now();
    let streamer = stage.routes.streamer(b"a stream", flow).unwrap();
    let (pieces, stop) = read(&streamer, real).await;
    let frames = pieces.into_iter().map(|piece| piece.frame);
    (frames.collect(), stop, began.elapsed())
}

fn failed(stop: StreamStop) -> FlowEnd {
    let StreamStop::Failed(error) = stop else {
        panic!("{stop:?}");
    };
    flow_end(&error)
}

#[tokio::test]
async fn stream_is_read_answer_by_answer_to_its_end() {
    let halves = frame(2);
    let (first, second) = halves.split_at(3);
    let steps = vec![
        Step::Piece(frame(1)),
        Step::Wait(MOMENT),
        Step::Piece(first.to_vec()),
        Step::Piece(second.to_vec()),
        Step::Wait(MOMENT),
        Step::Piece([frame(3), frame(4)].concat()),
        Step::End,
    ];
    let (frames, stop, _) = read_of(steps).await;
    assert_eq!(frames, [[15, 1], [15, 2], [15, 3], [15, 4]]);
    assert!(matches!(stop, StreamStop::Ended), "{stop:?}");
}

#[tokio::test]
async fn silence_of_a_stream_is_noticed_within_40_s() {
    let steps = vec![Step::Piece(frame(1)), Step::Silence];
    let (frames, stop, took) = read_as(FLOW, steps, 1).await;
    assert_eq!((frames.len(), failed(stop)), (1, FlowEnd::Silent));
    assert!((39..=41).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn trickle_that_never_makes_an_answer_is_silence() {
    let begun = vec![0, 0, 0xc0, 0];
    let steps = vec![Step::Piece(frame(1)), Step::Piece(begun), Step::Drip];
    let flow = Flow {
        silence: MOMENT * 5,
        ..FLOW
    };
    let (frames, stop, took) = read_as(flow, steps, usize::MAX).await;
    assert_eq!((frames.len(), failed(stop)), (1, FlowEnd::Silent));
    assert!(took >= MOMENT * 5, "{took:?}");
}

#[tokio::test]
async fn length_beyond_a_frame_ends_the_stream_at_once() {
    for lie in [[0, 0, 0, 0], [0, 0, 0xc0, 1], [0, 0xff, 0xff, 0xff]] {
        let steps = vec![Step::Piece(frame(1)), Step::Piece(lie.to_vec()), Step::Drip];
        let (frames, stop, took) = read_of(steps).await;
        assert_eq!(frames.len(), 1);
        let is_oversize = matches!(stop, StreamStop::Refused(Reject::Oversize));
        assert!(is_oversize, "{lie:?} {stop:?}");
        assert!(took < FLOW.silence / 2, "{took:?}");
    }
}

#[tokio::test]
async fn page_instead_of_a_stream_is_handed_over_whole() {
    let page = b"<html>Please log in</html>".to_vec();
    let (frames, stop, _) = read_of(vec![Step::Piece(page.clone()), Step::End]).await;
    assert_eq!(frames, [page], "{stop:?}");
    assert!(matches!(stop, StreamStop::Ended), "{stop:?}");
}

#[tokio::test]
async fn page_without_an_end_is_refused() {
    let page = vec![b'x'; 60_000];
    let (frames, stop, _) = read_of(vec![Step::Piece(page), Step::Drip]).await;
    assert!(frames.is_empty());
    assert!(matches!(stop, StreamStop::Refused(_)), "{stop:?}");
}

#[tokio::test]
async fn a15_connection_that_is_cut_tells_its_age() {
    let steps = vec![Step::Piece(frame(1)), Step::Wait(MOMENT), Step::Cut];
    let (frames, stop, _) = read_of(steps).await;
    assert_eq!(frames.len(), 1);
    let FlowEnd::Cut { age } = failed(stop) else {
        panic!("no cut");
    };
    assert!((MOMENT..MOMENT * 100).contains(&age), "{age:?}");
}

#[tokio::test]
async fn body_that_ends_within_an_answer_is_refused() {
    let mut half = frame(2);
    half.pop();
    let steps = vec![Step::Piece(frame(1)), Step::Piece(half), Step::End];
    let (frames, stop, _) = read_of(steps).await;
    assert_eq!(frames.len(), 1);
    assert!(
        matches!(stop, StreamStop::Refused(Reject::Shape)),
        "{stop:?}"
    );
}

#[tokio::test]
async fn way_that_refuses_with_a_status_is_told_as_such() {
    let (stage, site) = stage(Vec::new()).await;
    site.behave(Behaviour::Status(403));
    let streamer = stage.routes.streamer(b"a stream", FLOW).unwrap();
    let (pieces, stop) = read(&streamer, usize::MAX).await;
    assert!(pieces.is_empty());
    assert_eq!(failed(stop), FlowEnd::Other);
}

/// What the canary of a way shows that answers like this.
async fn sing(steps: Vec<Step>) -> (Scene, Site, Option<Reading>) {
    let (mut stage, site) = stage(steps).await;
    let Some(Pushed::Stream(flow)) = stage.routes.next_push() else {
        panic!("no canary");
    };
    assert!(flow.is_canary());
    let streamer = stage.routes.streamer(b"a canary", flow).unwrap();
    let (pieces, _) = read(&streamer, usize::MAX).await;
    let made = (0..).map(|count| CANARY_GAP * count);
    let arrivals = pieces.iter().zip(made);
    let arrivals: Vec<_> = arrivals
        .map(|(piece, made)| Arrival {
            made,
            came: piece.came,
        })
        .collect();
    let reading = stage.routes.end_canary(streamer.sent.way, Ok(&arrivals));
    (stage, site, reading)
}

#[tokio::test]
async fn a14_front_that_holds_the_answer_back_to_its_end_gets_held_polls() {
    let (mut stage, _site, reading) = sing(holding_back()).await;
    assert_eq!(reading, Some(Reading::Buffered));
    let next = stage.routes.next_push();
    assert!(
        matches!(next, Some(Pushed::Poll(Next::Hold(_)))),
        "{next:?}"
    );
}

#[tokio::test]
async fn way_that_lets_answers_through_is_believed_after_two_canaries() {
    let steps: Vec<_> = (0..4)
        .flat_map(|mark| [Step::Piece(frame(mark)), Step::Wait(CANARY_GAP)])
        .chain([Step::End])
        .collect();
    let (mut stage, _site, reading) = sing(steps).await;
    assert_eq!(reading, Some(Reading::Streaming));
    let Some(Pushed::Stream(again)) = stage.routes.next_push() else {
        panic!("no second canary");
    };
    assert!(again.is_canary());
    let way = stage.routes.streamer(b"a canary", again).unwrap().sent.way;
    let arrivals = [0, 1, 2, 3].map(|count| Arrival {
        made: CANARY_GAP * count,
        came: CANARY_GAP * count,
    });
    stage.routes.end_canary(way, Ok(&arrivals));
    let Some(Pushed::Stream(stream)) = stage.routes.next_push() else {
        panic!("no stream");
    };
    assert!(!stream.is_canary());
}

/// A front that holds the answer back to its end.
fn holding_back() -> Vec<Step> {
    let whole = (0..4).flat_map(frame).collect();
    vec![Step::Wait(CANARY_GAP * 3), Step::Piece(whole), Step::End]
}

/// The next process in the same folder, before its first exchange.
fn restarted(stage: Scene, site: &Site) -> Scene {
    let Scene { folder, routes } = stage;
    drop(routes);
    let mut next = scene_in(folder, Duration::from_secs(5), &[site], None);
    next.routes.set_push(PushMode::Stream);
    next
}

#[tokio::test]
async fn a14_front_that_holds_back_is_known_to_the_next_process_which_asks_no_canary() {
    let (stage, site, reading) = sing(holding_back()).await;
    assert_eq!(reading, Some(Reading::Buffered));
    let believed = stage.routes.canaries();
    let mut next = restarted(stage, &site);
    let known = next.routes.canaries();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].0, believed[0].0);
    assert_eq!(known[0].1.verdict, Verdict::Buffers);
    // It is not younger than it was, but for the two clocks.
    assert!(known[0].1.left <= believed[0].1.left + Duration::from_secs(1));
    site.behave(Behaviour::Answer(challenge_of(OURS)));
    next.winner().await;
    let pushed = next.routes.next_push();
    assert!(matches!(pushed, Some(Pushed::Poll(_))), "{pushed:?}");
    assert_eq!(next.routes.facts().push.to_json()["canary"], "buffered");
}

#[tokio::test]
async fn record_that_is_damaged_or_another_networks_asks_the_canary_anew() {
    let damage = |folder: &std::path::Path| {
        let file = folder.join("networks.record");
        let mut record = std::fs::read(&file).unwrap();
        record[40] ^= 1;
        std::fs::write(&file, record).unwrap();
    };
    let (mut stage, site, _) = sing(holding_back()).await;
    let word = "another proxy".to_owned();
    stage.routes.whereabouts = Whereabouts::open(stage.folder.path(), word);
    stage.routes.set_push(PushMode::Stream);
    assert_eq!(stage.routes.canaries(), []);
    damage(stage.folder.path());
    let mut next = restarted(stage, &site);
    assert_eq!(next.routes.canaries(), []);
    assert_eq!(next.routes.facts().records_damaged, 1);
    site.behave(Behaviour::Answer(challenge_of(OURS)));
    next.winner().await;
    let Some(Pushed::Stream(flow)) = next.routes.next_push() else {
        panic!("no canary");
    };
    assert!(flow.is_canary());
}
