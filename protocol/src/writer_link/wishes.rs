//! What the controller is asked for on behalf of one mailbox: a channel once in 5 s, what comes too early later.
//!
//! Refuses to forget a wish because it came too early: a mailbox that nobody tells of the gap would wait for ever.

use crate::id::ChannelId;
use crate::limits::{LINK_ASKED_MAX, NEED_INTERVAL_MS};
use alloc::collections::BTreeMap;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// A snapshot, behind which deltas go on.
    Snapshot,
    /// Everything of the channel.
    Refill,
}

/// The wishes of one link.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// When something of a channel was asked for last.
    asked: BTreeMap<ChannelId, u64>,
    /// What came too early, and when it is due. Of channels of the controller's own letters only.
    early: BTreeMap<ChannelId, (u64, Wish)>,
    /// The earliest of these moments.
    due_ms: Option<u64>,
}

impl Wishes {
    //= spec/relays.md#deliver
    //# A writer MUST NOT sign more than one snapshot of a channel in 5 s because of what one mailbox says.
    /// Tells whether a channel may be asked for now, and notes that it is.
    pub(super) fn may_ask(&mut self, now_ms: u64, channel: ChannelId) -> bool {
        let is_recent = |asked_ms: &u64| now_ms.saturating_sub(*asked_ms) < NEED_INTERVAL_MS;
        if self.asked.len() >= LINK_ASKED_MAX {
            self.asked.retain(|_, asked_ms| is_recent(asked_ms));
        }
        let is_full = self.asked.len() >= LINK_ASKED_MAX;
        let is_allowed = match self.asked.get(&channel) {
            Some(asked_ms) => !is_recent(asked_ms),
            None => !is_full,
        };
        if is_allowed {
            self.asked.insert(channel, now_ms);
        }
        is_allowed
    }

    //= spec/relays.md#deliver
    //# A writer that holds a snapshot back for that MUST sign it once the 5 s have passed, unless a newer one went out.
    /// The same; a wish that comes too early is kept.
    pub(super) fn ask(&mut self, now_ms: u64, channel: ChannelId, wish: Wish) -> bool {
        if self.may_ask(now_ms, channel) {
            return true;
        }
        let asked_ms = self.asked.get(&channel).copied().unwrap_or(now_ms);
        let due_ms = asked_ms.saturating_add(NEED_INTERVAL_MS);
        let kept = self.early.entry(channel).or_insert((due_ms, wish));
        kept.1 = kept.1.max(wish);
        self.due_ms = self.due_ms.min(Some(due_ms)).or(Some(due_ms));
        false
    }

    /// The moment at which a kept wish is due.
    pub(super) const fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// Takes a kept wish that is due, and notes it as asked for.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<(ChannelId, Wish)> {
        if self.due_ms.is_none_or(|due_ms| now_ms < due_ms) {
            return None;
        }
        let mut early = self.early.iter();
        let due = early.find(|(_, (due_ms, _))| *due_ms <= now_ms);
        let due = due.map(|(channel, (_, wish))| (*channel, *wish));
        if let Some((channel, _)) = due {
            self.early.remove(&channel);
            self.asked.insert(channel, now_ms);
        } else {
            self.due_ms = self.early.values().map(|(due_ms, _)| *due_ms).min();
        }
        due
    }
}
