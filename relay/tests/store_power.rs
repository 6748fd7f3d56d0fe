//! No acknowledged record is lost when the power is cut below ext4.
//!
//! Needs root, `/dev/fuse` and loop devices; without them it says so and passes. It is a program of its own, without the
//! test harness, because it starts itself again: in a mount namespace, and as the process whose store is cut.
//!
//! ```text
//! cargo test -p postern-relay --test store_power                      a few dozen power cuts
//! POSTERN_POWER_CUTS=5000 ...                                         as many as wanted
//! POSTERN_POWER_SEED=7 ...                                            other workloads
//! POSTERN_POWER_LEDGER=power.txt ...                                  counts rounds in a file, and goes on behind them
//! POSTERN_POWER_FOLDER=/dev/shm ...                                   where images are made: memory is fastest
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test"
)]

mod power_cuts;
mod store_explorer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use power_cuts::machine::{enter_namespace, forbids, lacks};
use power_cuts::recorder::{RECORD, record};
use power_cuts::round::{Broken, Round};
use power_cuts::tally::{Ledger, Tally};
use tempfile::TempDir;

/// Power cuts where the environment asks for no other number.
const CUTS: u64 = 40;
const SEED: u64 = 0x0ff_5eed;
/// What is broken on purpose, and the rounds that have to find it. Over what a disk that skips flushes leaves, a server's
/// engine may end the process: a device's checks every page first.
const BROKEN: [(Broken, [u64; 2]); 2] = [(Broken::Disk, [0, 2]), (Broken::Recorder, [0, 1])];
/// The first argument inside of the mount namespace.
const INSIDE: &str = "inside";
const NAME: &str = "store_on_a_file_system_whose_power_is_cut_keeps_every_acknowledged_record";

/// Reads a variable; an empty one counts as unset.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str, default: u64) -> u64 {
    variable(name).map_or(default, |value| value.parse().unwrap())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(RECORD) => {
            record(&arguments[1..]);
            ExitCode::SUCCESS
        }
        Some(INSIDE) => inside(),
        // What the harness would be told: a filter, or to list.
        Some("--list") => ExitCode::SUCCESS,
        Some(filter) if !filter.starts_with('-') && !NAME.contains(filter) => ExitCode::SUCCESS,
        Some(_) | None => outside(),
    }
}

fn outside() -> ExitCode {
    if let Some(why) = lacks() {
        return skipped(&why);
    }
    let error = enter_namespace(&[INSIDE]);
    println!("{NAME}: {error}");
    ExitCode::FAILURE
}

fn skipped(why: &str) -> ExitCode {
    println!("SKIPPED: power cuts below a file system ({why})");
    ExitCode::SUCCESS
}

fn inside() -> ExitCode {
    if let Some(why) = forbids(folder().path()) {
        return skipped(why.lines().next().unwrap_or_default());
    }
    let seed = number("POSTERN_POWER_SEED", SEED);
    let wanted = number("POSTERN_POWER_CUTS", CUTS);
    let ledger = variable("POSTERN_POWER_LEDGER");
    let ledger = cut_all(Ledger::open(ledger.as_deref(), seed), seed, wanted);
    println!("power cuts, seed {seed}: {}", ledger.total);
    let mut good = ledger.total.failures() == 0 && ledger.total.states >= wanted;
    for (broken, rounds) in BROKEN {
        for number in rounds {
            let found = run(&Round::nth(seed, number, broken));
            println!("{broken:?} broken on purpose: {found}");
            good &= found.failures() > 0;
        }
    }
    println!("{NAME} ... {}", if good { "ok" } else { "FAILED" });
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs rounds, as many at once as the machine has cores, until there are enough power cuts.
fn cut_all(ledger: Ledger, seed: u64, wanted: u64) -> Ledger {
    let next = AtomicU64::new(0);
    let ledger = Mutex::new(ledger);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            let held = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            if held.total.states >= wanted {
                return;
            }
            if held.has(number) {
                continue;
            }
            drop(held);
            let tally = run(&Round::nth(seed, number, Broken::Nothing));
            let mut held = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            held.add(number, &tally);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    ledger.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a round in a folder of its own, which stays where something is wrong.
fn run(round: &Round) -> Tally {
    let folder = folder();
    let tally = round.run(folder.path(), |wrong| println!("{wrong}"));
    if tally.failures() > 0 && !round.is_broken() {
        println!("the image is {}/state", folder.keep().display());
    }
    tally
}

/// Makes a folder for images, in memory where the machine has some.
fn folder() -> TempDir {
    let parent = variable("POSTERN_POWER_FOLDER").map_or_else(
        || {
            let memory = PathBuf::from("/dev/shm");
            if memory.is_dir() {
                memory
            } else {
                std::env::temp_dir()
            }
        },
        PathBuf::from,
    );
    tempfile::Builder::new()
        .prefix("postern-power-")
        .tempdir_in(parent)
        .unwrap()
}
