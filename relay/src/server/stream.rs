//! Streams while they are open: which one of a device counts, what it sends next, and who takes it.
//!
//! ```text
//!   first answer --> body of the response
//!   task: woken | interval over --> step --> one answer --(taken within 20 s)--> the same again
//!                                    '--> replaced, drained, session over, last answer: the body ends
//! ```
//!
//! One answer waits for its reader at a time. Refuses to keep a stream whose reader takes nothing, and one
//! that its device has replaced.

use super::answer::{Answerer, Parking, Refusal};
use super::clock::after_ms;
use super::host_queue::Caller;
use super::mailbox::{Mailbox, State};
use super::place::Place;
use super::random;
use super::turns::Outgoing;
use crate::budget::{Pool, Reserved, Work};
use crate::exchange::{Handled, Owner, Parting, Step, StreamStep, Streaming};
use crate::limits::{BEAT_WAIT_MS_MAX, DRAIN_RETRY_MS_BASE, HOLD_BYTES, RETRY_MS_BASE};
use bytes::Bytes;
use postern_protocol::Reject;
use postern_protocol::frame::{FrameType, prefixed};
use postern_protocol::id::ChannelId;
use postern_protocol::limits::STREAM_TAKE_MS_MAX;
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};

/// Which stream of each device counts.
#[derive(Debug, Default)]
pub(super) struct Streams {
    newest: BTreeMap<ChannelId, u64>,
    numbers: u64,
}

impl Streams {
    fn begin(&mut self, channel: ChannelId) -> u64 {
        self.numbers = self.numbers.wrapping_add(1);
        self.newest.insert(channel, self.numbers);
        self.numbers
    }

    fn is_newest(&self, channel: ChannelId, number: u64) -> bool {
        self.newest.get(&channel) == Some(&number)
    }

    fn end(&mut self, channel: ChannelId) -> bool {
        self.newest.remove(&channel).is_some()
    }
}

impl State {
    //= spec/postern.md#stream
    //# A mailbox MUST end a stream when a newer poll or stream of its session comes.
    /// Ends the stream that a device has replaced, before anything of the new request is parked. Returns the
    /// number of a stream that begins.
    pub(super) fn begin_poll(&mut self, handled: &Handled) -> Option<u64> {
        let Owner::Device(channel) = handled.owner else {
            return None;
        };
        let is_poll = matches!(handled.kind, FrameType::Poll | FrameType::Stream);
        if is_poll && self.streams.end(channel) {
            self.holds.wake(&channel);
        }
        matches!(handled.step, Step::Stream(_)).then(|| self.streams.begin(channel))
    }
}

/// A stream that is open; it ends with this.
#[derive(Debug)]
pub(super) struct Live {
    mailbox: Mailbox,
    channel: ChannelId,
    number: u64,
}

impl Live {
    pub(super) fn new(mailbox: &Mailbox, channel: ChannelId, number: u64) -> Self {
        mailbox.metrics().stream_began();
        Self {
            mailbox: mailbox.clone(),
            channel,
            number,
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut state = self.mailbox.lock();
        if state.streams.is_newest(self.channel, self.number) {
            state.streams.end(self.channel);
        }
        drop(state);
        self.mailbox.metrics().stream_ended();
    }
}

/// The answers behind the first one.
#[derive(Debug)]
pub(super) struct Rest(pub(super) mpsc::Receiver<Bytes>);

/// All that an open stream holds.
struct Flow {
    streaming: Streaming,
    caller: Caller,
    place: Place,
    live: Live,
    _memory: Reserved,
}

/// What a stream does next.
enum Next {
    Send { frame: Vec<u8>, is_last: bool },
    Wait(u64),
    End,
}

impl Answerer {
    /// Gives the first answer of a stream; the others follow from a task of its own.
    pub(super) async fn answer_stream(
        &self,
        mut streaming: Streaming,
        caller: Caller,
        parked: Parking,
        live: Live,
    ) -> Result<Outgoing, Refusal> {
        let memory = self.budget.take(Pool::Holds, HOLD_BYTES);
        let seat = match (parked, memory) {
            (Parking::Parked(place, woken), Some(memory)) => Some((place, woken, memory)),
            (Parking::Parked(..) | Parking::NotAsked | Parking::Full, _) => None,
        };
        let no_room = seat.is_none().then(|| Parting {
            retry_ms: Some(random::retry_ms(RETRY_MS_BASE)),
            elsewhere: false,
        });
        let first = {
            let now_ms = self.mailbox.clock().now_ms();
            let mut state = self.mailbox.lock();
            let parting = parting_of(&state).or(no_room);
            let exchanges = &mut state.exchanges;
            exchanges.poll_stream(&mut streaming, now_ms, parting.as_ref())?
        };
        let Some(StreamStep::Answer { frame, is_last }) = first else {
            return Err(Reject::Overloaded.into());
        };
        self.mailbox.metrics().stream_answered();
        let outgoing = self.let_out(caller.clone(), prefixed(&frame)?).await?;
        let (sender, receiver) = mpsc::channel(1);
        if let (Some((place, woken, memory)), false) = (seat, is_last) {
            let flow = Flow {
                streaming,
                caller,
                place,
                live,
                _memory: memory,
            };
            tokio::spawn(self.clone().run_stream(flow, woken, sender));
        }
        Ok(Outgoing {
            rest: Some(Rest(receiver)),
            ..outgoing
        })
    }

