//! Ends whose store cannot be closed in order: nothing is lost by that, and the disk wants to be looked at.
//!
//! The ends are at rest, so the first write after the order to end is that of closing.

use postern_lab::failpoint::{Blow, Failpoint, Strace};
use postern_lab::{Daemon, Fleet};

use super::STORE;
use super::carrying::Carrying;

/// Lets the disk fail under an end at rest, and ends it in order.
fn check(strace: &Strace, fleet: &Fleet, name: &str, daemon: &mut Daemon) {
    let failpoint = Failpoint {
        call: "pwrite64",
        nth: 1,
        blow: Blow::Error("EIO"),
    };
    let folder = fleet.path();
    let log = folder.join(format!("{name}.closing"));
    drop(std::fs::remove_file(folder.join("strace.err")));
    let pid = daemon.pid().unwrap();
    let tracer = strace.attach(pid, failpoint, &log, folder).unwrap();
    let before = daemon.log().len();
    let status = daemon.terminate().unwrap().unwrap();
    drop(tracer);
    let log = daemon.log();
    let said = log.get(before..).unwrap();
    assert_eq!(status.code(), Some(STORE), "{name}: {said}");
    let named = said.contains(".redb: cannot c") && said.contains("(os error 5)");
    assert!(named, "{name}: {said}");
    daemon.start().unwrap();
}

#[test]
fn end_whose_store_cannot_close_says_so_and_starts_again() {
    let Some(strace) = Strace::find_or_skip("failpoints").unwrap() else {
        return;
    };
    let Some(mut carrying) = Carrying::start_or_skip("failpoints") else {
        return;
    };
    carrying.send();
    carrying.wait_for_everything(&"the first");
    let mut controller = carrying.fleet.take_controller();
    check(
        &strace,
        &carrying.fleet,
        "relay",
        &mut carrying.relay.daemon,
    );
    check(
        &strace,
        &carrying.fleet,
        "device",
        &mut carrying.device.daemon,
    );
    check(&strace, &carrying.fleet, "controller", &mut controller);
    carrying.send();
    carrying.wait_for_everything(&"all");
}
