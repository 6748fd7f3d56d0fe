//! A mailbox whose device, writer and dependent mailbox proved their keys and may ask anything.
//!
//! ```text
//!  script --> frames as they are: refused, unless they open a session
//!         --> requests of a frame, sealed in the session of one of the three
//!         --> time, posts of the writer's own host, sessions that end
//! ```
//!
//! What must hold: every answer is a frame of its session within the bound, nobody does what is another's, and a
//! session's counter counts once. Refuses to forge a tag: the handshakes are real.

use super::make::{INCARNATION, channel, sealed, signer, steps, table};
use crate::exchange::{
    AdmittedDevice, AdmittedMailbox, AdmittedWriter, Delivered, ExchangeLimits, Exchanges, Handled,
    MailboxKeys, MailboxSigner, Selected, Step, StreamStep, WriterStep,
};
use postern_protocol::Reject;
use postern_protocol::frame::{Direction, FrameType, SessionFrame, UpFrame, Wanted, frame_type};
use postern_protocol::id::{Digest, Thumbprint};
use postern_protocol::key::Signer as _;
use postern_protocol::kind::MessageKind;
use postern_protocol::limits::FRAME_BYTES_MAX;
use postern_protocol::revision::{BundleNumber, Generation, StoreEpoch};
use postern_protocol::session::{Asking, ClientSession, Identity, ReceivedHello};
use postern_protocol::trust::BundleStep;
use std::sync::Arc;

/// Whatever is asked in a session, the answer is one of that session.
pub fn exchange(input: &[u8]) {
    let mut desk = Desk::new();
    for (selector, chunk) in steps(input) {
        desk.step(selector, chunk);
        assert!(desk.exchanges.sessions() <= 8, "too many sessions");
    }
}

struct Desk {
    exchanges: Exchanges,
    now_ms: u64,
    /// Of the device, the writer and the mailbox.
    sessions: [Option<ClientSession>; 3],
    hellos: u8,
}

const KEYS: [u8; 3] = [2, 4, 5];

impl Desk {
    fn new() -> Self {
        let mailbox: MailboxSigner = Arc::new(signer(3));
        let limits = ExchangeLimits {
            sessions_max: 8,
            ..ExchangeLimits::default()
        };
        let mut exchanges = Exchanges::new(limits, MailboxKeys::one(mailbox), [9; 32], 1_000);
        exchanges.set_store(StoreEpoch::new(7));
        exchanges.set_onward_store(StoreEpoch::new(8));
        let mut desk = Self {
            exchanges,
            now_ms: 1_000,
            sessions: [None, None, None],
            hellos: 0,
        };
        desk.fill();
        for who in 0..desk.sessions.len() {
            desk.greet(who);
        }
        desk
    }

    /// A snapshot with a body, and an acknowledgement.
    fn fill(&mut self) {
        let bodies = vec![vec![7; 40]];
        let id = channel("press-1").id();
        let mailboxes = &mut self.exchanges.mailboxes;
        if let Some(snapshot) = sealed(MessageKind::Snapshot, [1, 1, 0], Some(1), table(&bodies)) {
            let posted = mailboxes.post_snapshot(id, Generation::new(1), &snapshot, bodies);
            assert!(posted.is_ok(), "there is room");
        }
        if let Some(ack) = sealed(MessageKind::ReportAck, [1, 1, 0], None, vec![0x80]) {
            assert!(mailboxes.post_report_ack(id, &ack).is_ok(), "there is room");
        }
    }

    /// Opens a session of one of the three.
    fn greet(&mut self, who: usize) {
        self.hellos = self.hellos.wrapping_add(1);
        let key = signer(KEYS.get(who).copied().unwrap_or_default());
        let channel = channel("press-1");
        let root = Thumbprint::from_bytes([1; 32]);
        let identity = match who {
            0 => Identity::device(&channel, INCARNATION, &key),
            1 => Identity::writer(root, &channel.tenant, &key),
            _ => Identity::mailbox(root, &key),
        };
        let mut selected = Selected::default();
        match who {
            0 => selected.devices.push(AdmittedDevice {
                channel: channel.clone(),
                incarnation: INCARNATION,
                key: key.public_key().clone(),
            }),
            1 => selected.writers.push(AdmittedWriter {
                root,
                tenant: channel.tenant.clone(),
                key: key.public_key().clone(),
            }),
            _ => selected.mailboxes.push(AdmittedMailbox {
                root,
                key: key.public_key().clone(),
            }),
        }
        let opened = self.shake(identity, &selected);
        let Ok(session) = opened else {
            panic!("an honest hello is refused: {opened:?}")
        };
        if let Some(place) = self.sessions.get_mut(who) {
            *place = Some(session);
        }
    }

