//! What a state says of itself, and section tables as they are read.

use super::{base, delta, int, path, state, unhex};
use crate::cbor::{Reader, Writer};
use crate::encryption::{DigestKey, Digester};
use crate::id::Digest;
use crate::reject::Reject;
use crate::revision::KeyGeneration;
use crate::state::{DeltaView, Finite, SectionTable, State, Value};
use alloc::format;
use alloc::vec::Vec;

/// The bytes of a table of so many sections, each with so many digests.
fn table_of(sections: usize, digests: usize) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(sections);
    for at in 0..sections {
        writer.text(&format!("s{at:03}"));
        if digests > 1 {
            writer.array(digests);
        }
        for _ in 0..digests {
            writer.bytes(&[7; 32]);
        }
    }
    writer.into_bytes()
}

fn read(bytes: &[u8]) -> Result<SectionTable, Reject> {
    let mut reader = Reader::new(bytes);
    let table = SectionTable::decode(&mut reader)?;
    reader.finish().map(|()| table)
}

//= spec/postern.md#digest type=test
//# A state MUST NOT hold more than 512 sections or bodies of more than 1048576 bytes in
//# sum, else `state-oversize`.
#[test]
fn table_of_more_sections_than_a_state_may_hold_is_oversize() {
    for digests in [1, 2] {
        let largest = read(&table_of(512, digests)).unwrap();
        assert_eq!(largest.sections_count(), 512);
        let larger = read(&table_of(513, digests));
        assert_eq!(larger.err(), Some(Reject::StateOversize));
    }
}

//= spec/encryption.md#encrypted-snapshot type=test
//# All rows of a table MUST have one form, else `shape`.
#[test]
fn table_whose_rows_differ_in_form_is_refused() {
    let one = format!("5820{}", "07".repeat(32));
    let rows = [one.clone(), format!("82{one}{one}")];
    for (first, second) in [(0, 1), (1, 0)] {
        let hex = format!("a26161{}6162{}", rows[first], rows[second]);
        assert_eq!(read(&unhex(&hex)).err(), Some(Reject::Shape));
    }
    let three = format!("a1616183{one}{one}{one}");
    assert_eq!(read(&unhex(&three)).err(), Some(Reject::Shape));
}

#[test]
fn key_generation_is_taken_for_encrypted_rows_or_none() {
    let second = KeyGeneration::new(2);
    for (bytes, expected) in [
        (table_of(0, 1), Ok(())),
        (table_of(1, 2), Ok(())),
        (table_of(1, 1), Err(Reject::Shape)),
    ] {
        let mut table = read(&bytes).unwrap();
        assert_eq!(table.set_generation(second), expected);
        let told = expected.is_ok().then_some(second);
        assert_eq!(table.generation(), told);
        let none = table.set_generation(KeyGeneration::new(0));
        assert_eq!(none, Err(Reject::Shape));
    }
}

#[test]
fn state_says_what_it_holds_and_nothing_else() {
    let state = base();
    assert!(!state.is_empty() && State::empty().is_empty());
    let keyed = Digester::Keyed(DigestKey::from_bytes([1; 32]));
    assert!(State::empty_under(keyed).is_empty());
    let names: Vec<_> = state
        .section_digests()
        .map(|(name, _)| format!("{name}"))
        .collect();
    assert_eq!(names, ["", "line", "net"]);
    for name in ["", "line", "net"] {
        let body = state.section_body(name).unwrap();
        let digest = state.section_digest(name).unwrap();
        assert_eq!(*digest, Digest::of(body));
        assert_eq!(state.body(digest), Some(body));
    }
    let absent = (state.section_digest("wifi"), state.section_body("wifi"));
    assert_eq!(absent, (None, None));
    assert_eq!(state.body(&Digest::from_bytes([0; 32])), None);
}

//= spec/postern.md#paths type=test
//# A path of a state MUST NOT be an ancestor of another, segment by segment, else `path-conflict`.
#[test]
fn state_made_of_paths_that_conflict_is_refused() {
    for conflict in [
        ["net", "net/mtu"],
        ["net/wifi/ssid", "net/wifi"],
        ["net/a/b/c", "net/a"],
        ["x/y", "x"],
    ] {
        let entries = conflict.map(|text| (path(text), int(1)));
        let refused = State::from_entries(entries).err();
        assert_eq!(refused, Some(Reject::PathConflict), "{conflict:?}");
    }
    let beside = ["net/mtu", "net/mtu-2", "nett", "ne/t"].map(|text| (path(text), int(1)));
    assert!(State::from_entries(beside).is_ok());
}

#[test]
fn delta_counts_what_it_edits_sets_and_removes() {
    let long = "x".repeat(400);
    let before = state(&[
        ("log/a", Value::Text(long.clone())),
        ("log/b", Value::Text(format!("{long}2"))),
        ("gone", int(1)),
    ]);
    let changed = [
        ("log/a", Value::Text(format!("{long}y"))),
        ("log/b", Value::Text(format!("{long}z"))),
        ("new", int(1)),
    ];
    let payload = delta(&changed, &["gone"]).shortened(&before).encode();
    let view = DeltaView::decode(&payload).unwrap();
    let counts = (view.edits_count(), view.sets_count(), view.removals_count());
    assert_eq!(counts, (2, 1, 1));
    let plain = delta(&changed, &["gone"]).encode();
    let view = DeltaView::decode(&plain).unwrap();
    let counts = (view.edits_count(), view.sets_count(), view.removals_count());
    assert_eq!(counts, (0, 3, 1));
}

//= spec/postern.md#values type=test
//# Text and byte strings of a value MUST NOT hold more than 32768 bytes, else `value-oversize`.
#[test]
fn value_of_32768_bytes_is_taken_wherever_values_stand() {
    let (text, bytes) = ("x".repeat(32_768), alloc::vec![0; 32_768]);
    for value in [Value::Text(text), Value::Bytes(bytes)] {
        let mut writer = Writer::new();
        value.encode(&mut writer);
        let read = crate::cbor::decode_all(writer.as_bytes(), Value::decode);
        assert_eq!(read, Ok(value.clone()));
        let payload = delta(&[("k", value)], &[]).encode();
        assert!(DeltaView::decode(&payload).is_ok());
    }
    // One byte more, where a delta is only looked through.
    for head in [0x78, 0x58] {
        let mut payload = alloc::vec![0x81, 0xa1, 0x61, b'k', head + 1, 0x80, 0x01];
        payload.extend(alloc::vec![b'x'; 32_769]);
        let read = DeltaView::decode(&payload).err();
        assert_eq!(read, Some(Reject::ValueOversize));
    }
}

#[test]
fn float_of_a_value_is_the_number_given() {
    for number in [0.0, -0.0, 2.5, -1e300, f64::MIN_POSITIVE] {
        let held = Finite::new(number).unwrap().number();
        assert_eq!(held.to_bits(), number.to_bits());
    }
    assert_eq!(Finite::new(f64::INFINITY), Err(Reject::ValueInvalid));
}
