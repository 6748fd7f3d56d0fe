//! A mailbox in memory: the protocol's own handshake and sessions, chains kept as simply as possible.
//!
//! Believes whoever posts from inside; for devices it is exactly what a relay is: a place that
//! never reads a payload. Refuses what its sessions refuse.

use super::keys::Dice;
use super::slots::{Entry, Slots};
use crate::context::draw;
use crate::controller::Post;
use crate::frame::{
    Answer, BodyChunk, Direction, DownFrame, FrameType, Hints, Item, PlainFrame, Poll, UpFrame,
    frame_type,
};
use crate::id::{Channel, ChannelId, Digest, Incarnation, Plane, SessionId};
use crate::key::{MemorySigner, PublicKey};
use crate::limits::SESSION_AGE_S_MAX;
use crate::reject::Reject;
use crate::revision::{BundleNumber, Generation, Revision};
use crate::session::{
    Admitted, EphemeralWindows, MailboxHandshake, MailboxKey, Opened, ReceivedHello, Sessions,
};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What a frame leads to.
#[derive(Debug)]
pub enum Handled {
    /// Answer with these bytes.
    Answer(Vec<u8>),
    /// Nothing is newer: ask again with the same poll when something may be.
    Held(HeldPoll),
    /// Hand an `enrol` frame to the controller, whose answer is the answer.
    Enrol(Vec<u8>),
    /// Hand envelopes to the controller, then answer with what it wants.
    Posted(ChannelId, Vec<Vec<u8>>, Reply),
    /// Hand bodies to the controller, then answer with what it still wants.
    Put(ChannelId, Plane, Vec<OwnedChunk>, Reply),
    /// Ask the controller for a snapshot, then answer.
    SnapshotWanted(ChannelId, Vec<u8>),
}

/// Names the request that an answer answers.
#[derive(Debug, Clone, Copy)]
pub struct Reply {
    session: SessionId,
    counter: u16,
}

/// A piece of a body that outlives its frame.
#[derive(Debug, Clone)]
pub struct OwnedChunk {
    /// Digest of the whole body.
    pub digest: Digest,
    /// Bytes of the whole body.
    pub size: u64,
    /// Where the piece begins.
    pub offset: u64,
    /// The piece.
    pub bytes: Vec<u8>,
}

impl OwnedChunk {
    fn of(chunk: &BodyChunk<'_>) -> Self {
        Self {
            digest: chunk.digest,
            size: chunk.size,
            offset: chunk.offset,
            bytes: chunk.bytes.to_vec(),
        }
    }

    /// Borrows it as what a frame carries.
    #[must_use]
    pub fn as_body_chunk(&self) -> BodyChunk<'_> {
        BodyChunk {
            digest: self.digest,
            size: self.size,
            offset: self.offset,
            bytes: &self.bytes,
        }
    }
}

/// A poll that waits for news.
#[derive(Debug, Clone)]
pub struct HeldPoll {
    /// Its channel.
    pub channel: ChannelId,
    /// Seconds that it may wait.
    pub hold_s: u16,
    session: SessionId,
    counter: u16,
    poll: Poll,
}

/// The mailbox.
#[derive(Debug)]
pub struct TestMailbox {
    signer: MemorySigner,
    windows: EphemeralWindows,
    sessions: Sessions<ChannelId>,
    slots: BTreeMap<ChannelId, Slots>,
    /// The bundles that it serves, from number 1.
    pub bundles: Vec<Vec<u8>>,
    dice: Dice,
}

impl TestMailbox {
    /// Starts empty.
    #[must_use]
    pub fn new(signer: MemorySigner, bundles: Vec<Vec<u8>>, mut dice: Dice) -> Self {
        Self {
            signer,
            windows: EphemeralWindows::new(draw(&mut dice), 0),
            sessions: Sessions::new(64),
            slots: BTreeMap::new(),
            bundles,
            dice,
        }
    }

    /// Forgets every session, as a restarted mailbox does. What is kept stays.
    pub fn restart(&mut self) {
        self.sessions = Sessions::new(64);
    }

    /// Serves a device from now on; another incarnation starts with nothing.
    pub fn admit(&mut self, channel: Channel, incarnation: Incarnation, key: PublicKey) {
        let id = channel.id();
        let is_same = self
            .slots
            .get(&id)
            .is_some_and(|slots| slots.incarnation == incarnation && slots.key == key);
        if !is_same {
            self.sessions.remove_owner(&id);
            self.slots.insert(id, Slots::new(channel, incarnation, key));
        }
    }

    /// Takes a post of the controller. Returns true when a snapshot is wanted.
    pub fn take(&mut self, channel: ChannelId, generation: Generation, post: Post) -> bool {
        self.slots
            .get_mut(&channel)
            .is_some_and(|slots| slots.take(generation, post))
    }

