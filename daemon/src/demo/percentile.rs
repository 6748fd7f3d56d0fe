//! Percentiles of a few measured durations, by nearest rank.
//!
//! Refuses to invent values in between.

/// Returns the value below or at which `percent` (1..=100) of the samples lie; `None` without samples.
pub(super) fn percentile(samples_us: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = samples_us.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentile_takes_the_nearest_rank() {
        let check = |samples: &[u64], percent, expected| {
            assert_eq!(
                percentile(samples, percent),
                expected,
                "{percent} % of {samples:?}"
            );
        };
        let twenty: Vec<u64> = (1..=20).rev().collect();
        check(&twenty, 50, Some(10));
        check(&twenty, 99, Some(20));
        check(&twenty, 95, Some(19));
        check(&twenty, 100, Some(20));
        check(&[7], 1, Some(7));
        check(&[7], 99, Some(7));
        check(&[5, 1], 50, Some(1));
        check(&[5, 1], 51, Some(5));
    }

    #[test]
    fn percentile_of_nothing_is_nothing() {
        for (samples, percent) in [(&[] as &[u64], 50), (&[], 99), (&[3], 0), (&[3], 101)] {
            assert_eq!(
                percentile(samples, percent),
                None,
                "{percent} % of {samples:?}"
            );
        }
    }
}
