//! The application's side: the command after a change gets JSON, and its failure reaches the operator.
//!
//! The command here is a shell script that keeps what it gets and fails while a file says so.

use postern_lab::{Device, DeviceSettings, Fleet, LabError, Revision};
use serde_json::{Value, json};

/// Keeps what it gets, then fails as long as a file says so.
const SCRIPT: &str = "#!/bin/sh
cat >> \"$0.calls\"
echo >> \"$0.calls\"
if [ -e \"$0.fail\" ]; then echo \"unit cannot start\"; exit 7; fi
";

fn scene(scenario: &str) -> Result<Option<(Fleet, Device)>, LabError> {
    let Some(fleet) = Fleet::start_or_skip(scenario, "localhost")? else {
        return Ok(None);
    };
    let script = fleet.path().join("on-change");
    std::fs::write(&script, SCRIPT).map_err(LabError::io("write the script"))?;
    let script = script.to_string_lossy().into_owned();
    let settings = DeviceSettings::direct().running(&["/bin/sh", &script]);
    let mut device = fleet.device("hall-1", &settings)?;
    device.daemon.start()?;
    Ok(Some((fleet, device)))
}

/// Returns what the command was told, call by call.
fn calls(fleet: &Fleet) -> Vec<Value> {
    let text = std::fs::read_to_string(fleet.path().join("on-change.calls")).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

#[test]
fn on_change_gets_revision_and_paths_as_json() {
    let Some((fleet, mut device)) = scene("on_change").unwrap() else {
        return;
    };
    let put = ["desired", "put", "hall-1", "fan/speed=3", "fan/on=true"];
    let first = fleet.decide(&put).unwrap();
    device.wait_applied(first).unwrap();
    let second = fleet
        .decide(&["desired", "rm", "hall-1", "fan/on", "--wait", "60"])
        .unwrap();
    let calls = calls(&fleet);
    let of = |wanted: Revision| {
        let mut found = calls.iter();
        found
            .find(|call| Revision::of(call) == Some(wanted))
            .unwrap()
    };
    assert_eq!(of(first)["changed"], json!(["fan/on", "fan/speed"]));
    assert_eq!(of(first)["removed"], json!([]));
    assert_eq!(of(second)["changed"], json!([]));
    assert_eq!(of(second)["removed"], json!(["fan/on"]));
    assert_eq!(of(second)["digest"], device.folder.status()["digest"]);
}

#[test]
fn on_change_that_fails_is_reported_with_status_and_output() {
    let Some((fleet, mut device)) = scene("on_change failure").unwrap() else {
        return;
    };
    device
        .wait_applied(fleet.set("hall-1", "fan/speed", "3").unwrap())
        .unwrap();
    std::fs::write(fleet.path().join("on-change.fail"), "").unwrap();
    let failed = fleet
        .operate(&["desired", "set", "hall-1", "fan/speed", "4", "--wait", "60"])
        .unwrap();
    assert_eq!(failed.status.code(), Some(1), "{}", failed.stderr);
    assert!(
        failed.stderr.contains("unit cannot start") && failed.stderr.contains("status 7"),
        "{}",
        failed.stderr
    );
    let status = fleet.status("hall-1").unwrap();
    let last = status["results"].as_array().and_then(|all| all.last());
    let last = last.unwrap();
    assert_eq!(last["status"], json!(7), "{status:#}");
    assert_eq!(last["output"], json!("unit cannot start\n"));
    assert_eq!(status["converged"], json!(false));
    // The next decision is a new chance.
    std::fs::remove_file(fleet.path().join("on-change.fail")).unwrap();
    let mended = ["desired", "set", "hall-1", "fan/speed", "5", "--wait", "60"];
    fleet.must(&mended).unwrap();
    fleet.wait_converged("hall-1").unwrap();
}
