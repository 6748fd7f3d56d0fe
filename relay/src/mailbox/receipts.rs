//! Receipts for devices: what was put aside of what they posted, until they have it.
//!
//! ```text
//!   kept --> wakes one poll of a session, rides on every answer to a poll or post after that
//!   a poll names it --> shown no longer --(durable)--> only its number is left
//! ```
//!
//! One for each channel: a newer one takes its place. Refuses to let a device that cannot use it
//! poll without a pause, and to let it go because it was sent.

use super::lane::{Lane, Letter, Slot};
use super::{Entry, Mailboxes, Posted, Stamp};
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::id::{ChannelId, Plane, SessionId};
use postern_protocol::revision::{ReceiptNumber, StoreEpoch};
use std::sync::Arc;

/// How far the receipt of a channel got, in this process.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// The session that was given one last, and which.
    given: Option<(SessionId, ReceiptNumber)>,
    /// What the device named last.
    held: Option<ReceiptNumber>,
}

/// Where a receipt in a slot stands.
const fn place_of(letter: &Letter) -> ReceiptNumber {
    ReceiptNumber {
        store: StoreEpoch::new(letter.revision.epoch.number()),
        number: letter.revision.seq,
    }
}

/// Tells whether whoever holds `held` holds the receipt at `place`: the same life of one store, no later number.
fn covers(held: ReceiptNumber, place: ReceiptNumber) -> bool {
    held.store == place.store && held.number >= place.number
}

impl Lane {
    /// Keeps a receipt for the lane's reader. One of this mailbox takes the place of any other; one that
    /// another mailbox signed waits until the one that is held has arrived.
    pub(crate) fn keep_receipt(
        &mut self,
        received: &ReceivedEnvelope<'_>,
        stamp: Stamp,
        is_own: bool,
    ) -> Posted {
        let letter = Letter::of(received, stamp);
        if let Some(held) = self.letter(Slot::Receipt).filter(|_| !is_own) {
            //= spec/relays.md#chains
            //# A relay MUST NOT count an envelope that it holds already as a new arrival.
            if covers(place_of(held), place_of(&letter)) {
                return Posted::Held;
            }
            if held.envelope.is_some() {
                return Posted::Older;
            }
        }
        self.letters.insert(Slot::Receipt, letter);
        Posted::Kept
    }

    /// Leaves the mark of a receipt that the lane's reader holds.
    pub(crate) fn let_receipt_go(&mut self, held: ReceiptNumber) {
        let letter = self.letters.get_mut(&Slot::Receipt);
        if let Some(letter) = letter.filter(|letter| covers(held, place_of(letter))) {
            letter.envelope = None;
        }
    }
}

impl Mailboxes {
    /// Returns the receipt that the device has not named yet; `is_waking` leaves out one that this
    /// session was given.
    #[must_use]
    pub fn receipt_for(
        &self,
        channel: ChannelId,
        session: SessionId,
        is_waking: bool,
    ) -> Option<Entry> {
        let slots = self.channels.get(&channel)?;
        let letter = slots.lanes.desired.letter(Slot::Receipt)?;
        let envelope = letter.envelope.as_ref()?;
        let (place, receipts) = (place_of(letter), &slots.receipts);
        let is_held = receipts.held.is_some_and(|held| covers(held, place));
        //= spec/relays.md#receipt
        //# A mailbox MUST answer a poll because of a receipt alone at most once in a session.
        let is_given = receipts.given == Some((session, place));
        if is_held || (is_waking && is_given) {
            return None;
        }
        Some(Entry {
            plane: Slot::Receipt.plane_in(Plane::Desired),
            envelope: Arc::clone(envelope),
        })
    }

    /// Notes that an answer took the receipt to this session.
    pub fn note_receipt_given(&mut self, channel: ChannelId, session: SessionId) {
        if let Some(slots) = self.channels.get_mut(&channel) {
            let letter = slots.lanes.desired.letter(Slot::Receipt);
            slots.receipts.given = letter.map(|letter| (session, place_of(letter)));
        }
    }

    /// Takes the word of a device that it holds a receipt. Returns true when that one is kept here
    /// still and may go.
    pub fn note_receipt_held(&mut self, channel: ChannelId, held: ReceiptNumber) -> bool {
        let Some(slots) = self.channels.get_mut(&channel) else {
            return false;
        };
        slots.receipts.held = Some(held);
        let letter = slots.lanes.desired.letter(Slot::Receipt);
        letter.is_some_and(|letter| letter.envelope.is_some() && covers(held, place_of(letter)))
    }
}
