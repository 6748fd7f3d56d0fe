//! The weight of ways that flap.

use super::super::damping::Penalty;
use super::*;
use crate::limits::{PENALTY_HALF_LIFE, PENALTY_REUSE};

#[test]
fn weight_halves_in_fifteen_minutes() {
    let mut penalty = Penalty::default();
    penalty.add(s(0));
    let half_life_s = PENALTY_HALF_LIFE.as_secs();
    for (after_s, expected) in [
        (0, 1_000),
        (half_life_s, 500),
        (2 * half_life_s, 250),
        (half_life_s / 2, 750),
        (100 * half_life_s, 0),
        (u64::MAX / 1_000, 0),
    ] {
        assert_eq!(penalty.at(s(after_s)), expected, "after {after_s} s");
    }
}

#[test]
fn way_is_suppressed_at_the_third_demotion_and_used_again_below_the_lower_bound() {
    let mut penalty = Penalty::default();
    for (second, expected) in [(0, false), (1, false), (2, true)] {
        penalty.add(s(second));
        assert_eq!(penalty.suppresses(s(second)), expected);
    }
    let until = penalty.until(s(2)).unwrap();
    assert!(penalty.at(until) <= PENALTY_REUSE);
    assert!(
        penalty.suppresses(s(15 * 60)),
        "1500 is above the lower bound"
    );
    assert!(!penalty.suppresses(until));
    assert!(until <= s(30 * 60), "{until:?}");
}

#[test]
fn demotions_far_apart_suppress_nothing() {
    let mut penalty = Penalty::default();
    for hour in 0..100 {
        penalty.add(s(hour * 3_600));
        assert!(!penalty.suppresses(s(hour * 3_600)));
    }
}

#[test]
fn way_that_flaps_starts_last_and_is_not_asked() {
    let mut ladder = on(DIRECT, all());
    for round in 0..3 {
        ladder.handle_won(s(round), RELAY);
        ladder.handle_verified(RELAY);
        if round < 2 {
            ladder.handle_won(s(round), DIRECT);
        }
    }
    let probes_due: Vec<_> = ladder.poll_probes(s(10), 0);
    assert_eq!(probes_due, []);
    let direct = ladder.facts(s(10)).find(|fact| fact.way.id == DIRECT);
    assert!(direct.unwrap().is_suppressed);
    ladder.note_error(RELAY, "PST-T02");
    let _no_lead = ladder.begin_race(s(10), &Hints::default());
    let race = ladder.begin_race(s(10), &Hints::default());
    assert_eq!(race.ways().last(), Some(DIRECT));
}
