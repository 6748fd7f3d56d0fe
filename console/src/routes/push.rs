//! How the way in use brings news: which poll or stream is next, who reads a stream, and what its end teaches.
//!
//! ```text
//!   next_push --> Poll | PollNow | Stream --Streamer--> Streamed, Streamed, ... --> StreamOver
//! ```
//!
//! Thin over the pure choice of egress: reads the clock and draws the dice for it. Refuses streams over QUIC, which
//! has whole exchanges only.

use super::{EXCHANGE_DEADLINE, Routes, Sent, moment, random};
use postern_egress::canary::{Arrival, Believed, Reading, judge};
use postern_egress::hold::{HoldEnd, Next};
use postern_egress::ladder::{WayId, WayKey};
use postern_egress::push::{Flow, FlowEnd, NextPush, Push, PushMode};
use postern_egress::{Client, ExchangeLimits, LinkReport, OpenBody, Route, TransportError};
use postern_protocol::frame::{Deframed, Deframer};
use postern_protocol::limits::FRAME_BYTES_MAX;
use postern_protocol::reject::Reject;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What to ask for next on the way in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// What the hold ladder says.
    Poll(Next),
    /// A poll that is not held, at once.
    PollNow,
    /// A stream or a canary.
    Stream(Flow),
}

/// One answer of a stream, as it came.
#[derive(Debug)]
pub struct StreamPiece {
    /// The frame.
    pub frame: Vec<u8>,
    /// Time since the request.
    pub came: Duration,
    /// The connection that carries it.
    pub link: Arc<LinkReport>,
}

/// Why a stream is not read any more.
#[derive(Debug)]
pub enum StreamStop {
    /// The body came to its end in order.
    Ended,
    /// What came is no stream.
    Refused(Reject),
    /// The way failed.
    Failed(TransportError),
}

/// Reads one stream on one way.
pub struct Streamer {
    client: Arc<Client>,
    flow: Flow,
    /// What is sent, and where.
    pub sent: Sent,
}

/// The answers of one stream, as they come.
#[derive(Debug)]
pub struct StreamReader<'s> {
    body: OpenBody<'s>,
    deframer: Deframer,
    ready: VecDeque<Vec<u8>>,
    silence: Duration,
    until: Instant,
    is_over: bool,
}

/// What is told of streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushFacts {
    /// True while a stream brings news.
    pub is_streaming: bool,
    /// What the canaries of the way in use showed; `None` while it was not asked.
    pub canary: Option<Believed>,
    /// Streams that brought an answer, canaries left out.
    pub streams: u64,
    /// Their answers.
    pub answers: u64,
    /// How they ended, by kind.
    pub ends: BTreeMap<&'static str, u64>,
}

/// What is counted of streams, and which way has one.
#[derive(Debug, Default)]
pub(super) struct PushCounts {
    flowing: Option<WayId>,
    streams: u64,
    answers: u64,
    ends: BTreeMap<&'static str, u64>,
}

impl Routes {
    /// Takes what the operator wants; held polls until then.
    pub fn set_push(&mut self, mode: PushMode) {
        self.push_mode = mode;
        for way in &mut self.ways {
            way.push = Push::new(mode);
            let known = self.whereabouts.limits(way.key);
            way.resume_streams(known.and_then(|known| known.canary));
        }
    }

    /// Returns what to ask for next on the way in use; nothing before there is one.
    pub fn next_push(&mut self) -> Option<Pushed> {
        let current = self.ladder.current()?.id;
        let way = self.way_mut(current)?;
        let (now, random) = (moment(), random());
        let next = match way.client.route() {
            Route::Quic => NextPush::Held,
            Route::Direct | Route::Proxy(_) => {
                way.push.poll_next(now, random, way.ladder.cap_at(now))
            }
        };
        Some(match next {
            NextPush::Held => Pushed::Poll(way.ladder.poll_next(now, random)),
            NextPush::PollNow => Pushed::PollNow,
            NextPush::Stream(flow) => Pushed::Stream(flow),
        })
    }

    /// Prepares a stream on the way in use.
    #[must_use]
    pub fn streamer(&self, frame: &[u8], flow: Flow) -> Option<Streamer> {
        let carrier = self.carrier(frame, Some(flow.silence))?;
        Some(Streamer {
            client: carrier.client,
            flow,
            sent: carrier.sent,
        })
    }

    /// True for the way in use.
    #[must_use]
    pub fn is_in_use(&self, way: WayId) -> bool {
        self.ladder
            .current()
            .is_some_and(|current| current.id == way)
    }

    /// Records the first answer of a stream, which brings the news from now on.
    pub fn note_streaming(&mut self, way: WayId) {
        self.push.flowing = Some(way);
        self.push.streams += 1;
    }

    /// Records one answer of a stream.
    pub const fn note_streamed(&mut self) {
        self.push.answers += 1;
    }

    /// Records that no stream brings news any more.
    pub const fn note_no_stream(&mut self) {
        self.push.flowing = None;
    }

