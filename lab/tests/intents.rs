//! Intents with a command: once for each increase, and after `kill -9` what `delivery` promises.
//!
//! The command keeps a line for each run and waits while a file `hold` stands.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should end the test where it happened"
)]

use postern_lab::{Device, DeviceSettings, Fleet};
use serde_json::{Value, json};

const SCRIPT: &str = "#!/bin/sh
echo \"$POSTERN_INTENT $POSTERN_VALUE $(cat)\" >> \"$0.calls\"
while [ -e \"$0.hold\" ]; do sleep 0.02; done
echo done
";

fn scene(scenario: &str, delivery: &str) -> Option<(Fleet, Device)> {
    let fleet = Fleet::start_or_skip(scenario, "localhost").unwrap()?;
    let script = fleet.path().join("restart");
    std::fs::write(&script, SCRIPT).unwrap();
    let command = json!(["/bin/sh", script.to_string_lossy()]);
    let tables = format!("[intents.restart]\ncommand = {command}\ndelivery = \"{delivery}\"\n");
    let settings = DeviceSettings::direct().with_tables(&tables);
    let mut device = fleet.device("hall-1", &settings).unwrap();
    device.daemon.start().unwrap();
    // The first snapshot records; whatever rises afterwards fires.
    device
        .wait_applied(fleet.set("hall-1", "fan/speed", "3").unwrap())
        .unwrap();
    Some((fleet, device))
}

fn calls(fleet: &Fleet) -> Vec<String> {
    let text = std::fs::read_to_string(fleet.path().join("restart.calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn wait_calls(fleet: &Fleet, device: &mut Device, count: usize) {
    let waited = device.wait_for("the command", |_folder| {
        (calls(fleet).len() >= count).then_some(())
    });
    waited.unwrap();
}

/// Waits until the intent is done, and returns what the device shows of it.
fn wait_done(device: &mut Device, value: u64) -> Value {
    let found = device.wait_for("the end of the intent", |folder| {
        let intents = folder.ask("GET", "/v1/intents", "").ok()?.json();
        let intent = intents.get("intents")?.as_array()?.first()?.clone();
        (intent.get("done")?.as_u64()? == value).then_some(intent)
    });
    found.unwrap()
}

#[test]
fn intent_runs_its_command_once_for_each_increase() {
    let Some((fleet, mut device)) = scene("intents", "at-most-once") else {
        return;
    };
    fleet.set("hall-1", "intent/restart", "1").unwrap();
    let shown = wait_done(&mut device, 1);
    assert_eq!(shown["by"], json!("command"));
    fleet.set("hall-1", "fan/speed", "4").unwrap();
    // Several increases that are seen together are one action.
    fleet.set("hall-1", "intent/restart", "5").unwrap();
    wait_done(&mut device, 5);
    let lower = fleet.set("hall-1", "intent/restart", "2").unwrap();
    device.wait_applied(lower).unwrap();
    device.daemon.kill_9().unwrap();
    device.daemon.start().unwrap();
    wait_done(&mut device, 5);
    let told = [
        "restart 1 {\"intent\":\"restart\",\"is_retry\":false,\"value\":1}",
        "restart 5 {\"intent\":\"restart\",\"is_retry\":false,\"value\":5}",
    ];
    assert_eq!(calls(&fleet), told);
    let actual = device
        .folder
        .ask("GET", "/v1/actual/intent", "")
        .unwrap()
        .json();
    assert_eq!(actual["values"], json!({ "intent/restart": 5 }));
    assert!(
        !device.folder.rendered_file("intent").exists(),
        "intents are no files"
    );
}

#[test]
fn intent_interrupted_by_a_kill_keeps_the_promise_of_its_delivery() {
    for (delivery, runs) in [("at-most-once", 1), ("at-least-once", 2)] {
        let Some((fleet, mut device)) = scene(delivery, delivery) else {
            return;
        };
        let hold = fleet.path().join("restart.hold");
        std::fs::write(&hold, "").unwrap();
        fleet.set("hall-1", "intent/restart", "1").unwrap();
        wait_calls(&fleet, &mut device, 1);
        device.daemon.kill_9().unwrap();
        device.daemon.start().unwrap();
        wait_calls(&fleet, &mut device, runs);
        std::fs::remove_file(&hold).unwrap();
        wait_done(&mut device, 1);
        assert_eq!(calls(&fleet).len(), runs, "{delivery}");
    }
}

#[test]
fn paused_device_fires_when_it_is_resumed() {
    let Some((fleet, mut device)) = scene("paused intent", "at-most-once") else {
        return;
    };
    let pause = fleet.set("hall-1", "postern/pause", "true").unwrap();
    let raised = fleet.set("hall-1", "intent/restart", "1").unwrap();
    assert!(raised > pause);
    device
        .wait_for("the acceptance", |folder| {
            let status = folder.status();
            let is_paused = status["apply"] == json!("paused-by-controller");
            (is_paused && folder.revision("accepted")? == raised).then_some(())
        })
        .unwrap();
    assert!(calls(&fleet).is_empty(), "{:?}", calls(&fleet));
    fleet.set("hall-1", "postern/pause", "false").unwrap();
    wait_done(&mut device, 1);
    assert_eq!(calls(&fleet).len(), 1);
}
