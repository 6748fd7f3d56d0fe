//! Fleets at work: devices that post one after the other, writers that deliver or collect.
//!
//! ```text
//!   post     device --report--> relay (commit) --answer--> next
//!   deliver  writer --44 letters--> relay (commit) --answer--> next
//!   forward  device --report--> relay (commit) --collected--> writer: only then the next
//! ```
//!
//! Refuses to go on after a refusal: under these loads there must be none. A report that was
//! acknowledged and is not collected in time counts as lost.

use super::client::{Collection, DELIVERED_MAX, End, Letter, Outcome, Refused};
use super::domain;
use super::spread::Spread;
use crate::clock::{ms_since, now};
use crate::error::BenchError;
use crate::relay::door::Doors;
use postern_protocol::id::{Channel, ChannelId, Plane};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Seconds for which a collect waits, so that writers see the end.
const COLLECT_HOLD_S: u16 = 1;
/// Milliseconds after which a report that was acknowledged counts as lost: its writer was asked twice since.
const LOST_MS: u64 = 3_000;
/// Sessions that are opened at once.
const OPENING: usize = 32;

/// A device with a session.
pub struct Worker {
    /// Whose it is.
    pub tenant: usize,
    /// Its channel.
    pub channel: Channel,
    /// Its session.
    pub end: End,
}

/// Wants no refusal. # Errors: when there is one.
pub fn done<T>(outcome: Result<T, Refused>) -> Result<T, BenchError> {
    outcome.map_err(Refused::into_error)
}

/// Waits for tasks. # Errors: that of the first that failed.
pub async fn joined<T: 'static>(
    tasks: &mut JoinSet<Result<T, BenchError>>,
) -> Result<Vec<T>, BenchError> {
    let mut all = Vec::new();
    while let Some(task) = tasks.join_next().await {
        all.push(task.map_err(BenchError::network("an end of the benchmark ended"))??);
    }
    Ok(all)
}

/// Lets each tenant's writer admit so many devices.
pub async fn admit(doors: &Doors, tenants: usize, devices: usize) -> Result<(), BenchError> {
    for tenant in 0..tenants {
        admit_of(doors, tenant, devices).await?;
    }
    Ok(())
}

/// Lets one tenant's writer admit so many devices.
pub async fn admit_of(doors: &Doors, tenant: usize, devices: usize) -> Result<(), BenchError> {
    let mut writer = End::writer(doors, tenant).await?;
    let numbers: Vec<usize> = (0..devices).collect();
    for part in numbers.chunks(DELIVERED_MAX) {
        let admissions: Result<Vec<_>, BenchError> = part
            .iter()
            .map(|number| {
                let channel = domain::channel(tenant, *number)?;
                Ok(Letter {
                    channel: channel.id(),
                    plane: None,
                    envelope: domain::admission(tenant, *number)?,
                })
            })
            .collect();
        done(writer.deliver(&admissions?).await?)?;
    }
    Ok(())
}

/// An address of this machine for a site of devices: one of 127.1.0.0/16.
pub const fn site(number: usize) -> Ipv4Addr {
    let [.., high, low] = number.to_be_bytes();
    // Neither the first nor the last number of a network stands for a machine.
    Ipv4Addr::new(127, 1, high, low.saturating_add(1))
}

/// Opens sessions of devices, given as tenant and number, `per_site` of them from each address.
pub async fn open_at(
    doors: &Doors,
    devices: &[(usize, usize)],
    per_site: usize,
) -> Result<Vec<Worker>, BenchError> {
    let mut workers = Vec::new();
    for (place, part) in devices.chunks(per_site).enumerate() {
        let tenant = part.first().map_or(0, |(tenant, _)| *tenant);
        let doors = doors.from(site(256 * tenant + place));
        workers.extend(open(&doors, part).await?);
    }
    Ok(workers)
}

