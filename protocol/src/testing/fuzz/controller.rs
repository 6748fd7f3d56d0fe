//! A controller whose mailbox and whose one device may say anything.
//!
//! ```text
//!  script --> what nobody signed: refused, and nothing of it is stored
//!         --> what the device signed, absurd or not: taken or refused
//!         --> time, restarts, decisions
//! ```
//!
//! What must hold: no word of anybody else changes what the operator decided, a head never goes back, and the store
//! reads back to the same. Refuses to resolve conflicts: that is the operator's word.

use super::script::steps;
use crate::context::{Now, draw};
use crate::controller::{Context, Controller, Input, Output, Ticket};
use crate::enrol::{EnrolRequest, JoinSecret};
use crate::envelope::{Binding, Draft, Header};
use crate::frame::{Direction, SessionFrame, UpFrame};
use crate::id::{Channel, ChannelId, Digest, Incarnation, Plane, TokenId};
use crate::key::MemorySigner;
use crate::kind::{MessageKind, Role};
use crate::message::Snapshot;
use crate::revision::{Epoch, Head, Lineage, Seq};
use crate::state::{Change, DeltaView, Path, State, Value};
use crate::testing::{Dice, MemoryStore, TestKeys, at, numbers, signer};
use alloc::vec::Vec;

const TOKEN: TokenId = TokenId::from_bytes([1; 8]);
const SECRET: [u8; 32] = [5; 32];
/// Kinds that a device signs about its planes.
const KINDS: [MessageKind; 5] = [
    MessageKind::Report,
    MessageKind::Snapshot,
    MessageKind::Delta,
    MessageKind::Heartbeat,
    MessageKind::Evidence,
];

/// Whoever speaks, only the operator decides, nothing goes back, and what is stored reads back.
pub fn controller_engine(input: &[u8]) {
    let mut desk = Desk::new();
    for (selector, chunk) in steps(input) {
        let before = desk.head();
        let is_decided = desk.step(selector, chunk);
        let after = desk.head();
        assert!(after.revision >= before.revision, "a head went back");
        assert!(
            is_decided || after.digest == before.digest,
            "nobody decided this"
        );
    }
    let before = desk.head();
    desk.restart();
    assert_eq!(desk.head().digest, before.digest, "the store lost a state");
    assert!(desk.head().revision >= before.revision, "a start went back");
    desk.run(60_000);
}

/// The store of a controller that enrolled a device, decided, and holds a plane of the device.
pub(super) fn filled_store() -> MemoryStore {
    let mut desk = Desk::new();
    desk.honest(desk.channel.id(), &[3, 1, 7]);
    desk.store
}

/// A controller, its store, and one device that is nothing but a key.
struct Desk {
    engine: Controller,
    store: MemoryStore,
    keys: TestKeys,
    dice: Dice,
    now_ms: u64,
    channel: Channel,
    key: MemorySigner,
    tickets: u64,
}

impl Desk {
    /// A controller that was started, has enrolled one device and decided one value.
    fn new() -> Self {
        let keys = TestKeys::new();
        let store = MemoryStore::default();
        let mut desk = Self {
            engine: restored(&keys, &store),
            store,
            channel: keys.channel("press-7"),
            // No vector was signed with it.
            key: signer("fuzz device"),
            keys,
            dice: Dice::new(7),
            now_ms: 1_000,
            tickets: 0,
        };
        desk.input(Input::Start);
        desk.enrol();
        desk.decide(1);
        desk
    }

