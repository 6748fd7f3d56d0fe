//! An upgrade that waits for devices to be let go, and what may come between.
//!
//! Devices that hold polls over a long window keep it under way. Refuses to wait for the window: each
//! test ends it in its own way.

use super::fleet::{Controller, Device, Site as Fleet};
use super::{Replaceable, SEED};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Devices that hold a poll: the window is long over before the last of them is told.
const HELD: usize = 4;

/// A relay with held polls, and a device that does something else.
struct Waiting<'p> {
    place: &'p Replaceable,
    fleet: Arc<Fleet>,
    device: Device,
}

fn place() -> Replaceable {
    let place = Replaceable::make();
    place.site.edit("stop_within_s = 1", "stop_within_s = 600");
    place
}

impl<'p> Waiting<'p> {
    async fn make(place: &'p Replaceable) -> Self {
        let fleet = Arc::new(Fleet::new(&place.site.dir(), place.site.listen, SEED));
        let mut controller = Controller::greet(&fleet).await;
        let mut devices = Vec::new();
        for number in 0..=HELD {
            let mut device = Device::new(&fleet, number);
            controller.admit(&fleet, &device).await;
            let seed = u8::try_from(number).expect("a few") + 1;
            device.greet(&fleet, seed).await;
            device.post(&fleet).await;
            devices.push(device);
        }
        let device = devices.pop().expect("one more");
        for mut device in devices {
            let fleet = Arc::clone(&fleet);
            tokio::spawn(async move { device.poll(&fleet).await });
        }
        while place.status()["relay"]["holds"] != HELD {
            tokio::task::yield_now().await;
        }
        Self {
            place,
            fleet,
            device,
        }
    }

    /// Begins an upgrade; returns the command that waits for it, once devices are being let go.
    fn begin(&self) -> Child {
        let asked = Command::new(env!("CARGO_BIN_EXE_postern-relay"))
            .args(["upgrade", "--dir"])
            .arg(self.place.site.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command");
        while self.place.status()["drain"].is_null() {
            std::thread::yield_now();
        }
        asked
    }

    /// The process before serves, and its sessions go on.
    async fn assert_unharmed(&mut self, pid: u64) {
        assert_eq!(self.place.pid(), pid);
        let count = || self.fleet.counts.hellos.load(Ordering::Relaxed);
        let hellos = count();
        self.device.post(&self.fleet).await;
        assert_eq!(count(), hellos);
        assert_eq!(self.place.site.ask(&["audit", "--verify"]).code, 0);
    }
}

fn end_of(asked: Child) -> (Option<i32>, String) {
    let output = asked.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// The processes that wait to take over, as their operator would find them.
fn waiting_processes(place: &Replaceable) -> usize {
    let program = place.program.to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").expect("processes");
    let lines = processes.filter_map(|entry| {
        let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).into_owned())
    });
    let waits = |line: &String| line.contains(&program) && line.contains("--take-over");
    lines.filter(waits).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrade_that_an_operator_ends_changes_nothing() {
    let place = place();
    let running = place.start();
    let pid = u64::from(running.child.id());
    let mut waiting = Waiting::make(&place).await;
    let asked = waiting.begin();
    assert_eq!(place.status()["is_ready"], true, "who hands over is ready");
    assert_eq!(waiting_processes(&place), 1);
    let second = place.site.ask(&["upgrade"]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(
        second.err.contains("another upgrade is under way"),
        "{second:?}"
    );
    let undrain = place.site.ask(&["undrain", "--json"]);
    assert_eq!(undrain.json()["changed"], true, "{undrain:?}");
    let (code, said) = end_of(asked);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("was given up"), "{said}");
    waiting.assert_unharmed(pid).await;
    while waiting_processes(&place) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn next_process_that_dies_while_it_waits_changes_nothing() {
    let place = place();
    let running = place.start();
    let pid = u64::from(running.child.id());
    let mut waiting = Waiting::make(&place).await;
    place.put_script("#!/bin/sh\nprintf 'ready 1\\n' >&0\nkill -9 $$\n");
    let asked = Command::new(env!("CARGO_BIN_EXE_postern-relay"))
        .args(["upgrade", "--dir"])
        .arg(place.site.dir())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let (code, said) = end_of(asked);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("was given up"), "{said}");
    waiting.assert_unharmed(pid).await;
    let audit = place.site.ask(&["audit", "--json"]).json();
    let lines = audit["lines"].as_array().expect("lines").clone();
    let why = lines.iter().find(|line| line["detail"]["why"].is_string());
    assert_eq!(
        why.expect("a reason")["detail"]["why"],
        "the next process died"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relay_that_is_told_to_stop_during_an_upgrade_stops_both_processes() {
    let place = place();
    let mut running = place.start();
    let waiting = Waiting::make(&place).await;
    let asked = waiting.begin();
    running.signal("-TERM");
    running.signal("-TERM");
    assert_eq!(running.end(), Some(0));
    let (code, _) = end_of(asked);
    assert_ne!(code, Some(0));
    while waiting_processes(&place) > 0 {
        tokio::task::yield_now().await;
    }
    // Nobody holds a socket any more.
    while TcpListener::bind(place.site.listen).is_err() {
        tokio::task::yield_now().await;
    }
    assert!(!place.site.dir().join("relay.sock").exists());
}
