//! Heartbeats of writers on their way to devices: each session is given each one once.
//!
//! Refuses to make a writer sign more often than every few seconds.

use super::{Entry, Mailboxes};
use postern_protocol::id::{ChannelId, Plane, SessionId};

impl Mailboxes {
    /// Returns the heartbeat that this session was not given yet; `is_awaited_only` leaves out one
    /// that no device waits for.
    #[must_use]
    pub fn heartbeat_for(
        &self,
        channel: ChannelId,
        session: SessionId,
        is_awaited_only: bool,
    ) -> Option<Entry> {
        let beat = &self.channels.get(&channel)?.beat;
        if is_awaited_only && !beat.is_awaited_by(session) {
            return None;
        }
        beat.peek(session).map(|envelope| Entry {
            plane: Some(Plane::Desired),
            envelope,
        })
    }

    /// Notes that an answer took the heartbeat to this session.
    pub fn note_heartbeat_given(&mut self, channel: ChannelId, session: SessionId) {
        if let Some(slots) = self.channels.get_mut(&channel) {
            slots.beat.note_given(session);
        }
    }

    /// Tells whether the writer should sign a heartbeat for an idle answer. A yes is remembered,
    /// so that the next one comes 5 s later at the earliest.
    pub fn ask_heartbeat(&mut self, channel: ChannelId, now_ms: u64) -> bool {
        // Without anything else of the channel there is nothing to be fresh about.
        self.channels
            .get_mut(&channel)
            .is_some_and(|slots| slots.beat.ask(now_ms))
    }
}
