//! What time does to mailboxes: letters grow old, withdrawn mailboxes go, acknowledged bytes make
//! room. Age is counted by the relay's own clock, so a wrong wall clock ends nothing.
//!
//! Refuses to drop the newest state of an admitted channel for its age.

use super::limits::{LETTER_AGE_S_MAX, PRESSURE_QUARTERS};
use super::stage::Stage;
use crate::mailbox::Lanes;
use crate::mailbox::lane::{Lane, Slot};
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, Plane, TenantId};

/// A letter that grew old before its reader came for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeadLetter {
    pub(super) channel: ChannelId,
    /// The lane that it waited in.
    pub(super) plane: Plane,
    pub(super) slot: Slot,
    pub(super) envelope: std::sync::Arc<[u8]>,
}

impl Stage<'_> {
    /// Notes how far a tenant's writer has read. Letters up to there have served their purpose.
    ///
    /// A writer that has read more than was counted here knows a later state of this store: it went
    /// back, as a restored copy does. Its arrivals are counted anew under `drawn`, a fresh store
    /// epoch, so that none of them hides below that cursor.
    pub(super) fn take_cursor(
        &mut self,
        tenant: TenantId,
        cursor: u64,
        channels: &[ChannelId],
        drawn: u64,
    ) {
        let mut account = self.account(tenant);
        account.contact_s = self.clock_s();
        //= spec/relays.md#collect
        //# A relay that is asked behind a cursor above the last arrival that it counted MUST take a new
        //# store epoch for that tenant.
        if cursor > account.arrivals {
            account.cursor = 0;
            account.epoch = drawn;
            self.changes.accounts.insert(tenant, account);
            return;
        }
        if cursor > account.cursor {
            account.cursor = cursor;
            for channel in channels {
                let lane = &mut self.lanes(tenant, *channel).actual;
                forget_read_letters(lane, cursor);
            }
        }
        self.changes.accounts.insert(tenant, account);
    }

    /// Drops everything that is kept for a channel.
    pub(super) fn forget(&mut self, channel: ChannelId) -> Result<(), Reject> {
        let admission = self.admission(channel).ok_or(Reject::NotAdmitted)?;
        let tenant = admission.tenant();
        *self.lanes(tenant, channel) = Lanes::default();
        Ok(())
    }

    /// Looks after one channel. Returns the letters that were dropped unread.
    pub(super) fn sweep(&mut self, channel: ChannelId, is_under_pressure: bool) -> Vec<DeadLetter> {
        let Some(admission) = self.admission(channel).cloned() else {
            return Vec::new();
        };
        let tenant = admission.tenant();
        let account = self.account(tenant);
        let oldest_s = self.clock_s().saturating_sub(LETTER_AGE_S_MAX);
        let lanes = self.lanes(tenant, channel);
        if admission.is_withdrawn {
            *lanes = Lanes::default();
            return Vec::new();
        }
        let mut dead = Vec::new();
        for plane in [Plane::Desired, Plane::Actual] {
            let lane = lanes.of_mut(plane);
            for slot in Slot::ALL.into_iter().filter(|slot| slot.is_letter()) {
                let letter = lane.letters.get_mut(&slot);
                let Some(letter) = letter.filter(|letter| letter.stamp.at_s < oldest_s) else {
                    continue;
                };
                dead.extend(letter.envelope.take().map(|envelope| DeadLetter {
                    channel,
                    plane,
                    slot,
                    envelope,
                }));
            }
        }
        if is_under_pressure {
            lanes.actual.forget(account.cursor);
        }
        dead
    }

    /// Tells whether mailboxes take up so much memory that what was read has to go.
    pub(super) const fn is_under_pressure(&self, held_bytes: usize) -> bool {
        held_bytes.saturating_mul(4)
            > self
                .limits
                .total_bytes_max
                .saturating_mul(PRESSURE_QUARTERS)
    }
}

fn forget_read_letters(lane: &mut Lane, cursor: u64) {
    for slot in Slot::ALL.into_iter().filter(|slot| slot.is_letter()) {
        if let Some(letter) = lane.letters.get_mut(&slot)
            && letter.stamp.arrival <= cursor
        {
            letter.envelope = None;
        }
    }
}
