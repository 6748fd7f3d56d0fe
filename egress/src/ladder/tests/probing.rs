//! How a better way is taken again.

use super::*;
use crate::limits::{PROBE_PAUSE_MAX, PROBES_SPAN};

/// The moment at which the way is asked next, from `now` on.
fn next_ask(ladder: &mut Ladder, now: Moment, random: u64, asked: WayId) -> Moment {
    let mut now = now;
    for _ in 0..10_000 {
        if ladder.poll_probes(now, random).contains(&asked) {
            return now;
        }
        now = ladder
            .due()
            .unwrap()
            .max(now.after(Duration::from_millis(1)));
    }
    panic!("never asked");
}

fn two() -> Vec<Way> {
    vec![way(2, 0, Route::Direct), way(5, 1, Route::Direct)]
}

#[test]
fn better_way_is_first_asked_after_eight_to_twelve_minutes() {
    for (random, expected_s) in [(0, 480), (u64::MAX / 2, 600), (u64::MAX, 720)] {
        let mut ladder = on(RELAY, two());
        let asked = next_ask(&mut ladder, s(0), random, DIRECT);
        let off = asked.as_millis().abs_diff(expected_s * 1_000);
        assert!(off <= 1, "{random}: {asked:?}");
    }
}

#[test]
fn worse_way_is_never_asked() {
    let mut ladder = on(DIRECT, two());
    for minute in 0..10_000 {
        assert_eq!(ladder.poll_probes(s(minute * 60), 0), []);
    }
    assert_eq!(ladder.due(), None);
}

#[test]
fn better_way_is_taken_after_three_good_probes_in_two_minutes() {
    let mut ladder = on(RELAY, two());
    let mut now = next_ask(&mut ladder, s(0), 0, DIRECT);
    let first = now;
    for expected in [false, false, true] {
        assert_eq!(ladder.handle_probe(now, 0, DIRECT, true), expected);
        if !expected {
            now = next_ask(&mut ladder, now, 0, DIRECT);
        }
    }
    assert_eq!(now.since(first), PROBES_SPAN);
    let switch = ladder.promote(now, DIRECT).unwrap();
    assert_eq!(switch.reason, SwitchReason::Better);
    assert_eq!(switch.from.unwrap().id, RELAY);
}

#[test]
fn bad_probe_starts_the_count_anew_and_doubles_the_pause() {
    let mut ladder = on(RELAY, two());
    let mut now = next_ask(&mut ladder, s(0), u64::MAX / 2, DIRECT);
    for _ in 0..2 {
        assert!(!ladder.handle_probe(now, 0, DIRECT, true));
        now = next_ask(&mut ladder, now, 0, DIRECT);
    }
    let mut expected_s = 600;
    for _ in 0..12 {
        assert!(!ladder.handle_probe(now, u64::MAX / 2, DIRECT, false));
        expected_s = (expected_s * 2).min(PROBE_PAUSE_MAX.as_secs());
        let next = next_ask(&mut ladder, now, 0, DIRECT);
        assert!(next.since(now).as_secs().abs_diff(expected_s) <= 1);
        now = next;
    }
    assert_eq!(expected_s, PROBE_PAUSE_MAX.as_secs());
    for expected in [false, false, true] {
        assert_eq!(ladder.handle_probe(now, 0, DIRECT, true), expected);
        if !expected {
            now = next_ask(&mut ladder, now, 0, DIRECT);
        }
    }
}

#[test]
fn probe_under_way_is_not_asked_twice() {
    let mut ladder = on(RELAY, two());
    let now = next_ask(&mut ladder, s(0), 0, DIRECT);
    assert_eq!(ladder.poll_probes(now, 0), []);
    assert_eq!(
        ladder.poll_probes(now.after(Duration::from_secs(9_999)), 0),
        []
    );
}

/// Takes the direct way, coming from the relay.
fn promoted(now: Moment) -> Ladder {
    let mut ladder = on(RELAY, two());
    ladder.promote(now, DIRECT).unwrap();
    ladder
}

#[test]
fn way_before_stays_warm_for_a_minute() {
    let mut ladder = promoted(s(0));
    assert_eq!(ladder.due(), Some(s(60)));
    assert_eq!(ladder.warm(at(59_999)), Some(RELAY));
    assert_eq!(ladder.warm(s(60)), None);
    assert_eq!(ladder.due(), None);
}

#[test]
fn promoted_way_that_dies_within_a_minute_counts_as_three_failures() {
    let mut ladder = promoted(s(0));
    let Verdict::Back(switch) =
        ladder.handle_failure(s(30), u64::MAX / 2, DIRECT, s(20), Blame::Way)
    else {
        panic!("stayed on a way that died");
    };
    assert_eq!(switch.reason, SwitchReason::Died);
    assert_eq!(switch.to.id, RELAY);
    let asked = next_ask(&mut ladder, s(30), u64::MAX / 2, DIRECT);
    let pause_s = asked.since(s(30)).as_secs();
    assert!(pause_s.abs_diff(8 * 600) <= 1, "asked after {pause_s} s");
}

#[test]
fn promoted_way_that_lives_for_a_minute_is_left_like_any_other() {
    let mut ladder = promoted(s(0));
    assert_eq!(fail(&mut ladder, s(61), Blame::Way), Verdict::Stay);
    assert_eq!(fail(&mut ladder, s(62), Blame::Way), Verdict::Leave);
}

#[test]
fn mailbox_that_refuses_for_now_ends_no_trial() {
    let mut ladder = promoted(s(0));
    assert_eq!(fail(&mut ladder, s(1), Blame::Mailbox), Verdict::Stay);
    assert_eq!(fail(&mut ladder, s(1), Blame::Limit), Verdict::Stay);
    assert_eq!(ladder.warm(s(2)), Some(RELAY));
}