    fn shake(
        &mut self,
        identity: Identity<'_>,
        selected: &Selected,
    ) -> Result<ClientSession, Reject> {
        self.exchanges.handle_tick(self.now_ms, [self.hellos; 32]);
        let (asking, ask) = Asking::start(BundleNumber::new(0))?;
        let challenge = self.exchanges.answer_ask(&ask, [self.hellos; 8])?;
        let mailbox = signer(3);
        let (greeting, hello) = asking.handle_challenge(
            &challenge,
            [mailbox.public_key()],
            identity,
            &[self.hellos; 32],
        )?;
        let hello = ReceivedHello::parse(&hello)?;
        let id = [0, 0, 0, self.hellos];
        let answered = self
            .exchanges
            .answer_greeting(&hello, selected, id, self.now_ms);
        let (_, welcome) = answered?;
        greeting.handle_welcome(&welcome, self.now_ms)
    }

    fn step(&mut self, selector: u8, chunk: &[u8]) {
        match selector % 8 {
            0 => {
                self.now_ms += u64::from(selector) * 500;
                self.exchanges.handle_tick(self.now_ms, [selector; 32]);
            }
            1 => self.greet(usize::from(selector >> 6) % 3),
            2 => self.raw(chunk),
            3 => self.post(chunk),
            who => self.ask(usize::from(who - 4) % 3, chunk),
        }
    }

    /// Bytes of nobody: refused, or answered as an ask.
    fn raw(&mut self, chunk: &[u8]) {
        if let Ok(challenge) = self.exchanges.answer_ask(chunk, [1; 8]) {
            assert_eq!(frame_type(&challenge), Ok(FrameType::Challenge));
        }
        let handled = self.exchanges.handle_frame(chunk, self.now_ms);
        assert!(handled.is_err(), "a tag was forged: {handled:?}");
        if let Ok(hello) = ReceivedHello::parse(chunk) {
            let nobody = Selected::default();
            let answered = self
                .exchanges
                .answer_greeting(&hello, &nobody, [9; 4], self.now_ms);
            assert!(answered.is_err(), "nobody was admitted");
        }
    }

    /// Any bytes as what a host posts.
    fn post(&mut self, chunk: &[u8]) {
        let id = channel("press-1").id();
        let mailboxes = &mut self.exchanges.mailboxes;
        let _ = mailboxes.post_delta(id, Generation::new(1), chunk);
        let _ = mailboxes.post_heartbeat(id, chunk, true, self.now_ms);
        let _ = mailboxes.post_evidence(id, chunk);
        let _ = mailboxes.post_enrol_answer(id, chunk);
        let _ = mailboxes.post_plane_key(id, chunk);
        // Bundles alone were verified by the host before it shows them: they are envelopes.
        let number = chunk.len() as u64 + 1;
        let revision = [0, number, number - 1];
        let mark = (number > 1).then_some(0);
        if let Some(envelope) = sealed(MessageKind::Bundle, revision, mark, chunk.to_vec()) {
            let bundle = BundleStep {
                number: BundleNumber::new(number),
                from: BundleNumber::default(),
                envelope: envelope.into(),
            };
            let _ = mailboxes.show_bundles(&[bundle]);
        }
    }

