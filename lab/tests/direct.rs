//! A device that reaches its controller without a proxy: decisions arrive, on both sides survive restarts, and a
//! device that was away catches up.
//!
//! Every test has a controller and devices of its own; they end with it.

use std::os::unix::fs::PermissionsExt;

use postern_lab::{Device, DeviceSettings, Fleet, LabError, Revision};
use serde_json::Value;

fn fleet(scenario: &str) -> Result<Option<Fleet>, LabError> {
    Fleet::start_or_skip(scenario, "localhost")
}

fn started(fleet: &Fleet, name: &str) -> Result<Device, LabError> {
    let mut device = fleet.device(name, &DeviceSettings::direct())?;
    device.daemon.start()?;
    Ok(device)
}

/// Device, controller and rendered file agree on `speed`.
fn assert_speed(
    fleet: &Fleet,
    device: &mut Device,
    revision: Revision,
    speed: &str,
) -> Result<(), LabError> {
    device.wait_applied(revision)?;
    assert_eq!(device.folder.rendered("fan/speed").as_deref(), Some(speed));
    let status = fleet.wait_converged(&device.name)?;
    assert_eq!(
        status.get("applied").and_then(Revision::of),
        Some(revision),
        "{status:#}"
    );
    Ok(())
}

#[test]
fn a01_device_on_direct_https_applies_and_reports() {
    let Some(fleet) = fleet("A01").unwrap() else {
        return;
    };
    let settings = DeviceSettings::direct().with_tables("[transport]\nquic = false\n");
    let mut device = fleet.device("hall-1", &settings).unwrap();
    device.daemon.start().unwrap();
    let revision = fleet.set("hall-1", "fan/speed", "3").unwrap();
    assert_speed(&fleet, &mut device, revision, "3").unwrap();
    let status = device.folder.status();
    assert_eq!(status.get("route"), Some(&Value::from("direct")));
    let rejected = status.get("rejected").and_then(Value::as_object).unwrap();
    assert!(rejected.is_empty(), "{status:#}");
    assert!(
        fleet.must(&["status"]).unwrap().contains("converged"),
        "the table for people says so, too"
    );
}

#[test]
fn a01_apply_of_a_folder_is_one_decision() {
    let Some(fleet) = fleet("A01 apply").unwrap() else {
        return;
    };
    let mut device = started(&fleet, "hall-1").unwrap();
    let before = fleet.set("hall-1", "old/value", "1").unwrap();
    let source = fleet.path().join("source");
    std::fs::create_dir_all(source.join("app/conf")).unwrap();
    std::fs::write(source.join("app/conf/a.yaml"), "a: 1\n").unwrap();
    std::fs::write(source.join("app/conf/b.yaml"), "b: 2\n").unwrap();
    let source = source.to_string_lossy().into_owned();
    let apply = [
        "desired", "apply", "hall-1", "-f", &source, "--prune", "--wait", "60",
    ];
    let after = fleet.decide(&apply).unwrap();
    assert_eq!((after.epoch, after.seq), (before.epoch, before.seq + 1));
    device.wait_applied(after).unwrap();
    let read = |path| device.folder.rendered(path);
    assert_eq!(read("app/conf/a.yaml").as_deref(), Some("a: 1\n"));
    assert_eq!(read("app/conf/b.yaml").as_deref(), Some("b: 2\n"));
    assert_eq!(read("old/value"), None);
}

