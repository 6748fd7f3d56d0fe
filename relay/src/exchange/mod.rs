//! One exchange: a frame in, a frame out or a hold. Joins sessions to mailboxes; pure.
//!
//! ```text
//!   ask, hello ---> challenge, welcome
//!   poll ---------> Step::Answer (news) | Step::Hold --release--> answer
//!   stream -------> Step::Stream --poll_stream--> answer, answer, ...
//!   post, put ----> Step::Post, Step::Put --(host makes it durable)--> answer_post, answer_put
//!   need, fetch --> Step::Answer
//!   collect, deliver, ... of a writer --> Step::Writer
//! ```
//!
//! The heads of a poll are compared before it is parked, in the same step: news that came first
//! is never slept through. Refuses clocks and randomness (arguments), and answers to a device that
//! asks for the same news again and again faster than it could have used them.

mod greeters;
mod handover;
mod keys;
mod poll;
mod post;
mod receipts;
mod repeats;
mod stream;
#[cfg(test)]
mod tests;
mod under_way;
mod writer;

pub use greeters::{AdmittedDevice, AdmittedMailbox, AdmittedWriter, Collector, Owner, Selected};
pub use keys::{MailboxKey, MailboxKeys, MailboxSigner, TooManyKeys};
pub use poll::Held;
pub use post::{Post, PostedItem, Put};
pub use stream::{Parting, StreamStep, Streaming};
pub use under_way::Ended;
pub use writer::{
    Bodies, Collecting, Deliver, Delivered, DeliveredItem, Enrolled, HeldCollect, WriterAsked,
    WriterStep,
};

use crate::limits::{HOLD_S_MAX, SESSIONS_MAX};
use crate::mailbox::{Entry, MailboxLimits, Mailboxes};
use postern_protocol::Reject;
use postern_protocol::frame::{
    Answer, BodyChunk, DownFrame, FrameType, Hints, Item, UpFrame, Wanted,
};
use postern_protocol::id::{ChannelId, Digest, MailboxId, Plane, SessionId, TenantId};
use postern_protocol::limits::{NEED_INTERVAL_MS, SESSION_AGE_S_MAX};
use postern_protocol::revision::{ReceiptNumber, StoreEpoch};
use postern_protocol::session::{
    EphemeralWindows, MailboxHandshake, Opened, ReceivedHello, Sessions,
};
use postern_protocol::signed_time::SignedTime;
use repeats::Repeats;
use std::collections::BTreeMap;
use under_way::UnderWay;

/// What to do with a request of a session.
#[derive(Debug)]
pub enum Step {
    /// Send this.
    Answer(Vec<u8>),
    /// Send this; the request was refused in its session and is to be counted.
    Limited(Vec<u8>, Reject),
    /// Wait for news of the channel, then [`Exchanges::release`].
    Hold(Held),
    /// Answer again and again: [`Exchanges::poll_stream`].
    Stream(Box<Streaming>),
    /// Hand the items to the host, then [`Exchanges::answer_post`].
    Post(Post),
    /// Hand the pieces to the host, then [`Exchanges::answer_put`].
    Put(Put),
    /// A request of a writer.
    Writer(WriterStep),
}

/// A request of a session that verified.
#[derive(Debug)]
pub struct Handled {
    /// Whose session.
    pub owner: Owner,
    /// What was asked.
    pub kind: FrameType,
    /// True when this frame displaced an older session: its held poll ends.
    pub displaced: bool,
    /// The receipt that the device has by now, where it is still kept for it.
    pub receipt: Option<ReceiptNumber>,
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
    keys: MailboxKeys,
    windows: EphemeralWindows,
    sessions: Sessions<Owner>,
    /// The store in which cursors count; 0 where nobody collects.
    store: StoreEpoch,
    /// The store in which cursors of mailboxes count, which is of this process.
    onward_store: StoreEpoch,
    /// Tenants whose cursors count in another one.
    stores: BTreeMap<TenantId, StoreEpoch>,
    repeats: Repeats,
    under_way: UnderWay,
    elsewhere: Vec<String>,
    /// What the machine believes the time to be.
    time: Option<SignedTime>,
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
    pub fn new(limits: ExchangeLimits, keys: MailboxKeys, window: [u8; 32], now_ms: u64) -> Self {
        Self {
            limits,
            keys,
            windows: EphemeralWindows::new(window, now_ms),
            sessions: Sessions::new(limits.sessions_max),
            store: StoreEpoch::new(0),
            onward_store: StoreEpoch::new(0),
            stores: BTreeMap::new(),
            repeats: Repeats::default(),
            under_way: UnderWay::default(),
            elsewhere: Vec::new(),
            time: None,
            mailboxes: Mailboxes::new(limits.mailbox),
        }
    }

