//! Tells a lost answer from a reader that cannot use what it gets.
//!
//! The same news for the same heads are given at once a few times, then every 5 s. Without this a
//! reader that must refuse the chain (an epoch that does not continue its own) would poll without
//! a pause. Refuses to keep more than one entry for each channel.

use crate::limits::{REPEAT_INTERVAL_MS, REPEATS_AT_ONCE};
use crate::mailbox::Heads;
use postern_protocol::id::ChannelId;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Last {
    heads: Heads,
    version: u64,
    times: u32,
    answered_ms: u64,
}

impl Last {
    fn is_same(&self, heads: &Heads, version: u64) -> bool {
        self.heads == *heads && self.version == version
    }
}

#[derive(Debug, Default)]
pub(super) struct Repeats {
    by_channel: BTreeMap<ChannelId, Last>,
}

impl Repeats {
    /// Returns how long these news should wait; 0 for news that are new.
    pub(super) fn wait_ms(
        &self,
        channel: ChannelId,
        heads: &Heads,
        version: u64,
        now_ms: u64,
    ) -> u64 {
        match self.by_channel.get(&channel) {
            Some(last) if last.is_same(heads, version) && last.times > REPEATS_AT_ONCE => last
                .answered_ms
                .saturating_add(REPEAT_INTERVAL_MS)
                .saturating_sub(now_ms),
            Some(_) | None => 0,
        }
    }

    /// Remembers that these news went out.
    pub(super) fn note(&mut self, channel: ChannelId, heads: &Heads, version: u64, now_ms: u64) {
        let times = match self.by_channel.get(&channel) {
            Some(last) if last.is_same(heads, version) => last.times.saturating_add(1),
            Some(_) | None => 1,
        };
        let last = Last {
            heads: *heads,
            version,
            times,
            answered_ms: now_ms,
        };
        self.by_channel.insert(channel, last);
    }

    pub(super) fn remove(&mut self, channel: ChannelId) {
        self.by_channel.remove(&channel);
    }
}
