//! Campaigns: from one number a fleet, bad luck of every kind, then healing, watched by the oracle.
//!
//! ```text
//!  seed --> Plan (swarm + operations) --> run: faults --heal--> rest --idle--> one more change
//!                ^------ shrink, while the same invariant fails ------'
//! ```
//!
//! Every seed draws which kinds of trouble it has at all: rare combinations come up that way.
//! Refuses to find excuses: whatever the oracle saw is a failure.

mod files;
mod heal;
mod later;
mod novel;
mod operation;
mod perform;
mod replay;
mod shrink;
mod swarm;
mod upheaval;
mod weeks;

pub use operation::Operation;
pub use replay::Replay;
pub use shrink::shrink;
pub use swarm::{Pace, Plan, Swarm, Trick};

use super::oracle::{Acknowledged, Violation};
use super::store::MemoryStore;
use super::{MakeHop, Oracle, World};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What was done, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Runs.
    pub seeds: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// Virtual milliseconds times devices.
    pub device_ms: u64,
    /// Things that happened.
    pub steps: u64,
    /// Inputs to engines.
    pub inputs: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Controllers that went on from a backup.
    pub restores: u64,
    /// Histories that were taken back from devices, or chosen by an operator.
    pub recoveries: u64,
    /// Decisions that were acknowledged.
    pub decisions: u64,
    /// Of these, lost with a store before any device had them.
    pub forgotten: u64,
    /// Actions that ran.
    pub acts: u64,
    /// Keys that were rotated, lives that were ended, copies that were made.
    pub upheavals: u64,
}

impl Totals {
    /// Adds another run.
    pub const fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.virtual_ms += other.virtual_ms;
        self.device_ms += other.device_ms;
        self.steps += other.steps;
        self.inputs += other.inputs;
        self.crashes += other.crashes;
        self.restores += other.restores;
        self.recoveries += other.recoveries;
        self.decisions += other.decisions;
        self.forgotten += other.forgotten;
        self.acts += other.acts;
        self.upheavals += other.upheavals;
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was done.
    pub totals: Totals,
    /// All that was carried, as one number.
    pub trace: u64,
    /// What must not be, and was.
    pub violation: Option<Violation>,
}

/// One run.
#[derive(Debug)]
struct Run {
    world: World,
    totals: Totals,
    trick: Option<Trick>,
    /// A copy of the controller's store, what was acknowledged then, and the keys of the devices.
    backup: Option<(MemoryStore, Acknowledged, Vec<String>)>,
    /// Devices whose life has to be ended once there is peace.
    to_enrol: BTreeSet<usize>,
    /// Files on their way to the controller.
    files: Vec<Vec<u8>>,
    keys: u64,
}

impl Plan {
    /// Carries it out.
    #[must_use]
    pub fn run(&self) -> Outcome {
        let signing = self.swarm.signing;
        self.carry_out(World::with_signing(self.swarm.seed, signing))
    }

    /// Carries it out around a mailbox that is made here.
    #[must_use]
    pub fn run_with(&self, make: &MakeHop) -> Outcome {
        let (seed, signing) = (self.swarm.seed, self.swarm.signing);
        self.carry_out(World::with_mailbox(seed, signing, make))
    }

    fn carry_out(&self, world: World) -> Outcome {
        let mut run = Run::begin(world, &self.swarm);
        for (at_ms, operation) in &self.operations {
            run.world.run(at_ms.saturating_sub(run.world.now_ms));
            if run.is_violated() {
                break;
            }
            run.perform(operation);
        }
        if !run.is_violated() {
            run.heal();
        }
        run.end()
    }
}

impl Run {
    fn begin(mut world: World, swarm: &Swarm) -> Self {
        world.oracle = Some(Oracle::default());
        for (place, clock) in swarm.clocks.iter().enumerate() {
            let device = world.enrol(&format!("unit-{place}"));
            if let Some(node) = world.devices.get_mut(device) {
                node.clock = *clock;
                if let Some(hold_s) = swarm.holds_s.get(place) {
                    node.hold_s = *hold_s;
                }
                node.is_at_most_once = place % 2 == 0;
                node.sabotage = swarm.trick.and_then(Trick::of_device);
                if swarm.is_torn {
                    node.lay_on_disk();
                }
            }
            world.restart(device);
            if swarm.is_encrypted {
                world.encrypt(device);
            }
        }
        if swarm.is_torn {
            world.controller.store.lay_on_disk(None);
        }
        world.faults = swarm.faults;
        world.trick = swarm.trick;
        Self {
            world,
            totals: Totals::default(),
            trick: swarm.trick,
            backup: None,
            to_enrol: BTreeSet::new(),
            files: Vec::new(),
            keys: 0,
        }
    }

    fn is_violated(&self) -> bool {
        let oracle = self.world.oracle.as_ref();
        oracle.is_some_and(|oracle| !oracle.violations.is_empty())
    }

    fn end(self) -> Outcome {
        let Self {
            world, mut totals, ..
        } = self;
        let oracle = world.oracle.unwrap_or_default();
        let devices = world.devices.iter().filter(|node| !node.is_copy);
        totals.seeds = 1;
        totals.virtual_ms = world.now_ms;
        totals.device_ms = world.now_ms * devices.count() as u64;
        totals.steps = world.steps_done;
        totals.inputs = world.inputs;
        totals.recoveries = oracle.recoveries;
        totals.forgotten = oracle.forgotten;
        let acts = world.devices.iter().map(|node| node.acts.len() as u64);
        totals.acts = acts.sum();
        Outcome {
            totals,
            trace: world.trace.number(),
            violation: oracle.violations.into_iter().next(),
        }
    }
}

/// Says what failed so that it can be run again: the seed, the swarm, and the operations left.
#[must_use]
pub fn explain(plan: &Plan, violation: &Violation) -> String {
    let mut text = format!(
        "seed {} violates {:?} at {} ms: {}\n  {:?}\n  to run it again: {}\n",
        plan.swarm.seed,
        violation.invariant,
        violation.at_ms,
        violation.detail,
        plan.swarm,
        Replay::of(plan).line()
    );
    for (at_ms, operation) in &plan.operations {
        text.push_str(&format!("  {at_ms:>10} ms  {operation:?}\n"));
    }
    text
}
