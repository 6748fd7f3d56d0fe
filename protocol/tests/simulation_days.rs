//! Fleets of days: the checker is checked with bugs that others had, plans can be run again from one line.
//!
//! Campaigns are run by the example `simulate`; what stands here is what `simulate --tricks` found and shrank.
//! Refuses another invariant than the one that was meant: who notices by chance notices nothing.

use postern_protocol::testing::campaign::{Plan, Replay, Trick};
use postern_protocol::testing::{Invariant, Sabotage, Signing};

/// A bug, the plan that shows it, and what must notice.
type Row = (&'static str, &'static str, Invariant);

/// In each row a driver, the controller's driver or the mailbox does what was done wrong elsewhere.
const BUGS: [Row; 23] = [
    (
        "SQ-11: what leaves is not durable yet",
        "seed 0 long test-signer devices 1 trick Device(SendBeforePersist) keep",
        Invariant::Cursors,
    ),
    (
        "SQ-01: the marks of intents are rewritten at each start",
        "seed 0 long test-signer devices 1 faults 0,0,0,0,0 trick Device(ForgetMarks) keep 5",
        Invariant::MarkFirst,
    ),
    (
        "SQ-20: a start from an older store",
        "seed 0 long test-signer devices 1 trick Device(StaleStore) keep",
        Invariant::HeadsForward,
    ),
    (
        "SQ-07: the newest number is kept in memory alone",
        "seed 0 long test-signer devices 1 faults 0,0,0,0,0 trick Device(ForgetHeads) keep 216",
        Invariant::HeadsForward,
    ),
    (
        "SQ-27: a bundle is kept in memory alone",
        "seed 9 long test-signer devices 1 faults 0,0,0,0,0 trick Device(ForgetBundles) keep 586,693",
        Invariant::HeadsForward,
    ),
    (
        "SQ-18: a refusal looks like a success",
        "seed 1 long test-signer devices 1 faults 0,0,0,0,0 trick Device(FailureAsSuccess) keep 21,22",
        Invariant::Cursors,
    ),
    (
        "SQ-09: after a failure nothing is driven any more",
        "seed 1 long test-signer devices 1 faults 0,0,0,0,0 trick Device(SkipAfterFailure) keep 21,23",
        Invariant::Convergence,
    ),
    (
        "SQ-13: an action never ends",
        "seed 0 long test-signer devices 1 faults 0,0,0,0,0 trick Device(ForgetEnds) keep 209",
        Invariant::Convergence,
    ),
    (
        "SQ-02: one command acts twice",
        "seed 0 long test-signer devices 1 faults 0,0,0,0,0 trick Device(ActTwice) keep 5",
        Invariant::IntentOnce,
    ),
    (
        "SQ-01: it acts before the mark is durable",
        "seed 0 long test-signer devices 1 faults 0,0,0,0,0 trick Device(ActBeforePersist) keep 5",
        Invariant::MarkFirst,
    ),
    (
        "fail-stop: it goes on after a commit that failed",
        "seed 37 long test-signer devices 1 faults 0,0,0,0,0 trick Device(GoOnAfterError) keep 195,196",
        Invariant::MarkFirst,
    ),
    (
        "power cut: commits without a flush",
        "seed 0 long test-signer devices 1 faults 0,0,0,0,0 trick Device(NoSync) keep 216",
        Invariant::Atomic,
    ),
    (
        "SQ-28: the date, which jumps, runs the timers",
        "seed 5 long test-signer devices 1 faults 0,0,0,0,0 trick Device(WallForTimers) keep 1555,1592",
        Invariant::Storm,
    ),
    (
        "SQ-37: it asks again at once, for ever",
        "seed 0 long test-signer devices 1 faults 0,0,0,0,0 trick Device(NoPause) keep",
        Invariant::Bounded,
    ),
    (
        "SQ-15: acknowledged before it is durable",
        "seed 0 long test-signer devices 1 faults 0,0,0,0,0 trick LoseDecisions keep",
        Invariant::LostDecision,
    ),
    (
        "SQ-16: numbers begin anew",
        "seed 0 long test-signer devices 1 faults 0,0,0,0,0 trick ReuseNumbers keep 49,53",
        Invariant::LostDecision,
    ),
    (
        "SQ-32: a state that no honest writer decided",
        "seed 0 long test-signer devices 1 faults 0,0,0,0,0 trick StrangeWriter keep",
        Invariant::Unsigned,
    ),
    (
        "SQ-05: a middlebox swallows what is reported",
        "seed 0 long test-signer devices 1 faults 0,0,0,0,0 trick SwallowPosts keep",
        Invariant::Conservation,
    ),
    (
        "SQ-26: no bundle is ever told",
        "seed 7 long test-signer devices 1 faults 0,0,0,0,0 trick StaleBundles keep 79",
        Invariant::Convergence,
    ),
    (
        "power cut: a torn commit is read as if it were whole",
        "seed 37 long test-signer devices 1 faults 0,0,0,0,0 trick Device(NoChecksum) keep 271-290,293-308,311-398",
        Invariant::Atomic,
    ),
    (
        "fail-stop: the controller goes on after a commit that failed",
        "seed 0 long test-signer devices 2 faults 0,0,0,0,0 trick GoOnWithoutDisk keep 1589,2586,1594-1596",
        Invariant::LostDecision,
    ),
    (
        "SQ-15: a mailbox loses what it took",
        "seed 0 long test-signer devices 1 faults 0,0,0,0,0 trick LoseLetters keep 50",
        Invariant::Conservation,
    ),
    (
        "SQ-26: a mailbox serves whom it was told to serve no longer",
        "seed 7 long test-signer devices 1 faults 0,0,0,0,0 trick KeepEvicted keep 90",
        Invariant::Revoked,
    ),
];

