//! The drill: a controller is backed up while it runs, decides more, dies, and is restored from the backup.
//! The devices know what it lost, hand it back, and an operator decides where both went on.
//!
//! Every test has a controller and a device of its own; they end with it.

#![expect(
    clippy::unwrap_used,
    reason = "the drill fails where a step of it does"
)]

use std::os::unix::fs::PermissionsExt;

use postern_lab::{Device, DeviceSettings, Fleet, LabError, Revision, wait};
use serde_json::Value;

/// A fleet whose device applied three decisions, of which the backup holds one.
struct Drill {
    fleet: Fleet,
    device: Device,
    last: Revision,
}

fn prepare(scenario: &str) -> Result<Option<Drill>, LabError> {
    let Some(fleet) = Fleet::start_or_skip(scenario, "localhost")? else {
        return Ok(None);
    };
    let mut device = fleet.device("hall-1", &DeviceSettings::direct())?;
    device.daemon.start()?;
    let first = fleet.set("hall-1", "fan/speed", "1")?;
    device.wait_applied(first)?;
    fleet.wait_converged("hall-1")?;
    fleet.must(&["controller", "backup", &backup(&fleet)])?;
    fleet.set("hall-1", "fan/speed", "2")?;
    let last = fleet.set("hall-1", "fan/speed", "3")?;
    device.wait_applied(last)?;
    fleet.wait_converged("hall-1")?;
    Ok(Some(Drill {
        fleet,
        device,
        last,
    }))
}

fn backup(fleet: &Fleet) -> String {
    let file = fleet.path().join("controller.backup");
    file.to_string_lossy().into_owned()
}

impl Drill {
    /// Ends the controller, puts its folder away, and restores the backup in its place.
    fn restore(&mut self) {
        self.fleet.controller.kill_9().unwrap();
        let dir = self.fleet.controller_dir();
        std::fs::rename(&dir, self.fleet.path().join("lost")).unwrap();
        let file = backup(&self.fleet);
        self.fleet.must(&["controller", "restore", &file]).unwrap();
        self.fleet.controller.start().unwrap();
    }

    fn wait_status(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let found = wait::until(what, || {
            Ok(Some(self.fleet.status("hall-1")?).filter(|status| holds(status)))
        });
        found.unwrap()
    }

    /// Restores while the device is away, and decides before it comes back.
    fn restore_and_go_on(&mut self) {
        self.device.daemon.kill_9().unwrap();
        self.restore();
        self.fleet.set("hall-1", "fan/speed", "9").unwrap();
        self.device.daemon.start().unwrap();
        let status = self.wait_status("a conflict", |status| {
            status.pointer("/behind/conflict") == Some(&Value::Bool(true))
        });
        let seq = status.pointer("/behind/seq").and_then(Value::as_u64);
        assert_eq!(seq, Some(self.last.seq), "{status:#}");
        let held = self.device.folder.rendered("fan/speed");
        assert_eq!(
            held.as_deref(),
            Some("3"),
            "it refuses until somebody chose"
        );
    }

    fn choose(&mut self, side: &str, speed: &str) {
        let chosen = ["recover", "hall-1", "--take", side];
        self.fleet.must(&chosen).unwrap();
        let status = self.fleet.wait_converged("hall-1").unwrap();
        assert_eq!(status.get("behind"), Some(&Value::Null), "{status:#}");
        let held = self.device.folder.rendered("fan/speed");
        assert_eq!(held.as_deref(), Some(speed));
    }

    fn desired(&self) -> String {
        let printed = self.fleet.must(&["desired", "get", "hall-1", "fan/speed"]);
        printed.unwrap().trim().to_owned()
    }
}

#[test]
fn restored_controller_gets_the_lost_decisions_back_from_the_device() {
    let Some(mut drill) = prepare("restore").unwrap() else {
        return;
    };
    drill.restore();
    drill.wait_status("the lost decisions", |_| drill.desired() == "3");
    drill.fleet.wait_converged("hall-1").unwrap();
    let log = drill.fleet.controller.log();
    assert!(log.contains("recovered the history of a device"), "{log}");
    let next = drill.fleet.set("hall-1", "fan/speed", "4").unwrap();
    assert!(next.epoch > drill.last.epoch);
    drill.device.wait_applied(next).unwrap();
    let evidence = drill.fleet.must(&["evidence", "hall-1"]).unwrap();
    assert!(evidence.contains("writer-behind"), "{evidence}");
}

