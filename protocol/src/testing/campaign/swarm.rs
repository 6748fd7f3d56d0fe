//! Which troubles a seed has: drawn first, so that each seed is rough in its own way.
//!
//! Refuses to have everything at once: what always happens together hides what happens alone.

use super::super::{Clock, Dice, Faults, Sabotage, Wall};
use super::operation::{KINDS, Operation};
use alloc::vec::Vec;

/// What the harness does wrong on purpose: the oracle must notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// What a driver of a device does wrong.
    Device(Sabotage),
    /// The controller's driver answers before it is durable, and dies.
    LoseDecisions,
    /// The controller uses its numbers again after a crash: no new epoch, other content.
    ReuseNumbers,
    /// Somebody else has the writer's key.
    StrangeWriter,
}

impl Trick {
    pub(super) const fn of_device(self) -> Option<Sabotage> {
        match self {
            Self::Device(sabotage) => Some(sabotage),
            Self::LoseDecisions | Self::ReuseNumbers | Self::StrangeWriter => None,
        }
    }
}

/// The character of a run.
#[derive(Debug, Clone)]
pub struct Swarm {
    /// The number that everything follows from.
    pub seed: u64,
    /// One for each device.
    pub clocks: Vec<Clock>,
    /// What the network does until it heals.
    pub faults: Faults,
    /// How long there is trouble.
    pub trouble_ms: u64,
    /// What is done wrong on purpose.
    pub trick: Option<Trick>,
    /// True when every device is encrypted from the beginning. Nothing else is drawn for it.
    pub is_encrypted: bool,
}

/// A swarm and what is done to it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The swarm.
    pub swarm: Swarm,
    /// What is done when, in milliseconds of the world.
    pub operations: Vec<(u64, Operation)>,
    /// The places of these operations in the plan as it was drawn.
    pub kept: Vec<usize>,
}

impl Plan {
    /// Draws the plan of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x5eed);
        let devices = if dice.chance(800) {
            1 + dice.below(3)
        } else {
            1 + dice.below(8)
        };
        let clocks = (0..devices).map(|_| draw_clock(&mut dice)).collect();
        let trouble_ms = if dice.chance(100) {
            3_600_000 + dice.below(10_800_000)
        } else {
            60_000 + dice.below(900_000)
        };
        let swarm = Swarm {
            seed,
            clocks,
            faults: draw_faults(&mut dice),
            trouble_ms,
            trick: None,
            is_encrypted: false,
        };
        let operations = draw_operations(&mut dice, trouble_ms);
        let kept = (0..operations.len()).collect();
        Self {
            swarm,
            operations,
            kept,
        }
    }

    /// The same plan with only these operations, by their places as drawn.
    #[must_use]
    pub fn keep(&self, places: &[usize]) -> Self {
        let pairs = self.kept.iter().zip(&self.operations);
        let kept = pairs.filter(|(place, _)| places.contains(place));
        let (kept, operations) = kept.map(|(place, one)| (*place, *one)).unzip();
        Self {
            swarm: self.swarm.clone(),
            operations,
            kept,
        }
    }
}

fn draw_clock(dice: &mut Dice) -> Clock {
    let wall = match dice.below(6) {
        0 => Wall::Unknown,
        1 => Wall::Epoch,
        2 => Wall::Ahead(dice.below(315_360_000)),
        _ => Wall::Right,
    };
    let drift = dice.below(400);
    Clock {
        booted_ms: 0,
        drift_ppm: i64::try_from(drift).unwrap_or(0) - 200,
        wall,
    }
}

fn draw_faults(dice: &mut Dice) -> Faults {
    let mut rate = |most: u64| {
        if dice.chance(500) {
            dice.below(most)
        } else {
            0
        }
    };
    Faults {
        drop: rate(150),
        duplicate: rate(100),
        delay: rate(200),
        tamper: rate(60),
        replay: rate(60),
    }
}

fn draw_operations(dice: &mut Dice, trouble_ms: u64) -> Vec<(u64, Operation)> {
    // Decisions are always among them; of everything else about half.
    let is_drawn = |kind: &u64| *kind == 0 || dice.chance(450);
    let kinds: Vec<u64> = (0..KINDS).filter(is_drawn).collect();
    let count = 4 + dice.below(36);
    let mut operations = Vec::new();
    for _ in 0..count {
        let kind = if dice.chance(350) {
            dice.below(4)
        } else {
            let place = usize::try_from(dice.below(kinds.len() as u64)).unwrap_or(0);
            kinds.get(place).copied().unwrap_or(0)
        };
        let at_ms = 5_000 + dice.below(trouble_ms);
        operations.push((at_ms, Operation::draw(kind, dice)));
    }
    operations.sort_by_key(|(at_ms, _)| *at_ms);
    operations
}
