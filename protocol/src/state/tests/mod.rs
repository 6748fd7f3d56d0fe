//! States: refusals of every kind, digests and sharing.

mod assembly;
mod encrypted;
mod random;
mod table;

use super::hash::count;
use super::{
    Change, Delta, DeltaView, Finite, Integer, Path, Reference, SectionName, State, Value,
    check_body, check_path,
};
use crate::cbor::decode_all;
use crate::id::Digest;
use crate::reject::Reject;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn int(number: i64) -> Value {
    Value::Int(Integer::from(number))
}

fn state(entries: &[(&str, Value)]) -> State {
    let entries = entries
        .iter()
        .map(|(text, value)| (path(text), value.clone()));
    State::from_entries(entries).unwrap()
}

fn base() -> State {
    state(&[
        ("net/mtu", int(1500)),
        ("net/wifi/ssid", Value::Text("hall-A".into())),
        ("line/speed", int(40)),
        ("note", Value::Text("x".into())),
    ])
}

fn delta(set: &[(&str, Value)], remove: &[&str]) -> Delta {
    let set = set
        .iter()
        .map(|(text, value)| (path(text), value.clone()))
        .collect();
    Delta::new(set, remove.iter().map(|text| path(text)).collect()).unwrap()
}

//= spec/postern.md#paths type=test
//# A path MUST be one or more segments of `a-z 0-9 . _ -` joined by `/`, without the segments `.`
//# and `..`, and at most 255 bytes, else `path-invalid`.
#[test]
fn path_outside_the_grammar_is_invalid() {
    for text in [
        "", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "a/../b", "A", "a b", "a\\b", "ü", "a\0",
        "a:b", "*", "./a", "a/..",
    ] {
        assert_eq!(check_path(text), Err(Reject::PathInvalid), "{text}");
    }
    assert_eq!(check_path(&"a".repeat(256)), Err(Reject::PathInvalid));
}

#[test]
fn path_inside_the_grammar_names_section_and_ancestors() {
    let cases: [(&str, &str, &[&str]); 5] = [
        ("a", "", &[]),
        ("a/b", "a", &["a"]),
        ("a/b/c", "a", &["a", "a/b"]),
        ("...", "", &[]),
        ("a.b-c_9/.x", "a.b-c_9", &["a.b-c_9"]),
    ];
    for (text, section, ancestors) in cases {
        let path = path(text);
        assert_eq!(path.section(), section);
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ancestors);
    }
    assert!(check_path(&"a".repeat(255)).is_ok());
}

//= spec/postern.md#snapshot type=test
//# A section name MUST be empty or one valid path segment, else `section-invalid`.
#[test]
fn section_name_with_a_slash_or_dots_is_invalid() {
    for text in ["a/b", "/", "..", ".", "A", " "] {
        assert_eq!(SectionName::parse(text), Err(Reject::SectionInvalid));
    }
    assert!(SectionName::parse("").is_ok() && SectionName::parse("net").is_ok());
}

