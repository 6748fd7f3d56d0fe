//! The bundles of the trust domain, as far as a reader needs them to come to the newest. Refuses to go back,
//! and what does not fit; a device may have been off for a year.

use super::room::{Full, Room};
use super::{Entry, Posted};
use postern_protocol::Reject;
use postern_protocol::revision::BundleNumber;
use postern_protocol::trust::{BundleStep, steps_above};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Bundles {
    steps: Vec<BundleStep>,
    changed: u64,
}

impl Bundles {
    pub(super) fn show(
        &mut self,
        steps: &[BundleStep],
        bytes_max: usize,
    ) -> Result<Posted, Reject> {
        let newest = steps.last().map(|step| step.number).unwrap_or_default();
        if newest < self.highest() {
            return Ok(Posted::Older);
        }
        let bytes: usize = steps.iter().map(|step| step.envelope.len()).sum();
        if bytes > bytes_max {
            return Err(Reject::Quota);
        }
        if self.steps == steps {
            return Ok(Posted::Held);
        }
        self.steps = steps.to_vec();
        Ok(Posted::Kept)
    }

    pub(super) const fn changed(&self) -> u64 {
        self.changed
    }

    pub(super) const fn note_change(&mut self, number: u64) {
        self.changed = number;
    }

    pub(super) fn highest(&self) -> BundleNumber {
        let newest = self.steps.last();
        newest.map(|step| step.number).unwrap_or_default()
    }

    /// The envelopes, ascending.
    pub(super) fn envelopes(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.steps.iter().map(|step| &step.envelope)
    }

    /// Appends what leads from `held` to the newest, ascending. # Errors: [`Full`] when not all of it fits.
    pub(super) fn collect(
        &self,
        held: BundleNumber,
        room: &mut Room,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Full> {
        steps_above(&self.steps, held)
            .iter()
            .try_for_each(|step| room.push(entries, None, &step.envelope))
    }
}
