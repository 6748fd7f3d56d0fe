//! The bundles of the trust domain, contiguous, so that a reader several numbers behind gets every
//! step. Refuses gaps and never drops the first ones: a device may have been off for a year.

use super::room::{Full, Room};
use super::{Entry, Posted};
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::revision::BundleNumber;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Bundles {
    by_number: BTreeMap<BundleNumber, Arc<[u8]>>,
    bytes: usize,
    changed: u64,
}

impl Bundles {
    pub(super) fn post(
        &mut self,
        received: &ReceivedEnvelope<'_>,
        bytes_max: usize,
    ) -> Result<Posted, Reject> {
        let number = BundleNumber::new(received.unverified_header().seq.number());
        let bytes = received.as_bytes();
        if let Some(held) = self.by_number.get(&number) {
            return if held.as_ref() == bytes {
                Ok(Posted::Held)
            } else {
                Err(Reject::Equivocation)
            };
        }
        if let Some(highest) = self.by_number.keys().next_back().copied() {
            if number < highest {
                return Ok(Posted::Older);
            }
            if highest.next() != Some(number) {
                return Err(Reject::BundleGap);
            }
        }
        let total = self.bytes.saturating_add(bytes.len());
        if total > bytes_max {
            return Err(Reject::Quota);
        }
        self.bytes = total;
        self.by_number.insert(number, Arc::from(bytes));
        Ok(Posted::Kept)
    }

    pub(super) const fn changed(&self) -> u64 {
        self.changed
    }

    pub(super) const fn note_change(&mut self, number: u64) {
        self.changed = number;
    }

    pub(super) fn highest(&self) -> BundleNumber {
        self.by_number
            .keys()
            .next_back()
            .copied()
            .unwrap_or_default()
    }

    /// Appends the bundles above `held`, ascending. # Errors: [`Full`] when not all of them fit.
    pub(super) fn collect(
        &self,
        held: BundleNumber,
        room: &mut Room,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Full> {
        self.by_number
            .range((Bound::Excluded(held), Bound::Unbounded))
            .try_for_each(|(_, envelope)| room.push(entries, None, envelope))
    }
}
