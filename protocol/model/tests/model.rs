//! A bounded model of the acceptance rules and of restoring, looked through to the last moment.
//!
//! ```text
//!  2 devices, 1 controller, its backup, an attacker who keeps every envelope: all orders, losses, doubles, crashes
//!        '-- each moment --> eight promises hold, and an honest way brings everything to rest
//! ```
//!
//! The rules are those of the crate (`accept`, `Lineage`, `Epoch::open`, `History`, `accept_report`, real signatures); the
//! model supplies orders only. That it can fail is shown by breaking one rule after another.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a model that cannot go on has to fail"
)]
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "how many states there are, and how long it took, is what a reader of the run wants to know"
)]

#[path = "model/controller.rs"]
mod controller;
#[path = "model/fleet.rs"]
mod fleet;
#[path = "model/heal.rs"]
mod heal;
#[path = "model/rules.rs"]
mod rules;
#[path = "model/search.rs"]
mod search;
#[path = "model/unit.rs"]
mod unit;
#[path = "model/wire.rs"]
mod wire;

use fleet::{Counts, Fault};
use postern_protocol::revision::Epoch;
use rules::{BROKEN_RULES, BROKEN_TABLES, Rules};
use search::{ALL, CONVERGED, World};
use stateright::{Checker as _, HasDiscoveries, Model as _};
use std::time::Instant;

/// The rules for worlds in which one number has two contents.
const WITH_DIGESTS: Rules = Rules {
    checks_digests: true,
    ..Rules::REAL
};

/// Nothing happens but what the attacker does.
const QUIET: Counts = Counts {
    decisions: 0,
    restarts: 0,
    backups: 0,
    restores: 0,
    crashes: 0,
    rotations: 0,
    twins: 0,
    openings: 0,
};

const fn world(most: Counts) -> World {
    World {
        rules: Rules::REAL,
        most,
        has_clock: true,
        watched: ALL,
        decides_for: 1,
        reached: 2,
        old_keys_count: false,
        keeps_lost_life: true,
        rotates_after_restore: false,
        must_settle: true,
        is_broken: false,
    }
}

/// Three versions, a backup in between, and its restore.
const RESTORING: World = world(Counts {
    decisions: 2,
    backups: 1,
    restores: 1,
    crashes: 1,
    openings: 2,
    ..QUIET
});

/// The same with a start in between, which opens an epoch that the backup may not know.
const RESTARTING: World = World {
    reached: 1,
    ..world(Counts {
        decisions: 1,
        restarts: 1,
        backups: 1,
        restores: 1,
        openings: 3,
        ..QUIET
    })
};

/// The same with another key, whose generation outranks every lineage. The mailbox stands in the controller: what it held
/// back is gone with the life that was lost.
const ROTATING: World = World {
    keeps_lost_life: false,
    ..world(Counts {
        decisions: 1,
        backups: 1,
        restores: 1,
        rotations: 1,
        openings: 2,
        ..QUIET
    })
};

/// The same behind a relay that still holds what a lost life signed, and keeps the new bundle from devices.
const WITHHOLDING: World = World {
    old_keys_count: true,
    keeps_lost_life: true,
    reached: 1,
    ..ROTATING
};

/// What holds there all the same.
const REMAINING_OF_WITHHOLDING: World = World {
    watched: &[
        Fault::Rollback,
        Fault::Unsigned,
        Fault::Recipient,
        Fault::Thawed,
        Fault::Reused,
        Fault::Early,
    ],
    must_settle: false,
    ..WITHHOLDING
};

/// Decisions for both devices.
const BOTH: World = World {
    decides_for: 2,
    ..world(Counts {
        decisions: 3,
        ..QUIET
    })
};

/// Somebody else has the writer's key, too: what he signs counts, and stops counting where it contradicts.
const TWINS: World = World {
    rules: WITH_DIGESTS,
    watched: &[
        Fault::Rollback,
        Fault::Unsigned,
        Fault::Recipient,
        Fault::Thawed,
        Fault::Early,
    ],
    ..world(Counts {
        decisions: 1,
        twins: 1,
        openings: 3,
        ..QUIET
    })
};

/// The same before anything was decided: what he signs is all that the two histories differ in, and nothing of it is lost
/// without an operator's word.
const FORKED: World = World {
    watched: &[
        Fault::Rollback,
        Fault::Lost,
        Fault::Unsigned,
        Fault::Recipient,
        Fault::Thawed,
        Fault::Early,
        Fault::Dropped,
    ],
    most: Counts {
        decisions: 0,
        ..TWINS.most
    },
    ..TWINS
};

/// Nobody knows the time, so a restored controller opens the epoch that the life before it had opened.
const CLOCKLESS: World = World {
    has_clock: false,
    rules: WITH_DIGESTS,
    watched: TWINS.watched,
    reached: 1,
    ..world(Counts {
        decisions: 1,
        restarts: 1,
        backups: 1,
        restores: 1,
        openings: 2,
        ..QUIET
    })
};

/// Nobody knows the time, and two starts lie behind the backup: a restored controller opens an epoch below its device's.
const FAR_BELOW: World = World {
    most: Counts {
        decisions: 0,
        restarts: 2,
        openings: 3,
        ..CLOCKLESS.most
    },
    ..CLOCKLESS
};

