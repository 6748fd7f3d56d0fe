use super::{Rates, left_out_total};

const HERE: (&str, u32) = ("server/events.rs", 83);
const THERE: (&str, u32) = ("server/events.rs", 87);

fn written(rates: &Rates, call: (&'static str, u32), lines: usize, now_ms: u64) -> usize {
    (0..lines).filter(|_| rates.take(call, now_ms)).count()
}

#[test]
fn flood_of_one_place_is_cut_and_others_are_not() {
    let rates = Rates::new(10);
    let before = left_out_total();
    assert_eq!(written(&rates, HERE, 100_000, 0), 100);
    assert_eq!(written(&rates, THERE, 5, 0), 5);
    assert!(left_out_total() - before >= 99_900);
}

#[test]
fn place_writes_again_at_its_rate_and_no_faster() {
    let rates = Rates::new(10);
    written(&rates, HERE, 1_000, 0);
    assert_eq!(written(&rates, HERE, 1_000, 99), 0);
    assert_eq!(written(&rates, HERE, 1_000, 1_000), 10);
    // After a long pause no more than at first.
    assert_eq!(written(&rates, HERE, 1_000, 10_000_000), 100);
    // A clock that went back earns nothing.
    assert_eq!(written(&rates, HERE, 1_000, 0), 0);
}
