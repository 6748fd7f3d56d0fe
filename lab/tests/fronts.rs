//! The release binary behind a real Apache that ends TLS before the controller: one that speaks HTTP/1.0 on both
//! sides, and one that answers 413 to bodies above 8 KiB.
//!
//! Without Apache or the release binary each test says that it is skipped.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use postern_lab::{
    Apache, ApacheTree, Device, DeviceSettings, FRONT_BODY_BYTES_MAX, Fleet, Front, FrontPlan,
    LabError, Origin, Pki, free_address,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::json;

/// Sends a body of `bytes` through a front to an origin: the first line of the answer.
fn first_line(front: SocketAddr, pki: &Pki, bytes: usize) -> Result<String, LabError> {
    let failed = || LabError::io("exchange with the front");
    let client = Arc::new(Pki::client_trusting(&pki.origin_ca_pem)?);
    let name = ServerName::from(front.ip());
    let connection = ClientConnection::new(client, name)?;
    let mut tls = StreamOwned::new(connection, TcpStream::connect(front).map_err(failed())?);
    let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n");
    let body = vec![b'x'; bytes];
    tls.write_all(&[head.into_bytes(), body].concat())
        .map_err(failed())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n") {
        tls.read_exact(&mut byte).map_err(failed())?;
        answer.extend(byte);
    }
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}

/// What a front and the origin behind it do with bodies of these sizes: first lines, and the origin's.
fn check(
    front: Front,
    bytes: &[usize],
    answers: &[&str],
    requests: &[&str],
) -> Result<(), LabError> {
    let Some(tree) = ApacheTree::find_or_skip(&format!("{front:?}"))? else {
        return Ok(());
    };
    let pki = Pki::new(&["localhost", "127.0.0.1"])?;
    let origin = Origin::start(&pki, "text/plain", "from the origin")?;
    let plan = FrontPlan {
        front,
        listen: free_address()?,
        behind: &format!("localhost:{}", origin.address().port()),
        pki: &pki,
        trusted_pem: &pki.origin_ca_pem,
    };
    let _apache = Apache::start(&tree, &plan)?;
    let ask = |bytes: &usize| first_line(plan.listen, &pki, *bytes);
    let seen: Result<Vec<_>, _> = bytes.iter().map(ask).collect();
    assert_eq!(seen?, answers);
    let heads = origin.request_heads();
    let seen: Vec<_> = heads
        .iter()
        .filter_map(|head| head.lines().next())
        .collect();
    assert_eq!(seen, requests);
    Ok(())
}

#[test]
fn http10_front_speaks_it_on_both_sides() {
    let (answer, request) = ("HTTP/1.0 200 OK", "POST / HTTP/1.0");
    check(Front::Http10, &[2, 20_000], &[answer; 2], &[request; 2]).unwrap();
}

#[test]
fn small_bodies_front_answers_413_above_its_bound() {
    let most = usize::try_from(FRONT_BODY_BYTES_MAX).unwrap();
    let refusal = "HTTP/1.1 413 Request Entity Too Large";
    check(
        Front::SmallBodies,
        &[most, most + 1, 48 * 1024],
        &["HTTP/1.1 200 OK", refusal, refusal],
        &["POST / HTTP/1.1"],
    )
    .unwrap();
}

struct Scene {
    fleet: Fleet,
    apache: Apache,
    device: Device,
}

/// A controller behind a front, and a running device that joined through it. `None` when a part was not provisioned.
fn scene(scenario: &str, front: Front) -> Result<Option<Scene>, LabError> {
    let Some(tree) = ApacheTree::find_or_skip(scenario)? else {
        return Ok(None);
    };
    let listen = free_address()?;
    let Some(fleet) = Fleet::start_behind_or_skip(scenario, listen)? else {
        return Ok(None);
    };
    let pki = Pki::new(&["localhost"])?;
    let plan = FrontPlan {
        front,
        listen,
        behind: &format!("localhost:{}", fleet.address().port()),
        pki: &pki,
        trusted_pem: &fleet.ca_pem()?,
    };
    let apache = Apache::start(&tree, &plan)?;
    let settings = DeviceSettings::direct().trusting("front.pem");
    let (mut device, joined) = fleet.try_join("hall-1", &settings, |folder| {
        folder.write("front.pem", &pki.origin_ca_pem)
    })?;
    assert!(joined.status.success(), "{}", joined.stderr);
    device.daemon.start()?;
    Ok(Some(Scene {
        fleet,
        apache,
        device,
    }))
}

