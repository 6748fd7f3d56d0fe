//! `kill -9` of the relay at random instants under load, twenty times: it serves again within two seconds, nothing
//! that either end acknowledged is lost, and no device accepts anything twice.
//!
//! ```text
//!  operator thread:  set a new path at one device after the other ──ack──▶ remember
//!  sensor thread:    write a new path at one device after the other ──ack──▶ remember
//!  main thread:      wait for k log bytes of the devices ──▶ kill the relay ──▶ start it again       (rounds)
//!  at the end:       every remembered decision stands at its device, every remembered value at the controller
//! ```
//!
//! The controller only dials out: whatever arrives went through the relay. Instants come from a printed seed, as in
//! `kill_loop`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use postern_lab::kills::{Dice, acceptances, repeated};
use postern_lab::{
    Daemon, Device, DeviceFolder, DeviceSettings, Fleet, LabError, Relay, Revision, config, wait,
};

const ROUNDS: u32 = 20;
const DEVICES: usize = 5;
const SEED: u64 = 0x706f_7374_6572_6e21;
/// Looks until a relay that was started has to take connections: two seconds of pauses.
const SERVING_TRIES_MAX: u32 = 100;
/// Most bytes that the logs may grow between a start and the next kill. Arbitrary: some decisions of all devices.
const PROGRESS_BYTES_MAX: u64 = 8_000;
/// Looks for progress before a kill comes anyway: five seconds of pauses. Devices come back meanwhile.
const PROGRESS_TRIES_MAX: u32 = 250;

/// What was acknowledged: which device, and which number of its own path.
type Acknowledged = Mutex<Vec<(usize, u64)>>;

fn note(acknowledged: &Acknowledged, one: (usize, u64)) {
    let mut held = acknowledged.lock().unwrap_or_else(|held| held.into_inner());
    held.push(one);
}

fn name(device: usize) -> String {
    format!("hall-{device}")
}

/// Keeps deciding until told to stop, a path of its own each time.
fn operate(fleet: &Fleet, stop: &AtomicBool, acknowledged: &Acknowledged) {
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let device = usize::try_from(number).unwrap_or_default() % DEVICES;
        let path = format!("load/n{number}");
        if fleet.set(&name(device), &path, &number.to_string()).is_ok() {
            note(acknowledged, (device, number));
        }
    }
}

/// Keeps writing actual values until told to stop, a path of its own each time; as slowly as a log grows.
fn sense(folders: &[DeviceFolder], stop: &AtomicBool, acknowledged: &Acknowledged) {
    for number in 0_u64.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let device = usize::try_from(number).unwrap_or_default() % DEVICES;
        let resource = format!("/v1/actual/load/a{number}");
        let folder = folders.get(device);
        let written =
            folder.and_then(|folder| folder.ask("PUT", &resource, &number.to_string()).ok());
        if written.is_some_and(|answer| answer.status == 200) {
            note(acknowledged, (device, number));
        }
        // No event to wait for: five writes in a second are load enough.
        drop(wait::until_tries("nothing", 10, || Ok(None::<()>)));
    }
}

fn kill_all_rounds(relay: &mut Relay, devices: &[Device], rounds: u32) -> Result<(), LabError> {
    let mut dice = Dice::new(SEED);
    let grown = || {
        let lengths = devices.iter().map(|device| device.daemon.log().len());
        lengths.sum::<usize>()
    };
    for _round in 0..rounds {
        let wanted = usize::try_from(dice.below(PROGRESS_BYTES_MAX)).unwrap_or_default();
        let from = grown();
        drop(wait::until_tries("progress", PROGRESS_TRIES_MAX, || {
            Ok((grown() >= from + wanted).then_some(()))
        }));
        relay.daemon.kill_9()?;
        relay.restart_within(SERVING_TRIES_MAX)?;
    }
    Ok(())
}

