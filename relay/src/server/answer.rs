//! One exchange from its bytes to the bytes of its answer: limits first, then the pure parts,
//! then the host or the wait.
//!
//! Order of checks: type byte, source limiter, handshake limiters, session tag or admission,
//! signature. Refuses to touch a key before the limiters, and to answer a post before the host.

use super::clock::after_ms;
use super::events::Event;
use super::host::{Host, HostAnswer, Taken};
use super::mailbox::{Mailbox, Place, State, Taking};
use super::random;
use crate::exchange::{Handled, Held, Owner, Post, Put, Step, WriterStep};
use crate::limiter::{Gate, Limiter, Source};
use crate::limits::{BEAT_WAIT_MS_MAX, DRAIN_RETRY_MS_BASE, HOST_ANSWER_MS_MAX, RETRY_MS_BASE};
use postern_protocol::Reject;
use postern_protocol::frame::{FrameType, PlainFrame, Wanted, frame_type};
use postern_protocol::id::{ChannelId, Plane};
use postern_protocol::limits::FETCH_DIGESTS_MAX;
use postern_protocol::session::ReceivedHello;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Limits that stand before any key operation.
#[derive(Debug)]
pub(super) struct Gates {
    pub(super) exchanges: Limiter,
    pub(super) handshakes: Limiter,
    pub(super) all_handshakes: Gate,
}

impl Gates {
    /// # Errors: milliseconds until another try makes sense.
    fn take(&self, source: Source, kind: FrameType, now_ms: u64) -> Result<(), u64> {
        self.exchanges.take(source, now_ms)?;
        match kind {
            FrameType::Ask | FrameType::Hello | FrameType::Enrol => {
                //= spec/postern.md#hello
                //# A mailbox MUST limit the rate of asks and hellos of one source before any
                //# public-key operation.
                self.handshakes.take(source, now_ms)?;
                self.all_handshakes.take(now_ms)
            }
            FrameType::Poll
            | FrameType::Answer
            | FrameType::Post
            | FrameType::Need
            | FrameType::Fetch
            | FrameType::Bodies
            | FrameType::Put
            | FrameType::Collect
            | FrameType::Collected
            | FrameType::Deliver
            | FrameType::DeliverBodies
            | FrameType::FetchBodies
            | FrameType::DeliverEnrolled
            | FrameType::FiledBody
            | FrameType::Enrolled
            | FrameType::Challenge
            | FrameType::Welcome
            | FrameType::Refused
            | FrameType::Posted => Ok(()),
        }
    }
}

/// The source asks too much; try again after this many milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany {
    pub(super) retry_ms: u64,
}

/// Answers exchanges of all connections.
#[derive(Clone)]
pub(super) struct Answerer {
    pub(super) mailbox: Mailbox,
    pub(super) host: Arc<dyn Host>,
    pub(super) gates: Arc<Mutex<Gates>>,
    pub(super) holds_max: usize,
    /// Calls to the host under way.
    pub(super) host_calls: Arc<Semaphore>,
}

/// Who is asking, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    source: Source,
    kind: Option<FrameType>,
    channel: Option<ChannelId>,
}

impl Answerer {
    /// Answers a frame with a frame. # Errors: [`TooMany`] for a source beyond its rate.
    pub(super) async fn answer(&self, source: Source, frame: Vec<u8>) -> Result<Vec<u8>, TooMany> {
        let mut asker = Asker {
            source,
            kind: None,
            channel: None,
        };
        let kind = match frame_type(&frame) {
            Ok(kind) => kind,
            Err(reject) => {
                // Garbage has no kind but costs its source like any exchange.
                self.take(source, FrameType::Poll)?;
                return Ok(self.refuse(asker, reject, None));
            }
        };
        asker.kind = Some(kind);
        self.take(source, kind)?;
        self.mailbox.metrics().exchange(kind);
        let result = match kind {
            FrameType::Ask => self.answer_ask(&frame),
            FrameType::Hello => self.answer_hello(&frame),
            FrameType::Enrol => self.answer_enrol(frame).await,
            FrameType::Poll
            | FrameType::Post
            | FrameType::Need
            | FrameType::Fetch
            | FrameType::Put
            | FrameType::Collect
            | FrameType::Deliver
            | FrameType::DeliverBodies
            | FrameType::FetchBodies
            | FrameType::DeliverEnrolled => self.answer_in_session(asker, frame).await,
            FrameType::Answer
            | FrameType::Bodies
            | FrameType::Collected
            | FrameType::FiledBody
            | FrameType::Enrolled
            | FrameType::Challenge
            | FrameType::Welcome
            | FrameType::Refused
            | FrameType::Posted => Err(Reject::FrameDirection),
        };
        Ok(result.unwrap_or_else(|reject| {
            let is_passing = matches!(
                reject,
                Reject::Overloaded | Reject::Quota | Reject::EnrolPending
            );
            let retry_ms = is_passing.then(|| random::retry_ms(RETRY_MS_BASE));
            self.refuse(asker, reject, retry_ms)
        }))
    }

