//! Making a failing plan smaller: operations are left out while the same invariant fails.
//!
//! Refuses to run for ever: after some runs what is left has to do.

use super::super::Faults;
use super::super::oracle::Violation;
use super::Plan;
use alloc::vec::Vec;

/// Runs that shrinking may cost. Arbitrary.
const RUNS_MAX: usize = 120;

/// Returns the smallest plan found that violates the same invariant, and how it does.
#[must_use]
pub fn shrink(plan: &Plan, violation: Violation) -> (Plan, Violation) {
    let mut best = (plan.clone(), violation);
    let mut runs = 0;
    cut_after(&mut best, &mut runs);
    let mut calm = best.0.clone();
    calm.swarm.faults = Faults::default();
    if !attempt(&mut best, &calm, &mut runs) {
        for place in 0..calm.swarm.faults.rates().len() {
            let mut calmer = best.0.clone();
            calmer.swarm.faults = calmer.swarm.faults.without(place);
            attempt(&mut best, &calmer, &mut runs);
        }
    }
    drop_devices(&mut best, &mut runs);
    keep_last(&mut best, &mut runs);
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
        cut_after(&mut best, &mut runs);
    }
    drop_devices(&mut best, &mut runs);
    best
}

/// Leaves out what comes after the violation.
fn cut_after(best: &mut (Plan, Violation), runs: &mut usize) {
    let at_ms = best.1.at_ms;
    let pairs = best.0.kept.iter().zip(&best.0.operations);
    let before = pairs.filter(|(_, (when_ms, _))| *when_ms <= at_ms);
    let places: Vec<usize> = before.map(|(place, _)| *place).collect();
    if places.len() < best.0.kept.len() {
        let shorter = best.0.keep(&places);
        attempt(best, &shorter, runs);
    }
}

/// Tries with the last few operations before the violation, then with ever more: most failures need no others.
fn keep_last(best: &mut (Plan, Violation), runs: &mut usize) {
    for count in [1, 2, 4, 8, 16, 32, 64] {
        if count >= best.0.kept.len() {
            break;
        }
        let (_, last) = best.0.kept.split_at(best.0.kept.len() - count);
        let fewer = best.0.keep(last);
        if attempt(best, &fewer, runs) {
            break;
        }
    }
}

/// Tries with one device, then with ever more. Devices are named modulo their number, so that the
/// operations befall those that are left.
fn drop_devices(best: &mut (Plan, Violation), runs: &mut usize) {
    let devices = best.0.swarm.clocks.len();
    for count in [1, 2, 4, 8] {
        if count >= devices {
            break;
        }
        let mut fewer = best.0.clone();
        fewer.swarm.clocks.truncate(count);
        if attempt(best, &fewer, runs) {
            break;
        }
    }
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
