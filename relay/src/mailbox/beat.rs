//! The newest heartbeat of a channel's writer: how fresh the controller is, never what it decided.
//!
//! ```text
//!   put --> newest --+-- awaited (an echo, an acknowledgement): wakes a held poll, once
//!                    +-- any other: rides on an answer that goes out anyway
//! ```
//!
//! Kept in memory only, and given once to each session. Refuses to ask the writer for one more
//! often than it may sign one.

use crate::limits::{BEAT_ASK_INTERVAL_MS, BEAT_AWAITED_MS_MAX, BEAT_WANTED_AGE_MS};
use postern_protocol::id::SessionId;
use std::sync::Arc;

#[derive(Debug)]
struct Newest {
    envelope: Arc<[u8]>,
    number: u64,
    is_awaited: bool,
    put_ms: u64,
}

/// The heartbeat slot of one channel.
#[derive(Debug, Default)]
pub(super) struct Beat {
    newest: Option<Newest>,
    /// The session that was given a heartbeat last, and which.
    given: Option<(SessionId, u64)>,
    puts: u64,
    asked_ms: Option<u64>,
}

impl Beat {
    pub(super) fn bytes(&self) -> usize {
        self.newest
            .as_ref()
            .map_or(0, |newest| newest.envelope.len())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// Tells whether a heartbeat may take the place of the one held: an answer that its device
    /// still waits for is not lost to one that it does not wait for.
    pub(super) fn is_replaced_by(&self, is_awaited: bool, now_ms: u64) -> bool {
        let Some(newest) = &self.newest else {
            return true;
        };
        let is_given = self.given.is_some_and(|(_, given)| given == newest.number);
        let is_old = now_ms.saturating_sub(newest.put_ms) > BEAT_AWAITED_MS_MAX;
        is_awaited || !newest.is_awaited || is_given || is_old
    }

    pub(super) fn put(&mut self, envelope: Arc<[u8]>, is_awaited: bool, now_ms: u64) {
        self.puts = self.puts.wrapping_add(1);
        self.newest = Some(Newest {
            envelope,
            number: self.puts,
            is_awaited,
            put_ms: now_ms,
        });
    }

    fn new_to(&self, session: SessionId) -> Option<&Newest> {
        let newest = self.newest.as_ref()?;
        (self.given != Some((session, newest.number))).then_some(newest)
    }

    /// Tells whether this session waits for what is held.
    pub(super) fn is_awaited_by(&self, session: SessionId) -> bool {
        self.new_to(session)
            .is_some_and(|newest| newest.is_awaited && self.is_never_given(newest))
    }

    /// An answer to one session's question says nothing to the next one.
    fn is_never_given(&self, newest: &Newest) -> bool {
        self.given.is_none_or(|(_, given)| given != newest.number)
    }

    /// What this session was not given yet.
    pub(super) fn peek(&self, session: SessionId) -> Option<Arc<[u8]>> {
        self.new_to(session)
            .map(|newest| Arc::clone(&newest.envelope))
    }

    /// Notes that the session was given what is held.
    pub(super) fn note_given(&mut self, session: SessionId) {
        self.given = self.newest.as_ref().map(|newest| (session, newest.number));
    }

    /// Tells whether the writer should sign another one, and remembers that it was asked.
    pub(super) fn ask(&mut self, now_ms: u64) -> bool {
        let is_fresh = self
            .newest
            .as_ref()
            .is_some_and(|newest| now_ms.saturating_sub(newest.put_ms) < BEAT_WANTED_AGE_MS);
        let was_asked = self
            .asked_ms
            .is_some_and(|asked| now_ms.saturating_sub(asked) < BEAT_ASK_INTERVAL_MS);
        if is_fresh || was_asked {
            return false;
        }
        self.asked_ms = Some(now_ms);
        true
    }
}
