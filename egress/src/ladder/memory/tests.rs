use super::*;
use crate::limits::{BODY_BYTES_FLOOR, BODY_BYTES_START, NETWORK_RECORD_BYTES_MAX};
use crate::route::Route;

const NOW: Option<u64> = Some(2_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
/// Each of them that a record can hold.
const VERDICTS: [Verdict; 4] = [
    Verdict::Buffers,
    Verdict::Flows { pad: 0 },
    Verdict::Flows { pad: 1_024 },
    Verdict::Flows { pad: 4_096 },
];

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
            cap_left: Some(HOUR),
        },
        up_bytes_max: 4_096,
        down_bytes_max: 8_192,
        canary: Some(Believed {
            verdict: VERDICTS[usize::from(way) % VERDICTS.len()],
            left: HOUR,
        }),
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
        assert!(record.len() <= 6 * 1024, "{} bytes", record.len());
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
    check(b"PSTNETS1", RecordError::Version);
    check(b"PSTNETS2", RecordError::Damaged);
    check(&[0; NETWORK_RECORD_BYTES_MAX + 1], RecordError::TooLarge);
    let mut twice = full();
    twice.networks.truncate(1);
    twice.networks.extend(twice.networks.clone());
    check(&twice.to_record(), RecordError::Entry);
    let mut beyond = full();
    beyond.networks.push(Network::new(network(99)));
    check(&beyond.to_record(), RecordError::Entry);
    let mut rung = full();
    rung.networks[3].ways[0].rung = 8;
    check(&rung.to_record(), RecordError::Entry);
    let mut cap = full();
    cap.networks[3].ways[0].cap = Some(8);
    check(&cap.to_record(), RecordError::Entry);
}

#[test]
fn record_with_a_verdict_that_there_is_none_of_is_refused_as_a_whole() {
    let mut memory = NetworkMemory::new();
    memory.note_limits(network(1), NOW, limits(1, 1));
    let record = memory.to_record();
    // The byte before the verdict's date, and the checksum.
    let place = record.len() - 8 - 8 - 1;
    for byte in 0..=u8::MAX {
        let mut other = record.clone();
        other[place] = byte;
        let covered = other.len() - 8;
        let check = record::checksum(&other[..covered]);
        other[covered..].copy_from_slice(&check);
        let is_verdict = !(3..0xfe).contains(&byte);
        let expected = if is_verdict {
            None
        } else {
            Some(RecordError::Entry)
        };
        assert_eq!(NetworkMemory::from_record(&other).err(), expected, "{byte}");
    }
}

#[test]
fn what_ages_goes_on_ageing_in_the_record() {
    let mut memory = NetworkMemory::new();
    memory.note_limits(network(1), NOW, limits(1, 1));
    let memory = NetworkMemory::from_record(&memory.to_record()).unwrap();
    let check = |unix_s: Option<u64>, cap_left: Option<u64>, canary_left: Option<u64>| {
        let limits = memory.limits(network(1), unix_s, key(1)).unwrap();
        let left = |left: Duration| left.as_secs();
        assert_eq!(limits.hold.cap_left.map(left), cap_left, "{unix_s:?}");
        assert_eq!(limits.hold.cap, Some(1), "{unix_s:?}");
        let canary = limits.canary.map(|canary| canary.left.as_secs());
        assert_eq!(canary, canary_left, "{unix_s:?}");
    };
    let at = |after_s: u64| NOW.map(|now| now + after_s);
    check(NOW, Some(3_600), Some(3_600));
    check(at(3_599), Some(1), Some(1));
    check(at(3_600), Some(0), None);
    check(at(1_000_000), Some(0), None);
    // A clock that went back makes a verdict younger than any: it does not count.
    check(NOW.map(|now| now - 18_001), Some(21_601), None);
    check(Some(0), Some(2_000_003_600), None);
    // Without a clock nobody knows its age.
    check(None, None, None);
}

#[test]
fn verdict_found_out_without_a_clock_is_not_kept() {
    let mut memory = NetworkMemory::new();
    memory.note_limits(network(1), None, limits(1, 1));
    let limits = memory.limits(network(1), NOW, key(1)).unwrap();
    assert_eq!(limits.canary, None);
    assert_eq!((limits.hold.cap, limits.hold.cap_left), (Some(1), None));
}

#[test]
fn verdict_of_one_network_and_way_says_nothing_of_others() {
    let mut memory = NetworkMemory::new();
    memory.note_limits(network(1), NOW, limits(1, 1));
    assert_eq!(memory.limits(network(2), NOW, key(1)), None);
    assert_eq!(memory.limits(network(1), NOW, key(2)), None);
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
    // Two clocks that drift apart make no news, a verdict that is found out anew does.
    let again = |after_s: u64, left_s: u64| {
        let mut limits = limits(1, 4);
        limits.hold.cap_left = Some(Duration::from_secs(3_600 - after_s));
        limits.canary = limits.canary.map(|canary| Believed {
            left: Duration::from_secs(left_s),
            ..canary
        });
        (NOW.map(|now| now + after_s), limits)
    };
    for (after_s, left_s, is_news) in [(60, 3_540, false), (600, 3_001, false), (900, 21_600, true)]
    {
        let (now, limits) = again(after_s, left_s);
        assert_eq!(
            memory.note_limits(network(1), now, limits),
            is_news,
            "{after_s}"
        );
    }
}

#[test]
fn limits_are_kept_of_four_ways_and_stay_inside_their_bounds() {
    let mut memory = NetworkMemory::new();
    for way in 0..10 {
        memory.note_limits(network(1), NOW, limits(way, 0));
    }
    assert_eq!(memory.limits(network(1), NOW, key(5)), None);
    assert_eq!(memory.limits(network(1), NOW, key(9)), Some(limits(9, 0)));
    assert_eq!(memory.limits(network(2), NOW, key(9)), None);
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
