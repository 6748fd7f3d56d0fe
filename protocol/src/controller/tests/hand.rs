//! A controller under the hand of a test: one device, whose every word the test writes itself.
//!
//! Refuses to be a device: it signs whatever it is told, the absurd too.

use crate::Reject;
use crate::context::{Now, draw};
use crate::controller::{Context, Controller, Event, Input, Member, Output, Post, Ticket};
use crate::encryption::AgreementSecret;
use crate::enrol::{EnrolRequest, JoinSecret};
use crate::envelope::{Binding, Draft, Expected, Header, ReceivedEnvelope, Verified};
use crate::frame::BodyChunk;
use crate::id::{
    Channel, ChannelId, Digest, Incarnation, MessageId, Nonce, Plane, StartId, TokenId,
};
use crate::key::{MemorySigner, Signer as _};
use crate::kind::{MessageKind, Role};
use crate::message::{Evidence, EvidenceCode, Heartbeat, Proof, Report, Snapshot};
use crate::revision::{Head, Lineage, LineageEntry, Revision, Seq};
use crate::state::{Change, Path, State, Value};
use crate::testing::{Dice, MemoryStore, TestKeys, agreement, at, signer};
use alloc::vec::Vec;

pub(super) const START: StartId = StartId::from_bytes([9; 8]);

/// A controller, its store, and one device that is nothing but a key.
pub(super) struct Hand {
    pub(super) engine: Controller,
    pub(super) store: MemoryStore,
    pub(super) keys: TestKeys,
    pub(super) dice: Dice,
    pub(super) now_ms: u64,
    /// The wall clock, where there is one.
    pub(super) unix_s: Option<u64>,
    /// Everything that left since [`Hand::forget`], but the commits.
    pub(super) outputs: Vec<Output>,
    pub(super) channel: Channel,
    pub(super) incarnation: Incarnation,
    pub(super) key: MemorySigner,
    /// The key that it binds, if it does.
    pub(super) agreement: Option<AgreementSecret>,
    /// Commits that still succeed; with the one after them the process dies.
    pub(super) commits_left: Option<usize>,
    tickets: u64,
}

impl Hand {
    /// A controller that was started and has enrolled one device.
    pub(super) fn new() -> Self {
        let keys = TestKeys::new();
        let store = MemoryStore::default();
        let mut hand = Self {
            engine: Controller::restore(keys.trust(), store.rows()).unwrap(),
            store,
            channel: keys.channel("press-7"),
            incarnation: Incarnation::from_bytes([7; 16]),
            key: signer("press-7"),
            agreement: Some(agreement()),
            keys,
            dice: Dice::new(7),
            now_ms: 1_000,
            unix_s: Some(1_790_000_000),
            outputs: Vec::new(),
            commits_left: None,
            tickets: 0,
        };
        hand.input(Input::Start);
        hand.enrol([1; 8]).unwrap();
        hand.forget();
        hand
    }

