//! Keyed states: digests, limits, tables with stored bodies.

use crate::encryption::{DigestKey, Digester};
use crate::limits::{ENCRYPTED_OVERHEAD_BYTES_MAX, STATE_BYTES_MAX};
use crate::reject::Reject;
use crate::state::{Change, Path, State, Value};
use alloc::format;
use alloc::vec;

fn keyed() -> Digester {
    Digester::Keyed(DigestKey::from_bytes([1; 32]))
}

fn filled(sections: usize, bytes: usize) -> State {
    let entries = (0..sections).map(|at| {
        let path = Path::parse(&format!("s{at:02}/k")).unwrap();
        (path, Value::Bytes(vec![0; bytes]))
    });
    State::from_entries(entries).unwrap()
}

#[test]
fn state_under_another_digester_has_the_same_content() {
    let plain = filled(2, 10);
    let state = plain.under(keyed()).unwrap();
    assert_ne!(state.root(), plain.root());
    assert!(state == plain && state != State::empty());
    assert_eq!(state.under(Digester::Plain).unwrap().root(), plain.root());
    let other = Digester::Keyed(DigestKey::from_bytes([2; 32]));
    assert_ne!(state.under(other).unwrap().root(), state.root());
}

#[test]
fn change_of_a_keyed_state_is_keyed() {
    let state = State::empty_under(keyed());
    let set = Change::Set(Path::parse("a/x").unwrap(), Value::Bool(true));
    let (next, delta) = state.change(&[set]).unwrap().unwrap();
    assert!(next.digester().is_keyed());
    let plain = State::empty().apply(&delta, next.root());
    assert_eq!(plain.err(), Some(Reject::DigestMismatch));
    assert_eq!(state.apply(&delta, next.root()).unwrap(), next);
}

//= spec/encryption.md#encrypted-snapshot type=test
//# A state of an encrypted plane MUST count each section as 64 bytes more, else
//# `state-oversize`.
#[test]
fn keyed_state_that_only_fits_readable_is_refused() {
    // 32 sections of 32767 bytes: one byte for the map, 8 for the path with its head, 3 for the head.
    let value = STATE_BYTES_MAX / 32 - 1 - 6 - 3;
    let plain = filled(32, value);
    assert!(plain.len_bytes() > STATE_BYTES_MAX - 32 * ENCRYPTED_OVERHEAD_BYTES_MAX);
    assert_eq!(plain.under(keyed()).err(), Some(Reject::StateOversize));
    assert!(filled(32, value - 64).under(keyed()).is_ok());
    assert_eq!(
        filled(32, value - 63).under(keyed()).err(),
        Some(Reject::StateOversize)
    );
}

//= spec/encryption.md#encrypted-snapshot type=test
//# A body of an encrypted plane MUST NOT exceed 65472 bytes before it is encrypted, else
//# `section-oversize`.
#[test]
fn keyed_section_that_only_fits_readable_is_refused() {
    let entry = |name: &str, bytes| (Path::parse(name).unwrap(), Value::Bytes(vec![0; bytes]));
    let of = |last| State::from_entries([entry("s/a", 32_768), entry("s/b", last)]).unwrap();
    let largest = 65_472 - 1 - 32_768 - 2 * 7;
    assert_eq!(of(largest).len_bytes(), 65_472);
    assert!(of(largest).under(keyed()).is_ok());
    let larger = of(largest + 1).under(keyed());
    assert_eq!(larger.err(), Some(Reject::SectionOversize));
}
