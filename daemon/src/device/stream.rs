//! The device's streams: who reads them, which one brings the news, and when the next is opened.
//!
//! ```text
//!   grant --> opening --first answer verified--> flowing --renewal due--> the next one opens
//!                                                   '--(its first answer)--> this one ends
//! ```
//!
//! A canary is a stream that ends by itself; its answers are used like any others. Refuses to leave a stream before
//! the next one, or a poll, was answered.

use super::run::{Driver, Grant, Happening};
use crate::clock;
use crate::exit::CommandError;
use crate::routes::{
    Change, NO_WAY_PAUSE, Ruling, Sent, StreamPiece, StreamStop, Streamer, WayId, flow_end,
};
use postern_egress::canary::Arrival;
use postern_egress::hold::HoldEnd;
use postern_egress::push::limits::STREAM_INTERVAL_MIN;
use postern_egress::push::{Flow, FlowEnd};
use postern_protocol::device::{Exchange, ExchangeId, Input, StreamAsk, StreamEnd};
use postern_protocol::frame::frame_type;
use postern_protocol::reject::Reject;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// One stream that is read.
#[derive(Debug)]
struct Open {
    way: WayId,
    flow: Flow,
    began_ms: u64,
    /// True once an answer of it verified.
    is_flowing: bool,
    /// When the answers of a canary were made and came.
    arrivals: Vec<Arrival>,
    reader: AbortHandle,
}

impl Open {
    fn age(&self) -> Duration {
        Duration::from_millis(clock::mono_ms().saturating_sub(self.began_ms))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The streams that are read: the one that brings the news, and perhaps the next.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: BTreeMap<ExchangeId, Open>,
    /// The answer that is being looked at: when it came.
    came: Duration,
}

impl Streams {
    /// The clock's milliseconds at which the next stream is to be opened.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let flowing = self.open.values().filter(|one| one.is_flowing);
        let dues = flowing.filter_map(|one| {
            let renewal = u64::try_from(one.flow.renewal?.as_millis()).unwrap_or(u64::MAX);
            Some(one.began_ms.saturating_add(renewal))
        });
        dues.min()
    }

    /// True while one waits for its first answer.
    fn is_opening(&self) -> bool {
        self.open.values().any(|one| !one.is_flowing)
    }

    /// Reads none of them any more.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}

impl Driver {
    /// True while a stream brings the news and needs no next one yet.
    pub(super) fn is_streaming(&self) -> bool {
        let now_ms = clock::mono_ms();
        let is_due = self.streams.due_ms().is_some_and(|due_ms| due_ms <= now_ms);
        let mut flowing = self.streams.open.values().filter(|one| one.is_flowing);
        !is_due && flowing.any(|one| one.flow.is_canary() || self.routes.is_in_use(one.way))
    }

    /// Lets the next stream begin.
    pub(super) fn grant_stream(&mut self, flow: Flow) -> Result<(), CommandError> {
        self.grant = Some(Grant {
            hold: None,
            flow: Some(flow),
            exchange: None,
        });
        let narrow = |ms: u128| u16::try_from(ms).unwrap_or(u16::MAX);
        self.feed(Input::Stream(StreamAsk {
            interval_ms: narrow(flow.interval.as_millis()),
            frames: flow.frames,
            pad: flow.pad,
        }))
    }

    /// Sends a stream, and has its answers read beside the loop.
    pub(super) fn carry_stream(&mut self, exchange: Exchange) {
        let id = exchange.id;
        let flow = self.grant.and_then(|grant| grant.flow);
        let streamer = flow.and_then(|flow| self.routes.streamer(&exchange.frame, flow));
        let (Some(flow), Some(streamer)) = (flow, streamer) else {
            return self.later(NO_WAY_PAUSE, Happening::FailureDue(id));
        };
        if let Some(grant) = &mut self.grant {
            grant.exchange = Some(id);
        }
        let sent = streamer.sent;
        let sender = self.sender.clone();
        let reader = crate::tasks::spawn(async move {
            let stop = read(&streamer, exchange, &sender).await;
            let _closed = sender.send(Happening::StreamOver { id, sent, stop }).await;
        });
        let open = Open {
            way: sent.way,
            flow,
            began_ms: clock::mono_ms(),
            is_flowing: false,
            arrivals: Vec::new(),
            reader: reader.abort_handle(),
        };
        self.streams.open.insert(id, open);
    }

    /// Takes one answer of a stream.
    pub(super) fn handle_streamed(
        &mut self,
        id: ExchangeId,
        sent: Sent,
        piece: &StreamPiece,
    ) -> Result<(), CommandError> {
        if !self.streams.open.contains_key(&id) {
            return Ok(());
        }
        if frame_type(&piece.frame).is_err() {
            self.note_no_mailbox(piece.frame.len());
            let ruling = self.routes.handle_no_mailbox(sent);
            return self.end_badly(id, FlowEnd::Other, ruling);
        }
        self.answered = None;
        self.streams.came = piece.came;
        self.feed(Input::Answer {
            exchange: id,
            frame: &piece.frame,
        })?;
        if self
            .answered
            .take()
            .is_some_and(|(answered, _)| answered == id)
        {
            self.backoff.reset();
            self.routes
                .note_answer(sent, piece.frame.len(), &piece.link);
        }
        Ok(())
    }

