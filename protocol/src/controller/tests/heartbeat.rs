//! Heartbeats: paced, never stored, and fresh only by an echo of our own nonce.

use super::hand::Hand;
use crate::controller::{Event, Input};
use crate::id::{Nonce, Plane};
use crate::limits::FRESHNESS_MS_DEFAULT;
use crate::revision::BundleNumber;
use crate::testing::{at, numbers};
use alloc::vec::Vec;

const ASK: Nonce = Nonce::from_bytes([3; 16]);

/// Contacts the controller and returns the nonce that it asks for.
fn asked(hand: &mut Hand) -> Nonce {
    let heartbeat = hand.heartbeat(1_000, None, None);
    assert_eq!(hand.receive(&heartbeat), None);
    hand.heartbeats().last().and_then(|beat| beat.ask).unwrap()
}

/// A device whose word is fresh since now.
fn fresh() -> Hand {
    let mut hand = Hand::new();
    let nonce = asked(&mut hand);
    let echo = hand.heartbeat(1_100, Some(nonce), None);
    assert_eq!(hand.receive(&echo), None);
    hand
}

fn turns(hand: &Hand) -> Vec<bool> {
    let turns = hand.events().into_iter().filter_map(|event| {
        let Event::FreshnessChanged { is_stale, .. } = event else {
            return None;
        };
        Some(*is_stale)
    });
    turns.collect()
}

//= spec/freshness.md#heartbeat type=test
//# A writer MUST answer a nonce with a heartbeat that repeats it.
#[test]
fn ask_of_a_device_is_echoed_once() {
    let mut hand = Hand::new();
    let heartbeat = hand.heartbeat(1_000, None, Some(ASK));
    assert_eq!(hand.receive(&heartbeat), None);
    let beats = hand.heartbeats();
    assert_eq!(beats.len(), 1);
    assert_eq!(beats[0].echo, Some(ASK));
    hand.run(60_000);
    assert!(
        hand.heartbeats()[1..]
            .iter()
            .all(|beat| beat.echo.is_none())
    );
}

#[test]
fn heartbeats_are_five_seconds_apart_and_the_newest_ask_wins() {
    let mut hand = Hand::new();
    for byte in 1..=9 {
        let ask = Some(Nonce::from_bytes([byte; 16]));
        let heartbeat = hand.heartbeat(1_000 + u64::from(byte), None, ask);
        let channel = hand.id();
        hand.input(Input::Received {
            channel,
            envelope: &heartbeat,
            is_live: true,
        });
        hand.run(100);
    }
    assert_eq!(hand.heartbeats().len(), 1);
    hand.run(4_200);
    let echoes: Vec<_> = hand.heartbeats().iter().map(|beat| beat.echo).collect();
    let newest = Some(Nonce::from_bytes([9; 16]));
    assert_eq!(echoes, [Some(Nonce::from_bytes([1; 16])), newest]);
}

//= spec/freshness.md#heartbeat type=test
//# A writer MUST draw a new start id of 8 random bytes at each start, and count uptime with a
//# clock that counts suspension.
#[test]
fn heartbeat_names_this_start_and_how_long_it_runs() {
    let mut hand = Hand::new();
    let channel = hand.id();
    hand.run(9_000);
    hand.input(Input::HeartbeatWanted { channel });
    let first = hand.heartbeats()[0];
    assert_eq!(first.uptime_ms, 9_000);
    hand.restart(None);
    hand.forget();
    hand.input(Input::HeartbeatWanted { channel });
    let second = hand.heartbeats()[0];
    assert_ne!(second.start, first.start);
    assert_eq!(second.uptime_ms, 0);
}

//= spec/freshness.md#heartbeat type=test
//# A heartbeat MUST NOT be stored durably, counted as a duplicate, or acknowledged.
#[test]
fn heartbeats_are_never_durable() {
    let mut hand = fresh();
    let commits = hand.store.commits();
    for uptime_ms in 2_000..2_020 {
        let heartbeat = hand.heartbeat(uptime_ms, None, Some(ASK));
        assert_eq!(hand.receive(&heartbeat), None);
        hand.run(10_000);
    }
    assert_eq!(hand.store.commits(), commits);
}

