//! Each rule of the ladder in virtual time.

mod blame;
mod damping;
mod probing;
mod race;
mod world;

use super::*;

/// A way of these mailboxes and routes, of class and place as in a bundle.
fn way(id: u64, mailbox: u8, route: Route) -> Way {
    let secret = matches!(route, Route::Proxy(_)).then_some(0);
    Way {
        id: WayId(id),
        key: WayKey::of(&format!("https://box-{mailbox}.test"), route),
        route,
        mailbox,
        url: 0,
        secret,
    }
}

const QUIC: WayId = WayId(1);
const DIRECT: WayId = WayId(2);
const PROXY: WayId = WayId(3);
const NEXT_PROXY: WayId = WayId(4);
const RELAY: WayId = WayId(5);

fn all() -> Vec<Way> {
    vec![
        way(5, 1, Route::Direct),
        way(1, 0, Route::Quic),
        way(4, 0, Route::Proxy(1)),
        way(2, 0, Route::Direct),
        way(3, 0, Route::Proxy(0)),
    ]
}

fn at(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

fn s(seconds: u64) -> Moment {
    at(seconds * 1_000)
}

/// A ladder of these ways that works on one of them.
fn on(used: WayId, ways: Vec<Way>) -> Ladder {
    let mut ladder = Ladder::new();
    ladder.set_ways(ways);
    ladder.handle_won(s(0), used);
    ladder.handle_verified(used);
    ladder
}

fn fail(ladder: &mut Ladder, now: Moment, blame: Blame) -> Verdict {
    let current = ladder.current().unwrap().id;
    ladder.handle_failure(now, 0, current, now, blame)
}

#[test]
fn way_of_more_cost_comes_later_whatever_the_order_given() {
    let mut ladder = Ladder::new();
    ladder.set_ways(all());
    let order: Vec<_> = ladder.facts(s(0)).map(|fact| fact.way.id).collect();
    assert_eq!(order, [QUIC, DIRECT, PROXY, NEXT_PROXY, RELAY]);
    let costs: Vec<_> = ladder.facts(s(0)).map(|fact| fact.way.cost()).collect();
    assert_eq!(costs, [0, 0, 1, 1, 5]);
}

#[test]
fn mailbox_and_timer_never_make_a_way_be_left() {
    let mut ladder = on(DIRECT, all());
    for second in 1..1_000 {
        for blame in [Blame::Mailbox, Blame::Limit] {
            assert_eq!(fail(&mut ladder, s(second), blame), Verdict::Stay);
        }
    }
    assert_eq!(ladder.current().unwrap().id, DIRECT);
}

#[test]
fn second_failure_within_a_minute_leaves_a_later_one_stays() {
    let mut ladder = on(DIRECT, all());
    assert_eq!(fail(&mut ladder, s(10), Blame::Way), Verdict::Stay);
    assert_eq!(fail(&mut ladder, s(71), Blame::Way), Verdict::Stay);
    assert_eq!(fail(&mut ladder, s(100), Blame::Way), Verdict::Leave);
}

#[test]
fn verified_answer_between_two_failures_clears_the_first() {
    let mut ladder = on(DIRECT, all());
    for second in 1..100 {
        assert_eq!(fail(&mut ladder, s(second), Blame::Way), Verdict::Stay);
        ladder.handle_verified(DIRECT);
    }
}

#[test]
fn two_exchanges_that_one_event_ended_count_once() {
    let mut ladder = on(DIRECT, all());
    let both_begun = s(5);
    for _ in 0..2 {
        let verdict = ladder.handle_failure(s(10), 0, DIRECT, both_begun, Blame::Way);
        assert_eq!(verdict, Verdict::Stay);
    }
}

#[test]
fn broken_way_is_left_at_once_and_takes_no_part_in_the_race() {
    let mut ladder = on(PROXY, all());
    assert_eq!(fail(&mut ladder, s(1), Blame::Broken), Verdict::Leave);
    let race = ladder.begin_replacement(s(1), &Hints::default());
    assert!(race.ways().all(|id| id != PROXY));
    // Asked once: another failure meanwhile asks for no second race.
    assert_eq!(fail(&mut ladder, s(2), Blame::Broken), Verdict::Stay);
}

#[test]
fn reset_way_runs_first_in_the_race_for_its_replacement() {
    let mut ladder = on(DIRECT, all());
    assert_eq!(fail(&mut ladder, s(1), Blame::Reset), Verdict::Stay);
    assert_eq!(fail(&mut ladder, s(2), Blame::Reset), Verdict::Leave);
    let race = ladder.begin_replacement(s(2), &Hints::default());
    assert_eq!(race.ways().next(), Some(DIRECT));
    assert_eq!(ladder.handle_won(s(3), DIRECT), None);
    assert_eq!(ladder.current().unwrap().id, DIRECT);
}

#[test]
fn failure_of_a_way_not_in_use_changes_nothing() {
    let mut ladder = on(DIRECT, all());
    for second in 1..20 {
        let now = s(second);
        let verdict = ladder.handle_failure(now, 0, RELAY, now, Blame::Broken);
        assert_eq!(verdict, Verdict::Stay);
    }
}

#[test]
fn only_way_is_never_left() {
    let mut ladder = on(PROXY, vec![way(3, 0, Route::Proxy(0))]);
    for second in 1..100 {
        assert_eq!(fail(&mut ladder, s(second), Blame::Broken), Verdict::Stay);
    }
    let race = ladder.begin_race(s(100), &Hints::default());
    assert_eq!(race.ways().collect::<Vec<_>>(), [PROXY]);
}

#[test]
fn lost_rounds_pause_longer_and_longer_up_to_five_minutes() {
    let mut ladder = Ladder::new();
    ladder.set_ways(all());
    for step_s in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300] {
        let longest = ladder.clone().handle_lost(s(0), u64::MAX);
        assert_eq!(longest, Duration::from_secs(step_s));
        assert_eq!(ladder.clone().handle_lost(s(0), 0), Duration::ZERO);
        ladder.handle_lost(s(0), u64::MAX / 2);
    }
    for _ in 0..100 {
        let pause = ladder.handle_lost(s(0), u64::MAX);
        assert_eq!(pause, Duration::from_secs(300));
    }
}

