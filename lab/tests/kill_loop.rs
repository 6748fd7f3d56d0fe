//! `kill -9` at random instants under writes, fifty times: nothing that was acknowledged is lost, nothing is accepted
//! twice, and every store opens again.
//!
//! ```text
//!  operator thread:  set n ──ack──▶ remember (n, revision) ──▶ set n + 1 …      (refused while the controller is down)
//!  main thread:      wait for k log bytes ──▶ kill device, controller or both ──▶ start again        (rounds)
//!  at the end:       the last value stands, both ends have one digest, the device's log only ever went forward
//! ```
//!
//! "At random instants" means after a random amount of progress, drawn from a printed seed: how far the logs of both
//! ends grew. Nothing here waits for time to pass.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use postern_lab::kills::{Dice, acceptances, repeated};
use postern_lab::{Daemon, Device, DeviceSettings, Fleet, LabError, Revision, config, wait};
use serde_json::Value;

const ROUNDS: u32 = 50;
const SEED: u64 = 0x706f_7374_6572_6e21;
/// Most bytes that the logs may grow between a start and the next kill. Arbitrary: about five decisions.
const PROGRESS_BYTES_MAX: u64 = 4_000;
/// Looks for progress before a kill comes anyway. Arbitrary; some instants are to lie in silence.
const PROGRESS_TRIES_MAX: u32 = 100;

/// A decision that the controller acknowledged.
#[derive(Clone, Copy, Debug)]
struct Acknowledged {
    value: u64,
    revision: Revision,
}

/// Keeps deciding the next number until told to stop; refusals while the controller is down are no acknowledgements.
fn operate(fleet: &Fleet, stop: &AtomicBool, acknowledged: &Mutex<Vec<Acknowledged>>) {
    let mut value = 0;
    while !stop.load(Ordering::SeqCst) {
        value += 1;
        if let Ok(revision) = fleet.set("hall-1", "load/value", &value.to_string()) {
            let mut acknowledged = acknowledged.lock().unwrap_or_else(|held| held.into_inner());
            acknowledged.push(Acknowledged { value, revision });
        }
    }
}

/// Kills and starts both ends for all rounds.
fn kill_all_rounds(
    fleet: &Fleet,
    controller: &mut Daemon,
    device: &mut Device,
    rounds: u32,
) -> Result<(), LabError> {
    let mut dice = Dice::new(SEED);
    for _round in 0..rounds {
        let grown = |controller: &Daemon, device: &Device| {
            controller.log().len() + device.daemon.log().len()
        };
        let wanted = usize::try_from(dice.below(PROGRESS_BYTES_MAX)).unwrap_or_default();
        let from = grown(controller, device);
        let waited = wait::until_tries("progress", PROGRESS_TRIES_MAX, || {
            Ok((grown(controller, device) >= from + wanted).then_some(()))
        });
        drop(waited);
        let (kill_controller, kill_device) = match dice.below(3) {
            0 => (true, false),
            1 => (false, true),
            _both => (true, true),
        };
        if kill_controller {
            controller.kill_9()?;
        }
        if kill_device {
            device.daemon.kill_9()?;
        }
        if kill_controller {
            restart(controller, &mut dice)?;
        }
        if kill_device {
            restart(&mut device.daemon, &mut dice)?;
        }
        // A store that was refused at open ends its process with the exit code for stores.
        fleet.status("hall-1")?;
    }
    Ok(())
}

/// Starts an end again; sometimes it is killed once more while it opens its store.
fn restart(daemon: &mut Daemon, dice: &mut Dice) -> Result<(), LabError> {
    if dice.below(4) == 0 {
        daemon.launch()?;
        let looks = u32::try_from(dice.below(4)).unwrap_or_default();
        // No event to wait for: this instant is to lie anywhere in the start.
        drop(wait::until_tries("nothing", looks, || Ok(None::<()>)));
        daemon.kill_9()?;
    }
    daemon.start()
}

#[test]
fn killed_ends_lose_nothing_acknowledged_and_accept_nothing_twice() {
    let Some(mut fleet) = Fleet::start_or_skip("kill loop", "localhost").unwrap() else {
        return;
    };
    let rounds = config::kill_rounds(ROUNDS);
    let mut device = fleet.device("hall-1", &DeviceSettings::direct()).unwrap();
    device.daemon.start().unwrap();
    let mut controller = fleet.take_controller();
    let (stop, acknowledged) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        scope.spawn(|| operate(&fleet, &stop, &acknowledged));
        let killed = kill_all_rounds(&fleet, &mut controller, &mut device, rounds);
        stop.store(true, Ordering::SeqCst);
        killed.unwrap();
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    let last = acknowledged.last().copied().unwrap();

    // Nothing acknowledged is lost: the value is the last one, or one whose acknowledgement a kill swallowed.
    let got = fleet.must(&["desired", "get", "hall-1", "load/value"]);
    let value: u64 = got.unwrap().trim().parse().unwrap();
    assert!(value >= last.value, "{value} after {last:?}");
    let revisions = acknowledged.iter().map(|one| one.revision);
    assert!(revisions.is_sorted(), "a decision went backwards");

    // Both ends agree, by digest.
    let status = fleet.wait_converged("hall-1").unwrap();
    let desired = status.get("desired").and_then(Revision::of).unwrap();
    assert!(desired >= last.revision, "{desired:?} after {last:?}");
    device.wait_applied(desired).unwrap();
    let digest = status.pointer("/desired/digest").and_then(Value::as_str);
    let held = device.folder.status();
    assert_eq!(held.get("digest").and_then(Value::as_str), digest);
    let rendered = device.folder.rendered("load/value");
    assert_eq!(rendered, Some(value.to_string()));

    // The device went forward only, and accepted each revision once.
    let accepted = acceptances(&device.daemon.log());
    assert!(!accepted.is_empty(), "the log names what was accepted");
    assert!(accepted.is_sorted(), "{accepted:?}");
    let twice = repeated(&accepted);
    assert!(twice.is_empty(), "accepted twice: {twice:?}");
    println!(
        "kill loop: seed {SEED:#x}, {rounds} rounds, {} acknowledged decisions, {} accepted revisions, 0 lost, 0 twice",
        acknowledged.len(),
        accepted.len()
    );
}