    async fn run_stream(
        self,
        mut flow: Flow,
        mut woken: oneshot::Receiver<()>,
        sender: mpsc::Sender<Bytes>,
    ) {
        loop {
            match self.step(&mut flow, &mut woken) {
                Next::End => return,
                Next::Wait(until_ms) => {
                    let until = self.mailbox.clock().instant(until_ms);
                    let is_over = tokio::select! {
                        () = sender.closed() => return,
                        _ = &mut woken => false,
                        () = tokio::time::sleep_until(until) => true,
                    };
                    if is_over {
                        self.ask_stream_heartbeat(&flow).await;
                    }
                }
                Next::Send { frame, is_last } => {
                    if self.send(&flow, frame, &sender).await.is_none() || is_last {
                        return;
                    }
                }
            }
        }
    }

    /// Finds out what is to be said now; where that is nothing, the stream waits among the polls.
    fn step(&self, flow: &mut Flow, woken: &mut oneshot::Receiver<()>) -> Next {
        let now_ms = self.mailbox.clock().now_ms();
        let mut state = self.mailbox.lock();
        let channel = flow.streaming.channel();
        if !state.streams.is_newest(channel, flow.live.number) {
            return Next::End;
        }
        let parting = parting_of(&state);
        let exchanges = &mut state.exchanges;
        match exchanges.poll_stream(&mut flow.streaming, now_ms, parting.as_ref()) {
            Ok(Some(StreamStep::Answer { frame, is_last })) => Next::Send { frame, is_last },
            Ok(Some(StreamStep::Wait(until_ms))) => {
                *woken = flow.place.take_again(&mut state, flow.streaming.held());
                Next::Wait(until_ms)
            }
            Ok(None) | Err(_) => Next::End,
        }
    }

    //= spec/postern.md#stream
    //# A mailbox MUST end a stream whose reader does not take an answer within 20 s.
    /// Hands an answer over; `None` when nobody took it.
    async fn send(&self, flow: &Flow, frame: Vec<u8>, sender: &mpsc::Sender<Bytes>) -> Option<()> {
        let outgoing = self.let_out(flow.caller.clone(), prefixed(&frame).ok()?);
        let bytes = self.queued(outgoing.await.ok()?);
        let sending = sender.send(bytes);
        let taken = tokio::time::timeout_at(after_ms(STREAM_TAKE_MS_MAX), sending).await;
        taken.ok()?.ok()?;
        self.mailbox.metrics().stream_answered();
        Some(())
    }

    async fn ask_stream_heartbeat(&self, flow: &Flow) {
        let channel = flow.streaming.channel();
        let is_asked = {
            let now_ms = self.mailbox.clock().now_ms();
            let mut state = self.mailbox.lock();
            let asked = &flow.streaming;
            !state.is_draining && state.exchanges.ask_stream_heartbeat(asked, now_ms)
        };
        if is_asked && !self.budget.pressure().refuses(Work::Bulk) {
            let deadline = after_ms(BEAT_WAIT_MS_MAX);
            let caller = flow.caller.clone();
            // Without a heartbeat the answer is idle as before.
            let _ = self
                .ask_host(caller, deadline, |host| host.heartbeat_wanted(channel))
                .await;
        }
    }
}

/// What the next answer says when it has to be the last.
fn parting_of(state: &State) -> Option<Parting> {
    let least_ms = state.leaving_retry_ms.unwrap_or_default();
    state.is_draining.then(|| Parting {
        retry_ms: Some(least_ms.saturating_add(random::retry_ms(DRAIN_RETRY_MS_BASE))),
        elsewhere: true,
    })
}
