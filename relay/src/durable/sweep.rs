//! What time does to mailboxes: letters grow old, withdrawn mailboxes go, acknowledged bytes make
//! room. Age is counted by the relay's own clock, so a wrong wall clock ends nothing.
//!
//! Refuses to drop the newest state of an admitted channel for its age.

use super::ledger::Admission;
use super::limits::{LETTER_AGE_S_MAX, PRESSURE_QUARTERS};
use super::stage::Stage;
use crate::mailbox::lane::{Lane, Letter, Slot};
use crate::mailbox::{Lanes, Stamp};
use postern_protocol::Reject;
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope};
use postern_protocol::id::{ChannelId, Plane, TenantId};
use postern_protocol::key::Signer;
use postern_protocol::kind::Role;
use postern_protocol::receipt::{Lost, Receipt};
use postern_protocol::revision::{ReceiptNumber, Seq, StoreEpoch};
use std::sync::Arc;

/// A letter that grew old before its reader came for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeadLetter {
    pub(super) channel: ChannelId,
    /// The lane that it waited in.
    pub(super) plane: Plane,
    pub(super) slot: Slot,
    pub(super) envelope: Arc<[u8]>,
}

impl DeadLetter {
    /// Signs what the tenant's writer is told about it: a lost marker for what was meant for it, a
    /// receipt for what it sent.
    ///
    /// # Errors
    /// None that can occur for what was taken before; the type is that of every encoder.
    fn notice(
        &self,
        admission: &Admission,
        numbers: (StoreEpoch, Seq),
        signer: &dyn Signer,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let received = ReceivedEnvelope::parse(&self.envelope)?;
        let header = received.unverified_header();
        let code = Reject::RetentionExpired.code();
        let (channel, incarnation) = (&admission.channel, admission.incarnation);
        let sealed = match (self.slot, self.plane) {
            //= spec/relays.md#lost
            //# A relay that drops evidence of a device MUST give the tenant's writer a lost marker
            //# about it.
            (Slot::Evidence, Plane::Actual) => Lost {
                plane: Plane::Desired,
                epoch: header.epoch,
                first: header.seq,
                last: header.seq,
                code,
            }
            .seal(channel, incarnation, signer)?,
            //= spec/relays.md#lost
            //# A relay that drops evidence or an enrol-answer of a writer MUST give that writer a
            //# receipt about it.
            (Slot::Evidence | Slot::EnrolAnswer, Plane::Desired) => {
                return self.receipt(admission, numbers, signer).map(Some);
            }
            (_, _) => return Ok(None),
        };
        Ok(Some(sealed.into_bytes()))
    }

    /// Signs a receipt about it for whoever sent it.
    ///
    /// # Errors
    /// As [`Self::notice`].
    fn receipt(
        &self,
        admission: &Admission,
        (store, number): (StoreEpoch, Seq),
        signer: &dyn Signer,
    ) -> Result<Vec<u8>, Reject> {
        let received = ReceivedEnvelope::parse(&self.envelope)?;
        let (channel, incarnation) = (&admission.channel, admission.incarnation);
        let binding = Binding::Device {
            channel,
            incarnation,
        };
        let expected = Expected {
            role: match self.plane {
                Plane::Desired => Role::Writer,
                Plane::Actual => Role::Device,
            },
            plane: self.slot.plane_in(self.plane),
        };
        let message = received.unverified_message_id(expected, binding);
        let receipt = Receipt {
            store,
            number,
            message: message.ok_or(Reject::Shape)?,
            channel: self.channel,
            code: Reject::RetentionExpired.code(),
        };
        let sealed = receipt.seal(channel.root, &channel.tenant, signer)?;
        Ok(sealed.into_bytes())
    }

    /// True for what a device posted and its writer has not read.
    fn is_of_device(&self) -> bool {
        (self.slot, self.plane) == (Slot::Evidence, Plane::Actual)
    }
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

    /// Drops everything that is kept for a channel but the receipt that its device has not got. Returns
    /// the letters that were dropped unread.
    pub(super) fn forget(&mut self, channel: ChannelId) -> Result<Vec<DeadLetter>, Reject> {
        let admission = self.admission(channel).ok_or(Reject::NotAdmitted)?;
        let tenant = admission.tenant();
        let lanes = self.lanes(tenant, channel);
        let receipt = lanes.desired.letters.remove(&Slot::Receipt);
        let dead = take_letters(channel, lanes, |_| true);
        *lanes = Lanes::default();
        let kept = receipt.map(|receipt| (Slot::Receipt, receipt));
        lanes.desired.letters.extend(kept);
        Ok(dead)
    }

