//! Rules about the codes of failures on the way: each has one meaning, one place in the source and one row in `egress/CODES.md`.
//!
//! They compare names; whether a sentence helps is for readers.

use super::files::{files, is_test, name, report, text, text_of};
use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = "egress/CODES.md";
/// The crates that give codes.
const GIVERS: [&str; 4] = ["egress/src", "console/src", "daemon/src", "relay"];
const PREFIX: &str = concat!("PS", "T-");
/// Whatever is wrong with the settings: their reader gives it, and the reader of the file repeats it beside the line.
const SETTINGS: &str = "C01";

/// The codes that a line spells, such as `A01`.
fn codes(line: &str) -> impl Iterator<Item = &str> {
    line.split(PREFIX).skip(1).filter_map(|rest| {
        let code = rest.get(..3)?;
        let is_code = code.starts_with(|c: char| c.is_ascii_uppercase())
            && code.chars().skip(1).all(|c| c.is_ascii_digit());
        is_code.then_some(code)
    })
}

/// Which files give which code, tests and comments left out.
fn given() -> BTreeMap<String, BTreeSet<String>> {
    let mut given: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in GIVERS.iter().flat_map(|folder| files(folder, ".rs")) {
        let (name, content) = (name(&file), text(&file).unwrap_or_default());
        if is_test(&name) {
            continue;
        }
        let source = content.split("#[cfg(test)]\nmod tests {").next();
        let lines = source.unwrap_or_default().lines();
        for line in lines.filter(|line| !line.trim_start().starts_with("//")) {
            for code in codes(line) {
                given
                    .entry(code.to_owned())
                    .or_default()
                    .insert(name.clone());
            }
        }
    }
    given
}

/// The rows of the page: code, meaning, what to do.
fn rows(page: &str) -> Vec<(&str, &str, &str)> {
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        let code = cells.next()?.strip_prefix(PREFIX)?;
        Some((code, cells.next()?.trim(), cells.next()?.trim()))
    });
    rows.collect()
}

#[test]
fn every_code_is_given_in_one_place() {
    let given = given().into_iter();
    let twice = given.filter(|(code, files)| files.len() != 1 && code != SETTINGS);
    let findings: Vec<_> = twice
        .map(|(code, files)| format!("{PREFIX}{code}: {files:?}"))
        .collect();
    report(
        "one code, one meaning: give it a constant in egress/src/codes.rs, or another number",
        &findings,
    );
}

#[test]
fn every_code_has_its_row_and_every_row_its_code() {
    let page = text_of(PAGE);
    let rows = rows(&page);
    let listed: BTreeSet<&str> = rows.iter().map(|(code, ..)| *code).collect();
    let given = given();
    let missing = given.keys().filter(|code| !listed.contains(code.as_str()));
    let mut findings: Vec<_> = missing
        .map(|code| format!("no row: {PREFIX}{code}"))
        .collect();
    for pair in rows.windows(2) {
        if let [(before, ..), (after, ..)] = pair
            && before >= after
        {
            findings.push(format!("not in order, or twice: {PREFIX}{after}"));
        }
    }
    for (code, meaning, remedy) in &rows {
        if !given.contains_key(*code) {
            findings.push(format!("nobody gives it: {PREFIX}{code}"));
        }
        if meaning.is_empty() || remedy.is_empty() {
            findings.push(format!("says too little: {PREFIX}{code}"));
        }
    }
    assert!(rows.len() > 60, "the page has rows");
    report("correct egress/CODES.md", &findings);
}

#[test]
fn code_is_a_letter_and_two_digits() {
    let line = format!("{PREFIX}A01 {PREFIX}a02 {PREFIX}B1 {PREFIX}C123 {PREFIX}");
    assert_eq!(codes(&line).collect::<Vec<_>>(), ["A01", "C12"]);
}
