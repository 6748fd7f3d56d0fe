use super::{Cells, Drawn, Gate, Guard, Limiter, Rate, Source, WhenFull};
use crate::limits::{CELL_BYTES, SHARED_BUCKETS};
use std::net::IpAddr;

const RATE: Rate = Rate { burst: 3, per_s: 2 };

fn source(text: &str) -> Source {
    Source::of(text.parse::<IpAddr>().unwrap())
}

fn numbered(number: u32) -> Source {
    Source::Address(number.to_be_bytes())
}

#[test]
fn gate_within_burst_lets_pass_then_refuses() {
    let gate = Gate::new(RATE);
    for _ in 0..3 {
        assert_eq!(gate.take(10), Ok(()));
    }
    assert_eq!(gate.take(10), Err(500));
    assert_eq!(gate.take(11), Err(499));
}

#[test]
fn gate_refusals_cost_nothing_and_time_refills() {
    let gate = Gate::new(RATE);
    for _ in 0..3 {
        assert_eq!(gate.take(0), Ok(()));
    }
    for _ in 0..100 {
        assert!(gate.take(0).is_err());
    }
    assert_eq!(gate.take(500), Ok(()));
    assert_eq!(gate.take(500), Err(500));
    assert_eq!(gate.take(u64::MAX), Ok(()));
}

#[test]
fn gate_of_no_rate_lets_one_pass() {
    let gate = Gate::new(Rate { burst: 0, per_s: 0 });
    assert_eq!(gate.take(0), Ok(()));
    assert_eq!(gate.take(0), Err(1_000));
}

#[test]
fn limiter_one_source_exhausted_leaves_others_alone() {
    let limiter = Limiter::new(RATE, [7; 16]);
    let (noisy, quiet) = (source("192.0.2.1"), source("192.0.2.2"));
    for _ in 0..3 {
        assert_eq!(limiter.take(noisy, 0), Ok(()));
    }
    assert_eq!(limiter.take(noisy, 0), Err(500));
    assert_eq!(limiter.take(quiet, 0), Ok(()));
}

#[test]
fn limiter_many_networks_of_one_site_share_its_rate() {
    let limiter = Limiter::new(RATE, [7; 16]);
    let network = |number: u16| source(&format!("2001:db8:1:{number:x}::1"));
    let passed = (0..1_000).filter(|number| limiter.take(network(*number), 0).is_ok());
    assert_eq!(passed.count(), 24);
    assert_eq!(limiter.take(source("2001:db8:2::1"), 0), Ok(()));
}

#[test]
fn limiter_without_room_shares_buckets_and_still_refuses() {
    let limiter = Limiter::with_keys_max(RATE, [9; 16], 10);
    for number in 0..10 {
        assert_eq!(limiter.take(numbered(number), 0), Ok(()));
    }
    let late = numbered(77);
    for _ in 0..3 {
        assert_eq!(limiter.take(late, 0), Ok(()));
    }
    assert_eq!(limiter.take(late, 0), Err(500));
    assert_eq!(limiter.take(numbered(1), 0), Ok(()));
}

#[test]
fn limiter_flood_of_sources_stays_within_its_bounds() {
    let keys_max = 1_000;
    let limiter = Limiter::with_keys_max(RATE, [9; 16], keys_max);
    for number in 0..20_000 {
        let _ = limiter.take(numbered(number), 0);
    }
    assert!(limiter.keys() <= keys_max + usize::from(SHARED_BUCKETS));
}

#[test]
fn limiter_newcomers_sweep_those_who_are_full_again() {
    let limiter = Limiter::with_keys_max(RATE, [9; 16], 1_000);
    for number in 0..1_000 {
        assert_eq!(limiter.take(numbered(number), 0), Ok(()));
    }
    for number in 1_000..2_000 {
        assert_eq!(limiter.take(numbered(number), 60_000), Ok(()));
    }
    assert!(limiter.keys() <= 1_000);
    // The first pass goes on from where the last use looked.
    for _ in 0..2 {
        limiter.sweep(5_000, 120_000);
    }
    assert_eq!(limiter.keys(), 0);
}

#[test]
fn cells_without_room_say_so() {
    let cells = Cells::new(RATE, 1);
    assert_eq!(cells.take(&1_u8, 1, 0), Drawn::Yes);
    assert_eq!(cells.take(&2, 1, 0), Drawn::NoCell);
    assert_eq!(cells.take(&2, 1, 500), Drawn::Yes);
    assert_eq!(cells.take(&1, 1, 500), Drawn::NoCell);
}

#[test]
fn cells_count_bytes_up_to_the_burst() {
    let rate = Rate {
        burst: 1_000,
        per_s: 100,
    };
    let cells = Cells::new(rate, 8);
    assert_eq!(cells.take(&1_u8, 900, 0), Drawn::Yes);
    assert_eq!(cells.take(&1, 200, 0), Drawn::NotFor(1_000));
    assert_eq!(cells.take(&1, 200, 1_000), Drawn::Yes);
    assert_eq!(cells.take(&2, 5_000, 0), Drawn::Yes);
    assert_eq!(cells.take(&2, 1, 0), Drawn::NotFor(10));
    assert_eq!(cells.take(&2, 0, 0), Drawn::Yes);
}

#[test]
fn cells_full_take_the_bytes_that_are_budgeted() {
    // A node of the map holds 11 cells and its own head, and is two thirds full or better.
    let cell = size_of::<Source>() + size_of::<u64>();
    let node = 11 * cell + 16;
    assert!(node * 3 / (11 * 2) <= CELL_BYTES, "{node}");
}

#[test]
fn guards_say_what_they_do_without_room() {
    let mut names: Vec<&str> = Guard::ALL.iter().map(|guard| guard.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Guard::ALL.len());
    assert_eq!(Guard::DeviceBytes.when_full(), WhenFull::Open);
    assert_eq!(Guard::TenantBytes.when_full(), WhenFull::Closed);
    assert_eq!(Guard::SourceHandshakes.when_full(), WhenFull::Shares);
}

#[test]
fn source_of_addresses_groups_as_documented() {
    let check = |left: &str, right: &str, expected: bool| {
        assert_eq!(source(left) == source(right), expected, "{left} {right}");
    };
    check("192.0.2.1", "::ffff:192.0.2.1", true);
    check("192.0.2.1", "192.0.2.2", false);
    check("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true);
    check("2001:db8:0:1::1", "2001:db8:0:2::1", false);
    assert!(source("192.0.2.1").site().is_none());
    let near = source("2001:db8:0:1::1").site();
    assert_eq!(near, source("2001:db8:0:2::1").site());
    assert_ne!(near, source("2001:db8:1:1::1").site());
}

#[test]
fn source_display_names_the_network_only() {
    assert_eq!(source("2001:db8:0:1::1").to_string(), "2001:db8:0:1::/64");
    assert_eq!(source("::ffff:192.0.2.1").to_string(), "192.0.2.1");
}