    //= spec/relays.md#receipt
    //# A relay MUST keep a receipt for a device durably until a poll names it, at most 21 days.
    /// Lets go of the receipt that a device has.
    pub(super) fn let_receipt_go(&mut self, channel: ChannelId, receipt: ReceiptNumber) {
        if let Some(tenant) = self.admission(channel).map(Admission::tenant) {
            self.lanes(tenant, channel).desired.let_receipt_go(receipt);
        }
    }

    /// Looks after one channel. Returns the letters that were dropped unread.
    pub(super) fn sweep(&mut self, channel: ChannelId, is_under_pressure: bool) -> Vec<DeadLetter> {
        let Some(admission) = self.admission(channel).cloned() else {
            return Vec::new();
        };
        let tenant = admission.tenant();
        let account = self.account(tenant);
        let oldest_s = self.clock_s().saturating_sub(LETTER_AGE_S_MAX);
        let is_pressed = is_under_pressure || self.is_tenant_pressed(tenant);
        let lanes = self.lanes(tenant, channel);
        let before = lanes.actual.bytes();
        if admission.is_withdrawn {
            *lanes = Lanes::default();
            return Vec::new();
        }
        let dead = take_letters(channel, lanes, |letter| letter.stamp.at_s < oldest_s);
        if is_pressed {
            lanes.actual.forget(account.cursor);
            let after = lanes.actual.bytes();
            self.count_tenant(tenant, before, after);
        }
        dead
    }

    /// Tells the device about a letter of its own that was dropped unread. It always has room: one small
    /// message for each device, in the place of a larger one.
    ///
    /// # Errors
    /// `overloaded` when the numbers of the tenant are used up.
    pub(super) fn tell_sender(
        &mut self,
        dead: &DeadLetter,
        epoch: StoreEpoch,
        signer: &dyn Signer,
    ) -> Result<(), Reject> {
        if !dead.is_of_device() {
            return Ok(());
        }
        let admission = self.admission(dead.channel).ok_or(Reject::NotAdmitted)?;
        let admission = admission.clone();
        let tenant = admission.tenant();
        // It takes an arrival number though no writer collects it, so that no other receipt has the same.
        let mut account = self.account(tenant);
        let number = Seq::new(account.arrivals)
            .next()
            .ok_or(Reject::Overloaded)?;
        //= spec/relays.md#lost
        //# A relay that drops evidence of a device MUST give that device a receipt about it.
        let receipt = dead.receipt(&admission, (epoch, number), signer)?;
        let received = ReceivedEnvelope::parse(&receipt)?;
        account.arrivals = number.number();
        self.changes.accounts.insert(tenant, account);
        let stamp = Stamp {
            arrival: 0,
            at_s: self.clock_s(),
        };
        let lane = &mut self.lanes(tenant, dead.channel).desired;
        lane.keep_receipt(&received, stamp, true);
        Ok(())
    }

    /// Tells the tenant's writer about a letter that was dropped unread.
    ///
    /// # Errors
    /// `quota`, `overloaded`: there is no room for the notice.
    pub(super) fn tell_dead(
        &mut self,
        dead: &DeadLetter,
        epoch: StoreEpoch,
        signer: &dyn Signer,
    ) -> Result<(), Reject> {
        let admission = self.admission(dead.channel).ok_or(Reject::NotAdmitted)?;
        let admission = admission.clone();
        // The tenant's next arrival is a number that no other receipt for it has.
        let arrivals = self.account(admission.tenant()).arrivals;
        let number = Seq::new(arrivals).next().ok_or(Reject::Overloaded)?;
        let Some(notice) = dead.notice(&admission, (epoch, number), signer)? else {
            return Ok(());
        };
        let received = ReceivedEnvelope::parse(&notice)?;
        let kind = received.unverified_header().kind;
        let slot = Slot::of(kind).ok_or(Reject::SignerRole)?;
        self.on_lane(&admission, Plane::Actual, |lane, space, stamp| {
            lane.post_letter(space, slot, &received, stamp)
        })?;
        Ok(())
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

/// Takes the letters that fit out of their slots, and leaves their marks.
fn take_letters(
    channel: ChannelId,
    lanes: &mut Lanes,
    is_over: impl Fn(&Letter) -> bool,
) -> Vec<DeadLetter> {
    let mut dead = Vec::new();
    for plane in [Plane::Desired, Plane::Actual] {
        let lane = lanes.of_mut(plane);
        for slot in Slot::ALL.into_iter().filter(|slot| slot.is_letter()) {
            let letter = lane.letters.get_mut(&slot);
            let Some(letter) = letter.filter(|letter| is_over(letter)) else {
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
    dead
}
