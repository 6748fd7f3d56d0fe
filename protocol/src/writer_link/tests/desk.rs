//! A link under the hand of a test: the mailbox at the other end says whatever the test writes.
//!
//! Refuses to be a mailbox: it keeps nothing and judges nothing.

use crate::context::Now;
use crate::controller::Post;
use crate::envelope::{Binding, Draft, Header};
use crate::frame::{Answer, frame_type};
use crate::frame::{Collected, DownFrame, Entry, FrameType, Hints, UpFrame};
use crate::id::{ChannelId, Digest, SessionId};
use crate::key::Signer as _;
use crate::kind::{MessageKind, Role};
use crate::message::Snapshot;
use crate::record::Write;
use crate::reject::Reject;
use crate::revision::{BundleNumber, Epoch, Lineage, Seq, StoreEpoch};
use crate::session::{
    Admitted, EphemeralWindows, MailboxHandshake, MailboxKey, ReceivedHello, Sessions, Welcomed,
};
use crate::state::State;
use crate::testing::{Dice, TestKeys};
use crate::writer_link::{
    Context, Event, ExchangeId, Input, Letter, LinkIdentity, Output, WriterLink,
};
use alloc::vec::Vec;

pub(super) const EPOCH: u64 = 100;

/// A request of the link, opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) exchange: ExchangeId,
    session: SessionId,
    counter: u16,
}

/// A link, the keys of its trust domain, and the sessions of the mailbox.
pub(super) struct Desk {
    pub(super) link: WriterLink,
    pub(super) keys: TestKeys,
    pub(super) now_ms: u64,
    /// Everything that left since the last look, but the frames.
    pub(super) outputs: Vec<Output>,
    pub(super) frames: Vec<(ExchangeId, Vec<u8>, Option<u64>)>,
    pub(super) record: Option<Vec<u8>>,
    windows: EphemeralWindows,
    sessions: Sessions<u8>,
    dice: Dice,
    hellos: u8,
}

impl Desk {
    /// A link that never heard of the mailbox, and is down.
    pub(super) fn new() -> Self {
        Self::with_record(None)
    }

    pub(super) fn with_record(record: Option<Vec<u8>>) -> Self {
        let keys = TestKeys::new();
        let identity = identity(&keys);
        let link = WriterLink::new(identity, BundleNumber::new(1), record.as_deref()).unwrap();
        Self {
            link,
            keys,
            now_ms: 100_000,
            outputs: Vec::new(),
            frames: Vec::new(),
            record,
            windows: EphemeralWindows::new([3; 32], 100_000),
            sessions: Sessions::new(8),
            dice: Dice::new(5),
            hellos: 0,
        }
    }

    /// A link with an open session.
    pub(super) fn open() -> Self {
        let mut desk = Self::new();
        desk.connect();
        desk
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        let mut context = Context {
            now: Now {
                mono_ms: self.now_ms,
                unix_s: None,
            },
            random: &mut self.dice,
            signer: &self.keys.writer,
        };
        self.link.handle_input(&mut context, input);
        while let Some(output) = self.link.poll_output() {
            match output {
                Output::Exchange { id, frame, hold_s } => self.frames.push((id, frame, hold_s)),
                Output::Persist(writes) => self.persist(writes),
                output @ (Output::Reconnect
                | Output::Received { .. }
                | Output::Knock { .. }
                | Output::Bodies { .. }
                | Output::NoBodies { .. }
                | Output::SnapshotWanted { .. }
                | Output::StoreChanged { .. }
                | Output::RefillWanted { .. }
                | Output::Event(_)) => self.outputs.push(output),
            }
        }
    }

    fn persist(&mut self, writes: Vec<Write>) {
        let [write] = &writes[..] else {
            panic!("one record, not {writes:?}");
        };
        self.record.clone_from(&write.value);
    }

