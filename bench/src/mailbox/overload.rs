//! Ten tenants at one relay, one of which floods: what the other nine get.
//!
//! ```text
//!   quiet:  nine tenants post in their turns ----------------- middle and slowest answers, goodput
//!   flood:  the same, while 640 devices of the tenth post without pause, from 40 addresses
//! ```
//!
//! Limits are those that ship. Times of the flood are divided by those of the quiet minute of the same
//! run. Refuses to call a post delivered that was refused, and to retry it.

use super::child::{Limits, Place};
use super::flood::Totals;
use super::flow::{self, Worker, joined};
use super::spread::Spread;
use super::{client::Refused, domain};
use crate::clock::{ms_since, now};
use crate::error::BenchError;
use crate::relay::door::Doors;
use crate::relay::process::{self, Child};
use crate::table::{Row, Unit};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use tokio::task::JoinSet;

/// Tenants; the last one floods.
const TENANTS: usize = 10;
/// Devices of each of the others.
const DEVICES: usize = 4;
/// Posts of each device while it is quiet, and again in the flood.
const POSTS: u64 = 120;
/// Milliseconds between two posts of a device.
const PACE_MS: u64 = 100;
/// Devices that flood: ten times the 64 that suffice to keep the relay busy.
const FLOODERS: usize = 640;
/// Devices of the flood at one address.
const PER_SITE: usize = 16;
/// Milliseconds that the flood is given to rise.
const RISE_MS: u64 = 3_000;
/// Part of the goodput of the others that the flood may take.
const LOST_MAX: f64 = 0.2;
/// How many times the quiet answer in 99 of 100 may become.
const SLOWER_MAX: f64 = 1.5;

/// What the others got.
struct Goodput {
    sent: f64,
    taken: Spread,
    refused: u64,
    unhinted: u64,
}