    /// Handles one frame of a client.
    ///
    /// # Errors
    /// Whatever the sessions refuse; the caller answers with a `refused` frame.
    pub fn handle(&mut self, frame: &[u8], now_ms: u64) -> Result<Handled, Reject> {
        if self.windows.is_rotation_due(now_ms) {
            self.windows.rotate(draw(&mut self.dice), now_ms);
        }
        match frame_type(frame)? {
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
            | FrameType::Put => self.handle_request(frame, now_ms),
            FrameType::Answer
            | FrameType::Bodies
            | FrameType::FiledBody
            | FrameType::Enrolled
            | FrameType::Challenge
            | FrameType::Welcome
            | FrameType::Refused
            | FrameType::Posted => Err(Reject::FrameDirection),
        }
    }

    fn handshake(&self) -> MailboxHandshake<'_> {
        MailboxHandshake {
            windows: &self.windows,
            keys: Vec::from([MailboxKey::only(&self.signer)]),
            bundle: BundleNumber::new(self.bundles.len() as u64),
            age_max_s: SESSION_AGE_S_MAX,
        }
    }

    fn handle_hello(&mut self, frame: &[u8], now_ms: u64) -> Result<Vec<u8>, Reject> {
        let hello = ReceivedHello::parse(frame)?;
        let channel = hello.channel();
        let slots = self.slots.get(&channel).ok_or(Reject::NotAdmitted)?;
        let admitted = Admitted {
            channel: &slots.channel,
            incarnation: slots.incarnation,
            key: &slots.key,
        };
        let fresh = SessionId::from_bytes(draw(&mut self.dice));
        let session = self.sessions.find_same(&channel, &hello).unwrap_or(fresh);
        let welcomed =
            self.handshake()
                .handle_hello(&hello, &[admitted], |_| false, session, now_ms)?;
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
        let slots = self.slots.get_mut(&channel).ok_or(Reject::NotAdmitted)?;
        match frame {
            UpFrame::Poll(poll) => {
                let is_wanted = slots.is_actual_wanted(&poll, now_ms);
                let held = HeldPoll {
                    channel,
                    hold_s: poll.hold_s,
                    session,
                    counter,
                    poll,
                };
                self.answer_poll(held, is_wanted)
            }
            UpFrame::Post(items) => {
                let envelopes: Vec<_> = items.iter().map(|item| item.envelope.to_vec()).collect();
                envelopes.iter().for_each(|one| slots.note_report(one));
                let reply = Reply { session, counter };
                Ok(Handled::Posted(channel, envelopes, reply))
            }
            UpFrame::Put { plane, chunks } => {
                let chunks = chunks.iter().map(OwnedChunk::of).collect();
                let reply = Reply { session, counter };
                Ok(Handled::Put(channel, plane, chunks, reply))
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
            UpFrame::Fetch { wanted, .. } => {
                let chunk = slots
                    .chunk(&wanted)
                    .map(|(digest, size, offset, bytes)| BodyChunk {
                        digest,
                        size: size as u64,
                        offset,
                        bytes,
                    });
                let bodies = DownFrame::Bodies(chunk.into_iter().collect());
                let session = self
                    .sessions
                    .session(session)
                    .ok_or(Reject::SessionUnknown)?;
                session.seal_answer(counter, &bodies).map(Handled::Answer)
            }
        }
    }

    /// Says at once that another actual head is held than the poll names, or looks for news.
    fn answer_poll(&mut self, held: HeldPoll, is_wanted: bool) -> Result<Handled, Reject> {
        if is_wanted {
            let hints = Hints {
                need: Vec::from([Plane::Actual]),
                ..Hints::default()
            };
            let answer = self.seal(held.session, held.counter, hints, &[]);
            return answer.map(Handled::Answer);
        }
        match self.release(&held, false)? {
            Some(answer) => Ok(Handled::Answer(answer)),
            None => Ok(Handled::Held(held)),
        }
    }

    /// Answers a held poll when something is newer, or with nothing when its time is over.
    ///
    /// # Errors
    /// `session-unknown` when the session ended meanwhile.
    pub fn release(&mut self, held: &HeldPoll, is_over: bool) -> Result<Option<Vec<u8>>, Reject> {
        let slots = self
            .slots
            .get_mut(&held.channel)
            .ok_or(Reject::NotAdmitted)?;
        let mut entries = slots.newer(&held.poll, &self.bundles);
        entries.extend(slots.passing());
        if entries.is_empty() && !is_over && held.hold_s > 0 {
            return Ok(None);
        }
        self.seal(held.session, held.counter, Hints::default(), &entries)
            .map(Some)
    }

    /// Answers a request that the controller has dealt with.
    ///
    /// # Errors
    /// `session-unknown` when the session ended meanwhile.
    pub fn reply(&self, to: Reply, hints: Hints) -> Result<Vec<u8>, Reject> {
        self.seal(to.session, to.counter, hints, &[])
    }

    /// Notes the actual head that the controller holds, for polls to be compared with.
    pub fn set_actual_head(&mut self, channel: ChannelId, held: Revision) {
        if let Some(slots) = self.slots.get_mut(&channel) {
            slots.actual_held = Some(held);
        }
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
