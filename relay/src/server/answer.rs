//! One exchange from its bytes to the bytes of its answer: limits first, then the pure parts,
//! then the host or the wait.
//!
//! Order of checks, the cheapest first: source limiter, type byte, handshake limiters, memory,
//! session tag or admission, device and tenant limiter, queue of the host, and only then what the
//! host verifies. Refuses to touch a key before the limiters, and to answer a post before the host.

use super::clock::{self, after_ms};
use super::devices::Devices;
use super::events::Event;
use super::gates::{Gates, TooMany};
use super::host::Host;
use super::host_queue::{Caller, HostQueue};
use super::link::Link;
use super::mailbox::{Mailbox, State, Taking};
use super::place::Place;
use super::random;
use super::stream::Live;
use super::turns::Outgoing;
use crate::budget::{Budget, Pool, Work};
use crate::exchange::{Collector, Handled, Owner, Selected, Step, WriterStep};
use crate::limiter::Source;
use crate::limits::{HOLD_BYTES, HOST_ANSWER_MS_MAX, KNOCK_BYTES_MAX, RETRY_MS_BASE};
use crate::metrics::Shed;
use postern_protocol::Reject;
use postern_protocol::frame::{FrameType, PlainFrame, frame_type};
use postern_protocol::id::{ChannelId, Tenant, TenantId};
use postern_protocol::session::ReceivedHello;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a frame is refused, and when to try again at the earliest where that makes sense.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    reject: Reject,
    retry_ms: u64,
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        Self {
            reject,
            retry_ms: RETRY_MS_BASE,
        }
    }
}

/// Answers exchanges of all connections.
#[derive(Clone)]
pub(super) struct Answerer {
    pub(super) mailbox: Mailbox,
    pub(super) host: Arc<dyn Host>,
    pub(super) gates: Arc<Gates>,
    pub(super) budget: Arc<Budget>,
    pub(super) devices: Arc<Mutex<Devices>>,
    pub(super) holds_max: usize,
    pub(super) host_queue: Arc<HostQueue>,
    /// In front of enrolments, which strangers send and which may wait for an operator: they never
    /// take the places of those who are enrolled.
    pub(super) knock_queue: Arc<HostQueue>,
    /// In front of the way out: tenants that fetch much wait for themselves.
    pub(super) out_queue: Arc<HostQueue>,
    /// Refusals that are held back.
    pub(super) pauses: Arc<AtomicUsize>,
}

/// Who is asking, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    source: Source,
    kind: Option<FrameType>,
    channel: Option<ChannelId>,
}

impl Answerer {
    /// Lets an exchange of any kind begin. # Errors: [`TooMany`] for a source beyond its rate.
    pub(super) fn admit(&self, source: Source) -> Result<(), TooMany> {
        let now_ms = self.mailbox.clock().now_ms();
        self.counted(self.gates.take_exchange(source, now_ms))
    }

    /// Answers a frame, after [`Self::admit`], with a frame. # Errors: [`TooMany`].
    pub(super) async fn answer(
        &self,
        link: &Arc<Link>,
        frame: Vec<u8>,
    ) -> Result<Outgoing, TooMany> {
        let mut asker = Asker {
            source: link.source(),
            kind: None,
            channel: None,
        };
        let kind = match frame_type(&frame) {
            Ok(kind) => kind,
            Err(reject) => return Ok(self.refuse(asker, reject, None).into()),
        };
        asker.kind = Some(kind);
        let now_ms = self.mailbox.clock().now_ms();
        self.counted(self.gates.take_kind(asker.source, kind, now_ms))?;
        self.mailbox.metrics().exchange(kind);
        let result = match kind {
            FrameType::Ask => leave(self.answer_ask(&frame)),
            FrameType::Hello => leave(self.answer_hello(&frame)),
            FrameType::Enrol => leave(self.answer_enrol(frame).await),
            FrameType::Poll
            | FrameType::Post
            | FrameType::Need
            | FrameType::Fetch
            | FrameType::Put
            | FrameType::Stream
            | FrameType::Collect
            | FrameType::Deliver
            | FrameType::DeliverBodies
            | FrameType::FetchBodies
            | FrameType::DeliverEnrolled => self.answer_in_session(asker, link, frame).await,
            FrameType::Answer
            | FrameType::Bodies
            | FrameType::Collected
            | FrameType::StreamAnswer
            | FrameType::FiledBody
            | FrameType::Enrolled
            | FrameType::Challenge
            | FrameType::Welcome
            | FrameType::Refused
            | FrameType::Posted => Err(Reject::FrameDirection.into()),
        };
        Ok(result.unwrap_or_else(|refusal| {
            let is_passing = matches!(
                refusal.reject,
                Reject::Overloaded | Reject::Quota | Reject::EnrolPending
            );
            let retry_ms = is_passing.then(|| random::retry_ms(refusal.retry_ms));
            self.refuse(asker, refusal.reject, retry_ms).into()
        }))
    }

