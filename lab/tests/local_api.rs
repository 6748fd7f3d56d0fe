//! The local API of a running device: what an application reads, what it may not do, and what it cannot break.
//!
//! Requests are raw bytes on the socket, as any HTTP client would send them.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use postern_lab::{Device, DeviceSettings, Fleet, LabError, local};
use serde_json::json;

fn scene(scenario: &str, tables: &str) -> Result<Option<(Fleet, Device)>, LabError> {
    let Some(fleet) = Fleet::start_or_skip(scenario, "localhost")? else {
        return Ok(None);
    };
    let settings = DeviceSettings::direct().with_tables(tables);
    let mut device = fleet.device("hall-1", &settings)?;
    device.daemon.start()?;
    Ok(Some((fleet, device)))
}

#[test]
fn application_reads_and_watches_the_desired_state() {
    let Some((fleet, mut device)) = scene("local api", "").unwrap() else {
        return;
    };
    let mode = std::fs::metadata(device.folder.path().join("local.sock"));
    assert_eq!(mode.unwrap().permissions().mode() & 0o777, 0o600);
    let first = fleet.set("hall-1", "fan/speed", "3").unwrap();
    device.wait_applied(first).unwrap();
    let read = device.folder.ask("GET", "/v1/desired/fan", "").unwrap();
    assert_eq!(read.status, 200);
    assert_eq!(read.json()["values"], json!({ "fan/speed": 3 }));
    let tag = format!("{}.{}", first.epoch, first.seq);
    assert!(
        read.head.contains(&format!("etag: \"{tag}\"")),
        "{}",
        read.head
    );
    // The poll is held until the next decision.
    let resource = format!("/v1/desired?after={tag}&wait=60");
    let folder = device.folder.clone();
    let news = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| folder.ask("GET", &resource, ""));
        fleet.set("hall-1", "fan/speed", "4").unwrap();
        waiting.join().unwrap().unwrap()
    });
    assert_eq!(news.json()["values"], json!({ "fan/speed": 4 }));
    let silent = device
        .folder
        .ask("GET", "/v1/desired?after=0.0", "")
        .unwrap();
    assert_eq!(silent.status, 200, "another revision than the one named");
}

#[test]
fn application_that_applies_itself_reports_the_result() {
    let tables = "[apply]\nby = \"application\"\n";
    let Some((fleet, mut device)) = scene("application applies", tables).unwrap() else {
        return;
    };
    let revision = fleet.set("hall-1", "fan/speed", "3").unwrap();
    let read = device.wait_for("the revision", |folder| {
        let read = folder.ask("GET", "/v1/desired/fan", "").ok()?;
        (read.status == 200).then_some(read)
    });
    let (epoch, seq) = (revision.epoch, revision.seq);
    assert_eq!(
        read.unwrap().json()["revision"],
        json!({ "epoch": epoch, "seq": seq })
    );
    let stale = json!({ "epoch": epoch, "seq": seq + 1, "status": 0 }).to_string();
    let refused = device.folder.ask("POST", "/v1/results", &stale).unwrap();
    assert_eq!(
        (refused.status, refused.json()["type"].clone()),
        (409, json!("urn:postern:problem:result-stale"))
    );
    let failed = json!({ "epoch": epoch, "seq": seq, "status": 7, "output": "too fast" });
    let taken = device
        .folder
        .ask("POST", "/v1/results", &failed.to_string())
        .unwrap();
    assert_eq!(taken.status, 200, "{}", taken.body);
    let shown = fleet.status("hall-1");
    drop(shown);
    let failed = fleet
        .operate(&["desired", "set", "hall-1", "fan/speed", "4"])
        .unwrap();
    assert!(failed.status.success());
    device
        .wait_for("the failure", |folder| {
            (folder.status()["failure"]["output"] == json!("too fast")).then_some(())
        })
        .unwrap();
    assert!(
        !device.folder.path().join("desired").exists(),
        "nothing is rendered"
    );
}

#[test]
fn pause_keeps_changes_back_over_a_restart_until_resume() {
    let Some((fleet, mut device)) = scene("pause", "").unwrap() else {
        return;
    };
    device
        .wait_applied(fleet.set("hall-1", "fan/speed", "3").unwrap())
        .unwrap();
    let paused = fleet.on_device(&device, &["device", "pause"]).unwrap();
    assert!(paused.status.success(), "{}", paused.stderr);
    let next = fleet.set("hall-1", "fan/speed", "4").unwrap();
    device
        .wait_for("the acceptance", |folder| {
            (folder.revision("accepted")? == next).then_some(())
        })
        .unwrap();
    device.daemon.kill_9().unwrap();
    device.daemon.start().unwrap();
    device
        .wait_for("a connection", |folder| {
            let status = folder.ask("GET", "/v1/status", "").ok()?.json();
            (status["connected"] == json!(true)).then_some(())
        })
        .unwrap();
    assert_eq!(device.folder.rendered("fan/speed").as_deref(), Some("3"));
    let page = fleet
        .on_device(&device, &["device", "status"])
        .unwrap()
        .stdout;
    assert!(page.contains("PAUSED here"), "{page}");
    fleet.on_device(&device, &["device", "resume"]).unwrap();
    device.wait_applied(next).unwrap();
    assert_eq!(device.folder.rendered("fan/speed").as_deref(), Some("4"));
}

#[test]
fn clients_that_misbehave_leave_the_device_at_work() {
    let Some((fleet, mut device)) = scene("bad clients", "").unwrap() else {
        return;
    };
    let socket = device.folder.path().join("local.sock");
    // As many as there is room for, silent or half finished.
    let mut held = Vec::new();
    for _ in 0..32 {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream
            .write_all(b"PUT /v1/actual/a HTTP/1.1\r\nHost: x\r\nContent-Le")
            .unwrap();
        held.push(stream);
    }
    device
        .wait_applied(fleet.set("hall-1", "fan/speed", "3").unwrap())
        .unwrap();
    drop(held);
    let check = |request: &str, status| {
        let answer = local::exchange(&socket, request.as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{request}: {}", answer.body);
    };
    check(
        "PUT /v1/actual/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        411,
    );
    check(
        "PUT /v1/actual/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n",
        413,
    );
    check("GET /v1/desired/%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    check("BREW /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 405);
    check("GET /metrics HTTP/1.0\r\n\r\n", 200);
    device
        .wait_applied(fleet.set("hall-1", "fan/speed", "4").unwrap())
        .unwrap();
}
