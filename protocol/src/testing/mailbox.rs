//! A mailbox in memory: the protocol's own handshake and sessions, chains kept as simply as possible.
//!
//! Believes whoever posts from inside; for devices it is exactly what a relay is: a place that
//! never reads a payload. It can also be a bad one: freeze a channel, tell old things again, let
//! heartbeats through in drips. Refuses what its sessions refuse.

use super::handled::{Asked, AskedOf, Handled, HeldOf, HeldPoll, Piece};
use super::hop::{Held, Hop};
use super::keys::Dice;
use super::slots::{Entry, Slots};
use crate::context::draw;
use crate::controller::Post;
use crate::frame::{
    Answer, BodyChunk, Direction, DownFrame, FrameType, Hints, Item, PlainFrame, Refusal, UpFrame,
    Wanted, frame_type,
};
use crate::id::{Channel, ChannelId, Incarnation, Plane, SessionId};
use crate::key::{MemorySigner, PublicKey};
use crate::limits::SESSION_AGE_S_MAX;
use crate::reject::Reject;
use crate::revision::{BundleNumber, Generation, Revision};
use crate::session::{
    Admitted, EphemeralWindows, MailboxHandshake, MailboxKey, Opened, ReceivedHello, Sessions,
};
use crate::trust::{BundleStep, Trust};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// One key of the mailbox with the bundles that list it.
#[derive(Debug)]
struct OwnKey {
    signer: MemorySigner,
    first: u64,
    last: u64,
}

/// The mailbox.
#[derive(Debug)]
pub struct TestMailbox {
    /// The newest first.
    keys: Vec<OwnKey>,
    windows: EphemeralWindows,
    sessions: Sessions<ChannelId>,
    slots: BTreeMap<ChannelId, Slots>,
    /// The bundles that it serves, from number 1.
    pub bundles: Vec<Vec<u8>>,
    /// Those of them that a reader needs, as the controller told since this process began.
    steps: Vec<BundleStep>,
    dice: Dice,
    /// Channels of which something changed since held polls were last looked at.
    changed: BTreeSet<ChannelId>,
    /// Bundles that there were then.
    bundles_seen: usize,
}

impl TestMailbox {
    /// Starts empty.
    #[must_use]
    pub fn new(signer: MemorySigner, bundles: Vec<Vec<u8>>, mut dice: Dice) -> Self {
        let key = OwnKey {
            signer,
            first: 1,
            last: u64::MAX,
        };
        Self {
            keys: Vec::from([key]),
            windows: EphemeralWindows::new(draw(&mut dice), 0),
            sessions: Sessions::new(64),
            slots: BTreeMap::new(),
            bundles,
            steps: Vec::new(),
            dice,
            changed: BTreeSet::new(),
            bundles_seen: 0,
        }
    }

