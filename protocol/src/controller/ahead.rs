//! A device stands above what this store offers: somebody else writes under our key, or this store went back.
//!
//! ```text
//!  shown > offered --a further epoch, above what was shown--> the device follows, or gives evidence (recovery)
//! ```
//!
//! Whose decisions the epochs hold that were opened meanwhile is remembered until device and controller agree
//! again. Refuses to wait for evidence: a device has none against an epoch below its own.

use super::member::Member;
use super::{Context, Controller, records};
use crate::id::ChannelId;
use crate::limits::{EPOCH_SHOWN_MAX, REOPEN_INTERVAL_MS};
use crate::revision::{Epoch, Revision};
use alloc::vec::Vec;

impl Member {
    /// Remembers that the device may know nothing of our epochs from `epoch` on.
    pub(super) fn contest(&mut self, epoch: Epoch) {
        let first = self.contested.filter(|first| *first < epoch);
        self.contested = Some(first.unwrap_or(epoch));
    }

    /// Forgets that, once the device signed a head of a later epoch that this store knows. Returns true when
    /// there was something to forget.
    pub(super) fn settle(&mut self, accepted: Revision) -> bool {
        let is_later = self.contested.is_some_and(|first| first < accepted.epoch);
        let is_ours = self.known(accepted).is_some() && !self.is_unknown(accepted);
        let is_settled = is_later && is_ours;
        if is_settled {
            self.contested = None;
        }
        is_settled
    }

    /// The first epoch of which a device at `shown` may know nothing; `None` where it is not ahead of us.
    fn passed_by(&self, shown: Revision) -> Option<Epoch> {
        let own = self.head.revision;
        let epoch = shown.epoch.min(Epoch::new(EPOCH_SHOWN_MAX));
        if epoch > own.epoch {
            // The first entry is where the device was seen last.
            let unseen = self.lineage.get(1).map(|entry| entry.last.epoch);
            Some(unseen.unwrap_or(own.epoch))
        } else if shown.epoch == own.epoch && shown.seq > own.seq {
            Some(own.epoch)
        } else {
            None
        }
    }
}

impl Controller {
    //= spec/lives.md#recovery
    //# A controller to which a device shows in a signed head a higher epoch than the one that it offers, or
    //# a higher seq of it, MUST offer the device a snapshot of a further epoch, once in 60 s at most.
    /// Takes a head that the device signed, and leaves the present epoch where it is above that.
    pub(super) fn note_ahead(
        &mut self,
        context: &Context<'_>,
        channel: ChannelId,
        shown: Revision,
    ) {
        let lifted = self.note_shown(shown.epoch);
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let mut writes = Vec::from_iter(lifted);
        if let Some(first) = member.passed_by(shown) {
            let before = member.contested;
            member.contest(first);
            if member.contested != before {
                writes.push(records::member(member));
            }
            let now_ms = context.now.mono_ms;
            member.pulse.want_reopen(now_ms, REOPEN_INTERVAL_MS);
        }
        if !writes.is_empty() {
            self.persist(writes);
        }
    }
}
