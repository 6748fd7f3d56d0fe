//! What a run came to: each vector's end, with known failures taken into account, and sums per folder.
//!
//! Refuses to let a known failure pass in silence once it is mended.

use crate::compare::{Difference, Verdict};
use crate::run::Taken;
use crate::vectors::Vector;
use crate::words::fits;
use std::collections::BTreeMap;

/// How one vector ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The child agrees.
    Passed,
    /// It does not.
    Failed(Difference),
    /// It does not build this.
    Unsupported,
    /// It does not agree, which is known.
    KnownFailure(Difference),
    /// It agrees, and is listed as known to fail.
    UnexpectedPass,
}

impl End {
    /// One word for reports.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Unsupported => "unsupported",
            Self::KnownFailure(_) => "xfail",
            Self::UnexpectedPass => "unexpected-pass",
        }
    }

    /// Where the child differs.
    pub(crate) const fn difference(&self) -> Option<&Difference> {
        match self {
            Self::Failed(difference) | Self::KnownFailure(difference) => Some(difference),
            Self::Passed | Self::Unsupported | Self::UnexpectedPass => None,
        }
    }
}

/// One vector and its end.
#[derive(Debug)]
pub(crate) struct Row<'v> {
    /// The vector.
    pub(crate) vector: &'v Vector,
    /// Its end.
    pub(crate) end: End,
    /// Microseconds that it took.
    pub(crate) elapsed_us: u64,
}

/// Sums of a folder, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Vectors that must be accepted.
    pub(crate) valid: u64,
    /// Vectors that must be refused.
    pub(crate) invalid: u64,
    /// Ends, by their kind.
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) unsupported: u64,
    pub(crate) known: u64,
    pub(crate) unexpected: u64,
}

impl Sums {
    const fn add(&mut self, is_valid: bool, end: &End) {
        *(if is_valid {
            &mut self.valid
        } else {
            &mut self.invalid
        }) += 1;
        let place = match end {
            End::Passed => &mut self.passed,
            End::Failed(_) => &mut self.failed,
            End::Unsupported => &mut self.unsupported,
            End::KnownFailure(_) => &mut self.known,
            End::UnexpectedPass => &mut self.unexpected,
        };
        *place += 1;
    }
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Summary<'v> {
    /// Every vector that was asked, in the order of the manifest.
    pub(crate) rows: Vec<Row<'v>>,
    /// Lines of the list of known failures that name no vector which was asked.
    pub(crate) strays: Vec<String>,
}

impl<'v> Summary<'v> {
    /// Joins vectors, what came of them, and what is known to fail.
    pub(crate) fn new(vectors: &[&'v Vector], taken: Vec<Taken>, known: &[String]) -> Self {
        let is_known = |vector: &Vector| known.iter().any(|pattern| fits(pattern, &vector.name));
        let rows: Vec<Row<'v>> = vectors
            .iter()
            .zip(taken)
            .map(|(vector, taken)| Row {
                vector,
                end: match (taken.verdict, is_known(vector)) {
                    (Verdict::Passed, false) => End::Passed,
                    (Verdict::Passed, true) => End::UnexpectedPass,
                    (Verdict::Failed(difference), false) => End::Failed(difference),
                    (Verdict::Failed(difference), true) => End::KnownFailure(difference),
                    (Verdict::Unsupported, _) => End::Unsupported,
                },
                elapsed_us: taken.elapsed_us,
            })
            .collect();
        let is_stray = |pattern: &&String| !vectors.iter().any(|it| fits(pattern, &it.name));
        let strays = known.iter().filter(is_stray).cloned().collect();
        Self { rows, strays }
    }

    /// Sums by folder.
    pub(crate) fn folders(&self) -> BTreeMap<&str, Sums> {
        let mut folders = BTreeMap::new();
        for row in &self.rows {
            let sums: &mut Sums = folders.entry(row.vector.folder()).or_default();
            sums.add(row.vector.is_valid(), &row.end);
        }
        folders
    }

    /// Sums of all.
    pub(crate) fn all(&self) -> Sums {
        let mut sums = Sums::default();
        for row in &self.rows {
            sums.add(row.vector.is_valid(), &row.end);
        }
        sums
    }

    /// True when nothing differs; `is_complete` also wants every operation to be built.
    pub(crate) fn is_good(&self, is_complete: bool) -> bool {
        let all = self.all();
        let is_built = !is_complete || all.unsupported == 0;
        all.failed == 0 && all.unexpected == 0 && is_built
    }
}