    pub(super) fn id(&self) -> ChannelId {
        self.channel.id()
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub(super) fn now(&self) -> Now {
        Now {
            mono_ms: self.now_ms,
            unix_s: self.unix_s,
        }
    }

    /// Gives the engine one input, makes durable and collects the rest.
    pub(super) fn input(&mut self, input: Input<'_>) {
        let mut context = Context {
            now: Now {
                mono_ms: self.now_ms,
                unix_s: self.unix_s,
            },
            random: &mut self.dice,
            keys: &self.keys,
        };
        self.engine.handle_input(&mut context, input);
        while let Some(output) = self.engine.poll_output() {
            if let Output::Persist(writes) = &output {
                match &mut self.commits_left {
                    Some(0) => return self.die(),
                    Some(left) => *left -= 1,
                    None => {}
                }
                self.store.commit(writes);
            } else {
                self.outputs.push(output);
            }
        }
    }

    /// The commit did not return: nothing behind it leaves, and the process starts again.
    fn die(&mut self) {
        self.commits_left = None;
        self.restart(None);
    }

    /// Drops the engine and starts it from `store`, or from its own.
    pub(super) fn restart(&mut self, store: Option<MemoryStore>) {
        self.store = store.unwrap_or_else(|| self.store.clone());
        self.engine = Controller::restore(self.keys.trust(), self.store.rows()).unwrap();
        self.input(Input::Start);
    }

    /// Lets time pass and wakes the engine whenever it asks for it.
    pub(super) fn run(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while let Some(due_ms) = self.engine.poll_timeout().filter(|due| *due <= end_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.input(Input::Timeout);
            let next_ms = self.engine.poll_timeout();
            assert!(next_ms.is_none_or(|next| next > self.now_ms), "a busy loop");
        }
        self.now_ms = end_ms;
    }

    /// Forgets what left so far.
    pub(super) fn forget(&mut self) {
        self.outputs.clear();
    }

    /// Invites the name and enrols the key and incarnation at hand.
    pub(super) fn enrol(&mut self, token: [u8; 8]) -> Result<(), Reject> {
        self.invite(token, None);
        self.join(token)
    }

    pub(super) fn invite(&mut self, token: [u8; 8], expires_unix_s: Option<u64>) {
        let ticket = self.ticket();
        let Channel { tenant, device, .. } = self.channel.clone();
        self.input(Input::Invite {
            ticket,
            tenant,
            device,
            token: TokenId::from_bytes(token),
            secret: JoinSecret::from_bytes([5; 32]),
            expires_unix_s,
        });
    }

    pub(super) fn join(&mut self, token: [u8; 8]) -> Result<(), Reject> {
        let request = EnrolRequest {
            token: TokenId::from_bytes(token),
            device: self.channel.device.clone(),
            incarnation: self.incarnation,
            nonce: draw(&mut self.dice),
            agreement: self.agreement.as_ref().map(AgreementSecret::public),
        };
        let secret = JoinSecret::from_bytes([5; 32]);
        let domain = self.keys.domain();
        let sealed = request
            .seal(domain, &self.keys.tenant, &secret, &self.key)
            .unwrap();
        let ticket = self.ticket();
        self.forget();
        self.input(Input::Enrol {
            ticket,
            frame: &sealed.frame,
        });
        self.refused().map_or(Ok(()), Err)
    }

    /// Decides one value.
    pub(super) fn set(&mut self, path: &str, value: u64) {
        let ticket = self.ticket();
        let Channel { tenant, device, .. } = self.channel.clone();
        let path = Path::parse(path).unwrap();
        self.input(Input::Decide {
            ticket,
            tenant,
            device,
            changes: Vec::from([Change::Set(path, Value::Int(value.into()))]),
        });
    }

    pub(super) fn member(&self) -> &Member {
        self.engine.member_of(self.id()).unwrap()
    }

    pub(super) fn head(&self) -> Head {
        *self.member().head()
    }

    /// Hands over an envelope as out of a live session. Returns why it was refused.
    pub(super) fn receive(&mut self, envelope: &[u8]) -> Option<Reject> {
        self.receive_from(envelope, true)
    }

    pub(super) fn receive_from(&mut self, envelope: &[u8], is_live: bool) -> Option<Reject> {
        self.forget();
        let channel = self.id();
        self.input(Input::Received {
            channel,
            envelope,
            is_live,
        });
        self.rejected()
    }

    /// Hands over whole bodies of a state.
    pub(super) fn put(&mut self, plane: Plane, state: &State) {
        let bodies: Vec<(Digest, Vec<u8>)> = state
            .section_digests()
            .map(|(_, digest)| (*digest, state.body(digest).unwrap().to_vec()))
            .collect();
        let chunks: Vec<BodyChunk<'_>> = bodies
            .iter()
            .map(|(digest, body)| BodyChunk {
                digest: *digest,
                size: body.len() as u64,
                offset: 0,
                bytes: body,
            })
            .collect();
        self.forget();
        let channel = self.id();
        self.input(Input::Put {
            channel,
            plane,
            chunks: &chunks,
        });
    }

    pub(super) fn binding(&self) -> Binding<'_> {
        Binding::Device {
            channel: &self.channel,
            incarnation: self.incarnation,
        }
    }

