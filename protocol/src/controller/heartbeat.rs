//! Heartbeats: the acknowledgement of the actual plane, the echo that a device asked for, and our own asks.
//!
//! ```text
//!  revision durable | device asks | mailbox has none --> wanted --5 s since the last--> posted
//! ```
//!
//! The newest replaces all that waited. Refuses to be kept: nothing here outlives the process, and
//! nothing here blocks anything.

use super::member::Member;
use super::{Context, Controller, Event, Post};
use crate::context::draw;
use crate::envelope::{Header, Verified};
use crate::freshness::{FreshnessWatch, Heard, Hearing};
use crate::id::{ChannelId, Nonce, StartId};
use crate::kind::MessageKind;
use crate::limits::{FRESHNESS_MS_DEFAULT, HEARTBEAT_INTERVAL_MS};
use crate::message::{Heartbeat, PlaneMessage};
use crate::reject::Reject;
use crate::revision::{BundleNumber, Revision, Seq};
use alloc::vec::Vec;

/// This start of the controller, as its heartbeats name it.
#[derive(Debug)]
pub(super) struct Beat {
    start: StartId,
    started_ms: u64,
}

impl Beat {
    /// Before the first start.
    pub(super) const NONE: Self = Self {
        start: StartId::from_bytes([0; 8]),
        started_ms: 0,
    };

    /// Draws the name of this start and begins to count.
    pub(super) fn begin(&mut self, context: &mut Context<'_>) {
        //= spec/freshness.md#heartbeat
        //# A writer MUST draw a new start id of 8 random bytes at each start, and count
        //# uptime with a clock that counts suspension.
        self.start = StartId::from_bytes(draw(context.random));
        self.started_ms = context.now.mono_ms;
    }
}

/// What is due for one member, and how fresh its word is.
#[derive(Debug)]
pub(super) struct Pulse {
    pub(super) watch: FreshnessWatch,
    /// The bundle that the device named last.
    pub(super) bundle: Option<BundleNumber>,
    /// When the last heartbeat was posted.
    sent_ms: Option<u64>,
    is_wanted: bool,
    /// The newest nonce of the device that no heartbeat repeated yet.
    echo: Option<Nonce>,
    /// The newest nonce of the device, for files: a file may be written long after a mailbox was answered.
    pub(super) asked: Option<Nonce>,
    /// True when the device was heard since we last asked it.
    is_present: bool,
    /// The highest desired head that the device showed in a session since this start.
    pub(super) heard: Option<Revision>,
    /// True when nothing is posted to the device before it shows a head that we know.
    pub(super) is_withheld: bool,
    /// When a further epoch was last opened, and when the next is due.
    reopened_ms: Option<u64>,
    pub(super) reopen_due_ms: Option<u64>,
    /// When a device that left is no longer served.
    pub(super) evict_due_ms: Option<u64>,
    /// When evidence was last posted.
    pub(super) accused_ms: Option<u64>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            watch: FreshnessWatch::new(FRESHNESS_MS_DEFAULT),
            bundle: None,
            sent_ms: None,
            is_wanted: false,
            echo: None,
            asked: None,
            is_present: false,
            heard: None,
            is_withheld: false,
            reopened_ms: None,
            reopen_due_ms: None,
            evict_due_ms: None,
            accused_ms: None,
        }
    }
}

impl Pulse {
    /// The device is there: it may be asked.
    pub(super) const fn meet(&mut self) {
        self.is_present = true;
    }

    /// A further epoch was opened.
    pub(super) const fn reopened(&mut self, now_ms: u64) {
        self.reopened_ms = Some(now_ms);
        self.reopen_due_ms = None;
    }

    /// Wants a further epoch on a word that nothing proves: not more often than once in `interval_ms`.
    pub(super) fn want_reopen(&mut self, now_ms: u64, interval_ms: u64) {
        let after = self
            .reopened_ms
            .map(|last| last.saturating_add(interval_ms));
        self.reopen_due_ms = Some(after.unwrap_or(0).max(now_ms));
    }

    fn is_ask_due(&self, now_ms: u64) -> bool {
        self.is_present && self.watch.ask_due_ms() <= now_ms
    }

    fn beat_due_ms(&self) -> Option<u64> {
        let asked_ms = self.is_present.then(|| self.watch.ask_due_ms());
        let wanted_ms = self.is_wanted.then_some(0);
        let due_ms = [asked_ms, wanted_ms].into_iter().flatten().min()?;
        let allowed_ms = self
            .sent_ms
            .map(|sent| sent.saturating_add(HEARTBEAT_INTERVAL_MS));
        Some(due_ms.max(allowed_ms.unwrap_or(0)))
    }