/// Checks that a device went forward only and accepted each revision once; returns how many.
fn check_once(daemon: &Daemon) -> usize {
    let accepted = acceptances(&daemon.log());
    assert!(!accepted.is_empty(), "the log names what was accepted");
    assert!(accepted.is_sorted(), "{accepted:?}");
    let twice = repeated(&accepted);
    assert!(twice.is_empty(), "accepted twice: {twice:?}");
    accepted.len()
}

/// Waits until the last value of a device stands at the controller, then checks every one.
fn check_actual(fleet: &Fleet, device: usize, numbers: &[u64]) -> Result<(), LabError> {
    let got = |number: u64| -> Result<bool, LabError> {
        let path = format!("load/a{number}");
        let got = fleet.operate(&["actual", "get", &name(device), &path])?;
        Ok(got.stdout.trim() == number.to_string())
    };
    let Some(last) = numbers.last() else {
        return Ok(());
    };
    wait::until("the last value", || Ok(got(*last)?.then_some(())))?;
    for number in numbers {
        assert!(got(*number)?, "lost: {number} of {}", name(device));
    }
    Ok(())
}

fn numbers_of(acknowledged: &[(usize, u64)], device: usize) -> Vec<u64> {
    let own = acknowledged.iter().filter(|(of, _)| *of == device);
    own.map(|(_, number)| *number).collect()
}

#[test]
fn relay_killed_under_load_serves_again_and_loses_nothing_acknowledged() {
    let Some(fleet) = Fleet::start_dialling_or_skip("relay kill").unwrap() else {
        return;
    };
    let Some(mut relay) = Relay::start_or_skip("relay kill", &fleet).unwrap() else {
        return;
    };
    let ca = relay.ca_pem().unwrap();
    let settings = DeviceSettings::direct().trusting("relay-ca.pem");
    let mut devices: Vec<Device> = (0..DEVICES)
        .map(|number| {
            let prepare = |folder: &DeviceFolder| folder.write("relay-ca.pem", &ca);
            let (mut device, joined) = fleet.try_join(&name(number), &settings, prepare).unwrap();
            assert!(joined.status.success(), "{}", joined.stderr);
            device.daemon.start().unwrap();
            let first = fleet.set(&name(number), "load/first", "1").unwrap();
            device.wait_applied(first).unwrap();
            device
        })
        .collect();

    let rounds = config::kill_rounds(ROUNDS);
    let folders: Vec<_> = devices.iter().map(|device| device.folder.clone()).collect();
    let stop = AtomicBool::new(false);
    let (decided, written) = (Acknowledged::default(), Acknowledged::default());
    std::thread::scope(|scope| {
        scope.spawn(|| operate(&fleet, &stop, &decided));
        scope.spawn(|| sense(&folders, &stop, &written));
        let killed = kill_all_rounds(&mut relay, &devices, rounds);
        stop.store(true, Ordering::SeqCst);
        killed.unwrap();
    });
    let (decided, written) = (decided.into_inner().unwrap(), written.into_inner().unwrap());
    assert!(
        !decided.is_empty() && !written.is_empty(),
        "there was no load"
    );

    let mut accepted = 0;
    for (number, device) in devices.iter_mut().enumerate() {
        let status = fleet.wait_converged(&device.name).unwrap_or_else(|error| {
            panic!(
                "{error}\n{}\n=====C\n{}\n",
                device.daemon.log(),
                fleet.controller.log()
            )
        });
        let desired = status.get("desired").and_then(Revision::of).unwrap();
        device.wait_applied(desired).unwrap();
        for decision in numbers_of(&decided, number) {
            let rendered = device.folder.rendered(&format!("load/n{decision}"));
            assert_eq!(rendered, Some(decision.to_string()), "{}", device.name);
        }
        check_actual(&fleet, number, &numbers_of(&written, number)).unwrap();
        accepted += check_once(&device.daemon);
    }
    println!(
        "relay kill: seed {SEED:#x}, {rounds} rounds, {} acknowledged decisions, {} acknowledged values, \
         {accepted} accepted revisions, 0 lost, 0 twice",
        decided.len(),
        written.len()
    );
}
