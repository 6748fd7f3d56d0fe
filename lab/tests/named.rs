//! Every scenario of the field is named in `SCENARIOS.md`, and what is named there exists.
//!
//! Refuses to say that a test asserts its promise: it looks for names alone.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should end the test where it happened"
)]

use std::collections::BTreeMap;
use std::path::Path;

use postern_lab::scenarios::find;

const TABLE: &str = include_str!("../SCENARIOS.md");

/// Scenarios that nothing shows yet. One that is built is taken out here.
const OPEN: &[&str] = &[];

/// Returns what shows each scenario.
fn rows(table: &str) -> BTreeMap<&str, Vec<&str>> {
    let rows = table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let id = cells.next().filter(|id| *id != "id")?;
        let shown = cells.next()?;
        Some((id, shown.split('`').skip(1).step_by(2).collect()))
    });
    rows.collect()
}

fn ids() -> Vec<String> {
    let group = |letter: char, numbers: &[u32]| {
        let ids = numbers.iter().map(|number| format!("{letter}{number:02}"));
        ids.collect::<Vec<_>>()
    };
    let a: Vec<_> = (1..=32).collect();
    let b = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 15];
    let c = [1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 15, 16];
    [group('A', &a), group('B', &b), group('C', &c)].concat()
}

/// Whether a row of the lab, or a test in a file, is there.
fn exists(name: &str) -> bool {
    if let Some(id) = name.strip_prefix("lab ") {
        return find(&[]).unwrap().iter().any(|one| one.id == id);
    }
    let Some((file, test)) = name.split_once("::") else {
        return false;
    };
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(top.join(file)).unwrap_or_default();
    text.contains(&format!("fn {test}("))
}

#[test]
fn every_scenario_of_the_field_has_a_row_and_no_other_is_open() {
    let rows = rows(TABLE);
    let named: Vec<_> = rows.keys().map(|id| (*id).to_owned()).collect();
    assert_eq!(named, ids());
    let open = rows.iter().filter(|(_, shown)| shown.is_empty());
    let open: Vec<_> = open.map(|(id, _)| *id).collect();
    assert_eq!(open, OPEN);
}

#[test]
fn whatever_shows_a_scenario_exists() {
    let rows = rows(TABLE);
    let all = rows.values().flatten();
    let missing: Vec<_> = all.filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn names_that_do_not_exist_are_noticed() {
    assert!(!exists("lab C99"));
    assert!(!exists("lab/tests/named.rs::a99_nothing"));
    assert!(!exists("lab/tests/nowhere.rs::a99_nothing"));
    assert!(!exists("a99_nothing"));
}