    fn take(&self, source: Source, kind: FrameType) -> Result<(), TooMany> {
        let now_ms = self.mailbox.clock().now_ms();
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates
            .take(source, kind, now_ms)
            .map_err(|retry_ms| TooMany { retry_ms })
    }

    pub(super) fn tell_reject(&self, asker: Asker, reason: Reject) {
        self.mailbox.tell(Event::Rejected {
            reason,
            channel: asker.channel,
            kind: asker.kind,
            source: asker.source,
        });
    }

    //= spec/postern.md#rejects
    //# A peer MUST NOT be able to end a process, close another's session or change a state by what
    //# is refused.
    fn refuse(&self, asker: Asker, reject: Reject, retry_ms: Option<u64>) -> Vec<u8> {
        //= spec/postern.md#rejects
        //# A reject MUST be sent, counted, logged and shown under its registered number or name.
        self.tell_reject(asker, reject);
        let frame = PlainFrame::Refused {
            code: reject.code(),
            retry_ms,
        };
        // A refused frame has at most 15 bytes: it always fits.
        frame.encode().unwrap_or_default()
    }

    fn answer_ask(&self, frame: &[u8]) -> Result<Vec<u8>, Reject> {
        let nonce = random::bytes()?;
        self.mailbox.lock().exchanges.answer_ask(frame, nonce)
    }

    fn answer_hello(&self, frame: &[u8]) -> Result<Vec<u8>, Reject> {
        let hello = ReceivedHello::parse(frame)?;
        let channel = hello.channel();
        let admitted = self.host.admitted(channel);
        let writers = self.host.writers(hello.tenant());
        let session = random::bytes()?;
        let now_ms = self.mailbox.clock().now_ms();
        let answer = {
            let mut state = self.mailbox.lock();
            state
                .exchanges
                .answer_greeting(&hello, &admitted, &writers, session, now_ms)
        };
        let (owner, frame) = answer?;
        // Whoever was refused since the first look had no session yet that could be ended.
        let is_still_admitted =
            self.host.admitted(channel) == admitted && self.host.writers(hello.tenant()) == writers;
        if !is_still_admitted {
            match owner {
                Owner::Device(channel) => self.mailbox.close_sessions(channel),
                Owner::Writer(tenant) => self.mailbox.close_writer(tenant),
            }
            return Err(Reject::Overloaded);
        }
        self.mailbox.tell(match owner {
            Owner::Device(channel) => Event::Greeted { channel },
            Owner::Writer(tenant) => Event::WriterGreeted { tenant },
        });
        Ok(frame)
    }

    async fn answer_enrol(&self, frame: Vec<u8>) -> Result<Vec<u8>, Reject> {
        let deadline = after_ms(HOST_ANSWER_MS_MAX);
        self.ask_host(deadline, |host| host.enrol(frame)).await
    }

