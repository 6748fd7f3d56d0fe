//! Times of many exchanges: how many there were, the middle one, the one of a hundred.
//!
//! All of them are kept and sorted when somebody asks: runs are short. Refuses to have a middle where there is nothing.

/// Milliseconds of exchanges.
#[derive(Debug, Default, Clone)]
pub struct Spread {
    times_ms: Vec<f64>,
}

impl Spread {
    /// Notes one.
    pub fn push(&mut self, ms: f64) {
        self.times_ms.push(ms);
    }

    /// Takes those of another.
    pub fn extend(&mut self, other: Self) {
        self.times_ms.extend(other.times_ms);
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.times_ms.len()
    }

    /// Returns the time that so many per cent do not exceed; `None` without any.
    pub fn percentile(&self, per_cent: usize) -> Option<f64> {
        let mut sorted = self.times_ms.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = (sorted.len() * per_cent).div_ceil(100).max(1);
        sorted.get(at - 1).copied()
    }
}
