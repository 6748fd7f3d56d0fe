//! Time that has passed.
//!
//! Refuses to know the date.

use std::time::{Duration, Instant};

/// A moment, to measure from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began(Instant);

impl Began {
    /// Begins to measure.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the clock here"
    )]
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    /// What has passed since.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
