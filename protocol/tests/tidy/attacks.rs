//! Rules about `spec/attacks.md`: every row names tests that exist, every number that tests use has its row.
//!
//! Refuses to judge whether a test shows what its row says: that is for readers.

use super::files::{files, is_test, name, report, root, text, text_of};
use std::collections::BTreeSet;

const PAGE: &str = "spec/attacks.md";
/// What numbers of the bugs of others begin with.
const BUG: &str = concat!("S", "Q-");

/// The rows of the page's tables: line, what goes wrong, tests.
fn rows(page: &str) -> Vec<(usize, &str, Vec<&str>)> {
    let lines = page.lines().enumerate();
    let lines = lines.filter(|(_, line)| line.starts_with("| ") && !line.starts_with("| what"));
    lines
        .map(|(at, line)| {
            let cells: Vec<&str> = line.split(" | ").collect();
            let tests = cells.last().copied().unwrap_or_default();
            let tests = tests.split('`').skip(1).step_by(2).collect();
            (at + 1, cells.first().copied().unwrap_or_default(), tests)
        })
        .collect()
}

/// True when the file has a function of this name below a mark of a test.
fn has_test(content: &str, test: &str) -> bool {
    let lines: Vec<&str> = content.lines().collect();
    let declared = format!("fn {test}(");
    let is_declared = |line: &str| {
        line.trim_start()
            .trim_start_matches("async ")
            .starts_with(&declared)
    };
    let mut found = lines.iter().enumerate();
    found.any(|(at, line)| {
        let above = lines.iter().take(at).rev();
        let mut marks = above
            .take_while(|line| !line.trim().is_empty())
            .map(|line| line.trim());
        is_declared(line)
            && marks.any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
    })
}

/// Numbers of bugs in a text.
fn bugs(content: &str) -> BTreeSet<String> {
    let found = content.split(BUG).skip(1);
    let number = |rest: &str| {
        rest.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
    };
    found
        .map(number)
        .filter(|number| !number.is_empty())
        .collect()
}

#[test]
fn attacks_name_tests_that_exist() {
    let page = text_of(PAGE);
    let mut findings = Vec::new();
    let rows = rows(&page);
    assert!(rows.len() > 70, "the tables of {PAGE} are read");
    for (at, what, tests) in rows {
        if tests.is_empty() {
            findings.push(format!("{PAGE}:{at}: no test: {what}"));
        }
        for test in tests {
            let Some((file, function)) = test.split_once("::") else {
                findings.push(format!("{PAGE}:{at}: not FILE::TEST: {test}"));
                continue;
            };
            let content = text(&root().join(file)).unwrap_or_default();
            if !has_test(&content, function) {
                findings.push(format!("{PAGE}:{at}: there is no such test: {test}"));
            }
        }
    }
    report("correct the row, or write the test", &findings);
}

#[test]
fn attackers_of_the_threat_model_are_tested() {
    let (model, page) = (text_of("spec/rationale.md"), text_of(PAGE));
    let table = model.split("| attacker |").nth(1).unwrap_or_default();
    let table = table.lines().skip(2);
    let attackers = table.map_while(|line| line.strip_prefix("| ")?.split(" | ").next());
    let attackers: Vec<&str> = attackers.collect();
    assert!(attackers.len() > 8, "the threat model is read");
    let is_tested = |attacker: &&str| {
        let row = format!("| {attacker} |");
        rows(&page)
            .iter()
            .any(|(_, what, _)| format!("{what} |") == row)
    };
    let untested: Vec<String> = attackers
        .into_iter()
        .filter(|attacker| !is_tested(attacker))
        .map(|attacker| format!("{PAGE}: no row: {attacker}"))
        .collect();
    report("add a row with the tests to spec/attacks.md", &untested);
}

#[test]
fn bugs_that_tests_name_are_explained() {
    let page = text_of(PAGE);
    let rows = rows(&page);
    let explained: BTreeSet<String> = rows.iter().flat_map(|(_, what, _)| bugs(what)).collect();
    let all = files("", ".rs");
    let tests = all.iter().filter(|file| is_test(&name(file)));
    let unexplained = tests.flat_map(|file| {
        let named = bugs(&text(file).unwrap_or_default());
        let missing: Vec<_> = named.difference(&explained).cloned().collect();
        missing
            .into_iter()
            .map(|number| format!("{}: {BUG}{number}", name(file)))
    });
    report(
        "add a row for the number to spec/attacks.md",
        &unexplained.collect::<Vec<_>>(),
    );
}

#[test]
fn test_is_a_function_below_its_mark() {
    let content =
        "#[test]\nfn named() {}\n\nfn unmarked() {}\n\n#[tokio::test]\nasync fn waits() {}\n";
    let found = ["named", "unmarked", "waits", "name"].map(|test| has_test(content, test));
    assert_eq!(found, [true, false, true, false]);
}
