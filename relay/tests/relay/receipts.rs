//! Evidence that nobody comes for: the relay drops it after its time, tells the device with its signature, and
//! the writer that comes at last still gets what the device holds against it.
//!
//! A real device engine talks to a whole relay; its arrival clock is wound in the store, while it stands still.

use super::chain::{Hop, collected, device_at, until};
use super::site::{
    LIFE, MAILBOX, PLANT, Place, Running, channel, device, first_bundle, mailbox, open_answer,
    pinned, seal, signer,
};
use postern_protocol::Reject;
use postern_protocol::cbor::Writer;
use postern_protocol::context::{Now, Random};
use postern_protocol::device::{
    Applied, Context, Device, Event, Exchange, Identity, Input, Output, Settings,
};
use postern_protocol::envelope::{Binding, Draft, Expected, Header, ReceivedEnvelope};
use postern_protocol::frame::{Item, Poll, UpFrame};
use postern_protocol::id::{MessageId, Plane};
use postern_protocol::key::Signer as _;
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::receipt::Receipt;
use postern_protocol::revision::{BundleNumber, Epoch, ReceiptNumber, Revision, Seq};
use postern_protocol::session::ClientSession;
use postern_protocol::state::State;
use postern_relay::durable::limits::LETTER_AGE_S_MAX;
use postern_relay::store::{Batch, DiskStore, Profile, Store as _, Table};
use std::collections::VecDeque;
use std::sync::Arc;

/// Where a relay keeps its arrival clock.
const CLOCK: (Table, &[u8]) = (Table::new("relay-own"), b"clock");

/// Lets the relay of this place grow older than a letter may, while it stands still.
fn wind(place: &Place) {
    let store = DiskStore::open(&place.store(), Profile::Server).unwrap();
    let now = store.get(CLOCK.0, CLOCK.1).unwrap().unwrap_or(vec![0; 8]);
    let now = u64::from_be_bytes(now.try_into().unwrap());
    let mut batch = Batch::new();
    let later = now + LETTER_AGE_S_MAX + 60;
    batch.insert(CLOCK.0, CLOCK.1, later.to_be_bytes());
    let _durable = store.commit(batch).unwrap();
    store.close().unwrap();
}

/// Bytes that follow from a counter: every run is the same.
struct Counting(u64);

impl Random for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

/// A device that follows what comes and refuses what it must.
struct Unit {
    engine: Device,
    random: Counting,
    now_ms: u64,
    exchanges: VecDeque<Exchange>,
    events: Vec<Event>,
    is_down: bool,
    frames: usize,
}

impl Unit {
    fn new() -> Self {
        let identity = Identity {
            channel: channel(),
            incarnation: LIFE,
        };
        let trust = pinned().offer(&first_bundle()).unwrap();
        let engine = Device::restore(identity, trust, Settings::default(), []).unwrap();
        let mut unit = Self {
            engine,
            random: Counting(1),
            now_ms: 1_000,
            exchanges: VecDeque::new(),
            events: Vec::new(),
            is_down: true,
            frames: 0,
        };
        unit.give(Input::Start);
        unit
    }

    fn give(&mut self, input: Input<'_>) {
        let signer = device();
        let mut context = Context {
            now: Now {
                mono_ms: self.now_ms,
                unix_s: None,
            },
            random: &mut self.random,
            signer: &signer,
        };
        self.engine.handle_input(&mut context, input);
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Exchange(exchange) => self.exchanges.push_back(exchange),
                Output::Apply { revision } => self.give(Input::Applied(Applied {
                    revision,
                    status: 0,
                    output: String::new(),
                })),
                Output::Event(event) => self.events.push(event),
                Output::Reconnect => self.is_down = true,
                Output::Persist(_) | Output::Act { .. } => {}
            }
        }
    }

    /// Talks with the relay until nothing is left to say for a few rounds of six seconds.
    async fn run(&mut self, relay: &Running, rounds: usize) {
        for _ in 0..rounds {
            if std::mem::take(&mut self.is_down) {
                self.exchanges.clear();
                self.give(Input::Connect);
            }
            while let Some(Exchange { id, frame, .. }) = self.exchanges.pop_front() {
                self.frames += 1;
                let answer = relay.exchange(frame).await;
                self.give(Input::Answer {
                    exchange: id,
                    frame: &answer,
                });
            }
            self.now_ms += 6_000;
            self.give(Input::Timeout);
            self.give(Input::Hold { seconds: 0 });
        }
    }

    fn receipts(&self) -> Vec<Receipt> {
        let receipts = self.events.iter().filter_map(|event| {
            let Event::Receipt {
                mailbox: key,
                receipt,
            } = event
            else {
                return None;
            };
            assert_eq!(*key, mailbox().public_key().thumbprint());
            Some(*receipt)
        });
        receipts.collect()
    }

    fn posts(&self) -> usize {
        let posted = |event: &&Event| matches!(event, Event::EvidencePosted { .. });
        self.events.iter().filter(posted).count()
    }
}

