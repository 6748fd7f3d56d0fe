//! Runs this program under callgrind and reads how many instructions it executed.
//!
//! Counts are taken twice, with few and with many iterations: the difference has no start-up in
//! it. Refuses to guess: a run that fails or writes no total is an error.

#[cfg(test)]
mod tests;

use crate::error::BenchError;
use std::path::Path;
use std::process::{Command, Stdio};

/// Iterations of the shorter and the longer run.
const ITERATIONS: (u32, u32) = (5, 25);

/// Tells whether valgrind can be started. # Errors: anything but its absence.
pub fn is_installed() -> Result<bool, BenchError> {
    let answer = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match answer {
        Ok(status) => Ok(status.success()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(BenchError::Start(error)),
    }
}

/// Counts the instructions of one iteration of a workload of this program.
///
/// # Errors
/// When valgrind cannot be run, ends with an error, or writes no total.
pub fn instructions(workload: &str) -> Result<f64, BenchError> {
    let folder = tempfile::tempdir().map_err(BenchError::Start)?;
    let (few, many) = ITERATIONS;
    let low = run(&folder.path().join("few"), workload, few)?;
    let high = run(&folder.path().join("many"), workload, many)?;
    per_iteration((few, low), (many, high)).ok_or(BenchError::NoTotal)
}

fn run(out: &Path, workload: &str, iterations: u32) -> Result<u64, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::Start)?;
    let mut option = std::ffi::OsString::from("--callgrind-out-file=");
    option.push(out);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--error-exitcode=3"])
        .arg(option)
        .arg(own)
        .args(["engine-child", workload, &iterations.to_string()])
        .output()
        .map_err(BenchError::Start)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<_> = said.lines().rev().take(5).collect();
        return Err(BenchError::Valgrind {
            status: output.status,
            output: last.into_iter().rev().collect::<Vec<_>>().join("; "),
        });
    }
    let profile = std::fs::read_to_string(out).map_err(BenchError::Start)?;
    total(&profile).ok_or(BenchError::NoTotal)
}

/// Reads the total of a callgrind profile: the first number of its `totals:` or `summary:` line.
fn total(profile: &str) -> Option<u64> {
    let of = |label: &str| {
        let numbers = profile
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix(label))?;
        numbers.split_whitespace().next()?.parse().ok()
    };
    of("totals:").or_else(|| of("summary:"))
}

/// Divides the difference of two counts, each with its iterations, by the difference of those.
fn per_iteration(few: (u32, u64), many: (u32, u64)) -> Option<f64> {
    let iterations = many.0.checked_sub(few.0).filter(|count| *count > 0)?;
    let difference = u32::try_from(many.1.checked_sub(few.1)?).ok()?;
    Some(f64::from(difference) / f64::from(iterations))
}
