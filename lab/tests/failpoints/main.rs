//! `kill -9` and failing disks at named calls of the release binaries: nothing that was acknowledged is lost, every
//! store opens again, and an end whose disk failed says so and ends with the code for stores.
//!
//! ```text
//!  for each kind of call, for n = 1, 2, … :   start an end that is struck at its nth call ──▶ decide, write, report
//!      struck: start it again, look for everything that was acknowledged     not struck: the next kind
//! ```
//!
//! The calls are those that change what survives or what others see: writes and flushes of the store, of rendered files,
//! of sockets. So a kill falls before a commit, into it, after it and before its acknowledgement, and into starts and
//! orderly ends; [`handover`] strikes while one relay goes on where another stood. `POSTERN_FAILPOINTS_EVERY=1` tries every
//! one; a run of `./test` tries some. The long run:
//!
//! ```text
//! POSTERN_FAILPOINTS_EVERY=1 cargo test -p postern-lab --test failpoints -- --nocapture
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests: a failure should end the test where it happened, and counts be read"
)]

mod carrying;
mod closing;
mod handover;

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use postern_lab::failpoint::{Blow, Failpoint, Strace};
use postern_lab::kills::{acceptances, repeated};
use postern_lab::{Daemon, Device, DeviceFolder, DeviceSettings, Fleet, Revision, config, wait};
use serde_json::Value;

/// What an end does at each of its starts. Arbitrary: enough for some commits of each kind.
const ROUNDS: u32 = 3;
/// Looks until what one round waits for is given up: the next start brings it.
const LOOKS_MAX: u32 = 500;
/// The exit code for stores.
const STORE: i32 = 7;
/// The exit code of a relay whose audit cannot be written.
const AUDIT: i32 = 1;
/// The exit code of the loader.
const LOADER: i32 = 127;
const KILL: i32 = 9;

/// Calls before which an end is killed.
const KILLED: [&str; 8] = [
    "pwrite64",
    "fdatasync",
    "write",
    "sendto",
    "sendmsg",
    "rename",
    "fsync",
    "ftruncate",
];
/// Calls of the store alone, and how they fail.
const FAILED: [(&str, &str); 5] = [
    ("fdatasync", "EIO"),
    ("pwrite64", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("ftruncate", "ENOSPC"),
    ("pread64", "EIO"),
];

/// What a run of `./test` tries of all failpoints.
struct Sample {
    /// Of how many failpoints of a kind one.
    every: u32,
    /// The first of a kind; kinds that follow begin later.
    first: u32,
    most: usize,
    /// Calls that the end is known to make.
    kills: &'static [&'static str],
    failures: &'static [(&'static str, &'static str)],
}

/// For ends that are back at work in a moment.
const BROAD: Sample = Sample {
    every: 17,
    first: 1,
    most: 4,
    kills: &KILLED,
    failures: &FAILED,
};

/// What is tried at one end.
trait Victim {
    const NAME: &str;
    /// How often it works at each start.
    const ROUNDS: u32;
    const SAMPLE: Sample;

    fn daemon(&mut self) -> &mut Daemon;
    /// Works one round with an end that may end any time; remembers what was acknowledged.
    fn work(&mut self);
    /// Looks for everything that was acknowledged; the end runs.
    fn check(&mut self, after: Failpoint);
}

/// Strikes an end at calls of every kind; returns how many times it was struck.
fn strike_all<V: Victim>(strace: &Strace, victim: &mut V) -> u32 {
    let sample = V::SAMPLE;
    let every = config::failpoints_every(sample.every);
    // Asked for more: the sample is no limit.
    let (first, most, kills, failures) = if every == sample.every {
        (sample.first, sample.most, sample.kills, sample.failures)
    } else {
        (1, usize::MAX, &KILLED[..], &FAILED[..])
    };
    let kills = kills.iter().map(|call| (*call, Blow::Kill));
    let failures = failures
        .iter()
        .map(|(call, error)| (*call, Blow::Error(error)));
    let mut struck = 0;
    for (index, (call, blow)) in (0..).zip(kills.chain(failures)) {
        let first = first + index % every.min(5);
        let mut here = 0;
        for nth in (first..)
            .step_by(usize::try_from(every).unwrap())
            .take(most)
        {
            if !strike(strace, victim, Failpoint { call, nth, blow }) {
                break;
            }
            here += 1;
        }
        println!("{} {call} {blow:?}: struck {here} times", V::NAME);
        struck += here;
    }
    struck
}

