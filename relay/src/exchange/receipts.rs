//! What an answer brings besides news: the receipt that waits for a device, until a poll names it, and a heartbeat.
//!
//! Refuses to crowd out what the answer was asked for: a receipt that does not fit waits for the next one.

use super::{Exchanges, Owner};
use crate::limits::{ANSWER_ITEMS_BYTES_MAX, ITEM_OVERHEAD_BYTES};
use crate::mailbox::Entry;
use postern_protocol::frame::UpFrame;
use postern_protocol::id::{ChannelId, SessionId};
use postern_protocol::revision::ReceiptNumber;

/// What was added to an answer that is not sealed yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extras {
    channel: ChannelId,
    session: SessionId,
    has_receipt: bool,
    has_heartbeat: bool,
}

impl Exchanges {
    /// Adds to an answer what waits for its session besides news.
    pub(super) fn add_extras(
        &self,
        channel: ChannelId,
        session: SessionId,
        has_news: bool,
        entries: &mut Vec<Entry>,
    ) -> Extras {
        let has_receipt = self.add_receipt(channel, session, entries);
        let heartbeat = self.mailboxes.heartbeat_for(channel, session, has_news);
        let has_heartbeat = heartbeat.is_some();
        entries.extend(heartbeat);
        Extras {
            channel,
            session,
            has_receipt,
            has_heartbeat,
        }
    }

    /// Remembers that the answer is sealed.
    pub(super) fn note_extras_given(&mut self, extras: Extras) {
        let (channel, session) = (extras.channel, extras.session);
        if extras.has_receipt {
            self.mailboxes.note_receipt_given(channel, session);
        }
        if extras.has_heartbeat {
            self.mailboxes.note_heartbeat_given(channel, session);
        }
    }

    /// Takes the word of a device's poll that it has a receipt. Returns it when it may go.
    pub(super) fn take_receipt_named(
        &mut self,
        owner: Owner,
        frame: &UpFrame<'_>,
    ) -> Option<ReceiptNumber> {
        let Owner::Device(channel) = owner else {
            return None;
        };
        let named = match frame {
            UpFrame::Poll(poll) => poll.receipt?,
            UpFrame::Stream(stream) => stream.heads.receipt?,
            UpFrame::Post(_)
            | UpFrame::Need { .. }
            | UpFrame::Fetch { .. }
            | UpFrame::Put { .. }
            | UpFrame::Collect(_)
            | UpFrame::Deliver(_)
            | UpFrame::DeliverBodies { .. }
            | UpFrame::FetchBodies { .. }
            | UpFrame::DeliverEnrolled { .. } => return None,
        };
        let may_go = self.mailboxes.note_receipt_held(channel, named);
        may_go.then_some(named)
    }

    //= spec/relays.md#receipt
    //# A mailbox MUST give a device the receipt that it holds for it with each answer to a poll or a post
    //# that has room for it, until a poll names it.
    /// Adds the receipt that waits for a device, where it fits. Returns true when it does.
    fn add_receipt(
        &self,
        channel: ChannelId,
        session: SessionId,
        entries: &mut Vec<Entry>,
    ) -> bool {
        let Some(receipt) = self.mailboxes.receipt_for(channel, session, false) else {
            return false;
        };
        let bytes = |entry: &Entry| entry.envelope.len().saturating_add(ITEM_OVERHEAD_BYTES);
        let taken: usize = entries.iter().map(bytes).sum();
        let fits = taken.saturating_add(bytes(&receipt)) <= ANSWER_ITEMS_BYTES_MAX;
        if fits {
            entries.push(receipt);
        }
        fits
    }
}