#[test]
fn restored_controller_that_decided_on_waits_for_the_operator_who_takes_the_device() {
    let Some(mut drill) = prepare("restore, device").unwrap() else {
        return;
    };
    drill.restore_and_go_on();
    drill.choose("device", "3");
    assert_eq!(drill.desired(), "3");
}

#[test]
fn restored_controller_that_decided_on_waits_for_the_operator_who_takes_the_controller() {
    let Some(mut drill) = prepare("restore, controller").unwrap() else {
        return;
    };
    drill.restore_and_go_on();
    drill.choose("controller", "9");
    assert_eq!(drill.desired(), "9");
}

/// Rotates the writer key with the root key of the lost controller. Returns the exit code and what was printed.
fn rotate(drill: &Drill, more: &[&str]) -> (Option<i32>, String) {
    let root = drill.fleet.path().join("lost").join("root.key");
    let root = root.to_string_lossy().into_owned();
    let arguments = [
        "controller",
        "rotate",
        "writer",
        "--root-key",
        &root,
        "--json",
    ];
    let ran = drill
        .fleet
        .operate(&[&arguments[..], more].concat())
        .unwrap();
    (ran.status.code(), ran.stdout)
}

#[test]
fn restored_controller_makes_no_writer_key_before_its_device_was_heard() {
    let Some(mut drill) = prepare("restore, rotate").unwrap() else {
        return;
    };
    drill.device.daemon.kill_9().unwrap();
    drill.restore();
    let check_refused = |drill: &Drill| {
        let (code, printed) = rotate(drill, &[]);
        assert_eq!(code, Some(5), "{printed}");
        assert!(printed.contains("writer-behind"), "{printed}");
        assert!(
            printed.contains("hall-1 has not followed since the restore"),
            "{printed}"
        );
    };
    check_refused(&drill);
    drill.fleet.controller.kill_9().unwrap();
    check_refused(&drill);
    let bundles = drill.fleet.controller_dir().join("bundles");
    assert!(!bundles.join("2.cbor").exists(), "nothing was made");
    drill.fleet.controller.start().unwrap();
    drill.device.daemon.start().unwrap();
    drill.wait_status("the lost decisions", |_| drill.desired() == "3");
    // It holds the right content already: heard is not enough, it has to follow into the new epoch.
    drill.wait_status("the device in the new epoch", |status| {
        status["accepted"]["epoch"] == status["desired"]["epoch"]
    });
    let (code, printed) = rotate(&drill, &[]);
    assert_eq!(code, Some(0), "{printed}");
    let next = drill.fleet.set("hall-1", "fan/speed", "4").unwrap();
    drill.device.wait_applied(next).unwrap();
}

/// A stolen key cannot wait: what only the device holds is gone, as the operator was told.
#[test]
fn restored_controller_makes_a_writer_key_at_once_when_told_to() {
    let Some(mut drill) = prepare("restore, rotate at once").unwrap() else {
        return;
    };
    drill.device.daemon.kill_9().unwrap();
    drill.restore();
    let (code, printed) = rotate(&drill, &["--without-hearing"]);
    assert_eq!(code, Some(0), "{printed}");
    drill.device.daemon.start().unwrap();
    drill.fleet.wait_converged("hall-1").unwrap();
    assert_eq!(drill.desired(), "1");
}

#[test]
fn backup_is_private_and_neither_it_nor_a_folder_is_overwritten() {
    let Some(drill) = prepare("backup").unwrap() else {
        return;
    };
    let file = backup(&drill.fleet);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let check = |arguments: &[&str], name: &str| {
        let refused = drill.fleet.operate(&[arguments, &["--json"]].concat());
        let refused = refused.unwrap();
        assert_eq!(refused.status.code(), Some(3), "{}", refused.stderr);
        assert!(refused.stdout.contains(name), "{}", refused.stdout);
    };
    check(&["controller", "backup", &file], "backup-exists");
    check(&["controller", "restore", &file], "restore-exists");
    let status = drill
        .fleet
        .operate(&["recover", "hall-1", "--take", "device"]);
    assert_eq!(status.unwrap().status.code(), Some(5), "nothing to recover");
}