#[test]
fn lost_replacement_rests_before_the_next() {
    let mut ladder = on(DIRECT, all());
    assert_eq!(fail(&mut ladder, s(1), Blame::Broken), Verdict::Leave);
    let pause = ladder.handle_lost(s(5), u64::MAX);
    assert_eq!(pause, Duration::from_secs(2));
    assert_eq!(fail(&mut ladder, s(6), Blame::Broken), Verdict::Stay);
    assert_eq!(fail(&mut ladder, s(8), Blame::Broken), Verdict::Leave);
}

#[test]
fn winner_that_does_not_prove_itself_is_barred_until_the_round_ends() {
    let mut ladder = Ladder::new();
    ladder.set_ways(all());
    let mut barred = Vec::new();
    for id in [DIRECT, QUIC, RELAY, PROXY] {
        ladder.handle_won(s(1), id);
        assert_eq!(
            ladder.handle_unproven(s(1), u64::MAX, id),
            Duration::ZERO,
            "others are left"
        );
        barred.push(id);
        let race = ladder.begin_race(s(1), &Hints::default());
        assert!(race.ways().all(|id| !barred.contains(&id)));
    }
    ladder.handle_won(s(1), NEXT_PROXY);
    let pause = ladder.handle_unproven(s(1), u64::MAX, NEXT_PROXY);
    assert_eq!(pause, Duration::from_secs(2), "the round is over");
    let race = ladder.begin_race(s(3), &Hints::default());
    assert_eq!(race.ways().count(), 5, "all of them again");
}

#[test]
fn renewed_session_stays_on_a_healthy_way() {
    let mut ladder = on(PROXY, all());
    let mut race = ladder.begin_race(s(100), &Hints::default());
    // The way that has just won goes first once; a healthy one without that, too.
    assert_eq!(race.poll_start(s(100)), Some(PROXY));
    let mut race = ladder.begin_race(s(100), &Hints::default());
    assert_eq!(race.poll_start(s(100)), Some(PROXY));
    assert_eq!(race.poll_start(at(102_999)), None);
    assert_eq!(race.poll_start(s(103)), Some(QUIC));
}

#[test]
fn way_that_is_gone_is_in_use_no_more() {
    let mut ladder = on(RELAY, all());
    assert!(!ladder.set_ways(all()));
    let without: Vec<_> = all().into_iter().filter(|way| way.id != RELAY).collect();
    assert!(ladder.set_ways(without));
    assert_eq!(ladder.current(), None);
    assert_eq!(ladder.due(), None);
}

#[test]
fn unknown_way_is_never_used() {
    let mut ladder = on(DIRECT, all());
    let stranger = WayId(99);
    assert_eq!(ladder.handle_won(s(1), stranger), None);
    assert_eq!(ladder.promote(s(1), stranger), None);
    assert_eq!(ladder.move_to(s(1), stranger), None);
    assert!(!ladder.handle_probe(s(1), 0, stranger, true));
    assert_eq!(ladder.current().unwrap().id, DIRECT);
}

#[test]
fn ways_beyond_the_bound_are_left_out() {
    let mut ladder = Ladder::new();
    ladder.set_ways((0..1_000).map(|id| way(id, 0, Route::Direct)));
    assert_eq!(ladder.facts(s(0)).count(), LADDER_WAYS_MAX);
}

#[test]
fn another_network_forgets_failures_penalties_and_pauses() {
    let mut ladder = on(DIRECT, all());
    for round in 0..4 {
        ladder.handle_won(s(round * 10), RELAY);
        ladder.handle_won(s(round * 10 + 1), DIRECT);
        ladder.note_error(DIRECT, "PST-T01");
    }
    ladder.handle_lost(s(50), u64::MAX);
    ladder.handle_network_change();
    assert_eq!(ladder.rounds_lost(), 0);
    let facts: Vec<_> = ladder.facts(s(51)).collect();
    assert!(facts.iter().all(|fact| !fact.is_suppressed));
    assert!(facts.iter().all(|fact| fact.last_error.is_none()));
}
