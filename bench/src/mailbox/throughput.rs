//! How many messages a relay takes in a second, and what each costs it.
//!
//! ```text
//!   first process:  devices are admitted, so that their posts are verified in full
//!   second process: the same store; sessions stand for signatures: post, deliver, forward
//! ```
//!
//! Relay and load share the machine, so that rates are low and processor time is what compares.
//! Refuses to measure cold: each run follows a shorter one of its kind.

use super::child::{Limits, Place};
use super::client::{DELIVERED_MAX, End};
use super::flow::{self, Reader, Worker};
use super::spread::Spread;
use crate::clock::{ms_since, now};
use crate::error::BenchError;
use crate::relay::door::Doors;
use crate::relay::process::{self, Child};
use crate::table::{Row, Unit};
use std::time::{Duration, Instant};

/// Tenants at work.
pub const TENANTS: usize = 8;
/// Devices of each tenant that hold sessions.
pub const DEVICES: usize = 16;
/// Reports of each device in a run.
pub const REPORTS: u64 = 150;
/// Reports of each device before it.
pub const WARM: u64 = 15;
/// Frames of each writer in a run, and before it.
const FRAMES: [u64; 2] = [5, 50];
/// Messages per second in sessions, for which the session's tag stands: a writer's, many in a frame.
const BOUND_PER_S: f64 = 25_000.0;
/// Messages per second of which each signature is verified.
const VERIFIED_PER_S: f64 = 10_000.0;
/// Messages per second that are kept durably.
const KEPT_PER_S: f64 = 3_000.0;
/// Milliseconds between two reports of one device when all of them make half of that.
const HALF_LOAD: Duration = Duration::from_micros(1_000_000 * (TENANTS * DEVICES) as u64 / 1_500);
/// Milliseconds from a report to its reader at half load: the middle one, and one of a hundred.
const FORWARD_MS_MAX: [f64; 2] = [5.0, 50.0];

/// What a run took.
struct Run {
    messages: f64,
    wall_ms: f64,
    processor_us: f64,
    written_bytes: f64,
    spread: Spread,
}

struct Meter {
    started: Instant,
    processor_us: f64,
    written_bytes: f64,
}

impl Meter {
    fn start(child: &Child) -> Result<Self, BenchError> {
        Ok(Self {
            processor_us: child.processor_us()?,
            written_bytes: child.written_bytes()?,
            started: now(),
        })
    }

    fn stop(self, child: &Child, spread: Spread, each: usize) -> Result<Run, BenchError> {
        Ok(Run {
            wall_ms: ms_since(self.started),
            processor_us: child.processor_us()? - self.processor_us,
            written_bytes: child.written_bytes()? - self.written_bytes,
            messages: (spread.count() * each) as f64,
            spread,
        })
    }
}

impl Run {
    fn rows(&self, name: &str, per_s: Option<f64>) -> Vec<Row> {
        let row =
            |what: &str, unit, value| Row::new(format!("relay: {name}: {what}"), unit, value, None);
        let rate = self.messages / self.wall_ms * 1_000.0;
        let each = |total: f64| Some(total / self.messages);
        let mut first = row("messages", Unit::PerSecond, Some(rate));
        first.target = per_s;
        vec![
            first,
            row(
                "processor time of one",
                Unit::Microseconds,
                each(self.processor_us),
            ),
            row(
                "written to the disk for one",
                Unit::Bytes,
                each(self.written_bytes),
            ),
            row(
                "middle answer",
                Unit::Milliseconds,
                self.spread.percentile(50),
            ),
            row(
                "answer in 99 of 100",
                Unit::Milliseconds,
                self.spread.percentile(99),
            ),
        ]
    }
}

/// Measures every row.
///
/// # Errors
/// When the relay or a connection fails, or the relay refuses.
pub fn measure() -> Result<Vec<Row>, BenchError> {
    let runtime = process::runtime()?;
    runtime.block_on(measure_all())
}

/// Processor time of a report that is posted, kept and collected before the next one leaves, in microseconds; and how
/// many were lost.
///
/// # Errors
/// As [`measure`].
pub async fn forward_us() -> Result<(f64, usize), BenchError> {
    let mut place = Place::new(TENANTS, Limits::Open)?;
    let child = place.start()?;
    flow::admit(&Doors::new(&child.greeting)?, TENANTS, DEVICES).await?;
    // A fresh admission is verified in full for a while: sessions are those of the second process.
    child.stop()?;
    let child = place.start()?;
    let doors = Doors::new(&child.greeting)?;
    let mut workers = open(&doors).await?;
    let (run, lost) = forwards(&child, &doors, &mut workers, 1, None).await?;
    Ok((run.processor_us / run.messages, lost))
}

