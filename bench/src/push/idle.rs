//! What a device costs that has nothing to do: bytes per hour with TLS and HTTP, counted on the line.
//!
//! A real device polls a real controller through a proxy that only counts. Polls are held for 5 s
//! instead of 55 s, which changes how many fit into a minute and not what one costs; the hour is
//! computed from whole cycles. Heartbeats ride on idle answers: they are added by their size.
//! Refuses to estimate what a cycle costs.

use crate::error::BenchError;
use crate::forward::{Forward, Moment};
use crate::table::{Row, Unit};
use postern_lab::{DeviceSettings, Fleet, wait};

/// Whole cycles that are counted.
const CYCLES: u32 = 6;
/// Cycles that are let pass first: the session, the first report and its acknowledgement.
const WARM_CYCLES: u32 = 2;
/// Seconds of the hold that the figure is stated for.
const HOLD_S: f64 = 55.0;
/// Seconds between two heartbeats that a mailbox adds to idle answers.
const HEARTBEAT_S: f64 = 300.0;
/// Bytes that a heartbeat adds to an answer at most: its envelope, plane and heads.
const HEARTBEAT_BYTES: f64 = 190.0 + 8.0;
/// Bytes that an idle hour may cost.
const TARGET_BYTES: f64 = 16_000.0;

/// Measures the rows; `fleet` runs already.
///
/// # Errors
/// When a process ends or no poll comes.
pub fn measure(fleet: &Fleet) -> Result<Vec<Row>, BenchError> {
    let forward = Forward::start()?;
    let mut device = fleet.device("idle", &DeviceSettings::behind(forward.url()))?;
    device.daemon.start()?;
    fleet.wait_converged("idle")?;
    for _ in 0..WARM_CYCLES {
        next_poll(&forward)?;
    }
    let commits_before = device.folder.status();
    let first = next_poll(&forward)?;
    let mut last = first;
    for _ in 0..CYCLES {
        last = next_poll(&forward)?;
    }
    let commits_after = device.folder.status();
    device.daemon.kill_9()?;
    if first.tunnels != last.tunnels {
        return Err(BenchError::Unsteady(
            "the device connected again while it was idle",
        ));
    }
    let cycle = |from: u64, to: u64| (to - from) as f64 / f64::from(CYCLES);
    let (up, down) = (cycle(first.up, last.up), cycle(first.down, last.down));
    let polls = 3_600.0 / HOLD_S;
    let hour = (up + down) * polls + 3_600.0 / HEARTBEAT_S * HEARTBEAT_BYTES;
    let commits =
        |status: &serde_json::Value| status.get("commits").and_then(serde_json::Value::as_u64);
    let spent = match (commits(&commits_before), commits(&commits_after)) {
        (Some(before), Some(after)) => after.checked_sub(before),
        _ => None,
    };
    Ok(vec![
        Row::new(
            "idle poll: up, with TLS and HTTP",
            Unit::Bytes,
            Some(up),
            None,
        ),
        Row::new(
            "idle poll: down, with TLS and HTTP",
            Unit::Bytes,
            Some(down),
            None,
        ),
        Row::new(
            "idle hour at a 55 s hold, TLS, HTTP and heartbeats included",
            Unit::Bytes,
            Some(hour),
            Some(TARGET_BYTES),
        ),
        Row::new(
            "device: commits in idle polls",
            Unit::Count,
            spent.map(|count| count as f64),
            Some(0.0),
        ),
    ])
}

/// Waits for the moment at which the next poll has just been sent.
fn next_poll(forward: &Forward) -> Result<Moment, BenchError> {
    let before = forward.moment().up;
    let sent = wait::until("the next poll", || {
        let moment = forward.moment();
        Ok((moment.up > before).then_some(moment))
    })?;
    // A poll may leave in two writes: it is whole once nothing followed for one step.
    let mut last = sent;
    let settled = wait::until("the poll to be whole", || {
        let moment = forward.moment();
        let is_settled = moment == last;
        last = moment;
        Ok(is_settled.then_some(moment))
    })?;
    Ok(settled)
}