    /// Takes the end of a stream.
    pub fn end_stream(&mut self, way: WayId, end: FlowEnd) {
        *self.push.ends.entry(word_of(end)).or_default() += 1;
        if let Some(way) = self.way_mut(way) {
            way.push.handle_end(moment(), random(), end);
            let limits = way.limits();
            self.whereabouts.note_limits(limits);
        }
    }

    /// Takes what a canary showed, and whether it came to its end.
    pub fn end_canary(&mut self, way: WayId, end: Result<&[Arrival], FlowEnd>) -> Option<Reading> {
        let way = self.way_mut(way)?;
        let reading = end.map(judge);
        match reading {
            Ok(reading) => way.push.handle_canary(moment(), reading),
            Err(end) => way.push.handle_canary_failed(moment(), end),
        }
        let limits = way.limits();
        self.whereabouts.note_limits(limits);
        reading.ok()
    }

    /// What the canaries of each way showed, where one was asked and that is believed yet.
    #[must_use]
    pub fn canaries(&self) -> Vec<(WayKey, Believed)> {
        let ways = self.ways.iter();
        let known = ways.filter_map(|way| Some((way.key, way.push.believed(moment())?)));
        known.collect()
    }

    /// Tells of streams.
    pub(super) fn push_facts(&self) -> PushFacts {
        let used = self.used();
        PushFacts {
            is_streaming: self.push.flowing.is_some(),
            canary: used.and_then(|way| way.push.believed(moment())),
            streams: self.push.streams,
            answers: self.push.answers,
            ends: self.push.ends.clone(),
        }
    }
}

impl PushFacts {
    /// Returns what `status` shows.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "by": if self.is_streaming { "stream" } else { "held" },
            "canary": self.canary.map(|canary| canary.verdict.as_str()),
            "canary_age_s": self.canary.map(|canary| canary.age().as_secs()),
            "streams": self.streams,
            "answers": self.answers,
            "ends": self.ends,
        })
    }
}

impl Streamer {
    /// Sends a frame and waits until its answer begins.
    ///
    /// # Errors
    /// [`StreamStop`]: it did not.
    pub async fn open(&self, frame: Vec<u8>) -> Result<StreamReader<'_>, StreamStop> {
        let limits = ExchangeLimits {
            deadline: EXCHANGE_DEADLINE,
            answer_bytes_max: FRAME_BYTES_MAX,
        };
        // Whatever counts the age of a connection counts that of the stream then, and a renewal begins anew.
        let is_new = !self.flow.is_canary();
        let opened = self.client.open(frame.into(), limits, is_new).await;
        let body = opened
            .map_err(StreamStop::Failed)?
            .ok_or(StreamStop::Refused(Reject::FrameUnknown))?;
        Ok(StreamReader {
            body,
            deframer: Deframer::new(),
            ready: VecDeque::new(),
            silence: self.flow.silence,
            until: Instant::now() + self.flow.silence,
            is_over: false,
        })
    }
}

impl StreamReader<'_> {
    /// Waits for the next answer.
    ///
    /// # Errors
    /// [`StreamStop`]: there is none, or none came for too long.
    pub async fn next(&mut self) -> Result<StreamPiece, StreamStop> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(StreamPiece {
                    frame,
                    came: self.body.age(),
                    link: Arc::clone(self.body.link()),
                });
            }
            if self.is_over {
                return Err(StreamStop::Ended);
            }
            let piece = self.body.piece(self.until).await;
            match piece.map_err(StreamStop::Failed)? {
                Some(piece) => {
                    let whole = self.deframer.push(&piece).map_err(StreamStop::Refused)?;
                    if !whole.is_empty() {
                        // Only whole answers are signs of life: a trickle is none.
                        self.until = Instant::now() + self.silence;
                    }
                    self.ready.extend(whole.into_iter().map(bytes_of));
                }
                None => {
                    self.is_over = true;
                    let deframer = std::mem::take(&mut self.deframer);
                    let last = deframer.finish().map_err(StreamStop::Refused)?;
                    self.ready.extend(last.map(bytes_of));
                }
            }
        }
    }
}

fn bytes_of(one: Deframed) -> Vec<u8> {
    let (Deframed::Frame(frame) | Deframed::Whole(frame)) = one;
    frame
}

/// How a failure on the way ends a stream.
#[must_use]
pub fn flow_end(error: &TransportError) -> FlowEnd {
    match error.hold_end() {
        HoldEnd::Cut { age } => FlowEnd::Cut { age },
        HoldEnd::Silent => FlowEnd::Silent,
        HoldEnd::Other | HoldEnd::Carried | HoldEnd::Answered { .. } => FlowEnd::Other,
    }
}

const fn word_of(end: FlowEnd) -> &'static str {
    match end {
        FlowEnd::Renewed { .. } => "renewed",
        FlowEnd::Ended => "ended",
        FlowEnd::Cut { .. } => "cut",
        FlowEnd::Silent => "silent",
        FlowEnd::Refused => "refused",
        FlowEnd::Unknown => "unknown",
        FlowEnd::Other => "failed",
    }
}
