//! One link's task: the loop around the pure link to one relay, for one tenant.
//!
//! What the relay hands over becomes work for the engine's thread; its answer, in order, moves the
//! cursor. Refuses to wait for the network: exchanges run beside the loop.

use super::{LinkId, ToLink};
use crate::controller::keyring::Writers;
use crate::controller::work::{LinkWork, Work};
use crate::random::OsRandom;
use crate::routes::{Brought, Raced, Routes, Sent, WayId, random};
use crate::{clock, tasks};
use postern_egress::TransportError;
use postern_egress::backoff::Backoff;
use postern_egress::hold::Hold;
use postern_protocol::Reject;
use postern_protocol::context::Keyring as _;
use postern_protocol::controller::Controller;
use postern_protocol::frame::PlainFrame;
use postern_protocol::id::{Channel, ChannelId, Plane, Tenant, Thumbprint};
use postern_protocol::revision::{ArrivalNumber, Knock};
use postern_protocol::trust::BundleStep;
use postern_protocol::writer_link::{
    Context, Event, ExchangeId, Input, Letter, Output, Piece, WriterLink,
};
use postern_relay::mailbox::Chunk;
use postern_relay::server::Taken;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Happenings that may wait for the loop: two exchanges, pauses, answers of the engine. Arbitrary.
const HAPPENINGS_MAX: usize = 64;

/// What a link is made of.
pub(super) struct LinkSetup {
    pub(super) link: WriterLink,
    pub(super) tenant: Tenant,
    pub(super) relay: Thumbprint,
    pub(super) writers: Arc<Writers>,
    pub(super) routes: Routes,
    pub(super) work: mpsc::Sender<Work>,
    /// Bundle 1 and what leads from it to the newest.
    pub(super) bundles: Vec<BundleStep>,
    /// True where the engine posts nothing by itself: the link asks for everything.
    pub(super) is_behind: bool,
}

/// What comes back to the loop.
pub(super) enum Happening {
    Carried {
        id: ExchangeId,
        sent: Sent,
        result: Result<Brought, TransportError>,
    },
    /// A race ended: for this exchange, or for another way than the one in use.
    Raced(Option<ExchangeId>, Raced),
    /// What a better way answered to an ask, or the code of its failure.
    Probed(WayId, Result<Vec<u8>, &'static str>),
    ConnectDue,
    FailureDue(ExchangeId),
    PollDue,
    Answered(Knock, Vec<u8>),
    Fetched(ChannelId, Result<Taken, Reject>),
    Channels(Vec<ChannelId>),
    /// It is time to ask the PAC script again.
    PreparationDue,
    /// The PAC script was asked; when to ask again.
    Prepared(Duration),
}

/// A collect that was granted to the link.
#[derive(Clone, Copy)]
pub(super) struct Grant {
    pub(super) hold: Option<Hold>,
    pub(super) exchange: Option<ExchangeId>,
}

/// See the head of this module.
pub(super) struct LinkTask {
    pub(super) setup: LinkSetup,
    pub(super) is_behind: Arc<AtomicBool>,
    pub(super) is_open: Arc<AtomicBool>,
    pub(super) backoff: Backoff,
    pub(super) grant: Option<Grant>,
    pub(super) answered: Option<(ExchangeId, bool)>,
    pub(super) has_paused: bool,
    /// The way that won the race for the present handshake, until the welcome proves it.
    pub(super) unproven: Option<WayId>,
    /// True while the relay may lack bundles that were delivered before.
    lacks_bundles: bool,
    pub(super) sender: mpsc::Sender<Happening>,
    happenings: Option<mpsc::Receiver<Happening>>,
    /// What the engine was given, in order, and where it answers.
    taking: VecDeque<Taking>,
}

/// Something that the engine was given.
struct Taking {
    arrival: ArrivalNumber,
    /// Whose it is; `None` for a knock, which is nobody's yet.
    channel: Option<ChannelId>,
    answer: oneshot::Receiver<Result<Taken, Reject>>,
}

impl LinkTask {
    pub(super) fn new(setup: LinkSetup) -> Self {
        let (sender, happenings) = mpsc::channel(HAPPENINGS_MAX);
        Self {
            is_behind: Arc::new(AtomicBool::new(setup.is_behind)),
            is_open: Arc::new(AtomicBool::new(false)),
            setup,
            backoff: Backoff::new(),
            grant: None,
            answered: None,
            has_paused: false,
            unproven: None,
            lacks_bundles: false,
            sender,
            happenings: Some(happenings),
            taking: VecDeque::new(),
        }
    }

