//! Traces the specification: each rule of the pages in `spec/` is cited by code that meets it and by a
//! test that shows it, with the sentence as it stands today.
//!
//! Text is all that is read: whether the code beside a citation does meet the rule, its test has to
//! show. Refuses a citation of a sentence that is no longer there, and a rule that nobody cites.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a rule that cannot be checked has to fail"
)]

#[path = "citations/citation.rs"]
mod citation;
#[path = "citations/coverage.rs"]
mod coverage;
#[path = "tidy/files.rs"]
#[expect(dead_code, reason = "the house rules use the rest")]
mod files;
#[path = "citations/specification.rs"]
mod specification;
#[cfg(test)]
#[path = "citations/tests.rs"]
mod tests;

use citation::{Citation, Source};
use coverage::Coverage;
use specification::Specification;

/// Pages of the specification without rules: numbers, and reasons.
const WITHOUT_RULES: [&str; 2] = ["spec/registry.md", "spec/rationale.md"];

/// Reads every page that holds rules.
fn specification() -> Specification {
    let mut read = Specification::default();
    for file in files::files("spec", ".md") {
        let page = files::name(&file);
        if !WITHOUT_RULES.contains(&page.as_str()) {
            read.read(&page, &files::text(&file).expect("a page"));
        }
    }
    read
}

fn cited() -> (Vec<Citation>, Vec<String>) {
    let (mut citations, mut faults) = (Vec::new(), Vec::new());
    for ending in [".rs", ".py"] {
        for file in files::files("", ending) {
            let content = files::text(&file).expect("a source file");
            let name = files::name(&file);
            citations.extend(Source::new(&name, &content).citations(&mut faults));
        }
    }
    (citations, faults)
}

#[test]
fn specification_has_one_key_word_in_a_rule() {
    let specification = specification();
    files::report(
        "a rule is one line with one key word",
        &specification.faults,
    );
}

#[test]
fn citations_say_what_the_specification_says() {
    let specification = specification();
    let (citations, mut faults) = cited();
    faults.extend(Coverage::of(&specification.rules, &citations).drift);
    files::report("cite the heading and the sentence as they stand", &faults);
}

#[test]
fn every_rule_is_cited_by_code_and_by_a_test() {
    let specification = specification();
    let (citations, _) = cited();
    let coverage = Coverage::of(&specification.rules, &citations);
    println!("{}", coverage.counts(&specification.rules));
    files::report(
        "cite the rule where code meets it, and by a test that fails without",
        &coverage.holes,
    );
}
