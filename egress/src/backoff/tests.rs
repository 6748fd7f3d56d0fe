use super::*;

/// SplitMix64: the tests' own random numbers, reproducible from the seed.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn check(failures: u32, random: u64, retry_after_s: Option<u64>, expected_ms: u64) {
    let mut backoff = Backoff {
        failures,
        most: None,
    };
    assert_eq!(
        backoff
            .pause_after_failure(random, retry_after_s)
            .as_millis(),
        u128::from(expected_ms),
        "failures {failures}, random {random}, retry_after {retry_after_s:?}"
    );
    assert_eq!(backoff.failures(), failures.saturating_add(1));
}

#[test]
fn pause_follows_the_table() {
    check(0, 0, None, 0);
    check(0, u64::MAX, None, 1000);
    check(1, u64::MAX, None, 2000);
    check(5, u64::MAX, None, 32_000);
    check(6, u64::MAX, None, 60_000);
    check(7, u64::MAX / 2, None, 30_000);
    check(63, u64::MAX, None, 60_000);
    check(u32::MAX, u64::MAX, None, 60_000);
    check(0, 0, Some(7), 7000);
    check(0, u64::MAX, Some(7), 8000);
}

#[test]
fn forged_retry_after_is_clamped_to_an_hour() {
    check(0, 0, Some(3600), 3_600_000);
    check(0, 0, Some(3601), 3_600_000);
    check(0, 0, Some(u64::MAX), 3_600_000);
}

#[test]
fn reset_starts_from_the_first_step() {
    let mut backoff = Backoff {
        failures: 9,
        most: None,
    };
    backoff.reset();
    assert_eq!(backoff, Backoff::new());
}

/// A fleet that is at the cap must stay spread: jitter after the cap would put half of it at 60 s.
#[test]
fn sq38_fleet_at_the_cap_stays_spread() {
    let mut seed = 38;
    let mut buckets = [0_u32; 6];
    for _ in 0..60_000 {
        let mut backoff = Backoff {
            failures: 20,
            most: None,
        };
        let pause = backoff.pause_after_failure(next(&mut seed), None);
        let bucket = usize::try_from(pause.as_secs() / 10).unwrap().min(5);
        buckets[bucket] += 1;
    }
    for count in buckets {
        assert!((9_500..=10_500).contains(&count), "uneven: {buckets:?}");
    }
}

#[test]
fn limited_pause_is_short_once() {
    let mut backoff = Backoff::new();
    for _ in 0..20 {
        let _pause = backoff.pause_after_failure(0, None);
    }
    backoff.limit_next(Some(Duration::from_secs(8)));
    let limited = backoff.pause_after_failure(u64::MAX, None);
    assert_eq!(limited, Duration::from_secs(8));
    assert_eq!(backoff.pause_after_failure(u64::MAX, None), BACKOFF_CAP);
}
