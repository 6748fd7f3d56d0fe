//! Devices that wait at a relay which is killed: how soon it serves again, how soon all are back.
//!
//! Each device holds a poll; when that ends it comes again after a random part of a pause that doubles
//! from a second to a minute, as ours do, or when it was told to. A hundred of them have one address;
//! limits are those that ship. Refuses to count a device as back before its session stands.

use super::child::{Limits, Place};
use super::client::{End, Refused};
use super::domain;
use super::flow::{self, joined};
use super::spread::Spread;
use crate::clock::{ms_since, now};
use crate::error::BenchError;
use crate::relay::door::Doors;
use crate::relay::process;
use crate::table::{Row, Unit};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Tenants of the devices.
const TENANTS: usize = 10;
/// Devices of one address.
const PER_SITE: usize = 100;
/// Seconds for which a poll is held: longer than the benchmark takes.
const HOLD_S: u16 = 300;
/// Milliseconds of the first pause, and of the longest.
const PAUSE_MS: [u64; 2] = [1_000, 60_000];
/// Milliseconds until the relay serves again.
const SERVING_MS_MAX: f64 = 2_000.0;
/// Milliseconds until 95 of 100 devices are back.
const BACK_MS_MAX: f64 = 45_000.0;
/// Milliseconds after which a device that is not back counts as lost.
const LOST_MS: u64 = 120_000;
/// Refusals of a device until it is back that are no storm.
const REFUSALS_MAX: f64 = 1.0;

#[derive(Debug, Default)]
struct Refusals {
    all: AtomicU64,
    unhinted: AtomicU64,
}

/// Measures every row, with so many devices.
///
/// # Errors
/// When the relay does not start, or not again.
pub fn measure(sessions: usize) -> Result<Vec<Row>, BenchError> {
    let runtime = process::runtime()?;
    runtime.block_on(measure_all(sessions))
}

async fn measure_all(sessions: usize) -> Result<Vec<Row>, BenchError> {
    let mut place = Place::new(TENANTS, Limits::Shipped)?;
    let mut child = place.start()?;
    let doors = Doors::new(&child.greeting)?;
    let each = sessions.div_ceil(TENANTS);
    flow::admit(&doors, TENANTS, each).await?;
    let refusals = Arc::new(Refusals::default());
    let (killed, killing) = watch::channel(None);
    let mut waiting = JoinSet::new();
    for number in 0..sessions {
        let (tenant, number) = (number % TENANTS, number / TENANTS);
        let doors = doors.from(flow::site(256 * tenant + number / PER_SITE));
        let (killing, refusals) = (killing.clone(), Arc::clone(&refusals));
        waiting.spawn(live(doors, [tenant, number], killing, refusals));
    }
    child.wait_holds(sessions).await?;
    refusals.all.store(0, Ordering::SeqCst);
    refusals.unhinted.store(0, Ordering::SeqCst);
    let at = now();
    killed.send_replace(Some(at));
    child.kill_9()?;
    let started = now();
    let child = place.start()?;
    let serving_ms = ms_since(started);
    let mut back = Spread::default();
    for ms in joined(&mut waiting).await?.into_iter().flatten() {
        back.push(ms);
    }
    drop(child);
    Ok(rows(sessions, serving_ms, &back, &refusals))
}

fn rows(sessions: usize, serving_ms: f64, back: &Spread, refusals: &Refusals) -> Vec<Row> {
    let count = |count: &AtomicU64| count.load(Ordering::SeqCst) as f64;
    let lost = (sessions - back.count()) as f64;
    let all = count(&refusals.all) / sessions as f64;
    let row = |what: &str, unit, value, target| {
        Row::new(
            format!("relay: killed, {sessions} wait: {what}"),
            unit,
            value,
            target,
        )
    };
    let (ms, unhinted) = (Unit::Milliseconds, count(&refusals.unhinted));
    vec![
        row(
            "until it serves again",
            ms,
            Some(serving_ms),
            Some(SERVING_MS_MAX),
        ),
        row("half of them back", ms, back.percentile(50), None),
        row("95 of 100 back", ms, back.percentile(95), Some(BACK_MS_MAX)),
        row("the last one back", ms, back.percentile(100), None),
        row(
            "not back after 2 minutes",
            Unit::Count,
            Some(lost),
            Some(0.0),
        ),
        row(
            "refusals of one device",
            Unit::TimeRatio,
            Some(all),
            Some(REFUSALS_MAX),
        ),
        row(
            "refusals without a retry hint",
            Unit::Count,
            Some(unhinted),
            Some(0.0),
        ),
    ]
}

/// Waits at the relay until that is killed, comes again, and returns milliseconds from the kill to its
/// session; `None` when it was lost.
async fn live(
    doors: Doors,
    [tenant, number]: [usize; 2],
    killing: watch::Receiver<Option<Instant>>,
    refusals: Arc<Refusals>,
) -> Result<Option<f64>, BenchError> {
    let channel = domain::channel(tenant, number)?;
    let mut dice = (number * TENANTS + tenant) as u64;
    let (mut failures, mut life) = (0, 0);
    loop {
        life += 1;
        let opened = End::device(&doors, &channel, life).await;
        let killed = *killing.borrow();
        let mut told_ms = 0;
        match opened {
            Ok(Ok(mut end)) => {
                if let Some(at) = killed {
                    return Ok(Some(ms_since(at)));
                }
                failures = 0;
                // It ends when the relay does; nothing is posted here.
                let _ = end.poll(HOLD_S).await;
            }
            Ok(Err(Refused { retry_ms, .. })) => {
                refusals.all.fetch_add(1, Ordering::SeqCst);
                let unhinted = u64::from(retry_ms.is_none());
                refusals.unhinted.fetch_add(unhinted, Ordering::SeqCst);
                told_ms = retry_ms.unwrap_or_default();
            }
            Err(_) => {}
        }
        if killed.is_some_and(|at| ms_since(at) > LOST_MS as f64) {
            return Ok(None);
        }
        let pause_ms = pause(failures, &mut dice).max(told_ms);
        failures += 1;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

/// A random part of the step: all of it is random, so that a fleet does not come back in steps.
fn pause(failures: u32, dice: &mut u64) -> u64 {
    let [first, longest] = PAUSE_MS;
    let step = first.saturating_mul(1_u64.checked_shl(failures).unwrap_or(u64::MAX));
    *dice = dice
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*dice >> 33) % step.min(longest)
}
