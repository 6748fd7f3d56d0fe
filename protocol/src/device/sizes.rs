//! How large a body the route in use carries, and what has to wait because of it.
//!
//! The driver tells both bounds. A fetch cannot name a size, so it asks for fewer bodies; a report
//! is one envelope and cannot be made smaller. Refuses to send what is known not to pass over and
//! over: it is named once in an event, waits, and is tried again now and then, because routes change.

use super::{Device, Event};
use crate::kind::MessageKind;
use crate::limits::{FETCH_DIGESTS_MAX, FRAME_BYTES_MAX, PUT_BYTES_MAX};

/// Milliseconds between two tries of what the route is not known to carry. Arbitrary: six tries an
/// hour cost nothing and end an operator's wait soon after the front was corrected.
pub(super) const HELD_BACK_MS: u64 = 600_000;

/// Bytes of bodies in a put at least, whatever the route is said to carry. Arbitrary.
const PUT_BYTES_MIN: usize = 1_024;

/// Bytes of a post that are not its envelope: type, session, counter, array head, plane and tag.
pub(super) const POST_OVERHEAD_BYTES: usize = 20;

/// The bounds of the route in use, and since when something waits for a larger one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    up_bytes_max: usize,
    down_bytes_max: usize,
    report_until_ms: Option<u64>,
    fetch_until_ms: Option<u64>,
}

/// Whether a piece of work may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Send,
    /// Not before this moment. `is_new` when that was decided just now.
    Wait {
        until_ms: u64,
        is_new: bool,
    },
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            up_bytes_max: FRAME_BYTES_MAX,
            down_bytes_max: FRAME_BYTES_MAX,
            report_until_ms: None,
            fetch_until_ms: None,
        }
    }
}

impl Sizes {
    /// The moment before which no report is sent, if one waits for a larger bound.
    pub(super) const fn report_until_ms(&self) -> Option<u64> {
        self.report_until_ms
    }

    /// Section bodies that one fetch may ask for.
    pub(super) fn digests_max(&self) -> usize {
        let share = self.down_bytes_max.saturating_mul(FETCH_DIGESTS_MAX) / FRAME_BYTES_MAX;
        share.clamp(1, FETCH_DIGESTS_MAX)
    }

    /// Bytes of bodies that one put may carry.
    pub(super) fn put_bytes_max(&self) -> usize {
        let overhead = FRAME_BYTES_MAX - PUT_BYTES_MAX;
        let room = self.up_bytes_max.saturating_sub(overhead);
        room.clamp(PUT_BYTES_MIN, PUT_BYTES_MAX)
    }

    /// Tells whether one envelope passes the route as a post.
    pub(super) const fn carries(&self, envelope_bytes: usize) -> bool {
        envelope_bytes.saturating_add(POST_OVERHEAD_BYTES) <= self.up_bytes_max
    }

    fn admit_report(&mut self, now_ms: u64, envelope_bytes: usize) -> Admission {
        let bytes = envelope_bytes.saturating_add(POST_OVERHEAD_BYTES);
        admit(
            bytes <= self.up_bytes_max,
            &mut self.report_until_ms,
            now_ms,
        )
    }

    fn admit_fetch(&mut self, now_ms: u64) -> Admission {
        admit(self.down_bytes_max > 0, &mut self.fetch_until_ms, now_ms)
    }
}

fn admit(fits: bool, until_ms: &mut Option<u64>, now_ms: u64) -> Admission {
    let next_ms = now_ms.saturating_add(HELD_BACK_MS);
    match *until_ms {
        _ if fits => {
            *until_ms = None;
            Admission::Send
        }
        Some(until_ms) if now_ms < until_ms => Admission::Wait {
            until_ms,
            is_new: false,
        },
        Some(_over) => {
            *until_ms = Some(next_ms);
            Admission::Send
        }
        None => {
            *until_ms = Some(next_ms);
            Admission::Wait {
                until_ms: next_ms,
                is_new: true,
            }
        }
    }
}

impl Device {
    /// Takes the bounds of the route in use; a larger one frees what waited for it.
    pub(super) fn handle_sizes(&mut self, up_bytes_max: usize, down_bytes_max: usize) {
        let sizes = &mut self.sizes;
        if up_bytes_max > sizes.up_bytes_max {
            sizes.report_until_ms = None;
        }
        if down_bytes_max > sizes.down_bytes_max
            && sizes.fetch_until_ms.take().is_some()
            && let Some(pending) = &mut self.desired.pending
        {
            pending.retry_ms = 0;
        }
        sizes.up_bytes_max = up_bytes_max;
        sizes.down_bytes_max = down_bytes_max;
    }

    /// Tells whether the report that is due may be sent; says so once when it may not.
    pub(super) fn may_report(&mut self, now_ms: u64) -> bool {
        let Some(bytes) = self.reporter.due(now_ms).map(<[u8]>::len) else {
            return false;
        };
        let admission = self.sizes.admit_report(now_ms, bytes);
        self.note_held_back(MessageKind::Report, bytes, admission)
    }

    /// Tells whether bodies may be fetched; a fetch that may not waits and is named once.
    pub(super) fn may_fetch(&mut self, now_ms: u64) -> bool {
        let Some(pending) = &mut self.desired.pending else {
            return false;
        };
        if pending.retry_ms > now_ms {
            return false;
        }
        let admission = self.sizes.admit_fetch(now_ms);
        if let Admission::Wait { until_ms, .. } = admission {
            pending.retry_ms = until_ms;
        }
        self.note_held_back(MessageKind::Snapshot, 0, admission)
    }

    fn note_held_back(&mut self, kind: MessageKind, bytes: usize, admission: Admission) -> bool {
        match admission {
            Admission::Send => true,
            Admission::Wait { is_new, .. } => {
                if is_new {
                    self.event(Event::HeldBack { kind, bytes });
                }
                false
            }
        }
    }
}