    fn head(&self) -> Head {
        let member = self.engine.member_of(self.channel.id());
        let Some(member) = member else {
            unreachable!("nobody removed the device")
        };
        *member.head()
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Gives the engine one input and makes durable what it asks for. Returns how often that was.
    fn input(&mut self, input: Input<'_>) -> usize {
        let before = self.store.commits();
        let mut context = Context {
            now: Now {
                mono_ms: self.now_ms,
                unix_s: Some(1_790_000_000),
            },
            random: &mut self.dice,
            keys: &self.keys,
        };
        self.engine.handle_input(&mut context, input);
        while let Some(output) = self.engine.poll_output() {
            if let Output::Persist(writes) = &output {
                self.store.commit(writes);
            }
        }
        self.store.commits() - before
    }

    fn restart(&mut self) {
        self.engine = restored(&self.keys, &self.store);
        self.input(Input::Start);
    }

    fn run(&mut self, ms: u64) {
        let end_ms = self.now_ms.saturating_add(ms);
        let mut wakes = 0;
        while let Some(due_ms) = self.engine.poll_timeout().filter(|due| *due <= end_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.input(Input::Timeout);
            wakes += 1;
            assert!(wakes < 10_000, "a busy loop");
        }
        self.now_ms = end_ms;
    }

    fn enrol(&mut self) {
        let Channel { tenant, device, .. } = self.channel.clone();
        let (invited, asked) = (self.ticket(), self.ticket());
        self.input(Input::Invite {
            ticket: invited,
            tenant,
            device: device.clone(),
            token: TOKEN,
            secret: JoinSecret::from_bytes(SECRET),
            expires_unix_s: None,
        });
        let request = EnrolRequest {
            token: TOKEN,
            device,
            incarnation: incarnation(),
            nonce: draw(&mut self.dice),
            agreement: None,
        };
        let secret = JoinSecret::from_bytes(SECRET);
        let domain = self.keys.domain();
        let sealed = request.seal(domain, &self.keys.tenant, &secret, &self.key);
        let Ok(sealed) = sealed else {
            unreachable!("a request of a valid name fits")
        };
        let commits = self.input(Input::Enrol {
            ticket: asked,
            frame: &sealed.frame,
        });
        assert!(commits > 0, "the device is enrolled");
    }

    fn decide(&mut self, value: u64) {
        let Channel { tenant, device, .. } = self.channel.clone();
        let ticket = self.ticket();
        let Ok(path) = Path::parse("a/x") else {
            unreachable!("a path")
        };
        self.input(Input::Decide {
            ticket,
            tenant,
            device,
            changes: Vec::from([Change::Set(path, Value::Int(value.into()))]),
        });
    }

    /// Takes one step. Returns true when it is the operator's.
    fn step(&mut self, selector: u8, chunk: &[u8]) -> bool {
        let channel = self.channel.id();
        match selector % 12 {
            0 => self.run(u64::from(selector) * 100),
            1 => self.restart(),
            2 => {
                self.decide(u64::from(selector));
                return true;
            }
            3 => {
                self.input(Input::HeartbeatWanted { channel });
                self.input(Input::SnapshotWanted { channel });
            }
            4 => {
                let ticket = self.ticket();
                let frame = chunk;
                let commits = self.input(Input::Enrol { ticket, frame });
                assert_eq!(commits, 0, "nobody else knows the secret");
            }
            5 => self.put(chunk),
            6 => self.honest(channel, chunk),
            7 | 8 => {
                let envelope = chunk;
                let commits = self.input(Input::Received {
                    channel,
                    envelope,
                    is_live: selector & 16 == 0,
                });
                assert_eq!(commits, 0, "the device did not sign this");
            }
            _ => self.signed(channel, selector, chunk),
        }
        false
    }

    /// Gives the bodies of a put, or the chunk as the body of everything that is wanted.
    fn put(&mut self, chunk: &[u8]) {
        let split = SessionFrame::split(chunk, Direction::Up);
        let body = split.and_then(|split| split.danger_unverified_body());
        let Ok(UpFrame::Put { plane, chunks }) = body.and_then(|body| body.decode_up()) else {
            return;
        };
        self.input(Input::Put {
            channel: self.channel.id(),
            plane,
            chunks: &chunks,
        });
    }

    /// A snapshot of the actual plane as a device would sign it, with its bodies.
    fn honest(&mut self, channel: ChannelId, chunk: &[u8]) {
        let [epoch, seq, value, ..] = chunk else {
            return;
        };
        let state = numbers(&[("is/x", (*value).into())]);
        let revision = at(u64::from(*epoch).max(1), u64::from(*seq).max(1));
        let Ok(lineage) = Lineage::new(Vec::new(), revision.epoch) else {
            unreachable!("nothing is ascending")
        };
        let payload = Snapshot {
            table: state.section_table(),
            lineage,
        };
        let header = Header {
            kind: MessageKind::Snapshot,
            epoch: revision.epoch,
            seq: revision.seq,
            base: Seq::new(0),
            digest: Some(*state.root()),
        };
        self.receive_sealed(channel, header, payload.encode());
        let bodies = state.section_digests().filter_map(|(_, digest)| {
            let bytes = state.body(digest)?;
            Some(crate::frame::BodyChunk {
                digest: *digest,
                size: bytes.len() as u64,
                offset: 0,
                bytes,
            })
        });
        let chunks: Vec<_> = bodies.collect();
        self.input(Input::Put {
            channel,
            plane: Plane::Actual,
            chunks: &chunks,
        });
    }

    /// The chunk as the payload of something that the device signs, with numbers out of its first bytes.
    fn signed(&mut self, channel: ChannelId, selector: u8, chunk: &[u8]) {
        let Some(([kind, epoch, seq, base], payload)) = chunk.split_first_chunk::<4>() else {
            return;
        };
        let Some(kind) = KINDS.get(usize::from(*kind) % KINDS.len()).copied() else {
            return;
        };
        let digest = if kind == MessageKind::Delta {
            self.digest_after(channel, payload)
        } else {
            (selector & 16 == 0).then(|| Digest::of(payload))
        };
        let header = Header {
            kind,
            epoch: Epoch::new((*epoch).into()),
            seq: Seq::new((*seq).into()),
            base: Seq::new((*base).into()),
            digest,
        };
        self.receive_sealed(channel, header, payload.to_vec());
    }

    /// The digest of the device's own plane behind a delta: what an honest device would sign.
    fn digest_after(&self, channel: ChannelId, payload: &[u8]) -> Option<Digest> {
        let base = self.engine.member_of(channel).map(|one| one.actual())?;
        let changed = DeltaView::decode(payload)
            .and_then(|view| view.to_delta())
            .and_then(|delta| {
                let removals = delta.remove().iter().cloned().map(Change::Remove);
                let sets = delta.set().iter().cloned();
                let sets = sets.map(|(path, value)| Change::Set(path, value));
                base.change(&removals.chain(sets).collect::<Vec<_>>())
            });
        let root = |state: &State| *state.root();
        Some(match changed {
            Ok(Some((next, _))) => root(&next),
            Ok(None) | Err(_) => root(base),
        })
    }

    fn receive_sealed(&mut self, channel: ChannelId, header: Header, payload: Vec<u8>) {
        let binding = Binding::Device {
            channel: &self.channel,
            incarnation: incarnation(),
        };
        let draft = Draft { header, payload };
        let Ok(sealed) = draft.seal(Role::Device, binding, &self.key) else {
            return;
        };
        self.input(Input::Received {
            channel,
            envelope: sealed.as_bytes(),
            is_live: true,
        });
    }
}

const fn incarnation() -> Incarnation {
    Incarnation::from_bytes([7; 16])
}

fn restored(keys: &TestKeys, store: &MemoryStore) -> Controller {
    let engine = Controller::restore(keys.trust(), store.rows());
    let Ok(engine) = engine else {
        unreachable!("a store holds what an engine wrote: {engine:?}");
    };
    engine
}
