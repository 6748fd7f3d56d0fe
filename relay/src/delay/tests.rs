use super::QueueDelay;

/// Feeds waits that end at these times; returns what was shed.
fn check(waits: impl IntoIterator<Item = (u64, u64)>, expected: &[u64]) {
    let mut delay = QueueDelay::default();
    let shed: Vec<u64> = waits
        .into_iter()
        .filter(|(now_ms, waited_ms)| delay.sheds(*now_ms, *waited_ms))
        .map(|(now_ms, _)| now_ms)
        .collect();
    assert_eq!(shed, expected);
}

#[test]
fn queue_that_empties_sheds_nobody() {
    check((0..500).map(|now_ms| (now_ms, now_ms % 50)), &[]);
    check((0..500).map(|now_ms| (now_ms, 5)), &[]);
}

#[test]
fn burst_shorter_than_an_interval_is_no_overload() {
    check((0..100).map(|now_ms| (now_ms, 80)), &[]);
    check([(0, 300), (1_000, 0), (1_001, 90)], &[]);
}

#[test]
fn queue_that_stands_sheds_whoever_waited_twice_the_target() {
    let waits = (0..110).map(|now_ms| (now_ms, 40));
    let expected: Vec<u64> = (100..110).collect();
    check(waits, &expected);
}

#[test]
fn overload_lets_pass_who_waited_less_than_twice_the_target() {
    check(
        [(0, 40), (100, 40), (101, 10), (102, 11), (103, 6)],
        &[100, 102],
    );
}

#[test]
fn one_quick_one_ends_the_overload() {
    check([(0, 40), (100, 40), (101, 5), (102, 80)], &[100]);
}

#[test]
fn overload_goes_on_while_every_interval_is_slow() {
    let waits = (0..10).map(|turn| (turn * 100, 30));
    let expected: Vec<u64> = (1..10).map(|turn| turn * 100).collect();
    check(waits, &expected);
}

#[test]
fn silence_after_overload_is_judged_by_what_was_last_seen() {
    let mut delay = QueueDelay::default();
    assert!(!delay.sheds(0, 40));
    assert!(delay.sheds(100, 40));
    assert!(delay.is_overloaded());
    assert!(!delay.sheds(10_000, 0));
    assert!(!delay.is_overloaded());
}
