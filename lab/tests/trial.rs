//! Revisions on trial: they count after they did well, the last good one comes back otherwise, and `kill -9` at
//! every step of that changes nothing about how it ends.
//!
//! The application is two shell scripts: what runs after a change waits while a file `hold` stands, and the health
//! check fails while the value is "bad".

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should end the test where it happened"
)]

use postern_lab::{Device, DeviceSettings, Fleet, LabError};
use serde_json::{Value, json};

const ON_CHANGE: &str = "#!/bin/sh
value=$(cat \"$POSTERN_FOLDER/app/mode\" 2>/dev/null)
echo \"$POSTERN_SEQ $value\" >> \"$0.calls\"
while [ -e \"$0.hold\" ]; do sleep 0.02; done
";
const HEALTH: &str = "#!/bin/sh
! grep -q bad \"$1/app/mode\"
";

fn scene(scenario: &str, soak_s: u32) -> Result<Option<(Fleet, Device)>, LabError> {
    let Some(fleet) = Fleet::start_or_skip(scenario, "localhost")? else {
        return Ok(None);
    };
    let script = |name: &str, text: &str| {
        let file = fleet.path().join(name);
        let path = file.to_string_lossy().into_owned();
        std::fs::write(file, text).map_err(LabError::io("write a script"))?;
        Ok::<_, LabError>(path)
    };
    let on_change = script("on-change", ON_CHANGE)?;
    let health = script("health", HEALTH)?;
    let current = fleet.path().join("hall-1/desired/current");
    let command = json!(["/bin/sh", health, current.to_string_lossy()]);
    let tables = format!(
        "[apply]\nsoak_s = {soak_s}\nhealth = {command}\nhealth_interval_s = 1\nhealth_failures = 1\n"
    );
    let settings = DeviceSettings::direct()
        .running(&["/bin/sh", &on_change])
        .with_tables(&tables);
    let mut device = fleet.device("hall-1", &settings)?;
    device.daemon.start()?;
    Ok(Some((fleet, device)))
}

fn set(fleet: &Fleet, mode: &str) -> postern_lab::Revision {
    fleet
        .set("hall-1", "app/mode", &json!(mode).to_string())
        .unwrap()
}

fn calls(fleet: &Fleet) -> Vec<String> {
    let text = std::fs::read_to_string(fleet.path().join("on-change.calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until the journal beside the rendered files says something.
fn wait_journal(device: &mut Device, what: &str, found: impl Fn(&Value) -> bool) {
    let waited = device.wait_for(what, |folder| {
        let file = folder.path().join("desired/.postern/journal.json");
        let journal = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        found(&journal).then_some(())
    });
    waited.unwrap();
}

#[test]
fn device_killed_at_every_step_of_a_failed_trial_ends_with_the_good_revision() {
    let Some((fleet, mut device)) = scene("killed trial", 1).unwrap() else {
        return;
    };
    device.wait_applied(set(&fleet, "good")).unwrap();
    let hold = fleet.path().join("on-change.hold");
    std::fs::write(&hold, "").unwrap();
    let bad = set(&fleet, "bad");
    // While the command of the trial runs.
    wait_journal(&mut device, "the trial", |journal| {
        !journal["trial"].is_null()
    });
    device
        .wait_for("the command", |_folder| {
            let is_told = calls(&fleet).iter().any(|call| call.ends_with(" bad"));
            is_told.then_some(())
        })
        .unwrap();
    assert_eq!(device.folder.rendered("app/mode").as_deref(), Some("bad"));
    device.daemon.kill_9().unwrap();
    device.daemon.start().unwrap();
    wait_journal(&mut device, "the second start", |journal| {
        journal["trial"]["starts"] == 2
    });
    std::fs::remove_file(&hold).unwrap();
    // While the command of the revert runs.
    wait_journal(&mut device, "the refusal", |journal| {
        !journal["refused"].is_null()
    });
    device.daemon.kill_9().unwrap();
    device.daemon.start().unwrap();
    wait_journal(&mut device, "the revert", |journal| {
        journal["refused"]["is_reverted"] == true
    });
    // Before or after the outcome was durable.
    device.daemon.kill_9().unwrap();
    device.daemon.start().unwrap();
    device
        .wait_for("the outcome", |folder| {
            let status = folder.ask("GET", "/v1/status", "").ok()?.json();
            let output = status["failure"]["output"].as_str()?.to_owned();
            output.starts_with("reverted: health failed").then_some(())
        })
        .unwrap();
    assert_eq!(device.folder.rendered("app/mode").as_deref(), Some("good"));
    let tried = calls(&fleet)
        .iter()
        .filter(|call| call.ends_with(" bad"))
        .count();
    assert!((2..=3).contains(&tried), "{:?}", calls(&fleet));
    let shown = reported(&fleet, &mut device);
    assert_eq!(
        (&shown["status"], &shown["seq"]),
        (&json!(-5), &json!(bad.seq))
    );
}

/// Waits until the controller shows the failed result.
fn reported(fleet: &Fleet, device: &mut Device) -> Value {
    let found = device.wait_for("the report", |_folder| {
        let status = fleet.status("hall-1").ok()?;
        status.get("results")?.as_array()?.last().cloned()
    });
    found.unwrap()
}

#[test]
fn device_killed_during_a_soak_goes_on_with_it() {
    let Some((fleet, mut device)) = scene("killed soak", 2).unwrap() else {
        return;
    };
    let fine = set(&fleet, "fine");
    wait_journal(&mut device, "the trial", |journal| {
        !journal["trial"].is_null()
    });
    device
        .wait_for("the command", |_folder| {
            (!calls(&fleet).is_empty()).then_some(())
        })
        .unwrap();
    assert_ne!(
        device.folder.revision("applied"),
        Some(fine),
        "not before its soak"
    );
    device.daemon.kill_9().unwrap();
    device.daemon.start().unwrap();
    device.wait_applied(fine).unwrap();
    wait_journal(&mut device, "the confirmation", |journal| {
        journal["trial"].is_null()
    });
    assert_eq!(
        fleet.wait_converged("hall-1").unwrap()["converged"],
        json!(true)
    );
}

#[test]
fn refused_revision_is_followed_by_the_next_decision() {
    let Some((fleet, mut device)) = scene("after a revert", 0).unwrap() else {
        return;
    };
    device.wait_applied(set(&fleet, "good")).unwrap();
    let failed = [
        "desired", "set", "hall-1", "app/mode", "\"bad\"", "--wait", "60",
    ];
    let failed = fleet.operate(&failed).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{}", failed.stderr);
    assert!(
        failed.stderr.contains("reverted: health failed"),
        "{}",
        failed.stderr
    );
    device.wait_applied(set(&fleet, "fine")).unwrap();
    assert_eq!(device.folder.rendered("app/mode").as_deref(), Some("fine"));
}

#[test]
fn commands_run_as_the_configured_user_or_not_at_all() {
    let Some(fleet) = Fleet::start_or_skip("user of commands", "localhost").unwrap() else {
        return;
    };
    let settings = DeviceSettings::direct()
        .running(&["/bin/sh", "-c", "id -u; id -G; echo $HOME; exit 9"])
        .with_tables("[apply]\nuser = \"4711\"\ngroup = \"4712\"\nfile_mode = \"0640\"\n");
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        let refused = fleet.device("hall-1", &settings).unwrap_err().to_string();
        assert!(refused.contains("apply.user"), "{refused}");
        return;
    }
    let mut device = fleet.device("hall-1", &settings).unwrap();
    device.daemon.start().unwrap();
    set(&fleet, "good");
    let shown = reported(&fleet, &mut device);
    assert_eq!(shown["output"], json!("4711\n4712\n/\n"));
}
