//! Which troubles a seed has: drawn first, so that each seed is rough in its own way.
//!
//! Refuses to have everything at once: what always happens together hides what happens alone.

use super::super::{Clock, Dice, Faults, Sabotage, Signing, Wall};
use super::later::add_later;
use super::operation::{KINDS, KINDS_LONG, KINDS_TROUBLE, Operation};
use alloc::vec::Vec;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
/// Milliseconds between two times of peace in a long plan, at least. Arbitrary.
const PEACE_MS: u64 = 4 * HOUR_MS;
/// Milliseconds between two troubles of a controller and its disk, in plans of minutes and of days. Arbitrary.
const MINUTES_CALM_MS: u64 = 4 * MINUTE_MS;
const DAYS_CALM_MS: u64 = 6 * HOUR_MS;

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
    /// The mailbox answers posts and hands them to nobody.
    SwallowPosts,
    /// The mailbox never tells of bundles after the first.
    StaleBundles,
    /// The mailbox goes on serving whom it was told to serve no longer.
    KeepEvicted,
    /// The mailbox loses what it took when it is started anew.
    LoseLetters,
    /// The controller goes on after a commit that failed.
    GoOnWithoutDisk,
}

impl Trick {
    pub(super) const fn of_device(self) -> Option<Sabotage> {
        match self {
            Self::Device(sabotage) => Some(sabotage),
            Self::LoseDecisions
            | Self::ReuseNumbers
            | Self::StrangeWriter
            | Self::SwallowPosts
            | Self::StaleBundles
            | Self::KeepEvicted
            | Self::LoseLetters
            | Self::GoOnWithoutDisk => None,
        }
    }

    /// Everything that can be done wrong.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let devices = Sabotage::ALL.into_iter().map(Self::Device);
        let others = [
            Self::LoseDecisions,
            Self::ReuseNumbers,
            Self::StrangeWriter,
            Self::SwallowPosts,
            Self::StaleBundles,
            Self::KeepEvicted,
            Self::LoseLetters,
            Self::GoOnWithoutDisk,
        ];
        devices.chain(others).collect()
    }
}

/// The character of a run.
#[derive(Debug, Clone)]
pub struct Swarm {
    /// The number that everything follows from.
    pub seed: u64,
    /// One for each device.
    pub clocks: Vec<Clock>,
    /// Seconds that polls of each device are held, where it is not 55.
    pub holds_s: Vec<u64>,
    /// What the network does until it heals.
    pub faults: Faults,
    /// How long there is trouble.
    pub trouble_ms: u64,
    /// What is done wrong on purpose.
    pub trick: Option<Trick>,
    /// How everybody signs. Nothing is drawn for it.
    pub signing: Signing,
    /// True when stores stand on disks that power cuts tear. Nothing is drawn for it.
    pub is_torn: bool,
    /// True when every device is encrypted from the beginning. Nothing else is drawn for it.
    pub is_encrypted: bool,
}

/// How long a plan is, and how dense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Minutes of trouble.
    Minutes,
    /// Days at work, with trouble of every kind.
    Days,
    /// Weeks of quiet, with trouble now and then.
    Weeks,
}

impl Pace {
    /// Draws the plan of a seed.
    #[must_use]
    pub fn draw(self, seed: u64) -> Plan {
        match self {
            Self::Minutes => Plan::draw(seed),
            Self::Days => Plan::draw_long(seed),
            Self::Weeks => Plan::draw_weeks(seed),
        }
    }
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
    /// How it was drawn.
    pub pace: Pace,
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
            holds_s: Vec::new(),
            faults: draw_faults(&mut dice),
            trouble_ms,
            trick: None,
            signing: Signing::Real,
            is_torn: false,
            is_encrypted: false,
        };
        let operations = draw_operations(&mut dice, trouble_ms);
        let kept = (0..operations.len()).collect();
        let mut plan = Self {
            swarm,
            operations,
            kept,
            pace: Pace::Minutes,
        };
        add_later(&mut plan, MINUTES_CALM_MS);
        plan
    }

    /// Draws a plan of days: a fleet at work, trouble of every kind now and then, peace every few hours.
    #[must_use]
    pub fn draw_long(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x10c6);
        let devices = match dice.below(20) {
            0 => 40,
            1..5 => 1 + dice.below(16),
            _ => 2 + dice.below(6),
        };
        let clocks = (0..devices).map(|_| draw_clock(&mut dice)).collect();
        let trouble_ms = HOUR_MS * (12 + dice.below(60));
        let mut faults = draw_faults(&mut dice);
        if dice.chance(300) {
            faults = Faults::default();
        }
        let swarm = Swarm {
            seed,
            clocks,
            holds_s: Vec::new(),
            faults,
            trouble_ms,
            trick: None,
            signing: Signing::Test,
            is_torn: true,
            is_encrypted: dice.chance(50),
        };
        let operations = draw_days(&mut dice, devices, trouble_ms);
        let kept = (0..operations.len()).collect();
        let mut plan = Self {
            swarm,
            operations,
            kept,
            pace: Pace::Days,
        };
        add_later(&mut plan, DAYS_CALM_MS);
        plan
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
            pace: self.pace,
        }
    }
}

pub(super) fn draw_clock(dice: &mut Dice) -> Clock {
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

/// Operations of a fleet at work: each device is changed every 2 to 128 minutes, and in trouble of its own
/// every few hours.
fn draw_days(dice: &mut Dice, devices: u64, trouble_ms: u64) -> Vec<(u64, Operation)> {
    let is_drawn = |_: &u64| dice.chance(450);
    let kinds: Vec<u64> = (KINDS_TROUBLE..KINDS_LONG).filter(is_drawn).collect();
    let pause_ms = MINUTE_MS << (1 + dice.below(7));
    let calm_ms = HOUR_MS << dice.below(4);
    let mut operations = Vec::new();
    let mut workload_ms = 5_000;
    while workload_ms < trouble_ms {
        let kind = dice.below(KINDS_TROUBLE);
        operations.push((workload_ms, Operation::draw(kind, dice)));
        workload_ms += 1 + dice.below(2 * pause_ms / devices);
    }
    let mut at_ms = dice.below(calm_ms);
    while at_ms < trouble_ms && !kinds.is_empty() {
        let place = usize::try_from(dice.below(kinds.len() as u64)).unwrap_or(0);
        let kind = kinds.get(place).copied().unwrap_or(0);
        operations.push((at_ms.max(5_000), Operation::draw(kind, dice)));
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
