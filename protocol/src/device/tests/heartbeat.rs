//! Heartbeats in both directions, and what a mailbox cannot make of them.

use super::speech::{START, anchor, heartbeat, said, seal_heartbeat};
use crate::device::Event;
use crate::frame::FrameType;
use crate::freshness::Freshness;
use crate::id::{Nonce, StartId};
use crate::message::Heartbeat;
use crate::revision::{BundleNumber, Revision};
use crate::testing::{Lone, at, numbers};

const EPOCH: u64 = 100;

fn connected() -> Lone {
    let mut lone = Lone::holding(&numbers(&[("a/x", 1)]), at(EPOCH, 5));
    lone.acknowledge();
    lone
}

fn freshness(lone: &Lone) -> Freshness {
    let now = crate::context::Now {
        mono_ms: lone.now_ms,
        unix_s: None,
    };
    lone.node.engine.as_ref().unwrap().freshness(now)
}

fn ask(lone: &Lone, uptime_ms: u64, nonce: u8) -> alloc::vec::Vec<u8> {
    let payload = Heartbeat {
        start: START,
        uptime_ms,
        other: Revision::NONE,
        echo: None,
        ask: Some(Nonce::from_bytes([nonce; 16])),
    };
    seal_heartbeat(lone, &payload, 1)
}

#[test]
fn session_without_an_anchor_asks_and_names_what_is_accepted() {
    let lone = connected();
    assert!(said(&lone).ask.is_some());
    assert!(freshness(&lone).is_stale);
    let mut lone = connected();
    lone.run(70_000);
    assert_eq!(said(&lone).other, at(EPOCH, 5));
    assert_eq!(said(&lone).uptime_ms, 35_000, "asked after 5, 10 and 20 s");
}

#[test]
fn echo_anchors_and_silence_turns_stale() {
    let mut lone = connected();
    anchor(&mut lone);
    assert!(lone.node.events.contains(&Event::Anchored));
    assert!(
        lone.node
            .events
            .contains(&Event::FreshnessChanged { is_stale: false })
    );
    lone.run(1_000_000);
    assert!(
        lone.node
            .events
            .contains(&Event::FreshnessChanged { is_stale: true })
    );
    assert!(freshness(&lone).is_stale);
}

//= spec/freshness.md#heartbeat type=test
//# Staleness MUST NOT block anything: a correctly signed revision counts.
/// SQ-06, SQ-35: cached answers for ever never look fresh, and stale blocks nothing.
#[test]
fn stale_device_still_accepts_what_is_signed() {
    let mut lone = connected();
    anchor(&mut lone);
    let kept = heartbeat(&lone, 1_000_001, Revision::NONE, None);
    for _ in 0..40 {
        lone.serve(core::slice::from_ref(&kept));
        lone.run(60_000);
    }
    assert!(freshness(&lone).is_stale);
    let delta = lone.seal_step(
        &numbers(&[("a/x", 1)]),
        &numbers(&[("a/x", 2)]),
        5,
        at(EPOCH, 6),
    );
    lone.serve(&[delta]);
    assert_eq!(lone.node.head(), Some(at(EPOCH, 6)));
}

#[test]
fn heartbeats_cost_no_commit() {
    let mut lone = connected();
    let before = lone.node.store.commits();
    let start = anchor(&mut lone);
    for step in 1..20 {
        let later = heartbeat(&lone, start + step * 60_000, Revision::NONE, None);
        lone.serve(&[later]);
        lone.run(60_000);
    }
    assert_eq!(lone.node.store.commits(), before);
}

#[test]
fn question_of_the_controller_is_answered_once_and_at_a_pace() {
    let mut lone = connected();
    let start = anchor(&mut lone);
    let before = lone.heartbeats.len();
    for nonce in 1..=3 {
        let asked = ask(&lone, start + u64::from(nonce), nonce);
        lone.serve(&[asked]);
    }
    assert_eq!(lone.heartbeats.len() - before, 1);
    assert_eq!(said(&lone).echo, Some(Nonce::from_bytes([1; 16])));
    lone.run(5_000);
    assert_eq!(
        said(&lone).echo,
        Some(Nonce::from_bytes([3; 16])),
        "the newest wins"
    );
    lone.run(60_000);
    assert_eq!(lone.heartbeats.len() - before, 2);
}

#[test]
fn kept_question_is_not_answered_again() {
    let mut lone = connected();
    let start = anchor(&mut lone);
    let asked = ask(&lone, start + 1, 1);
    lone.serve(core::slice::from_ref(&asked));
    let before = lone.heartbeats.len();
    for _ in 0..10 {
        lone.serve(core::slice::from_ref(&asked));
        lone.run(6_000);
    }
    assert_eq!(lone.heartbeats.len(), before);
}

#[test]
fn restarted_controller_is_asked_again() {
    let mut lone = connected();
    anchor(&mut lone);
    lone.run(30_000);
    let before = lone.heartbeats.len();
    let payload = Heartbeat {
        start: StartId::from_bytes([6; 8]),
        uptime_ms: 1,
        other: Revision::NONE,
        echo: None,
        ask: None,
    };
    let restarted = seal_heartbeat(&lone, &payload, 1);
    lone.serve(&[restarted]);
    assert_eq!(lone.heartbeats.len() - before, 1);
}

//= spec/freshness.md#heartbeat type=test
//# A reader MUST show it when an anchored heartbeat names a higher bundle than the one held.
/// PROTOCOL 1, attack: a revocation is withheld by a relay: the bundle number shows it.
#[test]
fn bundle_that_a_relay_withholds_is_shown() {
    let mut lone = connected();
    let payload = Heartbeat {
        start: START,
        uptime_ms: 1,
        other: Revision::NONE,
        echo: said(&lone).ask,
        ask: None,
    };
    let beat = seal_heartbeat(&lone, &payload, 4);
    lone.serve(&[beat]);
    assert_eq!(freshness(&lone).bundle_shown, Some(BundleNumber::new(4)));
}

//= spec/freshness.md#signed-time type=test
//# A device MUST NOT use a time, or its own wall clock, for order or freshness.
/// SQ-28: a wall clock that is wrong or missing changes nothing: none is read.
#[test]
fn anchor_of_an_earlier_process_counts_no_more() {
    let mut lone = connected();
    let echo = said(&lone).ask;
    lone.restart();
    lone.connect();
    let old = heartbeat(&lone, 1_000_000, Revision::NONE, echo);
    lone.serve(&[old]);
    assert!(freshness(&lone).is_stale);
}

#[test]
fn heartbeats_without_news_are_polled_like_empty_answers() {
    let mut lone = connected();
    let beat = heartbeat(&lone, 1, Revision::NONE, None);
    let mut polls = 0;
    let end_ms = lone.now_ms + 10_000;
    while lone.now_ms < end_ms {
        match lone.poll() {
            Some(poll) => {
                polls += 1;
                lone.answer(&poll, core::slice::from_ref(&beat));
            }
            None => drop(lone.run(100)),
        }
    }
    assert!((8..=14).contains(&polls), "{polls}");
    assert!(lone.request(FrameType::Need).is_none());
}