    /// Milliseconds until the host may take what this frame brings, where it takes nothing now.
    pub(super) fn unavailable_ms(&self, frame: &[u8]) -> Option<u64> {
        let brings = match frame_type(frame) {
            Ok(
                FrameType::Post | FrameType::Put | FrameType::Deliver | FrameType::DeliverBodies,
            ) => true,
            Ok(_) | Err(_) => false,
        };
        brings.then(|| self.host.unavailable_ms()).flatten()
    }

    fn counted(&self, taken: Result<(), TooMany>) -> Result<(), TooMany> {
        taken.inspect_err(|too_many| self.mailbox.metrics().limited(too_many.guard))
    }

    /// # Errors: `overloaded` when memory is too full for work of this kind.
    fn has_memory_for(&self, work: Work, shed: Shed) -> Result<(), Reject> {
        if self.budget.pressure().refuses(work) {
            self.mailbox.metrics().shed(shed);
            return Err(Reject::Overloaded);
        }
        Ok(())
    }

    /// A frame of a session verified: whose connection it came on, and whether it is too much. Returns in whose
    /// line it stands.
    async fn take_session(
        &self,
        link: &Arc<Link>,
        owner: Owner,
        bytes: usize,
    ) -> Result<Caller, Refusal> {
        let (caller, taken) = self.judge_session(link, owner, bytes);
        if let Err(too_many) = self.counted(taken) {
            self.pause().await;
            return Err(Refusal {
                reject: Reject::Overloaded,
                retry_ms: too_many.retry_ms.max(RETRY_MS_BASE),
            });
        }
        Ok(caller)
    }

    fn judge_session(
        &self,
        link: &Arc<Link>,
        owner: Owner,
        bytes: usize,
    ) -> (Caller, Result<(), TooMany>) {
        let now_ms = self.mailbox.clock().now_ms();
        match owner {
            Owner::Device(channel) => {
                let (tenant, ended) = self.devices().note(channel, link);
                for _ in 0..ended {
                    tracing::debug!(%channel, "ended an older connection of the device");
                    self.mailbox.metrics().shed(Shed::OlderConnection);
                }
                let tenant = tenant.as_ref();
                let taken = self.gates.take_device(channel, tenant, bytes, now_ms);
                (
                    tenant.cloned().map_or(Caller::Nobody, Caller::Tenant),
                    taken,
                )
            }
            Owner::Writer(_) | Owner::Mailbox(_) => {
                link.claim_for_writer();
                let id = owner.collector().map(Collector::id).unwrap_or_default();
                let tenant = TenantId::from_bytes(id);
                let taken = self.gates.take_writer(tenant, bytes, now_ms);
                let caller = owner.collector().map_or(Caller::Nobody, Caller::Collector);
                (caller, taken)
            }
        }
    }

    /// Names the tenants of devices whose sessions began in another process.
    pub(super) fn know(&self, devices: Vec<(ChannelId, Tenant)>) {
        let mut known = self.devices();
        for (channel, tenant) in devices {
            known.greet(channel, tenant);
        }
    }

    fn devices(&self) -> MutexGuard<'_, Devices> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Refuses a frame that was not read. `retry_ms` says when to try again.
    pub(super) fn refuse_unread(
        &self,
        source: Source,
        reject: Reject,
        retry_ms: Option<u64>,
    ) -> Vec<u8> {
        let asker = Asker {
            source,
            kind: None,
            channel: None,
        };
        self.refuse(asker, reject, retry_ms)
    }