/// Opens sessions of devices, given as tenant and number.
pub async fn open(doors: &Doors, devices: &[(usize, usize)]) -> Result<Vec<Worker>, BenchError> {
    let mut workers = Vec::new();
    for part in devices.chunks(OPENING) {
        let mut opening = JoinSet::new();
        for &(tenant, number) in part {
            let doors = doors.clone();
            opening.spawn(async move {
                let channel = domain::channel(tenant, number)?;
                let end = done(End::device(&doors, &channel, 0).await?)?;
                Ok(Worker {
                    tenant,
                    channel,
                    end,
                })
            });
        }
        workers.extend(joined(&mut opening).await?);
    }
    Ok(workers)
}

/// Signs so many reports for each device, from a number on.
pub fn sign(workers: &[Worker], from: u64, each: u64) -> Result<Vec<Vec<Vec<u8>>>, BenchError> {
    let of = |worker: &Worker| {
        let numbers = from..from + each;
        let reports = numbers.map(|number| Ok(domain::report(&worker.channel, number)?));
        reports.collect()
    };
    workers.iter().map(of).collect()
}

/// Lets each device post its reports, one after the other.
pub async fn post(
    workers: &mut Vec<Worker>,
    reports: Vec<Vec<Vec<u8>>>,
) -> Result<Spread, BenchError> {
    let mut working = JoinSet::new();
    for (mut worker, reports) in workers.drain(..).zip(reports) {
        working.spawn(async move {
            let mut spread = Spread::default();
            for report in reports {
                let sent = now();
                done(worker.end.post(&report).await?)?;
                spread.push(ms_since(sent));
            }
            Ok((worker, spread))
        });
    }
    let mut spread = Spread::default();
    for (worker, own) in joined(&mut working).await? {
        workers.push(worker);
        spread.extend(own);
    }
    Ok(spread)
}

/// What a writer delivers in one frame.
pub type Load = Vec<Letter>;

/// Signs so many frames of letters for the first devices of a tenant, from a number on.
pub fn sign_loads(tenant: usize, from: u64, frames: u64) -> Result<Vec<Load>, BenchError> {
    let channels: Result<Vec<_>, _> = (0..DELIVERED_MAX)
        .map(|number| domain::channel(tenant, number))
        .collect();
    let channels = channels?;
    let load = |number| {
        let letters = channels.iter().map(|channel| {
            Ok(Letter {
                channel: channel.id(),
                plane: Some(Plane::Desired),
                envelope: domain::word(tenant, channel, number)?,
            })
        });
        letters.collect()
    };
    (from..from + frames).map(load).collect()
}

/// Lets each writer deliver its loads, one after the other. Times are those of frames.
pub async fn deliver(writers: Vec<End>, loads: Vec<Vec<Load>>) -> Result<Spread, BenchError> {
    let mut working = JoinSet::new();
    for (mut writer, loads) in writers.into_iter().zip(loads) {
        working.spawn(async move {
            let mut spread = Spread::default();
            for load in loads {
                let sent = now();
                done(writer.deliver(&load).await?)?;
                spread.push(ms_since(sent));
            }
            Ok(spread)
        });
    }
    let mut spread = Spread::default();
    for own in joined(&mut working).await? {
        spread.extend(own);
    }
    Ok(spread)
}

/// A device's report on its way.
#[derive(Default)]
struct Slip {
    sent: Mutex<Option<Instant>>,
    arrived: Notify,
}

