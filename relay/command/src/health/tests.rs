use super::{Health, Moment};
use crate::operable::memory::InMemory;
use std::sync::Arc;

const DAY_S: u64 = 86_400;
const BEGIN: Moment = Moment {
    mono_ms: 1_000,
    unix_s: Some(1_795_831_800),
};

fn at(mono_ms: u64, unix_s: u64) -> Moment {
    Moment {
        mono_ms,
        unix_s: Some(unix_s),
    }
}

fn health() -> (Arc<InMemory>, Health) {
    let relay = Arc::new(InMemory::default());
    let health = Health::new(relay.clone(), BEGIN);
    health.set_certificate(1_795_831_800 + 90 * DAY_S, 7);
    (relay, health)
}

/// Names of what is not well.
fn unwell(health: &Health) -> Vec<String> {
    let checks = health.checks().into_iter();
    checks
        .filter(|check| !check.is_well)
        .map(|check| check.name)
        .collect()
}

#[test]
fn relay_that_is_well_is_ready() {
    let (_, health) = health();
    health.turn(at(61_000, 1_795_831_860));
    assert!(unwell(&health).is_empty());
    assert_eq!(health.uptime_s(), 60);
}

#[test]
fn relay_is_unready_for_each_reason_alone() {
    let (relay, first) = health();
    relay.fail_store("the disk is full");
    assert_eq!(unwell(&first), ["store"]);
    assert_eq!(first.checks()[0].reason, "the disk is full");

    let (_, draining) = health();
    draining.set_draining(true);
    assert_eq!(unwell(&draining), ["drain"]);
    draining.set_draining(false);
    assert!(unwell(&draining).is_empty());

    for (left_s, expected) in [
        (7 * DAY_S, &[][..]),
        (7 * DAY_S - 1, &["certificate"]),
        (0, &["certificate"]),
    ] {
        let (_, ending) = health();
        ending.set_certificate(1_795_831_800 + left_s, 7);
        assert_eq!(unwell(&ending), expected, "{left_s}");
    }
}

#[test]
fn clock_that_jumped_or_is_not_set_is_seen() {
    let begin_s = 1_795_831_800;
    let unset = Moment {
        mono_ms: 2_000,
        unix_s: None,
    };
    for (moment, expected) in [
        (at(3_601_000, begin_s + 3_600), &[][..]),
        (at(3_601_000, begin_s + 3_600 + 300), &[]),
        (at(3_601_000, begin_s + 3_600 - 300), &[]),
        (at(3_601_000, begin_s + 3_600 + 301), &["clock"]),
        (at(3_601_000, begin_s), &["clock"]),
        (unset, &["clock"]),
    ] {
        let (_, health) = health();
        health.turn(moment);
        assert_eq!(unwell(&health), expected, "{moment:?}");
    }
}

#[test]
fn clock_that_was_repaired_is_trusted_again_after_a_while() {
    let (_, health) = health();
    let repaired_s = 1_795_831_800 + 86_400;
    health.turn(at(2_000, repaired_s));
    assert_eq!(unwell(&health), ["clock"]);
    health.turn(at(901_000, repaired_s + 899));
    assert_eq!(unwell(&health), ["clock"]);
    health.turn(at(902_000, repaired_s + 900));
    assert!(unwell(&health).is_empty());
}

#[test]
fn loop_without_turns_is_not_alive() {
    let (_, health) = health();
    assert!(health.is_alive(11_000));
    assert!(!health.is_alive(11_001));
    health.turn(at(11_001, 1_795_831_810));
    assert!(health.is_alive(11_002));
}
