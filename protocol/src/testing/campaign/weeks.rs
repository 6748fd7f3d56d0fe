//! Plans of quiet weeks: fleets as they are most of the time, which poll, hold, and are changed now and then.
//!
//! Refuses to be without trouble: what breaks only after days of silence would not be seen.

use super::super::{Dice, Faults, Signing};
use super::later::add_later;
use super::operation::{KINDS_LONG, KINDS_TROUBLE, Operation};
use super::swarm::{Pace, Plan, Swarm, draw_clock};
use alloc::vec::Vec;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Seconds that polls are held: the longer rungs of the ladder by which devices find what their way allows,
/// the one at which they stop unless told otherwise twice.
const HOLDS_S: [u64; 6] = [55, 115, 115, 170, 230, 285];
/// Milliseconds between two times of peace in a plan of weeks, at least. Arbitrary.
const PEACE_MS: u64 = 2 * DAY_MS;
/// Milliseconds between two troubles of the controller and its disk. Arbitrary.
const CALM_MS: u64 = 2 * DAY_MS;

impl Plan {
    /// Draws a plan of weeks.
    #[must_use]
    pub fn draw_weeks(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x3ee2);
        let devices = match dice.below(20) {
            0 => 60,
            1..8 => 1 + dice.below(8),
            _ => 8 + dice.below(24),
        };
        let clocks = (0..devices).map(|_| draw_clock(&mut dice)).collect();
        let holds_s = (0..devices).map(|_| draw_hold_s(&mut dice)).collect();
        let trouble_ms = DAY_MS * (7 + dice.below(21)) + dice.below(DAY_MS);
        let swarm = Swarm {
            seed,
            clocks,
            holds_s,
            faults: draw_faults(&mut dice),
            trouble_ms,
            trick: None,
            signing: Signing::Test,
            is_torn: true,
            is_encrypted: dice.chance(100),
        };
        let operations = draw_weeks(&mut dice, devices, trouble_ms);
        let kept = (0..operations.len()).collect();
        let mut plan = Self {
            swarm,
            operations,
            kept,
            pace: Pace::Weeks,
        };
        add_later(&mut plan, CALM_MS);
        plan
    }
}

fn draw_hold_s(dice: &mut Dice) -> u64 {
    let place = usize::try_from(dice.below(HOLDS_S.len() as u64)).unwrap_or(0);
    HOLDS_S.get(place).copied().unwrap_or(55)
}

/// Faults of networks that work: none on most, and on the others a few.
fn draw_faults(dice: &mut Dice) -> Faults {
    let mut rate = |most: u64| {
        if dice.chance(200) {
            1 + dice.below(most)
        } else {
            0
        }
    };
    Faults {
        drop: rate(20),
        duplicate: rate(10),
        delay: rate(50),
        tamper: rate(5),
        replay: rate(5),
    }
}

/// Each device is changed every 4 to 64 hours, and in trouble of its own every 2 to 16 days. Two units that
/// fight over one life, and one that nobody lets in, do not stay so for days: operators look after hours.
fn draw_weeks(dice: &mut Dice, devices: u64, trouble_ms: u64) -> Vec<(u64, Operation)> {
    let is_drawn = |_: &u64| dice.chance(450);
    let kinds: Vec<u64> = (KINDS_TROUBLE..KINDS_LONG).filter(is_drawn).collect();
    let pause_ms = HOUR_MS << (2 + dice.below(5));
    let calm_ms = DAY_MS << (1 + dice.below(4));
    let mut operations = Vec::new();
    let mut workload_ms = 5_000;
    while workload_ms < trouble_ms {
        let kind = dice.below(KINDS_TROUBLE);
        operations.push((workload_ms, Operation::draw(kind, dice)));
        workload_ms += 1 + dice.below(2 * pause_ms / devices);
    }
    let mut at_ms = 5_000 + dice.below(2 * calm_ms / devices);
    while at_ms < trouble_ms && !kinds.is_empty() {
        let place = usize::try_from(dice.below(kinds.len() as u64)).unwrap_or(0);
        let kind = kinds.get(place).copied().unwrap_or(0);
        let trouble = Operation::draw(kind, dice);
        if let Operation::Copy { .. } | Operation::Revoke { .. } = trouble {
            operations.push((at_ms + HOUR_MS + dice.below(3 * HOUR_MS), Operation::Peace));
        }
        operations.push((at_ms, trouble));
        at_ms += 1 + dice.below(2 * calm_ms / devices);
    }
    let mut peace_ms = PEACE_MS + dice.below(PEACE_MS);
    while peace_ms < trouble_ms {
        operations.push((peace_ms, Operation::Peace));
        peace_ms += PEACE_MS + dice.below(PEACE_MS);
    }
    operations.sort_by_key(|(at_ms, _)| *at_ms);
    operations
}