    /// Asks the host, in a task of its own: a client that hangs up never cuts a commit in half.
    pub(super) async fn ask_host<T: Send + 'static>(
        &self,
        deadline: Instant,
        call: impl FnOnce(&dyn Host) -> HostAnswer<T>,
    ) -> Result<T, Reject> {
        let calls = Arc::clone(&self.host_calls);
        let place = calls.try_acquire_owned().map_err(|_| Reject::Overloaded)?;
        let work = call(self.host.as_ref());
        let task = tokio::spawn(async move {
            let answer = work.await;
            drop(place);
            answer
        });
        match tokio::time::timeout_at(deadline, task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::error!(%error, "the host did not answer");
                Err(Reject::Overloaded)
            }
            Err(_) => Err(Reject::Overloaded),
        }
    }

    async fn answer_in_session(&self, mut asker: Asker, frame: Vec<u8>) -> Result<Vec<u8>, Reject> {
        let now_ms = self.mailbox.clock().now_ms();
        let (handled, parked) = {
            let mut state = self.mailbox.lock();
            let handled = state.exchanges.handle_frame(&frame, now_ms)?;
            if handled.displaced {
                match handled.owner {
                    Owner::Device(channel) => state.holds.wake(&channel),
                    Owner::Writer(tenant) => state.collects.wake(&tenant),
                };
            }
            let parked = self.park(&mut state, &handled.step, now_ms);
            (handled, parked)
        };
        drop(frame);
        let Handled {
            owner,
            displaced,
            step,
            kind: _,
        } = handled;
        asker.channel = owner.channel();
        if displaced {
            self.mailbox.tell(match owner {
                Owner::Device(channel) => Event::Displaced { channel },
                Owner::Writer(tenant) => Event::WriterDisplaced { tenant },
            });
        }
        match step {
            Step::Answer(answer) => Ok(answer),
            Step::Limited(answer, reject) => {
                self.tell_reject(asker, reject);
                Ok(answer)
            }
            Step::Hold(held) => self.answer_poll(&held, parked).await,
            Step::Writer(step) => self.answer_writer(asker, step, parked).await,
            Step::Post(post) => {
                let taking = Taking::new(&self.mailbox, post.channel());
                self.answer_post(asker, post, taking).await
            }
            Step::Put(put) => {
                let taking = Taking::new(&self.mailbox, put.channel());
                self.answer_put(put, taking).await
            }
        }
    }

    /// Finds a place for a request that is to wait, in a state that the caller has locked.
    fn park(&self, state: &mut State, step: &Step, now_ms: u64) -> Parking {
        let held = state.holds.len().saturating_add(state.collects.len());
        let may_park = !state.is_draining && held < self.holds_max;
        match step {
            Step::Hold(held) if held.until_ms <= now_ms => Parking::NotAsked,
            Step::Hold(held) if may_park => {
                let (place, woken) = Place::take(&self.mailbox, state, *held);
                Parking::Parked(place, woken)
            }
            Step::Writer(WriterStep::Collect(one))
                if one.has_news || one.held.until_ms <= now_ms =>
            {
                Parking::NotAsked
            }
            Step::Writer(WriterStep::Collect(one)) if may_park => {
                let (place, woken) = Place::take_collect(&self.mailbox, state, one.held);
                Parking::Parked(place, woken)
            }
            Step::Hold(_) | Step::Writer(WriterStep::Collect(_)) => Parking::Full,
            Step::Writer(
                WriterStep::Deliver(_) | WriterStep::Bodies(_) | WriterStep::Enrolled(_),
            )
            | Step::Answer(_)
            | Step::Limited(..)
            | Step::Post(_)
            | Step::Put(_) => Parking::NotAsked,
        }
    }

    async fn answer_poll(&self, held: &Held, parked: Parking) -> Result<Vec<u8>, Reject> {
        let is_refused = match parked {
            Parking::Parked(place, woken) => {
                self.wait(held.until_ms, place, woken).await;
                false
            }
            Parking::NotAsked => false,
            Parking::Full => true,
        };
        if !is_refused && self.asks_heartbeat(held) {
            let deadline = after_ms(BEAT_WAIT_MS_MAX);
            let channel = held.channel;
            // Without a heartbeat the answer is idle as before.
            let _ = self
                .ask_host(deadline, |host| host.heartbeat_wanted(channel))
                .await;
        }
        self.release(held, is_refused)
    }

    fn asks_heartbeat(&self, held: &Held) -> bool {
        let now_ms = self.mailbox.clock().now_ms();
        let mut state = self.mailbox.lock();
        !state.is_draining && state.exchanges.ask_heartbeat(held, now_ms)
    }

    pub(super) async fn wait(
        &self,
        until_ms: u64,
        place: Place,
        woken: tokio::sync::oneshot::Receiver<()>,
    ) {
        let until = self.mailbox.clock().instant(until_ms);
        // Both outcomes mean the same: find out what is newer now.
        let _ = tokio::time::timeout_at(until, woken).await;
        drop(place);
    }

    fn release(&self, held: &Held, is_refused: bool) -> Result<Vec<u8>, Reject> {
        let now_ms = self.mailbox.clock().now_ms();
        let mut state = self.mailbox.lock();
        let retry_ms = if state.is_draining {
            let least = state.leaving_retry_ms.unwrap_or_default();
            Some(least.saturating_add(random::retry_ms(DRAIN_RETRY_MS_BASE)))
        } else if is_refused {
            Some(random::retry_ms(RETRY_MS_BASE))
        } else {
            None
        };
        state.exchanges.release(held, now_ms, retry_ms)
    }

    async fn answer_post(
        &self,
        asker: Asker,
        mut post: Post,
        taking: Taking,
    ) -> Result<Vec<u8>, Reject> {
        let channel = post.channel();
        let mut refused = std::mem::take(&mut post.refused);
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut wants_snapshot = false;
        // One deadline for the whole post: a slow host costs the device one wait, not one per item.
        let deadline = after_ms(HOST_ANSWER_MS_MAX);
        let mut items = std::mem::take(&mut post.items);
        let posted: Vec<(Option<Plane>, Vec<u8>)> = items
            .iter_mut()
            .map(|item| (item.plane, std::mem::take(&mut item.envelope)))
            .collect();
        //= spec/postern.md#post
        //# A mailbox MUST commit an item durably before it answers.
        let taken = self
            .ask_host(deadline, |host| take_in_order(host, channel, posted))
            .await;
        let taken = taken.unwrap_or_else(|reject| vec![Err(reject); items.len()]);
        for (item, taken) in items.iter().zip(taken) {
            match taken {
                Ok(taken) => {
                    post.note_taken(item);
                    wants_snapshot |= taken.wants_snapshot;
                    // An answer asks for few bodies; what a host wants beyond them waits.
                    wanted.extend(taken.wanted.into_iter().take(FETCH_DIGESTS_MAX));
                }
                Err(reject) => refused.push((item.index, reject)),
            }
        }
        refused.sort_unstable_by_key(|(index, _)| *index);
        let mut retry_ms = None;
        for (_, reject) in &refused {
            self.tell_reject(asker, *reject);
            if matches!(reject, Reject::Overloaded | Reject::Quota) {
                retry_ms = Some(random::retry_ms(RETRY_MS_BASE));
            }
        }
        let answer = {
            let mut state = self.mailbox.lock();
            let exchanges = &mut state.exchanges;
            exchanges.answer_post(&post, &refused, &wanted, wants_snapshot, retry_ms)
        };
        drop(taking);
        answer
    }

    async fn answer_put(&self, mut put: Put, taking: Taking) -> Result<Vec<u8>, Reject> {
        let (channel, plane) = (put.channel(), put.plane);
        let chunks = std::mem::take(&mut put.chunks);
        let deadline = after_ms(HOST_ANSWER_MS_MAX);
        let taken = self
            .ask_host(deadline, |host| host.put(channel, plane, chunks))
            .await?;
        let answer = {
            let mut state = self.mailbox.lock();
            state.exchanges.answer_put(&put, &taken.wanted)
        };
        drop(taking);
        answer
    }
}

/// Hands the items of a post to the host, all before the first is answered, so that one commit can
/// hold them; each is answered in its place.
fn take_in_order(
    host: &dyn Host,
    channel: ChannelId,
    posted: Vec<(Option<Plane>, Vec<u8>)>,
) -> HostAnswer<Vec<Result<Taken, Reject>>> {
    let posted = posted.into_iter();
    let works: Vec<_> = posted
        .map(|(plane, envelope)| host.posted(channel, plane, envelope))
        .collect();
    Box::pin(async move {
        let mut taken = Vec::new();
        for work in works {
            taken.push(work.await);
        }
        Ok(taken)
    })
}

/// What became of a poll's or collect's wish to wait.
pub(super) enum Parking {
    /// It waits.
    Parked(Place, tokio::sync::oneshot::Receiver<()>),
    /// It asked for no hold, or its time is over already.
    NotAsked,
    /// There is no place for it.
    Full,
}