/// A snapshot of the empty state that knows of no epoch before its own.
fn empty_state(epoch: u64, seq: u64) -> Vec<u8> {
    let mut payload = Writer::new();
    payload.array(2).map(0).array(0);
    let header = Header {
        kind: MessageKind::Snapshot,
        epoch: Epoch::new(epoch),
        seq: Seq::new(seq),
        base: Seq::new(0),
        digest: Some(*State::default().root()),
    };
    let channel = channel();
    let binding = Binding::Device {
        channel: &channel,
        incarnation: LIFE,
    };
    let payload = payload.into_bytes();
    let sealed = Draft { header, payload }.seal(Role::Writer, binding, &super::site::writer());
    sealed.unwrap().into_bytes()
}

async fn decide(relay: &Running, writer: &mut ClientSession, epoch: u64, seq: u64) {
    let item = (
        Some(channel().id()),
        Some(Plane::Desired),
        empty_state(epoch, seq),
    );
    assert_eq!(relay.deliver(writer, &[item]).await, (Vec::new(), 0));
}

fn kind_of(envelope: &[u8]) -> MessageKind {
    let received = ReceivedEnvelope::parse(envelope).unwrap();
    received.unverified_header().kind
}

fn message_of(envelope: &[u8]) -> MessageId {
    let channel = channel();
    let binding = Binding::Device {
        channel: &channel,
        incarnation: LIFE,
    };
    let expected = Expected {
        role: Role::Device,
        plane: Some(Plane::Desired),
    };
    let received = ReceivedEnvelope::parse(envelope).unwrap();
    received.unverified_message_id(expected, binding).unwrap()
}

/// What the relay keeps for the writer, whatever it has read.
async fn kept(relay: &Running, seed: u8) -> Vec<Vec<u8>> {
    let mut writer = relay.writer(seed).await;
    let (_, entries) = relay.collect(&mut writer, 0, (0, 0)).await;
    entries.into_iter().map(|(_, envelope)| envelope).collect()
}

