//! One device against a mailbox that the test plays: every answer is written by hand.
//!
//! For attacks and tables: what does the engine do with exactly these bytes? Holds a writer key,
//! so that it can sign contradictions that an honest controller never would.

use super::keys::{Dice, TestKeys, signer};
use super::node::DeviceNode;
use crate::context::draw;
use crate::device::{Applied, Event, Exchange, ExchangeId, Identity, Input, Output};
use crate::envelope::{Binding, Draft, Header, ReceivedEnvelope};
use crate::frame::{
    Answer, BodyChunk, Direction, DownFrame, FrameType, Item, SessionFrame, frame_type,
};
use crate::id::{Digest, Plane, SessionId};
use crate::key::Signer;
use crate::kind::{MessageKind, Role};
use crate::message::{REPORT_ACK_PAYLOAD, Snapshot};
use crate::reject::Reject;
use crate::revision::{BundleNumber, Epoch, Lineage, LineageEntry, Revision, Seq};
use crate::session::{
    Admitted, EphemeralWindows, MailboxHandshake, MailboxKey, ReceivedHello, Sessions,
};
use crate::state::{Delta, Path, State, Value};
use alloc::vec::Vec;

/// A request of the device that waits for the test's answer.
#[derive(Debug, Clone)]
pub struct Answering {
    /// To answer it by.
    pub exchange: ExchangeId,
    /// To be repeated.
    pub counter: u16,
    /// What it is.
    pub kind: FrameType,
    /// Its bytes.
    pub frame: Vec<u8>,
}

/// A device and the test that plays its mailbox.
#[derive(Debug)]
pub struct Lone {
    /// The domain's keys.
    pub keys: TestKeys,
    /// The device.
    pub node: DeviceNode,
    /// Milliseconds.
    pub now_ms: u64,
    /// Dice.
    pub dice: Dice,
    /// Exchanges that nobody answered yet.
    pub outbox: Vec<Exchange>,
    /// Revisions that it wants applied and that nobody applied yet.
    pub applies: Vec<Revision>,
    /// How often it gave its session up.
    pub reconnects: usize,
    /// Heartbeats that it posted. They are answered with nothing at once.
    pub heartbeats: Vec<Vec<u8>>,
    windows: EphemeralWindows,
    sessions: Sessions<u8>,
}

impl Default for Lone {
    fn default() -> Self {
        Self::new()
    }
}

impl Lone {
    /// Starts a device that holds nothing.
    #[must_use]
    pub fn new() -> Self {
        let keys = TestKeys::new();
        let identity = Identity {
            channel: keys.channel("press-7"),
            incarnation: TestKeys::incarnation(),
        };
        let node = DeviceNode::new(identity, signer("device"), keys.trust());
        let mut lone = Self {
            keys,
            node,
            now_ms: 10_000,
            dice: Dice::new(7),
            outbox: Vec::new(),
            applies: Vec::new(),
            reconnects: 0,
            heartbeats: Vec::new(),
            windows: EphemeralWindows::new([3; 32], 10_000),
            sessions: Sessions::new(8),
        };
        lone.restart();
        lone
    }

    /// Starts a device that holds `state` at `revision`, applied, with an open session.
    #[must_use]
    pub fn holding(state: &State, revision: Revision) -> Self {
        let mut lone = Self::new();
        lone.connect();
        lone.bring(state, revision);
        lone
    }

    /// Brings the device to a state by a snapshot and applies it.
    pub fn bring(&mut self, state: &State, revision: Revision) {
        let snapshot = self.seal_snapshot(state, revision, Vec::new());
        self.serve(&[snapshot]);
        self.serve_bodies(state);
        self.apply(0, "");
        self.drop_requests();
    }

    /// Drops the engine and starts it again from its store.
    pub fn restart(&mut self) {
        assert_eq!(self.node.restore(), None);
        self.outbox.clear();
        self.applies.clear();
        self.sessions = Sessions::new(8);
        self.input(Input::Start);
    }

