use super::{Comeback, PAUSE_MS, PAUSE_MS_MAX, SETTLED_MS};

/// The longest pause that a plan may draw.
const LATEST: u64 = PAUSE_MS / 2 - 1;

fn pause_from(comeback: &Comeback, now_ms: u64) -> u64 {
    comeback.due_ms().unwrap() - now_ms
}

#[test]
fn comeback_on_the_best_way_plans_nothing() {
    let mut comeback = Comeback::new();
    assert_eq!(comeback.due_ms(), None);
    assert!(!comeback.poll(u64::MAX));
}

#[test]
fn comeback_asks_once_between_half_and_whole_pause() {
    for (random, expected) in [
        (0, PAUSE_MS / 2),
        (LATEST, PAUSE_MS - 1),
        (PAUSE_MS / 2, PAUSE_MS / 2),
    ] {
        let mut comeback = Comeback::new();
        comeback.leave(1_000, random);
        assert_eq!(pause_from(&comeback, 1_000), expected);
        assert!(!comeback.poll(1_000 + expected - 1));
        assert!(comeback.poll(1_000 + expected));
        assert!(!comeback.poll(u64::MAX), "asked twice");
    }
}

#[test]
fn comeback_left_twice_keeps_its_plan() {
    let mut comeback = Comeback::new();
    comeback.leave(0, 0);
    comeback.leave(PAUSE_MS / 4, LATEST);
    assert_eq!(comeback.due_ms(), Some(PAUSE_MS / 2));
}

#[test]
fn comeback_that_misses_asks_less_and_less_often() {
    let mut comeback = Comeback::new();
    comeback.leave(0, 0);
    let mut expected = PAUSE_MS;
    for _ in 0..10 {
        assert!(comeback.poll(u64::MAX));
        comeback.miss(0, 0);
        expected = (expected * 2).min(PAUSE_MS_MAX);
        assert_eq!(comeback.due_ms(), Some(expected / 2));
    }
    assert_eq!(expected, PAUSE_MS_MAX);
}

#[test]
fn way_that_comes_and_goes_is_asked_less_often() {
    let mut comeback = Comeback::new();
    comeback.leave(0, 0);
    comeback.arrive(PAUSE_MS);
    comeback.leave(PAUSE_MS + 1, 0);
    assert_eq!(pause_from(&comeback, PAUSE_MS + 1), PAUSE_MS);
}

#[test]
fn way_that_was_settled_is_asked_as_at_first() {
    let mut comeback = Comeback::new();
    comeback.leave(0, 0);
    assert!(comeback.poll(u64::MAX));
    comeback.miss(0, 0);
    comeback.arrive(1_000);
    let later = 1_000 + SETTLED_MS;
    comeback.leave(later, 0);
    assert_eq!(pause_from(&comeback, later), PAUSE_MS / 2);
}
