use super::*;

/// 2026-11-28.
const TODAY_S: u64 = 1_795_824_000;
const YEAR_S: u64 = 365 * 86_400;

fn at(wall_s: u64, mono_ms: u64) -> Reading {
    Reading { wall_s, mono_ms }
}

fn period(not_before_s: u64, not_after_s: u64) -> Period {
    Period {
        not_before_s,
        not_after_s,
    }
}

#[test]
fn clock_below_the_floor_counts_as_the_floor() {
    let fresh = TlsClock::new(None);
    for wall_s in [0, 86_400, RELEASE_UNIX_S - 1] {
        assert_eq!(fresh.now_s(at(wall_s, 5)), RELEASE_UNIX_S);
    }
    let earlier_life = TlsClock::new(Some(TODAY_S));
    assert_eq!(earlier_life.now_s(at(RELEASE_UNIX_S, 5)), TODAY_S);
    assert_eq!(TlsClock::new(Some(1)).floor_s(), RELEASE_UNIX_S);
}

#[test]
fn clock_above_the_floor_counts_until_a_time_was_taken() {
    let mut clock = TlsClock::new(Some(TODAY_S));
    let in_2040 = TODAY_S + 14 * YEAR_S;
    assert_eq!(clock.now_s(at(in_2040, 0)), in_2040);
    assert_eq!(clock.take(TODAY_S, at(in_2040, 0)), Ok(true));
    assert_eq!(clock.now_s(at(in_2040, 0)), TODAY_S);
    assert_eq!(clock.ahead_s(at(in_2040, 0)), Some(14 * 365 * 86_400));
}

#[test]
fn report_says_where_its_time_comes_from() {
    let check = |wall_s, ahead_s, source| {
        let report = TimeReport {
            checked_s: TODAY_S,
            wall_s,
            floor_s: RELEASE_UNIX_S,
            ahead_s,
        };
        assert_eq!(report.source(), source);
    };
    check(TODAY_S, None, "machine");
    check(RELEASE_UNIX_S - 1, None, "floor");
    check(0, Some(-5), "mailbox");
}

//= spec/freshness.md#signed-time type=test
//# A device MUST check certificates at the time that it took, moved on by a clock that does not jump,
//# and before it took one at the later of its own clock and the floor.
#[test]
fn wall_clock_that_jumps_after_a_time_was_taken_moves_nothing() {
    let mut clock = TlsClock::new(None);
    assert_eq!(clock.ahead_s(at(0, 0)), None);
    let _jump = clock.take(TODAY_S, at(0, 1_000));
    for wall_s in [0, TODAY_S + 50, TODAY_S + 14 * YEAR_S, u64::MAX] {
        assert_eq!(clock.now_s(at(wall_s, 61_000)), TODAY_S + 60, "{wall_s}");
    }
    assert_eq!(clock.ahead_s(at(TODAY_S + 50, 61_000)), Some(-10));
    assert_eq!(clock.now_s(at(0, 0)), TODAY_S, "a start of counting before");
}

//= spec/freshness.md#signed-time type=test
//# A device MUST take a time only from an answer that verifies, and never one before its release.
#[test]
fn time_before_the_release_moves_nothing() {
    for unix_s in [0, 1, 86_400, RELEASE_UNIX_S - 1] {
        let mut clock = TlsClock::new(Some(TODAY_S));
        let before = clock;
        let reading = at(TODAY_S + 9, 7);
        assert_eq!(clock.take(unix_s, reading), Err(TimeRefused { unix_s }));
        assert_eq!(clock, before);
    }
}

#[test]
fn last_time_counts_and_not_the_latest() {
    // A mailbox was two years ahead; the next one is right.
    let mut clock = TlsClock::new(Some(TODAY_S + 2 * YEAR_S));
    assert_eq!(clock.take(TODAY_S, at(TODAY_S, 0)), Ok(true));
    assert_eq!(clock.floor_s(), TODAY_S);
}

#[test]
fn time_close_to_the_one_believed_is_no_jump() {
    let mut clock = TlsClock::new(None);
    assert_eq!(clock.take(TODAY_S + TIME_JUMP_S, at(TODAY_S, 0)), Ok(false));
    assert_eq!(clock.take(TODAY_S, at(0, 0)), Ok(false));
    assert_eq!(clock.take(TODAY_S - TIME_JUMP_S - 1, at(0, 0)), Ok(true));
}

//= spec/freshness.md#signed-time type=test
//# A device whose handshake failed only by the period of the certificate MAY repeat it once with a
//# period that reaches into the time after the floor, to ask for the time.
#[test]
fn relaxed_period_reaches_into_the_time_after_the_floor_only() {
    let clock = TlsClock::new(Some(TODAY_S));
    let cases = [
        (period(TODAY_S - 10, TODAY_S + 10), Some(TODAY_S)),
        (period(TODAY_S + 5, TODAY_S + 10), Some(TODAY_S + 5)),
        (period(TODAY_S - 10, TODAY_S), Some(TODAY_S)),
        (period(TODAY_S - 10, TODAY_S - 1), None),
        (period(0, 0), None),
        (period(TODAY_S + 10, TODAY_S + 5), None),
    ];
    for (period, moment) in cases {
        assert_eq!(clock.relaxed_s(period), moment, "{period:?}");
    }
}

#[test]
fn time_is_not_asked_for_again_at_once() {
    let mut clock = TlsClock::new(None);
    assert!(clock.is_ask_due(at(0, 0)));
    let _jump = clock.take(TODAY_S, at(0, 0));
    let hour_ms = 3_600_000;
    assert!(!clock.is_ask_due(at(TODAY_S, hour_ms - 1)));
    assert!(clock.is_ask_due(at(TODAY_S, hour_ms)));
}
