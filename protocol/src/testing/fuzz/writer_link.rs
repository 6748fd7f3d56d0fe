//! A writer's link whose mailbox, which proved its key, may answer anything.
//!
//! What must hold: the cursor follows what the controller took and nothing else, arrivals ascend and none that was taken
//! comes again, what waits stays within its bytes, and the record reads back. Refuses to forge: the session is real.

use super::script::steps;
use crate::context::Now;
use crate::frame::{Direction, DownFrame, SessionFrame};
use crate::id::{ChannelId, Plane, SessionId};
use crate::key::Signer as _;
use crate::limits::LINK_BYTES_MAX;
use crate::revision::{ArrivalNumber, BundleNumber, Knock, StoreEpoch};
use crate::session::{
    Admitted, EphemeralWindows, MailboxHandshake, MailboxKey, ReceivedHello, Sessions,
};
use crate::testing::{Dice, TestKeys};
use crate::writer_link::{Context, ExchangeId, Input, Letter, LinkIdentity, Output, WriterLink};
use alloc::vec::Vec;

/// Whatever a mailbox answers, a link counts right, holds little, and waits.
pub fn writer_link(input: &[u8]) {
    let mut desk = Desk::new();
    desk.connect();
    for (selector, chunk) in steps(input) {
        desk.step(selector, chunk);
        assert!(desk.link.waiting_bytes() <= LINK_BYTES_MAX, "too much");
        assert!(desk.frames.len() <= 2, "a collect and a work at most");
    }
    desk.run(60_000);
    let record = desk.record.as_deref();
    let again = WriterLink::new(desk.identity.clone(), BundleNumber::new(1), record);
    let Ok(again) = again else {
        unreachable!("a record holds what a link wrote: {again:?}");
    };
    assert_eq!(again.cursor(), desk.link.cursor());
    assert_eq!(again.store(), desk.link.store());
}

struct Desk {
    link: WriterLink,
    identity: LinkIdentity,
    keys: TestKeys,
    now_ms: u64,
    dice: Dice,
    frames: Vec<(ExchangeId, Vec<u8>)>,
    record: Option<Vec<u8>>,
    is_down: bool,
    windows: EphemeralWindows,
    sessions: Sessions<u8>,
    hellos: u8,
    store: StoreEpoch,
    /// The last arrival that was given since the session began.
    given: ArrivalNumber,
}