    /// Sessions held, those included that nobody confirmed yet.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Tells whether a device or writer has a session that a frame of its own confirmed.
    #[must_use]
    pub fn is_connected(&self, owner: Owner) -> bool {
        self.sessions.confirmed(&owner).is_some()
    }

    /// True while the channel has a session, a pending one included.
    #[must_use]
    pub fn has_session(&self, channel: ChannelId) -> bool {
        self.sessions.is_owner(&Owner::Device(channel))
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

    /// Takes other keys; sessions that are open stay.
    pub fn replace_keys(&mut self, keys: MailboxKeys) {
        self.keys = keys;
    }

    /// The keys that challenges name.
    #[must_use]
    pub const fn keys(&self) -> &MailboxKeys {
        &self.keys
    }

    /// Answers an ask with a key that the asker's bundle lists. `nonce` is 8 fresh random bytes.
    /// # Errors: frame and CBOR rejects, `shape`.
    pub fn answer_ask(&self, frame: &[u8], nonce: [u8; 8]) -> Result<Vec<u8>, Reject> {
        self.handshake().answer_ask(frame, nonce)
    }

    /// Names the store in which the cursors of writers count.
    pub const fn set_store(&mut self, store: StoreEpoch) {
        self.store = store;
    }

    /// Names the store in which the cursors of mailboxes count, another one in each process.
    pub const fn set_onward_store(&mut self, store: StoreEpoch) {
        self.onward_store = store;
    }

    /// Names the store in which the cursors of one tenant's writer count.
    pub fn set_store_of(&mut self, tenant: TenantId, store: StoreEpoch) {
        self.stores.insert(tenant, store);
    }

    /// Says what the machine believes the time to be, for the welcomes from now on; `None` where its clock is not set.
    pub const fn set_time(&mut self, time: Option<SignedTime>) {
        self.time = time;
    }

    /// Answers a device's hello: [`Self::answer_greeting`] without writers.
    ///
    /// # Errors
    /// As [`Self::answer_greeting`].
    pub fn answer_hello(
        &mut self,
        hello: &ReceivedHello<'_>,
        admitted: &[AdmittedDevice],
        session: [u8; 4],
        now_ms: u64,
    ) -> Result<Vec<u8>, Reject> {
        let selected = Selected {
            devices: admitted.to_vec(),
            ..Selected::default()
        };
        let answer = self.answer_greeting(hello, &selected, session, now_ms);
        answer.map(|(_, frame)| frame)
    }

    /// Answers a hello with a welcome, and tells who greeted. `selected` are those with the hello's id whose
    /// keys are not revoked, at most 4 in all; `session` is 4 fresh random bytes.
    ///
    /// # Errors
    /// Those of [`MailboxHandshake::handle_hello`]; `overloaded` when only confirmed sessions fill the table.
    pub fn answer_greeting(
        &mut self,
        hello: &ReceivedHello<'_>,
        selected: &Selected,
        session: [u8; 4],
        now_ms: u64,
    ) -> Result<(Owner, Vec<u8>), Reject> {
        let candidates = selected.candidates();
        let mut owners = Owner::selected_by(hello).into_iter();
        let same = owners.find_map(|owner| self.sessions.find_same(&owner, hello));
        let session = same.unwrap_or(SessionId::from_bytes(session));
        let welcomed =
            self.handshake()
                .handle_hello(hello, &candidates, |_| false, session, now_ms)?;
        let owner = selected.owner(hello, welcomed.candidate);
        self.sessions.offer(owner, welcomed.pending, now_ms)?;
        Ok((owner, welcomed.frame))
    }

    fn handshake(&self) -> MailboxHandshake<'_> {
        MailboxHandshake {
            windows: &self.windows,
            keys: self.keys.lend(),
            bundle: self.mailboxes.bundle_number(),
            age_max_s: self.limits.session_age_s_max,
            time: self.time,
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
            owner,
            session,
            counter,
            frame,
            displaced,
        } = self.sessions.open(bytes, now_ms)?;
        frame.check_greeter(owner.role())?;
        let kind = frame.frame_type();
        let receipt = self.take_receipt_named(owner, &frame);
        let step = match owner {
            Owner::Device(channel) => {
                self.handle_device(channel, session, counter, frame, now_ms)?
            }
            Owner::Writer(_) | Owner::Mailbox(_) => {
                let collector = owner.collector().ok_or(Reject::SessionRole)?;
                let asked = WriterAsked {
                    collector,
                    session,
                    counter,
                };
                self.handle_writer(asked, frame, now_ms)?
            }
        };
        Ok(Handled {
            owner,
            kind,
            displaced: displaced.is_some(),
            receipt,
            step,
        })
    }

