//! Posts and puts between their arrival and their answer.
//!
//! The answer to a post carries what the post brought about, so nobody has to be woken for it; and
//! a device that is closed while its post is under way still gets that one answer. Refuses every
//! further request of a session that is closing.

use crate::mailbox::Entry;
use postern_protocol::id::ChannelId;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
struct Posts {
    count: u32,
    /// Something came for a held poll that the answer may bring instead.
    has_news: bool,
    /// What the last answer of a channel that is closed brings.
    parting: Option<Vec<Entry>>,
}

/// What is to be done once the last post of a channel is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// A held poll has news that no answer brought.
    pub wakes: bool,
    /// The channel's sessions end now.
    pub closes: bool,
}

#[derive(Debug, Default)]
pub(super) struct UnderWay {
    by_channel: BTreeMap<ChannelId, Posts>,
}

impl UnderWay {
    pub(super) fn begin(&mut self, channel: ChannelId) {
        let posts = self.by_channel.entry(channel).or_default();
        posts.count = posts.count.saturating_add(1);
    }

    pub(super) fn is_any(&self, channel: ChannelId) -> bool {
        self.by_channel.contains_key(&channel)
    }

    /// Leaves news to the answer of a post under way. Returns false when there is none.
    pub(super) fn leave_news(&mut self, channel: ChannelId) -> bool {
        self.by_channel
            .get_mut(&channel)
            .map(|posts| posts.has_news = true)
            .is_some()
    }

    /// An answer brought all that was left to it.
    pub(super) fn note_carried(&mut self, channel: ChannelId) {
        if let Some(posts) = self.by_channel.get_mut(&channel) {
            posts.has_news = false;
        }
    }

    /// Closes the channel behind its posts. Returns false when none is under way.
    pub(super) fn close(&mut self, channel: ChannelId, parting: Vec<Entry>) -> bool {
        self.by_channel
            .get_mut(&channel)
            .map(|posts| posts.parting = Some(parting))
            .is_some()
    }

    pub(super) fn is_closing(&self, channel: ChannelId) -> bool {
        self.parting(channel).is_some()
    }

    pub(super) fn parting(&self, channel: ChannelId) -> Option<&[Entry]> {
        self.by_channel.get(&channel)?.parting.as_deref()
    }

    /// Counts a post as over, answered or not.
    pub(super) fn end(&mut self, channel: ChannelId) -> Ended {
        let nothing = Ended {
            wakes: false,
            closes: false,
        };
        let Some(posts) = self.by_channel.get_mut(&channel) else {
            return nothing;
        };
        posts.count = posts.count.saturating_sub(1);
        if posts.count > 0 {
            return nothing;
        }
        let ended = Ended {
            wakes: posts.has_news,
            closes: posts.parting.is_some(),
        };
        self.by_channel.remove(&channel);
        ended
    }
}