impl Scene {
    /// Decides a value, and the device applies and reports it.
    fn assert_pushed(&mut self, value: &str) -> Result<(), LabError> {
        let revision = self.fleet.set("hall-1", "fan/speed", value)?;
        self.device.wait_applied(revision)?;
        self.fleet.wait_converged("hall-1")?;
        let rendered = self.device.folder.rendered("fan/speed");
        assert_eq!(rendered.as_deref(), Some(value));
        Ok(())
    }

    /// Lets the application write `values` (JSON).
    fn write_actual(&self, values: &serde_json::Value) -> Result<(), LabError> {
        let body = json!({ "set": values }).to_string();
        let folder = &self.device.folder;
        let written = folder.ask("PATCH", "/v1/actual", &body)?;
        assert_eq!(written.status, 200, "{}", written.body);
        Ok(())
    }

    /// Waits until the controller holds all that the application wrote.
    fn wait_acknowledged(&mut self) -> Result<(), LabError> {
        self.device.wait_for("the acknowledgement", |folder| {
            let status = folder.status();
            let newest = status.get("actual").filter(|newest| !newest.is_null())?;
            (status.get("actual_acknowledged") == Some(newest)).then_some(())
        })
    }

    fn largest_passed(&self) -> Option<u64> {
        let lines = self.apache.access_log().into_iter();
        lines
            .filter(|line| line.status == 200)
            .filter_map(|line| line.request_bytes)
            .max()
    }
}

#[test]
fn h10_device_behind_a_front_joins_converges_and_is_pushed_to() {
    let Some(mut scene) = scene("HTTP/1.0 front", Front::Http10).unwrap() else {
        return;
    };
    scene.assert_pushed("1").unwrap();
    // Its polls are held through the front, and news ends them.
    let is_held = |line: &postern_lab::FrontLine| line.elapsed_ms >= 4_000;
    scene.apache.wait_for_access("a hold", is_held).unwrap();
    for value in ["2", "3", "4"] {
        scene.assert_pushed(value).unwrap();
    }
    scene
        .write_actual(&json!({ "fan/log": "x".repeat(20_000) }))
        .unwrap();
    scene.wait_acknowledged().unwrap();
    assert_eq!(scene.device.folder.status()["failures"], json!({}));
    let lines = scene.apache.access_log();
    let is_well = |line: &postern_lab::FrontLine| line.method == "POST" && line.status == 200;
    assert!(lines.iter().all(is_well), "{lines:?}");
    assert!(scene.largest_passed() > Some(20_000));
}

#[test]
fn a19_device_behind_a_front_with_small_bodies_learns_and_converges() {
    let Some(mut scene) = scene("413 front", Front::SmallBodies).unwrap() else {
        return;
    };
    scene.assert_pushed("1").unwrap();
    // Sections that pass one by one, and one that passes in pieces only.
    let (part, large) = ("x".repeat(5_000), "y".repeat(20_000));
    scene
        .write_actual(&json!({ "a/log": part, "b/log": part, "c/log": large }))
        .unwrap();
    scene.wait_acknowledged().unwrap();
    scene.assert_pushed("2").unwrap();
    let refused = scene.device.folder.count("failures", "PST-H01");
    assert!((1..=3).contains(&refused), "{refused}");
    let log = scene.device.daemon.log();
    assert!(log.contains("smaller bodies only"), "{log}");
    assert!(scene.largest_passed() <= Some(FRONT_BODY_BYTES_MAX));
}
