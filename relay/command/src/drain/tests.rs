use super::{Drain, Phase, Window};
use crate::operable::memory::InMemory;
use crate::operable::{Leaving, Operable as _};

const WINDOW: Window = Window {
    announce_ms: 5_000,
    within_ms: 120_000,
    grace_ms: 5_000,
};

/// Runs a drain in virtual time, a step each `step_ms`; returns how many were told in each step.
fn run(held: usize, window: Window, step_ms: u64) -> (Vec<usize>, InMemory) {
    let relay = InMemory::holding(held);
    let mut drain = Drain::begin(window, 1_000_000);
    let mut told = Vec::new();
    let mut now_ms = 1_000_000;
    loop {
        let due = drain.poll_due(now_ms, relay.held());
        relay.set_leaving(due.retry_ms.map(|retry_ms| Leaving {
            retry_ms,
            moves: true,
        }));
        assert_eq!(relay.release(due.release), due.release);
        told.push(due.release);
        if due.phase == Phase::Over {
            return (told, relay);
        }
        now_ms += step_ms;
    }
}

#[test]
fn drain_tells_everybody_evenly_and_nobody_twice() {
    for (held, step_ms) in [(20_000, 200), (20_000, 1_000), (7, 200), (1, 200), (0, 200)] {
        let (told, relay) = run(held, WINDOW, step_ms);
        assert_eq!(told.iter().sum::<usize>(), held);
        assert_eq!(relay.held(), 0);
        let even = held.div_ceil(usize::try_from(120_000 / step_ms).unwrap());
        assert!(told.iter().all(|step| *step <= even + 1), "{held}");
    }
}

#[test]
fn drain_tells_nobody_before_readiness_was_false_for_a_while() {
    let mut drain = Drain::begin(WINDOW, 0);
    for now_ms in [0, 1, 4_999] {
        let due = drain.poll_due(now_ms, 100);
        assert_eq!((due.phase, due.release), (Phase::Announce, 0));
        assert_eq!(due.retry_ms, None);
    }
    assert_eq!(drain.poll_due(5_000, 100).phase, Phase::Spread);
}

#[test]
fn drain_phases_follow_each_other_at_their_times() {
    let drain = Drain::begin(WINDOW, 10);
    let cases = [
        (10, Phase::Announce),
        (5_010, Phase::Spread),
        (125_009, Phase::Spread),
        (125_010, Phase::Grace),
        (130_009, Phase::Grace),
        (130_010, Phase::Over),
        (u64::MAX, Phase::Over),
        // A clock that went back is no reason to skip anything.
        (0, Phase::Announce),
    ];
    for (now_ms, phase) in cases {
        assert_eq!(drain.phase(now_ms), phase, "{now_ms}");
    }
}

#[test]
fn hint_sends_devices_behind_the_end_of_the_drain() {
    let mut drain = Drain::begin(WINDOW, 0);
    assert_eq!(drain.poll_due(5_000, 10).retry_ms, Some(125_000));
    assert_eq!(drain.poll_due(65_000, 10).retry_ms, Some(65_000));
    // A drained relay that stays up is not asked every few seconds.
    assert_eq!(drain.poll_due(500_000, 10).retry_ms, Some(30_000));
}

#[test]
fn latecomers_share_what_is_left_of_the_window() {
    let mut drain = Drain::begin(WINDOW, 0);
    let first = drain.poll_due(65_000, 100).release;
    assert_eq!(first, 50);
    // As many again have come meanwhile: half of all are due, of which 50 are done.
    assert_eq!(drain.poll_due(65_000, 150).release, 50);
    assert_eq!(drain.told(), 100);
    assert_eq!(drain.poll_due(125_000, 100).release, 100);
}

#[test]
fn drain_without_a_window_tells_all_in_the_grace() {
    let window = Window {
        announce_ms: 0,
        within_ms: 0,
        grace_ms: 1_000,
    };
    let due = Drain::begin(window, 0).poll_due(0, 9);
    assert_eq!((due.phase, due.release), (Phase::Grace, 9));
}

#[test]
fn drain_that_ran_late_catches_up_and_never_exceeds_what_is_held() {
    let mut drain = Drain::begin(WINDOW, 0);
    assert_eq!(drain.poll_due(124_999, 10).release, 10);
    assert_eq!(drain.poll_due(124_999, 0).release, 0);
}
