//! Whole fleets in virtual time around the real mailboxes: the plans of the simulator, watched by its oracle.
//!
//! ```text
//!  World: Controller engine <--> Embedded (Exchanges, Mailboxes) <--faults--> Device engines
//! ```
//!
//! The mailboxes are those that a listening controller embeds: they are gone when it dies, and filled by it when it
//! is started. Refuses to be a server: sockets, limits and waiting have tests of their own.

mod embedded;

use embedded::embedded;
use postern_protocol::testing::campaign::{Pace, Plan, Replay, Totals, explain};

const HOUR_MS: u64 = 3_600_000;

/// Plans of both kinds, the same that the campaign runs around its own mailbox, with a few devices.
fn plans() -> impl Iterator<Item = Plan> {
    let days = (0..3).map(|seed| smaller(Pace::Days.draw(seed), 2));
    let weeks = (0..3).map(|seed| smaller(Pace::Weeks.draw(seed), 4));
    days.chain(weeks)
}

fn smaller(mut plan: Plan, devices: usize) -> Plan {
    plan.swarm.clocks.truncate(devices);
    plan
}

#[test]
fn fleets_around_real_mailboxes_keep_every_invariant_and_come_to_rest() {
    let mut totals = Totals::default();
    for plan in plans() {
        let outcome = plan.run_with(&embedded);
        totals.add(&outcome.totals);
        if let Some(violation) = outcome.violation {
            panic!("{}", explain(&plan, &violation));
        }
    }
    println!(
        "{} device-hours, {} steps",
        totals.device_ms / HOUR_MS,
        totals.steps
    );
    assert!(totals.device_ms / HOUR_MS >= 3_000);
}

#[test]
fn same_seed_carries_the_same_bytes_through_real_mailboxes() {
    let plan = smaller(Pace::Days.draw(3), 4).keep(&(0..200).collect::<Vec<_>>());
    let (once, twice) = (plan.run_with(&embedded), plan.run_with(&embedded));
    assert_eq!(once.trace, twice.trace);
    assert_ne!(once.trace, plan.run().trace, "the other mailbox was used");
}

/// A key is revoked, a decision is made for its device, then the name is enrolled anew: what was posted in between, for
/// the life that ended, must not stand in the way of the next one. And a writer key is replaced while its device rests:
/// the change that follows is signed by a generation of which the device has no snapshot yet.
const NAMED: [(&str, &str); 2] = [
    (
        "decided for a device whose key is revoked",
        "seed 0 weeks test-signer devices 1 faults 0,0,0,0,0 keep 12-14",
    ),
    (
        "changed after a new writer key",
        "seed 2 weeks test-signer devices 1 faults 0,0,0,0,0 keep 254",
    ),
];

#[test]
fn plans_that_failed_around_real_mailboxes_pass() {
    for (name, line) in NAMED {
        let plan = Replay::parse(line).expect(line).plan();
        assert_eq!(plan.run_with(&embedded).violation, None, "{name}");
    }
}