    /// The engine took an answer of a stream.
    pub(super) fn note_streamed(&mut self, id: ExchangeId, age_ms: u64) {
        let came = self.streams.came;
        let Some(open) = self.streams.open.get_mut(&id) else {
            return;
        };
        if open.flow.is_canary() {
            let made = Duration::from_millis(age_ms);
            open.arrivals.push(Arrival { made, came });
        } else {
            if !open.is_flowing {
                self.routes.note_streaming(open.way);
            }
            self.routes.note_streamed();
        }
        if !open.is_flowing {
            open.is_flowing = true;
            self.grant.take_if(|grant| grant.exchange == Some(id));
        }
    }

    /// The engine takes nothing more of a stream.
    pub(super) fn note_stream_ended(&mut self, id: ExchangeId, why: StreamEnd) {
        self.grant.take_if(|grant| grant.exchange == Some(id));
        let Some(open) = self.streams.open.remove(&id) else {
            return;
        };
        let age = open.age();
        let end = match why {
            StreamEnd::Replaced => FlowEnd::Renewed { age },
            StreamEnd::Complete | StreamEnd::PollDue => FlowEnd::Ended,
            StreamEnd::Unknown => FlowEnd::Unknown,
            StreamEnd::Refused(_) => FlowEnd::Refused,
        };
        self.conclude(&open, end);
    }

    /// Learns from the end of a stream.
    fn conclude(&mut self, open: &Open, end: FlowEnd) {
        let is_whole = open.arrivals.len() >= usize::from(open.flow.frames);
        if open.flow.is_canary() {
            let end = if is_whole {
                Ok(&*open.arrivals)
            } else {
                Err(end)
            };
            let reading = self.routes.end_canary(open.way, end);
            let transport = self.routes.name_of(open.way);
            tracing::info!(transport, pad = open.flow.pad, ?reading, "a canary ended");
        } else {
            let transport = self.routes.name_of(open.way);
            let elapsed_ms = open.age().as_millis();
            tracing::debug!(transport, ?end, elapsed_ms, "a stream ended");
            self.routes.end_stream(open.way, end);
        }
        let mut others = self.streams.open.values();
        if !others.any(|one| one.is_flowing && !one.flow.is_canary()) {
            self.routes.note_no_stream();
        }
    }

    /// A stream is not read any more.
    pub(super) fn handle_stream_over(
        &mut self,
        id: ExchangeId,
        sent: Sent,
        stop: StreamStop,
    ) -> Result<(), CommandError> {
        let Some(open) = self.streams.open.get(&id) else {
            return Ok(());
        };
        match stop {
            // The mailbox ends it when the next one is asked for, which may be heard before that is answered.
            StreamStop::Ended if self.streams.is_opening() && open.is_flowing => {
                let age = open.age();
                self.end_badly(id, FlowEnd::Renewed { age }, Ruling::Stay)
            }
            // What ends in order again and again before it was of any use is no order.
            StreamStop::Ended if open.age() < STREAM_INTERVAL_MIN => {
                self.end_badly(id, FlowEnd::Other, Ruling::Stay)
            }
            StreamStop::Ended => self.end_badly(id, FlowEnd::Ended, Ruling::Stay),
            StreamStop::Refused(reject) => {
                tracing::warn!(reason = reject.as_str(), "a stream is none");
                self.counts.count_reject(Reject::NotPostern);
                self.end_badly(id, FlowEnd::Refused, Ruling::Stay)
            }
            StreamStop::Failed(error) => {
                let transport = self.routes.name_of(sent.way);
                tracing::warn!(%error, code = error.code(), transport, "stream failed");
                self.counts.count_failure(error.code());
                self.displaced.note_failure();
                let ruling = self.routes.handle_failure(sent, &error);
                self.end_badly(id, flow_end(&error), ruling)
            }
        }
    }

    /// Ends a stream of which the engine does not know yet. One that has flowed is followed by a poll at once; one
    /// that never did, after a pause.
    fn end_badly(
        &mut self,
        id: ExchangeId,
        end: FlowEnd,
        ruling: Ruling,
    ) -> Result<(), CommandError> {
        let Some(open) = self.streams.open.remove(&id) else {
            return Ok(());
        };
        self.conclude(&open, end);
        if !open.is_flowing {
            return self.fail(id, open.way, HoldEnd::Other, None, ruling);
        }
        match ruling {
            Ruling::Stay | Ruling::Back(Change::Same) => {}
            Ruling::Leave => self.race_for_replacement(),
            Ruling::Back(Change::Mailbox) => return self.begin_elsewhere(Duration::ZERO),
        }
        self.feed_failure(id)
    }
}

/// Hands each answer of a stream to the loop as it comes. Returns why there are no more.
async fn read(
    streamer: &Streamer,
    exchange: Exchange,
    sender: &mpsc::Sender<Happening>,
) -> StreamStop {
    let (id, sent) = (exchange.id, streamer.sent);
    let mut reader = match streamer.open(exchange.frame).await {
        Ok(reader) => reader,
        Err(stop) => return stop,
    };
    loop {
        match reader.next().await {
            Ok(piece) => {
                let came = Happening::Streamed { id, sent, piece };
                if sender.send(came).await.is_err() {
                    return StreamStop::Ended;
                }
            }
            Err(stop) => return stop,
        }
    }
}
