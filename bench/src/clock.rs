//! The benchmark's only look at a clock.
//!
//! Refuses to say what time it is: moments are compared with each other only.

use std::time::Instant;

/// Returns the present moment.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of the benchmark that reads a clock"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Returns the milliseconds since `start`.
pub fn ms_since(start: Instant) -> f64 {
    now().duration_since(start).as_secs_f64() * 1_000.0
}
