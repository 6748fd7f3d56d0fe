//! Puts rules and citations together: what has drifted, what is missing, how much there is.
//!
//! Refuses a sentence that differs from its rule in a single byte, and says which rule is nearest.

use super::PAGE;
use super::citation::Citation;
use super::specification::{Force, Rule};
use std::collections::BTreeSet;

/// What the citations of a workspace leave to do.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// Citations of sentences that are not there.
    pub(crate) drift: Vec<String>,
    /// Rules that nobody meets or shows.
    pub(crate) holes: Vec<String>,
    /// Lines of the rules that code cites, and of those that tests cite.
    by: [BTreeSet<usize>; 2],
}

impl Coverage {
    /// Compares citations with rules.
    pub(crate) fn of(rules: &[Rule], citations: &[Citation]) -> Self {
        let mut found = Self::default();
        let [mut by_code, mut by_tests] = [BTreeSet::new(), BTreeSet::new()];
        for citation in citations {
            match rules.iter().find(|rule| is_cited(rule, citation)) {
                Some(rule) if citation.is_test => by_tests.insert(rule.line),
                Some(rule) => by_code.insert(rule.line),
                None => {
                    found.drift.push(drift_of(rules, citation));
                    continue;
                }
            };
        }
        for rule in rules.iter().filter(|rule| rule.force != Force::May) {
            for (lines, who) in [(&by_code, "no code"), (&by_tests, "no test")] {
                if !lines.contains(&rule.line) {
                    let Rule { line, anchor, .. } = rule;
                    let sentence = &rule.sentence;
                    let hole = format!("{PAGE}:{line}: {who} cites #{anchor}: {sentence}");
                    found.holes.push(hole);
                }
            }
        }
        found.by = [by_code, by_tests];
        found
    }

    /// Says how many rules there are and how many of them are cited.
    pub(crate) fn counts(&self, rules: &[Rule]) -> String {
        let count = |force, word| {
            let lines = || {
                rules
                    .iter()
                    .filter(|it| it.force == force)
                    .map(|it| it.line)
            };
            let [code, tests] = self
                .by
                .each_ref()
                .map(|by| lines().filter(|it| by.contains(it)).count());
            format!(
                "{} {word}, {code} cited in code, {tests} cited in tests",
                lines().count()
            )
        };
        let [must, should] = [count(Force::Must, "MUST"), count(Force::Should, "SHOULD")];
        format!("{must}; {should}")
    }
}

fn is_cited(rule: &Rule, citation: &Citation) -> bool {
    rule.anchor == citation.anchor && rule.sentence == citation.sentence
}

fn drift_of(rules: &[Rule], citation: &Citation) -> String {
    let words = |sentence: &str| sentence.split_whitespace().map(str::to_owned).collect();
    let said: BTreeSet<String> = words(&citation.sentence);
    // The share of words that both have, in thousandths; a rule under the cited heading wins a tie.
    let likeness = |rule: &&Rule| {
        let ruled: BTreeSet<String> = words(&rule.sentence);
        let shared = said.intersection(&ruled).count() * 1000;
        let share = shared / said.union(&ruled).count().max(1);
        (share, rule.anchor == citation.anchor)
    };
    let Citation {
        file, line, anchor, ..
    } = citation;
    let nearest = match rules.iter().max_by_key(likeness) {
        Some(rule) => format!("{PAGE}:{}: #{}: {}", rule.line, rule.anchor, rule.sentence),
        None => "none, the page has no rules".to_owned(),
    };
    format!("{file}:{line}: #{anchor} does not say this; nearest is\n    {nearest}")
}