    fn answer_ask(&self, frame: &[u8]) -> Result<Vec<u8>, Reject> {
        self.has_memory_for(Work::Newcomer, Shed::Newcomer)?;
        let nonce = random::bytes()?;
        self.mailbox.lock().exchanges.answer_ask(frame, nonce)
    }

    fn answer_hello(&self, frame: &[u8]) -> Result<Vec<u8>, Reject> {
        self.has_memory_for(Work::Newcomer, Shed::Newcomer)?;
        let hello = ReceivedHello::parse(frame)?;
        let selected = self.select(&hello);
        let session = random::bytes()?;
        let now_ms = self.mailbox.clock().now_ms();
        let answer = {
            let mut state = self.mailbox.lock();
            state.exchanges.set_time(clock::stated());
            state
                .exchanges
                .answer_greeting(&hello, &selected, session, now_ms)
        };
        let (owner, frame) = answer?;
        // Whoever was refused since the first look had no session yet that could be ended.
        if self.select(&hello) != selected {
            match owner {
                Owner::Device(channel) => self.mailbox.close_sessions(channel),
                Owner::Writer(tenant) => self.mailbox.close_writer(tenant),
                Owner::Mailbox(mailbox) => self.mailbox.close_mailbox(mailbox),
            }
            return Err(Reject::Overloaded);
        }
        let device = selected.devices.into_iter().next();
        if let (Owner::Device(channel), Some(device)) = (owner, device) {
            self.devices().greet(channel, device.channel.tenant);
        }
        self.mailbox.tell(match owner {
            Owner::Device(channel) => Event::Greeted { channel },
            Owner::Writer(tenant) => Event::WriterGreeted { tenant },
            Owner::Mailbox(mailbox) => Event::MailboxGreeted { mailbox },
        });
        Ok(frame)
    }

    /// Everybody whom the id of a hello selects, as the host knows them now.
    fn select(&self, hello: &ReceivedHello<'_>) -> Selected {
        Selected {
            devices: self.host.admitted(hello.channel()),
            writers: self.host.writers(hello.tenant()),
            mailboxes: self.host.mailboxes(hello.mailbox()),
        }
    }

    async fn answer_enrol(&self, frame: Vec<u8>) -> Result<Vec<u8>, Reject> {
        if frame.len() > KNOCK_BYTES_MAX {
            return Err(Reject::Oversize);
        }
        self.has_memory_for(Work::Newcomer, Shed::Newcomer)?;
        let deadline = after_ms(HOST_ANSWER_MS_MAX);
        let queue = &self.knock_queue;
        self.ask_through(queue, Caller::Nobody, deadline, |host| host.enrol(frame))
            .await
    }

    async fn answer_in_session(
        &self,
        mut asker: Asker,
        link: &Arc<Link>,
        frame: Vec<u8>,
    ) -> Result<Outgoing, Refusal> {
        if asker.kind == Some(FrameType::Put) {
            self.has_memory_for(Work::Bulk, Shed::Bulk)?;
        }
        let (handled, parked, stream) = self.open(&frame)?;
        let bytes = frame.len();
        drop(frame);
        let Handled {
            owner,
            displaced,
            receipt,
            step,
            kind: _,
        } = handled;
        asker.channel = owner.channel();
        // Made before the limits may refuse, too.
        let live = owner.channel().zip(stream);
        let live = live.map(|(channel, number)| Live::new(&self.mailbox, channel, number));
        if displaced {
            self.mailbox.tell(displaced_event(owner));
        }
        let taking = match &step {
            // Made before the limits may refuse: whoever drops it ends the post.
            Step::Post(post) => Some(Taking::new(&self.mailbox, post.channel())),
            Step::Put(put) => Some(Taking::new(&self.mailbox, put.channel())),
            Step::Answer(_)
            | Step::Limited(..)
            | Step::Hold(_)
            | Step::Stream(_)
            | Step::Writer(_) => None,
        };
        let caller = self.take_session(link, owner, bytes).await?;
        if let (Owner::Device(channel), Some(receipt)) = (owner, receipt) {
            self.host.receipt_held(channel, receipt);
        }
        let leaver = caller.clone();
        let answer = match (step, taking) {
            (Step::Limited(answer, reject), _) => {
                self.tell_reject(asker, reject);
                Ok(answer)
            }
            (Step::Hold(held), _) => self.answer_poll(&held, caller, parked).await,
            (Step::Stream(streaming), _) => {
                let live = live.ok_or(Reject::Overloaded)?;
                return self.answer_stream(*streaming, caller, parked, live).await;
            }
            (Step::Post(post), Some(taking)) => self.answer_post(asker, caller, post, taking).await,
            (Step::Put(put), Some(taking)) => self.answer_put(caller, put, taking).await,
            (Step::Writer(step), _) => self.answer_writer(asker, step, parked).await,
            (Step::Answer(answer), _) => Ok(answer),
            (Step::Post(_) | Step::Put(_), None) => unreachable!("both were given theirs above"),
        };
        Ok(self.let_out(leaver, answer?).await?)
    }

