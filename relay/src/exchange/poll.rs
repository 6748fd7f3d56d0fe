//! Polls: compared with what is kept before they are parked, answered when something is newer.
//!
//! ```text
//!   poll --> news, another actual head, a heartbeat that it waits for --> answer now
//!        --> nothing --> Held --(woken | its time is over)--> answer with what is newer by then
//! ```
//!
//! Refuses to let a device sleep that is ahead of a restored writer or reader, and to answer the
//! same news for the same heads faster than they could have been used.

use super::{Exchanges, Step};
use crate::limits::ACTUAL_ASK_INTERVAL_MS;
use crate::mailbox::{Entry, Heads};
use postern_protocol::Reject;
use postern_protocol::frame::{Hints, Poll};
use postern_protocol::id::{ChannelId, Plane, SessionId};
use postern_protocol::revision::Revision;

/// An exchange that waits for news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What wakes it.
    pub channel: ChannelId,
    /// When to answer at the latest, on the caller's monotonic clock in milliseconds. A poll that
    /// asked for no hold has the moment at which it came.
    pub until_ms: u64,
    session: SessionId,
    counter: u16,
    heads: Heads,
    is_clamped: bool,
    /// True where it is a stream between two answers: whatever comes wakes it.
    pub(super) is_stream: bool,
    /// The actual head that was held when the poll came and showed another one.
    differed_from: Option<Revision>,
}

impl Held {
    /// A poll that is not held, until `until_ms` is set later.
    pub(super) const fn new(
        channel: ChannelId,
        session: SessionId,
        counter: u16,
        poll: &Poll,
        now_ms: u64,
    ) -> Self {
        Self {
            channel,
            until_ms: now_ms,
            session,
            counter,
            //= spec/postern.md#poll
            //# A mailbox MUST NOT take the heads in a poll as a report.
            heads: Heads {
                desired: poll.desired,
                acked: poll.acked,
                bundle: poll.bundle,
                actual: poll.actual,
            },
            is_clamped: false,
            is_stream: false,
            differed_from: None,
        }
    }

    pub(super) const fn session(&self) -> SessionId {
        self.session
    }

    pub(super) const fn counter(&self) -> u16 {
        self.counter
    }

    pub(super) const fn heads(&self) -> &Heads {
        &self.heads
    }

    pub(super) const fn heads_mut(&mut self) -> &mut Heads {
        &mut self.heads
    }

    /// Tells whether the actual head that was held differed from the one that was shown.
    pub(super) const fn has_difference(&self) -> bool {
        self.differed_from.is_some()
    }

    /// What the poll showed of the actual plane counts no more.
    pub(super) const fn forget_difference(&mut self) {
        self.differed_from = None;
    }
}

