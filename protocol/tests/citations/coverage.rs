//! Puts rules and citations together: what has drifted, what is missing, how much there is.
//!
//! Refuses a sentence that differs from its rule in a single byte, and says which rule is nearest.

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
    /// Places of the rules that code cites, and of those that tests cite.
    by: [BTreeSet<usize>; 2],
}

impl Coverage {
    /// Compares citations with rules.
    pub(crate) fn of(rules: &[Rule], citations: &[Citation]) -> Self {
        let mut found = Self::default();
        let [mut by_code, mut by_tests] = [BTreeSet::new(), BTreeSet::new()];
        for citation in citations {
            match rules.iter().position(|rule| is_cited(rule, citation)) {
                Some(rule) if citation.is_test => by_tests.insert(rule),
                Some(rule) => by_code.insert(rule),
                None => {
                    found.drift.push(drift_of(rules, citation));
                    continue;
                }
            };
        }
        let binding = rules.iter().enumerate();
        for (at, rule) in binding.filter(|(_, rule)| rule.force != Force::May) {
            for (cited, who) in [(&by_code, "no code"), (&by_tests, "no test")] {
                if !cited.contains(&at) {
                    let Rule {
                        page, line, anchor, ..
                    } = rule;
                    let sentence = &rule.sentence;
                    let hole = format!("{page}:{line}: {who} cites #{anchor}: {sentence}");
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
            let places = || {
                let all = rules.iter().enumerate();
                all.filter(|(_, it)| it.force == force).map(|(at, _)| at)
            };
            let [code, tests] = self
                .by
                .each_ref()
                .map(|by| places().filter(|at| by.contains(at)).count());
            format!(
                "{} {word}, {code} cited in code, {tests} cited in tests",
                places().count()
            )
        };
        let [must, should] = [count(Force::Must, "MUST"), count(Force::Should, "SHOULD")];
        format!("{must}; {should}")
    }
}

fn is_cited(rule: &Rule, citation: &Citation) -> bool {
    rule.page == citation.page
        && rule.anchor == citation.anchor
        && rule.sentence == citation.sentence
}

fn drift_of(rules: &[Rule], citation: &Citation) -> String {
    let words = |sentence: &str| sentence.split_whitespace().map(str::to_owned).collect();
    let said: BTreeSet<String> = words(&citation.sentence);
    // The share of words that both have, in thousandths; a rule under the cited heading wins a tie.
    let likeness = |rule: &&Rule| {
        let ruled: BTreeSet<String> = words(&rule.sentence);
        let shared = said.intersection(&ruled).count() * 1000;
        let share = shared / said.union(&ruled).count().max(1);
        let is_there = rule.page == citation.page && rule.anchor == citation.anchor;
        (share, is_there)
    };
    let Citation {
        file,
        line,
        page,
        anchor,
        ..
    } = citation;
    let nearest = match rules.iter().max_by_key(likeness) {
        Some(rule) => format!(
            "{}:{}: #{}: {}",
            rule.page, rule.line, rule.anchor, rule.sentence
        ),
        None => "none, there are no rules".to_owned(),
    };
    format!("{file}:{line}: {page}#{anchor} does not say this; nearest is\n    {nearest}")
}
