use super::{Budget, Pool, Pressure, Work};
use std::sync::Arc;

fn budget() -> Arc<Budget> {
    Arc::new(Budget::new(1_000, &[(Pool::Bodies, 100)]))
}

#[test]
fn budget_within_its_bytes_gives_and_takes_back() {
    let budget = budget();
    let mut reserved = budget.take(Pool::Connections, 300).unwrap();
    assert!(reserved.grow(200));
    assert_eq!(reserved.bytes(), 500);
    assert_eq!(budget.bytes_of(Pool::Connections), 500);
    assert_eq!(budget.bytes(), 500);
    drop(reserved);
    assert_eq!(budget.bytes_of(Pool::Connections), 0);
    assert_eq!(budget.bytes(), 0);
}

#[test]
fn budget_beyond_its_bytes_refuses_and_keeps_nothing() {
    let budget = budget();
    let mut held = budget.take(Pool::Holds, 900).unwrap();
    assert!(budget.take(Pool::Sessions, 101).is_none());
    assert!(!held.grow(101));
    assert_eq!(budget.bytes_of(Pool::Sessions), 0);
    assert_eq!(budget.bytes(), 900);
    assert!(budget.take(Pool::Sessions, usize::MAX).is_none());
    assert!(budget.take(Pool::Sessions, 100).is_some());
}

#[test]
fn pool_beyond_its_cap_refuses_others_are_free() {
    let budget = budget();
    let bodies = budget.take(Pool::Bodies, 100).unwrap();
    assert!(budget.take(Pool::Bodies, 1).is_none());
    assert!(budget.take(Pool::Answers, 500).is_some());
    drop(bodies);
    assert!(budget.take(Pool::Bodies, 1).is_some());
}

#[test]
fn answer_owed_is_counted_beyond_the_bytes() {
    let budget = budget();
    let owed = budget.take_owed(Pool::Answers, 5_000);
    assert_eq!(budget.bytes(), 5_000);
    assert_eq!(budget.pressure(), Pressure::Dropping);
    assert!(budget.take(Pool::Answers, 1).is_none());
    drop(owed);
    assert_eq!(budget.bytes(), 0);
}

#[test]
fn told_bytes_replace_what_was_told() {
    let budget = budget();
    for (told, expected) in [(600, 600), (100, 100), (0, 0), (950, 950)] {
        budget.tell(Pool::Mailboxes, told);
        assert_eq!(budget.bytes(), expected);
        assert_eq!(budget.bytes_of(Pool::Mailboxes), expected);
    }
}

#[test]
fn pressure_rises_at_its_thresholds_only() {
    let budget = budget();
    let check = |bytes: usize, expected: Pressure| {
        budget.tell(Pool::Mailboxes, bytes);
        assert_eq!(budget.pressure(), expected, "{bytes}");
    };
    check(700, Pressure::Calm);
    check(701, Pressure::Shedding);
    check(850, Pressure::Shedding);
    check(851, Pressure::Closed);
    check(950, Pressure::Closed);
    check(951, Pressure::Dropping);
    check(0, Pressure::Calm);
}

#[test]
fn pressure_refuses_the_least_needed_first() {
    let check = |pressure: Pressure, expected: [bool; 3]| {
        let works = [Work::Bulk, Work::Newcomer, Work::Carry];
        assert_eq!(works.map(|work| pressure.refuses(work)), expected);
    };
    check(Pressure::Calm, [false, false, false]);
    check(Pressure::Shedding, [true, false, false]);
    check(Pressure::Closed, [true, true, false]);
    check(Pressure::Dropping, [true, true, false]);
}

#[test]
fn sessions_are_dropped_only_where_that_gives_room() {
    let budget = budget();
    budget.tell(Pool::Mailboxes, 960);
    assert_eq!(budget.pressure(), Pressure::Dropping);
    assert!(!budget.drops_sessions());
    budget.tell(Pool::Mailboxes, 900);
    let sessions = budget.take(Pool::Sessions, 60).unwrap();
    assert!(budget.drops_sessions());
    drop(sessions);
    assert!(!budget.drops_sessions());
}

#[test]
fn budget_of_no_bytes_is_always_full() {
    let budget = Arc::new(Budget::new(0, &[]));
    assert!(budget.take(Pool::Holds, 1).is_none());
    assert_eq!(budget.pressure(), Pressure::Calm);
    let _owed = budget.take_owed(Pool::Holds, 1);
    assert_eq!(budget.pressure(), Pressure::Dropping);
}