    pub(super) const fn tenant(&self) -> &Tenant {
        &self.setup.tenant
    }

    pub(super) const fn relay(&self) -> Thumbprint {
        self.setup.relay
    }

    /// Whether letters were lost, and whether a session is open: shared with the engine's thread.
    pub(super) fn flags(&self) -> (Arc<AtomicBool>, Arc<AtomicBool>) {
        (Arc::clone(&self.is_behind), Arc::clone(&self.is_open))
    }

    /// Runs until it is aborted, or the engine's thread is gone.
    pub(super) async fn run(mut self, id: LinkId, mut letters: mpsc::Receiver<ToLink>) {
        let Some(mut happenings) = self.happenings.take() else {
            return;
        };
        self.prepare_first().await;
        self.deliver_bundles(id);
        self.feed(id, Input::Connect);
        loop {
            self.look_at_routes();
            self.grant_collect(id);
            if std::mem::take(&mut self.lacks_bundles) {
                self.deliver_bundles(id);
            }
            if self.is_behind.swap(false, Ordering::Relaxed) {
                self.ask_channels();
            }
            let timeout = self.timeout();
            tokio::select! {
                () = tokio::time::sleep(timeout) => self.feed(id, Input::Timeout),
                letter = letters.recv() => match letter {
                    Some(ToLink::Letter(letter)) => self.feed(id, Input::Deliver(letter)),
                    Some(ToLink::Refilled(channel)) => self.feed(id, Input::Refilled { channel }),
                    None => return,
                },
                Some(happening) = happenings.recv() => self.handle(id, happening),
                taken = next_taken(&mut self.taking), if !self.taking.is_empty() => {
                    let Some((arrival, channel, taken)) = taken else { return };
                    self.handle_taken(id, arrival, channel, taken);
                }
            }
        }
    }

    /// Delivers what leads to the newest bundle: the relay passes over what it holds.
    fn deliver_bundles(&mut self, id: LinkId) {
        for step in self.setup.bundles.clone() {
            self.feed(id, Input::Deliver(Letter::bundle(step.envelope.to_vec())));
        }
    }

    fn timeout(&self) -> Duration {
        let routes_ms = self.setup.routes.due_ms();
        let link_ms = self.setup.link.poll_timeout().unwrap_or(routes_ms);
        Duration::from_millis(link_ms.min(routes_ms).saturating_sub(clock::mono_ms()))
    }

    pub(super) fn feed(&mut self, id: LinkId, input: Input<'_>) {
        let Some(signer) = self.setup.writers.writer(&self.setup.tenant) else {
            return;
        };
        let mut random = OsRandom;
        let mut context = Context {
            now: clock::now(),
            random: &mut random,
            signer,
        };
        self.setup.link.handle_input(&mut context, input);
        while let Some(output) = self.setup.link.poll_output() {
            self.carry_out(id, output);
        }
    }