/// Starts an end that is struck, and then looks for what it had acknowledged; returns whether it was struck.
fn strike<V: Victim>(strace: &Strace, victim: &mut V, failpoint: Failpoint) -> bool {
    let log_before = victim.daemon().log().len();
    victim.daemon().launch_at(strace, failpoint).unwrap();
    for _ in 0..V::ROUNDS {
        if victim.daemon().poll_end().unwrap().is_none() {
            victim.work();
        }
    }
    let status = match victim.daemon().poll_end().unwrap() {
        Some(status) => status,
        None => victim.daemon().terminate().unwrap().unwrap(),
    };
    let struck = victim.daemon().was_struck();
    let log = victim.daemon().log();
    check_end(struck, failpoint, status, log.get(log_before..).unwrap());
    victim.daemon().start().unwrap();
    victim.check(failpoint);
    struck
}

fn check_end(struck: bool, failpoint: Failpoint, status: ExitStatus, said: &str) {
    match failpoint.blow {
        Blow::Kill if struck => assert_eq!(
            status.signal(),
            Some(KILL),
            "{failpoint:?}: {status}\n{said}"
        ),
        // The first reads are those of the machine's loader: there was no end yet.
        Blow::Error(_) if struck && said.contains("loading shared libraries") => {
            assert_eq!(status.code(), Some(LOADER), "{failpoint:?}: {status}");
        }
        Blow::Error(_) if struck => {
            let mut errors = said.lines().filter(|line| line.starts_with("error: "));
            let error = errors.next().unwrap_or_default();
            // A relay's audit is a file of its own beside the store.
            let (file, code) = match error.contains("audit.log: ") {
                true => ("audit.log: ", AUDIT),
                false => (".redb: ", STORE),
            };
            let is_told = error.contains(file) && said.contains("next: ");
            assert!(is_told, "{failpoint:?}: {said}");
            assert_eq!(status.code(), Some(code), "{failpoint:?}: {status}\n{said}");
        }
        Blow::Kill | Blow::Error(_) => assert!(status.success(), "{failpoint:?}: {status}\n{said}"),
    }
}

/// Waits for something that the end of a process may keep from coming.
fn wait_while(daemon: &mut Daemon, mut found: impl FnMut() -> bool) {
    let waited = wait::until_tries("progress", LOOKS_MAX, || {
        let ended = daemon.poll_end()?.is_some();
        Ok((ended || found()).then_some(()))
    });
    drop(waited);
}

/// Waits until a new start answers; it may end before.
fn wait_until_there(daemon: &mut Daemon, folder: &DeviceFolder) {
    wait_while(daemon, || folder.ask("GET", "/v1/status", "").is_ok());
}

/// A controller that decides; its acknowledgement is what the operator reads.
struct Deciding {
    fleet: Fleet,
    controller: Daemon,
    tried: u64,
    acknowledged: Option<(u64, Revision)>,
}

impl Deciding {
    fn decide(&mut self) -> bool {
        let value = self.tried + 1;
        let decided = self.fleet.set("hall-1", "load/value", &value.to_string());
        if let Ok(revision) = decided {
            let later = self.acknowledged.is_none_or(|(_, last)| revision > last);
            assert!(later, "a decision went backwards: {revision:?}");
            self.acknowledged = Some((value, revision));
            self.tried = value;
            return true;
        }
        false
    }
}

impl Victim for Deciding {
    const NAME: &str = "controller";
    const ROUNDS: u32 = ROUNDS;
    const SAMPLE: Sample = BROAD;

    fn daemon(&mut self) -> &mut Daemon {
        &mut self.controller
    }

