//! The simulator: seeds that must pass, the harness that must fail when it is sabotaged, and campaigns.
//!
//! `POSTERN_SIM_SEEDS` runs as many seeds, from `POSTERN_SIM_FIRST` on; `POSTERN_SIM_KEEP` names the
//! operations of a shrunk plan to run again, as a failure prints them.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail where something must not be, and say what they did"
)]

use postern_protocol::testing::campaign::{Plan, Totals, Trick, explain, shrink};
use postern_protocol::testing::{Faults, Invariant, Sabotage, World};

/// Seeds of the ordinary run.
const SEEDS: u64 = 200;

fn number(name: &str) -> Option<u64> {
    setting(name)?.parse().ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "how many seeds is asked of whoever runs the tests"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Failures of one run that are shrunk and told.
const FAILURES_MAX: usize = 8;

/// Runs one plan. Returns the smallest plan that fails in the same way, told so that it can be run again.
fn check(plan: &Plan, totals: &mut Totals) -> Option<String> {
    let outcome = plan.run();
    totals.add(&outcome.totals);
    let violation = outcome.violation?;
    println!("shrinking: {}", explain(&plan.keep(&[]), &violation));
    let (smaller, violation) = shrink(plan, violation);
    Some(explain(&smaller, &violation))
}

/// Workers that share the seeds.
const WORKERS: usize = 2;

/// # Panics: with every failure.
fn check_plans(plans: impl Iterator<Item = Plan> + Clone + Send + Sync) {
    let work = |worker| {
        let mut totals = Totals::default();
        let own = plans.clone().skip(worker).step_by(WORKERS);
        let failures = own.filter_map(|plan| check(&plan, &mut totals));
        let failures: Vec<String> = failures.take(FAILURES_MAX).collect();
        (totals, failures)
    };
    let (mut totals, mut failures) = (Totals::default(), Vec::new());
    std::thread::scope(|scope| {
        let workers =
            core::array::from_fn::<_, WORKERS, _>(|worker| scope.spawn(move || work(worker)));
        for worker in workers {
            let Ok((own, told)) = worker.join() else {
                panic!("a worker panicked");
            };
            totals.add(&own);
            failures.extend(told);
        }
    });
    print(&totals);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn print(totals: &Totals) {
    let hours = |ms: u64| ms / 3_600_000;
    println!(
        "{} seeds, {} virtual hours, {} device-hours, {} inputs, {} crashes, {} restores, {} recoveries, {} upheavals",
        totals.seeds,
        hours(totals.virtual_ms),
        hours(totals.device_ms),
        totals.inputs,
        totals.crashes,
        totals.restores,
        totals.recoveries,
        totals.upheavals,
    );
    println!(
        "{} decisions acknowledged, {} lost with a store before a device had them, {} actions",
        totals.decisions, totals.forgotten, totals.acts,
    );
}

#[test]
fn fleets_in_trouble_keep_every_invariant_and_come_to_rest() {
    let first = number("POSTERN_SIM_FIRST").unwrap_or(1);
    let Some(kept) = setting("POSTERN_SIM_KEEP") else {
        let seeds = number("POSTERN_SIM_SEEDS").unwrap_or(SEEDS);
        return check_plans((first..first + seeds).map(Plan::draw));
    };
    let places: Vec<usize> = kept.split(',').filter_map(|one| one.parse().ok()).collect();
    check_plans([Plan::draw(first).keep(&places)].into_iter());
}

/// The same plans with encrypted planes; a tenth of the seeds, because the fleets do the same.
#[test]
fn encrypted_fleets_in_trouble_keep_every_invariant_and_come_to_rest() {
    let encrypted = |seed| {
        let mut plan = Plan::draw(seed);
        plan.swarm.is_encrypted = true;
        plan
    };
    let first = number("POSTERN_SIM_FIRST").unwrap_or(1);
    let seeds = number("POSTERN_SIM_SEEDS").unwrap_or(SEEDS).div_ceil(10);
    check_plans((first..first + seeds).map(encrypted));
}

/// Plans that failed once, shrunk. In the first two a refusal was told again beside each
/// acknowledgement, without an end and before any evidence; then the report made the controller forget
/// what the evidence needed. Then a higher generation took decisions back unseen. In the next two a device
/// signed nothing with its next key, and was given the same answer every five seconds. In the last two the mailbox served a
/// device whose key was revoked, because the controller died before it said so.
const NAMED: [(&str, u64, &[usize]); 9] = [
    ("SQ-20: restored twice", 33, &[0, 8, 12]),
    ("SQ-20: restored after a crash", 166, &[18, 19, 21, 25]),
    ("SQ-21: restored twice, five devices", 196, &[11, 24, 29]),
    (
        "SQ-26: restored under a newer writer",
        795,
        &[5, 11, 15, 16],
    ),
    (
        "SQ-26: restored, then another writer",
        1379,
        &[3, 12, 15, 17, 20],
    ),
    (
        "SQ-26: asked for while frozen, then idle",
        199,
        &[11, 21, 22],
    ),
    (
        "SQ-26: confirmed with nothing to report",
        145,
        &[7, 8, 9, 11, 12, 13, 21, 22, 25],
    ),
    (
        "SQ-26: revoked by a controller that died of the commit",
        157,
        &[4, 6, 7, 22],
    ),
    (
        "SQ-26: revoked while the controller's disk was full",
        181,
        &[0, 1, 23],
    ),
];

#[test]
fn plans_that_failed_once_pass() {
    for (name, seed, places) in NAMED {
        let mut plan = Plan::draw(seed).keep(places);
        assert_eq!(plan.run().violation, None, "{name}");
        plan.swarm.faults = Faults::default();
        assert_eq!(plan.run().violation, None, "{name}, on a quiet network");
    }
}

/// SQ-20, SQ-21: the report comes first, and says that the device is where this store never was.
#[test]
fn controller_restored_twice_from_one_backup_recovers() {
    let mut world = World::with_devices(33, &["press-7"]);
    world.run(5_000);
    let store = world.controller.store.clone();
    for _ in 0..3 {
        world.run(60_000);
        world.restart_controller(Some(store.clone()));
    }
    world.run(120_000);
    assert!(world.is_converged());
}

#[test]
fn same_seed_carries_the_same_bytes() {
    for seed in [3, 11, 77] {
        let plan = Plan::draw(seed);
        assert_eq!(plan.run().trace, plan.run().trace, "seed {seed}");
    }
}

/// Some of these seeds must show that the driver is sabotaged.
fn check_trick(trick: Trick, expected: &[Invariant]) {
    let seen = (1..=40).find_map(|seed| {
        let mut plan = Plan::draw(seed);
        plan.swarm.trick = Some(trick);
        plan.run().violation.map(|violation| (seed, violation))
    });
    let Some((seed, violation)) = seen else {
        panic!("{trick:?} was not noticed");
    };
    assert!(
        expected.contains(&violation.invariant),
        "seed {seed}: {violation:?}"
    );
}

#[test]
fn message_that_leaves_before_it_is_durable_is_noticed() {
    let trick = Trick::Device(Sabotage::SendBeforePersist);
    check_trick(trick, &[Invariant::Cursors, Invariant::HeadsForward]);
}

#[test]
fn lost_mark_of_an_intent_is_noticed() {
    let trick = Trick::Device(Sabotage::ForgetMarks);
    let expected = [
        Invariant::MarkFirst,
        Invariant::IntentOnce,
        Invariant::IntentMissed,
    ];
    check_trick(trick, &expected);
}

#[test]
fn start_from_an_earlier_store_is_noticed() {
    let trick = Trick::Device(Sabotage::StaleStore);
    check_trick(trick, &[Invariant::HeadsForward]);
}

#[test]
fn decision_acknowledged_before_it_is_durable_is_noticed() {
    check_trick(Trick::LoseDecisions, &[Invariant::LostDecision]);
}

#[test]
fn number_used_again_after_a_crash_is_noticed() {
    check_trick(Trick::ReuseNumbers, &[Invariant::OneDigest]);
}

#[test]
fn state_that_no_honest_writer_signed_is_noticed() {
    check_trick(Trick::StrangeWriter, &[Invariant::Unsigned]);
}
