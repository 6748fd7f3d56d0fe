//! The one place that lets time pass.
//!
//! A lab test observes other processes, which offer no event to wait on: a port opens, a line appears in a log. So the
//! lab looks, pauses for [`STEP_MS`], and looks again, at most [`TRIES_MAX`] times. A wait ends the moment its
//! condition holds; the bound is only for failures. Nothing here measures time, so a slow machine fails no test.

use std::time::Duration;

use crate::LabError;
use crate::clock::Moment;

/// Pause between two looks, in milliseconds. Arbitrary: short beside the start of any process here.
pub const STEP_MS: u64 = 20;

/// Most looks before a wait is given up: 60 s of pauses. Arbitrary: ten times the slowest start seen on two busy cores.
pub const TRIES_MAX: u32 = 3_000;

/// Looks until `probe` returns a value.
///
/// # Errors
/// [`LabError::GaveUp`] naming `what` after [`TRIES_MAX`] looks; any error of `probe` at once.
pub fn until<T>(
    what: &str,
    probe: impl FnMut() -> Result<Option<T>, LabError>,
) -> Result<T, LabError> {
    until_tries(what, TRIES_MAX, probe)
}

/// Looks at most `tries` times until `probe` returns a value.
///
/// # Errors
/// As [`until`].
pub fn until_tries<T>(
    what: &str,
    tries: u32,
    mut probe: impl FnMut() -> Result<Option<T>, LabError>,
) -> Result<T, LabError> {
    for _ in 0..tries {
        if let Some(found) = probe()? {
            return Ok(found);
        }
        pause();
    }
    Err(LabError::GaveUp {
        what: what.to_owned(),
        evidence: String::new(),
    })
}

/// Pauses until a moment: for load that comes at a rate, never to let something happen meanwhile.
pub(crate) fn pause_until(moment: Moment) {
    let left = moment.left();
    if !left.is_zero() {
        sleep(left);
    }
}

fn pause() {
    sleep(Duration::from_millis(STEP_MS));
}

#[expect(
    clippy::disallowed_methods,
    reason = "other processes offer no event; this is the lab's only pause"
)]
fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}
