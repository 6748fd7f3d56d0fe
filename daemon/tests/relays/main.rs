//! A relay between a controller and devices that all only dial out, with the real binary.
//!
//! Refuses to look inside a process: what its operator would see has to be enough.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "tests: a failure should end them where it happened; site.rs is a module of this test alone"
)]

mod gate;
mod site;

use serde_json::Value as Json;
use site::Site;

/// Seconds that a command waits for a device. Generous: a failed wait is the end of a test.
const WAIT: &str = "--wait 60";

fn rendered(site: &Site, device: &str, path: &str) -> Option<String> {
    let file = site
        .folder
        .path()
        .join(device)
        .join("desired/current")
        .join(path);
    std::fs::read_to_string(file).ok()
}

/// Decides a value and waits until the device applied it.
fn set(site: &Site, device: &str, value: u32) {
    site.must(&format!(
        "desired set {device} fan/speed {value} --dir c {WAIT}"
    ));
    let file = rendered(site, device, "fan/speed");
    assert_eq!(file, Some(value.to_string()));
}

fn status(site: &Site, device: &str) -> Json {
    let text = site.must(&format!("status {device} --json --dir c"));
    let status: Json = serde_json::from_str(&text).unwrap();
    status["devices"][0].clone()
}

#[test]
fn controller_without_a_listener_and_device_meet_at_a_relay() {
    let mut site = Site::start("--no-listen");
    site.join("hall-1");
    set(&site, "hall-1", 3);
    set(&site, "hall-1", 4);
    let status = status(&site, "hall-1");
    assert_eq!(
        status["desired"]["digest"], status["applied_digest"],
        "{status}"
    );
    assert_eq!(status["rejects"], serde_json::json!([]), "{status}");
    let metrics = site.must("controller metrics --dir c");
    for line in [
        "postern_push_seconds_count{stage=\"accepted\"} 2",
        "postern_push_seconds_count{stage=\"applied\"} 2",
        "postern_push_waiting 0",
        "postern_push_unmeasured_total 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }
}

#[test]
fn relay_that_restarts_or_loses_its_store_is_reached_and_filled_again() {
    let mut site = Site::start("--no-listen");
    site.join("hall-1");
    site.join("hall-2");
    set(&site, "hall-1", 1);
    let before = site.relay().stats().epoch;
    site.stop_relay();
    site.start_relay("relay.redb");
    set(&site, "hall-1", 2);
    assert_eq!(site.relay().stats().epoch, before);
    site.stop_relay();
    site.start_relay("another.redb");
    set(&site, "hall-2", 3);
    set(&site, "hall-1", 4);
    assert_ne!(site.relay().stats().epoch, before);
}

#[test]
fn device_that_was_off_finds_at_the_relay_what_it_missed_without_its_controller() {
    let mut site = Site::start("--no-listen");
    site.join("hall-1");
    set(&site, "hall-1", 1);
    site.kill("hall-1");
    for value in 2..6 {
        site.must(&format!("desired set hall-1 fan/speed {value} --dir c"));
    }
    site.wait("the relay holds the newest decision", |site| {
        let desired = status(site, "hall-1")["desired"]["seq"].as_u64();
        let held = site.relay().mailboxes()[0]
            .desired
            .map(|head| head.seq.number());
        desired.is_some() && desired == held
    });
    site.kill("controller");
    site.run("hall-1", "device run --dir hall-1", "applied");
    assert_eq!(rendered(&site, "hall-1", "fan/speed").as_deref(), Some("5"));
}

#[test]
fn controller_that_restarts_takes_up_what_devices_posted_meanwhile() {
    let mut site = Site::start("--no-listen");
    site.join("hall-1");
    set(&site, "hall-1", 1);
    site.kill("controller");
    site.put_actual("hall-1", "/v1/actual/fan/rpm", "900");
    site.run("controller", "controller run --dir c", "controller ready");
    site.wait("the actual state arrives", |site| {
        let got = site.ask("actual get hall-1 fan/rpm --dir c");
        String::from_utf8_lossy(&got.stdout).trim() == "900"
    });
    set(&site, "hall-1", 2);
}

#[test]
fn device_whose_way_to_the_controller_is_cut_goes_on_by_the_relay() {
    let mut site = Site::behind_a_gate();
    site.join("hall-1");
    set(&site, "hall-1", 1);
    site.close_gate();
    set(&site, "hall-1", 2);
    assert!(site.relay().stats().sessions >= 2, "writer and device");
}

#[test]
fn device_that_its_controller_refuses_is_told_so_by_the_relay() {
    let mut site = Site::start("--no-listen");
    let line = site.join("hall-1");
    // The invitation is used up: that is said at once, as the controller would say it itself.
    let refused = site.join_refused("copy", &line);
    assert!(refused.contains("token-used"), "{refused}");
    assert!(!refused.contains("asking again"), "{refused}");
    assert_eq!(site.relay().stats().knocks, 0);
    // And who is invited is enrolled all the same.
    site.join("hall-2");
    set(&site, "hall-2", 1);
}

//= spec/postern.md#answer type=test
//# A device that is told to move SHOULD begin a session there at once, and go on to other mailboxes
//# when that fails.
#[test]
fn device_of_a_relay_that_drains_goes_to_the_other_one() {
    let mut site = Site::start("--no-listen");
    site.join("hall-1");
    site.add_second_relay();
    set(&site, "hall-1", 1);
    site.wait("both relays know each other", |site| {
        let numbers = [site.relay(), site.second()].map(|relay| relay.stats().bundle.number());
        numbers[0] > 1 && numbers[0] == numbers[1]
    });
    assert_eq!(site.second().stats().sessions, 1, "the controller");
    // Held back for an hour, but for the hint to move.
    site.relay().set_leaving(Some(3_600_000), true);
    site.wait("the device is at the other relay", |site| {
        site.relay().mailbox().release(usize::MAX);
        site.second().stats().sessions >= 2
    });
    set(&site, "hall-1", 2);
}

#[test]
fn removed_device_is_refused_by_the_relay() {
    let mut site = Site::start("--no-listen");
    site.join("hall-1");
    set(&site, "hall-1", 1);
    site.must("controller remove hall-1 --dir c");
    site.wait("the relay hears of it", |site| {
        site.relay().mailboxes()[0].is_withdrawn
    });
    site.kill("hall-1");
    site.run("hall-1", "device run --dir hall-1", "not-admitted");
}

#[test]
fn relay_that_no_bundle_names_gets_nothing() {
    let mut site = Site::start("--no-listen");
    site.join("hall-1");
    set(&site, "hall-1", 1);
    let listed: Json =
        serde_json::from_str(&site.must("controller relay list --json --dir c")).unwrap();
    let relay = listed["mailboxes"][0]["thumbprint"]
        .as_str()
        .unwrap()
        .to_owned();
    site.must(&format!("controller relay remove {relay} --dir c"));
    let refused = site.ask("controller invite hall-2 --dir c");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("controller relay add"), "{said}");
    site.must("desired set hall-1 fan/speed 2 --dir c");
    site.wait("the link is gone", |site| {
        let shown = site.must("controller relay list --json --dir c");
        let shown: Json = serde_json::from_str(&shown).unwrap();
        shown["mailboxes"] == serde_json::json!([])
    });
    let held = site.relay().mailboxes()[0]
        .desired
        .map(|head| head.seq.number());
    assert_eq!(
        held,
        status(&site, "hall-1")["desired"]["seq"]
            .as_u64()
            .map(|seq| seq - 1)
    );
}
