//! Making a failing plan smaller: operations are left out while the same invariant fails.
//!
//! Refuses to run for ever: after some runs what is left has to do.

use super::super::Faults;
use super::super::oracle::Violation;
use super::Plan;
use alloc::vec::Vec;

/// Runs that shrinking may cost. Arbitrary.
const RUNS_MAX: usize = 80;

/// Returns the smallest plan found that violates the same invariant, and how it does.
#[must_use]
pub fn shrink(plan: &Plan, violation: Violation) -> (Plan, Violation) {
    let mut best = (plan.clone(), violation);
    let mut runs = 0;
    let mut calm = plan.clone();
    calm.swarm.faults = Faults::default();
    attempt(&mut best, &calm, &mut runs);
    let mut size = best.0.operations.len().div_ceil(2);
    while size > 0 && runs < RUNS_MAX {
        let mut start = 0;
        while start < best.0.kept.len() && runs < RUNS_MAX {
            let kept = best.0.kept.iter().enumerate();
            let kept = kept.filter(|(at, _)| *at < start || *at >= start + size);
            let places: Vec<usize> = kept.map(|(_, place)| *place).collect();
            let smaller = best.0.keep(&places);
            if !attempt(&mut best, &smaller, &mut runs) {
                start += size;
            }
        }
        size /= 2;
    }
    best
}

fn attempt(best: &mut (Plan, Violation), plan: &Plan, runs: &mut usize) -> bool {
    *runs += 1;
    match plan.run().violation {
        Some(violation) if violation.invariant == best.1.invariant => {
            *best = (plan.clone(), violation);
            true
        }
        Some(_) | None => false,
    }
}
