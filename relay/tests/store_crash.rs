//! No acknowledged record is lost and no store becomes unopenable, wherever the power is cut.
//!
//! The explorer cuts at every write and every flush, proves itself on disks and drivers that are
//! broken on purpose, and prints a line for each failing state that makes it again:
//!
//! ```text
//! cargo test -p postern-relay --test store_crash -- --nocapture    some thousand states
//! POSTERN_CRASH_STATES=100000 ...                                  as many as wanted
//! POSTERN_CRASH_SEED=7 ...                                         other workloads
//! POSTERN_CRASH_REPLAY=device/mailbox-records/1d5ea5e/1@17@all ... one state again
//! ```
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod store_explorer;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use postern_relay::store::Profile;
use store_explorer::explore::{Found, explore, replay};
use store_explorer::life::{Plan, Sabotage};
use store_explorer::random::Random;
use store_explorer::records::Shape;
use store_explorer::schedule::Schedule;
use store_explorer::verify::Failure;

const PROFILES: [Profile; 2] = [Profile::Device, Profile::Server];
/// States of all workloads together, where the environment asks for no other number.
const STATES: u64 = 3_000;
const SEED: u64 = 0x01d5_ea5e;
/// States within which each sabotage has to be found.
const SABOTAGED_STATES: u64 = 10_000;

/// Reads a variable; an empty one counts as unset.
#[expect(
    clippy::disallowed_methods,
    reason = "the explorer's one place that reads the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str, default: u64) -> u64 {
    variable(name).map_or(default, |value| value.parse().unwrap())
}

fn plans(seed: u64) -> Vec<Plan> {
    let pairs = PROFILES
        .into_iter()
        .flat_map(|profile| Shape::ALL.map(|shape| (profile, shape)));
    let plan = |(n, (profile, shape))| Plan {
        profile,
        shape,
        sabotage: Sabotage::Nothing,
        seed: Random(seed).nth(n).next(),
    };
    (0..).zip(pairs).map(plan).collect()
}

/// Explores every plan, as many at once as the machine has cores.
fn explore_all(plans: &[Plan], states: u64) -> Found {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Found::default();
        while let Some(plan) = plans.get(next.fetch_add(1, Ordering::SeqCst)) {
            let one = explore(*plan, states.div_ceil(plans.len() as u64));
            println!("{:?} {}: {one}", plan.profile, plan.shape);
            found.add(one);
        }
        found
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .fold(Found::default(), |mut all, worker| {
                all.add(worker.join().unwrap());
                all
            })
    })
}

#[test]
fn store_cut_anywhere_keeps_every_acknowledged_record() {
    if let Some(line) = variable("POSTERN_CRASH_REPLAY") {
        let schedule: Schedule = line.parse().unwrap();
        assert_eq!(replay(&schedule), Ok(()), "{line}");
        return println!("{line}: good");
    }
    let seed = number("POSTERN_CRASH_SEED", SEED);
    let states = number("POSTERN_CRASH_STATES", STATES);
    let found = explore_all(&plans(seed), states);
    println!("crash explorer, seed {seed}: {found}");
    assert!(found.states >= states, "{found}");
    assert_eq!(found.failures(), 0, "seed {seed}: {found}");
}

/// Explores what is broken on purpose; returns the first failing state.
fn sabotaged(profile: Profile, shape: Shape, sabotage: Sabotage) -> Failure {
    let plan = Plan {
        profile,
        shape,
        sabotage,
        seed: SEED,
    };
    let found = explore(plan, SABOTAGED_STATES);
    println!("{profile:?} {shape} {sabotage:?}: {found}");
    let (schedule, failure) = found.first.unwrap();
    assert_eq!(replay(&schedule), Err(failure.clone()), "{schedule}");
    failure
}

#[test]
fn explorer_on_a_disk_that_skips_every_flush_finds_failures() {
    for profile in PROFILES {
        for shape in Shape::ALL {
            sabotaged(profile, shape, Sabotage::FlushesSkipped);
        }
    }
}

#[test]
fn explorer_on_a_disk_that_skips_one_flush_finds_failures() {
    sabotaged(Profile::Server, Shape::Device, Sabotage::FirstFlushSkipped);
    sabotaged(Profile::Server, Shape::Mailbox, Sabotage::FirstFlushSkipped);
    for profile in PROFILES {
        let failure = sabotaged(profile, Shape::Mailbox, Sabotage::GrowthFlushSkipped);
        assert!(matches!(failure, Failure::Unopenable(_)), "{failure:?}");
    }
}

#[test]
fn explorer_on_an_acknowledgement_before_the_flush_finds_a_loss() {
    for profile in PROFILES {
        for shape in Shape::ALL {
            let failure = sabotaged(profile, shape, Sabotage::AcknowledgedBeforeFlush);
            assert!(matches!(failure, Failure::Lost(_)), "{failure:?}");
        }
    }
}

#[test]
fn explorer_on_a_batch_that_is_split_finds_half_of_it() {
    for profile in PROFILES {
        for shape in Shape::ALL {
            let failure = sabotaged(profile, shape, Sabotage::BatchSplit);
            assert!(matches!(failure, Failure::Bad(_)), "{failure:?}");
        }
    }
}
