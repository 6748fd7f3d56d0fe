//! A blind relay: real engines at both ends, a whole relay over TLS between them, and a mark in both
//! planes that nothing the relay sees, stores or logs may hold.
//!
//! The same run without encryption finds the mark everywhere: the test sees what is there.

use super::site::{
    LIFE, Place, Running, channel, device, first_bundle, genesis, open_bodies, pinned, tenant,
    whole, writer,
};
use postern_protocol::context::{Keyring, Now, Random};
use postern_protocol::controller::{self, Controller, Post, Ticket};
use postern_protocol::device::{self, Applied, Device, Settings};
use postern_protocol::encryption::AgreementSecret;
use postern_protocol::enrol::{EnrolRequest, JoinSecret};
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::{UpFrame, Wanted};
use postern_protocol::id::{ChannelId, Plane, Tenant, TokenId};
use postern_protocol::key::{MemorySigner, Signer};
use postern_protocol::kind::MessageKind;
use postern_protocol::session::ClientSession;
use postern_protocol::state::{Change, Path, Value};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

const DESIRED: &str = "mark-of-desired";
const ACTUAL: &str = "mark-of-actual";
const OUTPUT: &str = "mark-of-output";
const MARKS: [&str; 3] = [DESIRED, ACTUAL, OUTPUT];

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

struct Writers(MemorySigner);

impl Keyring for Writers {
    fn writer(&self, name: &Tenant) -> Option<&dyn Signer> {
        (*name == tenant("acme")).then_some(&self.0 as &dyn Signer)
    }
}

/// Everything that a subscriber of the relay's process is told, as text.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl tracing::Subscriber for Told {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        attributes.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

impl tracing::field::Visit for Told {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let text = format!("{field}={value:?}\n");
        self.0.lock().unwrap().extend_from_slice(text.as_bytes());
    }
}

/// An envelope, its plane, and the bodies that it names.
type Letter = (Option<Plane>, Vec<u8>, Vec<Vec<u8>>);

struct Site {
    relay: Running,
    writer: ClientSession,
    controller: Controller,
    device: Device,
    random: Counting,
    now_ms: u64,
    cursor: (u64, u64),
    /// Envelopes for the relay, each with the bodies that it names.
    outbox: Vec<Letter>,
    wanted: Vec<Wanted>,
    exchanges: VecDeque<device::Exchange>,
    /// Every frame between device and relay.
    seen: Vec<u8>,
    kinds: Vec<MessageKind>,
}

impl Site {
    async fn new(place: &Place) -> Self {
        let relay = place.start();
        let mut writer = relay.writer(1).await;
        relay.admit(&mut writer).await;
        let trust = pinned().offer(&first_bundle()).unwrap();
        let secret = AgreementSecret::from_bytes([0x55; 32]);
        let identity = device::Identity {
            channel: channel(),
            incarnation: LIFE,
        };
        let engine = Device::restore(identity, trust.clone(), Settings::default(), []).unwrap();
        let controller = Controller::restore(trust, []).unwrap();
        let mut site = Self {
            relay,
            writer,
            controller,
            device: engine.with_agreement(secret.clone()),
            random: Counting(1),
            now_ms: 1_000,
            cursor: (0, 0),
            outbox: Vec::new(),
            wanted: Vec::new(),
            exchanges: VecDeque::new(),
            seen: Vec::new(),
            kinds: Vec::new(),
        };
        site.control(controller::Input::Start);
        site.enrol(&secret);
        site.instruct(device::Input::Start);
        site.instruct(device::Input::Connect);
        site
    }

    fn enrol(&mut self, agreement: &AgreementSecret) {
        let (token, secret) = (TokenId::from_bytes([1; 8]), JoinSecret::from_bytes([2; 32]));
        let request = EnrolRequest {
            token,
            device: channel().device,
            incarnation: LIFE,
            nonce: [3; 16],
            agreement: Some(agreement.public()),
        };
        let sealed = request.seal(genesis(), &tenant("acme"), &secret, &device());
        self.control(controller::Input::Invite {
            ticket: Ticket(1),
            tenant: tenant("acme"),
            device: channel().device,
            token,
            secret,
            expires_unix_s: None,
        });
        self.control(controller::Input::Enrol {
            ticket: Ticket(2),
            frame: &sealed.unwrap().frame,
        });
    }

    const fn now(&self) -> Now {
        Now {
            mono_ms: self.now_ms,
            unix_s: None,
        }
    }

