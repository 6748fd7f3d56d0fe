//! Bugs that others had and that no single attacker makes: each as a run of both ends in virtual time.
//!
//! Refuses to look into the engines: only what they show counts.

use postern_protocol::testing::World;

fn started() -> World {
    let mut world = World::with_devices(29, &["press-7"]);
    world.set(0, "a/x", 1);
    world.run(30_000);
    world
}

/// SQ-29: what was accepted stays in use when its signer counts no more, over a restart and without a network.
#[test]
fn state_outlives_the_key_that_signed_it() {
    let mut world = started();
    let (head, state) = (world.devices[0].head(), world.member(0).desired().clone());
    world.keys.rotate_writer("writer-2", 2);
    world.faults.drop = 1_000;
    world.run(3_600_000);
    world.restart(0);
    world.run(86_400_000);
    let device = &world.devices[0];
    assert_eq!(device.head(), head);
    assert_eq!(device.engine.as_ref().unwrap().state(), &state);
}

/// SQ-39: a server that comes back is not flooded with what it knows: no plane, no report, a few small frames.
#[test]
fn reconnect_without_news_costs_a_handful_of_exchanges_and_no_commit() {
    let mut world = started();
    for section in 0..40 {
        world.set(0, &format!("s{section}/x"), section);
        world.write_actual(0, &format!("s{section}/x"), section);
    }
    world.run(120_000);
    assert!(world.is_converged());
    let device = &world.devices[0];
    let (commits, exchanges) = (device.store.commits(), device.exchanges);
    world.mailbox.restart();
    world.run(60_000);
    let device = &world.devices[0];
    assert_eq!(device.store.commits(), commits);
    let spent = device.exchanges - exchanges;
    assert!(spent <= 8, "{spent} exchanges");
}
