//! Which bundles may be left out: whoever holds an older one needs only those that hand the roots on, and the newest.
//!
//! ```text
//!   1 (root A)  2 (A)  3 (A: the root becomes B)  4 (B)  5 (B)
//!   kept: 1, 3, 5; to a holder of 1 or 2 goes 3, 5; to one of 3 or 4 goes 5
//! ```
//!
//! Who holds any bundle since the signer of a later one became root or recovery key accepts that one. Knows no
//! other contents; [`super::Trust`] fills it with what it verified.

use crate::id::Thumbprint;
use crate::limits::BUNDLE_SKIP_MAX;
use crate::revision::BundleNumber;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// One bundle that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleStep {
    /// Its number.
    pub number: BundleNumber,
    /// The lowest number whose holder accepts it; 0 also for who holds none.
    pub from: BundleNumber,
    /// Its envelope.
    pub envelope: Arc<[u8]>,
}

/// The bundles that bring the holder of any of them to the newest (spec: #bundle).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleSteps {
    /// Ascending; each is accepted by who holds the one before it.
    steps: Vec<BundleStep>,
    /// The root and the recovery key of the newest, and the number since when every bundle names them.
    since: Vec<(Thumbprint, BundleNumber)>,
}

impl BundleSteps {
    /// Adds a bundle above the newest, which was verified under it: who signed it, and whom it names as root and
    /// recovery key.
    pub(super) fn push(
        &mut self,
        number: BundleNumber,
        (signer, named): (Thumbprint, [Thumbprint; 2]),
        envelope: &[u8],
    ) {
        let highest = self.highest();
        let since = |key| self.since.iter().find(|(named, _)| *named == key);
        // Who holds nothing accepts bundle 1 alone.
        let from = since(signer).map_or(highest, |(_, since)| *since);
        let lowest = BundleNumber::new(number.number().saturating_sub(BUNDLE_SKIP_MAX));
        let from = from.max(lowest).min(highest);
        self.since = named
            .map(|key| since(key).copied().unwrap_or((key, number)))
            .into();
        let passed = self.steps.partition_point(|step| step.number < from);
        self.steps.truncate(passed.saturating_add(1));
        self.steps.push(BundleStep {
            number,
            from,
            envelope: Arc::from(envelope),
        });
    }

    /// The number of the newest, 0 for none.
    #[must_use]
    pub fn highest(&self) -> BundleNumber {
        self.steps
            .last()
            .map(|step| step.number)
            .unwrap_or_default()
    }

    /// All that are needed, ascending: what who holds none has to accept one after the other.
    #[must_use]
    pub fn all(&self) -> &[BundleStep] {
        &self.steps
    }
}

/// What of these steps brings who holds bundle `held` to the newest, ascending; nothing when he is there.
#[must_use]
pub fn steps_above(steps: &[BundleStep], held: BundleNumber) -> &[BundleStep] {
    let above = steps.partition_point(|step| step.number <= held);
    // From the last one that he accepts on: those before it are a way that he need not go.
    let start = steps.iter().rposition(|step| step.from <= held);
    let start = start.map_or(above, |start| start.max(above));
    steps.get(start..).unwrap_or_default()
}
