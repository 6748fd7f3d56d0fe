//! A plan as one line: printed where something fails, and read to run it again.
//!
//! ```text
//!  seed 7 long test-signer devices 2 faults 0,0,120,0,0 trick Device(NoSync) keep 1,5
//! ```
//!
//! Refuses to carry what a seed gives: only what was left out or changed stands in the line.

use super::super::{Faults, Signing};
use super::{Pace, Plan, Trick};
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

/// A plan, told by what it was drawn from and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    seed: u64,
    pace: Pace,
    signing: Signing,
    devices: Option<usize>,
    faults: Option<Faults>,
    kept: Option<Vec<usize>>,
    trick: Option<Trick>,
}

impl Replay {
    /// Reads a line. `None` for anything that [`Replay::line`] does not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let mut replay = Self {
            seed: 0,
            pace: Pace::Minutes,
            signing: Signing::Real,
            devices: None,
            faults: None,
            kept: None,
            trick: None,
        };
        while let Some(word) = words.next() {
            match word {
                "seed" => replay.seed = words.next()?.parse().ok()?,
                "long" => replay.pace = Pace::Days,
                "weeks" => replay.pace = Pace::Weeks,
                "test-signer" => replay.signing = Signing::Test,
                "devices" => replay.devices = Some(words.next()?.parse().ok()?),
                "faults" => replay.faults = Some(read_faults(words.next()?)?),
                "trick" => replay.trick = Some(read_trick(words.next()?)?),
                "keep" => replay.kept = Some(read_numbers(words.next().unwrap_or(""))?),
                _ => return None,
            }
        }
        Some(replay)
    }

    /// What is left of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self {
            seed: plan.swarm.seed,
            pace: plan.pace,
            signing: plan.swarm.signing,
            devices: Some(plan.swarm.clocks.len()),
            faults: Some(plan.swarm.faults),
            kept: Some(plan.kept.clone()),
            trick: plan.swarm.trick,
        }
    }

    /// Writes it.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = format!("seed {}", self.seed);
        line.push_str(match self.pace {
            Pace::Minutes => "",
            Pace::Days => " long",
            Pace::Weeks => " weeks",
        });
        if self.signing == Signing::Test {
            line.push_str(" test-signer");
        }
        if let Some(devices) = self.devices {
            line.push_str(&format!(" devices {devices}"));
        }
        if let Some(faults) = self.faults {
            let rates = faults.rates().map(|rate| rate.to_string());
            line.push_str(&format!(" faults {}", rates.join(",")));
        }
        if let Some(trick) = self.trick {
            line.push_str(&format!(" trick {trick:?}"));
        }
        if let Some(kept) = &self.kept {
            line.push_str(&format!(" keep {}", write_numbers(kept)));
        }
        line
    }

    /// Draws the plan again and leaves out what the line leaves out.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let mut plan = self.pace.draw(self.seed);
        plan.swarm.signing = self.signing;
        plan.swarm.trick = self.trick;
        if let Some(devices) = self.devices {
            plan.swarm.clocks.truncate(devices);
        }
        if let Some(faults) = self.faults {
            plan.swarm.faults = faults;
        }
        match &self.kept {
            Some(kept) => plan.keep(kept),
            None => plan,
        }
    }
}

fn read_trick(text: &str) -> Option<Trick> {
    let mut tricks = Trick::all().into_iter();
    tricks.find(|trick| format!("{trick:?}") == text)
}

/// Writes numbers, and those that follow each other as the first and the last.
fn write_numbers(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let runs = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        [..] => run.iter().map(|one| format!("{one}")).collect(),
    });
    runs.collect::<Vec<String>>().join(",")
}

/// Numbers that one line may name. Arbitrary: more than any plan has.
const NUMBERS_MAX: usize = 1 << 20;

fn read_numbers(text: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for run in text.split(',').filter(|run| !run.is_empty()) {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= NUMBERS_MAX || first > last {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

fn read_faults(text: &str) -> Option<Faults> {
    let mut rates = text.split(',').map(|rate| rate.parse().ok());
    let mut next = || rates.next().flatten();
    Some(Faults {
        drop: next()?,
        duplicate: next()?,
        delay: next()?,
        tamper: next()?,
        replay: next()?,
    })
}
