//! Finds citations in source text: a line that names the heading, then the sentence on one line or
//! on several, then the code that it is about.
//!
//! Refuses half a citation, one that names no heading of the page, one with no code below it, and a
//! test that does not say that it is one.

use super::WITHOUT_RULES;
use super::files::is_test;

/// What ends the first line of a citation by a test.
const TEST: &str = "type=test";

/// One citation of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Citation {
    pub(crate) file: String,
    /// Number of its first line, from 1.
    pub(crate) line: usize,
    pub(crate) page: String,
    pub(crate) anchor: String,
    pub(crate) sentence: String,
    pub(crate) is_test: bool,
}

/// A file of source text.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    file: &'a str,
    lines: Vec<&'a str>,
    /// What begins the line that names the heading, and what begins those of the sentence.
    marks: [&'a str; 2],
}

impl<'a> Source<'a> {
    /// Takes the text of a file in Rust or Python.
    pub(crate) fn new(file: &'a str, content: &'a str) -> Self {
        let marks = match file.ends_with(".py") {
            true => ["#=", "##"],
            false => ["//=", "//#"],
        };
        Self {
            file,
            lines: content.lines().map(str::trim).collect(),
            marks,
        }
    }

    /// Returns the citations of the file; what is wrong with the others goes to `faults`.
    pub(crate) fn citations(&self, faults: &mut Vec<String>) -> Vec<Citation> {
        let [names, says] = self.marks;
        let mut found = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            let follows = at.checked_sub(1).and_then(|before| self.lines.get(before));
            let is_cited = |line: &&str| line.starts_with(names) || line.starts_with(says);
            let read = match line.strip_prefix(names) {
                Some(head) => self.citation(at, head.trim()).map(|it| found.push(it)),
                // Python has other comments that begin with two of these marks.
                None if !line.starts_with("//#") || follows.is_some_and(is_cited) => Ok(()),
                None => Err("a sentence without the line that names its heading"),
            };
            if let Err(fault) = read {
                faults.push(format!("{}:{}: {fault}", self.file, at + 1));
            }
        }
        found
    }

    fn citation(&self, at: usize, head: &str) -> Result<Citation, &'static str> {
        let (target, kind) = head.split_once(' ').unwrap_or((head, ""));
        let (page, anchor) = match target.split_once('#') {
            Some((page, anchor)) if is_page(page) && !anchor.is_empty() => (page, anchor),
            _ => return Err("name a page such as spec/postern.md and a heading of it"),
        };
        let is_said_to_be_test = match kind {
            "" => false,
            TEST => true,
            _ => return Err("say type=test or nothing after the heading"),
        };
        if is_said_to_be_test != is_evidence(self.file) {
            return Err(match is_said_to_be_test {
                true => "this file is no test: take type=test away",
                false => "this file is a test: add type=test",
            });
        }
        let [_, says] = self.marks;
        let rest = self.lines.get(at + 1..).unwrap_or_default();
        let said = rest.iter().map_while(|line| line.strip_prefix(says));
        let parts: Vec<&str> = said.map(str::trim).collect();
        if parts.is_empty() {
            return Err("the sentence is missing");
        }
        if let None | Some(&("" | "}")) = rest.get(parts.len()) {
            return Err("no code below the citation");
        }
        Ok(Citation {
            file: self.file.to_owned(),
            line: at + 1,
            page: page.to_owned(),
            anchor: anchor.to_owned(),
            sentence: parts.join(" "),
            is_test: is_said_to_be_test,
        })
    }
}

fn is_page(target: &str) -> bool {
    target.starts_with("spec/") && target.ends_with(".md") && !WITHOUT_RULES.contains(&target)
}

/// True for a file that shows rules instead of meeting them.
fn is_evidence(file: &str) -> bool {
    is_test(file) || file.starts_with("interop-vectors/") || file.starts_with("fuzz/")
}