    fn work(&mut self) {
        let socket = self.fleet.controller_dir().join("controller.sock");
        wait_while(&mut self.controller, || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
        if !self.decide() {
            // It may have been stored, and the answer lost.
            self.tried += 1;
        }
    }

    fn check(&mut self, after: Failpoint) {
        let Some((last, _)) = self.acknowledged else {
            return;
        };
        let got = self.fleet.must(&["desired", "get", "hall-1", "load/value"]);
        let got: u64 = got.unwrap().trim().parse().unwrap();
        assert!(
            (last..=self.tried).contains(&got),
            "{after:?}: {got}, acknowledged {last}"
        );
    }
}

/// A device that accepts and writes; it acknowledges to its application, and to the controller by what it reports.
struct Holding {
    fleet: Fleet,
    device: Device,
    decided: u64,
    written: u64,
    tried: u64,
}

impl Holding {
    /// What the controller knows that the device applied.
    fn reported(&self) -> Option<Revision> {
        let status = self.fleet.status("hall-1").unwrap();
        status.get("applied").and_then(Revision::of)
    }
}

impl Victim for Holding {
    const NAME: &str = "device";
    const ROUNDS: u32 = ROUNDS;
    const SAMPLE: Sample = BROAD;

    fn daemon(&mut self) -> &mut Daemon {
        &mut self.device.daemon
    }

    fn work(&mut self) {
        self.decided += 1;
        let value = self.decided.to_string();
        let decided = self.fleet.set("hall-1", "load/value", &value).unwrap();
        let folder = self.device.folder.clone();
        wait_until_there(&mut self.device.daemon, &folder);
        self.tried += 1;
        let written = folder.ask("PUT", "/v1/actual/load/written", &self.tried.to_string());
        if written.is_ok_and(|answer| answer.status == 200) {
            self.written = self.tried;
        }
        wait_while(&mut self.device.daemon, || {
            folder
                .revision("applied")
                .is_some_and(|applied| applied >= decided)
        });
    }

    fn check(&mut self, after: Failpoint) {
        let reported = self.reported();
        let folder = self.device.folder.clone();
        wait_until_there(&mut self.device.daemon, &folder);
        assert!(
            folder.revision("applied") >= reported,
            "{after:?}: {reported:?} was reported"
        );
        let actual = folder.ask("GET", "/v1/actual", "").unwrap().json();
        let got = actual
            .pointer("/values/load~1written")
            .and_then(Value::as_u64);
        let got = got.unwrap_or_default();
        assert!(
            (self.written..=self.tried).contains(&got),
            "{after:?}: {got}, acknowledged {}\n{actual}",
            self.written
        );
    }
}

/// Checks that a device went forward only and accepted each revision once.
fn check_once(device: &Device) {
    let accepted = acceptances(&device.daemon.log());
    assert!(!accepted.is_empty(), "the log names what was accepted");
    assert!(accepted.is_sorted(), "{accepted:?}");
    assert!(repeated(&accepted).is_empty(), "{:?}", repeated(&accepted));
}

#[test]
fn controller_struck_at_any_call_loses_no_decision_that_it_acknowledged() {
    let Some(strace) = Strace::find_or_skip("failpoints").unwrap() else {
        return;
    };
    let Some(mut fleet) = Fleet::start_or_skip("failpoints", "localhost").unwrap() else {
        return;
    };
    let mut device = fleet.device("hall-1", &DeviceSettings::direct()).unwrap();
    device.daemon.start().unwrap();
    let controller = fleet.take_controller();
    let (tried, acknowledged) = (0, None);
    let mut victim = Deciding {
        fleet,
        controller,
        tried,
        acknowledged,
    };
    let struck = strike_all(&strace, &mut victim);
    assert!(victim.decide(), "it works at the end");
    let (_, last) = victim.acknowledged.unwrap();
    device.wait_applied(last).unwrap();
    check_once(&device);
    println!(
        "controller: struck {struck} times, {} decisions, 0 acknowledged lost",
        victim.tried
    );
    assert!(struck > 10);
}

#[test]
fn device_struck_at_any_call_loses_nothing_that_it_acknowledged() {
    let Some(strace) = Strace::find_or_skip("failpoints").unwrap() else {
        return;
    };
    let Some(fleet) = Fleet::start_or_skip("failpoints", "localhost").unwrap() else {
        return;
    };
    let mut device = fleet.device("hall-1", &DeviceSettings::direct()).unwrap();
    device.daemon.start().unwrap();
    let (decided, written, tried) = (0, 0, 0);
    let mut victim = Holding {
        fleet,
        device,
        decided,
        written,
        tried,
    };
    let struck = strike_all(&strace, &mut victim);
    victim.fleet.wait_converged("hall-1").unwrap();
    check_once(&victim.device);
    println!(
        "device: struck {struck} times, {} writes, 0 acknowledged lost",
        victim.tried
    );
    assert!(struck > 10);
}