    /// Signs as the device.
    pub(super) fn seal(&self, header: Header, payload: Vec<u8>) -> Vec<u8> {
        let draft = Draft { header, payload };
        let sealed = draft.seal(Role::Device, self.binding(), &self.key);
        sealed.unwrap().into_bytes()
    }

    pub(super) fn report(&self, number: Revision, report: &Report) -> Vec<u8> {
        let has_applied = report.applied != Revision::NONE;
        let header = Header {
            kind: MessageKind::Report,
            epoch: number.epoch,
            seq: number.seq,
            base: Seq::new(0),
            digest: has_applied.then(|| Digest::from_bytes([1; 32])),
        };
        self.seal(header, report.encode())
    }

    /// A report of a device that accepted `head` and nothing else.
    pub(super) fn report_at(&self, number: Revision, head: Revision) -> Vec<u8> {
        let report = Report {
            received: head,
            accepted: head,
            applied: head,
            ..Report::default()
        };
        self.report(number, &report)
    }

    /// A snapshot of the actual plane.
    pub(super) fn snapshot(&self, state: &State, revision: Revision, lineage: &[Head]) -> Vec<u8> {
        let entries = lineage.iter().map(|head| LineageEntry {
            last: head.revision,
            digest: head.digest,
        });
        let header = Header {
            kind: MessageKind::Snapshot,
            epoch: revision.epoch,
            seq: revision.seq,
            base: Seq::new(0),
            digest: Some(*state.root()),
        };
        let payload = Snapshot {
            table: state.section_table(),
            lineage: Lineage::new(entries.collect(), revision.epoch).unwrap(),
        };
        self.seal(header, payload.encode())
    }

    /// A delta of the actual plane.
    pub(super) fn delta(&self, from: &State, to: &State, base: u64, revision: Revision) -> Vec<u8> {
        let header = Header {
            kind: MessageKind::Delta,
            epoch: revision.epoch,
            seq: revision.seq,
            base: Seq::new(base),
            digest: Some(*to.root()),
        };
        self.seal(header, from.diff(to).unwrap().encode())
    }

    pub(super) fn heartbeat(
        &self,
        uptime_ms: u64,
        echo: Option<Nonce>,
        ask: Option<Nonce>,
    ) -> Vec<u8> {
        let header = Header {
            kind: MessageKind::Heartbeat,
            epoch: at(0, 0).epoch,
            seq: Seq::new(0),
            base: Seq::new(1),
            digest: None,
        };
        let payload = Heartbeat {
            start: START,
            uptime_ms,
            other: Revision::NONE,
            echo,
            ask,
        };
        self.seal(header, payload.encode())
    }

    /// Evidence of the device at `head` with the envelopes that shall prove it.
    pub(super) fn evidence(
        &self,
        code: EvidenceCode,
        head: &Head,
        state: Option<&State>,
        proofs: &[&[u8]],
    ) -> Vec<u8> {
        let proofs = proofs.iter().map(|envelope| Proof {
            message_id: self.message_id(envelope),
            envelope: Some(envelope),
        });
        let mut evidence = Evidence {
            code,
            table: state.map(State::section_table),
            proofs: proofs.collect(),
        };
        if evidence.proofs.is_empty() {
            evidence.proofs.push(Proof {
                message_id: MessageId::from_bytes([0; 32]),
                envelope: None,
            });
        }
        let header = Header {
            kind: MessageKind::Evidence,
            epoch: head.revision.epoch,
            seq: head.revision.seq,
            base: Seq::new(0),
            digest: Some(head.digest),
        };
        self.seal(header, evidence.encode())
    }

    /// Evidence that the device holds `head` with `state`, proven by the writer's own envelope.
    pub(super) fn behind(&self, head: &Head, state: &State, proof: &[u8]) -> Vec<u8> {
        self.evidence(EvidenceCode::WriterBehind, head, Some(state), &[proof])
    }

