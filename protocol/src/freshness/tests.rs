//! Freshness over time: what anchors it, what keeps it, what never creates it.

use super::{FreshnessWatch, Heard, Hearing};
use crate::id::{Nonce, StartId};
use crate::revision::BundleNumber;

const MAX_AGE_MS: u64 = 900_000;
const START: StartId = StartId::from_bytes([1; 8]);
const NONCE: Nonce = Nonce::from_bytes([7; 16]);

const fn nonce(byte: u8) -> Nonce {
    Nonce::from_bytes([byte; 16])
}

fn heard(uptime_ms: u64, echo: Option<Nonce>) -> Heard {
    Heard {
        start: START,
        uptime_ms,
        bundle: BundleNumber::new(3),
        echo,
    }
}

/// Asked at 1000 ms of our clock, anchored by an echo at the writer's 50,000 ms.
fn anchored() -> FreshnessWatch {
    let mut watch = FreshnessWatch::new(MAX_AGE_MS);
    watch.ask(NONCE, 1_000);
    let hearing = watch.hear(&heard(50_000, Some(NONCE)), 1_200);
    assert_eq!(hearing, Hearing::Anchored);
    watch
}

//= spec/freshness.md#heartbeat type=test
//# A reader MUST show a writer as stale without an anchor, or when its own time since the anchor
//# exceeds the writer's by more than the maximal age, 900 s unless set.
//= spec/freshness.md#heartbeat type=test
//# A reader MUST send a fresh nonce after each session start without an anchor, when the start id
//# changes, and when less than a third of the maximal age is left.
#[test]
fn watch_without_anchor_is_stale_and_asks_at_once() {
    let watch = FreshnessWatch::new(MAX_AGE_MS);
    assert!(watch.is_stale(0));
    assert_eq!(watch.ask_due_ms(), 0);
    assert_eq!(watch.freshness(5).age_ms, None);
    assert_eq!(watch.freshness(5).bundle_shown, None);
}

#[test]
fn echo_of_an_own_nonce_anchors_at_the_moment_of_the_ask() {
    let watch = anchored();
    let freshness = watch.freshness(1_200);
    assert!(!freshness.is_stale);
    assert_eq!(freshness.age_ms, Some(200));
    assert_eq!(freshness.bundle_shown, Some(BundleNumber::new(3)));
}

//= spec/freshness.md#heartbeat type=test
//# A reader MUST anchor only on the echo of an own nonce of this boot, at the moment when the nonce
//# was sent.
#[test]
fn heartbeat_without_own_nonce_never_anchors() {
    let mut watch = FreshnessWatch::new(MAX_AGE_MS);
    for echo in [None, Some(nonce(8)), Some(NONCE)] {
        assert_eq!(watch.hear(&heard(1, echo), 10), Hearing::Unproven);
    }
    assert!(watch.is_stale(10));
}

#[test]
fn nonce_anchors_once() {
    let mut watch = anchored();
    let again = heard(49_000, Some(NONCE));
    assert_eq!(watch.hear(&again, 600_000), Hearing::Unproven);
    assert_eq!(watch.freshness(600_000).age_ms, Some(599_000));
}

#[test]
fn echo_of_a_later_nonce_ends_the_earlier_ones() {
    let mut watch = FreshnessWatch::new(MAX_AGE_MS);
    watch.ask(nonce(1), 0);
    watch.ask(nonce(2), 5_000);
    assert_eq!(
        watch.hear(&heard(9, Some(nonce(2))), 6_000),
        Hearing::Anchored
    );
    assert_eq!(
        watch.hear(&heard(8, Some(nonce(1))), 6_100),
        Hearing::Unproven
    );
    assert_eq!(watch.freshness(6_000).age_ms, Some(1_000));
}

#[test]
fn only_the_newest_nonces_are_remembered() {
    let mut watch = FreshnessWatch::new(MAX_AGE_MS);
    for byte in 0..5 {
        watch.ask(nonce(byte), u64::from(byte) * 60_000);
    }
    assert_eq!(
        watch.hear(&heard(9, Some(nonce(0))), 300_000),
        Hearing::Unproven
    );
    assert_eq!(
        watch.hear(&heard(9, Some(nonce(1))), 300_000),
        Hearing::Anchored
    );
}

//= spec/freshness.md#heartbeat type=test
//# A reader MUST show a writer as stale without an anchor, or when its own time since the anchor
//# exceeds the writer's by more than the maximal age, 900 s unless set.
#[test]
fn silence_up_to_max_age_is_fresh_and_beyond_is_stale() {
    let watch = anchored();
    assert!(!watch.is_stale(1_000 + MAX_AGE_MS));
    assert!(watch.is_stale(1_000 + MAX_AGE_MS + 1));
}

#[test]
fn later_uptime_of_the_same_start_keeps_fresh() {
    let mut watch = anchored();
    let later = heard(50_000 + 800_000, None);
    assert_eq!(watch.hear(&later, 900_000), Hearing::Later);
    assert_eq!(watch.freshness(900_000).age_ms, Some(99_000));
    assert!(!watch.is_stale(1_000 + 800_000 + MAX_AGE_MS));
}

//= spec/freshness.md#heartbeat type=test
//# A later heartbeat MUST move the measured time of the writer only with the anchored start id and
//# a higher uptime.
/// SQ-06, SQ-35: a kept heartbeat shows nothing that was not shown before.
#[test]
fn replayed_heartbeat_keeps_nothing_fresh() {
    let mut watch = anchored();
    for uptime_ms in [0, 49_999, 50_000] {
        let old = heard(uptime_ms, None);
        assert_eq!(watch.hear(&old, 800_000), Hearing::Unproven);
    }
    assert!(watch.is_stale(1_001 + MAX_AGE_MS));
}