#[test]
fn value_outside_the_registry_is_refused() {
    let digest = format!("5820{}", "00".repeat(32));
    let cases = [
        //= spec/postern.md#values type=test
        //# A value MUST be null, a boolean, an integer in -2^63..2^64-1, a float, text, a byte
        //# string, or a reference, else `value-invalid`.
        ("a0".into(), Reject::ValueInvalid),
        ("80".into(), Reject::ValueInvalid),
        ("820001".into(), Reject::ValueInvalid),
        //= spec/postern.md#values type=test
        //# A reference MUST be `[digest: bstr32, size: uint, media type: tstr of 1 to 127 bytes]`,
        //# else `value-invalid`.
        (format!("83{digest}0060"), Reject::ValueInvalid),
        (format!("83{digest}206161"), Reject::ValueInvalid),
        (format!("83{digest}0040"), Reject::ValueInvalid),
        (format!("83410000{}", "6161"), Reject::ValueInvalid),
        (
            format!("83{digest}007880{}", "61".repeat(128)),
            Reject::ValueInvalid,
        ),
        (
            //= spec/postern.md#values type=test
            //# Text and byte strings of a value MUST NOT hold more than 32768 bytes, else
            //# `value-oversize`.
            format!("598001{}", "00".repeat(32_769)),
            Reject::ValueOversize,
        ),
        (
            format!("798001{}", "61".repeat(32_769)),
            Reject::ValueOversize,
        ),
        ("f7".into(), Reject::CborSimple),
        ("c000".into(), Reject::CborTag),
        ("a1".into(), Reject::CborTruncated),
    ];
    for (hex, reject) in cases {
        let bytes = unhex(&hex);
        assert_eq!(decode_all(&bytes, Value::decode), Err(reject), "{hex:.40}");
    }
    assert_eq!(Finite::new(f64::NAN), Err(Reject::ValueInvalid));
    assert_eq!(Finite::new(f64::NEG_INFINITY), Err(Reject::ValueInvalid));
    assert_eq!(Integer::new(1 << 64), Err(Reject::ValueInvalid));
    assert_eq!(Integer::new(-(1 << 63) - 1), Err(Reject::ValueInvalid));
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn delta_payload_that_breaks_a_rule_is_refused() {
    let cases = [
        ("80", Reject::Shape),
        ("a0", Reject::Shape),
        ("83a0816161f6", Reject::Shape),
        ("82a1616b0180", Reject::Shape),
        //= spec/postern.md#delta type=test
        //# The form of two members MUST hold at least one removal, else `shape`.
        ("82a080", Reject::Shape),
        ("81a10001", Reject::Shape),
        ("82a0810 1", Reject::Shape),
        //= spec/postern.md#delta type=test
        //# A delta that sets nothing and removes nothing MUST be refused with `delta-empty`.
        ("81a0", Reject::DeltaEmpty),
        //= spec/postern.md#delta type=test
        //# Removals MUST be unique and ascend by their encoded bytes, else `delta-order`.
        ("82a08261626161", Reject::DeltaOrder),
        ("82a08262616161 62", Reject::DeltaOrder),
        ("82a08261616161", Reject::DeltaOrder),
        //= spec/postern.md#delta type=test
        //# A path MUST NOT be both set and removed, else `delta-conflict`.
        ("82a161610181 6161", Reject::DeltaConflict),
        ("82a26161016162018161 62", Reject::DeltaConflict),
        ("81a1614101", Reject::PathInvalid),
        ("82a0816141", Reject::PathInvalid),
        ("81a1616ba0", Reject::ValueInvalid),
        ("81a261620161 6101", Reject::CborUnsortedKey),
        ("81a2616101616101", Reject::CborDuplicateKey),
        ("81a1616b01ff", Reject::CborTrailing),
        ("81a1616b", Reject::CborTruncated),
    ];
    for (hex, reject) in cases {
        let payload = unhex(&hex.replace(' ', ""));
        assert_eq!(DeltaView::decode(&payload).err(), Some(reject), "{hex}");
    }
}

#[test]
fn delta_that_does_not_fit_is_refused_and_leaves_the_state() {
    let base = base();
    let big = Value::Bytes(vec![0; 32_768]);
    let cases = [
        //= spec/postern.md#delta type=test
        //# A removal of a path that the base does not hold MUST be refused with
        //# `delta-remove-absent`.
        (delta(&[], &["absent"]), Reject::DeltaRemoveAbsent),
        (delta(&[], &["net"]), Reject::DeltaRemoveAbsent),
        (delta(&[], &["net/absent"]), Reject::DeltaRemoveAbsent),
        (delta(&[], &["other/absent"]), Reject::DeltaRemoveAbsent),
        //= spec/postern.md#paths type=test
        //# A path of a state MUST NOT be an ancestor of another, segment by segment, else
        //# `path-conflict`.
        (delta(&[("net", int(1))], &[]), Reject::PathConflict),
        (delta(&[("net/wifi", int(1))], &[]), Reject::PathConflict),
        (delta(&[("net/mtu/x", int(1))], &[]), Reject::PathConflict),
        (delta(&[("note/x", int(1))], &[]), Reject::PathConflict),
        (
            delta(&[("m", int(1)), ("m/n", int(1))], &[]),
            Reject::PathConflict,
        ),
        (
            //= spec/postern.md#digest type=test
            //# A body MUST NOT exceed 65536 bytes, else `section-oversize`.
            delta(&[("s/a", big.clone()), ("s/b", big)], &[]),
            Reject::SectionOversize,
        ),
        //= spec/postern.md#delta type=test
        //# A result whose root digest is not the one in the header MUST be refused with
        //# `digest-mismatch`.
        (delta(&[("net/mtu", int(1))], &[]), Reject::DigestMismatch),
    ];
    let root = *base.root();
    for (delta, reject) in cases {
        let expected = Digest::from_bytes([0; 32]);
        assert_eq!(base.apply(&delta, &expected), Err(reject), "{delta:?}");
        let payload = delta.encode();
        let view = DeltaView::decode(&payload).unwrap();
        assert_eq!(base.apply_view(&view, &expected), Err(reject));
        assert_eq!(base.root(), &root);
    }
}

//= spec/postern.md#delta type=test
//# A reader MUST apply removals before sets.
#[test]
fn delta_that_moves_a_path_below_itself_applies() {
    let moved = delta(
        &[("note/first", int(1)), ("net/wifi", int(2))],
        &["note", "net/wifi/ssid"],
    );
    let after = state(&[
        ("net/mtu", int(1500)),
        ("net/wifi", int(2)),
        ("line/speed", int(40)),
        ("note/first", int(1)),
    ]);
    assert_eq!(base().apply(&moved, after.root()), Ok(after));
}

//= spec/postern.md#digest type=test
//# A state MUST NOT hold more than 512 sections or bodies of more than 1048576 bytes in sum, else
//# `state-oversize`.
//= spec/postern.md#limits type=test
//# An implementation MUST accept everything up to a bound and refuse what is beyond it.
#[test]
fn state_above_a_limit_is_oversize() {
    let sections = |count: usize| (0..count).map(|index| (path(&format!("s{index}/k")), int(1)));
    assert_eq!(
        State::from_entries(sections(513)),
        Err(Reject::StateOversize)
    );
    assert!(State::from_entries(sections(512)).is_ok());
    let bodies = |count: usize| {
        (0..count).map(|index| {
            let path = path(&format!("s{:02}/k{}", index / 2, index % 2));
            (path, Value::Bytes(vec![0; 32_700]))
        })
    };
    assert_eq!(State::from_entries(bodies(34)), Err(Reject::StateOversize));
    assert!(State::from_entries(bodies(32)).is_ok());
}

#[test]
fn change_of_one_key_hashes_one_section_and_the_root() {
    let entries = (0..500).map(|index| {
        let path = path(&format!("s{:02}/k{index:03}", index % 50));
        (path, Value::Text(format!("value {index}")))
    });
    let before = State::from_entries(entries).unwrap();
    let one = delta(&[("s07/k007", int(1))], &[]);
    let (after, calls, bytes) = count::during(|| {
        let scratch = before.change(&[Change::Set(path("s07/k007"), int(1))]);
        scratch.unwrap().unwrap().0
    });
    assert_eq!(calls, 2);
    let body = after.section_body("s07").unwrap().len();
    let table_bytes = 1 + 14 + 2 + 50 * (4 + 34);
    assert_eq!(bytes, body + table_bytes);
    let (applied, calls, _) = count::during(|| before.apply(&one, after.root()));
    assert_eq!((applied.as_ref(), calls), (Ok(&after), 2));
    for (name, section) in &before.sections {
        let shared = alloc::sync::Arc::ptr_eq(section, &after.sections[name]);
        assert_eq!(shared, name.as_str() != "s07");
    }
}

#[test]
fn change_that_changes_nothing_is_no_decision() {
    let base = base();
    for changes in [
        vec![],
        vec![Change::Set(path("net/mtu"), int(1500))],
        vec![
            Change::Set(path("net/mtu"), int(1)),
            Change::Set(path("net/mtu"), int(1500)),
        ],
        vec![
            Change::Set(path("new"), int(1)),
            Change::Remove(path("new")),
        ],
    ] {
        assert_eq!(base.change(&changes), Ok(None), "{changes:?}");
    }
}

#[test]
fn change_that_breaks_a_rule_is_refused() {
    let cases = [
        (
            vec![Change::Remove(path("absent"))],
            Reject::DeltaRemoveAbsent,
        ),
        (
            vec![Change::Remove(path("note")), Change::Remove(path("note"))],
            Reject::DeltaRemoveAbsent,
        ),
        (
            vec![Change::Set(path("note/a"), int(1))],
            Reject::PathConflict,
        ),
        (
            vec![Change::Set(path("k"), Value::Text("x".repeat(32_769)))],
            Reject::ValueOversize,
        ),
        (
            vec![Change::Set(path("k"), reference(""))],
            Reject::ValueInvalid,
        ),
    ];
    for (changes, reject) in cases {
        assert_eq!(base().change(&changes), Err(reject));
    }
}

fn reference(media_type: &str) -> Value {
    Value::Reference(Reference {
        digest: Digest::from_bytes([9; 32]),
        size_bytes: 1 << 40,
        media_type: media_type.into(),
    })
}

#[test]
fn change_gives_a_delta_that_leads_to_the_same_state() {
    let changes = [
        Change::Remove(path("note")),
        Change::Set(path("note/a"), reference("text/plain")),
        Change::Set(path("net/mtu"), int(-1)),
    ];
    let (next, delta) = base().change(&changes).unwrap().unwrap();
    assert_eq!((delta.set().len(), delta.remove().len()), (2, 1));
    assert_eq!(base().apply(&delta, next.root()), Ok(next.clone()));
    assert_eq!(base().diff(&next), Some(delta));
    assert_eq!(next.value("note/a"), Some(&reference("text/plain")));
    assert_eq!((next.value("note"), next.paths_count()), (None, 4));
}

//= spec/postern.md#snapshot type=test
//# A body MUST be a non-empty map in the CBOR profile whose paths and values are valid and all lie
//# in the section, else the reject of what is wrong, and `body-mismatch` for a path of another
//# section.
//= spec/postern.md#snapshot type=test
//# A body MUST be within its limit (`section-oversize`), then have the digest that the table names,
//# else `body-mismatch`.
#[test]
fn body_that_is_not_the_named_one_is_refused() {
    let cases = [
        ("a0", Reject::Shape),
        ("80", Reject::Shape),
        ("a1646e65742f01", Reject::PathInvalid),
        ("a1656e65742f6180", Reject::ValueInvalid),
        ("a1676f746865722f6101", Reject::BodyMismatch),
        ("a1636e657401", Reject::BodyMismatch),
        ("a2656e65742f6101676e65742f612f6201", Reject::PathConflict),
        ("a1656e65742f610100", Reject::CborTrailing),
    ];
    let name = SectionName::parse("net").unwrap();
    for (hex, reject) in cases {
        let body = unhex(hex);
        assert_eq!(
            check_body(&name, &Digest::of(&body), &body),
            Err(reject),
            "{hex}"
        );
        let other = Digest::from_bytes([0; 32]);
        assert_eq!(check_body(&name, &other, &body), Err(Reject::BodyMismatch));
    }
    let large = vec![0; 65_537];
    assert_eq!(
        check_body(&name, &Digest::of(&large), &large),
        Err(Reject::SectionOversize)
    );
}

//= spec/postern.md#delta type=test
//# After the change a reader MUST check paths (`path-conflict`), then limits (`section-oversize`,
//# `state-oversize`), then the digest.
#[test]
fn delta_that_breaks_two_rules_is_refused_for_paths_then_limits_then_digest() {
    let big = || Value::Bytes(vec![0; 32_768]);
    let oversize = [("s/a", big()), ("s/b", big())];
    let conflict = [("note/x", int(1)), ("s/a", big()), ("s/b", big())];
    let sections = (0..513).map(|index| Change::Set(path(&format!("t{index}/k")), int(1)));
    let wide: Vec<Change> = sections.collect();
    let cases = [
        (delta(&conflict, &[]), Reject::PathConflict),
        (delta(&oversize, &[]), Reject::SectionOversize),
        (delta(&[("net/mtu", int(1))], &[]), Reject::DigestMismatch),
    ];
    for (delta, reject) in cases {
        let wrong = Digest::from_bytes([0; 32]);
        assert_eq!(base().apply(&delta, &wrong), Err(reject));
    }
    assert_eq!(base().change(&wide), Err(Reject::StateOversize));
}

//= spec/postern.md#digest type=test
//# A section without a path MUST be absent from the table.
#[test]
fn section_that_lost_its_last_path_is_in_no_table() {
    let gone = delta(&[], &["line/speed"]);
    let after = state(&[
        ("net/mtu", int(1500)),
        ("net/wifi/ssid", Value::Text("hall-A".into())),
        ("note", Value::Text("x".into())),
    ]);
    let applied = base().apply(&gone, after.root()).unwrap();
    assert!(
        applied
            .section_digests()
            .all(|(name, _)| name.as_str() != "line")
    );
    assert_eq!(applied.section_table().sections_count(), 2);
    assert_eq!(applied.section_body("line"), None);
}