async fn measure_all() -> Result<Vec<Row>, BenchError> {
    let mut place = Place::new(TENANTS, Limits::Open)?;
    let child = place.start()?;
    let doors = Doors::new(&child.greeting)?;
    flow::admit(&doors, TENANTS, DELIVERED_MAX).await?;
    let mut workers = open(&doors).await?;
    let verified = posts(&child, &mut workers, 1).await?;
    drop(workers);
    child.stop()?;

    let child = place.start()?;
    let mut workers = open(&doors).await?;
    let bound = posts(&child, &mut workers, 1 + WARM + REPORTS).await?;
    let delivered = deliveries(&child, &doors).await?;
    let from = 1 + 2 * (WARM + REPORTS);
    let (forwarded, lost) = forwards(&child, &doors, &mut workers, from, None).await?;
    let from = from + WARM + REPORTS;
    let (paced, paced_lost) = forwards(&child, &doors, &mut workers, from, Some(HALF_LOAD)).await?;

    let mut rows = bound.rows("posts in sessions, kept", Some(KEPT_PER_S));
    rows.extend(delivered.rows("deliveries in sessions, kept", Some(BOUND_PER_S)));
    rows.extend(verified.rows("posts, each signature verified, kept", Some(VERIFIED_PER_S)));
    rows.extend(forwarded.rows("posts in sessions, kept and collected", None));
    for (load, lost) in [("without pause", lost), ("1500 in a second", paced_lost)] {
        rows.push(Row::new(
            format!("relay: posts acknowledged and never collected, {load}"),
            Unit::Count,
            Some(lost as f64),
            Some(0.0),
        ));
    }
    for (per_cent, target) in [50, 99].into_iter().zip(FORWARD_MS_MAX) {
        rows.push(Row::new(
            format!("relay: post to collect at 1500 in a second: {per_cent} of 100"),
            Unit::Milliseconds,
            paced.spread.percentile(per_cent),
            Some(target),
        ));
    }
    Ok(rows)
}

async fn open(doors: &Doors) -> Result<Vec<Worker>, BenchError> {
    let devices: Vec<_> = (0..TENANTS)
        .flat_map(|tenant| (0..DEVICES).map(move |number| (tenant, number)))
        .collect();
    flow::open(doors, &devices).await
}

async fn posts(child: &Child, workers: &mut Vec<Worker>, from: u64) -> Result<Run, BenchError> {
    let warm = flow::sign(workers, from, WARM)?;
    flow::post(workers, warm).await?;
    let reports = flow::sign(workers, from + WARM, REPORTS)?;
    let meter = Meter::start(child)?;
    let spread = flow::post(workers, reports).await?;
    meter.stop(child, spread, 1)
}

async fn deliveries(child: &Child, doors: &Doors) -> Result<Run, BenchError> {
    let [warm, frames] = FRAMES;
    let mut run = None;
    for (from, count) in [(1, warm), (1 + warm, frames)] {
        let loads: Result<Vec<_>, _> = (0..TENANTS)
            .map(|tenant| flow::sign_loads(tenant, from, count))
            .collect();
        let loads = loads?;
        let mut writers = Vec::new();
        for tenant in 0..TENANTS {
            writers.push(End::writer(doors, tenant).await?);
        }
        let meter = Meter::start(child)?;
        let spread = flow::deliver(writers, loads).await?;
        run = Some(meter.stop(child, spread, DELIVERED_MAX)?);
    }
    run.ok_or(BenchError::Unsteady("nothing was delivered"))
}

async fn forwards(
    child: &Child,
    doors: &Doors,
    workers: &mut Vec<Worker>,
    from: u64,
    pace: Option<Duration>,
) -> Result<(Run, usize), BenchError> {
    let mut run = None;
    for (from, count) in [(from, WARM), (from + WARM, REPORTS)] {
        let reports = flow::sign(workers, from, count)?;
        let mut readers = Vec::new();
        for tenant in 0..TENANTS {
            readers.push(Reader::open(doors, tenant).await?);
        }
        let meter = Meter::start(child)?;
        let (spread, lost) = flow::forward(workers, readers, reports, pace).await?;
        run = Some((meter.stop(child, spread, 1)?, lost));
    }
    run.ok_or(BenchError::Unsteady("nothing was forwarded"))
}
