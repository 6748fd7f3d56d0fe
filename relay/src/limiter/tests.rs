use super::{Gate, Limiter, Rate, Source};
use std::net::IpAddr;

const RATE: Rate = Rate { burst: 3, per_s: 2 };

fn source(text: &str) -> Source {
    Source::of(text.parse::<IpAddr>().unwrap())
}

#[test]
fn gate_within_burst_lets_pass_then_refuses() {
    let mut gate = Gate::new(RATE);
    for _ in 0..3 {
        assert_eq!(gate.take(10), Ok(()));
    }
    assert_eq!(gate.take(10), Err(500));
    assert_eq!(gate.take(11), Err(499));
}

#[test]
fn gate_refusals_cost_nothing_and_time_refills() {
    let mut gate = Gate::new(RATE);
    for _ in 0..3 {
        assert_eq!(gate.take(0), Ok(()));
    }
    for _ in 0..100 {
        assert!(gate.take(0).is_err());
    }
    assert_eq!(gate.take(500), Ok(()));
    assert_eq!(gate.take(500), Err(500));
    assert_eq!(gate.take(u64::MAX / 1_000), Ok(()));
}

#[test]
fn limiter_one_source_exhausted_leaves_others_alone() {
    let mut limiter = Limiter::new(RATE, [7; 16]);
    let (noisy, quiet) = (source("192.0.2.1"), source("192.0.2.2"));
    for _ in 0..3 {
        assert_eq!(limiter.take(noisy, 0), Ok(()));
    }
    assert_eq!(limiter.take(noisy, 0), Err(500));
    assert_eq!(limiter.take(quiet, 0), Ok(()));
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
}

#[test]
fn source_display_names_the_network_only() {
    assert_eq!(source("2001:db8:0:1::1").to_string(), "2001:db8:0:1::/64");
    assert_eq!(source("::ffff:192.0.2.1").to_string(), "192.0.2.1");
}

#[test]
fn limiter_flood_of_sources_keeps_its_table() {
    let mut limiter = Limiter::new(RATE, [9; 16]);
    let slots = limiter.full_at_us.len();
    for number in 0..50_000_u32 {
        let _ = limiter.take(Source::Address(number.to_be_bytes()), 0);
    }
    assert_eq!(limiter.full_at_us.len(), slots);
}
