//! Snapshots from bodies that come in chunks, wrong ones among them.

use super::{base, int, state};
use crate::cbor::decode_all;
use crate::id::Digest;
use crate::reject::Reject;
use crate::state::{SectionTable, SnapshotAssembly, State, Value};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// Feeds every missing body from `source` in chunks of `step` bytes.
pub(super) fn feed(
    assembly: &mut SnapshotAssembly,
    source: &State,
    step: usize,
) -> Result<usize, Reject> {
    let mut chunks = 0;
    loop {
        let next = assembly.missing().next();
        let Some((digest, offset)) = next else {
            return Ok(chunks);
        };
        let body = source.body(&digest).unwrap();
        let start = usize::try_from(offset).unwrap();
        let chunk = &body[start..body.len().min(start + step)];
        assembly.put(&digest, body.len() as u64, offset, chunk)?;
        chunks += 1;
    }
}

//= spec/postern.md#snapshot type=test
//# A reader MUST hold every body that the table names before it accepts a snapshot.
#[test]
fn assembly_fed_in_chunks_gives_the_state_and_reuses_held_sections() {
    let target = base();
    let table = target.section_table();
    for step in [1, 7, 32_768] {
        let mut assembly = SnapshotAssembly::new(&table, &State::empty());
        feed(&mut assembly, &target, step).unwrap();
        assert_eq!(assembly.finish(), Ok(target.clone()));
    }
    let held = state(&[("net/mtu", int(1)), ("line/speed", int(40))]);
    let assembly = SnapshotAssembly::new(&table, &held);
    assert_eq!(assembly.missing().count(), 2);
    assert_eq!(assembly.finish(), Err(Reject::BodyMismatch));
    assert!(SnapshotAssembly::new(&table, &target).is_complete());
}

#[test]
fn assembly_given_wrong_bytes_refuses_and_can_go_on() {
    let target = base();
    let body = target.section_body("net").unwrap();
    let digest = Digest::of(body);
    let size = body.len() as u64;
    let mut assembly = SnapshotAssembly::new(&target.section_table(), &State::empty());
    let unknown = Digest::from_bytes([0; 32]);
    let mut changed: Vec<u8> = body.into();
    changed[0] ^= 1;
    for (digest, size, offset, bytes, reject) in [
        (unknown, size, 0, body, Reject::BodyMismatch),
        (digest, size, 1, body, Reject::BodyMismatch),
        (digest, size, 1, &body[1..], Reject::BodyMismatch),
        (digest, size - 1, 0, body, Reject::BodyMismatch),
        (digest, size, u64::MAX, body, Reject::BodyMismatch),
        (digest, 65_537, 0, body, Reject::SectionOversize),
        (digest, u64::MAX, 0, body, Reject::SectionOversize),
        (digest, size, 0, &changed, Reject::BodyMismatch),
    ] {
        assert_eq!(assembly.put(&digest, size, offset, bytes), Err(reject));
    }
    assert_eq!(assembly.put(&digest, size, 0, &body[..5]), Ok(()));
    assert_eq!(
        assembly.put(&digest, size + 1, 5, &body[5..]),
        Err(Reject::BodyMismatch)
    );
    assert_eq!(assembly.put(&digest, size, 0, &body[..9]), Ok(()));
    assert!(assembly.missing().any(|missing| missing == (digest, 9)));
    feed(&mut assembly, &target, 4).unwrap();
    assert_eq!(assembly.finish(), Ok(target));
}

//= spec/postern.md#snapshot type=test
//# A reader MUST check `path-conflict` and the limits over the whole new state.
#[test]
fn assembly_of_sections_that_conflict_is_refused() {
    let (file, folder) = (state(&[("net", int(1))]), state(&[("net/mtu", int(1))]));
    let mut writer = crate::cbor::Writer::new();
    writer.map(2);
    for (name, source) in [("", &file), ("net", &folder)] {
        let (_, digest) = source.section_digests().next().unwrap();
        writer.text(name).bytes(digest.as_bytes());
    }
    let table = decode_all(writer.as_bytes(), SectionTable::decode).unwrap();
    let mut assembly = SnapshotAssembly::new(&table, &file);
    feed(&mut assembly, &folder, 100).unwrap();
    assert_eq!(assembly.finish(), Err(Reject::PathConflict));
}

/// A state of one section whose body has 65536 bytes.
fn full_section(number: usize) -> State {
    let value = |bytes: usize| Value::Bytes(vec![0; bytes]);
    // One byte for the map; 6 for each path with its head, 3 for the head of each value.
    let rest = 65_536 - 1 - 2 * 9 - 32_768;
    let [first, second] = ["a", "b"].map(|key| format!("s{number:02}/{key}"));
    state(&[(&first, value(32_768)), (&second, value(rest))])
}

/// Collects so many full sections; a refusal on the way says after how many of them.
fn collect(sections: usize) -> Result<State, (Reject, usize)> {
    let states: Vec<_> = (0..sections).map(full_section).collect();
    let mut writer = crate::cbor::Writer::new();
    writer.map(sections);
    for (name, digest) in states.iter().flat_map(State::section_digests) {
        writer.text(name.as_str()).bytes(digest.as_bytes());
    }
    let table = decode_all(writer.as_bytes(), SectionTable::decode).unwrap();
    let mut assembly = SnapshotAssembly::new(&table, &State::empty());
    for (held, (digest, body)) in states.iter().flat_map(State::bodies).enumerate() {
        for (at, chunk) in (0..).zip(body.chunks(32_768)) {
            let put = assembly.put(&digest, body.len() as u64, at * 32_768, chunk);
            put.map_err(|reject| (reject, held))?;
        }
    }
    assembly.finish().map_err(|reject| (reject, sections))
}

//= spec/postern.md#snapshot type=test
//# A reader MUST check `path-conflict` and the limits over the whole new state.
//= spec/postern.md#digest type=test
//# A body MUST NOT exceed 65536 bytes, else `section-oversize`.
#[test]
fn assembly_of_the_largest_state_is_taken_and_one_section_more_is_refused_on_the_way() {
    assert_eq!(collect(16).map(|state| state.len_bytes()), Ok(1_048_576));
    assert_eq!(collect(18), Err((Reject::StateOversize, 16)));
}
