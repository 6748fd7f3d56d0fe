//! A relay that is replaced by another program while devices use it: real processes and sockets.
//!
//! What must hold: no connection is refused, nothing acknowledged is lost, no session ends; and a
//! program that cannot go on changes none of it.

mod fleet;
mod refused;
mod under_way;

use super::support::{Running, Site, command, trust_line};
use fleet::{Controller, Device, Site as Fleet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// The seed of the trust line.
const SEED: u8 = 1;
/// Devices that post all the while.
const POSTING: usize = 12;
/// Devices that hold a poll.
const HOLDING: usize = 12;

/// A relay that was started from a file that can be replaced.
struct Replaceable {
    site: Site,
    program: PathBuf,
}

impl Replaceable {
    fn make() -> Self {
        let site = Site::make_from(&trust_line(SEED, &["plant-1", "plant-2"]));
        // The window of a handover; polls of this test are told within it.
        site.edit("# stop_within_s = 10", "stop_within_s = 1");
        let program = site.dir().join("program");
        let replaceable = Self { site, program };
        replaceable.put(Path::new(env!("CARGO_BIN_EXE_postern-relay")));
        replaceable
    }

    /// Puts another program in the place of the one that runs.
    fn put(&self, from: &Path) {
        let next = self.program.with_extension("next");
        // In another process: a file that is open for writing here, and so in whatever another test
        // starts meanwhile, cannot be run.
        let copied = Command::new("cp").arg(from).arg(&next).status();
        assert!(copied.expect("cp").success());
        std::fs::rename(&next, &self.program).expect("in its place");
    }

    /// As [`Self::put`], with a shell script.
    fn put_script(&self, text: &str) {
        let script = self.site.dir().join("script");
        std::fs::write(&script, text).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).expect("a mode");
        self.put(&script);
    }

    fn start(&self) -> Running<'_> {
        let mut run = Command::new(&self.program);
        run.args(["run", "--log-format", "json"])
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC");
        self.site.start_with(&mut run)
    }

    fn status(&self) -> serde_json::Value {
        self.site.ask(&["status", "--json"]).json()["status"].clone()
    }

    fn pid(&self) -> u64 {
        self.status()["pid"].as_u64().expect("a number")
    }
}

/// Ends a process that is no child of this one.
struct Orphan(u64);

impl Drop for Orphan {
    fn drop(&mut self) {
        if self.0 > 0 {
            let words = ["-KILL", &self.0.to_string()];
            let _ = Command::new("kill").args(words).status();
        }
    }
}

/// Posts until it is told to stop, then tells how far it came.
async fn post_on(fleet: Arc<Fleet>, mut device: Device, stop: watch::Receiver<bool>) -> Device {
    while !*stop.borrow() {
        device.post(&fleet).await;
    }
    device
}

/// Holds polls until it is told to stop, comes again when it is told to, and posts at the end.
async fn hold_on(fleet: Arc<Fleet>, mut device: Device, mut stop: watch::Receiver<bool>) -> Device {
    loop {
        let again_ms = tokio::select! {
            () = stopped(&mut stop) => None,
            again_ms = device.poll(&fleet) => Some(again_ms),
        };
        let Some(again_ms) = again_ms else {
            device.post(&fleet).await;
            return device;
        };
        let again = std::time::Duration::from_millis(again_ms);
        let _ = tokio::time::timeout(again, stopped(&mut stop)).await;
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Collects until nobody posts any more, then the rest.
async fn collect_on(
    fleet: Arc<Fleet>,
    mut controller: Controller,
    ended: watch::Receiver<bool>,
) -> Controller {
    while !*ended.borrow() {
        controller.collect(&fleet, 1).await;
    }
    while controller.collect(&fleet, 0).await > 0 {}
    controller
}

/// The fleet of a test at work.
struct AtWork {
    fleet: Arc<Fleet>,
    devices: Vec<tokio::task::JoinHandle<Device>>,
    controller: tokio::task::JoinHandle<Controller>,
    stop: watch::Sender<bool>,
    end: watch::Sender<bool>,
}

impl AtWork {
    async fn begin(fleet: Arc<Fleet>) -> Self {
        let mut controller = Controller::greet(&fleet).await;
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = watch::channel(false);
        let mut ready = Vec::new();
        for number in 0..POSTING + HOLDING {
            let mut device = Device::new(&fleet, number);
            controller.admit(&fleet, &device).await;
            let seed = u8::try_from(number).expect("a few") + 1;
            device.greet(&fleet, seed).await;
            device.post(&fleet).await;
            ready.push(device);
        }
        let mut devices = Vec::new();
        for (number, device) in ready.into_iter().enumerate() {
            let (fleet, stop) = (Arc::clone(&fleet), stopped.clone());
            devices.push(if number < POSTING {
                tokio::spawn(post_on(fleet, device, stop))
            } else {
                tokio::spawn(hold_on(fleet, device, stop))
            });
        }
        Self {
            controller: tokio::spawn(collect_on(Arc::clone(&fleet), controller, ended)),
            fleet,
            devices,
            stop,
            end,
        }
    }

    /// Waits until so many more posts were acknowledged.
    async fn go_on(&self, posts: u64) {
        let acknowledged = || self.fleet.counts.acknowledged.load(Ordering::Relaxed);
        let before = acknowledged();
        while acknowledged() < before + posts {
            tokio::task::yield_now().await;
        }
    }

    /// Ends the work; returns how much was acknowledged, all of which the controller has.
    async fn end(self) -> u64 {
        self.stop.send(true).expect("the devices listen");
        let mut devices = Vec::new();
        for device in self.devices {
            devices.push(device.await.expect("a device"));
        }
        self.end.send(true).expect("the controller listens");
        let controller = self.controller.await.expect("a controller");
        for device in &devices {
            let collected = &controller.collected[&device.channel.id()];
            let missing: Vec<u64> = (1..=device.acknowledged)
                .filter(|seq| !collected.contains(seq))
                .collect();
            assert_eq!(missing, Vec::<u64>::new(), "{}", device.channel.device);
        }
        devices.iter().map(|device| device.acknowledged).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrade_under_load_refuses_nobody_and_loses_no_session() {
    let place = Replaceable::make();
    let first = place.start();
    let fleet = Arc::new(Fleet::new(&place.site.dir(), place.site.listen, SEED));
    let work = AtWork::begin(Arc::clone(&fleet)).await;
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let hellos = count(&fleet.counts.hellos);
    // Those before it have ended by themselves.
    let mut last = Orphan(0);
    for _ in 0..2 {
        place.put(Path::new(env!("CARGO_BIN_EXE_postern-relay")));
        let upgraded = tokio::task::block_in_place(|| place.site.ask(&["upgrade", "--json"]));
        assert_eq!(upgraded.code, 0, "{upgraded:?} {}", place.site.log());
        let pid = upgraded.json()["status"]["pid"].as_u64().expect("a number");
        assert!(![u64::from(first.child.id()), last.0].contains(&pid));
        last.0 = pid;
        // Everybody goes on at the next process.
        work.go_on(100).await;
    }
    let acknowledged = work.end().await;
    let counts = &fleet.counts;
    assert_eq!(count(&counts.refused), 0);
    assert_eq!(count(&counts.hellos), hellos, "a session did not go on");
    eprintln!(
        "2 upgrades: {acknowledged} acknowledged, 0 lost, 0 connections refused, {} connections, {} exchanges sent again, {} polls answered, {hellos} sessions went on",
        count(&counts.connected),
        count(&counts.again),
        count(&counts.polls),
    );
    assert_eq!(place.site.ask(&["audit", "--verify"]).code, 0);
    drop(first);
}
