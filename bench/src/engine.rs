//! Instructions: what Postern adds to one bare signature check, and what a change costs.
//!
//! Refuses to fail where valgrind is missing: it says so and leaves the rows without a value.

use crate::callgrind;
use crate::error::BenchError;
use crate::fixture::Size;
use crate::table::{Row, Unit};
use crate::workload::Workload;
use std::io::Write as _;

/// Measures every row, or names them all without a value when there is no valgrind.
///
/// # Errors
/// When valgrind is there and fails, or the benchmark's own input is refused.
pub fn measure() -> Result<Vec<Row>, BenchError> {
    let is_installed = callgrind::is_installed()?;
    if !is_installed {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: engine instructions (valgrind is not installed)"
        );
    }
    let count = |workload: Workload| match is_installed {
        true => callgrind::instructions(workload.as_str()).map(Some),
        false => Ok(None),
    };
    let mut rows = Vec::new();
    for size in Size::ALL {
        let bytes = size.build()?.envelope.len();
        let raw = count(Workload::raw(size))?;
        let full = count(Workload::full(size))?;
        let title = format!("{bytes} B, {} keys", size.keys_count());
        rows.push(Row::new(
            format!("receive, verify, decode / verify_strict: {title}"),
            Unit::Ratio,
            raw.zip(full).map(|(raw, full)| full / raw),
            Some(size.ratio_max()),
        ));
        rows.push(instructions("  verify_strict alone", raw));
        rows.push(instructions("  receive, verify, decode", full));
    }
    let applied = count(Workload::Apply)?;
    rows.push(instructions(
        "apply and digest, 1 key of 500 in 10 sections",
        applied,
    ));
    Ok(rows)
}

fn instructions(name: &str, value: Option<f64>) -> Row {
    Row::new(name, Unit::Instructions, value, None)
}