    fn handshake(&self) -> MailboxHandshake<'_> {
        let keys = self.keys.iter().map(|key| MailboxKey {
            signer: &key.signer,
            first: BundleNumber::new(key.first),
            last: BundleNumber::new(key.last),
        });
        MailboxHandshake {
            windows: &self.windows,
            keys: keys.collect(),
            bundle: BundleNumber::new(self.bundles.len() as u64),
            age_max_s: SESSION_AGE_S_MAX,
            time: None,
        }
    }

    fn handle_hello(&mut self, frame: &[u8], now_ms: u64) -> Result<Vec<u8>, Reject> {
        let hello = ReceivedHello::parse(frame)?;
        let channel = hello.channel();
        let fresh = SessionId::from_bytes(draw(&mut self.dice));
        let slots = self.slots.get(&channel).ok_or(Reject::NotAdmitted)?;
        let admitted = |key| Admitted::device(&slots.channel, slots.incarnation, key);
        let admitted: Vec<_> = slots.keys.iter().map(admitted).collect();
        let session = self.sessions.find_same(&channel, &hello).unwrap_or(fresh);
        let welcomed =
            self.handshake()
                .handle_hello(&hello, &admitted, |_| false, session, now_ms)?;
        self.sessions.offer(channel, welcomed.pending, now_ms)?;
        Ok(welcomed.frame)
    }

    fn handle_request(&mut self, bytes: &[u8], now_ms: u64) -> Result<Handled, Reject> {
        let Opened {
            owner: channel,
            session,
            counter,
            frame,
            ..
        } = self.sessions.open(bytes, now_ms)?;
        self.changed.insert(channel);
        let slots = self.slots.get_mut(&channel).ok_or(Reject::NotAdmitted)?;
        let asked = Asked {
            channel,
            of: AskedOf::Session(session, counter),
        };
        match frame {
            UpFrame::Poll(poll) => {
                let held = HeldPoll {
                    channel,
                    hold_ms: u64::from(poll.hold_s) * 1_000,
                    of: HeldOf::Session(session, counter, poll),
                };
                match self.release(&held, false, now_ms)? {
                    Some(answer) => Ok(Handled::Answer(answer)),
                    None => Ok(Handled::Held(held)),
                }
            }
            UpFrame::Post(items) => {
                let envelopes: Vec<_> = items.iter().map(|item| item.envelope.to_vec()).collect();
                envelopes.iter().for_each(|one| slots.note_report(one));
                Ok(Handled::Posted(asked, envelopes))
            }
            UpFrame::Put { plane, chunks } => {
                let pieces = chunks.iter().map(|chunk| Piece {
                    digest: chunk.digest,
                    size: chunk.size,
                    offset: chunk.offset,
                    bytes: chunk.bytes.to_vec(),
                });
                Ok(Handled::Put(asked, plane, pieces.collect()))
            }
            UpFrame::Need { plane, .. } => {
                let is_served = slots.need.take(plane, now_ms).is_ok();
                let answer = self.seal(session, counter, Hints::default(), &[])?;
                Ok(if is_served {
                    Handled::SnapshotWanted(channel, answer)
                } else {
                    Handled::Answer(answer)
                })
            }
            UpFrame::Fetch { wanted, .. } => self.answer_fetch(asked, &wanted),
            // As a mailbox of before there were any.
            UpFrame::Stream(_) => Err(Reject::FrameUnknown),
            UpFrame::Collect(_)
            | UpFrame::Deliver(_)
            | UpFrame::DeliverBodies { .. }
            | UpFrame::FetchBodies { .. }
            | UpFrame::DeliverEnrolled { .. } => Err(Reject::SessionRole),
        }
    }

    fn answer_fetch(&self, asked: Asked, wanted: &[Wanted]) -> Result<Handled, Reject> {
        let slots = self.slots.get(&asked.channel).ok_or(Reject::NotAdmitted)?;
        let chunk = slots
            .chunk(wanted)
            .map(|(digest, size, offset, bytes)| BodyChunk {
                digest,
                size: size as u64,
                offset,
                bytes,
            });
        let bodies = DownFrame::Bodies(chunk.into_iter().collect());
        let AskedOf::Session(session, counter) = asked.of else {
            return Err(Reject::SessionUnknown);
        };
        let session = self
            .sessions
            .session(session)
            .ok_or(Reject::SessionUnknown)?;
        session.seal_answer(counter, &bodies).map(Handled::Answer)
    }

    fn seal(
        &self,
        session: SessionId,
        counter: u16,
        hints: Hints,
        entries: &[Entry],
    ) -> Result<Vec<u8>, Reject> {
        let items = entries.iter().map(|(plane, envelope)| Item {
            plane: *plane,
            envelope,
        });
        let answer = DownFrame::Answer(Answer {
            hints,
            items: items.collect(),
        });
        let session = self
            .sessions
            .session(session)
            .ok_or(Reject::SessionUnknown)?;
        session.seal_answer(counter, &answer)
    }
}

impl Hop for TestMailbox {
    fn restart(&mut self) {
        self.sessions = Sessions::new(64);
        self.changed.extend(self.slots.keys().copied());
        for slots in self.slots.values_mut() {
            slots.beat = None;
        }
    }