impl Exchanges {
    pub(super) fn handle_poll(
        &mut self,
        channel: ChannelId,
        session: SessionId,
        counter: u16,
        poll: &Poll,
        now_ms: u64,
    ) -> Result<Step, Reject> {
        let hold_s = u64::from(poll.hold_s).min(self.limits.hold_s_max);
        let mut held = Held {
            //= spec/postern.md#poll
            //# A mailbox MUST answer a held poll at the latest after hold_s seconds.
            until_ms: now_ms.saturating_add(hold_s.saturating_mul(1_000)),
            is_clamped: hold_s < u64::from(poll.hold_s),
            ..Held::new(channel, session, counter, poll, now_ms)
        };
        let heads = held.heads;
        //= spec/planes.md#actual
        //# A mailbox that holds another head of `actual` than a poll names MUST answer it at once
        //# with hint 6, at most every 5 s.
        let is_asked = self.compare_actual(&mut held, now_ms);
        let has_entries = !self.mailboxes.collect(channel, &heads).is_empty();
        if is_asked || (!has_entries && self.is_anything_awaited(&held)) {
            return self.release(&held, now_ms, None).map(Step::Answer);
        }
        if !has_entries {
            return Ok(Step::Hold(held));
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

    /// Compares the actual head that the poll shows with the one that is held. Returns true when
    /// the device is to be asked for a snapshot now; the hold ends when it may be asked next.
    pub(super) fn compare_actual(&self, held: &mut Held, now_ms: u64) -> bool {
        let shown = held.heads.actual;
        let Some(mut at_ms) = self.mailboxes.ask_actual_at_ms(held.channel, shown) else {
            return false;
        };
        held.differed_from = Some(self.mailboxes.actual_head(held.channel));
        if self.under_way.is_any(held.channel) {
            // What makes the difference may be in the post that is being taken.
            at_ms = at_ms.max(now_ms.saturating_add(ACTUAL_ASK_INTERVAL_MS));
        }
        held.until_ms = held.until_ms.min(at_ms.max(now_ms));
        at_ms <= now_ms
    }

    /// Tells whether the device is still to be asked for a snapshot of its plane.
    pub(super) fn is_snapshot_due(&self, held: &Held, now_ms: u64) -> bool {
        let actual = self.mailboxes.actual_head(held.channel);
        let at_ms = self
            .mailboxes
            .ask_actual_at_ms(held.channel, held.heads.actual);
        // A post may have moved the head while the poll slept; then the poll tells of the past.
        let is_asked_for =
            held.differed_from == Some(actual) || self.mailboxes.is_actual_wanted(held.channel);
        is_asked_for && at_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// Tells whether a heartbeat or a receipt waits that this session was not given yet.
    pub(super) fn is_anything_awaited(&self, held: &Held) -> bool {
        let (channel, session) = (held.channel, held.session);
        let receipt = self.mailboxes.receipt_for(channel, session, true);
        let heartbeat = || self.mailboxes.heartbeat_for(channel, session, true);
        receipt.or_else(heartbeat).is_some()
    }

    /// Tells whether the held poll would be answered with anything.
    #[must_use]
    pub fn has_news(&self, held: &Held) -> bool {
        // A stream knows best what it sent: it is woken, and waits again where that was all.
        if held.is_stream {
            return true;
        }
        let entries = self.mailboxes.collect(held.channel, &held.heads);
        !entries.is_empty() || self.is_anything_awaited(held)
    }

    /// Tells whether the writer should sign a heartbeat before the held poll is answered with
    /// nothing else. A yes is remembered.
    pub fn ask_heartbeat(&mut self, held: &Held, now_ms: u64) -> bool {
        now_ms >= held.until_ms
            && !self.has_news(held)
            && self.mailboxes.ask_heartbeat(held.channel, now_ms)
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
        self.release_to(held, now_ms, retry_ms, None)
    }

    /// As [`Self::release`], and sends the device to another mailbox, where one was named: each
    /// device to one of them, so that none gets all.
    ///
    /// # Errors
    /// As [`Self::release`].
    pub fn release_elsewhere(
        &mut self,
        held: &Held,
        now_ms: u64,
        retry_ms: Option<u64>,
    ) -> Result<Vec<u8>, Reject> {
        let url = self.url_for(held.channel);
        self.release_to(held, now_ms, retry_ms, url)
    }

    /// Where this device is sent, when devices are sent elsewhere.
    pub(super) fn url_for(&self, channel: ChannelId) -> Option<String> {
        let place = channel.as_bytes().iter().fold(0_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
        });
        let place = place.checked_rem(self.elsewhere.len());
        place.and_then(|place| self.elsewhere.get(place)).cloned()
    }

    /// Names the URLs of other mailboxes for [`Self::release_elsewhere`].
    pub fn set_elsewhere(&mut self, urls: Vec<String>) {
        self.elsewhere = urls;
    }

    fn release_to(
        &mut self,
        held: &Held,
        now_ms: u64,
        retry_ms: Option<u64>,
        move_url: Option<String>,
    ) -> Result<Vec<u8>, Reject> {
        let channel = held.channel;
        let mut entries: Vec<Entry> = self.mailboxes.collect(channel, &held.heads);
        let has_news = !entries.is_empty();
        let extras = self.add_extras(channel, held.session, has_news, &mut entries);
        let is_due = self.is_snapshot_due(held, now_ms);
        let hints = Hints {
            retry_ms,
            move_url,
            hold_s_max: held.is_clamped.then_some(self.limits.hold_s_max),
            need: is_due.then_some(Plane::Actual).into_iter().collect(),
            ..Hints::default()
        };
        let frame = self.seal(held.session, held.counter, hints, &entries)?;
        if has_news {
            let version = self.mailboxes.version(channel);
            self.repeats.note(channel, &held.heads, version, now_ms);
        }
        self.note_extras_given(extras);
        if let (true, Some(shown)) = (is_due, held.heads.actual) {
            self.mailboxes.note_actual_asked(channel, shown, now_ms);
        }
        Ok(frame)
    }
}
