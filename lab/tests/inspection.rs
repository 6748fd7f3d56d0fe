//! What an inspecting proxy can do to bytes, and that none of it changes a device's state.
//!
//! The inspector is the lab's own, because no real proxy flips single bits on demand.

use std::path::Path;

use postern_lab::{Device, DeviceFolder, DeviceSettings, Fleet, Inspector, LabError, Pki, Trick};

const NAME: &str = "controller.test";

struct Scene {
    fleet: Fleet,
    inspector: Inspector,
    corp_ca_pem: String,
}

fn scene(scenario: &str) -> Result<Option<Scene>, LabError> {
    let Some(fleet) = Fleet::start_or_skip(scenario, NAME)? else {
        return Ok(None);
    };
    let pki = Pki::new(&[NAME])?;
    let corp_ca_pem = pki.corp_ca_pem.clone();
    let inspector = Inspector::start(pki, &fleet.ca_pem()?, fleet.address())?;
    Ok(Some(Scene {
        fleet,
        inspector,
        corp_ca_pem,
    }))
}

impl Scene {
    /// A device that trusts the inspector and has applied `fan/speed = 3`.
    fn settled_device(&self) -> Result<Device, LabError> {
        let settings = DeviceSettings::behind(self.inspector.url()).trusting("corp.pem");
        let (mut device, joined) = self.fleet.try_join("hall-1", &settings, |folder| {
            folder.write("corp.pem", &self.corp_ca_pem)
        })?;
        assert!(joined.status.success(), "{}", joined.stderr);
        device.daemon.start()?;
        device.wait_applied(self.fleet.set("hall-1", "fan/speed", "3")?)?;
        Ok(device)
    }

    /// Plays a trick while a decision waits: it is counted under `name`, nothing changes, and all is well afterwards.
    fn assert_harmless(
        &self,
        device: &mut Device,
        trick: Trick,
        group: &str,
        name: &str,
    ) -> Result<(), LabError> {
        let before = picture(&device.folder);
        let counted = device.folder.count(group, name);
        self.inspector.play(trick);
        let speed = if before.2.as_deref() == Some("3") {
            "4"
        } else {
            "3"
        };
        let revision = self.fleet.set("hall-1", "fan/speed", speed)?;
        device.wait_count(group, name, counted + 1)?;
        assert_eq!(picture(&device.folder), before, "{trick:?}");
        assert!(self.inspector.played() > 0, "{trick:?}");
        self.inspector.play(Trick::Pass);
        device.wait_applied(revision)?;
        assert_eq!(device.folder.rendered("fan/speed").as_deref(), Some(speed));
        let status = self.fleet.wait_converged("hall-1")?;
        assert_eq!(status.get("rejects"), Some(&serde_json::json!([])));
        Ok(())
    }
}

/// What a trick must not change: accepted, applied, and the rendered value.
fn picture(folder: &DeviceFolder) -> (String, String, Option<String>) {
    let status = folder.status();
    let text = |name| {
        status
            .get(name)
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    (
        text("accepted"),
        text("applied"),
        folder.rendered("fan/speed"),
    )
}

#[test]
fn a11_block_page_is_no_answer_and_changes_nothing() {
    let Some(scene) = scene("A11 block page").unwrap() else {
        return;
    };
    let mut device = scene.settled_device().unwrap();
    scene
        .assert_harmless(&mut device, Trick::BlockPage, "rejected", "not-postern")
        .unwrap();
}

#[test]
fn a11_forged_304_is_no_answer_and_changes_nothing() {
    let Some(scene) = scene("A11 forged 304").unwrap() else {
        return;
    };
    let mut device = scene.settled_device().unwrap();
    scene
        .assert_harmless(&mut device, Trick::NotModified, "failures", "PST-H01")
        .unwrap();
}

#[test]
fn a11_empty_200_is_no_answer_and_changes_nothing() {
    let Some(scene) = scene("A11 empty 200").unwrap() else {
        return;
    };
    let mut device = scene.settled_device().unwrap();
    scene
        .assert_harmless(&mut device, Trick::Empty, "rejected", "not-postern")
        .unwrap();
}

#[test]
fn a12_flipped_bit_is_counted_and_changes_nothing() {
    let Some(scene) = scene("A12 flipped bit").unwrap() else {
        return;
    };
    let mut device = scene.settled_device().unwrap();
    scene
        .assert_harmless(&mut device, Trick::FlipBit, "rejected", "session-mac")
        .unwrap();
}

#[test]
fn a12_trimmed_body_is_counted_and_changes_nothing() {
    let Some(scene) = scene("A12 trimmed body").unwrap() else {
        return;
    };
    let mut device = scene.settled_device().unwrap();
    scene
        .assert_harmless(&mut device, Trick::Trim, "rejected", "session-mac")
        .unwrap();
}

#[test]
fn a12_replayed_answer_is_counted_and_changes_nothing() {
    let Some(scene) = scene("A12 replayed answer").unwrap() else {
        return;
    };
    let mut device = scene.settled_device().unwrap();
    scene
        .assert_harmless(&mut device, Trick::Replay, "rejected", "answer-mismatch")
        .unwrap();
}

#[test]
fn a12_dropped_answer_is_counted_and_changes_nothing() {
    let Some(scene) = scene("A12 dropped answer").unwrap() else {
        return;
    };
    let mut device = scene.settled_device().unwrap();
    scene
        .assert_harmless(&mut device, Trick::Drop, "failures", "PST-H05")
        .unwrap();
}

#[test]
fn a13_inspector_is_refused_until_its_authority_is_added_without_restart() {
    let Some(scene) = scene("A13").unwrap() else {
        return;
    };
    let settings = DeviceSettings::behind(scene.inspector.url()).trusting("authorities");
    let (mut device, joined) = scene
        .fleet
        .try_join("hall-1", &settings, |folder| {
            make_folder(&folder.path().join("authorities"))?;
            folder.write("authorities/corp.pem", &scene.corp_ca_pem)
        })
        .unwrap();
    assert!(joined.status.success(), "{}", joined.stderr);
    let file = device.folder.path().join("authorities/corp.pem");
    std::fs::remove_file(file).unwrap();
    let requests = scene.inspector.requests();
    device.daemon.start().unwrap();
    let pid = device.daemon.pid();
    device.wait_count("failures", "PST-S01", 2).unwrap();
    let log = device.daemon.log();
    assert!(log.contains(Pki::CORP_AUTHORITY), "{log}");
    assert_eq!(scene.inspector.requests(), requests, "plaintext was sent");
    device
        .folder
        .write("authorities/corp.pem", &scene.corp_ca_pem)
        .unwrap();
    let revision = scene.fleet.set("hall-1", "fan/speed", "3").unwrap();
    device.wait_applied(revision).unwrap();
    assert_eq!(device.daemon.pid(), pid);
}

fn make_folder(path: &Path) -> Result<(), LabError> {
    std::fs::create_dir(path).map_err(LabError::io("make a folder for authorities"))
}