    fn file_of(&self, channel: ChannelId) -> Vec<Vec<u8>> {
        let slots = self.slots.get(&channel);
        slots.map_or_else(Vec::new, |slots| slots.file(channel, &self.bundles))
    }

    fn keys(&self) -> usize {
        self.keys.len()
    }

    fn rotate(&mut self, signer: MemorySigner, first: u64) {
        for key in &mut self.keys {
            key.last = key.last.min(first.saturating_sub(1));
        }
        let key = OwnKey {
            signer,
            first,
            last: u64::MAX,
        };
        self.keys.insert(0, key);
    }

    /// It stays, and reads the bundle for itself: a controller that died of its commit said nothing of it.
    fn begin(&mut self, trust: &Trust, bundles: &[Vec<u8>]) -> bool {
        let is_revoked = |key: &PublicKey| trust.is_revoked(&key.thumbprint());
        let channels = self.slots.iter();
        let gone = channels.filter(|(_, slots)| slots.keys.iter().all(is_revoked));
        let gone: Vec<ChannelId> = gone.map(|(channel, _)| *channel).collect();
        gone.into_iter().for_each(|channel| self.evict(channel));
        self.bundles = bundles.to_vec();
        self.steps = Vec::new();
        false
    }

    fn lose(&mut self) {
        self.slots.values_mut().for_each(Slots::lose);
    }

    fn is_serving(&self, channel: ChannelId) -> bool {
        self.slots.contains_key(&channel)
    }

    fn held(&self, channel: ChannelId) -> Held {
        let slots = self.slots.get(&channel);
        slots.map_or((None, None), Slots::held)
    }

    fn admit(
        &mut self,
        channel: Channel,
        incarnation: Incarnation,
        key: PublicKey,
        next: Option<PublicKey>,
    ) -> bool {
        let id = channel.id();
        self.changed.insert(id);
        let held = self.slots.get_mut(&id);
        if let Some(slots) = held
            && slots.incarnation == incarnation
            && slots.keys.contains(&key)
        {
            if next.is_none() {
                slots.drop_enrol_answer();
            }
            slots.keys = core::iter::once(key).chain(next).collect();
            return false;
        }
        self.sessions.remove_owner(&id);
        let keys = core::iter::once(key).chain(next).collect();
        self.slots
            .insert(id, Slots::new(channel, incarnation, keys));
        true
    }

    fn evict(&mut self, channel: ChannelId) {
        self.changed.insert(channel);
        self.sessions.remove_owner(&channel);
        self.slots.remove(&channel);
    }

    fn take(
        &mut self,
        channel: ChannelId,
        generation: Generation,
        post: Post,
        now_ms: u64,
    ) -> bool {
        self.changed.insert(channel);
        self.slots
            .get_mut(&channel)
            .is_some_and(|slots| slots.take(generation, post, now_ms))
    }

    fn set_actual_held(&mut self, channel: ChannelId, revision: Revision) {
        self.changed.insert(channel);
        if let Some(slots) = self.slots.get_mut(&channel) {
            slots.set_actual_held(revision);
        }
    }

    fn freeze(&mut self, channel: ChannelId, drip_ms: Option<u64>) {
        let bundles = self.bundles.len();
        if let Some(slots) = self.slots.get_mut(&channel) {
            slots.freeze(bundles, drip_ms);
        }
    }

    fn thaw(&mut self, channel: ChannelId, now_ms: u64) -> bool {
        self.changed.insert(channel);
        self.slots
            .get_mut(&channel)
            .is_some_and(|slots| slots.thaw(now_ms))
    }

    fn tell_again(&mut self, channel: ChannelId, which: u64) {
        if let Some(slots) = self.slots.get_mut(&channel) {
            slots.tell_again(which);
        }
    }

    fn entries_max(&self) -> usize {
        let chains = self.slots.values().map(Slots::entries);
        chains.max().unwrap_or(0)
    }

