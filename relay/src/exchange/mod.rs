//! One exchange: a frame in, a frame out or a hold. Joins sessions to mailboxes; pure.
//!
//! ```text
//!   ask, hello ---> challenge, welcome
//!   poll ---------> Step::Answer (news) | Step::Hold --release--> answer
//!   post ---------> Step::Post --(host makes it durable)--> answer_post
//!   need, fetch --> Step::Answer
//! ```
//!
//! The heads of a poll are compared before it is parked, in the same step: news that came first
//! is never slept through. Refuses clocks and randomness (arguments), and answers to a device that
//! asks for the same news again and again faster than it could have used them.

mod repeats;
#[cfg(test)]
mod tests;

use crate::limits::{HOLD_S_MAX, SESSIONS_MAX};
use crate::mailbox::{Entry, Heads, MailboxLimits, Mailboxes};
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::{
    Answer, BodyChunk, DownFrame, FrameType, Hints, Item, Poll, Refusal, UpFrame, Wanted,
};
use postern_protocol::id::{Channel, ChannelId, Digest, Incarnation, Plane, SessionId};
use postern_protocol::key::{PublicKey, Signer};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::limits::{NEED_INTERVAL_MS, SESSION_AGE_S_MAX};
use postern_protocol::session::{
    Admitted, EphemeralWindows, MailboxHandshake, MailboxKey, Opened, ReceivedHello, Sessions,
};
use repeats::Repeats;
use std::sync::Arc;

/// Signs the welcomes of a mailbox.
pub type MailboxSigner = Arc<dyn Signer + Send + Sync>;

/// A device that may open a session, as its host knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedDevice {
    /// Its channel.
    pub channel: Channel,
    /// Its current life.
    pub incarnation: Incarnation,
    /// Its enrolled key.
    pub key: PublicKey,
}

/// An exchange that waits for news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What wakes it.
    pub channel: ChannelId,
    /// When to answer at the latest, on the caller's monotonic clock in milliseconds.
    pub until_ms: u64,
    session: SessionId,
    counter: u16,
    heads: Heads,
    is_clamped: bool,
}

/// One item of a post that has the right shape; its signature is the host's to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedItem {
    /// Place in the post.
    pub index: u32,
    /// The plane.
    pub plane: Option<Plane>,
    /// The untagged COSE_Sign1.
    pub envelope: Vec<u8>,
}

/// A post to be made durable before it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Whose session brought it.
    pub channel: ChannelId,
    /// What the host must take or refuse.
    pub items: Vec<PostedItem>,
    /// Refused already, for their shape.
    pub refused: Vec<(u32, Reject)>,
    session: SessionId,
    counter: u16,
}

/// What to do with a request of a session.
#[derive(Debug)]
pub enum Step {
    /// Send this.
    Answer(Vec<u8>),
    /// Send this; the request was refused in its session and is to be counted.
    Limited(Vec<u8>, Reject),
    /// Wait for news of the channel, then [`Exchanges::release`].
    Hold(Held),
    /// Hand the items to the host, then [`Exchanges::answer_post`].
    Post(Post),
}

/// A request of a session that verified.
#[derive(Debug)]
pub struct Handled {
    /// Whose session.
    pub channel: ChannelId,
    /// What was asked.
    pub kind: FrameType,
    /// True when this frame displaced an older session: its held poll ends.
    pub displaced: bool,
    /// What to do.
    pub step: Step,
}

/// How a mailbox behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExchangeLimits {
    /// Bounds of what is kept.
    pub mailbox: MailboxLimits,
    /// Seconds that a poll is held at most, 0..=300.
    pub hold_s_max: u64,
    /// Sessions at once.
    pub sessions_max: usize,
    /// Life of a session in seconds, at most 86400.
    pub session_age_s_max: u64,
}

impl Default for ExchangeLimits {
    fn default() -> Self {
        Self {
            mailbox: MailboxLimits::default(),
            hold_s_max: HOLD_S_MAX,
            sessions_max: SESSIONS_MAX,
            session_age_s_max: SESSION_AGE_S_MAX,
        }
    }
}