/// A broken rule may lead on for ever; what it leads to shows sooner.
const BROKEN_STATES_MAX: usize = 600_000;

/// Looks through a world; returns what was broken, with the steps that led there.
fn look_through(name: &str, world: World) -> Vec<String> {
    let is_real = !world.is_broken;
    let started = Instant::now();
    let mut checker = world.checker().threads(2);
    if !is_real {
        checker = checker.target_state_count(BROKEN_STATES_MAX);
    }
    let checker = checker
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let elapsed = started.elapsed().as_secs_f32();
    println!("{name}: {states} states, depth {depth}, {elapsed:.1} s");
    let found = checker.discoveries().into_iter();
    let found: Vec<_> = found
        .map(|(property, path)| (property, path.into_actions()))
        .collect();
    let has_converged = found.iter().any(|(property, _)| *property == CONVERGED);
    let broken = found
        .into_iter()
        .filter(|(property, _)| *property != CONVERGED);
    let broken: Vec<_> = broken
        .map(|(property, steps)| format!("{property}: {steps:?}"))
        .collect();
    assert!(
        has_converged || !broken.is_empty() || !is_real,
        "{name}: nothing ever came to rest"
    );
    broken
}

fn holds(name: &str, world: World) {
    let broken = look_through(name, world);
    assert!(broken.is_empty(), "{name}: {}", broken.join("\n"));
}

#[test]
fn restoring_takes_nothing_back() {
    holds("restoring", RESTORING);
}

#[test]
fn restarting_takes_nothing_back() {
    holds("restarting", RESTARTING);
}

#[test]
fn rotating_takes_nothing_back() {
    holds("rotating", ROTATING);
}

#[test]
fn what_is_decided_for_one_device_never_counts_at_the_other() {
    holds("both", BOTH);
}

#[test]
fn thief_of_the_key_takes_nothing_back_and_thaws_nothing() {
    holds("twins", TWINS);
    holds("forked", FORKED);
}

#[test]
fn clockless_controllers_come_to_rest() {
    holds("clockless", CLOCKLESS);
    holds("far below", FAR_BELOW);
}

/// Without a clock: what a restored controller opens is not what its lost life opened.
#[test]
fn epochs_apart_by_chance_alone_are_never_shared() {
    let world = World {
        watched: &[Fault::Reused],
        must_settle: false,
        ..CLOCKLESS
    };
    holds("clockless, all promises", world.clone());
    let next_number = |highest: Epoch, _, _| highest.next();
    let rules = Rules {
        open: next_number,
        ..world.rules
    };
    let broken = look_through(
        "clockless, without chance",
        World {
            rules,
            is_broken: true,
            ..world
        },
    );
    let is_reused = |found: &String| found.starts_with("number never reused");
    assert!(broken.iter().any(is_reused), "{broken:?}");
}

/// A limit that spec/rationale.md names: a generation counts without a look at the lineage.
#[test]
fn relay_that_keeps_a_lost_life_and_its_rotation_takes_back() {
    let broken = look_through("withholding", WITHHOLDING);
    // The life that was lost rotated; what a restored one would rotate itself waits for its devices.
    let is_known = |found: &String| {
        found.find("Rotate").is_some_and(|rotated| {
            found
                .find("Restore")
                .is_some_and(|restored| rotated < restored)
        })
    };
    assert!(
        !broken.is_empty() && broken.iter().all(is_known),
        "{broken:?}"
    );
    holds("withholding, the other promises", REMAINING_OF_WITHHOLDING);
}

/// The same without a rotation that the backup does not know.
#[test]
fn restored_controller_that_rotates_itself_takes_nothing_back() {
    let world = World {
        rotates_after_restore: true,
        ..WITHHOLDING
    };
    holds("withholding, rotated after", world);
}

#[test]
fn every_broken_rule_is_caught() {
    let tables = BROKEN_TABLES.map(|(name, accept)| {
        (
            name,
            Rules {
                accept,
                ..Rules::REAL
            },
        )
    });
    let others = BROKEN_RULES.map(|(name, break_one)| (name, break_one(Rules::REAL)));
    let mut missed = Vec::new();
    for (name, rules) in tables.into_iter().chain(others) {
        match first_finding(name, &rules) {
            Some(finding) => println!("  caught: {finding}"),
            None => missed.push(name),
        }
    }
    assert!(
        missed.is_empty(),
        "nothing shows that these are broken: {missed:?}"
    );
}

/// Looks for what a broken rule leads to: first for a broken promise, then for a moment that never comes to rest.
fn first_finding(name: &str, rules: &Rules) -> Option<String> {
    let worlds = [
        BOTH,
        RESTARTING,
        FORKED,
        TWINS,
        ROTATING,
        REMAINING_OF_WITHHOLDING,
    ];
    let promises = worlds.clone().into_iter().map(|world| World {
        must_settle: false,
        ..world
    });
    let rest = worlds.into_iter().filter(|world| world.must_settle);
    let mut found = promises.chain(rest).flat_map(|world| {
        let checks_digests = world.rules.checks_digests;
        let rules = Rules {
            checks_digests,
            ..*rules
        };
        look_through(
            name,
            World {
                rules,
                is_broken: true,
                ..world
            },
        )
    });
    found.next()
}
