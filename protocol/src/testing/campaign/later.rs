//! What plans have beside what was drawn for them at first: faults of the controller's disk, and what later versions say.
//!
//! Drawn by dice of its own and numbered behind everything else, so that a line that was printed before means the same.

use super::super::Dice;
use super::operation::{KINDS_ALL, KINDS_LONG, Operation};
use super::swarm::Plan;
use alloc::vec::Vec;

/// Adds to a plan what comes every `calm_ms` or so, if this plan has it at all.
pub(super) fn add_later(plan: &mut Plan, calm_ms: u64) {
    let mut dice = Dice::new(plan.swarm.seed ^ 0x1a7e);
    let is_drawn = |_: &u64| dice.chance(450);
    let kinds: Vec<u64> = (KINDS_LONG..KINDS_ALL).filter(is_drawn).collect();
    let mut places = plan.operations.len()..;
    let mut at_ms = 5_000 + dice.below(2 * calm_ms);
    while at_ms < plan.swarm.trouble_ms && !kinds.is_empty() {
        let which = usize::try_from(dice.below(kinds.len() as u64)).unwrap_or(0);
        let kind = kinds.get(which).copied().unwrap_or(KINDS_LONG);
        let operation = (at_ms, Operation::draw(kind, &mut dice));
        let after = plan
            .operations
            .partition_point(|(other_ms, _)| *other_ms <= at_ms);
        if let Some(place) = places.next() {
            plan.operations.insert(after, operation);
            plan.kept.insert(after, place);
        }
        at_ms += 1 + dice.below(2 * calm_ms);
    }
}