    fn carry_out(&mut self, id: LinkId, output: Output) {
        match output {
            Output::Persist(writes) => self.ask(Work::Link(LinkWork::Keep(writes))),
            Output::Exchange {
                id: exchange,
                frame,
                hold_s,
            } => self.carry(exchange, frame, hold_s),
            Output::Reconnect => {
                self.is_open.store(false, Ordering::Relaxed);
                self.connect_later();
            }
            Output::Received {
                arrival,
                channel,
                envelope,
            } => {
                let (reply, answer) = oneshot::channel();
                self.taking.push_back(Taking {
                    arrival,
                    channel: Some(channel),
                    answer,
                });
                self.ask(Work::Posted {
                    channel,
                    envelope,
                    is_live: false,
                    reply,
                });
            }
            Output::Knock {
                arrival,
                knock,
                frame,
            } => self.knock(arrival, knock, frame),
            Output::Bodies { channel, pieces } => self.put(channel, pieces),
            // The device puts them again when it polls: the controller's heartbeat says what it lacks.
            Output::NoBodies { .. } => {}
            Output::SnapshotWanted { channel } => {
                self.ask(Work::Link(LinkWork::SnapshotWanted { channel }));
            }
            Output::StoreChanged { .. } => {
                self.lacks_bundles = true;
                self.is_behind.store(true, Ordering::Relaxed);
            }
            Output::RefillWanted { channel } => {
                self.ask(Work::Link(LinkWork::Refill { link: id, channel }));
            }
            Output::Event(event) => self.note(&event),
        }
    }

    /// Hands work to the engine's thread without waiting for room. Where there is none, what comes later may
    /// overtake: the engine refuses what is older by its own numbers.
    fn ask(&self, work: Work) {
        if let Err(mpsc::error::TrySendError::Full(work)) = self.setup.work.try_send(work) {
            let sender = self.setup.work.clone();
            let _task = tasks::spawn(async move {
                let _closed = sender.send(work).await;
            });
        }
    }

    fn knock(&mut self, arrival: ArrivalNumber, knock: Knock, frame: Vec<u8>) {
        let (reply, answer) = oneshot::channel();
        self.ask(Work::Enrol { frame, reply });
        // A knock lives in the relay's memory: nothing is lost when it is seen twice.
        let (done, taken) = oneshot::channel();
        let _open = done.send(Ok(Taken::default()));
        self.taking.push_back(Taking {
            arrival,
            channel: None,
            answer: taken,
        });
        let sender = self.sender.clone();
        let _task = tasks::spawn(async move {
            match answer.await {
                Ok(Ok(frame)) => {
                    let _closed = sender.send(Happening::Answered(knock, frame)).await;
                }
                Ok(Err(reject)) => {
                    tracing::warn!(reason = reject.as_str(), "enrolment by a relay refused");
                    if let Some(frame) = lasting_refusal(reject) {
                        let _closed = sender.send(Happening::Answered(knock, frame)).await;
                    }
                }
                Err(_) => {}
            }
        });
    }

    fn put(&mut self, channel: ChannelId, pieces: Vec<Piece>) {
        let chunks = pieces.into_iter().map(|piece| Chunk {
            digest: piece.digest,
            size: piece.size,
            offset: piece.offset,
            bytes: piece.bytes,
        });
        let (reply, answer) = oneshot::channel();
        self.ask(Work::Put {
            channel,
            plane: Plane::Actual,
            chunks: chunks.collect(),
            reply,
        });
        let sender = self.sender.clone();
        let _task = tasks::spawn(async move {
            if let Ok(taken) = answer.await {
                let _closed = sender.send(Happening::Fetched(channel, taken)).await;
            }
        });
    }

    fn handle_taken(
        &mut self,
        id: LinkId,
        arrival: ArrivalNumber,
        channel: Option<ChannelId>,
        taken: Result<Taken, Reject>,
    ) {
        self.feed(id, Input::Taken { arrival });
        let Some(channel) = channel else { return };
        self.fetch(id, channel, taken);
        // What came by a relay was there a moment ago: the engine may ask the device for its nonce.
        let (reply, _nobody) = oneshot::channel();
        self.ask(Work::HeartbeatWanted { channel, reply });
    }

    /// Fetches the bodies that the engine lacks; what it refused is logged there and counts as taken.
    pub(super) fn fetch(&mut self, id: LinkId, channel: ChannelId, taken: Result<Taken, Reject>) {
        let wanted = taken.unwrap_or_default().wanted;
        if !wanted.is_empty() {
            self.feed(id, Input::Fetch { channel, wanted });
        }
    }

