//! Campaigns of the simulator: shards of seeds, recorded line by line, resumed where they stopped.
//!
//! ```text
//!  simulate --shards 0..64 --out FILE     a shard that stands in FILE is skipped
//!  simulate --replay 'seed 7 keep 1,5'    a failing plan again, as it was printed
//!  simulate --tricks 40                   how long each sabotaged driver goes unnoticed
//! ```
//!
//! Exit code 0: nothing was violated. Built with the profile `sim`: a release refuses the virtual world.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command says what it did"
)]

use postern_protocol::testing::Signing;
use postern_protocol::testing::campaign::{Pace, Plan, Replay, Totals, Trick, explain, shrink};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds of one shard, of each of two kinds: days with trouble of every kind, and quiet weeks. Arbitrary: half
/// a minute of one core.
const SHARD_SEEDS: u64 = 8;
/// Failures of one run that are shrunk and told.
const FAILURES_MAX: usize = 4;
const HOUR_MS: u64 = 3_600_000;
/// Devices of a fleet in which a trick is looked for.
const TRICK_DEVICES: usize = 3;
/// Worlds in which a trick is looked for, one kind after the other: the first hours of days show most of what others
/// did wrong, whole days what needs several things at once, and weeks what needs long silence.
const TRICK_WORLDS: [(Pace, u64); 3] =
    [(Pace::Days, 9), (Pace::Days, 24 * 7), (Pace::Weeks, 24 * 7)];
/// Milliseconds of one core after which a trick counts as missed.
const TRICK_MS: u64 = 60_000;

/// What was asked for.
struct Wishes {
    shards: Range<u64>,
    out: Option<String>,
    workers: usize,
    signing: Signing,
    paces: Vec<Pace>,
    commit: String,
    replay: Option<String>,
    tricks: Option<u64>,
}

/// One shard that was run.
struct Shard {
    totals: Totals,
    trace: u64,
    failures: Vec<String>,
    cpu_ms: u64,
}

fn main() -> ExitCode {
    let wishes = match wishes(std::env::args().skip(1)) {
        Ok(wishes) => wishes,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::from(2);
        }
    };
    let is_right = match (&wishes.replay, wishes.tricks) {
        (Some(text), _) => replay(text),
        (None, Some(seeds)) => {
            let tricks = Trick::all().into_iter();
            let missed = tricks.filter(|trick| !notice(*trick, seeds));
            missed.count() == 0
        }
        (None, None) => campaign(&wishes),
    };
    ExitCode::from(u8::from(!is_right))
}

fn wishes(mut arguments: impl Iterator<Item = String>) -> Result<Wishes, String> {
    let mut wishes = Wishes {
        shards: 0..1,
        out: None,
        workers: 1,
        signing: Signing::Test,
        paces: Vec::from([Pace::Days, Pace::Weeks]),
        commit: "-".into(),
        replay: None,
        tricks: None,
    };
    while let Some(name) = arguments.next() {
        if name == "--real" {
            wishes.signing = Signing::Real;
            continue;
        }
        let value = arguments.next().ok_or(format!("{name} wants a value"))?;
        let wrong = || format!("{name} cannot be {value:?}");
        match name.as_str() {
            "--shards" => {
                let (first, end) = value.split_once("..").ok_or_else(wrong)?;
                wishes.shards =
                    first.parse().map_err(|_| wrong())?..end.parse().map_err(|_| wrong())?;
            }
            "--out" => wishes.out = Some(value),
            "--workers" => wishes.workers = value.parse().map_err(|_| wrong())?,
            "--pace" => {
                let pace = match value.as_str() {
                    "days" => Pace::Days,
                    "weeks" => Pace::Weeks,
                    _ => return Err(wrong()),
                };
                wishes.paces = Vec::from([pace]);
            }
            "--commit" => wishes.commit = value,
            "--replay" => wishes.replay = Some(value),
            "--tricks" => wishes.tricks = Some(value.parse().map_err(|_| wrong())?),
            _ => return Err(format!("{name} is no option: see the head of this file")),
        }
    }
    Ok(wishes)
}

/// Runs a printed plan again. Returns true when nothing is violated.
fn replay(text: &str) -> bool {
    let Some(replay) = Replay::parse(text) else {
        eprintln!("this is no plan: {text}");
        return false;
    };
    let plan = replay.plan();
    match plan.run().violation {
        Some(violation) => println!("{}", explain(&plan, &violation)),
        None => {
            println!("nothing is violated");
            return true;
        }
    }
    false
}

/// Looks for the first plan that shows a trick, in a minute of one core. Returns false when none of so many seeds does.
fn notice(trick: Trick, seeds: u64) -> bool {
    let before_ms = cpu_ms();
    let worlds = TRICK_WORLDS.into_iter();
    let mut plans = worlds.flat_map(|(pace, hours)| {
        (0..seeds).map(move |seed| with_trick(pace.draw(seed), hours, trick))
    });
    let seen = plans.find_map(|plan| {
        if cpu_ms() - before_ms >= TRICK_MS {
            return Some(None);
        }
        let violation = plan.run().violation?;
        Some(Some((plan, violation)))
    });
    let took_ms = cpu_ms() - before_ms;
    let Some((plan, violation)) = seen.flatten() else {
        println!("{trick:?} was not noticed in {took_ms} ms");
        return false;
    };
    let (smaller, violation) = shrink(&plan, violation);
    println!(
        "{trick:?} {:?} seed {} of {:?} after {took_ms} ms: {}",
        violation.invariant,
        plan.swarm.seed,
        plan.pace,
        Replay::of(&smaller).line()
    );
    true
}