/// Sessions and mailboxes of one trust domain.
pub struct Exchanges {
    limits: ExchangeLimits,
    signer: MailboxSigner,
    windows: EphemeralWindows,
    sessions: Sessions<ChannelId>,
    repeats: Repeats,
    /// What is kept for readers.
    pub mailboxes: Mailboxes,
}

impl std::fmt::Debug for Exchanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchanges")
            .field("sessions", &self.sessions.len())
            .field("bytes", &self.mailboxes.bytes())
            .finish_non_exhaustive()
    }
}

impl Exchanges {
    /// Starts without sessions and mailboxes. `window` is 32 fresh random bytes.
    #[must_use]
    pub fn new(
        limits: ExchangeLimits,
        signer: MailboxSigner,
        window: [u8; 32],
        now_ms: u64,
    ) -> Self {
        Self {
            limits,
            signer,
            windows: EphemeralWindows::new(window, now_ms),
            sessions: Sessions::new(limits.sessions_max),
            repeats: Repeats::default(),
            mailboxes: Mailboxes::new(limits.mailbox),
        }
    }

    /// Sessions held, those included that nobody confirmed yet.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Changes ephemeral keys when due and ends old sessions. `window` is 32 fresh random bytes.
    /// To be called every few seconds.
    pub fn handle_tick(&mut self, now_ms: u64, window: [u8; 32]) {
        //= spec/postern.md#hello
        //# A mailbox MUST take a new ephemeral key at least every 30 s and forget each 60 s after
        //# it took it.
        if self.windows.is_rotation_due(now_ms) {
            self.windows.rotate(window, now_ms);
        }
        self.sessions.expire(now_ms);
    }

    /// Answers an ask. `nonce` is 8 fresh random bytes.
    /// # Errors: frame and CBOR rejects, `shape`.
    pub fn answer_ask(&self, frame: &[u8], nonce: [u8; 8]) -> Result<Vec<u8>, Reject> {
        self.handshake().answer_ask(frame, nonce)
    }

    /// Answers a hello with a welcome. `admitted` are the devices with the hello's channel id whose
    /// keys are not revoked; `session` is 4 fresh random bytes.
    ///
    /// # Errors
    /// Those of [`MailboxHandshake::handle_hello`]; `overloaded` when only confirmed sessions fill the table.
    pub fn answer_hello(
        &mut self,
        hello: &ReceivedHello<'_>,
        admitted: &[AdmittedDevice],
        session: [u8; 4],
        now_ms: u64,
    ) -> Result<Vec<u8>, Reject> {
        let channel = hello.channel();
        let candidates: Vec<Admitted<'_>> = admitted
            .iter()
            .map(|device| Admitted {
                channel: &device.channel,
                incarnation: device.incarnation,
                key: &device.key,
            })
            .collect();
        let session = self
            .sessions
            .find_same(&channel, hello)
            .unwrap_or(SessionId::from_bytes(session));
        let welcomed =
            self.handshake()
                .handle_hello(hello, &candidates, |_| false, session, now_ms)?;
        self.sessions.offer(channel, welcomed.pending, now_ms)?;
        Ok(welcomed.frame)
    }

