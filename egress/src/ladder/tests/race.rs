//! Who starts when.

use super::super::way::{Way, WayId, WayKey};
use super::*;
use crate::limits::{RACE_BUDGET, RACE_WAYS_MAX};

/// Starts everything and lets nothing end: when does each way start?
fn starts(mut race: Race) -> Vec<(u64, u64)> {
    let mut starts = Vec::new();
    let mut now = s(0);
    while !race.is_lost(now) {
        while let Some(id) = race.poll_start(now) {
            starts.push((id.0, now.as_millis()));
        }
        assert!(race.due() > now, "a race that does not move");
        now = race.due();
    }
    starts
}

/// Ways without passwords, so that none waits for another.
fn open(ways: Vec<Way>) -> Vec<Way> {
    let ways = ways.into_iter();
    ways.map(|way| Way {
        secret: None,
        ..way
    })
    .collect()
}

fn check(ways: Vec<Way>, hints: &Hints, expected: &[(u64, u64)]) {
    let mut ladder = Ladder::new();
    ladder.set_ways(ways);
    assert_eq!(starts(ladder.begin_race(s(0), hints)), expected);
}

#[test]
fn cold_start_gives_each_class_its_head_start() {
    let expected = [(1, 0), (2, 250), (3, 500), (4, 1_500), (5, 3_000)];
    check(open(all()), &Hints::default(), &expected);
}

#[test]
fn last_good_way_starts_at_once() {
    let hints = Hints {
        last_good: Some(way(5, 1, Route::Direct).key),
        is_udp_hostile: false,
    };
    let expected = [(5, 0), (1, 0), (2, 250), (3, 500), (4, 1_500)];
    check(open(all()), &hints, &expected);
    let hints = Hints {
        last_good: Some(WayKey([7; 8])),
        is_udp_hostile: false,
    };
    let expected = [(1, 0), (2, 250), (3, 500), (4, 1_500), (5, 3_000)];
    check(open(all()), &hints, &expected);
}

#[test]
fn quic_is_left_out_where_udp_met_silence_unless_it_is_the_only_way() {
    let hints = Hints {
        last_good: None,
        is_udp_hostile: true,
    };
    // Nobody is to be waited for: the next starts at once.
    check(
        open(all()),
        &hints,
        &[(2, 0), (3, 500), (4, 1_500), (5, 3_000)],
    );
    check(vec![way(1, 0, Route::Quic)], &hints, &[(1, 0)]);
}

#[test]
fn required_proxy_is_the_only_one_named() {
    check(
        vec![way(3, 0, Route::Proxy(0))],
        &Hints::default(),
        &[(3, 0)],
    );
}

#[test]
fn ways_with_one_password_run_one_after_the_other() {
    // The next proxy would start at 1.5 s; the first hangs, so it never does.
    check(
        all(),
        &Hints::default(),
        &[(1, 0), (2, 250), (3, 500), (5, 3_000)],
    );
    let mut race = Ladder::new();
    race.set_ways(all());
    let mut race = race.begin_race(s(0), &Hints::default());
    for id in [QUIC, DIRECT, PROXY] {
        assert_eq!(race.poll_start(s(1)), Some(id));
    }
    assert_eq!(race.poll_start(s(2)), None);
    race.handle_end(PROXY);
    assert_eq!(race.poll_start(s(2)), Some(NEXT_PROXY));
}

#[test]
fn race_in_which_all_failed_does_not_wait_for_the_next_start() {
    let mut ladder = Ladder::new();
    ladder.set_ways(all());
    let mut race = ladder.begin_race(s(0), &Hints::default());
    for id in [QUIC, DIRECT, PROXY, NEXT_PROXY, RELAY] {
        assert_eq!(race.poll_start(at(10)), Some(id));
        race.handle_end(id);
    }
    assert!(race.is_lost(at(10)));
}

#[test]
fn race_ends_with_its_budget_and_starts_nothing_after() {
    let mut race = Race::new(s(0), [(way(2, 0, Route::Direct), Duration::ZERO)]);
    assert!(!race.is_lost(s(0).after(RACE_BUDGET - Duration::from_millis(1))));
    assert!(race.is_lost(s(0).after(RACE_BUDGET)));
    assert_eq!(race.poll_start(s(0).after(RACE_BUDGET)), None);
}

#[test]
fn race_of_many_ways_runs_a_few_at_a_time() {
    let ways = (0..40).map(|id| (way(id, 0, Route::Direct), Duration::ZERO));
    let mut race = Race::new(s(0), ways);
    let mut started = Vec::new();
    while let Some(id) = race.poll_start(s(1)) {
        started.push(id);
    }
    assert_eq!(started.len(), RACE_WAYS_MAX);
    race.handle_end(WayId(0));
    assert_eq!(race.poll_start(s(1)), Some(WayId(6)));
}

#[test]
fn race_without_ways_is_lost() {
    let mut race = Race::new(s(0), []);
    assert_eq!(race.poll_start(s(0)), None);
    assert!(race.is_lost(s(0)));
}

#[test]
fn every_way_of_many_mailboxes_starts_early_enough_to_be_heard() {
    for mailbox in 0..=255 {
        for route in [
            Route::Quic,
            Route::Direct,
            Route::Proxy(0),
            Route::Proxy(255),
        ] {
            let way = way(1, mailbox, route);
            assert!(way.delay() <= RACE_LAST_DELAY, "{mailbox} {route}");
        }
    }
}

#[test]
fn race_after_a_move_asks_every_way_to_that_mailbox_before_any_other() {
    let ways = vec![
        way(1, 0, Route::Quic),
        way(2, 0, Route::Direct),
        way(6, 1, Route::Quic),
        way(7, 1, Route::Direct),
    ];
    let mut ladder = on(DIRECT, ways);
    assert!(ladder.move_to(s(1), WayId(6)).is_some());
    let mut race = ladder.begin_race(s(1), &Hints::default());
    assert_eq!(race.poll_start(s(1)), Some(WayId(6)));
    assert_eq!(race.poll_start(s(1)), None);
    race.handle_end(WayId(6));
    assert_eq!(race.poll_start(s(1)), Some(WayId(7)));
    assert_eq!(race.poll_start(s(3)), None);
    race.handle_end(WayId(7));
    assert_eq!(race.poll_start(s(3)), Some(QUIC));
    // Only the next race is about that mailbox.
    let mut race = ladder.begin_race(s(4), &Hints::default());
    assert_eq!(race.poll_start(s(4)), Some(WayId(6)));
}

#[test]
fn replacement_of_a_broken_way_lets_a_relay_wait_for_half_a_second_only() {
    let mut ladder = on(QUIC, open(all()));
    assert_eq!(fail(&mut ladder, s(1), Blame::Broken), Verdict::Leave);
    let race = ladder.begin_replacement(s(1), &Hints::default());
    let starts = starts(race);
    assert!(starts.contains(&(RELAY.0, 1_500)), "{starts:?}");
    assert!(starts.iter().all(|(way, _)| *way != QUIC.0), "{starts:?}");
}