/// The process that floods; it ends with this.
struct Flood {
    process: std::process::Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Measures every row.
///
/// # Errors
/// When the relay or a connection of the nine fails.
pub fn measure() -> Result<Vec<Row>, BenchError> {
    let runtime = process::runtime()?;
    runtime.block_on(measure_all())
}

async fn measure_all() -> Result<Vec<Row>, BenchError> {
    let mut place = Place::new(TENANTS, Limits::Shipped)?;
    let child = place.start()?;
    let doors = Doors::new(&child.greeting)?;
    flow::admit(&doors, TENANTS - 1, DEVICES).await?;
    flow::admit_of(&doors, TENANTS - 1, FLOODERS).await?;
    child.stop()?;
    // The next process finds settled admissions: sessions stand for signatures.
    let child = place.start()?;
    let mut workers = Vec::new();
    for tenant in 0..TENANTS - 1 {
        let devices: Vec<_> = (0..DEVICES).map(|number| (tenant, number)).collect();
        workers.extend(flow::open_at(&doors, &devices, DEVICES).await?);
    }
    let mut flood = Flood::start(&child, &place)?;
    let _warm = post(&mut workers, 1, POSTS / 10).await?;
    let quiet = post(&mut workers, 1_000, POSTS).await?;
    let before = child.resident_bytes()?;
    let begun = now();
    flood.tell()?;
    tokio::time::sleep(Duration::from_millis(RISE_MS)).await;
    let processor_us = child.processor_us()?;
    let measured = now();
    let flooded = post(&mut workers, 2_000, POSTS).await?;
    let cores = (child.processor_us()? - processor_us) / (ms_since(measured) * 1_000.0);
    let grown = child.resident_bytes()? - before;
    let totals = flood.finish()?;
    let flooded_s = ms_since(begun) / 1_000.0;
    Ok(rows(&quiet, &flooded, totals, [flooded_s, grown, cores]))
}

fn row(what: &str, unit: Unit, value: Option<f64>, target: Option<f64>) -> Row {
    Row::new(format!("overload: {what}"), unit, value, target)
}

fn rows(
    quiet: &Goodput,
    flooded: &Goodput,
    totals: Totals,
    [flooded_s, grown, cores]: [f64; 3],
) -> Vec<Row> {
    let share = |goodput: &Goodput| goodput.taken.count() as f64 / goodput.sent;
    let lost = Some(1.0 - share(flooded) / share(quiet));
    let p99 = |goodput: &Goodput| goodput.taken.percentile(99);
    let slower = p99(flooded).zip(p99(quiet));
    let slower = slower.map(|(flooded, quiet)| flooded / quiet);
    let unhinted = Some((quiet.unhinted + flooded.unhinted + totals.unhinted) as f64);
    let refused = Some(flooded.refused as f64);
    let (ratio, count) = (Unit::TimeRatio, Unit::Count);
    let mut rows = vec![
        row("goodput that the others lose", ratio, lost, Some(LOST_MAX)),
        row(
            "their answer in 99 of 100, flooded / quiet",
            ratio,
            slower,
            Some(SLOWER_MAX),
        ),
        row("their posts refused", count, refused, None),
        row("refusals without a retry hint", count, unhinted, Some(0.0)),
        row("memory that the flood adds", Unit::Bytes, Some(grown), None),
        row("processors that the relay used", ratio, Some(cores), None),
    ];
    for (when, goodput) in [("quiet", quiet), ("flooded", flooded)] {
        for per_cent in [50, 99] {
            let what = format!("their answer in {per_cent} of 100, {when}");
            let value = goodput.taken.percentile(per_cent);
            rows.push(row(&what, Unit::Milliseconds, value, None));
        }
    }
    let per_s = |count: u64| Some(count as f64 / flooded_s);
    let broken = Some(totals.broken as f64);
    rows.push(row(
        "posts taken of the flood",
        Unit::PerSecond,
        per_s(totals.taken),
        None,
    ));
    rows.push(row(
        "posts refused of the flood",
        Unit::PerSecond,
        per_s(totals.refused),
        None,
    ));
    rows.push(row("connections ended of the flood", count, broken, None));
    rows
}

/// Lets each device post in its turns; times count from the turn.
async fn post(workers: &mut Vec<Worker>, from: u64, each: u64) -> Result<Goodput, BenchError> {
    let mut working = JoinSet::new();
    let (fleet, pace, started) = (workers.len(), Duration::from_millis(PACE_MS), now());
    for (place, mut worker) in workers.drain(..).enumerate() {
        let first = started + pace.mul_f64(place as f64 / fleet as f64);
        working.spawn(async move {
            let (mut spread, mut refusals) = (Spread::default(), Vec::new());
            for (turn, number) in (0..).zip(from..from + each) {
                let report = domain::report(&worker.channel, number)?;
                let due = first + pace.saturating_mul(turn);
                tokio::time::sleep_until(due.into()).await;
                match worker.end.post(&report).await? {
                    Ok(()) => spread.push(ms_since(due)),
                    Err(refused) => refusals.push(refused),
                }
            }
            Ok((worker, spread, refusals))
        });
    }
    let mut goodput = Goodput {
        sent: (fleet as u64 * each) as f64,
        taken: Spread::default(),
        refused: 0,
        unhinted: 0,
    };
    for (worker, spread, refusals) in joined(&mut working).await? {
        workers.push(worker);
        goodput.taken.extend(spread);
        goodput.refused += refusals.len() as u64;
        let is_unhinted = |refused: &&Refused| refused.retry_ms.is_none();
        goodput.unhinted += refusals.iter().filter(is_unhinted).count() as u64;
    }
    Ok(goodput)
}

impl Flood {
    /// Starts it and waits until all its sessions are open.
    fn start(child: &Child, place: &Place) -> Result<Self, BenchError> {
        let start = || BenchError::io("start the flood");
        let program = std::env::current_exe().map_err(start())?;
        let mut process = Command::new(program)
            .arg("flood")
            .arg(child.greeting.https.to_string())
            .arg(place.certificate())
            .args([TENANTS - 1, FLOODERS, PER_SITE].map(|number| number.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(start())?;
        let (Some(ask), Some(out)) = (process.stdin.take(), process.stdout.take()) else {
            unreachable!("both were piped some lines above");
        };
        let mut flood = Self {
            process,
            ask,
            answers: BufReader::new(out),
        };
        let line = flood.hear()?;
        if line.trim() == "ready" {
            return Ok(flood);
        }
        Err(BenchError::Answer {
            what: "the flood does not begin",
            answer: line,
        })
    }

    fn tell(&mut self) -> Result<(), BenchError> {
        self.ask
            .write_all(b"\n")
            .map_err(BenchError::io("tell the flood"))
    }

    fn hear(&mut self) -> Result<String, BenchError> {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .map_err(BenchError::io("hear the flood"))?;
        Ok(line)
    }

    fn finish(&mut self) -> Result<Totals, BenchError> {
        self.tell()?;
        let line = self.hear()?;
        Totals::parse(&line).ok_or(BenchError::Answer {
            what: "the flood tells nothing",
            answer: line,
        })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        // Nobody is left to tell when it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
