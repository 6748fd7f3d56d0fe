//! Edits: refusals run by run, and seeded pairs of documents that come out as they should.

use super::{Edit, EditView, Run};
use crate::cbor::{Reader, Writer};
use crate::limits::{EDIT_DIFFERENCES_MAX, EDIT_RUNS_MAX, VALUE_BYTES_MAX};
use crate::reject::Reject;
use crate::state::{Delta, DeltaView, Path, State, Value};
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

const fn run(skip: u64, delete: u64, insert: &[u8]) -> Run<'_> {
    Run {
        skip,
        delete,
        insert,
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn apply(base: &Value, runs: &[Run<'_>]) -> Result<Value, Reject> {
    Edit::new(runs)?.as_view().apply(base)
}

#[test]
fn edit_changes_what_its_runs_say() {
    let cases: [(&[Run<'_>], &str); 6] = [
        (&[run(0, 0, b"x")], "xabcdef"),
        (&[run(6, 0, b"x")], "abcdefx"),
        (&[run(0, 6, b"")], ""),
        (&[run(1, 2, b"XYZ"), run(1, 1, b"")], "aXYZdf"),
        (&[run(0, 1, b"A"), run(4, 1, b"F")], "AbcdeF"),
        (&[run(2, 1, b"c")], "abcdef"),
    ];
    for (runs, expected) in cases {
        assert_eq!(apply(&text("abcdef"), runs), Ok(text(expected)), "{runs:?}");
        let bytes = Value::Bytes(b"abcdef".to_vec());
        let expected = Value::Bytes(expected.as_bytes().to_vec());
        assert_eq!(apply(&bytes, runs), Ok(expected), "{runs:?}");
    }
}

//= spec/planes.md#edit type=test
//# An edit that skips and deletes more bytes than the base value has MUST be refused with
//# `edit-range`.
//= spec/planes.md#edit type=test
//# A text that is not UTF-8 after the whole edit MUST be refused with `edit-utf8`.
//= spec/planes.md#edit type=test
//# An edit of a path that the base does not hold, or that holds neither text nor bytes, MUST be
//# refused with `edit-base`.
#[test]
fn edit_that_cannot_be_made_is_refused() {
    let base = text("aüb");
    let cases: [(&[Run<'_>], Reject); 8] = [
        (&[run(5, 0, b"x")], Reject::EditRange),
        (&[run(0, 5, b"")], Reject::EditRange),
        (&[run(2, 2, b""), run(1, 0, b"x")], Reject::EditRange),
        (&[run(u64::MAX, 1, b"")], Reject::EditRange),
        (&[run(1, u64::MAX, b"")], Reject::EditRange),
        (&[run(2, 1, b"")], Reject::EditUtf8),
        (&[run(0, 0, b"\xff")], Reject::EditUtf8),
        (&[run(1, 1, b"\xc3"), run(1, 1, b"\xc3")], Reject::EditUtf8),
    ];
    for (runs, reject) in cases {
        assert_eq!(apply(&base, runs), Err(reject), "{runs:?}");
    }
    for base in [Value::Null, Value::Bool(true)] {
        assert_eq!(apply(&base, &[run(0, 0, b"x")]), Err(Reject::EditBase));
    }
    // Half a character is allowed on the way: only the whole text counts.
    let whole = apply(&base, &[run(1, 1, b"\xc3"), run(1, 0, b"!")]);
    assert_eq!(whole, Ok(text("aü!b")));
}

//= spec/planes.md#edit type=test
//# A result of more than 32768 bytes MUST be refused with `value-oversize` before memory is taken
//# for it.
#[test]
fn edit_whose_result_is_too_large_is_refused() {
    let base = Value::Bytes(vec![1; VALUE_BYTES_MAX]);
    assert_eq!(apply(&base, &[run(0, 0, b"x")]), Err(Reject::ValueOversize));
    assert!(apply(&base, &[run(0, 1, b"x")]).is_ok());
    let runs = [run(0, 0, b"x"), run(9, 1, b"")];
    assert!(apply(&base, &runs).is_ok(), "only the end counts");
    let long = vec![0; VALUE_BYTES_MAX + 1];
    let small = Value::Bytes(vec![]);
    assert_eq!(
        apply(&small, &[run(0, 0, &long)]),
        Err(Reject::ValueOversize)
    );
}

//= spec/planes.md#edit type=test
//# An edit MUST NOT have more than 256 runs, else `edit-runs`.
//= spec/planes.md#edit type=test
//# A run MUST NOT have delete 0 with an empty insert, or skip 0 unless it is the first, else
//# `edit-empty`.
#[test]
fn runs_that_break_a_rule_are_refused() {
    let many = |count: usize| -> Vec<Run<'_>> { vec![run(1, 1, b""); count] };
    assert_eq!(Edit::new(&[]), Err(Reject::Shape));
    assert_eq!(Edit::new(&many(257)), Err(Reject::EditRuns));
    assert!(Edit::new(&many(256)).is_ok());
    assert_eq!(Edit::new(&[run(1, 0, b"")]), Err(Reject::EditEmpty));
    let touching = [run(0, 1, b""), run(0, 1, b"x")];
    assert_eq!(Edit::new(&touching), Err(Reject::EditEmpty));
    for bytes in [
        &[0x81, 0x82, 0, 1][..],
        &[0x81, 0x84, 0, 1, 0x40, 0],
        &[0x81, 0x83, 0x20, 1, 0x40],
        &[0x81, 0x83, 0, 1, 0x61, b'x'],
        &[0xa0],
    ] {
        let read = EditView::read(&mut Reader::new(bytes), bytes);
        assert_eq!(read, Err(Reject::Shape), "{bytes:x?}");
    }
}

//= spec/planes.md#edit type=test
//# The paths of edits MUST be valid, else `path-invalid`.
//= spec/planes.md#edit type=test
//# A path MUST NOT be edited and set or removed in one delta, else `delta-conflict`, once all edits
//# have their form.
#[test]
fn delta_with_edits_that_breaks_a_rule_is_refused() {
    let edit = [0x81, 0x83, 0, 1, 0x40];
    let with = |members: &[&[u8]]| members.concat();
    let cases = [
        (with(&[&[0x83, 0xa0, 0x80, 0xa0]]), Reject::Shape),
        (with(&[&[0x83, 0xa0, 0x80, 0x80]]), Reject::Shape),
        (with(&[&[0x84, 0xa0, 0x80, 0xa0, 0x80]]), Reject::Shape),
        (
            with(&[&[0x83, 0xa0, 0x80, 0xa1, 0x61, b'a', 0x80]]),
            Reject::Shape,
        ),
        (
            with(&[&[0x83, 0xa0, 0x80, 0xa1, 0x61, b'A'], &edit]),
            Reject::PathInvalid,
        ),
        (with(&[&[0x83, 0xa0, 0x80, 0xa1, 1], &edit]), Reject::Shape),
        (
            with(&[&[0x83, 0xa1, 0x61, b'a', 1, 0x80, 0xa1, 0x61, b'a'], &edit]),
            Reject::DeltaConflict,
        ),
        (
            with(&[&[0x83, 0xa0, 0x81, 0x61, b'a', 0xa1, 0x61, b'a'], &edit]),
            Reject::DeltaConflict,
        ),
        (
            with(&[
                &[0x83, 0xa0, 0x80, 0xa2, 0x61, b'b'],
                &edit,
                &[0x61, b'a'],
                &edit,
            ]),
            Reject::CborUnsortedKey,
        ),
    ];
    for (payload, reject) in cases {
        let decoded = DeltaView::decode(&payload).map(|_| ());
        assert_eq!(decoded, Err(reject), "{payload:x?}");
    }
    let right = with(&[&[0x83, 0xa0, 0x80, 0xa1, 0x61, b'a'], &edit]);
    let delta = Delta::decode(&right).unwrap();
    assert_eq!((delta.edit().len(), delta.encode()), (1, right));
}

fn state(value: Value) -> State {
    let entry = (Path::parse("doc/text").unwrap(), value);
    let other = (Path::parse("n").unwrap(), Value::Null);
    State::from_entries([entry, other]).unwrap()
}

//= spec/planes.md#edit type=test
//# An edit of a path that the base does not hold, or that holds neither text nor bytes, MUST be
//# refused with `edit-base`.
#[test]
fn edit_of_a_path_without_text_is_refused() {
    let base = state(text("abc"));
    let edit = [0x81, 0x83, 0, 1, 0x40];
    for path in ["absent", "n", "doc/none", "doc"] {
        let head = [
            0x83,
            0xa0,
            0x80,
            0xa1,
            0x60 | u8::try_from(path.len()).unwrap(),
        ];
        let payload = [&head[..], path.as_bytes(), &edit].concat();
        let delta = Delta::decode(&payload).unwrap();
        assert_eq!(
            base.apply(&delta, base.root()),
            Err(Reject::EditBase),
            "{path}"
        );
    }
}

/// A document of many lines, as a unit file or a configuration is.
fn document(lines: u32) -> String {
    (0..lines)
        .map(|at| format!("key-{at} = \"value {}\"\n", at * 7))
        .collect()
}

/// Makes the delta from one text to another, applies it and returns its bytes and runs.
fn travel(from: &str, to: &str) -> (usize, usize) {
    let (before, after) = (state(text(from)), state(text(to)));
    let delta = before.diff(&after).unwrap().shortened(&before);
    let payload = delta.encode();
    let view = DeltaView::decode(&payload).unwrap();
    assert_eq!(before.apply_view(&view, after.root()), Ok(after.clone()));
    assert_eq!(before.apply(&delta, after.root()), Ok(after));
    let runs = delta
        .edit()
        .first()
        .map_or(0, |(_, edit)| edit.as_view().runs().count());
    (payload.len(), runs)
}

#[test]
fn several_changes_in_one_document_become_several_runs() {
    let before = document(800);
    let after = before
        .replacen("key-7 = \"value 49\"", "key-7 = \"value 50\"", 1)
        .replacen("key-400 =", "key-four-hundred =", 1)
        .replacen("key-799 = \"value 5593\"\n", "", 1);
    let (bytes, runs) = travel(&before, &after);
    assert_eq!(runs, 3);
    assert!(bytes < 70, "{bytes}");
}

//= spec/planes.md#edit type=test
//# A writer SHOULD NOT send an edit that takes more bytes than setting the value.
#[test]
fn document_that_changes_everywhere_is_set() {
    let before = document(500);
    let after = before.replace("value", "other").replace("key", "k");
    let (bytes, runs) = travel(&before, &after);
    assert!(bytes <= after.len() + 20, "{bytes} {runs}");
    let (bytes, runs) = travel("short", "other");
    assert_eq!((bytes, runs), (17, 0));
}

#[test]
fn values_of_another_type_are_not_edited() {
    let long = document(3);
    let cases = [
        (text(&long), Value::Bytes(long.clone().into_bytes())),
        (Value::Null, text(&long)),
        (text(&long), text(&long)),
        (text("a"), text("b")),
    ];
    for (base, later) in cases {
        assert_eq!(Edit::between(&base, &later), None);
    }
}

#[test]
fn changed_documents_survive_the_journey() {
    let mut seed: u64 = 7;
    let mut below = |limit: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % limit
    };
    for _ in 0..300 {
        let before = document(1 + u32::try_from(below(120)).unwrap());
        let mut after = before.clone();
        for _ in 0..below(9) {
            let mut at = below(after.len() + 1);
            while !after.is_char_boundary(at) {
                at -= 1;
            }
            let end = (at + below(30)).min(after.len());
            let end = (end..=after.len())
                .find(|end| after.is_char_boundary(*end))
                .unwrap();
            let insert = ["", "ü", "x = 1\n", "key-1"][below(4)];
            after.replace_range(at..end, insert);
        }
        if before != after {
            let (bytes, _) = travel(&before, &after);
            assert!(bytes <= after.to_string().len() + 25);
        }
    }
}

/// A delta that removes, sets and edits in any combination; paths ascend by their encoding.
fn delta_of(sets: &[&str], removals: &[&str], edits: &[(&str, Run<'_>)]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(3).map(sets.len());
    for path in sets {
        writer.text(path).uint(1);
    }
    writer.array(removals.len());
    for path in removals {
        writer.text(path);
    }
    writer.map(edits.len());
    for (path, run) in edits {
        writer.text(path).array(1).array(3);
        writer.uint(run.skip).uint(run.delete).bytes(run.insert);
    }
    writer.into_bytes()
}

//= spec/planes.md#edit type=test
//# A reader MUST apply removals, then edits in the order of their paths, then sets.
#[test]
fn edits_are_made_after_removals_by_their_paths_and_before_sets() {
    let base = state(text("abc"));
    let (right, beyond) = (run(0, 1, b""), run(9, 1, b""));
    let cases = [
        (
            delta_of(&[], &["zz"], &[("n", right)]),
            Reject::DeltaRemoveAbsent,
        ),
        (
            delta_of(&[], &[], &[("n", right), ("doc/text", beyond)]),
            Reject::EditBase,
        ),
        (
            delta_of(&[], &[], &[("doc/text", beyond), ("doc/texts", right)]),
            Reject::EditRange,
        ),
        (
            delta_of(&["n/x"], &[], &[("doc/text", beyond)]),
            Reject::EditRange,
        ),
        (
            delta_of(&["n/x"], &[], &[("doc/text", right)]),
            Reject::PathConflict,
        ),
    ];
    for (payload, reject) in cases {
        let view = DeltaView::decode(&payload).unwrap();
        assert_eq!(base.apply_view(&view, base.root()), Err(reject));
        let delta = Delta::decode(&payload).unwrap();
        assert_eq!(base.apply(&delta, base.root()), Err(reject), "{payload:x?}");
    }
}

//= spec/planes.md#edit type=test
//# A writer SHOULD NOT send an edit that takes more bytes than setting the value.
#[test]
fn edit_is_made_where_it_is_shorter_than_the_value_and_not_where_it_is_as_long() {
    // One run in 5 bytes, and 5 bytes around it.
    let grown = |bytes: usize| {
        let base = "a".repeat(bytes - 1);
        Edit::between(&text(&base), &text(&format!("{base}b")))
    };
    assert_eq!(grown(10), None);
    assert!(grown(11).is_some());
}

/// Says the runs between two texts as `skip-delete+insert`.
fn said(base: &str, later: &str) -> Vec<String> {
    let runs = super::between::runs(base.as_bytes(), later.as_bytes());
    let say = |run: &Run<'_>| {
        let insert = core::str::from_utf8(run.insert).unwrap();
        format!("{}-{}+{insert}", run.skip, run.delete)
    };
    runs.iter().map(say).collect()
}

#[test]
fn change_within_a_piece_is_a_run_of_the_bytes_that_differ() {
    for (base, later, expected) in [
        ("same", "same", &[][..]),
        ("", "new", &["0-0+new"]),
        ("old", "", &["0-3+"]),
        ("abc", "aXc", &["1-1+X"]),
        ("abc", "abXc", &["2-0+X"]),
        ("aaaa", "aaa", &["3-1+"]),
        ("one,two", "one,2,two", &["4-0+2,"]),
        ("one,two,", "two,", &["0-4+"]),
    ] {
        assert_eq!(said(base, later), expected, "{base} to {later}");
    }
}

#[test]
fn pieces_that_stay_part_the_runs_where_that_is_shorter() {
    for (base, later, expected) in [
        // Five bytes that stay are worth a run of their own, four are not.
        ("1,xxx,2", "9,xxx,8", &["0-1+9", "5-1+8"][..]),
        ("1,xx,2", "9,xx,8", &["0-6+9,xx,8"]),
        ("a;long line;b", "c;long line;d", &["0-1+c", "11-1+d"]),
        // A piece gone, one that came, and one that moved.
        ("k1 stay k2 stays", "stay k3 stays", &["0-3+", "6-1+3"]),
        ("stays 1 stays 2", "1 stays 2 more", &["0-6+", "9-0+ more"]),
        ("x/first/last/z", "y/first/last/w", &["0-1+y", "12-1+w"]),
        ("p>tail>q", "r>tail>s", &["0-1+r", "6-1+s"]),
        ("p\0tail\0q", "r\0tail\0s", &["0-1+r", "6-1+s"]),
        ("p\ntail\nq", "r\ntail\ns", &["0-1+r", "6-1+s"]),
        // What ends no piece parts nothing.
        ("p:tail:q", "r:tail:s", &["0-8+r:tail:s"]),
        ("p.tail.q", "r.tail.s", &["0-8+r.tail.s"]),
    ] {
        assert_eq!(said(base, later), expected, "{base} to {later}");
    }
}

/// Two documents that differ in so many lines, with a line that stays after each.
fn lines(changed: usize) -> (String, String) {
    let of = |mark: &str| -> String {
        let line = |at| format!("{mark}{at:04}\nline {at:04} stays\n");
        (0..changed).map(line).collect()
    };
    (of("old"), of("new"))
}

#[test]
fn documents_with_too_many_differences_are_replaced_in_one_run() {
    // A line changed is one piece gone and one that came.
    let most = (EDIT_DIFFERENCES_MAX / 2).min(EDIT_RUNS_MAX);
    for (changed, runs) in [(1, 1), (2, 2), (most, most), (most + 1, 1)] {
        let (base, later) = lines(changed);
        let said = said(&base, &later);
        assert_eq!(said.len(), runs, "{changed} lines");
        let edit = Edit::between(&text(&base), &text(&later)).unwrap();
        assert_eq!(edit.as_view().apply(&text(&base)), Ok(text(&later)));
    }
}

/// A line end that only one of the two has is no difference of its own.
#[test]
fn documents_at_the_bound_of_differences_that_end_differently_are_parted_too() {
    let (base, later) = lines(EDIT_DIFFERENCES_MAX / 2);
    let ends = |text: &str, end: usize| text[..text.rfind("line").unwrap() - end].to_string();
    for (base_end, later_end) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
        let (base, later) = (ends(&base, base_end), ends(&later, later_end));
        let said = said(&base, &later);
        assert_eq!(said.len(), EDIT_DIFFERENCES_MAX / 2);
    }
}
