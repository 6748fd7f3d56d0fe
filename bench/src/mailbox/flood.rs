//! A tenant that floods: many devices that post without pause and come again at once when refused.
//!
//! A process of its own with a lower priority, because it stands for machines elsewhere: it takes
//! what the relay leaves of the processors. Reports are signed before. Refuses to be polite.

use super::flow::{self, Worker, joined};
use crate::error::BenchError;
use crate::relay::door::Doors;
use crate::relay::process::{self, Greeting};
use serde_json::{Value, json};
use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinSet;

/// The lowest priority.
const NICE: i32 = 19;
/// Reports of each device that are signed before; after them they begin anew and are old news.
const REPORTS: u64 = 60;

/// What the process is told.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the relay listens.
    relay: SocketAddr,
    /// File with its certificate.
    certificate: PathBuf,
    /// Whose devices they are.
    tenant: usize,
    /// How many.
    devices: usize,
    /// Devices of one address.
    per_site: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    taken: AtomicU64,
    refused: AtomicU64,
    unhinted: AtomicU64,
    broken: AtomicU64,
}

/// The same at its end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Posts that were acknowledged.
    pub taken: u64,
    /// Posts that were refused.
    pub refused: u64,
    /// Of those, without a word when to come again.
    pub unhinted: u64,
    /// Devices whose connection ended.
    pub broken: u64,
}

impl Totals {
    /// Reads a line. # Errors: when it is none.
    pub fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let number = |name: &str| value.get(name)?.as_u64();
        Some(Self {
            taken: number("taken")?,
            refused: number("refused")?,
            unhinted: number("unhinted")?,
            broken: number("broken")?,
        })
    }
}

impl Tally {
    fn to_line(&self) -> String {
        let number = |count: &AtomicU64| count.load(Ordering::SeqCst);
        json!({
            "taken": number(&self.taken),
            "refused": number(&self.refused),
            "unhinted": number(&self.unhinted),
            "broken": number(&self.broken),
        })
        .to_string()
    }
}

/// Opens sessions, says so, floods from the first line on standard input to the second, and tells.
///
/// # Errors
/// When a session cannot be opened.
pub fn run(arguments: &Arguments) -> Result<(), BenchError> {
    process::allow_many_files()?;
    rustix::process::nice(NICE)
        .map_err(std::io::Error::from)
        .map_err(BenchError::io("lower the priority"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(BenchError::io("start a runtime"))?;
    let certificate_pem = std::fs::read_to_string(&arguments.certificate)
        .map_err(BenchError::io("read the certificate"))?;
    let greeting = Greeting {
        https: arguments.relay,
        quic: None,
        certificate_pem,
    };
    let doors = {
        let _inside = runtime.enter();
        Doors::new(&greeting)?
    };
    let devices: Vec<_> = (0..arguments.devices)
        .map(|number| (arguments.tenant, number))
        .collect();
    let workers = runtime.block_on(flow::open_at(&doors, &devices, arguments.per_site))?;
    let reports = flow::sign(&workers, 1, REPORTS)?;
    let talk = || BenchError::io("talk to the benchmark");
    say("ready").map_err(talk())?;
    let mut lines = std::io::stdin().lock().lines();
    let _begin = lines.next().transpose().map_err(talk())?;
    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let flooding = runtime.spawn(flood(
        workers,
        reports,
        Arc::clone(&tally),
        Arc::clone(&stop),
    ));
    let _end = lines.next().transpose().map_err(talk())?;
    say(&tally.to_line()).map_err(talk())?;
    stop.store(true, Ordering::SeqCst);
    flooding.abort();
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

async fn flood(
    workers: Vec<Worker>,
    reports: Vec<Vec<Vec<u8>>>,
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
) -> Result<(), BenchError> {
    let mut flooding = JoinSet::new();
    for (worker, reports) in workers.into_iter().zip(reports) {
        let (tally, stop) = (Arc::clone(&tally), Arc::clone(&stop));
        flooding.spawn(async move {
            if post(worker, reports, &tally, &stop).await.is_err() {
                tally.broken.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
    }
    joined(&mut flooding).await.map(drop)
}

async fn post(
    mut worker: Worker,
    reports: Vec<Vec<u8>>,
    tally: &Tally,
    stop: &AtomicBool,
) -> Result<(), BenchError> {
    for report in reports.iter().cycle() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        match worker.end.post(report).await? {
            Ok(()) => {
                tally.taken.fetch_add(1, Ordering::SeqCst);
            }
            Err(refused) => {
                tally.refused.fetch_add(1, Ordering::SeqCst);
                let unhinted = u64::from(refused.retry_ms.is_none());
                tally.unhinted.fetch_add(unhinted, Ordering::SeqCst);
            }
        }
    }
    Ok(())
}
