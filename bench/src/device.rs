//! What a device daemon weighs: memory, binary, and commits for each accepted change.
//!
//! A real device follows a real controller over TLS and renders files. Memory is read from the
//! kernel after the device came to rest; commits are those that the device itself counts.
//! Memory is read of several starts, and the most is judged: where the kernel happens to lay the program decides how much of
//! the binary it maps around each page that is touched, which makes 0.4 MB of difference for the same work. Each
//! process has applied a change and reported it.

use crate::error::BenchError;
use crate::table::{Row, Unit};
use postern_lab::{Binary, Device, DeviceSettings, Fleet};
use serde_json::Value;

/// Bytes of memory of an idle device, by DESIGN: 12 MiB.
const RSS_BYTES_MAX: f64 = 12.0 * 1_048_576.0;
/// Bytes of the binary.
const BINARY_BYTES_MAX: f64 = 12.0 * 1_000_000.0;
/// Commits for each accepted change.
const COMMITS_MAX: f64 = 2.0;
/// Changes that are counted, in the first start.
const CHANGES: u64 = 20;
/// Starts whose memory is read. Odd, so that one of them is the median.
const STARTS: usize = 7;
/// Deployments on the device: documents of 2.4 KB.
const DEPLOYMENTS: usize = 10;
/// Name of the device.
const DEVICE: &str = "scale";

/// Measures every row.
///
/// # Errors
/// When a process ends or shows nothing.
pub fn measure() -> Result<Vec<Row>, BenchError> {
    let Some(fleet) = Fleet::start_or_skip("postern-bench device", "localhost")? else {
        return Ok(vec![Row::skipped("device: memory when idle")]);
    };
    let binary = Binary::postern()?;
    let size = std::fs::metadata(binary.path()).map_err(BenchError::io("look at the binary"))?;
    let mut device = fleet.device(DEVICE, &DeviceSettings::direct())?;
    for number in 1..=DEPLOYMENTS {
        let (path, text) = crate::push::deployment(number);
        fleet.set(DEVICE, &path, &Value::from(text).to_string())?;
    }
    device.daemon.start()?;
    fleet.wait_converged(DEVICE)?;
    let before = device.folder.status();
    for change in 0..CHANGES {
        let revision = fleet.set(DEVICE, "oven/setpoint", &change.to_string())?;
        device.wait_applied(revision)?;
    }
    fleet.wait_converged(DEVICE)?;
    let after = device.folder.status();
    let memory = memory_of_starts(&fleet, &mut device)?;
    let spent = commits(&after)
        .zip(commits(&before))
        .map(|(after, before)| (after - before) / CHANGES as f64);
    Ok(vec![
        Row::new(
            format!("device: memory when idle, 10 deployments, most of {STARTS} starts"),
            Unit::Bytes,
            memory.last().copied(),
            Some(RSS_BYTES_MAX),
        ),
        Row::new(
            "device: the same, median",
            Unit::Bytes,
            memory.get(STARTS / 2).copied(),
            None,
        ),
        Row::new(
            "device: the same, least",
            Unit::Bytes,
            memory.first().copied(),
            None,
        ),
        Row::new(
            "device: size of the binary, all roles in one",
            Unit::Bytes,
            Some(size.len() as f64),
            Some(BINARY_BYTES_MAX),
        ),
        Row::new(
            "device: commits for each accepted change",
            Unit::Ratio,
            spent,
            Some(COMMITS_MAX),
        ),
    ])
}

/// Memory of the device at rest: of the process that runs, and of those started after it. The least comes first.
fn memory_of_starts(fleet: &Fleet, device: &mut Device) -> Result<Vec<f64>, BenchError> {
    let mut memory = vec![at_rest(fleet, device)?];
    while memory.len() < STARTS {
        device.daemon.kill_9()?;
        device.daemon.start()?;
        let change = CHANGES as usize + memory.len();
        let revision = fleet.set(DEVICE, "oven/setpoint", &change.to_string())?;
        device.wait_applied(revision)?;
        memory.push(at_rest(fleet, device)?);
    }
    device.daemon.kill_9()?;
    memory.sort_by(f64::total_cmp);
    Ok(memory)
}

/// Memory of a device that has nothing left to do.
fn at_rest(fleet: &Fleet, device: &mut Device) -> Result<f64, BenchError> {
    fleet.wait_converged(DEVICE)?;
    let pid = device.daemon.pid().ok_or(BenchError::Answer {
        what: "the device does not run",
        answer: String::new(),
    })?;
    resident_bytes(pid)
}

fn commits(status: &Value) -> Option<f64> {
    status.get("commits").and_then(Value::as_f64)
}

/// Reads the resident memory of a process, as the kernel counts it.
pub fn resident_bytes(pid: u32) -> Result<f64, BenchError> {
    let file = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(file).map_err(BenchError::io("look at the process"))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse::<f64>().ok());
    kib.map(|kib| kib * 1_024.0).ok_or(BenchError::Answer {
        what: "the kernel tells no memory of the process",
        answer: text,
    })
}
