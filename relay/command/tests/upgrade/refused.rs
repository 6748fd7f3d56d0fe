//! Programs that cannot go on: the old one serves, with its sessions where nothing was handed over.
//!
//! Shell scripts stand for programs of another kind. Refuses to believe a command's word alone: who
//! serves is asked afterwards.

use super::fleet::{Controller, Device, Site as Fleet};
use super::{Replaceable, SEED, command};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Tries an upgrade that is refused for this reason, and expects the old process to serve on.
fn check(spoil: impl FnOnce(&Replaceable), words: &str) {
    let place = Replaceable::make();
    let _running = place.start();
    let pid = place.pid();
    spoil(&place);
    let refused = place.site.ask(&["upgrade"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains(words), "{words}: {refused:?}");
    let status = place.status();
    assert_eq!(status["pid"], pid);
    assert_eq!(status["is_ready"], true, "{status}");
    assert!(status["drain"].is_null(), "{status}");
    let audit = place.site.ask(&["audit", "--json"]).json();
    let last = audit["lines"].as_array().expect("lines").last().cloned();
    let last = last.expect("a line");
    assert_eq!(
        (&last["op"], &last["outcome"]),
        (&"upgrade".into(), &"refused".into())
    );
    assert_eq!(place.site.ask(&["audit", "--verify"]).code, 0);
}

#[test]
fn program_that_cannot_be_started_changes_nothing() {
    let missing = |place: &Replaceable| {
        std::fs::remove_file(&place.program).expect("removed");
    };
    check(missing, "the program cannot be started anew");
}

#[test]
fn program_that_ends_before_it_is_ready_changes_nothing() {
    check(
        |place| place.put_script("#!/bin/sh\nexit 1\n"),
        "it went away",
    );
}

#[test]
fn program_that_hands_over_in_another_way_changes_nothing() {
    let other = "#!/bin/sh\nprintf 'ready 2\\n' >&0\nread line\n";
    check(|place| place.put_script(other), "hands over in another way");
}

#[test]
fn configuration_that_the_next_process_refuses_changes_nothing() {
    let unknown = |place: &Replaceable| place.site.edit("# within_s = 120", "gracious_s = 1");
    check(unknown, "`drain.gracious_s` is no key");
    let key = |place: &Replaceable| {
        std::fs::write(place.site.dir().join("mailbox.key"), "no key").expect("written");
    };
    check(key, "mailbox.key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn program_that_dies_after_the_handover_is_followed_by_the_old_one() {
    let place = Replaceable::make();
    let running = place.start();
    let pid = place.pid();
    let fleet = Fleet::new(&place.site.dir(), place.site.listen, SEED);
    let mut controller = Controller::greet(&fleet).await;
    let mut device = Device::new(&fleet, 1);
    controller.admit(&fleet, &device).await;
    device.greet(&fleet, 1).await;
    device.post(&fleet).await;
    place.put_script("#!/bin/sh\nprintf 'ready 1\\n' >&0\nhead -c 1 > /dev/null\nexit 1\n");
    let failed = tokio::task::block_in_place(|| place.site.ask(&["upgrade"]));
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.err.contains("was given up"), "{failed:?}");
    assert_eq!(place.pid(), pid);
    // What the lost program may have answered in is no session any more; what it held is there.
    device.greet(&fleet, 2).await;
    device.post(&fleet).await;
    let mut controller = Controller::greet(&fleet).await;
    while controller.collect(&fleet, 0).await > 0 {}
    assert_eq!(controller.collected[&device.channel.id()].len(), 2);
    assert_eq!(place.site.ask(&["audit", "--verify"]).code, 0);
    // And it can be upgraded afterwards.
    place.put(std::path::Path::new(env!("CARGO_BIN_EXE_postern-relay")));
    let upgraded = tokio::task::block_in_place(|| place.site.ask(&["upgrade"]));
    assert_eq!(upgraded.code, 0, "{upgraded:?}");
    let _orphan = super::Orphan(place.pid());
    assert_ne!(place.pid(), pid);
    drop(running);
}

#[test]
fn take_over_without_a_predecessor_is_refused() {
    let place = Replaceable::make();
    let dir = place.site.dir();
    let output = command(&["run", "--take-over", "--dir"])
        .arg(&dir)
        .stdin(Stdio::null())
        .output()
        .expect("ended");
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("there is nobody to take over from"), "{err}");
}

#[test]
fn service_manager_is_told_who_goes_on() {
    let place = Replaceable::make();
    let path = place.site.dir().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let wait = Some(Duration::from_secs(60));
    socket.set_read_timeout(wait).expect("a timeout");
    let mut run = Command::new(&place.program);
    run.args(["run", "--log-format", "json"])
        .env("NOTIFY_SOCKET", &path)
        .env_remove("WATCHDOG_USEC");
    let mut running = place.site.start_with(&mut run);
    let next = || {
        let mut buffer = [0; 256];
        let bytes = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..bytes]).into_owned()
    };
    assert_eq!(next(), "READY=1");
    let upgraded = place.site.ask(&["upgrade"]);
    assert_eq!(upgraded.code, 0, "{upgraded:?}");
    let pid = place.pid();
    let _orphan = super::Orphan(pid);
    assert_eq!(next(), "RELOADING=1");
    loop {
        let told = next();
        if told != "WATCHDOG=1" {
            assert_eq!(told, format!("MAINPID={pid}\nREADY=1"));
            break;
        }
    }
    // Only the one that it knows speaks to it.
    assert_eq!(next(), "READY=1");
    assert_eq!(running.end(), Some(0));
    assert!(place.site.dir().join("relay.sock").exists());
}
