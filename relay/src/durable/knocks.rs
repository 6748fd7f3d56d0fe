//! Enrolments that wait for their controller: kept in memory, shown to every tenant's writer.
//!
//! ```text
//!   enrol frame --knock--> collected by writers --> deliver-enrolled --> the device's request, held
//!        '--sent again finds the same knock, and its answer once there is one
//! ```
//!
//! One enrolled frame answers; a refusal only once no tenant is left that might still answer. Nothing
//! about an unknown key is stored. Refuses more than a few a second, what is too large, and more than
//! its bound, so that a storm of enrolments never reaches devices that are enrolled.

use super::limits::{
    KNOCK_AGE_MS_MAX, KNOCK_BYTES_MAX, KNOCK_ENTRIES_MAX, KNOCK_REFUSED_MS_MAX, KNOCKS_BURST,
    KNOCKS_MAX, KNOCKS_PER_S,
};
use crate::limiter::{Gate, Rate};
use postern_protocol::Reject;
use postern_protocol::frame::{Direction, PlainFrame};
use postern_protocol::id::{Digest, TenantId};
use postern_protocol::revision::Knock;
use std::collections::BTreeMap;
use tokio::sync::watch;

/// What became of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// An enrolled frame.
    Enrolled(Vec<u8>),
    /// The refused frame of one of the controllers.
    Refused(Vec<u8>),
}

/// Tells who waits for an enrolment what its controller answered.
pub(super) type Answered = watch::Receiver<Option<Answer>>;

#[derive(Debug)]
struct Pending {
    knock: Knock,
    since_ms: u64,
    answer: watch::Sender<Option<Answer>>,
    /// Where writers see it that have not answered.
    places: Vec<(TenantId, u64)>,
    refusal: Option<Refusal>,
}

/// The refusal that the device will be told, should nobody enrol it.
#[derive(Debug)]
struct Refusal {
    frame: Vec<u8>,
    /// True when it says no more than that the enrolment is another tenant's.
    is_foreign: bool,
    at_ms: u64,
}

/// Where writers need not see a knock any more.
type Places = Vec<(TenantId, u64)>;

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
            refusal: None,
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

    /// Takes what a tenant's writer answers to a knock; the first enrolled frame counts. Returns
    /// where it need not be seen any more.
    ///
    /// # Errors
    /// `knock-unknown`; frame rejects; `shape` for a frame that answers no enrolment.
    pub(super) fn answer(
        &mut self,
        tenant: TenantId,
        knock: Knock,
        frame: Vec<u8>,
        now_ms: u64,
    ) -> Result<Places, Reject> {
        //= spec/relays.md#knocks
        //# The frame of a deliver-enrolled MUST be an enrolled frame, or a refused frame with another
        //# code than `enrol-pending`, else `shape`.
        let refused = match PlainFrame::decode(&frame, Direction::Down)? {
            PlainFrame::Enrolled { .. } => None,
            PlainFrame::Refused { code, .. } if code != Reject::EnrolPending.code() => Some(code),
            PlainFrame::Enrol { .. }
            | PlainFrame::Ask { .. }
            | PlainFrame::Challenge { .. }
            | PlainFrame::Hello { .. }
            | PlainFrame::Welcome { .. }
            | PlainFrame::Posted { .. }
            | PlainFrame::FiledBody { .. }
            | PlainFrame::Refused { .. } => return Err(Reject::Shape),
        };
        let pending = self.pending(knock).ok_or(Reject::KnockUnknown)?;
        match refused {
            None => Ok(pending.enrol(frame)),
            Some(code) => Ok(pending.refuse(tenant, frame, code, now_ms)),
        }
    }

    /// Forgets what waited too long, or was refused a while ago. Returns where it was seen.
    pub(super) fn expire(&mut self, now_ms: u64) -> Places {
        let mut places = Vec::new();
        let by_knock = &mut self.by_knock;
        self.by_frame.retain(|_, pending| {
            let is_over = pending.is_over(now_ms);
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

    /// Enrolments that nobody has answered.
    pub(super) fn waiting(&self) -> usize {
        let waits = |pending: &&Pending| pending.answer.borrow().is_none();
        self.by_frame.values().filter(waits).count()
    }
}

impl Pending {
    //= spec/relays.md#knocks
    //# A relay MUST give the device an enrolled frame that comes before the last refusal.
    fn enrol(&mut self, frame: Vec<u8>) -> Places {
        self.answer.send_if_modified(|answer| {
            let is_first = answer.is_none();
            if is_first {
                *answer = Some(Answer::Enrolled(frame));
            }
            is_first
        });
        std::mem::take(&mut self.places)
    }

    fn refuse(&mut self, tenant: TenantId, frame: Vec<u8>, code: u16, now_ms: u64) -> Places {
        let places = std::mem::take(&mut self.places);
        let (own, others): (Places, Places) = places.into_iter().partition(|(of, _)| *of == tenant);
        self.places = others;
        // A tenant that did not see the knock, or has spoken before, says nothing new.
        if own.is_empty() {
            return own;
        }
        let is_foreign = code == Reject::TokenUnknown.code();
        let says_more = |held: &Refusal| held.is_foreign && !is_foreign;
        if self.refusal.as_ref().is_none_or(says_more) {
            self.refusal = Some(Refusal {
                frame,
                is_foreign,
                at_ms: now_ms,
            });
        }
        //= spec/relays.md#knocks
        //# A relay MUST NOT give a device a refusal before the writer of each tenant that was shown
        //# the knock has refused it.
        if self.places.is_empty()
            && let Some(refusal) = &mut self.refusal
        {
            refusal.at_ms = now_ms;
            let frame = refusal.frame.clone();
            self.answer.send_if_modified(|answer| {
                let is_first = answer.is_none();
                if is_first {
                    *answer = Some(Answer::Refused(frame));
                }
                is_first
            });
        }
        own
    }

    fn is_over(&self, now_ms: u64) -> bool {
        //= spec/relays.md#knocks
        //# A relay MUST NOT answer with a refusal for longer than 60 s; the same frame is then a new
        //# knock.
        let is_refused = matches!(*self.answer.borrow(), Some(Answer::Refused(_)));
        let refused = self.refusal.as_ref().filter(|_| is_refused);
        let is_forgotten =
            |refusal: &Refusal| now_ms.saturating_sub(refusal.at_ms) >= KNOCK_REFUSED_MS_MAX;
        refused.is_some_and(is_forgotten)
            || now_ms.saturating_sub(self.since_ms) >= KNOCK_AGE_MS_MAX
    }
}