#[test]
fn removed_path_vanishes_and_mode_of_the_other_is_kept() {
    let Some(fleet) = fleet("rendering").unwrap() else {
        return;
    };
    let mut device = started(&fleet, "hall-1").unwrap();
    let put = ["desired", "put", "hall-1", "fan/speed=3", "fan/on=true"];
    device.wait_applied(fleet.decide(&put).unwrap()).unwrap();
    let closed = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(device.folder.rendered_file("fan/speed"), closed).unwrap();
    let put = ["desired", "rm", "hall-1", "fan/on"];
    device.wait_applied(fleet.decide(&put).unwrap()).unwrap();
    let revision = fleet.set("hall-1", "fan/speed", "4").unwrap();
    assert_speed(&fleet, &mut device, revision, "4").unwrap();
    assert_eq!(device.folder.rendered("fan/on"), None);
    let file = std::fs::metadata(device.folder.rendered_file("fan/speed")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

#[test]
fn desired_state_that_is_already_so_makes_no_revision() {
    let Some(fleet) = fleet("no-op").unwrap() else {
        return;
    };
    let _device = started(&fleet, "hall-1").unwrap();
    let first = fleet.set("hall-1", "fan/speed", "3").unwrap();
    assert_eq!(fleet.set("hall-1", "fan/speed", "3").unwrap(), first);
}

#[test]
fn restarted_controller_opens_a_new_epoch_that_the_device_follows() {
    let Some(mut fleet) = fleet("controller restart").unwrap() else {
        return;
    };
    let mut device = started(&fleet, "hall-1").unwrap();
    let first = fleet.set("hall-1", "fan/speed", "3").unwrap();
    assert_speed(&fleet, &mut device, first, "3").unwrap();
    assert!(
        fleet
            .controller
            .terminate()
            .unwrap()
            .is_some_and(|status| status.success())
    );
    fleet.controller.start().unwrap();
    let second = fleet.set("hall-1", "fan/speed", "4").unwrap();
    assert!(second.epoch > first.epoch, "{first:?} {second:?}");
    assert_speed(&fleet, &mut device, second, "4").unwrap();
}

#[test]
fn restarted_device_keeps_its_state_and_goes_on() {
    let Some(fleet) = fleet("device restart").unwrap() else {
        return;
    };
    let mut device = started(&fleet, "hall-1").unwrap();
    let first = fleet.set("hall-1", "fan/speed", "3").unwrap();
    assert_speed(&fleet, &mut device, first, "3").unwrap();
    assert!(
        device
            .daemon
            .terminate()
            .unwrap()
            .is_some_and(|status| status.success())
    );
    assert_eq!(device.folder.rendered("fan/speed").as_deref(), Some("3"));
    device.daemon.start().unwrap();
    let second = fleet.set("hall-1", "fan/speed", "4").unwrap();
    assert_speed(&fleet, &mut device, second, "4").unwrap();
}

#[test]
fn device_that_was_away_catches_up_with_more_than_a_chain_of_deltas() {
    let Some(fleet) = fleet("offline").unwrap() else {
        return;
    };
    let mut device = started(&fleet, "hall-1").unwrap();
    let first = fleet.set("hall-1", "fan/speed", "0").unwrap();
    assert_speed(&fleet, &mut device, first, "0").unwrap();
    device.daemon.kill_9().unwrap();
    // More than the 64 deltas that a mailbox chains, so only a snapshot can bring it forward.
    let mut last = first;
    for speed in 1..=70 {
        last = fleet
            .set("hall-1", "fan/speed", &speed.to_string())
            .unwrap();
    }
    assert_eq!(last.seq, first.seq + 70);
    device.daemon.start().unwrap();
    assert_speed(&fleet, &mut device, last, "70").unwrap();
    let accepted = device.daemon.log().matches("accepted").count();
    assert!(
        accepted < 70,
        "{accepted} acceptances: it was to skip what is old"
    );
}

#[test]
fn both_ends_killed_converge_again() {
    let Some(mut fleet) = fleet("kill -9").unwrap() else {
        return;
    };
    let mut device = started(&fleet, "hall-1").unwrap();
    let first = fleet.set("hall-1", "fan/speed", "3").unwrap();
    assert_speed(&fleet, &mut device, first, "3").unwrap();
    let unseen = fleet.set("hall-1", "fan/speed", "4").unwrap();
    device.daemon.kill_9().unwrap();
    fleet.controller.kill_9().unwrap();
    fleet.controller.start().unwrap();
    device.daemon.start().unwrap();
    let second = fleet.set("hall-1", "fan/light", "true").unwrap();
    assert!(second > unseen);
    assert_speed(&fleet, &mut device, second, "4").unwrap();
    assert_eq!(device.folder.rendered("fan/light").as_deref(), Some("true"));
}

#[test]
fn join_line_works_for_one_device_only() {
    let Some(fleet) = fleet("join twice").unwrap() else {
        return;
    };
    let line = fleet.invite("hall-1").unwrap();
    let settings = DeviceSettings::direct();
    let (one, _) = fleet.try_join("other-1", &settings, |_| Ok(())).unwrap();
    let (two, _) = fleet.try_join("other-2", &settings, |_| Ok(())).unwrap();
    // Both folders hold a device already, so a line of another name is refused there.
    for taken in [&one, &two] {
        let refused = fleet.join(taken, &line).unwrap();
        assert_eq!(refused.status.code(), Some(3), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("is joined as"),
            "{}",
            refused.stderr
        );
    }
}