async fn dead_letters(relay: &Running, count: u64) {
    until("the sweep finds the letter", || async move {
        (relay.relay.stats().dead_letters == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn device_gets_a_receipt_for_evidence_that_grew_old_and_its_writer_the_evidence_at_last() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    decide(&relay, &mut writer, 100, 110).await;
    let mut unit = Unit::new();
    unit.run(&relay, 4).await;
    assert!(unit.engine.head().is_some());
    // The writer lost its store: the device refuses what it says now, and tells why.
    decide(&relay, &mut writer, 101, 1).await;
    unit.run(&relay, 4).await;
    assert!(unit.posts() >= 1 && unit.receipts().is_empty());
    let found = kept(&relay, 2).await.into_iter();
    let evidence = found.filter(|one| kind_of(one) == MessageKind::Evidence);
    let evidence: Vec<Vec<u8>> = evidence.collect();
    assert_eq!(evidence.len(), 1);

    relay.relay.shutdown(100).await;
    wind(&place);
    let relay = place.start();
    dead_letters(&relay, 1).await;
    relay.relay.shutdown(100).await;

    // What it said is durable: the device is told by the next process.
    let relay = place.start();
    let (before, frames) = (unit.posts(), unit.frames);
    unit.run(&relay, 20).await;
    let receipts = unit.receipts();
    let [receipt] = receipts.as_slice() else {
        panic!("told once: {receipts:?}");
    };
    assert_eq!(receipt.code, Reject::RetentionExpired.code());
    assert_eq!(receipt.message, message_of(&evidence[0]));
    let (posts, frames) = (unit.posts() - before, unit.frames - frames);
    assert!((1..=3).contains(&posts), "{posts} in two minutes");
    assert!(frames < 60, "{frames} exchanges in two minutes");
    relay.relay.shutdown(100).await;

    // It has it: nobody is told again, and whoever writes now gets marker and evidence.
    let relay = place.start();
    let again = unit.receipts().len();
    unit.run(&relay, 4).await;
    assert_eq!(unit.receipts().len(), again);
    let mut session = relay.device(90).await;
    let given = relay.poll(&mut session).await;
    assert!(given.iter().all(|one| kind_of(one) != MessageKind::Receipt));
    let kept = kept(&relay, 3).await;
    let count = |kind| kept.iter().filter(|one| kind_of(one) == kind).count();
    assert_eq!(count(MessageKind::Lost), 1);
    assert!(kept.contains(&evidence[0]), "the very same message");
    relay.relay.shutdown(100).await;
}

/// Polls and names a receipt; returns the receipts of the answer.
async fn poll_naming(
    relay: &Running,
    session: &mut ClientSession,
    receipt: Option<ReceiptNumber>,
) -> Vec<Receipt> {
    let poll = Poll {
        hold_s: 0,
        bundle: BundleNumber::new(1),
        acked: None,
        desired: Revision::NONE,
        actual: None,
        receipt,
    };
    let (counter, answer) = relay.ask(session, &UpFrame::Poll(poll)).await.unwrap();
    let trust = pinned().offer(&first_bundle()).unwrap();
    let items = open_answer(session, counter, &answer).items;
    let receipts = items.iter().filter_map(|item| {
        let received = ReceivedEnvelope::parse(item.envelope).unwrap();
        let is_receipt = received.unverified_header().kind == MessageKind::Receipt;
        is_receipt.then(|| {
            assert_eq!(item.plane, None);
            let tenant = channel().tenant;
            Receipt::verify(&received, &trust, &tenant).unwrap()
        })
    });
    let upstream = signer(MAILBOX).public_key().thumbprint();
    receipts
        .map(|(key, receipt)| {
            assert_eq!(key, upstream, "whoever dropped it signs");
            receipt
        })
        .collect()
}

#[tokio::test]
async fn receipt_of_an_upstream_comes_down_to_the_device() {
    let place = Place::new();
    let enterprise = Arc::new(place.start());
    let hop = Hop::new(PLANT, MAILBOX);
    let plant = hop.start(&enterprise);
    let mut writer = enterprise.writer(1).await;
    enterprise.admit(&mut writer).await;
    let mut session = device_at(&plant).await;
    let evidence = seal(Role::Device, MessageKind::Evidence, [1, 1, 0], vec![0x80]);
    let post = UpFrame::Post(vec![Item {
        plane: Some(Plane::Desired),
        envelope: &evidence,
    }]);
    let (counter, answer) = plant.ask(&mut session, &post).await.unwrap();
    assert_eq!(open_answer(&session, counter, &answer).hints.refused, []);
    collected(&enterprise, &mut writer, &evidence).await;
    enterprise.relay.forget(channel().id()).await.unwrap();
    let held = tokio::sync::Mutex::new(session);
    let receipt = until("the receipt comes down", || async {
        let mut session = held.lock().await;
        let found = poll_naming(&plant, &mut session, None).await;
        found.first().copied()
    })
    .await;
    assert_eq!(receipt.message, message_of(&evidence));
    let mut session = held.into_inner();
    let named = Some(receipt.place());
    assert_eq!(poll_naming(&plant, &mut session, named).await, []);
    assert_eq!(poll_naming(&plant, &mut session, None).await, []);
}
