//! The lab's one reader of the clock: for numbers that are reported, and for load that comes at a rate.
//!
//! Nothing waits by it: a wait ends by its condition, see [`crate::wait`].

use std::time::{Duration, Instant};

/// A moment from which time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Instant);

impl Moment {
    /// Returns this moment.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the lab's only reader of the clock"
    )]
    pub fn now() -> Self {
        Self(Instant::now())
    }

    /// Returns how long ago it was, in milliseconds.
    #[must_use]
    pub fn elapsed_ms(self) -> u64 {
        u64::try_from(Self::now().0.duration_since(self.0).as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns the moment that comes so much later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        self.0.checked_add(duration).map_or(self, Self)
    }

    /// Returns how long it is until then; zero once it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Self::now().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_that_passed_leaves_nothing_and_a_later_one_leaves_something() {
        let now = Moment::now();
        assert_eq!(now.left(), Duration::ZERO);
        assert!(now.after(Duration::from_secs(60)).left() > Duration::from_secs(30));
        assert!(now.elapsed_ms() < 60_000);
    }
}