    fn handshake(&self) -> MailboxHandshake<'_> {
        MailboxHandshake {
            windows: &self.windows,
            keys: Vec::from([MailboxKey::only(self.signer.as_ref())]),
            bundle: self.mailboxes.bundle_number(),
            age_max_s: self.limits.session_age_s_max,
        }
    }

    /// Opens a request of a session and decides what to do with it.
    ///
    /// # Errors
    /// Frame, CBOR and shape rejects; `session-unknown`, `session-mac`, `session-replay`, `counter-exhausted`, `hold-range`.
    pub fn handle_frame(&mut self, bytes: &[u8], now_ms: u64) -> Result<Handled, Reject> {
        //= spec/postern.md#need
        //# A mailbox MUST honour a need only inside a session.
        let Opened {
            owner: channel,
            session,
            counter,
            frame,
            displaced,
        } = self.sessions.open(bytes, now_ms)?;
        let kind = frame.frame_type();
        let step = match frame {
            UpFrame::Poll(poll) => self.handle_poll(channel, session, counter, &poll, now_ms)?,
            UpFrame::Post(items) => Step::Post(sort_post(channel, session, counter, &items)),
            UpFrame::Need { plane, held: _ } => {
                self.handle_need(channel, session, counter, plane, now_ms)?
            }
            UpFrame::Fetch { plane, wanted } => {
                Step::Answer(self.answer_fetch(channel, session, counter, plane, &wanted)?)
            }
            // No snapshot of a device is taken here yet, so that no body of one is wanted.
            UpFrame::Put { .. } => {
                Step::Answer(self.seal(session, counter, Hints::default(), &[])?)
            }
        };
        Ok(Handled {
            channel,
            kind,
            displaced: displaced.is_some(),
            step,
        })
    }

    fn handle_poll(
        &mut self,
        channel: ChannelId,
        session: SessionId,
        counter: u16,
        poll: &Poll,
        now_ms: u64,
    ) -> Result<Step, Reject> {
        //= spec/postern.md#poll
        //# A mailbox MUST NOT take the heads in a poll as a report.
        let heads = Heads {
            desired: poll.desired,
            acked: poll.acked,
            bundle: poll.bundle,
        };
        let hold_s = u64::from(poll.hold_s).min(self.limits.hold_s_max);
        let mut held = Held {
            channel,
            //= spec/postern.md#poll
            //# A mailbox MUST answer a held poll at the latest after hold_s seconds.
            until_ms: now_ms.saturating_add(hold_s.saturating_mul(1_000)),
            session,
            counter,
            heads,
            is_clamped: hold_s < u64::from(poll.hold_s),
        };
        let entries = self.mailboxes.collect(channel, &heads);
        if entries.is_empty() {
            return if hold_s == 0 {
                self.release(&held, now_ms, None).map(Step::Answer)
            } else {
                Ok(Step::Hold(held))
            };
        }
        let version = self.mailboxes.version(channel);
        let wait_ms = self.repeats.wait_ms(channel, &heads, version, now_ms);
        //= spec/postern.md#poll
        //# A mailbox MUST answer at once when it has anything newer for the poll, except where the
        //# next rule lets it wait.
        if wait_ms == 0 {
            return self.release(&held, now_ms, None).map(Step::Answer);
        }
        if hold_s == 0 {
            let hints = Hints {
                retry_ms: Some(wait_ms),
                ..Hints::default()
            };
            return self.seal(session, counter, hints, &[]).map(Step::Answer);
        }
        held.until_ms = held.until_ms.min(now_ms.saturating_add(wait_ms));
        Ok(Step::Hold(held))
    }

    /// Answers a held poll with what is newer by now, perhaps nothing. `retry_ms` asks the
    /// device to wait before it comes again.
    ///
    /// # Errors
    /// `session-unknown` when the session ended while it waited.
    pub fn release(
        &mut self,
        held: &Held,
        now_ms: u64,
        retry_ms: Option<u64>,
    ) -> Result<Vec<u8>, Reject> {
        let entries = self.mailboxes.collect(held.channel, &held.heads);
        if !entries.is_empty() {
            let version = self.mailboxes.version(held.channel);
            self.repeats
                .note(held.channel, &held.heads, version, now_ms);
        }
        let hints = Hints {
            retry_ms,
            hold_s_max: held.is_clamped.then_some(self.limits.hold_s_max),
            ..Hints::default()
        };
        self.seal(held.session, held.counter, hints, &entries)
    }

    fn handle_need(
        &mut self,
        channel: ChannelId,
        session: SessionId,
        counter: u16,
        plane: Plane,
        now_ms: u64,
    ) -> Result<Step, Reject> {
        //= spec/postern.md#need
        //# A mailbox MUST answer a need from the snapshot it holds and never have one signed for
        //# it.
        match self.mailboxes.need(channel, plane, now_ms) {
            Ok(entries) => self
                .seal(session, counter, Hints::default(), &entries)
                .map(Step::Answer),
            Err(reject) => {
                let hints = Hints {
                    //= spec/postern.md#need
                    //# A mailbox MUST answer a limited need at once, without items and with a
                    //# retry_ms hint.
                    retry_ms: Some(NEED_INTERVAL_MS),
                    ..Hints::default()
                };
                let frame = self.seal(session, counter, hints, &[])?;
                Ok(Step::Limited(frame, reject))
            }
        }
    }

    fn answer_fetch(
        &self,
        channel: ChannelId,
        session: SessionId,
        counter: u16,
        plane: Plane,
        wanted: &[Wanted],
    ) -> Result<Vec<u8>, Reject> {
        let wanted: Vec<(Digest, u64)> = match plane {
            Plane::Desired => wanted.iter().map(|one| (one.digest, one.offset)).collect(),
            Plane::Actual => Vec::new(),
        };
        let chunks = self.mailboxes.bodies(channel, &wanted);
        let chunks = chunks.iter().map(|chunk| BodyChunk {
            digest: chunk.digest,
            size: chunk.size,
            offset: chunk.offset,
            bytes: &chunk.bytes,
        });
        self.seal_frame(session, counter, &DownFrame::Bodies(chunks.collect()))
    }

    /// Answers a post once the host has made durable what it did not refuse.
    ///
    /// # Errors
    /// `session-unknown` when the session ended meanwhile: the device posts again.
    pub fn answer_post(
        &self,
        post: &Post,
        refused: &[(u32, Reject)],
        retry_ms: Option<u64>,
    ) -> Result<Vec<u8>, Reject> {
        //= spec/postern.md#post
        //# An item that is refused MUST be named by its index and reject code in hint 4.
        let refused = refused.iter().map(|&(index, reject)| Refusal {
            index,
            code: reject.code(),
        });
        let hints = Hints {
            retry_ms,
            refused: refused.collect(),
            ..Hints::default()
        };
        self.seal(post.session, post.counter, hints, &[])
    }

    /// Ends a channel's sessions and drops its mailbox, for a device removed or enrolled again.
    pub fn remove(&mut self, channel: ChannelId) {
        self.close_sessions(channel);
        self.mailboxes.remove(channel);
        self.repeats.remove(channel);
    }

    /// Ends a channel's sessions, as when its key was revoked; what is kept stays.
    pub fn close_sessions(&mut self, channel: ChannelId) {
        self.sessions.remove_owner(&channel);
    }

    fn seal(
        &self,
        session: SessionId,
        counter: u16,
        hints: Hints,
        entries: &[Entry],
    ) -> Result<Vec<u8>, Reject> {
        //= spec/postern.md#frames
        //# A sender MUST NOT send an item whose plane is not the one of the kind.
        let items = entries.iter().map(|entry| Item {
            plane: entry.plane,
            envelope: &entry.envelope,
        });
        let answer = Answer {
            hints,
            items: items.collect(),
        };
        self.seal_frame(session, counter, &DownFrame::Answer(answer))
    }

    fn seal_frame(
        &self,
        session: SessionId,
        counter: u16,
        frame: &DownFrame<'_>,
    ) -> Result<Vec<u8>, Reject> {
        self.sessions
            .session(session)
            .ok_or(Reject::SessionUnknown)?
            .seal_answer(counter, frame)
    }
}

/// Parts what a host may be asked from what no signature could make right.
fn sort_post(channel: ChannelId, session: SessionId, counter: u16, items: &[Item<'_>]) -> Post {
    let mut post = Post {
        channel,
        items: Vec::new(),
        refused: Vec::new(),
        session,
        counter,
    };
    for (index, item) in (0..).zip(items) {
        match check_posted(item) {
            Ok(()) => post.items.push(PostedItem {
                index,
                plane: item.plane,
                envelope: item.envelope.to_vec(),
            }),
            Err(reject) => post.refused.push((index, reject)),
        }
    }
    post
}

/// Refuses what a device does not post: only what it signs for a plane, named with that plane.
fn check_posted(item: &Item<'_>) -> Result<(), Reject> {
    let kind: MessageKind = ReceivedEnvelope::parse(item.envelope)?
        .unverified_header()
        .kind;
    if kind != MessageKind::Report {
        return Err(Reject::SignerRole);
    }
    kind.check_signer(Role::Device, item.plane)
}
