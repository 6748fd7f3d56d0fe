//! Streams: a poll whose answers come one by one, and the change from one stream to the next.
//!
//! ```text
//!   grant --> opening --first answer verifies--> flowing --any refusal, last answer, end--> none
//!                '--- the one that flowed before stays until then ---'
//! ```
//!
//! What comes is judged like the answer to a poll. Refuses to go on with a stream of which anything was
//! refused: a poll says again what is held.

use super::link::InFlight;
use super::{Context, Device, Event, Exchange, ExchangeId, Output, StreamAsk, StreamEnd};
use crate::frame::{Direction, PlainFrame, Poll, Stream, StreamIndex, UpFrame};
use crate::reject::Reject;

/// One stream.
#[derive(Debug, Clone, Copy)]
struct Flow {
    in_flight: InFlight,
    index: StreamIndex,
}

/// The stream that is opened, and the one that flows.
#[derive(Debug, Default)]
pub(super) struct Streams {
    opening: Option<Flow>,
    flowing: Option<Flow>,
}

impl Streams {
    /// True until the first answer of the newest stream.
    pub(super) const fn is_opening(&self) -> bool {
        self.opening.is_some()
    }

    pub(super) fn has(&self, exchange: ExchangeId) -> bool {
        let both = [self.opening, self.flowing];
        both.into_iter()
            .flatten()
            .any(|flow| flow.in_flight.exchange == exchange)
    }

    /// Takes nothing more of a stream.
    pub(super) fn forget(&mut self, exchange: ExchangeId) {
        let is_its = |flow: &mut Flow| flow.in_flight.exchange == exchange;
        self.opening.take_if(is_its);
        self.flowing.take_if(is_its);
    }

    //= spec/postern.md#stream
    //# A device MUST keep a stream until the first answer of the next one verifies.
    /// The answer verified. Returns the stream that it replaces.
    fn note_verified(&mut self, exchange: ExchangeId) -> Option<ExchangeId> {
        let begun = self
            .opening
            .take_if(|flow| flow.in_flight.exchange == exchange)?;
        let before = self.flowing.replace(begun);
        before.map(|flow| flow.in_flight.exchange)
    }

    fn flow_mut(&mut self, exchange: ExchangeId) -> Option<&mut Flow> {
        let both = [&mut self.opening, &mut self.flowing];
        both.into_iter()
            .flatten()
            .find(|flow| flow.in_flight.exchange == exchange)
    }

    /// The stream that a poll's answer ends.
    pub(super) fn take_flowing(&mut self) -> Option<ExchangeId> {
        self.flowing.take().map(|flow| flow.in_flight.exchange)
    }
}

impl Device {
    pub(super) fn open_stream(&mut self, ask: StreamAsk, heads: Poll) {
        let Some(open) = self.link.open_mut() else {
            return;
        };
        let stream = UpFrame::Stream(Stream {
            interval_ms: ask.interval_ms,
            frames: ask.frames,
            pad: ask.pad,
            heads,
        });
        let request = match open.session.seal_request(&stream) {
            Ok(request) => request,
            Err(reject) => return self.give_up(reject),
        };
        let exchange = self.next_exchange();
        self.outputs.push_back(Output::Exchange(Exchange {
            id: exchange,
            frame: request.bytes,
            hold_s: None,
            is_stream: true,
        }));
        if let Some(open) = self.link.open_mut() {
            open.streams.opening = Some(Flow {
                in_flight: InFlight {
                    exchange,
                    counter: request.counter,
                },
                index: StreamIndex::new(ask.frames),
            });
        }
    }

    /// Takes one answer of a stream.
    pub(super) fn handle_stream_answer(
        &mut self,
        context: &mut Context<'_>,
        exchange: ExchangeId,
        frame: &[u8],
    ) {
        let Some(open) = self.link.open_mut() else {
            return;
        };
        let Some(flow) = open.streams.flow_mut(exchange) else {
            return;
        };
        let counter = flow.in_flight.counter;
        let opened = open
            .session
            .open_stream_answer(counter, &mut flow.index, frame);
        let is_last = flow.index.next().is_none();
        let answer = match opened {
            Ok(answer) => answer,
            //= spec/postern.md#stream
            //# A device MUST end a stream at the first answer that it refuses, and change nothing by that
            //# answer.
            Err(reject) => {
                self.event(Event::Rejected { reject });
                return self.end_stream(exchange, StreamEnd::Refused(reject));
            }
        };
        let replaced = open.streams.note_verified(exchange);
        if answer.index == 0 {
            open.receipt.note_answered();
        }
        if let Some(exchange) = replaced {
            self.event(Event::StreamEnded {
                exchange,
                why: StreamEnd::Replaced,
            });
        }
        self.event(Event::Streamed {
            exchange,
            index: answer.index,
            age_ms: answer.age_ms,
        });
        let refusals = self.refusals;
        self.handle_items(context, exchange, None, &answer.answer);
        if is_last {
            return self.end_stream(exchange, StreamEnd::Complete);
        }
        let is_given = |open: &super::link::Open| open.receipt.is_given();
        let is_given = self.link.open().is_some_and(is_given);
        //= spec/postern.md#stream
        //# A device MUST end a stream of which it refused an item or was given a receipt, and poll.
        if refusals != self.refusals || is_given {
            self.end_stream(exchange, StreamEnd::PollDue);
        }
    }

    /// Takes nothing more of a stream, and says so unless that was said already.
    pub(super) fn end_stream(&mut self, exchange: ExchangeId, why: StreamEnd) {
        if let Some(open) = self.link.open_mut()
            && open.streams.has(exchange)
        {
            open.streams.forget(exchange);
            self.event(Event::StreamEnded { exchange, why });
        }
    }

    /// Tells whether a mailbox refused a stream because it knows none, and ends that. The session goes on.
    pub(super) fn is_stream_unknown(&mut self, exchange: ExchangeId, frame: &[u8]) -> bool {
        let Some(open) = self.link.open() else {
            return false;
        };
        let code = match PlainFrame::decode(frame, Direction::Down) {
            Ok(PlainFrame::Refused { code, .. }) => code,
            Ok(_) | Err(_) => return false,
        };
        let is_its = open.streams.has(exchange) && code == Reject::FrameUnknown.code();
        if is_its {
            self.end_stream(exchange, StreamEnd::Unknown);
        }
        is_its
    }
}
