//! A push from end to end: how long it takes, what it costs, and what waiting for it costs.
//!
//! ```text
//!  latency    operator socket -> controller (durable) -> held poll -> device (durable) -> application
//!  parameter  bytes of one parameter inside a 2.4 KB document, beside polling for whole documents
//!  idle       bytes of an hour in which nothing happens
//! ```
//!
//! Latency and idle run the release binary. Times depend on the machine: they are judged as a ratio to
//! the commits measured in the same run. Refuses to judge a time by itself.

mod document;
mod idle;
mod latency;
mod parameter;
mod socket;
#[cfg(test)]
mod tests;

use crate::error::BenchError;
use crate::table::Row;
use postern_lab::Fleet;

/// Measures every row.
///
/// # Errors
/// When a process fails or an encoder refuses the benchmark's own input.
pub fn measure() -> Result<Vec<Row>, BenchError> {
    let mut rows = parameter::measure()?;
    let Some(fleet) = Fleet::start_or_skip("postern-bench push", "localhost")? else {
        rows.push(Row::skipped("push: set to applied / two commits + 1 ms"));
        rows.push(Row::skipped(
            "idle hour at a 55 s hold, TLS, HTTP and heartbeats included",
        ));
        return Ok(rows);
    };
    rows.extend(latency::measure(&fleet)?);
    rows.extend(idle::measure(&fleet)?);
    Ok(rows)
}

/// Returns path and text of one deployment document.
pub fn deployment(number: usize) -> (String, String) {
    let path = format!("{}/document", document::id(number));
    (path, document::text(number, false))
}
