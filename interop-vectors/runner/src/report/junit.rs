//! JUnit XML for build servers: a suite a folder, a case a vector.
//!
//! Refuses characters that XML cannot hold: they are replaced.

use super::shown;
use crate::summary::{End, Row, Summary};
use std::fmt::Write as _;

/// Microseconds of a second.
const SECOND_US: f64 = 1_000_000.0;

/// Writes the document.
pub(crate) fn junit(summary: &Summary<'_>) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (folder, sums) in summary.folders() {
        let tests = sums.valid.saturating_add(sums.invalid);
        let failures = sums.failed.saturating_add(sums.unexpected);
        let skipped = sums.unsupported.saturating_add(sums.known);
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "<testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\">",
            escaped(folder)
        );
        for row in summary
            .rows
            .iter()
            .filter(|row| row.vector.folder() == folder)
        {
            case(&mut text, row);
        }
        text.push_str("</testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(text: &mut String, row: &Row<'_>) {
    let (name, class) = (escaped(&row.vector.name), escaped(&row.vector.operation));
    #[expect(
        clippy::cast_precision_loss,
        reason = "a time is shown with six digits"
    )]
    let seconds = row.elapsed_us as f64 / SECOND_US;
    let _ = write!(
        text,
        "<testcase name=\"{name}\" classname=\"{class}\" time=\"{seconds:.6}\""
    );
    let message = row.end.difference().map_or_else(String::new, |difference| {
        let (wanted, given) = (shown(&difference.wanted), shown(&difference.given));
        escaped(&format!(
            "{}: vector {wanted}, child {given}",
            difference.member
        ))
    });
    let _ = match row.end {
        End::Passed => writeln!(text, "/>"),
        End::Failed(_) => writeln!(text, "><failure message=\"{message}\"/></testcase>"),
        End::UnexpectedPass => {
            writeln!(
                text,
                "><failure message=\"is listed as known to fail and passes\"/></testcase>"
            )
        }
        End::Unsupported => writeln!(text, "><skipped message=\"unsupported\"/></testcase>"),
        End::KnownFailure(_) => {
            writeln!(
                text,
                "><skipped message=\"known to fail: {message}\"/></testcase>"
            )
        }
    };
}

/// Text as it may stand in an attribute; what XML cannot hold is replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
