//! What a run found so far; kept in a file, so that a long run goes on where an earlier one ended.
//!
//! A ledger belongs to many seeds; rounds of other seeds than its own it leaves alone.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::super::store_explorer::verify::Failure;
use super::cuts::Wrong;

/// Counts of one round or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub rounds: u64,
    pub states: u64,
    pub events: u64,
    pub acknowledged: u64,
    pub lost: u64,
    pub bad: u64,
    pub unopenable: u64,
    pub unmountable: u64,
}

impl Tally {
    pub fn failures(&self) -> u64 {
        self.lost + self.bad + self.unopenable + self.unmountable
    }

    pub fn count(&mut self, wrong: &Wrong) {
        match wrong {
            Wrong::Unmountable(_) => self.unmountable += 1,
            Wrong::Store(Failure::Lost(_)) => self.lost += 1,
            Wrong::Store(Failure::Bad(_)) => self.bad += 1,
            Wrong::Store(Failure::Unopenable(_)) => self.unopenable += 1,
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.numbers_mut().into_iter().zip(other.numbers()) {
            *mine += theirs;
        }
    }

    fn numbers(&self) -> [u64; 8] {
        let mut copy = *self;
        copy.numbers_mut().map(|number| *number)
    }

    fn numbers_mut(&mut self) -> [&mut u64; 8] {
        [
            &mut self.rounds,
            &mut self.states,
            &mut self.events,
            &mut self.acknowledged,
            &mut self.lost,
            &mut self.bad,
            &mut self.unopenable,
            &mut self.unmountable,
        ]
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} power cuts in {} rounds ({} writes and flushes, {} acknowledged batches); {} lost, {} bad, {} unopenable, \
             {} unmountable",
            self.states,
            self.rounds,
            self.events,
            self.acknowledged,
            self.lost,
            self.bad,
            self.unopenable,
            self.unmountable
        )
    }
}

/// Rounds that are done, a line each: seed, number, counts.
#[derive(Debug, Default)]
pub struct Ledger {
    file: Option<File>,
    seed: u64,
    done: BTreeSet<u64>,
    pub total: Tally,
}

impl Ledger {
    /// Reads what was done with this seed; without a file nothing is kept.
    pub fn open(file: Option<&str>, seed: u64) -> Self {
        let mut ledger = Self {
            seed,
            ..Self::default()
        };
        let Some(file) = file.map(Path::new) else {
            return ledger;
        };
        let text = match fs::read_to_string(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.unwrap(),
        };
        for line in text.lines() {
            let mut numbers = line.split(' ').map(|word| word.parse::<u64>().unwrap());
            if numbers.next() == Some(seed) {
                ledger.done.insert(numbers.next().unwrap());
                let mut tally = Tally::default();
                let fields = tally.numbers_mut().into_iter();
                fields
                    .zip(numbers)
                    .for_each(|(field, number)| *field = number);
                ledger.total.add(&tally);
            }
        }
        let appended = File::options().create(true).append(true).open(file);
        ledger.file = Some(appended.unwrap());
        ledger
    }

    pub fn has(&self, round: u64) -> bool {
        self.done.contains(&round)
    }

    pub fn add(&mut self, round: u64, tally: &Tally) {
        self.total.add(tally);
        self.done.insert(round);
        if let Some(file) = &mut self.file {
            let numbers = tally.numbers().map(|number| number.to_string()).join(" ");
            writeln!(file, "{} {round} {numbers}", self.seed).unwrap();
        }
    }
}