#[test]
fn bugs_that_others_had_are_noticed() {
    for (bug, line, invariant) in BUGS {
        let plan = Replay::parse(line).expect(line).plan();
        let seen = plan.run().violation;
        assert_eq!(seen.map(|one| one.invariant), Some(invariant), "{bug}");
    }
}

/// What is noticed is the bug: the same plans are silent without it.
#[test]
fn same_plans_without_the_bug_are_silent() {
    for (bug, line, _) in BUGS {
        let mut plan = Replay::parse(line).expect(line).plan();
        plan.swarm.trick = None;
        assert_eq!(plan.run().violation, None, "{bug}");
    }
}

/// Plans that failed once, shrunk. In the first a device refused a later epoch, and said so an hour later. In the second
/// the answer to a new key reached the mailbox after the admission that followed it, and was given with each poll.
const NAMED: [(&str, &str); 2] = [
    (
        "SQ-20: restored twice",
        "seed 1270 long test-signer devices 1 faults 0,0,0,0,0 keep 1826,1827,1852,1853,1863,1864,1965",
    ),
    (
        "SQ-26: a new key while the mailbox is frozen",
        "seed 1493 long test-signer devices 1 faults 0,0,0,0,0 keep 2290,2313,2332,2364",
    ),
];

#[test]
fn plans_of_days_that_failed_once_pass() {
    for (name, line) in NAMED {
        let plan = Replay::parse(line).expect(line).plan();
        assert_eq!(plan.run().violation, None, "{name}");
    }
}

/// The first operations of a plan of days, with few devices.
fn morning(seed: u64, signing: Signing) -> Plan {
    let mut plan = Plan::draw_long(seed);
    plan.swarm.signing = signing;
    plan.swarm.clocks.truncate(2);
    let early = plan
        .operations
        .partition_point(|(at_ms, _)| *at_ms < 7_200_000);
    plan.keep(&(0..early).collect::<Vec<_>>())
}

#[test]
fn same_seed_carries_the_same_bytes_for_days() {
    for seed in [5, 8] {
        let plan = morning(seed, Signing::Test);
        assert_eq!(plan.run().trace, plan.run().trace, "seed {seed}");
    }
}

/// Test keys are no cryptography, and hide nothing either: with real ones the same things happen.
#[test]
fn real_keys_lead_to_as_many_decisions_as_test_keys() {
    for seed in [5, 8] {
        let test = morning(seed, Signing::Test).run();
        let real = morning(seed, Signing::Real).run();
        assert_eq!((test.violation, real.violation), (None, None));
        assert_eq!(test.totals.decisions, real.totals.decisions, "seed {seed}");
        assert_ne!(test.trace, real.trace);
    }
}

#[test]
fn line_of_a_plan_gives_the_plan_again() {
    let mut plan = morning(3, Signing::Test);
    plan.swarm.trick = Some(Trick::Device(Sabotage::NoSync));
    plan.swarm.faults.drop = 77;
    let line = Replay::of(&plan).line();
    let again = Replay::parse(&line)
        .expect("a line that was written")
        .plan();
    assert_eq!(again.operations, plan.operations);
    assert_eq!(again.swarm.faults, plan.swarm.faults);
    assert_eq!(again.swarm.trick, plan.swarm.trick);
    assert_eq!(Replay::of(&again).line(), line);
}

/// The first two days of a plan of weeks, with few devices.
fn quiet(seed: u64) -> Plan {
    let mut plan = Plan::draw_weeks(seed);
    plan.swarm.clocks.truncate(2);
    let early = plan
        .operations
        .partition_point(|(at_ms, _)| *at_ms < 172_800_000);
    plan.keep(&(0..early).collect::<Vec<_>>())
}

#[test]
fn line_of_quiet_weeks_gives_the_plan_again_which_carries_the_same_bytes() {
    let plan = quiet(4);
    let line = Replay::of(&plan).line();
    let again = Replay::parse(&line)
        .expect("a line that was written")
        .plan();
    assert_eq!(again.operations, plan.operations);
    assert_eq!(again.swarm.holds_s, plan.swarm.holds_s);
    let (once, twice) = (plan.run(), again.run());
    assert_eq!(once.violation, None);
    assert_eq!(once.trace, twice.trace);
    assert_ne!(once.trace, quiet(5).run().trace);
}

/// Who holds polls for minutes has less to do, for each device and hour, than fleets at work.
#[test]
fn quiet_weeks_are_quiet() {
    let per_hour = |plan: &Plan| {
        let totals = plan.run().totals;
        totals.steps / (totals.device_ms / 3_600_000)
    };
    let (weeks, days) = (per_hour(&quiet(4)), per_hour(&morning(5, Signing::Test)));
    assert!(weeks < 250, "{weeks} steps");
    assert!(weeks < days, "{weeks} steps, {days} of a fleet at work");
}

#[test]
fn line_that_nobody_wrote_is_refused() {
    for line in [
        "seed",
        "seed x",
        "seed 1 devices",
        "seed 1 faults 1,2",
        "seed 1 trick Nothing",
        "seed 1 keep 1,x",
        "seed 1 keep 5-3",
        "seed 1 keep 1-99999999999",
        "weather 3",
    ] {
        assert_eq!(Replay::parse(line), None, "{line}");
    }
}