/// PROTOCOL 3, attack: heartbeats dripped slowly freeze a device for days.
#[test]
fn heartbeats_dripped_slowly_turn_stale() {
    let mut watch = anchored();
    let mut now_ms = 1_000;
    let mut uptime_ms = 50_000;
    while !watch.is_stale(now_ms) {
        now_ms += 60_000;
        uptime_ms += 30_000;
        watch.hear(&heard(uptime_ms, None), now_ms);
        assert!(now_ms < 4 * MAX_AGE_MS, "never noticed");
    }
    assert_eq!(watch.freshness(now_ms).age_ms, Some(930_000));
}

//= spec/freshness.md#heartbeat type=test
//# A reader MUST anchor only on the echo of an own nonce of this boot, at the moment when the nonce
//# was sent.
#[test]
fn echo_kept_back_anchors_at_the_ask_and_not_at_its_arrival() {
    let mut watch = FreshnessWatch::new(MAX_AGE_MS);
    watch.ask(NONCE, 0);
    watch.hear(&heard(50_000, Some(NONCE)), MAX_AGE_MS + 1);
    assert!(watch.is_stale(MAX_AGE_MS + 1));
}

#[test]
fn writer_with_a_fast_clock_saves_nothing_up() {
    let mut watch = anchored();
    watch.hear(&heard(50_000 + 10 * MAX_AGE_MS, None), 2_000);
    assert!(!watch.is_stale(2_000 + MAX_AGE_MS));
    assert!(watch.is_stale(2_001 + MAX_AGE_MS));
}

//= spec/freshness.md#heartbeat type=test
//# A later heartbeat MUST move the measured time of the writer only with the anchored start id and
//# a higher uptime.
//= spec/freshness.md#heartbeat type=test
//# A reader MUST send a fresh nonce after each session start without an anchor, when the start id
//# changes, and when less than a third of the maximal age is left.
#[test]
fn another_start_proves_nothing_and_is_asked() {
    let mut watch = anchored();
    let restarted = Heard {
        start: StartId::from_bytes([2; 8]),
        ..heard(u64::MAX, None)
    };
    assert_eq!(watch.hear(&restarted, 2_000), Hearing::Unproven);
    assert_eq!(watch.freshness(2_000).age_ms, Some(1_000));
    assert_eq!(watch.ask_due_ms(), 6_000, "5 s after the ask before");
}

//= spec/freshness.md#heartbeat type=test
//# A reader MUST NOT send nonces more often than every 5 s, growing to 60 s while none is answered.
#[test]
fn asks_are_five_seconds_apart_and_grow_to_a_minute() {
    let mut watch = FreshnessWatch::new(MAX_AGE_MS);
    let mut now_ms = 0;
    let mut waits = alloc::vec::Vec::new();
    for byte in 0..6 {
        watch.ask(nonce(byte), now_ms);
        waits.push((watch.ask_due_ms() - now_ms) / 1_000);
        now_ms = watch.ask_due_ms();
    }
    assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    watch.begin_session();
    assert_eq!(watch.ask_due_ms(), 0);
}

//= spec/freshness.md#heartbeat type=test
//# A reader MUST send a fresh nonce after each session start without an anchor, when the start id
//# changes, and when less than a third of the maximal age is left.
#[test]
fn anchored_watch_asks_when_a_third_is_left() {
    let mut watch = anchored();
    assert_eq!(watch.ask_due_ms(), 1_000 + 600_000);
    watch.hear(&heard(50_000 + 300_000, None), 301_000);
    assert_eq!(watch.ask_due_ms(), 1_000 + 900_000);
}

#[test]
fn turns_are_told_once() {
    let mut watch = anchored();
    assert_eq!(watch.turn(1_200), Some(false));
    assert_eq!(watch.turn(1_300), None);
    let due_ms = watch.turn_due_ms().expect("it will turn stale");
    assert_eq!(watch.turn(due_ms - 1), None);
    assert_eq!(watch.turn(due_ms), Some(true));
    assert_eq!((watch.turn(due_ms), watch.turn_due_ms()), (None, None));
}

#[test]
fn extreme_numbers_saturate() {
    let mut watch = FreshnessWatch::new(u64::MAX);
    watch.ask(NONCE, u64::MAX);
    watch.hear(&heard(u64::MAX, Some(NONCE)), 0);
    watch.hear(&heard(0, None), u64::MAX);
    assert!(!watch.is_stale(u64::MAX));
    assert!(watch.ask_due_ms() >= u64::MAX / 2);
    let strict = FreshnessWatch::new(0);
    assert!(strict.is_stale(0));
}

#[test]
fn watch_is_anchored_to_the_start_whose_echo_it_heard_and_to_no_other() {
    let mut watch = FreshnessWatch::new(MAX_AGE_MS);
    assert!(!watch.is_anchored_to(&START));
    watch.hear(&heard(50_000, None), 1_000);
    assert!(!watch.is_anchored_to(&START), "nothing was proven");
    let mut watch = anchored();
    let other = StartId::from_bytes([2; 8]);
    assert!(watch.is_anchored_to(&START) && !watch.is_anchored_to(&other));
    let restarted = Heard {
        start: other,
        ..heard(1_000, None)
    };
    watch.hear(&restarted, 2_000);
    assert!(watch.is_anchored_to(&START) && !watch.is_anchored_to(&other));
}
