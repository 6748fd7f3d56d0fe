//! The table for people: one line a folder, then the first failures with what differs and where to read on.
//!
//! Refuses to hide that there are more.

use super::shown;
use crate::summary::{End, Row, Summary, Sums};
use std::fmt::Write as _;

const HEAD: [&str; 8] = [
    "folder",
    "valid",
    "invalid",
    "passed",
    "failed",
    "unsupported",
    "xfail",
    "unexpected",
];

/// Writes the table and up to `details` failures.
pub(crate) fn table(summary: &Summary<'_>, details: usize) -> String {
    let mut text = String::new();
    line(&mut text, HEAD.map(str::to_owned));
    for (folder, sums) in summary.folders() {
        line(&mut text, cells(folder, &sums));
    }
    line(&mut text, cells("all", &summary.all()));
    let is_shown = |row: &&Row<'_>| matches!(row.end, End::Failed(_) | End::UnexpectedPass);
    let failures: Vec<_> = summary.rows.iter().filter(is_shown).collect();
    for row in failures.iter().take(details) {
        detail(&mut text, row);
    }
    let more = failures.len().saturating_sub(details);
    // Writing to a String cannot fail, here and below.
    if more > 0 {
        let _ = writeln!(text, "\n{more} more: --details {}", failures.len());
    }
    for stray in &summary.strays {
        let _ = writeln!(
            text,
            "\nknown failure {stray} names no vector that was asked"
        );
    }
    text
}

fn cells(name: &str, sums: &Sums) -> [String; 8] {
    let numbers = [
        sums.valid,
        sums.invalid,
        sums.passed,
        sums.failed,
        sums.unsupported,
        sums.known,
        sums.unexpected,
    ];
    let [a, b, c, d, e, f, g] = numbers.map(|number| number.to_string());
    [name.into(), a, b, c, d, e, f, g]
}

fn line(text: &mut String, cells: [String; 8]) {
    let [folder, rest @ ..] = cells;
    let _ = write!(text, "{folder:<16}");
    for (cell, head) in rest.iter().zip(HEAD.iter().skip(1)) {
        let _ = write!(text, "  {cell:>width$}", width = head.len());
    }
    text.push('\n');
}

fn detail(text: &mut String, row: &Row<'_>) {
    let vector = row.vector;
    let _ = writeln!(text, "\n{} {}", row.end.word(), vector.name);
    let _ = writeln!(text, "  {} in {}", vector.operation, vector.file);
    let _ = writeln!(
        text,
        "  spec {}: {}",
        vector.text("spec"),
        vector.text("comment")
    );
    if let Some(difference) = row.end.difference() {
        let _ = writeln!(text, "  {} differs", difference.member);
        let _ = writeln!(text, "    vector: {}", shown(&difference.wanted));
        let _ = writeln!(text, "    child:  {}", shown(&difference.given));
    }
    let _ = writeln!(
        text,
        "  postern-conformance show {} prints the request",
        vector.name
    );
}
