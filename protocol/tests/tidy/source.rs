//! Rules about source text: size, names, heads of modules, words that are refused.
//!
//! The words are put together here so that this file does not break its own rules.

use super::files::{Line, files, is_test, lines, name, report, text};

/// The one place in tests that lets time pass, and says why.
const WAITS: &str = "lab/src/wait.rs";

const LINES_MAX: usize = 500;

/// True for a line that repeats the specification: citing it must not force a file apart.
fn is_citation(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//= ") || line.starts_with("//# ")
}

fn offending(is_wrong: impl Fn(&Line) -> bool) -> Vec<String> {
    let all = lines("");
    let wrong = all.iter().filter(|line| is_wrong(line));
    wrong.map(Line::shown).collect()
}

#[test]
fn source_files_have_at_most_500_lines() {
    let mut findings = Vec::new();
    for ending in [".rs", ".py"] {
        for file in files("", ending) {
            let content = text(&file).unwrap_or_default();
            let count = content.lines().filter(|line| !is_citation(line)).count();
            if count > LINES_MAX {
                findings.push(format!("{}:{LINES_MAX}: {count} lines", name(&file)));
            }
        }
    }
    report("a file is read in one sitting: split it by verb", &findings);
}

#[test]
fn nothing_is_left_to_do_in_source() {
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X"],
        ["db", "g!("],
        ["to", "do!("],
        ["unimple", "mented!("],
    ]
    .map(|it| it.concat());
    let findings = offending(|line| words.iter().any(|word| line.text.contains(word)));
    report("finish it, or open an issue and remove the mark", &findings);
}

#[test]
fn modules_are_named_for_what_they_do() {
    let refused = [
        "utils", "util", "common", "helpers", "helper", "misc", "core", "types",
    ];
    let is_refused = |part: &str| refused.contains(&part.strip_suffix(".rs").unwrap_or(part));
    let names = files("", ".rs").into_iter().map(|file| name(&file));
    let findings: Vec<_> = names
        .filter(|name| name.split('/').any(is_refused))
        .collect();
    report("rename the module for what it does", &findings);
    let inline = refused.map(|word| format!("mod {word} {{"));
    let findings = offending(|line| inline.iter().any(|start| line.text.contains(start)));
    report("rename the module for what it does", &findings);
}

#[test]
fn modules_begin_by_saying_what_they_are() {
    let mut findings = Vec::new();
    for file in files("", ".rs") {
        let content = text(&file).expect("a source file");
        let head = content.lines().take_while(|line| line.starts_with("//!"));
        let said = head.filter(|line| line.len() > 4).count();
        // Unit tests stand beside what they are about and need no head of their own.
        let is_unit_test = is_test(&name(&file)) && name(&file).contains("/src/");
        if said < 2 && !is_unit_test {
            findings.push(format!("{}:1: {said} lines", name(&file)));
        }
    }
    report(
        "say in two `//!` lines or more what the module is and what it refuses",
        &findings,
    );
}

#[test]
fn exceptions_from_lints_give_their_reason() {
    let refused = ["#[", "#!["].map(|start| format!("{start}allow("));
    let findings = offending(|line| refused.iter().any(|word| line.text.contains(word)));
    report("use #[expect(lint, reason = \"..\")]", &findings);
}

#[test]
fn tests_are_never_ignored() {
    let word = ["#[ign", "ore"].concat();
    let findings = offending(|line| line.text.contains(&word));
    report("a test runs or does not exist", &findings);
}

#[test]
fn tests_wait_for_events_and_not_for_time() {
    let word = ["sle", "ep("].concat();
    let is_wrong = |line: &Line| {
        is_test(&line.file) && line.file != WAITS && !line.is_comment() && line.text.contains(&word)
    };
    report(
        "wait for the event, with lab::wait where there is none",
        &offending(is_wrong),
    );
}

#[test]
fn protocol_is_no_std_and_touches_nothing() {
    let lib = lines("protocol/src/lib.rs");
    assert!(lib.iter().any(|line| line.text == "#![no_std]"));
    let refused = [
        "std::fs",
        "std::net",
        "std::time",
        "std::env",
        "std::thread::",
        "std::process",
        "std::io",
    ];
    let source = lines("protocol/src");
    let is_wrong =
        |line: &&Line| !line.is_comment() && refused.iter().any(|word| line.text.contains(word));
    let findings: Vec<_> = source.iter().filter(is_wrong).map(Line::shown).collect();
    report("take time, bytes and keys as arguments", &findings);
}
