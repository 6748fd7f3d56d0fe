use super::{StatusFile, WRITE_INTERVAL_MS};
use crate::device::gate::Gate;
use crate::device::status::{Counts, Status};
use postern_protocol::revision::Revision;
use std::path::Path;

fn status(bundle: u64) -> Status {
    Status {
        device: "press-7".into(),
        tenant: "acme".into(),
        accepted: None,
        applied: Revision::NONE,
        failure: None,
        actual: None,
        actual_acknowledged: Revision::NONE,
        is_stale: true,
        frozen: None,
        is_rotating: false,
        gate: Gate::Open,
        route: "direct",
        is_connected: false,
        bytes: (0, 0),
        routes: Default::default(),
        bundle,
        clock_ahead_s: None,
        clock_source: "machine",
        is_bundle_behind: false,
        counts: Counts::default(),
    }
}

/// The bundle that the file tells of, if it is there.
fn told(file: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["bundle"].as_u64()
}

#[test]
fn status_file_is_written_at_once_and_then_rests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("status.json");
    let mut file = StatusFile::new(path.clone());
    file.offer(&status(1), 1_000);
    assert_eq!((told(&path), file.due_ms()), (Some(1), None));
    file.offer(&status(2), 1_001);
    let due_ms = 1_000 + WRITE_INTERVAL_MS;
    assert_eq!((told(&path), file.due_ms()), (Some(1), Some(due_ms)));
    file.offer(&status(3), due_ms);
    assert_eq!((told(&path), file.due_ms()), (Some(3), None));
}

#[test]
fn status_file_that_changed_back_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("status.json");
    let mut file = StatusFile::new(path.clone());
    file.offer(&status(1), 0);
    file.offer(&status(2), 1);
    file.offer(&status(1), 2);
    assert_eq!(file.due_ms(), None);
    std::fs::remove_file(&path).unwrap();
    file.offer(&status(1), 10 * WRITE_INTERVAL_MS);
    assert_eq!(told(&path), None);
}

#[test]
fn last_status_does_not_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("status.json");
    let mut file = StatusFile::new(path.clone());
    file.offer(&status(1), 0);
    file.write(&status(2));
    assert_eq!(told(&path), Some(2));
}

#[test]
fn status_file_without_its_folder_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("absent");
    let path = below.join("status.json");
    let mut file = StatusFile::new(path.clone());
    file.offer(&status(1), 0);
    assert_eq!(file.due_ms(), Some(WRITE_INTERVAL_MS));
    std::fs::create_dir(&below).unwrap();
    file.offer(&status(1), WRITE_INTERVAL_MS);
    assert_eq!(told(&path), Some(1));
}
