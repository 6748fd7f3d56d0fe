//! Reads the time that passes, and waits a moment: the one place of this program that does.
//!
//! Refuses the time of day; nothing here depends on it.

use std::time::{Duration, Instant};

/// How often a program that runs is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Returns the present.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a test may take is time that passes"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits until it is worth looking again.
#[expect(
    clippy::disallowed_methods,
    reason = "a child that may never end has no event to wait for"
)]
pub(crate) fn rest() {
    std::thread::sleep(LOOK);
}