    /// Gives one input and drains.
    pub fn input(&mut self, input: Input<'_>) {
        self.node.input(self.now_ms, &mut self.dice, input);
        let mut heartbeats = Vec::new();
        while let Some(output) = self.node.engine.as_mut().and_then(|it| it.poll_output()) {
            match output {
                Output::Persist(writes) => {
                    assert_ne!(self.node.commit(&writes), Err("a durable head went back"));
                }
                Output::Exchange(exchange) if is_heartbeat(&exchange) => heartbeats.push(exchange),
                Output::Exchange(exchange) => self.outbox.push(exchange),
                Output::Apply { revision } => self.applies.push(revision),
                Output::Act {
                    path,
                    value,
                    is_retry,
                } => self.node.acts.push((path, value, is_retry)),
                Output::Reconnect => self.reconnects += 1,
                Output::Event(event) => self.node.events.push(event),
            }
        }
        for exchange in heartbeats {
            self.heartbeats.extend(posted(&exchange.frame));
            if let Ok(opened) = self.sessions.open(&exchange.frame, self.now_ms) {
                let counter = opened.counter;
                let frame = self.seal(counter, &DownFrame::Answer(Answer::default()));
                self.answer_raw(exchange.id, &frame);
            }
        }
    }

    /// Lets time pass, waking the engine whenever it asks for it. Returns how often it did.
    pub fn run(&mut self, ms: u64) -> usize {
        let end_ms = self.now_ms.saturating_add(ms);
        let mut wakes = 0;
        while let Some(due_ms) = self.timeout().filter(|due_ms| *due_ms <= end_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.input(Input::Timeout);
            wakes += 1;
            assert!(wakes < 10_000, "a busy loop");
        }
        self.now_ms = end_ms;
        wakes
    }

    fn timeout(&self) -> Option<u64> {
        self.node.engine.as_ref()?.poll_timeout()
    }

    /// Runs the handshake with the mailbox of the bundle. # Panics: when it fails.
    pub fn connect(&mut self) {
        self.input(Input::Connect);
        let Some(ask) = self.outbox.pop() else {
            unreachable!("a device without a session asks")
        };
        self.windows = EphemeralWindows::new(draw(&mut self.dice), self.now_ms);
        let mailbox = signer("mailbox");
        let handshake = greeted(&self.windows, &mailbox);
        let challenge = handshake.answer_ask(&ask.frame, draw(&mut self.dice));
        self.answer_raw(ask.id, &challenge.unwrap_or_default());
        let Some(hello) = self.outbox.pop() else {
            unreachable!("the challenge names the mailbox of the bundle")
        };
        let identity = self.node.identity.clone();
        let admitted = Admitted::device(
            &identity.channel,
            identity.incarnation,
            self.node.signer.public_key(),
        );
        let handshake = greeted(&self.windows, &mailbox);
        let id = SessionId::from_bytes(draw(&mut self.dice));
        let welcomed = ReceivedHello::parse(&hello.frame).and_then(|hello| {
            handshake.handle_hello(&hello, &[admitted], |_| false, id, self.now_ms)
        });
        let Ok(welcomed) = welcomed else {
            unreachable!("the device is admitted: {welcomed:?}")
        };
        if self
            .sessions
            .offer(1, welcomed.pending, self.now_ms)
            .is_err()
        {
            unreachable!("the table has room")
        }
        self.answer_raw(hello.id, &welcomed.frame);
    }

    /// Gives bytes back for an exchange.
    pub fn answer_raw(&mut self, exchange: ExchangeId, frame: &[u8]) {
        self.input(Input::Answer { exchange, frame });
    }

    /// Takes the oldest request of a kind, opened.
    pub fn request(&mut self, kind: FrameType) -> Option<Answering> {
        let is_it = |one: &Exchange| frame_type(&one.frame) == Ok(kind);
        let at = self.outbox.iter().position(is_it)?;
        let exchange = self.outbox.remove(at);
        let opened = self.sessions.open(&exchange.frame, self.now_ms).ok()?;
        Some(Answering {
            exchange: exchange.id,
            counter: opened.counter,
            kind,
            frame: exchange.frame.clone(),
        })
    }

    /// Gives the mailbox a request once more. # Errors: what its session refuses.
    pub fn open_again(&mut self, request: &Answering) -> Result<(), Reject> {
        let opened = self.sessions.open(&request.frame, self.now_ms);
        opened.map(|_| ())
    }