impl Slip {
    fn send(&self, at: Instant) {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    fn take(&self) -> Option<Instant> {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The writer's end of a tenant, and how far it has read.
pub struct Reader {
    end: End,
    at: Collection,
    cursor: u64,
}

impl Reader {
    /// Opens a session and reads everything that lies there.
    pub async fn open(doors: &Doors, tenant: usize) -> Result<Self, BenchError> {
        let mut reader = Self {
            end: End::writer(doors, tenant).await?,
            at: Collection::default(),
            cursor: 0,
        };
        while !done(reader.collect(0).await?)?.is_empty() {}
        Ok(reader)
    }

    async fn collect(&mut self, hold_s: u16) -> Outcome<Vec<ChannelId>> {
        let collected = self.end.collect(hold_s, self.at.store, self.cursor).await?;
        let Collection { store, letters } = match collected {
            Ok(collection) => collection,
            Err(refused) => return Ok(Err(refused)),
        };
        self.at.store = store;
        let last = letters.iter().map(|(arrival, _)| *arrival).max();
        self.cursor = last.unwrap_or(self.cursor);
        Ok(Ok(letters.into_iter().map(|(_, from)| from).collect()))
    }
}

/// Lets each device post its reports and its writer collect them. Each next one leaves when the one
/// before was collected or, with a pace, in its turn; times count from then. Returns how many were lost, too.
pub async fn forward(
    workers: &mut Vec<Worker>,
    readers: Vec<Reader>,
    reports: Vec<Vec<Vec<u8>>>,
    pace: Option<Duration>,
) -> Result<(Spread, usize), BenchError> {
    let mut slips: Vec<BTreeMap<ChannelId, Arc<Slip>>> = vec![BTreeMap::new(); readers.len()];
    let posting_now = Arc::new(AtomicUsize::new(workers.len()));
    let mut posting = JoinSet::new();
    let (fleet, started) = (workers.len(), now());
    for (place, (worker, reports)) in workers.drain(..).zip(reports).enumerate() {
        let slip = Arc::new(Slip::default());
        if let Some(slips) = slips.get_mut(worker.tenant) {
            slips.insert(worker.channel.id(), Arc::clone(&slip));
        }
        let turns = pace.map(|pace| (started + pace.mul_f64(place as f64 / fleet as f64), pace));
        let posting_now = Arc::clone(&posting_now);
        posting.spawn(async move {
            let posted = post_forwarded(worker, reports, slip, turns).await;
            posting_now.fetch_sub(1, Ordering::SeqCst);
            posted
        });
    }
    let mut collecting = JoinSet::new();
    for (mut reader, slips) in readers.into_iter().zip(slips) {
        let posting_now = Arc::clone(&posting_now);
        collecting.spawn(async move {
            let mut spread = Spread::default();
            while posting_now.load(Ordering::SeqCst) > 0 {
                for from in done(reader.collect(COLLECT_HOLD_S).await?)? {
                    let Some(slip) = slips.get(&from) else {
                        continue;
                    };
                    if let Some(sent) = slip.take() {
                        spread.push(ms_since(sent));
                        slip.arrived.notify_one();
                    }
                }
            }
            Ok(spread)
        });
    }
    // Together: a device that fails would be waited for in vain.
    let (posted, collected) = tokio::try_join!(joined(&mut posting), joined(&mut collecting))?;
    let (mut spread, mut lost) = (Spread::default(), 0);
    for (worker, own) in posted {
        workers.push(worker);
        lost += own;
    }
    collected.into_iter().for_each(|own| spread.extend(own));
    Ok((spread, lost))
}

async fn post_forwarded(
    mut worker: Worker,
    reports: Vec<Vec<u8>>,
    slip: Arc<Slip>,
    turns: Option<(Instant, Duration)>,
) -> Result<(Worker, usize), BenchError> {
    let mut lost = 0;
    for (turn, report) in (0..).zip(reports) {
        let mut sent = now();
        if let Some((first, pace)) = turns {
            sent = first + pace.saturating_mul(turn);
            tokio::time::sleep_until(sent.into()).await;
        }
        slip.send(sent);
        done(worker.end.post(&report).await?)?;
        let arrived = slip.arrived.notified();
        let is_lost = tokio::time::timeout(Duration::from_millis(LOST_MS), arrived);
        lost += usize::from(is_lost.await.is_err());
    }
    Ok((worker, lost))
}
