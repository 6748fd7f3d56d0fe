//! Enrolments that wait for their controller: kept in memory, shown to every tenant's writer.
//!
//! ```text
//!   enrol frame --knock--> collected by writers --> deliver-enrolled --> the device's request, held
//!        '--sent again finds the same knock, and its answer once there is one
//! ```
//!
//! Nothing about an unknown key is stored. Refuses more than a few a second, what is too large, and
//! more than its bound, so that a storm of enrolments never reaches devices that are enrolled.

use super::limits::{
    KNOCK_AGE_MS_MAX, KNOCK_BYTES_MAX, KNOCK_ENTRIES_MAX, KNOCKS_BURST, KNOCKS_MAX, KNOCKS_PER_S,
};
use crate::limiter::{Gate, Rate};
use postern_protocol::Reject;
use postern_protocol::frame::{Direction, PlainFrame};
use postern_protocol::id::{Digest, TenantId};
use postern_protocol::revision::Knock;
use std::collections::BTreeMap;
use tokio::sync::watch;

/// Tells who waits for an enrolment what its controller answered.
pub(super) type Answered = watch::Receiver<Option<Vec<u8>>>;

#[derive(Debug)]
struct Pending {
    knock: Knock,
    since_ms: u64,
    answer: watch::Sender<Option<Vec<u8>>>,
    /// Where writers see it.
    places: Vec<(TenantId, u64)>,
}

/// See the head of this module.
#[derive(Debug)]
pub(super) struct Knocks {
    gate: Gate,
    by_frame: BTreeMap<Digest, Pending>,
    by_knock: BTreeMap<Knock, Digest>,
}

impl Default for Knocks {
    fn default() -> Self {
        Self {
            gate: Gate::new(Rate {
                burst: KNOCKS_BURST,
                per_s: KNOCKS_PER_S,
            }),
            by_frame: BTreeMap::new(),
            by_knock: BTreeMap::new(),
        }
    }
}

impl Knocks {
    /// Takes an enrol frame. Returns who waits for its answer, and the knock when it is a new one,
    /// which the writers of all `tenants` must be shown. `drawn` is a random number.
    ///
    /// # Errors
    /// Frame rejects; `shape` for another frame; `oversize`; `overloaded` beyond a bound.
    pub(super) fn take(
        &mut self,
        frame: &[u8],
        drawn: u64,
        tenants: usize,
        now_ms: u64,
    ) -> Result<(Answered, Option<Knock>), Reject> {
        if frame.len() > KNOCK_BYTES_MAX {
            return Err(Reject::Oversize);
        }
        let PlainFrame::Enrol { .. } = PlainFrame::decode(frame, Direction::Up)? else {
            return Err(Reject::Shape);
        };
        let digest = Digest::of(frame);
        if let Some(pending) = self.by_frame.get(&digest) {
            return Ok((pending.answer.subscribe(), None));
        }
        self.gate.take(now_ms).map_err(|_| Reject::Overloaded)?;
        let knock = Knock::new(drawn);
        let shown = self.by_frame.len().saturating_mul(tenants);
        let is_full = self.by_frame.len() >= KNOCKS_MAX || shown >= KNOCK_ENTRIES_MAX;
        if is_full || self.by_knock.contains_key(&knock) {
            return Err(Reject::Overloaded);
        }
        let (answer, answered) = watch::channel(None);
        let pending = Pending {
            knock,
            since_ms: now_ms,
            answer,
            places: Vec::new(),
        };
        self.by_frame.insert(digest, pending);
        self.by_knock.insert(knock, digest);
        Ok((answered, Some(knock)))
    }

    fn pending(&mut self, knock: Knock) -> Option<&mut Pending> {
        let digest = self.by_knock.get(&knock)?;
        self.by_frame.get_mut(digest)
    }

    /// Notes where writers see a knock.
    pub(super) fn note_shown(&mut self, knock: Knock, places: Vec<(TenantId, u64)>) {
        if let Some(pending) = self.pending(knock) {
            pending.places = places;
        }
    }

    /// Takes the answer to a knock; the first one counts. Returns where it need not be seen any more.
    ///
    /// # Errors
    /// `knock-unknown`; frame rejects; `shape` for another frame than an enrolled one.
    pub(super) fn answer(
        &mut self,
        knock: Knock,
        frame: Vec<u8>,
    ) -> Result<Vec<(TenantId, u64)>, Reject> {
        let PlainFrame::Enrolled { .. } = PlainFrame::decode(&frame, Direction::Down)? else {
            return Err(Reject::Shape);
        };
        let pending = self.pending(knock).ok_or(Reject::KnockUnknown)?;
        pending.answer.send_if_modified(|answer| {
            let is_first = answer.is_none();
            if is_first {
                *answer = Some(frame);
            }
            is_first
        });
        Ok(std::mem::take(&mut pending.places))
    }

    /// Forgets what waited too long. Returns where it was seen.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<(TenantId, u64)> {
        let mut places = Vec::new();
        let by_knock = &mut self.by_knock;
        self.by_frame.retain(|_, pending| {
            let is_over = now_ms.saturating_sub(pending.since_ms) >= KNOCK_AGE_MS_MAX;
            if is_over {
                places.append(&mut pending.places);
                by_knock.remove(&pending.knock);
            }
            !is_over
        });
        places
    }

    /// True while a knock has no answer.
    pub(super) fn is_waiting(&self, knock: Knock) -> bool {
        let digest = self.by_knock.get(&knock);
        let pending = digest.and_then(|digest| self.by_frame.get(digest));
        pending.is_some_and(|pending| pending.answer.borrow().is_none())
    }

    pub(super) fn len(&self) -> usize {
        self.by_frame.len()
    }
}
