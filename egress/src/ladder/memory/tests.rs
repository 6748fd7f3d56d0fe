use super::*;
use crate::limits::{BODY_BYTES_FLOOR, BODY_BYTES_START, NETWORK_RECORD_BYTES_MAX};
use crate::route::Route;

const NOW: Option<u64> = Some(2_000_000_000);

fn network(number: u8) -> NetworkId {
    NetworkId([number; 16])
}

fn key(number: u8) -> WayKey {
    WayKey::of(&format!("https://{number}.test"), Route::Direct)
}

fn limits(way: u8, rung: u8) -> Limits {
    Limits {
        way: key(way),
        hold: Learnt {
            rung,
            cap: Some(rung),
        },
        up_bytes_max: 4_096,
        down_bytes_max: 8_192,
    }
}

fn full() -> NetworkMemory {
    let mut memory = NetworkMemory::new();
    for id in 0..32 {
        memory.note_good(network(id), NOW, key(id));
        memory.note_udp(network(id), NOW, true);
        for way in 0..4 {
            memory.note_limits(network(id), NOW, limits(way, way));
        }
    }
    memory
}

#[test]
fn record_brings_back_what_was_kept() {
    for memory in [NetworkMemory::new(), full()] {
        let record = memory.to_record();
        assert!(record.len() <= 5 * 1024, "{} bytes", record.len());
        assert_eq!(NetworkMemory::from_record(&record), Ok(memory));
    }
}

#[test]
fn damaged_record_counts_for_nothing_wherever_the_damage_is() {
    let record = full().to_record();
    for place in 0..record.len() {
        let mut damaged = record.clone();
        damaged[place] ^= 1;
        assert!(
            NetworkMemory::from_record(&damaged).is_err(),
            "byte {place}"
        );
        assert!(
            NetworkMemory::from_record(&record[..place]).is_err(),
            "cut to {place} bytes"
        );
    }
}

#[test]
fn record_that_is_none_is_refused_by_its_reason() {
    let check = |record: &[u8], expected| {
        assert_eq!(NetworkMemory::from_record(record), Err(expected));
    };
    check(b"", RecordError::Version);
    check(b"PSTNETS2", RecordError::Version);
    check(b"PSTNETS1", RecordError::Damaged);
    check(&[0; NETWORK_RECORD_BYTES_MAX + 1], RecordError::TooLarge);
    let mut twice = full();
    twice.networks.truncate(1);
    twice.networks.extend(twice.networks.clone());
    check(&twice.to_record(), RecordError::Entry);
    let mut beyond = full();
    beyond.networks.push(Network::new(network(99)));
    check(&beyond.to_record(), RecordError::Entry);
    let mut rung = full();
    rung.networks[3].ways[0].hold.rung = 8;
    check(&rung.to_record(), RecordError::Entry);
}

#[test]
fn network_unused_for_longest_is_forgotten_first() {
    let mut memory = full();
    memory.note_good(network(0), NOW, key(0));
    memory.note_good(network(77), NOW, key(1));
    assert_eq!(memory.len(), 32);
    assert_eq!(memory.hints(network(1), NOW), Hints::default());
    for kept in [0, 2, 31, 77] {
        assert!(
            memory.hints(network(kept), NOW).last_good.is_some(),
            "{kept}"
        );
    }
}

#[test]
fn network_is_forgotten_after_thirty_days() {
    let mut memory = full();
    let later = NOW.map(|now| now + NETWORK_AGE_S_MAX + 1);
    memory.note_good(network(5), later, key(5));
    assert_eq!(memory.len(), 1);
    // Without a clock nothing ages.
    let mut memory = full();
    memory.note_good(network(5), None, key(5));
    assert_eq!(memory.len(), 32);
}

#[test]
fn silence_on_udp_counts_for_six_hours_and_no_clock_makes_it_longer() {
    let mut memory = NetworkMemory::new();
    assert!(memory.note_udp(network(1), NOW, true));
    let at = |after_s: u64| NOW.map(|now| now + after_s);
    let check = |unix_s, expected| {
        let hints = memory.hints(network(1), unix_s);
        assert_eq!(hints.is_udp_hostile, expected, "{unix_s:?}");
    };
    check(NOW, true);
    check(at(UDP_HOSTILE_S - 1), true);
    check(at(UDP_HOSTILE_S), false);
    check(NOW.map(|now| now - 1), false);
    check(None, false);
    let other = memory.hints(network(2), NOW);
    assert!(!other.is_udp_hostile, "another network");
    assert!(memory.note_udp(network(1), NOW, false));
    assert!(!memory.hints(network(1), NOW).is_udp_hostile);
}

#[test]
fn news_are_told_from_repetitions() {
    let mut memory = NetworkMemory::new();
    assert!(memory.note_good(network(1), NOW, key(1)));
    assert!(!memory.note_good(network(1), NOW, key(1)));
    assert!(memory.note_good(network(1), NOW, key(2)));
    assert!(memory.note_limits(network(1), NOW, limits(1, 3)));
    assert!(!memory.note_limits(network(1), NOW, limits(1, 3)));
    assert!(memory.note_limits(network(1), NOW, limits(1, 4)));
}

#[test]
fn limits_are_kept_of_four_ways_and_stay_inside_their_bounds() {
    let mut memory = NetworkMemory::new();
    for way in 0..10 {
        memory.note_limits(network(1), NOW, limits(way, 0));
    }
    assert_eq!(memory.limits(network(1), key(5)), None);
    assert_eq!(memory.limits(network(1), key(9)), Some(limits(9, 0)));
    assert_eq!(memory.limits(network(2), key(9)), None);
    for (bytes, expected) in [
        (0, BODY_BYTES_FLOOR),
        (u32::MAX, BODY_BYTES_START),
        (8_192, 8_192),
    ] {
        let limits = Limits {
            up_bytes_max: bytes,
            down_bytes_max: bytes,
            ..limits(1, 1)
        };
        assert_eq!(limits.sizes().up_bytes_max(), expected);
        assert_eq!(limits.sizes().down_bytes_max(), expected);
    }
}