    /// Opens a request of a session, ends what it replaces and finds it a place where it waits. Gives the number of
    /// a stream that begins.
    fn open(&self, frame: &[u8]) -> Result<(Handled, Parking, Option<u64>), Reject> {
        let now_ms = self.mailbox.clock().now_ms();
        let mut state = self.mailbox.lock();
        let handled = state.exchanges.handle_frame(frame, now_ms)?;
        if handled.displaced {
            match handled.owner {
                Owner::Device(channel) => state.holds.wake(&channel),
                Owner::Writer(_) | Owner::Mailbox(_) => handled
                    .owner
                    .collector()
                    .is_some_and(|collector| state.collects.wake(&collector)),
            };
        }
        let number = state.begin_poll(&handled);
        let parked = self.park(&mut state, &handled.step, now_ms);
        Ok((handled, parked, number))
    }

    /// Finds a place for a request that is to wait, in a state that the caller has locked.
    fn park(&self, state: &mut State, step: &Step, now_ms: u64) -> Parking {
        let held = state.holds.len().saturating_add(state.collects.len());
        let may_park = !state.is_draining && held < self.holds_max;
        match step {
            Step::Hold(held) if held.until_ms <= now_ms => Parking::NotAsked,
            Step::Stream(streaming) if may_park => {
                let (place, woken) = Place::take(&self.mailbox, state, streaming.held());
                Parking::Parked(place, woken)
            }
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
            Step::Hold(_) | Step::Stream(_) | Step::Writer(WriterStep::Collect(_)) => Parking::Full,
            Step::Writer(
                WriterStep::Deliver(_) | WriterStep::Bodies(_) | WriterStep::Enrolled(_),
            )
            | Step::Answer(_)
            | Step::Limited(..)
            | Step::Post(_)
            | Step::Put(_) => Parking::NotAsked,
        }
    }

    /// Waits until the request is woken or its time is over. Returns false, at once, when there
    /// is no memory for it.
    pub(super) async fn wait_counted(
        &self,
        until_ms: u64,
        place: Place,
        woken: tokio::sync::oneshot::Receiver<()>,
    ) -> bool {
        let Some(_memory) = self.budget.take(Pool::Holds, HOLD_BYTES) else {
            return false;
        };
        let until = self.mailbox.clock().instant(until_ms);
        // Both outcomes mean the same: find out what is newer now.
        let _ = tokio::time::timeout_at(until, woken).await;
        drop(place);
        true
    }
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

const fn displaced_event(owner: Owner) -> Event {
    match owner {
        Owner::Device(channel) => Event::Displaced { channel },
        Owner::Writer(tenant) => Event::WriterDisplaced { tenant },
        Owner::Mailbox(mailbox) => Event::MailboxDisplaced { mailbox },
    }
}

fn leave(answered: Result<Vec<u8>, Reject>) -> Result<Outgoing, Refusal> {
    answered.map(Outgoing::from).map_err(Refusal::from)
}
