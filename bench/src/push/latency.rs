//! From `desired set` to the application, and to the controller that knows it; both ends durable.
//!
//! The decision goes over the operator's socket. The application is this program: it waits at the
//! device's local API, is told of the new state, and reports that it is applied. One push at a
//! time: no batching flatters the figure. After each push one commit of either end is timed, on the
//! same disk, by the same store with the profiles of the two ends: both see the same neighbours.

use crate::clock::{ms_since, now};
use crate::error::BenchError;
use crate::push::socket::{LocalAsk, Operator};
use crate::table::{Row, Unit};
use postern_lab::{DeviceSettings, Fleet, Revision, wait};
use postern_relay::store::{Batch, DiskStore, Profile, Store, Table};
use std::path::Path;

/// Pushes that are timed.
const PUSHES: usize = 200;
/// Pushes that are let pass first.
const WARM_PUSHES: usize = 10;
/// Bytes of the values of one commit: what a change of one key writes at either end, about.
const COMMIT_VALUES: [usize; 4] = [24, 96, 260, 180];
/// Milliseconds that a push may take beside its two commits.
const ALLOWANCE_MS: f64 = 1.0;
/// What is turned.
const SETPOINT: &str = "oven/setpoint";
/// Name of the device.
const DEVICE: &str = "press-7";

/// Times of many runs of one thing, in milliseconds.
#[derive(Debug, Default)]
struct Times(Vec<f64>);

impl Times {
    /// Returns the value below which `percent` of the times lie.
    fn percentile(&mut self, percent: usize) -> Option<f64> {
        self.0.sort_by(f64::total_cmp);
        let rank = (self.0.len().saturating_sub(1)) * percent / 100;
        self.0.get(rank).copied()
    }
}

/// Waits until the device holds a revision, whatever it held before, and returns it.
fn wait_for(socket: &Path, revision: Revision) -> Result<Revision, BenchError> {
    wait::until("the first revision", || {
        let none = Revision { epoch: 0, seq: 0 };
        let asked = LocalAsk::watch(socket, none).and_then(|ask| ask.told(revision));
        Ok(asked.ok().map(|()| revision))
    })
    .map_err(BenchError::from)
}

/// Measures the rows; `fleet` runs already.
///
/// # Errors
/// When a process ends, refuses, or the store fails.
pub fn measure(fleet: &Fleet) -> Result<Vec<Row>, BenchError> {
    let settings = DeviceSettings::default().with_tables("[apply]\nby = \"application\"\n");
    let mut device = fleet.device(DEVICE, &settings)?;
    device.daemon.start()?;
    let mut operator = Operator::connect(&fleet.controller_dir())?;
    let socket = device.folder.path().join("local.sock");
    device
        .daemon
        .wait_for("the local API", || socket.exists().then_some(()))?;
    let mut known = operator.set(DEVICE, SETPOINT, 0)?;
    LocalAsk::report_applied(&socket, wait_for(&socket, known)?)?;
    operator.wait(DEVICE, known)?;
    let mut commits = Commits::open(fleet.path())?;
    let (mut told, mut reported) = (Times::default(), Times::default());
    for number in 0..WARM_PUSHES + PUSHES {
        let ask = LocalAsk::watch(&socket, known)?;
        let start = now();
        let revision = operator.set(DEVICE, SETPOINT, number as u64 + 1)?;
        ask.told(revision)?;
        let told_ms = ms_since(start);
        LocalAsk::report_applied(&socket, revision)?;
        operator.wait(DEVICE, revision)?;
        known = revision;
        let reported_ms = ms_since(start);
        if number >= WARM_PUSHES {
            told.0.push(told_ms);
            reported.0.push(reported_ms);
            commits.time(number)?;
        }
    }
    device.daemon.kill_9()?;
    let (mut server, mut client) = commits.close()?;
    Ok(rows(&mut told, &mut reported, &mut server, &mut client))
}

fn rows(
    told: &mut Times,
    reported: &mut Times,
    server: &mut Times,
    client: &mut Times,
) -> Vec<Row> {
    let commits_ms = server
        .percentile(50)
        .zip(client.percentile(50))
        .map(|(server, client)| server + client);
    let ratio = told
        .percentile(50)
        .zip(commits_ms)
        .map(|(told, commits)| told / (commits + ALLOWANCE_MS));
    let ms = |name: &str, value: Option<f64>| Row::new(name, Unit::Milliseconds, value, None);
    vec![
        Row::new(
            "push: set to told, p50 / (two commits + 1 ms)",
            Unit::TimeRatio,
            ratio,
            Some(1.0),
        ),
        ms(
            "push: set to told (durable at both ends), p50",
            told.percentile(50),
        ),
        ms(
            "push: set to told (durable at both ends), p99",
            told.percentile(99),
        ),
        ms(
            "push: set to applied, reported and held, p50",
            reported.percentile(50),
        ),
        ms(
            "push: set to applied, reported and held, p99",
            reported.percentile(99),
        ),
        ms(
            "commit of the controller (2 flushes), p50",
            server.percentile(50),
        ),
        ms("commit of the device (1 flush), p50", client.percentile(50)),
    ]
}

/// The two commits of a push, by themselves.
struct Commits {
    server_store: DiskStore,
    client_store: DiskStore,
    server: Times,
    client: Times,
}

impl Commits {
    /// Opens a store for either profile in the folder of the fleet.
    fn open(folder: &Path) -> Result<Self, BenchError> {
        let open = |role: &str, profile| {
            DiskStore::open(&folder.join(format!("commits-{role}.redb")), profile)
        };
        Ok(Self {
            server_store: open("server", Profile::Server)?,
            client_store: open("device", Profile::Device)?,
            server: Times::default(),
            client: Times::default(),
        })
    }

    fn time(&mut self, number: usize) -> Result<(), BenchError> {
        self.server.0.push(time_commit(&self.server_store, number)?);
        self.client.0.push(time_commit(&self.client_store, number)?);
        Ok(())
    }

    fn close(self) -> Result<(Times, Times), BenchError> {
        self.server_store.close()?;
        self.client_store.close()?;
        Ok((self.server, self.client))
    }
}

fn time_commit(store: &DiskStore, number: usize) -> Result<f64, BenchError> {
    const VALUES: Table = Table::new("values");
    let mut batch = Batch::new();
    for (index, bytes) in COMMIT_VALUES.into_iter().enumerate() {
        let byte = u8::try_from(number % 251).unwrap_or_default();
        batch.insert(VALUES, format!("key-{index}"), vec![byte; bytes]);
    }
    let start = now();
    let _durable = store.commit(batch)?;
    Ok(ms_since(start))
}
