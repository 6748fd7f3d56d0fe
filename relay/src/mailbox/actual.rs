//! The head of a device's actual plane as its reader holds it, compared with what polls show.
//!
//! A device that shows another head has something that the reader lacks, or lacks something that
//! the reader has: it is asked for a snapshot before its poll is parked. Refuses to ask for the
//! same difference again and again: each time it waits twice as long.

use crate::limits::{ACTUAL_ASK_DOUBLINGS_MAX, ACTUAL_ASK_INTERVAL_MS};
use postern_protocol::revision::Revision;

/// The actual plane of one channel, as far as a mailbox knows it.
#[derive(Debug)]
pub(super) struct ActualHead {
    held: Revision,
    asked: Option<Asked>,
    /// The device was refused for want of room and there is some now.
    is_wanted: bool,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    shown: Revision,
    at_ms: u64,
    times: u32,
}

impl Asked {
    fn next_ms(self) -> u64 {
        let doublings = self.times.saturating_sub(1).min(ACTUAL_ASK_DOUBLINGS_MAX);
        let interval = ACTUAL_ASK_INTERVAL_MS.saturating_mul(1 << doublings);
        self.at_ms.saturating_add(interval)
    }
}

impl Default for ActualHead {
    fn default() -> Self {
        Self {
            held: Revision::NONE,
            asked: None,
            is_wanted: false,
        }
    }
}

impl ActualHead {
    pub(super) const fn held(&self) -> Revision {
        self.held
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held == Revision::NONE && self.asked.is_none() && !self.is_wanted
    }

    /// Takes the head that is durable now. Returns true when it is another one.
    pub(super) fn set(&mut self, held: Revision) -> bool {
        let is_change = self.held != held;
        if is_change {
            self.held = held;
            // The last question stays in mind: the next difference is asked for after its interval.
            if let Some(asked) = &mut self.asked {
                asked.times = 1;
            }
        }
        is_change
    }

    /// Wants a snapshot, whatever head the device shows.
    pub(super) const fn want(&mut self) {
        self.is_wanted = true;
    }

    pub(super) const fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Returns when a device that shows this head is to be asked for a snapshot, or `None` when it
    /// shows what is held, or nothing.
    pub(super) fn ask_at_ms(&self, shown: Option<Revision>) -> Option<u64> {
        let shown = shown.filter(|shown| self.is_wanted || *shown != self.held)?;
        Some(match self.asked {
            Some(asked) if asked.shown == shown => asked.next_ms(),
            Some(asked) => asked.at_ms.saturating_add(ACTUAL_ASK_INTERVAL_MS),
            None => 0,
        })
    }

    /// Notes that the device was asked.
    pub(super) fn note_asked(&mut self, shown: Revision, now_ms: u64) {
        self.is_wanted = false;
        let times = match self.asked {
            Some(asked) if asked.shown == shown => asked.times.saturating_add(1),
            Some(_) | None => 1,
        };
        self.asked = Some(Asked {
            shown,
            at_ms: now_ms,
            times,
        });
    }
}