impl Desk {
    fn new() -> Self {
        let keys = TestKeys::new();
        let identity = LinkIdentity {
            root: keys.domain(),
            tenant: keys.tenant.clone(),
            mailbox: keys.mailbox.public_key().clone(),
        };
        let link = WriterLink::new(identity.clone(), BundleNumber::new(1), None);
        let Ok(link) = link else {
            unreachable!("there is no record")
        };
        Self {
            link,
            identity,
            keys,
            now_ms: 100_000,
            dice: Dice::new(5),
            frames: Vec::new(),
            record: None,
            is_down: true,
            windows: EphemeralWindows::new([3; 32], 100_000),
            sessions: Sessions::new(8),
            hellos: 0,
            store: StoreEpoch::new(0),
            given: ArrivalNumber::new(0),
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let (cursor, is_taking) = (self.link.cursor(), matches!(input, Input::Taken { .. }));
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
            self.output(output);
        }
        let is_moved = self.link.cursor() > cursor && self.link.store() == self.store;
        assert!(!is_moved || is_taking, "nobody took this");
        self.store = self.link.store();
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Exchange { id, frame, .. } => self.frames.push((id, frame)),
            Output::Persist(writes) => {
                let [write] = writes.as_slice() else {
                    unreachable!("one record, not {writes:?}");
                };
                self.record.clone_from(&write.value);
            }
            Output::Reconnect => {
                self.is_down = true;
                self.frames.clear();
                self.given = ArrivalNumber::new(0);
            }
            Output::StoreChanged { .. } => self.given = ArrivalNumber::new(0),
            Output::Received { arrival, .. } | Output::Knock { arrival, .. } => {
                assert!(arrival > self.given, "it was given already");
                assert!(arrival > self.link.cursor(), "it was taken already");
                self.given = arrival;
            }
            Output::RefillWanted { channel } => self.input(Input::Refilled { channel }),
            Output::Bodies { .. }
            | Output::NoBodies { .. }
            | Output::SnapshotWanted { .. }
            | Output::Event(_) => {}
        }
    }

    fn run(&mut self, ms: u64) {
        let end_ms = self.now_ms.saturating_add(ms);
        let mut wakes = 0;
        while let Some(due_ms) = self.link.poll_timeout().filter(|due| *due <= end_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.input(Input::Timeout);
            wakes += 1;
            assert!(wakes < 10_000, "a busy loop");
        }
        self.now_ms = end_ms;
    }

    fn handshake(&self) -> MailboxHandshake<'_> {
        MailboxHandshake {
            windows: &self.windows,
            keys: Vec::from([MailboxKey::only(&self.keys.mailbox)]),
            bundle: BundleNumber::new(1),
            age_max_s: 3_600,
            time: None,
        }
    }

    /// Opens a session, as an honest mailbox would.
    fn connect(&mut self) {
        if self.windows.is_rotation_due(self.now_ms) {
            self.windows.rotate([4; 32], self.now_ms);
        }
        self.is_down = false;
        self.hellos = self.hellos.wrapping_add(1);
        self.input(Input::Connect);
        let Some((exchange, ask)) = self.frames.pop() else {
            unreachable!("a link that is down asks")
        };
        let challenge = self.handshake().answer_ask(&ask, [self.hellos; 8]);
        let frame = &challenge.unwrap_or_default();
        self.input(Input::Answer { exchange, frame });
        let Some((exchange, hello)) = self.frames.pop() else {
            unreachable!("the mailbox is the one of the bundle")
        };
        let key = self.keys.writer.public_key();
        let admitted = Admitted::writer(self.keys.domain(), &self.keys.tenant, key);
        let id = SessionId::from_bytes([self.hellos; 4]);
        let welcomed = ReceivedHello::parse(&hello).and_then(|hello| {
            let handshake = self.handshake();
            handshake.handle_hello(&hello, &[admitted], |_| false, id, self.now_ms)
        });
        let Ok(welcomed) = welcomed else {
            unreachable!("the writer is admitted: {welcomed:?}")
        };
        self.sessions = Sessions::new(8);
        let offered = self.sessions.offer(1, welcomed.pending, self.now_ms);
        assert_eq!(offered, Ok(()), "the table is empty");
        let frame = &welcomed.frame;
        self.input(Input::Answer { exchange, frame });
        assert!(self.link.is_open(), "a session is open");
    }

    fn step(&mut self, selector: u8, chunk: &[u8]) {
        if self.is_down {
            self.connect();
        }
        let channel = self.keys.channel("press-7").id();
        match selector % 12 {
            0 => self.run(u64::from(selector) * 100),
            1 => self.answer(selector, |_| Some(chunk.to_vec())),
            2 => {
                if let Some((exchange, _)) = self.take(selector) {
                    self.input(Input::Failed { exchange });
                }
            }
            3 => self.deliver(channel, selector, chunk),
            4 => self.input(Input::Taken {
                arrival: self.given,
            }),
            5 => self.fetch(channel, chunk),
            6 => self.input(Input::Refill {
                channels: Vec::from([channel]),
            }),
            7 => self.input(Input::Enrolled {
                knock: Knock::new(u64::from(selector)),
                frame: chunk.to_vec(),
            }),
            8 => self.input(Input::Hold { seconds: 55 }),
            _ => self.answer(selector, |desk| desk.reseal(chunk)),
        }
    }

    fn take(&mut self, selector: u8) -> Option<(ExchangeId, Vec<u8>)> {
        let place = usize::from(selector).checked_rem(self.frames.len())?;
        Some(self.frames.remove(place))
    }

    /// Answers a request with what `make` makes; with none, it stays.
    fn answer(&mut self, selector: u8, make: impl FnOnce(&mut Self) -> Option<Vec<u8>>) {
        let Some((exchange, request)) = self.take(selector) else {
            return;
        };
        self.frames.push((exchange, request));
        let frame = make(self);
        self.frames.retain(|(held, _)| *held != exchange);
        let frame = &frame.unwrap_or_default();
        self.input(Input::Answer { exchange, frame });
    }

    /// The answer in a chunk, sealed in the session for the request that was pushed last.
    fn reseal(&mut self, chunk: &[u8]) -> Option<Vec<u8>> {
        let (_, request) = self.frames.last()?;
        let opened = self.sessions.open(request, self.now_ms).ok()?;
        let (session, counter) = (opened.session, opened.counter);
        let split = SessionFrame::split(chunk, Direction::Down).ok()?;
        let body = split.danger_unverified_body().ok()?;
        let down = body.decode_down().ok()?;
        let session = self.sessions.session(session)?;
        session.seal_answer(counter, &down).ok()
    }

    fn deliver(&mut self, channel: ChannelId, selector: u8, chunk: &[u8]) {
        let is_bundle = selector & 16 != 0;
        self.input(Input::Deliver(Letter {
            channel: (!is_bundle).then_some(channel),
            plane: (!is_bundle).then_some(Plane::Desired),
            envelope: chunk.to_vec(),
            bodies: Vec::new(),
        }));
    }

    /// Wants the bodies that a chunk names as a frame of bodies would.
    fn fetch(&mut self, channel: ChannelId, chunk: &[u8]) {
        let split = SessionFrame::split(chunk, Direction::Down);
        let body = split.and_then(|split| split.danger_unverified_body());
        let Ok(DownFrame::Bodies(chunks)) = body.and_then(|body| body.decode_down()) else {
            return;
        };
        let wanted = chunks.iter().map(|chunk| crate::frame::Wanted {
            digest: chunk.digest,
            offset: chunk.offset,
        });
        let wanted: Vec<_> = wanted.take(16).collect();
        if !wanted.is_empty() {
            self.input(Input::Fetch { channel, wanted });
        }
    }
}