    fn message_id(&self, envelope: &[u8]) -> MessageId {
        let received = ReceivedEnvelope::parse(envelope).unwrap();
        let expected = Expected {
            role: Role::Device,
            plane: Some(Plane::Desired),
        };
        let identity = received.unverified_message_id(expected, self.binding());
        identity.unwrap()
    }

    /// Verifies what the controller posted, as the device would.
    pub(super) fn verify<'e>(&self, envelope: &'e [u8], plane: Plane) -> Verified<'e> {
        let expected = Expected {
            role: Role::Writer,
            plane: Some(plane),
        };
        let received = ReceivedEnvelope::parse(envelope).unwrap();
        let writer = [self.keys.writer.public_key()];
        received
            .verify(expected, self.binding(), writer, |_| false)
            .unwrap()
    }

    /// Everything that was posted since the outputs were forgotten.
    pub(super) fn posts(&self) -> Vec<&Post> {
        let posts = self.outputs.iter().filter_map(|output| {
            let Output::Post { post, .. } = output else {
                return None;
            };
            Some(post)
        });
        posts.collect()
    }

    pub(super) fn events(&self) -> Vec<&Event> {
        let events = self.outputs.iter().filter_map(|output| {
            let Output::Event(event) = output else {
                return None;
            };
            Some(event)
        });
        events.collect()
    }

    /// The newest snapshot or delta of the desired plane that was posted.
    pub(super) fn desired_post(&self) -> Option<Vec<u8>> {
        self.posts().into_iter().rev().find_map(|post| {
            let (Post::Delta { envelope } | Post::Snapshot { envelope, .. }) = post else {
                return None;
            };
            Some(envelope.clone())
        })
    }

    /// The lineage of the newest snapshot that was posted.
    pub(super) fn posted_lineage(&self) -> Option<Lineage> {
        let envelope = self.posts().into_iter().rev().find_map(|post| {
            let Post::Snapshot { envelope, .. } = post else {
                return None;
            };
            Some(envelope.clone())
        })?;
        let verified = self.verify(&envelope, Plane::Desired);
        let epoch = verified.header().epoch;
        Some(Snapshot::decode(verified.payload(), epoch).unwrap().lineage)
    }

    /// The heartbeats that were posted.
    pub(super) fn heartbeats(&self) -> Vec<Heartbeat> {
        let envelopes = self.posts().into_iter().filter_map(|post| {
            let Post::Heartbeat { envelope } = post else {
                return None;
            };
            Some(envelope.clone())
        });
        envelopes
            .map(|envelope| {
                let verified = self.verify(&envelope, Plane::Desired);
                Heartbeat::decode(verified.payload()).unwrap()
            })
            .collect()
    }

    /// The envelope of the newest evidence that was posted.
    pub(super) fn evidence_post(&self) -> Option<Vec<u8>> {
        self.posts().into_iter().rev().find_map(|post| {
            let Post::Evidence { envelope } = post else {
                return None;
            };
            Some(envelope.clone())
        })
    }

    /// How many bodies are asked for, by the last request for any.
    pub(super) fn wanted(&self) -> Option<usize> {
        self.outputs.iter().rev().find_map(|output| {
            let Output::Wanted { wanted, .. } = output else {
                return None;
            };
            Some(wanted.len())
        })
    }

    /// The newest refusal of what a peer sent.
    pub(super) fn rejected(&self) -> Option<Reject> {
        self.events().into_iter().rev().find_map(|event| {
            let Event::Rejected { reject, .. } = event else {
                return None;
            };
            Some(*reject)
        })
    }

    /// The newest refusal of a request.
    pub(super) fn refused(&self) -> Option<Reject> {
        self.events().into_iter().rev().find_map(|event| {
            let Event::Refused { reject, .. } = event else {
                return None;
            };
            Some(*reject)
        })
    }
}