    pub(super) fn handshake(&self) -> MailboxHandshake<'_> {
        MailboxHandshake {
            windows: &self.windows,
            keys: Vec::from([MailboxKey::only(&self.keys.mailbox)]),
            bundle: BundleNumber::new(1),
            age_max_s: 3_600,
            time: None,
        }
    }

    pub(super) fn answer_raw(&mut self, exchange: ExchangeId, frame: &[u8]) {
        self.input(Input::Answer { exchange, frame });
    }

    /// Answers the ask with a challenge and returns the hello.
    pub(super) fn ask(&mut self) -> (ExchangeId, Vec<u8>) {
        if self.windows.is_rotation_due(self.now_ms) {
            self.windows.rotate([4; 32], self.now_ms);
        }
        self.input(Input::Connect);
        let (exchange, ask, _) = self.frames.remove(0);
        let challenge = self.handshake().answer_ask(&ask, [self.hellos; 8]).unwrap();
        self.answer_raw(exchange, &challenge);
        let (exchange, hello, _) = self.frames.remove(0);
        (exchange, hello)
    }

    pub(super) fn welcome(&mut self, hello: &[u8]) -> Result<Welcomed, Reject> {
        self.hellos += 1;
        let id = SessionId::from_bytes([self.hellos; 4]);
        let key = self.keys.writer.public_key();
        let admitted = Admitted::writer(self.keys.domain(), &self.keys.tenant, key);
        let hello = ReceivedHello::parse(hello)?;
        self.handshake()
            .handle_hello(&hello, &[admitted], |_| false, id, self.now_ms)
    }

    pub(super) fn connect(&mut self) {
        let (exchange, hello) = self.ask();
        let welcomed = self.welcome(&hello).unwrap();
        let now_ms = self.now_ms;
        self.sessions.offer(1, welcomed.pending, now_ms).unwrap();
        self.answer_raw(exchange, &welcomed.frame);
        assert!(self.events().contains(&Event::Connected));
        self.outputs.clear();
    }

    /// Gives the link a letter of this desk.
    pub(super) fn push(&mut self, letter: impl FnOnce(&Self) -> Letter) {
        let letter = letter(self);
        self.input(Input::Deliver(letter));
    }

    pub(super) fn hold(&mut self) {
        self.input(Input::Hold { seconds: 55 });
    }

    /// Opens the oldest request of a type and shows it. # Panics: when there is none.
    pub(super) fn request<R>(
        &mut self,
        kind: FrameType,
        read: impl FnOnce(&UpFrame<'_>) -> R,
    ) -> (Asked, R) {
        let is_it =
            |(_, frame, _): &(ExchangeId, Vec<u8>, Option<u64>)| frame_type(frame) == Ok(kind);
        let place = self.frames.iter().position(is_it);
        let (exchange, bytes, _) = self.frames.remove(place.expect("a request of this type"));
        let opened = self.sessions.open(&bytes, self.now_ms).unwrap();
        assert_eq!(opened.frame.check_greeter(Role::Writer), Ok(()));
        let asked = Asked {
            exchange,
            session: opened.session,
            counter: opened.counter,
        };
        (asked, read(&opened.frame))
    }

    pub(super) fn has_request(&self, kind: FrameType) -> bool {
        let mut frames = self.frames.iter();
        frames.any(|(_, frame, _)| frame_type(frame) == Ok(kind))
    }

    /// The kinds that the next deliver brings, for each channel.
    pub(super) fn delivered(&mut self) -> (Asked, Vec<MessageKind>) {
        self.request(FrameType::Deliver, |frame| {
            let UpFrame::Deliver(deliveries) = frame else {
                panic!("a deliver");
            };
            let kind = |one: &crate::frame::Delivery<'_>| {
                let received = crate::envelope::ReceivedEnvelope::parse(one.item.envelope);
                received.unwrap().unverified_header().kind
            };
            deliveries.iter().map(kind).collect()
        })
    }

    pub(super) fn seal(&self, asked: Asked, frame: &DownFrame<'_>) -> Vec<u8> {
        let session = self.sessions.session(asked.session).unwrap();
        session.seal_answer(asked.counter, frame).unwrap()
    }

    pub(super) fn answer_frame(&mut self, asked: Asked, frame: &DownFrame<'_>) {
        let bytes = self.seal(asked, frame);
        self.answer_raw(asked.exchange, &bytes);
    }

    /// Answers a work with these hints.
    pub(super) fn answer(&mut self, asked: Asked, hints: Hints) {
        let items = Vec::new();
        self.answer_frame(asked, &DownFrame::Answer(Answer { hints, items }));
    }

    /// Answers the collect under way.
    pub(super) fn collected(&mut self, store: u64, hints: Hints, entries: Vec<Entry<'_>>) {
        let (asked, ()) = self.request(FrameType::Collect, |_| ());
        let collected = Collected {
            hints,
            store: StoreEpoch::new(store),
            entries,
        };
        self.answer_frame(asked, &DownFrame::Collected(collected));
    }

    pub(super) fn events(&self) -> Vec<Event> {
        let event = |output: &Output| {
            if let Output::Event(event) = output {
                Some(event.clone())
            } else {
                None
            }
        };
        self.outputs.iter().filter_map(event).collect()
    }

    pub(super) fn rejects(&self) -> Vec<Reject> {
        let events = self.events().into_iter();
        let reject = |event| {
            if let Event::Rejected { reject } = event {
                Some(reject)
            } else {
                None
            }
        };
        events.filter_map(reject).collect()
    }

    pub(super) fn is_reconnecting(&self) -> bool {
        let is_it = |output: &Output| matches!(output, Output::Reconnect);
        self.outputs.iter().any(is_it)
    }

    /// Channels of which a snapshot is wanted.
    pub(super) fn wanted(&mut self) -> Vec<ChannelId> {
        let channel = |output: &Output| {
            if let Output::SnapshotWanted { channel } = output {
                Some(*channel)
            } else {
                None
            }
        };
        let wanted = self.outputs.iter().filter_map(channel).collect();
        self.outputs.clear();
        wanted
    }

    /// Channels that are to be filled anew.
    pub(super) fn refills(&mut self) -> Vec<ChannelId> {
        let channel = |output: &Output| {
            if let Output::RefillWanted { channel } = output {
                Some(*channel)
            } else {
                None
            }
        };
        let wanted = self.outputs.iter().filter_map(channel).collect();
        self.outputs.clear();
        wanted
    }

    fn seal_letter(&self, device: &str, header: Header, payload: Vec<u8>) -> Vec<u8> {
        let channel = self.keys.channel(device);
        let binding = Binding::Device {
            channel: &channel,
            incarnation: TestKeys::incarnation(),
        };
        let draft = Draft { header, payload };
        let sealed = draft.seal(Role::Writer, binding, &self.keys.writer);
        sealed.unwrap().into_bytes()
    }

    /// A delta from `base` to `seq`; nobody here looks into it.
    pub(super) fn delta(&self, device: &str, base: u64, seq: u64) -> Letter {
        let header = Header {
            kind: MessageKind::Delta,
            epoch: Epoch::new(EPOCH),
            seq: Seq::new(seq),
            base: Seq::new(base),
            digest: Some(Digest::of(b"after")),
        };
        let envelope = self.seal_letter(device, header, Vec::from([0x80]));
        Letter::of(self.keys.channel(device).id(), Post::Delta { envelope })
    }

    pub(super) fn snapshot(&self, device: &str, seq: u64, state: &State) -> Letter {
        let snapshot = Snapshot {
            table: state.section_table(),
            lineage: Lineage::new(Vec::new(), Epoch::new(EPOCH)).unwrap(),
        };
        let header = Header {
            kind: MessageKind::Snapshot,
            epoch: Epoch::new(EPOCH),
            seq: Seq::new(seq),
            base: Seq::new(0),
            digest: Some(*state.root()),
        };
        let envelope = self.seal_letter(device, header, snapshot.encode());
        let sections = state.section_digests();
        let bodies = sections
            .filter_map(|(_, digest)| state.body(digest).map(|body| (*digest, body.to_vec())))
            .collect();
        let post = Post::Snapshot { envelope, bodies };
        Letter::of(self.keys.channel(device).id(), post)
    }

    pub(super) fn report_ack(&self, device: &str, rseq: u64) -> Letter {
        self.report_ack_of(device, rseq, Vec::from([0x80]))
    }

    /// The same with another payload; nobody here looks into it.
    pub(super) fn report_ack_of(&self, device: &str, rseq: u64, payload: Vec<u8>) -> Letter {
        let header = Header {
            kind: MessageKind::ReportAck,
            epoch: Epoch::new(EPOCH),
            seq: Seq::new(rseq),
            base: Seq::new(0),
            digest: None,
        };
        let envelope = self.seal_letter(device, header, payload);
        Letter::of(self.keys.channel(device).id(), Post::ReportAck { envelope })
    }
}

pub(super) fn identity(keys: &TestKeys) -> LinkIdentity {
    LinkIdentity {
        root: keys.domain(),
        tenant: keys.tenant.clone(),
        mailbox: keys.mailbox.public_key().clone(),
    }
}

pub(super) fn refused(index: u32, code: u16) -> Hints {
    Hints {
        refused: Vec::from([crate::frame::Refusal { index, code }]),
        ..Hints::default()
    }
}