/// The first hours of a small fleet in which something is done wrong.
fn with_trick(mut plan: Plan, hours: u64, trick: Trick) -> Plan {
    plan.swarm.trick = Some(trick);
    plan.swarm.clocks.truncate(TRICK_DEVICES);
    let pairs = plan.kept.iter().zip(&plan.operations);
    let early = pairs.filter(|(_, (at_ms, _))| *at_ms < hours * HOUR_MS);
    let places: Vec<usize> = early.map(|(place, _)| *place).collect();
    plan.keep(&places)
}

fn campaign(wishes: &Wishes) -> bool {
    let recorded = wishes.out.as_ref().map(|out| read(out)).unwrap_or_default();
    let todo: Vec<u64> = wishes
        .shards
        .clone()
        .filter(|shard| !recorded.contains(shard))
        .collect();
    println!("{} shards to run, {} recorded", todo.len(), recorded.len());
    let next = AtomicU64::new(0);
    let results = Mutex::new((Totals::default(), 0_u64, Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..wishes.workers {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let place = usize::try_from(place).unwrap_or(usize::MAX);
                    let Some(number) = todo.get(place) else { break };
                    let shard = run(*number, wishes);
                    let line = line(*number, wishes, &shard);
                    println!("{line}");
                    if let Ok(mut results) = results.lock() {
                        if let Some(out) = &wishes.out {
                            append(out, &line);
                        }
                        results.0.add(&shard.totals);
                        results.1 += shard.cpu_ms;
                        results.2.extend(shard.failures);
                    }
                }
            });
        }
    });
    let Ok((totals, cpu_ms, failures)) = results.into_inner() else {
        return false;
    };
    let hours = totals.device_ms / HOUR_MS;
    let rate = hours * 60_000 / cpu_ms.max(1);
    println!(
        "{} seeds, {hours} device-hours, {} steps, {rate} device-hours per CPU-minute, {} violations",
        totals.seeds,
        totals.steps,
        failures.len()
    );
    for failure in &failures {
        println!("{failure}");
    }
    failures.is_empty()
}

fn run(number: u64, wishes: &Wishes) -> Shard {
    let before_ms = cpu_ms();
    let mut shard = Shard {
        totals: Totals::default(),
        trace: 0xcbf2_9ce4_8422_2325,
        failures: Vec::new(),
        cpu_ms: 0,
    };
    for seed in number * SHARD_SEEDS..(number + 1) * SHARD_SEEDS {
        for pace in &wishes.paces {
            let mut plan = pace.draw(seed);
            plan.swarm.signing = wishes.signing;
            shard.take(&plan);
        }
    }
    shard.cpu_ms = cpu_ms() - before_ms;
    shard
}

impl Shard {
    fn take(&mut self, plan: &Plan) {
        let outcome = plan.run();
        self.totals.add(&outcome.totals);
        self.trace = (self.trace ^ outcome.trace).wrapping_mul(0x0100_0000_01b3);
        if let Some(violation) = outcome.violation
            && self.failures.len() < FAILURES_MAX
        {
            let (seed, pace) = (plan.swarm.seed, plan.pace);
            println!("seed {seed} of {pace:?} violates {violation:?}, shrinking");
            let (smaller, violation) = shrink(plan, violation);
            self.failures.push(explain(&smaller, &violation));
        }
    }
}

fn line(number: u64, wishes: &Wishes, shard: &Shard) -> String {
    let totals = &shard.totals;
    let fields = BTreeMap::from([
        ("crashes", totals.crashes),
        ("restores", totals.restores),
        ("recoveries", totals.recoveries),
        ("decisions", totals.decisions),
        ("actions", totals.acts),
        ("upheavals", totals.upheavals),
        ("inputs", totals.inputs),
    ]);
    let mut line = format!(
        "shard {number} commit {} signer {:?} seeds {} device-hours {} steps {} violations {} trace {:016x}",
        wishes.commit,
        wishes.signing,
        totals.seeds,
        totals.device_ms / HOUR_MS,
        totals.steps,
        shard.failures.len(),
        shard.trace,
    );
    for (name, count) in fields {
        let _written = write!(line, " {name} {count}");
    }
    let _written = write!(line, " cpu-ms {}", shard.cpu_ms);
    line
}

/// The shards that stand in a file.
fn read(out: &str) -> BTreeSet<u64> {
    let text = fs::read_to_string(out).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.strip_prefix("shard "));
    let numbers = lines.filter_map(|line| line.split(' ').next()?.parse().ok());
    numbers.collect()
}

fn append(out: &str, line: &str) {
    let file = fs::OpenOptions::new().create(true).append(true).open(out);
    if let Err(error) = file.and_then(|mut file| writeln!(file, "{line}")) {
        eprintln!("{out}: {error}");
    }
}

/// Milliseconds of processor that this thread took, in hundredths of a second; 0 where nobody tells.
fn cpu_ms() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let fields = after.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks * 10
}