    fn show_bundles(&mut self, steps: Vec<BundleStep>) {
        let newest = steps.last().map(|step| step.envelope.to_vec());
        let newest = newest.filter(|newest| !self.bundles.contains(newest));
        self.bundles.extend(newest);
        self.steps = steps;
    }

    fn is_stirred(&self) -> bool {
        !self.changed.is_empty() || self.bundles.len() != self.bundles_seen
    }

    fn is_stirred_for(&self, held: &HeldPoll) -> bool {
        self.bundles.len() != self.bundles_seen || self.changed.contains(&held.channel)
    }

    fn is_asking(&self, held: &HeldPoll) -> bool {
        let slots = self.slots.get(&held.channel);
        match &held.of {
            HeldOf::Session(_, _, poll) => slots.is_none_or(|slots| slots.differs(poll.actual)),
            HeldOf::Number(_) => false,
        }
    }

    fn settle(&mut self) {
        self.changed.clear();
        self.bundles_seen = self.bundles.len();
    }

    fn wants_heartbeat(&mut self, held: &HeldPoll, now_ms: u64) -> bool {
        self.slots
            .get_mut(&held.channel)
            .is_some_and(|slots| slots.wants_heartbeat(now_ms))
    }

    fn handle(&mut self, frame: &[u8], now_ms: u64) -> Result<Handled, Reject> {
        let kind = frame_type(frame)?;
        if self.windows.is_rotation_due(now_ms) {
            self.windows.rotate(draw(&mut self.dice), now_ms);
        }
        match kind {
            FrameType::Ask => {
                let nonce = draw(&mut self.dice);
                self.handshake()
                    .answer_ask(frame, nonce)
                    .map(Handled::Answer)
            }
            FrameType::Hello => self.handle_hello(frame, now_ms).map(Handled::Answer),
            FrameType::Enrol => {
                PlainFrame::decode(frame, Direction::Up)?;
                Ok(Handled::Enrol(frame.to_vec()))
            }
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
            | FrameType::DeliverEnrolled => self.handle_request(frame, now_ms),
            FrameType::Answer
            | FrameType::Bodies
            | FrameType::Collected
            | FrameType::StreamAnswer
            | FrameType::FiledBody
            | FrameType::Enrolled
            | FrameType::Challenge
            | FrameType::Welcome
            | FrameType::Refused
            | FrameType::Posted => Err(Reject::FrameDirection),
        }
    }

    fn answer_post(
        &mut self,
        asked: Asked,
        refused: &[(u32, u16)],
        wanted: Vec<Wanted>,
    ) -> Result<Vec<u8>, Reject> {
        let refused = refused.iter().map(|(index, reject)| Refusal {
            index: *index,
            code: *reject,
        });
        let hints = Hints {
            refused: refused.collect(),
            wanted,
            ..Hints::default()
        };
        let AskedOf::Session(session, counter) = asked.of else {
            return Err(Reject::SessionUnknown);
        };
        self.seal(session, counter, hints, &[])
    }

    fn release(
        &mut self,
        held: &HeldPoll,
        is_over: bool,
        now_ms: u64,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let HeldOf::Session(session, counter, poll) = &held.of else {
            return Err(Reject::SessionUnknown);
        };
        let slots = self
            .slots
            .get_mut(&held.channel)
            .ok_or(Reject::NotAdmitted)?;
        let mut entries = slots.newer(poll, &self.bundles, &self.steps);
        let is_asked = slots.ask_actual(poll.actual, now_ms);
        let is_answered = !entries.is_empty() || is_asked || is_over || held.hold_ms == 0;
        if !is_answered && !slots.is_beat_awaited(*session) {
            return Ok(None);
        }
        entries.extend(slots.give_beat(*session));
        entries.extend(slots.give_old());
        let hints = Hints {
            need: is_asked.then_some(Plane::Actual).into_iter().collect(),
            ..Hints::default()
        };
        self.seal(*session, *counter, hints, &entries).map(Some)
    }
}
