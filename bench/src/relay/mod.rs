//! What a mailbox server costs: memory of a device that waits, processor time of an exchange.
//!
//! The server is a process of its own, with both doors, real sessions and a host that keeps nothing;
//! the devices are in this one. Memory is the growth of the server's resident memory over all
//! waiting devices; what the kernel keeps for their sockets is not in it. Refuses averages of single
//! requests: time is that of all threads of the server over thousands of exchanges.

mod child;
mod device;
pub mod door;
mod forged;
pub mod process;

pub use child::{limits, serve};

use crate::clock::{ms_since, now};
use crate::error::BenchError;
use crate::mailbox::spread::Spread;
use crate::table::{Row, Unit};
use device::Device;
use door::{Door, Doors};
use process::Child;
use std::time::Duration;

/// Bytes of memory of one device that waits: 50 KiB, so that 1 GB holds 20,000.
const DEVICE_BYTES_MAX: f64 = 51_200.0;
/// Exchanges that are timed over each door.
const EXCHANGES: usize = 20_000;
/// Devices that exchange at once while time is taken.
const BUSY: usize = 8;
/// First packets that a forger has, each of another client.
const FORGED: usize = 5_000;
/// Attempts that he makes in a second, and for how many seconds.
const FORGED_PER_S: u64 = 15_000;
const FORGED_S: u64 = 10;
/// Milliseconds between two exchanges of the honest device, and how many it makes before.
const PACE_MS: u64 = 5;
const QUIET_TURNS: u64 = 400;
/// Bytes that they may take.
const FORGED_BYTES_MAX: f64 = 10_000_000.0;
/// Devices that connect at once: below what has to prove its address first.
const CONNECTING: usize = 32;

/// Measures every row.
///
/// # Errors
/// When the server or a connection fails.
pub fn measure(sessions: usize) -> Result<Vec<Row>, BenchError> {
    let runtime = process::runtime()?;
    let mut rows = Vec::new();
    for door in Door::ALL {
        let (bytes, micros) = runtime.block_on(measure_door(door, sessions))?;
        let name = door.as_str();
        rows.push(Row::new(
            format!("relay: memory of a device that waits, {sessions} over {name}"),
            Unit::Bytes,
            Some(bytes),
            Some(DEVICE_BYTES_MAX),
        ));
        rows.push(Row::new(
            format!("relay: processor time of an exchange over {name}"),
            Unit::Microseconds,
            Some(micros),
            None,
        ));
    }
    rows.extend(runtime.block_on(measure_forged())?);
    Ok(rows)
}

fn start(devices: usize) -> Result<Child, BenchError> {
    Child::start(&["relay-child", &devices.to_string()])
}

/// Forges attempts while an honest device exchanges over HTTPS, and another comes by QUIC in the midst of it.
async fn measure_forged() -> Result<Vec<Row>, BenchError> {
    let child = start(BUSY)?;
    let doors = Doors::new(&child.greeting)?;
    // One honest device first, so that what is made once is not counted for the forger.
    drop(open(&doors, Door::Quic, 0..1).await?);
    let mut honest = open(&doors, Door::Http1, 1..2).await?;
    let packets = forged::catch(&doors, FORGED).await?;
    let quiet = pace(&mut honest, QUIET_TURNS, || false).await?;
    let (server, before) = (doors.quic()?, child.resident_bytes()?);
    let flood = std::thread::spawn(move || forged::flood(&packets, server, FORGED_PER_S, FORGED_S));
    let flooded = pace(&mut honest, u64::MAX, || flood.is_finished()).await?;
    let sent = flood
        .join()
        .map_err(|_| BenchError::Unsteady("the forger ended early"))??;
    let grown = child.resident_bytes()? - before;
    let late = open(&doors, Door::Quic, 2..3).await?.len();
    let row = |what: &str, unit, value: Option<f64>, target| {
        Row::new(format!("relay: {what}"), unit, value, target)
    };
    let p99 = |spread: &Spread| spread.percentile(99);
    Ok(vec![
        row(
            &format!("memory that {sent} forged QUIC attempts take, {FORGED_PER_S} a second"),
            Unit::Bytes,
            Some(grown),
            Some(FORGED_BYTES_MAX),
        ),
        row(
            "HTTPS answer in 99 of 100 meanwhile",
            Unit::Milliseconds,
            p99(&flooded),
            None,
        ),
        row("the same, quiet", Unit::Milliseconds, p99(&quiet), None),
        row(
            "honest QUIC devices that cannot connect afterwards",
            Unit::Count,
            Some(1.0 - late as f64),
            Some(0.0),
        ),
    ])
}

/// Lets the devices exchange now and then, so many times or until something is over.
async fn pace(
    devices: &mut [Device],
    turns: u64,
    is_over: impl Fn() -> bool,
) -> Result<Spread, BenchError> {
    let mut ticks = tokio::time::interval(Duration::from_millis(PACE_MS));
    let mut spread = Spread::default();
    for _turn in 0..turns {
        ticks.tick().await;
        if is_over() {
            break;
        }
        for device in devices.iter_mut() {
            let asked = now();
            device.poll().await?;
            spread.push(ms_since(asked));
        }
    }
    Ok(spread)
}

async fn measure_door(door: Door, sessions: usize) -> Result<(f64, f64), BenchError> {
    let mut child = start(sessions.max(BUSY))?;
    let doors = Doors::new(&child.greeting)?;
    // Once over everything, so that what is made once is not counted for the devices.
    let mut busy = open(&doors, door, 0..BUSY).await?;
    exchange(&mut busy, EXCHANGES / 10).await?;
    let before_us = child.processor_us()?;
    let done = exchange(&mut busy, EXCHANGES).await?;
    let micros = (child.processor_us()? - before_us) / done as f64;
    drop(busy);
    child.wait_sessions_idle().await?;
    let before = child.resident_bytes()?;
    let mut held = Vec::new();
    let mut at = 0;
    while at < sessions {
        let next = sessions.min(at + CONNECTING);
        for device in open(&doors, door, at..next).await? {
            held.push(device.hold());
        }
        at = next;
    }
    child.wait_holds(sessions).await?;
    let bytes = (child.resident_bytes()? - before) / sessions as f64;
    drop(held);
    Ok((bytes, micros))
}

async fn open(
    doors: &Doors,
    door: Door,
    numbers: std::ops::Range<usize>,
) -> Result<Vec<Device>, BenchError> {
    let mut opening = tokio::task::JoinSet::new();
    for number in numbers {
        let doors = doors.clone();
        opening.spawn(async move { Device::open(&doors, door, number).await });
    }
    let mut devices = Vec::new();
    while let Some(opened) = opening.join_next().await {
        devices.push(opened.map_err(BenchError::network("a device ended"))??);
    }
    Ok(devices)
}

/// Lets the devices exchange in turns of their own until so many are done.
async fn exchange(devices: &mut Vec<Device>, count: usize) -> Result<usize, BenchError> {
    let each = count / devices.len().max(1);
    let mut working = tokio::task::JoinSet::new();
    for mut device in devices.drain(..) {
        working.spawn(async move {
            for _ in 0..each {
                device.poll().await?;
            }
            Ok::<Device, BenchError>(device)
        });
    }
    while let Some(worked) = working.join_next().await {
        devices.push(worked.map_err(BenchError::network("a device ended"))??);
    }
    Ok(each * devices.len())
}
