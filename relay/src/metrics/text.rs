//! Samples as Prometheus text.
//!
//! Refuses nothing: names and labels come from closed sets.

use super::Sample;
use std::fmt::Write as _;

/// Writes samples in the Prometheus text format; samples of one name must stand together.
#[must_use]
pub fn to_text(samples: &[Sample]) -> String {
    let mut text = String::new();
    let mut last = "";
    for sample in samples {
        if sample.name != last {
            last = sample.name;
            let kind = if last.ends_with("_total") {
                "counter"
            } else {
                "gauge"
            };
            let _ = writeln!(text, "# TYPE {last} {kind}");
        }
        let _ = match sample.label {
            Some((label, value)) => {
                writeln!(
                    text,
                    "{}{{{label}=\"{value}\"}} {}",
                    sample.name, sample.value
                )
            }
            None => writeln!(text, "{} {}", sample.name, sample.value),
        };
    }
    text
}
