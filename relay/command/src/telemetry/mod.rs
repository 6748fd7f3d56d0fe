//! Logs of a relay: as everywhere, but no place in the code that peers can trigger may flood the disk.
//!
//! ```text
//!  event --level filter (may be changed by a reload)--> rate of its call --> text or JSON on standard error
//!                                                        '-- left out: counted, said once a minute
//! ```
//!
//! Errors are never left out. Refuses to log bodies and secrets: no type that holds them can be shown.

#[cfg(test)]
mod tests;

use crate::limits::LOG_CALLS_MAX;
use postern_console::clock;
use postern_console::config::LogConfig;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter, Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

/// Where peers speak: modules of the library. What this program says of itself is rare.
const OF_PEERS: [&str; 4] = [
    "postern_relay::server",
    "postern_relay::durable",
    "postern_relay::exchange",
    "postern_relay::mailbox",
];

/// Lines left out since the start.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Returns how many lines were left out since the start.
pub fn left_out_total() -> u64 {
    LEFT_OUT.load(Ordering::Relaxed)
}

/// A place in the code: file and line.
type Call = (&'static str, u32);

#[derive(Debug, Clone, Copy)]
struct Cell {
    /// Lines that may still be written, in thousandths.
    room: u64,
    last_ms: u64,
    left_out: u64,
}

/// How many lines each place in the code may write.
#[derive(Debug, Clone)]
pub struct Rates {
    per_s: u64,
    cells: Arc<Mutex<BTreeMap<Call, Cell>>>,
}

impl Rates {
    /// So many lines a second of each place; ten times as many after a pause.
    #[must_use]
    pub fn new(per_s: u64) -> Self {
        Self {
            per_s,
            cells: Arc::default(),
        }
    }

    /// Tells whether a line of this place may be written now.
    pub fn take(&self, call: Call, now_ms: u64) -> bool {
        let full = self.per_s.saturating_mul(10_000);
        let mut cells = self.lock();
        if cells.len() >= LOG_CALLS_MAX && !cells.contains_key(&call) {
            return true;
        }
        let cell = cells.entry(call).or_insert(Cell {
            room: full,
            last_ms: now_ms,
            left_out: 0,
        });
        let earned = now_ms
            .saturating_sub(cell.last_ms)
            .saturating_mul(self.per_s);
        cell.room = cell.room.saturating_add(earned).min(full);
        cell.last_ms = now_ms;
        if cell.room < 1_000 {
            cell.left_out = cell.left_out.saturating_add(1);
            LEFT_OUT.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        cell.room -= 1_000;
        true
    }

    /// Says how many lines of which places were left out since the last call.
    pub fn say_left_out(&self) {
        let left_out: Vec<(Call, u64)> = {
            let mut cells = self.lock();
            let some = cells.iter_mut().filter(|(_, cell)| cell.left_out > 0);
            let taken = some.map(|(call, cell)| (*call, std::mem::take(&mut cell.left_out)));
            taken.collect()
        };
        for ((file, line), lines) in left_out {
            tracing::warn!(file, line, lines, "left lines out of the log");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Call, Cell>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Filter<S> for Rates {
    fn enabled(&self, _meta: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _context: &Context<'_, S>) -> bool {
        let meta = event.metadata();
        let is_of_peers = |part: &&str| meta.target().starts_with(*part);
        if !OF_PEERS.iter().any(is_of_peers) || *meta.level() == Level::ERROR {
            return true;
        }
        let call = (
            meta.file().unwrap_or_default(),
            meta.line().unwrap_or_default(),
        );
        self.take(call, clock::mono_ms())
    }
}

/// Changes the level of a running log.
#[derive(Debug, Clone)]
pub struct LevelHandle(Option<reload::Handle<Targets, Registry>>);

impl LevelHandle {
    /// The handle of no log.
    #[cfg(test)]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Takes another level; one that is refused leaves the old.
    pub fn set(&self, level: &str) {
        let Ok(filter) = postern_console::telemetry::filter(level) else {
            return;
        };
        if let Some(Err(error)) = self.0.as_ref().map(|handle| handle.reload(filter)) {
            tracing::warn!(%error, "the level of the log cannot be changed");
        }
    }
}

/// Starts logging for this process; a second start does nothing.
pub fn start(log: &LogConfig, rates: &Rates) -> LevelHandle {
    let filter = postern_console::telemetry::filter(&log.level)
        .unwrap_or_else(|_refused| postern_console::telemetry::plain());
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let started = if log.is_json {
        let lines = lines.json().flatten_event(true);
        registry.with(lines.with_filter(rates.clone())).try_init()
    } else {
        let lines = lines.with_target(false).with_ansi(false);
        registry.with(lines.with_filter(rates.clone())).try_init()
    };
    LevelHandle(started.ok().map(|()| handle))
}