    /// The next moment at which anything is due.
    pub(super) fn due_ms(&self) -> Option<u64> {
        [
            self.beat_due_ms(),
            self.watch.turn_due_ms(),
            self.reopen_due_ms,
            self.evict_due_ms,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Controller {
    /// Takes a device's heartbeat.
    pub(super) fn receive_heartbeat(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        verified: &Verified<'_>,
        is_live: bool,
    ) -> Result<(), Reject> {
        let PlaneMessage::Heartbeat(heartbeat) = PlaneMessage::decode(verified)? else {
            return Err(Reject::SignerRole);
        };
        let Some(member) = self.members.get_mut(&channel) else {
            return Err(Reject::NotAdmitted);
        };
        let bundle = BundleNumber::new(verified.header().base.number());
        let heard = Heard {
            start: heartbeat.start,
            uptime_ms: heartbeat.uptime_ms,
            bundle,
            echo: heartbeat.echo,
        };
        //= spec/freshness.md#heartbeat
        //# A heartbeat MUST NOT be stored durably, counted as a duplicate, or
        //# acknowledged.
        let hearing = member.pulse.watch.hear(&heard, context.now.mono_ms);
        member.pulse.bundle = Some(bundle);
        //= spec/freshness.md#heartbeat
        //# A writer MUST answer a nonce with a heartbeat that repeats it.
        if let Some(nonce) = heartbeat.ask {
            (member.pulse.echo, member.pulse.asked) = (Some(nonce), Some(nonce));
            member.pulse.is_wanted = true;
        }
        // An echo of our own nonce is as good as a session: whoever carried it, it was made since.
        if is_live || hearing == Hearing::Anchored {
            self.note_ahead(context, channel, heartbeat.other);
            self.hear(context, channel, heartbeat.other);
        }
        self.turn(context, channel);
        Ok(())
    }

    /// Wants a heartbeat as soon as the pace allows.
    pub(super) fn want_heartbeat(&mut self, channel: ChannelId) {
        if let Some(member) = self.members.get_mut(&channel) {
            member.pulse.is_wanted = true;
        }
    }

    /// A mailbox answers an idle poll of the device: it is there.
    pub(super) fn heartbeat_wanted(&mut self, channel: ChannelId) {
        if let Some(member) = self.members.get_mut(&channel) {
            member.pulse.is_wanted = true;
            member.pulse.meet();
        }
    }

    /// Posts a heartbeat when one is due now.
    pub(super) fn beat(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        let now_ms = context.now.mono_ms;
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let pulse = &mut member.pulse;
        if pulse.beat_due_ms().is_none_or(|due_ms| due_ms > now_ms) {
            return;
        }
        let ask = pulse
            .is_ask_due(now_ms)
            .then(|| Nonce::from_bytes(draw(context.random)));
        let echo = pulse.echo.take();
        (pulse.sent_ms, pulse.is_wanted) = (Some(now_ms), false);
        if let Some(nonce) = ask {
            pulse.watch.ask(nonce, now_ms);
            pulse.is_present = false;
        }
        self.post_heartbeat(context, channel, echo, ask);
    }

    fn post_heartbeat(
        &mut self,
        context: &Context<'_>,
        channel: ChannelId,
        echo: Option<Nonce>,
        ask: Option<Nonce>,
    ) {
        let Some(member) = self.members.get(&channel) else {
            return;
        };
        match self.seal_heartbeat(context, member, echo, ask) {
            Ok(Some(envelope)) => self.post(channel, Post::Heartbeat { envelope }),
            Ok(None) => {}
            Err(reject) => self.event(Event::Rejected { channel, reject }),
        }
    }

    /// Seals where both planes stand now. `None` while there is no device.
    pub(super) fn seal_heartbeat(
        &self,
        context: &Context<'_>,
        member: &Member,
        echo: Option<Nonce>,
        ask: Option<Nonce>,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let header = Header {
            kind: MessageKind::Heartbeat,
            epoch: member.head.revision.epoch,
            seq: member.head.revision.seq,
            base: Seq::new(self.trust.number().number()),
            digest: Some(member.head.digest),
        };
        let accepted = member.actual.head.as_ref();
        let payload = Heartbeat {
            start: self.beat.start,
            uptime_ms: context.now.mono_ms.saturating_sub(self.beat.started_ms),
            other: accepted.map_or(Revision::NONE, |head| head.revision),
            echo,
            ask,
        };
        self.seal(context, member, header, payload.encode())
    }

    /// Tells once when a device's word turned stale or fresh.
    pub(super) fn turn(&mut self, context: &Context<'_>, channel: ChannelId) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        if let Some(is_stale) = member.pulse.watch.turn(context.now.mono_ms) {
            self.event(Event::FreshnessChanged { channel, is_stale });
        }
    }
}