    /// Asks the engine for every channel of the tenant, and the relay is filled with them.
    fn ask_channels(&self) {
        let (tenant, sender) = (self.setup.tenant.clone(), self.sender.clone());
        let (reply, answer) = oneshot::channel();
        self.ask(Work::Read(Box::new(move |engine| {
            let _gone = reply.send(channels_of(engine, &tenant));
        })));
        let _task = tasks::spawn(async move {
            if let Ok(channels) = answer.await {
                let _closed = sender.send(Happening::Channels(channels)).await;
            }
        });
    }

    fn note(&mut self, event: &Event) {
        let relay = self.setup.relay.key_id();
        let tenant = self.setup.tenant.as_str();
        match event {
            Event::Connected => {
                self.is_open.store(true, Ordering::Relaxed);
                if let Some(way) = self.unproven.take() {
                    self.setup.routes.handle_verified(way);
                }
                tracing::info!(%relay, tenant, "relay session open");
            }
            Event::Answered { exchange, is_empty } => self.answered = Some((*exchange, *is_empty)),
            Event::Delivered { kind, .. } => {
                tracing::debug!(%relay, tenant, kind = kind.as_str(), "relay stored");
            }
            Event::Refused {
                reject: Some(Reject::BundleGap),
                ..
            } => self.lacks_bundles = true,
            // It holds it already: a controller that starts does not know.
            Event::Refused {
                reject: Some(Reject::BundleStale),
                ..
            } => {}
            Event::Refused { kind, reject, .. } => {
                let reason = reject.map_or("unknown", Reject::as_str);
                tracing::warn!(%relay, tenant, kind = kind.as_str(), reason, "relay refused");
            }
            Event::RefusedByMailbox { reject } => {
                let reason = reject.map_or("unknown", Reject::as_str);
                tracing::warn!(%relay, tenant, reason, "relay refused the session");
                // Every way leads to this relay: none of them is to blame.
                self.unproven = None;
            }
            Event::Rejected { reject } => {
                tracing::warn!(%relay, tenant, reason = reject.as_str(), "rejected what a relay said");
            }
        }
    }

    /// Random bits for pauses.
    pub(super) fn dice() -> u64 {
        random()
    }
}

/// The refused frame with which a mailbox in this controller would answer; none for a refusal that
/// passes by itself: the device asks again.
pub(super) fn lasting_refusal(reject: Reject) -> Option<Vec<u8>> {
    //= spec/relays.md#knocks
    //# A writer MUST NOT bring a refusal that may pass by itself, `overloaded` or `quota`.
    let is_passing = matches!(
        reject,
        Reject::Overloaded | Reject::Quota | Reject::EnrolPending
    );
    let refused = PlainFrame::Refused {
        code: reject.code(),
        retry_ms: None,
    };
    (!is_passing).then(|| refused.encode().ok()).flatten()
}

/// The channels of a tenant of which a relay has to know, those that were withdrawn included.
fn channels_of(engine: &Controller, tenant: &Tenant) -> Vec<ChannelId> {
    let members = engine.members().filter(|member| member.is_enrolled());
    let members = members.map(|member| member.channel());
    let withdrawn = engine.withdrawn().map(|withdrawn| withdrawn.channel());
    let channels = members.chain(withdrawn);
    let own = channels.filter(|channel| channel.tenant == *tenant);
    own.map(Channel::id).collect()
}

/// Waits for the engine's answer to what it was given first.
async fn next_taken(
    taking: &mut VecDeque<Taking>,
) -> Option<(ArrivalNumber, Option<ChannelId>, Result<Taken, Reject>)> {
    let first = taking.front_mut()?;
    let (arrival, channel) = (first.arrival, first.channel);
    let taken = (&mut first.answer).await.ok();
    taking.pop_front();
    Some((arrival, channel, taken?))
}