    fn control(&mut self, input: controller::Input<'_>) {
        let keys = Writers(writer());
        let mut context = controller::Context {
            now: self.now(),
            random: &mut self.random,
            keys: &keys,
        };
        self.controller.handle_input(&mut context, input);
        while let Some(output) = self.controller.poll_output() {
            match output {
                controller::Output::Post { post, .. } => self.post(post),
                controller::Output::Wanted { wanted, .. } => self.wanted = wanted,
                controller::Output::Persist(_)
                | controller::Output::Admit { .. }
                | controller::Output::Evict { .. }
                | controller::Output::ActualHeld { .. }
                | controller::Output::PostBundle { .. }
                | controller::Output::Answer { .. }
                | controller::Output::Refill { .. }
                | controller::Output::Event(_) => {}
            }
        }
    }

    fn post(&mut self, post: Post) {
        let desired = Some(Plane::Desired);
        let mut bodies = Vec::new();
        let (plane, envelope) = match post {
            Post::Delta { envelope }
            | Post::ReportAck { envelope }
            | Post::Heartbeat { envelope } => (desired, envelope),
            Post::Snapshot {
                envelope,
                bodies: named,
            } => {
                bodies.extend(named.into_iter().map(|(_, body)| body));
                (desired, envelope)
            }
            Post::Evidence { envelope } => (Some(Plane::Actual), envelope),
            Post::EnrolAnswer { envelope } | Post::PlaneKey { envelope } => (None, envelope),
            // This test admits the device itself.
            Post::Admission { .. } => return,
        };
        self.outbox.push((plane, envelope, bodies));
    }

    fn instruct(&mut self, input: device::Input<'_>) {
        let signer = device();
        let mut context = device::Context {
            now: Now {
                mono_ms: self.now_ms,
                unix_s: None,
            },
            random: &mut self.random,
            signer: &signer,
        };
        self.device.handle_input(&mut context, input);
        while let Some(output) = self.device.poll_output() {
            match output {
                device::Output::Exchange(exchange) => self.exchanges.push_back(exchange),
                device::Output::Apply { revision } => {
                    self.instruct(device::Input::Applied(Applied {
                        revision,
                        status: 1,
                        output: OUTPUT.into(),
                    }))
                }
                device::Output::Persist(_)
                | device::Output::Act { .. }
                | device::Output::Event(_) => {}
                device::Output::Reconnect => panic!("the session broke"),
            }
        }
    }

    /// Lets both ends talk through the relay until nothing is left to say for a few rounds.
    async fn run(&mut self) {
        for _ in 0..14 {
            self.deliver().await;
            self.talk().await;
            self.collect().await;
            self.now_ms += 6_000;
            self.control(controller::Input::Timeout);
            self.instruct(device::Input::Timeout);
            self.instruct(device::Input::Hold { seconds: 0 });
        }
    }

    async fn deliver(&mut self) {
        let id = Some(channel().id());
        for (plane, envelope, bodies) in std::mem::take(&mut self.outbox) {
            self.seen.extend_from_slice(&envelope);
            let received = ReceivedEnvelope::parse(&envelope).unwrap();
            self.kinds.push(received.unverified_header().kind);
            let item = (id, plane, envelope);
            let (refused, _) = self.relay.deliver(&mut self.writer, &[item]).await;
            assert_eq!(refused, []);
            for body in bodies {
                self.seen.extend_from_slice(&body);
                let frame = UpFrame::DeliverBodies {
                    channel: channel().id(),
                    plane: Plane::Desired,
                    chunks: vec![whole(&body)],
                };
                self.relay.ask(&mut self.writer, &frame).await.unwrap();
            }
        }
    }

    async fn talk(&mut self) {
        while let Some(device::Exchange { id, frame, .. }) = self.exchanges.pop_front() {
            self.seen.extend_from_slice(&frame);
            let answer = self.relay.exchange(frame).await;
            self.seen.extend_from_slice(&answer);
            self.instruct(device::Input::Answer {
                exchange: id,
                frame: &answer,
            });
        }
    }

    async fn collect(&mut self) {
        let id: ChannelId = channel().id();
        let (store, entries) = self.relay.collect(&mut self.writer, 0, self.cursor).await;
        for (arrival, envelope) in entries {
            self.cursor = (store, arrival);
            self.control(controller::Input::Received {
                channel: id,
                envelope: &envelope,
                is_live: true,
            });
        }
        let wanted = std::mem::take(&mut self.wanted);
        if wanted.is_empty() {
            return;
        }
        let frame = UpFrame::FetchBodies {
            channel: id,
            plane: Plane::Actual,
            wanted,
        };
        let (counter, answer) = self.relay.ask(&mut self.writer, &frame).await.unwrap();
        let chunks = open_bodies(&self.writer, counter, &answer);
        let owned: Vec<_> = chunks
            .iter()
            .map(|chunk| (*chunk, chunk.bytes.to_vec()))
            .collect();
        for (chunk, bytes) in &owned {
            let chunk = postern_protocol::frame::BodyChunk { bytes, ..*chunk };
            self.control(controller::Input::Put {
                channel: id,
                plane: Plane::Actual,
                chunks: &[chunk],
            });
        }
    }

