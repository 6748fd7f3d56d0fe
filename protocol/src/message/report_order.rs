//! Which report counts: the highest of an incarnation, whatever arrived in between.
//!
//! Refuses two contents under one number: that is equivocation, not news.

use crate::id::MessageId;
use crate::reject::Reject;
use crate::revision::{Outcome, Revision};
use core::cmp::Ordering;

/// The number and identity of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportHead {
    /// The device's epoch and the report number within it.
    pub number: Revision,
    /// The report's identity.
    pub message_id: MessageId,
}

/// Compares a verified report with the highest one held of its incarnation (spec: #reports-and-acks).
///
/// Gives `Accept` (a gap is allowed: reports are cumulative), `Duplicate` (acknowledge again) or
/// `Refuse` with `report-stale` or `equivocation`.
#[must_use]
pub fn accept_report(stored: Option<&ReportHead>, incoming: &ReportHead) -> Outcome {
    let Some(stored) = stored else {
        return Outcome::Accept;
    };
    //= spec/postern.md#reports-and-acks
    //# A controller MUST compare a report's (epoch, rseq) with the highest it holds of that
    //# incarnation:
    match incoming.number.cmp(&stored.number) {
        Ordering::Less => Outcome::Refuse(Reject::ReportStale),
        Ordering::Equal if incoming.message_id == stored.message_id => Outcome::Duplicate,
        Ordering::Equal => Outcome::Refuse(Reject::Equivocation),
        Ordering::Greater => Outcome::Accept,
    }
}