    /// Grants a poll and takes it. `None` when the engine does not poll now.
    pub fn poll(&mut self) -> Option<Answering> {
        self.input(Input::Hold { seconds: 55 });
        self.request(FrameType::Poll)
    }

    /// Seals an answer in the session. # Panics: for what cannot be sealed.
    #[must_use]
    pub fn seal(&self, counter: u16, frame: &DownFrame<'_>) -> Vec<u8> {
        let session = self.sessions.confirmed(&1);
        let session = session.and_then(|id| self.sessions.session(id));
        let sealed = session.map(|session| session.seal_answer(counter, frame));
        let Some(Ok(sealed)) = sealed else {
            unreachable!("tests answer within a session and the limits: {sealed:?}")
        };
        sealed
    }

    /// Answers a request with envelopes of the desired plane.
    pub fn answer(&mut self, to: &Answering, envelopes: &[Vec<u8>]) {
        let items = envelopes.iter().map(|envelope| Item {
            plane: Some(Plane::Desired),
            envelope,
        });
        self.answer_items(to, items.collect());
    }

    /// Answers a request with items.
    pub fn answer_items(&mut self, to: &Answering, items: Vec<Item<'_>>) {
        let answer = Answer {
            items,
            ..Answer::default()
        };
        let frame = self.seal(to.counter, &DownFrame::Answer(answer));
        self.answer_raw(to.exchange, &frame);
    }

    /// Lets the device poll and answers with envelopes. Waits out the engine's pace.
    pub fn serve(&mut self, envelopes: &[Vec<u8>]) {
        let poll = self.paced_poll();
        self.answer(&poll, envelopes);
    }

    /// Lets the device poll, after its pace if it has one. # Panics: when it never polls.
    pub fn paced_poll(&mut self) -> Answering {
        if let Some(poll) = self.poll() {
            return poll;
        }
        self.run(6_000);
        let Some(poll) = self.request(FrameType::Poll) else {
            unreachable!("a granted poll starts when the pace allows")
        };
        poll
    }

    /// Answers fetches until none is under way. One chunk a body: for small states.
    pub fn serve_bodies(&mut self, state: &State) {
        self.drop_requests();
        while let Some(fetch) = self.request(FrameType::Fetch) {
            let chunks = state.section_digests().filter_map(|(_, digest)| {
                let bytes = state.body(digest)?;
                Some(BodyChunk {
                    digest: *digest,
                    size: bytes.len() as u64,
                    offset: 0,
                    bytes,
                })
            });
            let bodies = DownFrame::Bodies(chunks.collect());
            let frame = self.seal(fetch.counter, &bodies);
            self.answer_raw(fetch.exchange, &frame);
        }
    }

    /// Ends the oldest application with a status.
    pub fn apply(&mut self, status: i64, output: &str) {
        if self.applies.is_empty() {
            return;
        }
        let revision = self.applies.remove(0);
        self.input(Input::Applied(Applied {
            revision,
            status,
            output: output.into(),
        }));
    }

    /// Answers every report with an empty answer. Returns the report envelopes.
    pub fn take_reports(&mut self) -> Vec<Vec<u8>> {
        let mut reports = Vec::new();
        while let Some(post) = self.request(FrameType::Post) {
            reports.extend(posted(&post.frame));
            self.answer(&post, &[]);
        }
        reports
    }

    /// Takes the reports and acknowledges the newest.
    pub fn acknowledge(&mut self) {
        self.take_reports();
        let ack = self.seal_ack_of_newest();
        self.serve(&[ack]);
    }

    /// Forgets requests that the test does not care about; they count as answered with nothing.
    pub fn drop_requests(&mut self) {
        self.take_reports();
        while let Some(need) = self.request(FrameType::Need) {
            self.answer(&need, &[]);
        }
    }

    /// Signs a snapshot as the writer.
    #[must_use]
    pub fn seal_snapshot(
        &self,
        state: &State,
        revision: Revision,
        lineage: Vec<LineageEntry>,
    ) -> Vec<u8> {
        let Ok(lineage) = Lineage::new(lineage, revision.epoch) else {
            unreachable!("tests give a valid lineage")
        };
        let payload = Snapshot {
            table: state.section_table(),
            lineage,
        };
        let kind = MessageKind::Snapshot;
        self.seal_message(kind, revision, 0, Some(*state.root()), payload.encode())
    }

