//! `kill -9` while one relay goes on where another stood: of the process before, or of the next one, at named calls; and
//! calls of their store that fail meanwhile.
//!
//! Calls count from the moment at which the upgrade is asked for. Whoever is left serves, or nobody does and the relay is
//! started again: nothing that either end acknowledged is lost.

use postern_lab::failpoint::{Blow, Failpoint, Strace};
use postern_lab::{config, wait};

use super::carrying::Carrying;
use super::{LOOKS_MAX, check_once};

/// Calls of either process during a handover; the sockets go by one message.
const KILLED: [&str; 6] = [
    "sendmsg",
    "recvmsg",
    "fdatasync",
    "pwrite64",
    "write",
    "execve",
];
/// Calls of a store that fail during a handover, as of a bad or a full disk.
const FAILED: [(&str, &str); 4] = [
    ("fdatasync", "EIO"),
    ("pwrite64", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("pread64", "EIO"),
];
/// What a run of `./test` strikes.
const SAMPLE: [(&str, Blow, u32); 5] = [
    ("sendmsg", Blow::Kill, 1),
    ("recvmsg", Blow::Kill, 1),
    ("fdatasync", Blow::Kill, 4),
    ("write", Blow::Kill, 2),
    ("pwrite64", Blow::Error("ENOSPC"), 1),
];

/// Upgrades a relay that is struck meanwhile; returns whether it was.
fn strike(strace: &Strace, carrying: &mut Carrying, failpoint: Failpoint) -> bool {
    let pid = carrying.relay.daemon.pid().unwrap();
    let folder = carrying.fleet.path().to_owned();
    let log = folder.join("handover.failpoint");
    // Only this handover counts; there may be no earlier file.
    drop(std::fs::remove_file(&log));
    drop(std::fs::remove_file(folder.join("strace.err")));
    let tracer = strace.attach(pid, failpoint, &log, &folder).unwrap();
    carrying.send();
    // Who is killed cannot answer: how it ended is not asked.
    drop(carrying.relay.upgrade().unwrap());
    let arrived = wait::until_tries("both ends", LOOKS_MAX, || {
        let done = carrying.is_everything_there() || carrying.relay.serving_pid().is_none();
        Ok(done.then_some(()))
    });
    drop(arrived);
    let struck = Strace::has_struck(&log);
    let serving = carrying.relay.serving_pid();
    carrying.relay.daemon.kill_9().unwrap();
    if let Some(successor) = serving.filter(|serving| *serving != pid) {
        carrying.relay.end_successor(successor).unwrap();
    }
    drop(tracer);
    assert!(struck || serving.is_some(), "{failpoint:?}: nobody serves");
    carrying.relay.daemon.start().unwrap();
    carrying.wait_for_everything(&failpoint);
    struck
}

/// Strikes at the calls of the sample, or at every so many of each kind.
fn strike_all(strace: &Strace, carrying: &mut Carrying) -> u32 {
    let every = config::failpoints_every(u32::MAX);
    if every == u32::MAX {
        let struck =
            SAMPLE.map(|(call, blow, nth)| strike(strace, carrying, Failpoint { call, nth, blow }));
        println!("handover {SAMPLE:?}: struck {struck:?}");
        return struck.into_iter().map(u32::from).sum();
    }
    let mut struck = 0;
    let kills = KILLED.map(|call| (call, Blow::Kill));
    let failures = FAILED.map(|(call, error)| (call, Blow::Error(error)));
    for (call, blow) in kills.into_iter().chain(failures) {
        let mut here = 0;
        for nth in (1..).step_by(usize::try_from(every).unwrap()) {
            if !strike(strace, carrying, Failpoint { call, nth, blow }) {
                break;
            }
            here += 1;
        }
        println!("handover {call} {blow:?}: struck {here} times");
        struck += here;
    }
    struck
}

#[test]
fn relay_struck_while_it_is_replaced_keeps_nothing_from_either_end() {
    let Some(strace) = Strace::find_or_skip("failpoints").unwrap() else {
        return;
    };
    let Some(mut carrying) = Carrying::start_or_skip("failpoints") else {
        return;
    };
    let (usual, short) = ("# stop_within_s = 10", "stop_within_s = 1");
    carrying.relay.configure(usual, short).unwrap();
    carrying.relay.daemon.start().unwrap();
    let struck = strike_all(&strace, &mut carrying);
    carrying.fleet.wait_converged("hall-1").unwrap();
    check_once(&carrying.device);
    let number = carrying.number;
    println!("handover: struck {struck} times, {number} values each way, 0 lost");
    assert!(struck > 1);
}
