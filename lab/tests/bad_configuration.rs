//! What is refused at start: a misspelt or damaged configuration, a readable key, a damaged or newer store. Each
//! refusal has its documented exit code and names file, place and remedy.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use postern_lab::{Device, DeviceSettings, Fleet, LabError};

/// Exit code of a refused configuration or key.
const CONFIGURATION: i32 = 3;
/// Exit code of a damaged or newer store.
const STORE: i32 = 7;

/// A fleet with a device that has applied one value and was stopped.
fn scene(scenario: &str) -> Result<Option<(Fleet, Device)>, LabError> {
    let Some(fleet) = Fleet::start_or_skip(scenario, "localhost")? else {
        return Ok(None);
    };
    let mut device = fleet.device("hall-1", &DeviceSettings::direct())?;
    device.daemon.start()?;
    device.wait_applied(fleet.set("hall-1", "fan/speed", "3")?)?;
    device.daemon.terminate()?;
    Ok(Some((fleet, device)))
}

/// Starts the device, which must end with `code` and a text that has every part.
fn assert_refused(device: &mut Device, code: i32, parts: &[&str]) -> Result<(), LabError> {
    let (status, text) = device.daemon.start_refused()?;
    assert_eq!(status.code(), Some(code), "{text}");
    for part in parts.iter().chain(&["next:"]) {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    Ok(())
}

#[test]
fn device_file_that_is_wrong_is_refused_with_line_and_remedy() {
    let Some((_fleet, mut device)) = scene("device.toml").unwrap() else {
        return;
    };
    let mut check = |text: &str, parts: &[&str]| {
        device.folder.write("device.toml", text).unwrap();
        assert_refused(&mut device, CONFIGURATION, parts).unwrap();
    };
    check(
        "# fine\nhold_s_mx = 5\n",
        &["device.toml", "2", "hold_s_mx", "hold_s_max"],
    );
    check("hold_s_max = \"5\"\n", &["device.toml", "1", "hold_s_max"]);
    check("hold_s_max = 5000\n", &["device.toml", "1", "285"]);
    check(
        "[proxy]\nurl = \"proxy.example\"\n",
        &["device.toml", "2", "proxy.url", "PST-C01"],
    );
    check(
        "[proxy]\nmode = \"sometimes\"\n",
        &["device.toml", "2", "require"],
    );
    check(
        "extra_ca_files = [\"nowhere.pem\"]\n",
        &["device.toml", "1", "nowhere.pem"],
    );
    check(
        "[on_change]\ntime_limit_s = 5\n",
        &["device.toml", "command"],
    );
    check("hold_s_max = \n", &["device.toml", "1"]);
    device.folder.configure(&DeviceSettings::direct()).unwrap();
    device.daemon.start().unwrap();
}

#[test]
fn controller_file_that_is_misspelt_is_refused_with_line_and_remedy() {
    let Some((mut fleet, _device)) = scene("controller.toml").unwrap() else {
        return;
    };
    fleet.controller.terminate().unwrap();
    let file = fleet.controller_dir().join("controller.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let bad = good.replacen("listen =", "lisen =", 1);
    let line = bad
        .lines()
        .position(|line| line.starts_with("lisen"))
        .unwrap()
        + 1;
    std::fs::write(&file, bad).unwrap();
    let (status, text) = fleet.controller.start_refused().unwrap();
    assert_eq!(status.code(), Some(CONFIGURATION), "{text}");
    for part in [
        "controller.toml",
        "lisen",
        "listen",
        &line.to_string(),
        "next:",
    ] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    std::fs::write(&file, good).unwrap();
    fleet.controller.start().unwrap();
}

#[test]
fn key_that_others_can_read_is_refused() {
    let Some((_fleet, mut device)) = scene("key file").unwrap() else {
        return;
    };
    let key = device.folder.path().join("device.key");
    let set = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    set(0o644);
    assert_refused(&mut device, CONFIGURATION, &["device.key", "chmod"]).unwrap();
    set(0o600);
    device.daemon.start().unwrap();
}

#[test]
fn device_store_that_is_damaged_is_refused_and_never_served() {
    let Some((_fleet, mut device)) = scene("damaged store").unwrap() else {
        return;
    };
    let store = device.folder.path().join("device.redb");
    let good = std::fs::read(&store).unwrap();
    let mut check = |bytes: Vec<u8>| {
        std::fs::write(&store, bytes).unwrap();
        assert_refused(&mut device, STORE, &["device.redb"]).unwrap();
    };
    check(good.get(..good.len() / 2).unwrap_or_default().to_vec());
    check(b"this was a store".repeat(512));
    check(Vec::from_iter(good.iter().map(|byte| byte ^ 1)));
    // The end of the value that a check of the structure alone would not look at.
    check(with_flipped_value(&good));
    std::fs::write(&store, &good).unwrap();
    device.daemon.start().unwrap();
}

/// Flips a bit in every copy of the path's name: values and their checks stand beside it.
fn with_flipped_value(good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let name = b"fan/speed";
    let places: Vec<_> = (0..bytes.len() - name.len())
        .filter(|&at| bytes.get(at..at + name.len()) == Some(name))
        .collect();
    assert!(!places.is_empty(), "the store holds the path");
    for at in places {
        bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1);
    }
    bytes
}

#[test]
fn controller_store_that_is_damaged_is_refused() {
    let Some((mut fleet, _device)) = scene("damaged controller store").unwrap() else {
        return;
    };
    fleet.controller.terminate().unwrap();
    let store = fleet.controller_dir().join("controller.redb");
    let good = std::fs::read(&store).unwrap();
    std::fs::write(&store, good.get(..good.len() / 2).unwrap_or_default()).unwrap();
    let (status, text) = fleet.controller.start_refused().unwrap();
    assert_eq!(status.code(), Some(STORE), "{text}");
    assert!(
        text.contains("controller.redb") && text.contains("next:"),
        "{text}"
    );
    std::fs::write(&store, good).unwrap();
    fleet.controller.start().unwrap();
}

#[test]
fn folder_that_never_joined_names_the_command_to_join() {
    let Some((_fleet, mut device)) = scene("not joined").unwrap() else {
        return;
    };
    remove(&device.folder.path().join("device.redb")).unwrap();
    assert_refused(&mut device, CONFIGURATION, &["postern device join"]).unwrap();
}

fn remove(file: &Path) -> Result<(), LabError> {
    std::fs::remove_file(file).map_err(LabError::io("remove a file"))
}