#[test]
fn device_is_fresh_by_an_echo_of_our_nonce_and_stale_after_silence() {
    let mut hand = fresh();
    assert_eq!(turns(&hand), [false]);
    let freshness = hand.member().freshness(hand.now());
    assert!(!freshness.is_stale);
    assert_eq!(freshness.bundle_shown, Some(BundleNumber::new(1)));
    hand.forget();
    hand.run(FRESHNESS_MS_DEFAULT);
    assert_eq!(turns(&hand), [] as [bool; 0]);
    hand.run(1);
    assert_eq!(turns(&hand), [true]);
}

/// SQ-06, SQ-35: what somebody kept and drips slowly creates no freshness.
#[test]
fn kept_heartbeats_keep_freshness_and_never_create_it() {
    let mut hand = Hand::new();
    let kept: Vec<_> = (1..20)
        .map(|n| hand.heartbeat(n * 1_000, Some(ASK), None))
        .collect();
    for heartbeat in &kept {
        assert_eq!(hand.receive(heartbeat), None);
        hand.run(60_000);
        assert!(hand.member().freshness(hand.now()).is_stale);
    }
    let mut hand = fresh();
    for heartbeat in &kept {
        hand.receive(heartbeat);
        hand.run(60_000);
    }
    assert!(hand.member().freshness(hand.now()).is_stale, "a slow drip");
}

#[test]
fn device_that_is_away_is_not_asked_again_and_again() {
    let mut hand = Hand::new();
    asked(&mut hand);
    hand.forget();
    hand.run(3_600_000);
    assert_eq!(hand.heartbeats().len(), 0);
}

#[test]
fn device_that_polls_is_asked_before_its_word_turns_stale() {
    let mut hand = fresh();
    let channel = hand.id();
    for _ in 0..20 {
        hand.run(300_000);
        hand.forget();
        hand.input(Input::HeartbeatWanted { channel });
        hand.run(1_000);
        let nonce = hand.heartbeats().last().and_then(|beat| beat.ask);
        if let Some(nonce) = nonce {
            let echo = hand.heartbeat(hand.now_ms, Some(nonce), None);
            hand.receive(&echo);
        }
        assert!(!hand.member().freshness(hand.now()).is_stale);
    }
}

#[test]
fn lowest_bundle_is_unknown_until_every_device_named_one() {
    let mut hand = Hand::new();
    assert_eq!(hand.engine.lowest_bundle(), None);
    asked(&mut hand);
    assert_eq!(hand.engine.lowest_bundle(), Some(BundleNumber::new(1)));
}

#[test]
fn device_whose_word_is_fresh_is_answered_without_a_question() {
    let mut hand = fresh();
    hand.run(6_000);
    let heartbeat = hand.heartbeat(7_000, None, Some(ASK));
    assert_eq!(hand.receive(&heartbeat), None);
    let beats = hand.heartbeats();
    assert_eq!(beats.len(), 1);
    assert_eq!((beats[0].echo, beats[0].ask), (Some(ASK), None));
}

/// A file may be old: what it brings is acknowledged, and tells nothing of who is there to be asked.
#[test]
fn device_that_was_not_heard_since_it_was_asked_is_not_asked_again() {
    let mut hand = Hand::new();
    asked(&mut hand);
    hand.run(3_600_000);
    let state = numbers(&[("net/mtu", 1)]);
    let snapshot = hand.snapshot(&state, at(50, 1), &[]);
    assert_eq!(hand.receive_from(&snapshot, false), None);
    hand.put(Plane::Actual, &state);
    hand.run(6_000);
    let beats = hand.heartbeats();
    assert_eq!(beats.len(), 1);
    assert_eq!((beats[0].other, beats[0].ask), (at(50, 1), None));
}
