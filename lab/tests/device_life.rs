//! A device from its first write to its end: acknowledged by the controller, fresh, with a new key, and gone.
//!
//! Everything is done by the commands that an operator has, and seen in `postern device status`.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should end the test where it happened"
)]

use postern_lab::{Device, DeviceSettings, Fleet, wait};
use serde_json::{Value, json};

fn scene(scenario: &str) -> Option<(Fleet, Device)> {
    let fleet = Fleet::start_or_skip(scenario, "localhost").unwrap()?;
    let mut device = fleet.device("hall-1", &DeviceSettings::direct()).unwrap();
    device.daemon.start().unwrap();
    device
        .wait_applied(fleet.set("hall-1", "fan/speed", "3").unwrap())
        .unwrap();
    Some((fleet, device))
}

fn on_device(fleet: &Fleet, device: &Device, arguments: &[&str]) -> String {
    let finished = fleet.on_device(device, arguments).unwrap();
    assert!(
        finished.status.success(),
        "{arguments:?}: {}",
        finished.stderr
    );
    finished.stdout
}

/// Waits until the running device says something of itself.
fn wait_status(device: &mut Device, what: &str, found: impl Fn(&Value) -> bool) {
    let waited = device.wait_for(what, |folder| {
        let status = folder.ask("GET", "/v1/status", "").ok()?.json();
        found(&status).then_some(())
    });
    waited.unwrap();
}

#[test]
fn device_writes_and_is_fresh_once_the_controller_signed_it() {
    let Some((_fleet, mut device)) = scene("actual and freshness") else {
        return;
    };
    let written = device
        .folder
        .ask("PUT", "/v1/actual/fan/rpm", "1480")
        .unwrap();
    assert_eq!(written.status, 200, "{}", written.body);
    let revision = written.json()["revision"].clone();
    wait_status(&mut device, "the acknowledgement", |status| {
        status["actual_acknowledged"] == revision
    });
    wait_status(&mut device, "freshness", |status| {
        status["stale"] == json!(false) && status["age_ms"].is_u64()
    });
}

#[test]
fn device_goes_on_with_the_key_that_the_controller_confirmed() {
    let Some((fleet, mut device)) = scene("rotate-key") else {
        return;
    };
    let key = device.folder.path().join("device.key");
    let before = std::fs::read_to_string(&key).unwrap();
    on_device(
        &fleet,
        &device,
        &["device", "rotate-key", "--key-type", "p256"],
    );
    let confirmed = device.wait_for("the confirmation", |folder| {
        (!folder.path().join("device.key.next").exists()).then_some(())
    });
    confirmed.unwrap();
    let after = std::fs::read_to_string(&key).unwrap();
    assert_ne!(before, after);
    assert!(after.contains(" esp256"));
    device
        .wait_applied(fleet.set("hall-1", "fan/speed", "4").unwrap())
        .unwrap();
    device.daemon.kill_9().unwrap();
    device.daemon.start().unwrap();
    device
        .wait_applied(fleet.set("hall-1", "fan/speed", "5").unwrap())
        .unwrap();
    // The former key says nothing any more.
    device.daemon.terminate().unwrap();
    device.folder.write("device.key", before).unwrap();
    let (status, text) = device.daemon.start_refused().unwrap();
    assert_eq!(status.code(), Some(3), "{text}");
    assert!(
        text.contains("not the key that the controller confirmed"),
        "{text}"
    );
}

#[test]
fn device_that_left_is_refused_until_it_joins_again() {
    let Some((fleet, mut device)) = scene("leave") else {
        return;
    };
    on_device(&fleet, &device, &["device", "leave"]);
    let left = device.folder.path().join("left");
    // The process ends by itself.
    wait::until("the end", || Ok(left.exists().then_some(()))).unwrap();
    let (status, text) = device.daemon.start_refused().unwrap();
    assert_eq!(status.code(), Some(3), "{text}");
    assert!(text.contains("has left its controller"), "{text}");
    on_device(&fleet, &device, &["device", "reset", "--yes"]);
    let line = fleet.invite("hall-1").unwrap();
    let joined = fleet.join(&device, &line).unwrap();
    assert!(joined.status.success(), "{}", joined.stderr);
    device.daemon.start().unwrap();
    let revision = fleet.set("hall-1", "fan/speed", "6").unwrap();
    device.wait_applied(revision).unwrap();
}

/// What is decided after a revocation is for the life that ended: the next one begins without it.
#[test]
fn decision_for_a_revoked_device_is_not_in_the_way_of_its_next_life() {
    let Some((fleet, mut device)) = scene("revoked") else {
        return;
    };
    let key = fleet.status("hall-1").unwrap()["key"].clone();
    fleet
        .must(&["controller", "revoke", key.as_str().unwrap()])
        .unwrap();
    let shown = fleet.must(&["status", "hall-1"]).unwrap();
    assert!(shown.contains("revoked"), "{shown}");
    fleet.set("hall-1", "fan/speed", "4").unwrap();
    device.daemon.kill_9().unwrap();
    on_device(&fleet, &device, &["device", "reset", "--yes"]);
    let line = fleet.invite("hall-1").unwrap();
    let joined = fleet.join(&device, &line).unwrap();
    assert!(joined.status.success(), "{}", joined.stderr);
    device.daemon.start().unwrap();
    let status = fleet.wait_converged("hall-1").unwrap();
    assert_ne!(status["key"], key);
    assert_eq!(status["revoked"], false, "{status:#}");
    let revision = fleet.set("hall-1", "fan/speed", "5").unwrap();
    device.wait_applied(revision).unwrap();
}