    fn encrypt(&mut self) {
        self.control(controller::Input::Encrypt {
            ticket: Ticket(3),
            tenant: tenant("acme"),
            device: channel().device,
        });
    }

    /// Writes both marks, each beside one that makes a second section.
    fn write(&mut self, value: u64) {
        let set = |path: &str, value| Change::Set(Path::parse(path).unwrap(), value);
        let text = |mark: &str| Value::Text(mark.into());
        self.control(controller::Input::Decide {
            ticket: Ticket(4),
            tenant: tenant("acme"),
            device: channel().device,
            changes: vec![
                set("a/text", text(DESIRED)),
                set("b/count", Value::Int(value.into())),
            ],
        });
        let changes = vec![
            set("c/text", text(ACTUAL)),
            set("d/count", Value::Int(value.into())),
        ];
        self.instruct(device::Input::WriteActual {
            ticket: value,
            changes,
        });
    }

    /// True when both ends hold both planes alike.
    fn is_together(&self) -> bool {
        let member = self.controller.member_of(channel().id()).unwrap();
        let is_reported = member.report().is_some_and(|held| {
            let mut results = held.report.lists.results().iter();
            results.any(|result| result.output.contains(OUTPUT))
        });
        self.device.state() == member.desired()
            && self.device.actual() == member.actual()
            && !member.actual().is_empty()
            && is_reported
    }
}

fn holds(bytes: &[u8], mark: &str) -> bool {
    bytes
        .windows(mark.len())
        .any(|part| part == mark.as_bytes())
}

/// Runs both ends. Returns frames, store file and logs, and the kinds that were delivered.
async fn carried(is_encrypted: bool) -> ([Vec<u8>; 3], Vec<MessageKind>) {
    let told = Told::default();
    let guard = tracing::subscriber::set_default(told.clone());
    let place = Place::new();
    let mut site = Site::new(&place).await;
    if is_encrypted {
        site.encrypt();
    }
    // The relay knows the device before anything is written.
    site.run().await;
    site.write(1);
    site.run().await;
    assert!(site.is_together());
    if is_encrypted {
        site.encrypt();
    }
    site.write(2);
    site.run().await;
    assert!(site.is_together());
    let Site {
        relay, seen, kinds, ..
    } = site;
    let mut stranger = relay.device(9).await;
    let polled = relay.poll(&mut stranger).await;
    let order = [MessageKind::PlaneKey, MessageKind::Snapshot].map(|wanted| {
        polled.iter().position(|envelope| {
            let received = ReceivedEnvelope::parse(envelope).unwrap();
            received.unverified_header().kind == wanted
        })
    });
    assert!(order[1].is_some() && order[0] < order[1]);
    assert_eq!(order[0].is_some(), is_encrypted);
    relay.relay.shutdown(100).await;
    drop(guard);
    let logs = told.0.lock().unwrap().clone();
    let store = std::fs::read(place.store()).unwrap();
    assert!(!logs.is_empty() && store.len() > 4_096);
    ([seen, store, logs], kinds)
}

//= spec/encryption.md#encrypted-snapshot type=test
//# An end MUST NOT give a body of an encrypted plane to anybody unless it is encrypted.
//= spec/encryption.md#plane-key type=test
//# A mailbox MUST send the plane-key that it holds before a snapshot of `desired`.
#[tokio::test]
async fn relay_of_an_encrypted_device_never_holds_what_it_carries() {
    let (places, kinds) = carried(true).await;
    for (bytes, place) in places.iter().zip(["frames", "store", "logs"]) {
        for mark in MARKS {
            assert!(!holds(bytes, mark), "{mark} in {place}");
        }
    }
    assert!(kinds.contains(&MessageKind::PlaneKey) && kinds.contains(&MessageKind::Delta));
}

#[tokio::test]
async fn relay_of_a_readable_device_holds_what_it_carries() {
    let ([seen, store, _], kinds) = carried(false).await;
    for mark in MARKS {
        assert!(holds(&seen, mark), "{mark} passes");
        assert!(holds(&store, mark), "{mark} is kept");
    }
    assert!(!kinds.contains(&MessageKind::PlaneKey));
}