    /// Signs a delta as the writer.
    #[must_use]
    pub fn seal_delta(&self, delta: &Delta, base: u64, to: Revision, digest: Digest) -> Vec<u8> {
        self.seal_message(MessageKind::Delta, to, base, Some(digest), delta.encode())
    }

    /// Signs the step between two states as the writer. # Panics: when they are equal.
    #[must_use]
    pub fn seal_step(&self, from: &State, to: &State, base: u64, revision: Revision) -> Vec<u8> {
        let Some(delta) = from.diff(to) else {
            unreachable!("the states differ")
        };
        self.seal_delta(&delta, base, revision, *to.root())
    }

    /// Signs an acknowledgement as the writer.
    #[must_use]
    pub fn seal_ack(&self, report: Revision) -> Vec<u8> {
        let payload = REPORT_ACK_PAYLOAD.to_vec();
        self.seal_message(MessageKind::ReportAck, report, 0, None, payload)
    }

    /// Signs an acknowledgement of the newest report.
    #[must_use]
    pub fn seal_ack_of_newest(&self) -> Vec<u8> {
        let number = self
            .node
            .engine
            .as_ref()
            .map(|engine| engine.report_number());
        self.seal_ack(number.unwrap_or(Revision::NONE))
    }

    /// Signs any message of the device's channel as the writer.
    #[must_use]
    pub fn seal_message(
        &self,
        kind: MessageKind,
        revision: Revision,
        base: u64,
        digest: Option<Digest>,
        payload: Vec<u8>,
    ) -> Vec<u8> {
        let header = Header {
            kind,
            epoch: revision.epoch,
            seq: revision.seq,
            base: Seq::new(base),
            digest,
        };
        let binding = Binding::Device {
            channel: &self.node.identity.channel,
            incarnation: self.node.identity.incarnation,
        };
        let sealed = Draft { header, payload }.seal(Role::Writer, binding, &self.keys.writer);
        let Ok(sealed) = sealed else {
            unreachable!("tests sign what fits: {sealed:?}")
        };
        sealed.into_bytes()
    }

    /// What was refused, in order.
    #[must_use]
    pub fn rejects(&self) -> Vec<Reject> {
        let reject = |event: &Event| {
            let Event::Rejected { reject } = event else {
                return None;
            };
            Some(*reject)
        };
        self.node.events.iter().filter_map(reject).collect()
    }
}

fn is_heartbeat(exchange: &Exchange) -> bool {
    posted(&exchange.frame).iter().any(|envelope| {
        let received = ReceivedEnvelope::parse(envelope);
        received.is_ok_and(|it| it.unverified_header().kind == MessageKind::Heartbeat)
    })
}

fn greeted<'a>(windows: &'a EphemeralWindows, mailbox: &'a dyn Signer) -> MailboxHandshake<'a> {
    MailboxHandshake {
        windows,
        keys: Vec::from([MailboxKey::only(mailbox)]),
        bundle: BundleNumber::new(1),
        age_max_s: 3_600,
        time: None,
    }
}

/// Returns the envelopes of a post without looking at its tag.
#[must_use]
pub fn posted(frame: &[u8]) -> Vec<Vec<u8>> {
    let body = SessionFrame::split(frame, Direction::Up).and_then(|it| it.danger_unverified_body());
    let Ok(crate::frame::UpFrame::Post(items)) = body.and_then(|body| body.decode_up()) else {
        return Vec::new();
    };
    items.iter().map(|item| item.envelope.to_vec()).collect()
}

/// Builds a state of whole numbers. # Panics: for what is no path.
#[must_use]
pub fn numbers(entries: &[(&str, u64)]) -> State {
    let entries = entries.iter().filter_map(|(path, value)| {
        let path = Path::parse(path).ok()?;
        Some((path, Value::Int((*value).into())))
    });
    let state = State::from_entries(entries);
    state.unwrap_or_else(|_| unreachable!("tests give paths without conflicts"))
}

/// Names a revision.
#[must_use]
pub const fn at(epoch: u64, seq: u64) -> Revision {
    Revision::new(Epoch::new(epoch), Seq::new(seq))
}
