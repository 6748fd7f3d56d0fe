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
use crate::limits::REOPEN_INTERVAL_MS;
use crate::revision::{Epoch, Revision};
use alloc::vec::Vec;

impl Member {
    /// Remembers that the device may know nothing of our epochs from `epoch` on.
    pub(super) fn contest(&mut self, epoch: Epoch) {
        let first = self.contested.filter(|first| *first < epoch);
        self.contested = Some(first.unwrap_or(epoch));
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
        if let Some(first) = member.history().passed_by(shown) {
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