    fn handle_device(
        &mut self,
        channel: ChannelId,
        session: SessionId,
        counter: u16,
        frame: UpFrame<'_>,
        now_ms: u64,
    ) -> Result<Step, Reject> {
        if self.under_way.is_closing(channel) {
            return Err(Reject::SessionUnknown);
        }
        Ok(match frame {
            UpFrame::Poll(poll) => self.handle_poll(channel, session, counter, &poll, now_ms)?,
            UpFrame::Stream(stream) => {
                self.handle_stream(channel, session, counter, &stream, now_ms)
            }
            UpFrame::Post(items) => Step::Post(self.sort_post(channel, session, counter, &items)),
            UpFrame::Put { plane, chunks } => {
                Step::Put(self.copy_put(channel, session, counter, plane, &chunks))
            }
            UpFrame::Need { plane, held: _ } => {
                self.handle_need(channel, session, counter, plane, now_ms)?
            }
            UpFrame::Fetch { plane, wanted } => {
                Step::Answer(self.answer_fetch(channel, session, counter, plane, &wanted)?)
            }
            UpFrame::Collect(_)
            | UpFrame::Deliver(_)
            | UpFrame::DeliverBodies { .. }
            | UpFrame::FetchBodies { .. }
            | UpFrame::DeliverEnrolled { .. } => return Err(Reject::SessionRole),
        })
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
        let chunks = self.mailboxes.bodies(channel, Plane::Desired, &wanted);
        let chunks = chunks.iter().map(|chunk| BodyChunk {
            digest: chunk.digest,
            size: chunk.size,
            offset: chunk.offset,
            bytes: &chunk.bytes,
        });
        self.seal_frame(session, counter, &DownFrame::Bodies(chunks.collect()))
    }

    /// Ends a channel's sessions and drops its mailbox, for a device removed or enrolled again.
    pub fn remove(&mut self, channel: ChannelId) {
        self.close_sessions(channel);
        self.mailboxes.remove(channel);
        self.repeats.remove(channel);
    }

    /// Drops a channel's mailbox and ends its sessions behind the answers to posts under way, for a
    /// device that leaves: its last report is acknowledged, and nothing else is answered.
    pub fn evict(&mut self, channel: ChannelId) {
        let parting = self.mailboxes.report_ack(channel).into_iter().collect();
        self.mailboxes.remove(channel);
        self.repeats.remove(channel);
        if !self.under_way.close(channel, parting) {
            self.close_sessions(channel);
        }
    }

    /// Leaves news to the answer of a post under way. Returns false when there is none.
    pub fn leave_to_answer(&mut self, channel: ChannelId) -> bool {
        self.under_way.leave_news(channel)
    }

    /// Ends a channel's sessions, as when its key was revoked; what is kept stays.
    pub fn close_sessions(&mut self, channel: ChannelId) {
        self.sessions.remove_owner(&Owner::Device(channel));
    }

    /// Ends the sessions of a tenant's writer, as when its key was revoked or replaced.
    pub fn close_writer(&mut self, tenant: TenantId) {
        self.sessions.remove_owner(&Owner::Writer(tenant));
    }

    /// Ends the sessions of a mailbox that depends on this one, as when its key was revoked or dropped.
    pub fn close_mailbox(&mut self, mailbox: MailboxId) {
        self.sessions.remove_owner(&Owner::Mailbox(mailbox));
    }

    fn seal(
        &self,
        session: SessionId,
        counter: u16,
        hints: Hints,
        entries: &[Entry],
    ) -> Result<Vec<u8>, Reject> {
        let answer = answer_of(hints, entries);
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

/// The answer that brings these entries.
fn answer_of(hints: Hints, entries: &[Entry]) -> Answer<'_> {
    //= spec/postern.md#frames
    //# A sender MUST NOT send an item whose plane is not the one of the kind.
    let items = entries.iter().map(|entry| Item {
        plane: entry.plane,
        envelope: &entry.envelope,
    });
    Answer {
        hints,
        items: items.collect(),
    }
}