    /// The request in a chunk, sealed in a session.
    fn ask(&mut self, who: usize, chunk: &[u8]) {
        let split = SessionFrame::split(chunk, Direction::Up);
        let body = split.and_then(|split| split.danger_unverified_body());
        let Ok(up) = body.and_then(|body| body.decode_up()) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(who).and_then(Option::as_mut) else {
            return;
        };
        let Ok(request) = session.seal_request(&up) else {
            return;
        };
        let handled = self.exchanges.handle_frame(&request.bytes, self.now_ms);
        let again = self.exchanges.handle_frame(&request.bytes, self.now_ms);
        assert!(again.is_err(), "a counter counts twice");
        let Ok(handled) = handled else {
            return;
        };
        assert_eq!(is_of_device(&up), handled.owner.channel().is_some());
        let (kind, answers) = (handled.kind, self.finish(handled));
        for answer in answers {
            assert!(answer.len() <= FRAME_BYTES_MAX, "too long");
            let Some(Some(session)) = self.sessions.get(who) else {
                return;
            };
            if kind != FrameType::Stream {
                let opened = session.open_answer(request.counter, &answer);
                assert!(opened.is_ok(), "{opened:?} to {kind:?}");
            }
        }
    }

    /// Plays the host: nothing is refused, something is wanted, what is held is let go.
    fn finish(&mut self, handled: Handled) -> Vec<Vec<u8>> {
        let now_ms = self.now_ms;
        let wanted = [Wanted {
            digest: Digest::of(b"body"),
            offset: 0,
        }];
        let answer = match handled.step {
            Step::Answer(frame) | Step::Limited(frame, _) => Ok(frame),
            Step::Hold(held) => self.exchanges.release(&held, now_ms, Some(5)),
            Step::Stream(mut streaming) => return self.stream(&mut streaming),
            Step::Post(mut post) => {
                for item in post.items.clone() {
                    post.note_taken(&item);
                }
                let refused = post.refused.clone();
                let answered = self
                    .exchanges
                    .answer_post(&post, &refused, &wanted, true, None);
                let _ended = self.exchanges.end_post(post.channel());
                answered
            }
            Step::Put(put) => {
                let answered = self.exchanges.answer_put(&put, &wanted);
                let _ended = self.exchanges.end_post(put.channel());
                answered
            }
            Step::Writer(WriterStep::Collect(collecting)) => {
                self.exchanges.release_collect(&collecting.held, None)
            }
            Step::Writer(WriterStep::Deliver(deliver)) => {
                let refused = (0..).zip(&deliver.items);
                let delivered = Delivered {
                    refused: refused.map(|(place, _)| (place, Reject::Quota)).collect(),
                    ..Delivered::default()
                };
                self.exchanges
                    .answer_deliver(deliver.asked, &delivered, None)
            }
            Step::Writer(WriterStep::Bodies(bodies)) => {
                let delivered = Delivered {
                    bodies_wanted: vec![(bodies.channel, bodies.plane, wanted[0])],
                    ..Delivered::default()
                };
                self.exchanges
                    .answer_deliver(bodies.asked, &delivered, None)
            }
            Step::Writer(WriterStep::Enrolled(enrolled)) => {
                let delivered = Delivered::default();
                self.exchanges
                    .answer_deliver(enrolled.asked, &delivered, None)
            }
        };
        let Ok(answer) = answer else {
            panic!("a session that is open cannot answer: {answer:?}")
        };
        vec![answer]
    }

    fn stream(&mut self, streaming: &mut crate::exchange::Streaming) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        for _ in 0..8 {
            match self.exchanges.poll_stream(streaming, self.now_ms, None) {
                Ok(Some(StreamStep::Answer { frame, is_last })) => {
                    answers.push(frame);
                    if is_last {
                        break;
                    }
                }
                Ok(Some(StreamStep::Wait(until_ms))) => {
                    assert!(until_ms > self.now_ms, "a busy loop");
                    self.now_ms = until_ms;
                }
                Ok(None) | Err(_) => break,
            }
        }
        answers
    }
}

/// Tells whether a request is one of a device's session.
fn is_of_device(up: &UpFrame<'_>) -> bool {
    match up {
        UpFrame::Poll(_)
        | UpFrame::Stream(_)
        | UpFrame::Post(_)
        | UpFrame::Put { .. }
        | UpFrame::Need { .. }
        | UpFrame::Fetch { .. } => true,
        UpFrame::Collect(_)
        | UpFrame::Deliver(_)
        | UpFrame::DeliverBodies { .. }
        | UpFrame::FetchBodies { .. }
        | UpFrame::DeliverEnrolled { .. } => false,
    }
}
