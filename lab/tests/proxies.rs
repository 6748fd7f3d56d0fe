//! The release binary behind a real Squid: port list, password, TLS inspection, and no packet past a required proxy.
//!
//! Without Squid or the release binary each test says that it is skipped.

use std::net::TcpListener;

use postern_lab::{
    AccessLine, BASIC_PASSWORD, BASIC_USER, Device, DeviceSettings, Fleet, Kind, LabError, Pki,
    Plan, Squid, Tree,
};

/// Only the proxies resolve this name: a device that connects proves that it asked one.
const NAME: &str = "controller.test";

struct Scene {
    fleet: Fleet,
    squid: Squid,
    pki: Pki,
}

/// Returns `None` when a part was not provisioned; the skip has been announced.
fn scene(scenario: &str, kind: Kind, host: &str) -> Result<Option<Scene>, LabError> {
    let Some(tree) = Tree::find_or_skip(scenario)? else {
        return Ok(None);
    };
    let Some(fleet) = Fleet::start_or_skip(scenario, host)? else {
        return Ok(None);
    };
    let pki = Pki::new(&[host])?;
    let plan = Plan {
        kind,
        allowed_ports: &[fleet.address().port()],
        names: &[NAME],
        pki: &pki,
        trusted_pem: &fleet.ca_pem()?,
    };
    let squid = Squid::start(&tree, &plan)?;
    Ok(Some(Scene { fleet, squid, pki }))
}

impl Scene {
    fn behind(&self) -> DeviceSettings {
        DeviceSettings::behind(self.squid.url())
    }

    fn target(&self) -> String {
        format!("{NAME}:{}", self.fleet.address().port())
    }

    /// Decides a value, and the device applies and reports it.
    fn assert_works(&self, device: &mut Device) -> Result<(), LabError> {
        device.daemon.start()?;
        let revision = self.fleet.set(&device.name, "fan/speed", "3")?;
        device.wait_applied(revision)?;
        self.fleet.wait_converged(&device.name)?;
        assert_eq!(device.folder.rendered("fan/speed").as_deref(), Some("3"));
        Ok(())
    }
}

#[test]
fn b01_device_behind_a_connect_proxy_applies_through_the_tunnel() {
    let Some(scene) = scene("B01", Kind::Plain, NAME).unwrap() else {
        return;
    };
    let mut device = scene.fleet.device("hall-1", &scene.behind()).unwrap();
    scene.assert_works(&mut device).unwrap();
    assert_eq!(
        device.folder.status().get("route"),
        Some(&"proxy".into()),
        "{}",
        device.folder.status()
    );
    device.daemon.terminate().unwrap();
    let line = scene
        .squid
        .wait_for_access("the tunnel", |line| line.target == scene.target())
        .unwrap();
    assert_eq!((line.method.as_str(), line.status), ("CONNECT", 200));
}

#[test]
fn b01_proxy_that_refuses_the_port_is_named() {
    let Some(mut scene) = scene("B01 port", Kind::Plain, NAME).unwrap() else {
        return;
    };
    // Another controller on a port that the proxy's list does not have.
    scene.fleet = Fleet::start_or_skip("B01 port", NAME).unwrap().unwrap();
    let (device, joined) = scene
        .fleet
        .try_join("hall-1", &scene.behind(), |_| Ok(()))
        .unwrap();
    assert_eq!(joined.status.code(), Some(4), "{}", joined.stderr);
    assert!(joined.stderr.contains("PST-P01"), "{}", joined.stderr);
    scene
        .squid
        .wait_for_access("the refusal", |line| {
            line.status == 403 && line.target == scene.target()
        })
        .unwrap();
    assert!(!device.folder.path().join("desired").exists());
}

#[test]
fn b02_device_with_the_right_password_applies() {
    let Some(scene) = scene("B02", Kind::Basic, NAME).unwrap() else {
        return;
    };
    let settings = scene.behind().with_secret("proxy.secret");
    let secret = format!("{BASIC_USER}:{BASIC_PASSWORD}\n");
    let (mut device, joined) = scene
        .fleet
        .try_join("hall-1", &settings, |folder| {
            folder.write("proxy.secret", &secret)
        })
        .unwrap();
    assert!(joined.status.success(), "{}", joined.stderr);
    scene.assert_works(&mut device).unwrap();
    device.daemon.terminate().unwrap();
    scene
        .squid
        .wait_for_access("alice's tunnel", |line| {
            line.user.as_deref() == Some(BASIC_USER)
        })
        .unwrap();
    let log = device.daemon.log();
    assert!(!log.contains(BASIC_PASSWORD), "{log}");
}

#[test]
fn a06_wrong_password_is_tried_once_and_a_corrected_one_at_once() {
    let Some(scene) = scene("A06", Kind::Basic, NAME).unwrap() else {
        return;
    };
    let settings = scene.behind().with_secret("proxy.secret");
    let secret = format!("{BASIC_USER}:{BASIC_PASSWORD}\n");
    let (mut device, joined) = scene
        .fleet
        .try_join("hall-1", &settings, |folder| {
            folder.write("proxy.secret", &secret)
        })
        .unwrap();
    assert!(joined.status.success(), "{}", joined.stderr);
    let wrong = format!("{BASIC_USER}:wrong\n");
    device.folder.write("proxy.secret", wrong).unwrap();
    device.daemon.start().unwrap();
    device.wait_count("failures", "PST-P03", 3).unwrap();
    // Squid names the user on a rejected password; a 407 without credentials has none.
    let rejections = |squid: &Squid| {
        let lines = squid.access_log().into_iter();
        lines
            .filter(|line| line.status == 407 && line.user.is_some())
            .count()
    };
    assert_eq!(
        rejections(&scene.squid),
        1,
        "{:?}",
        scene.squid.access_log()
    );
    device.folder.write("proxy.secret", &secret).unwrap();
    let revision = scene.fleet.set("hall-1", "fan/speed", "3").unwrap();
    device.wait_applied(revision).unwrap();
    assert_eq!(
        rejections(&scene.squid),
        1,
        "{:?}",
        scene.squid.access_log()
    );
}

#[test]
fn a06_wrong_password_is_not_tried_again_after_a_restart() {
    let Some(scene) = scene("A06 restart", Kind::Basic, NAME).unwrap() else {
        return;
    };
    let settings = scene.behind().with_secret("proxy.secret");
    let wrong = format!("{BASIC_USER}:wrong\n");
    let (mut device, joined) = scene
        .fleet
        .try_join("hall-1", &settings, |folder| {
            folder.write("proxy.secret", format!("{BASIC_USER}:{BASIC_PASSWORD}\n"))
        })
        .unwrap();
    assert!(joined.status.success(), "{}", joined.stderr);
    device.folder.write("proxy.secret", wrong).unwrap();
    for _start in 0..3 {
        device.daemon.start().unwrap();
        // Counted since the start: this process was refused, by the proxy or by its own record.
        device
            .wait_for("a refusal of this process", |folder| {
                (folder.status()["connected"] == false && folder.count("failures", "PST-P03") >= 2)
                    .then(|| std::fs::remove_file(folder.path().join("status.json")))
            })
            .unwrap()
            .unwrap();
        device.daemon.kill_9().unwrap();
    }
    let lines = scene.squid.access_log();
    let shown = |line: &&AccessLine| line.status == 407 && line.user.is_some();
    assert_eq!(lines.iter().filter(shown).count(), 1, "{lines:?}");
    assert!(device.folder.path().join("proxy.lockout").is_file());
    assert!(!device.daemon.log().contains("wrong"));
}

#[test]
fn b08_device_behind_an_inspecting_proxy_applies_over_http_1() {
    let Some(scene) = scene("B08", Kind::Bump, NAME).unwrap() else {
        return;
    };
    let (mut device, joined) = scene
        .fleet
        .try_join("hall-1", &scene.behind().trusting("corp.pem"), |folder| {
            folder.write("corp.pem", &scene.pki.corp_ca_pem)
        })
        .unwrap();
    assert!(joined.status.success(), "{}", joined.stderr);
    scene.assert_works(&mut device).unwrap();
    // The inner request is readable to the proxy: it is POST over HTTP/1.1, and every answer was 200.
    let lines = scene.squid.access_log();
    let inner: Vec<_> = lines.iter().filter(|line| line.method == "POST").collect();
    assert!(inner.len() > 2, "{lines:?}");
    assert!(inner.iter().all(|line| line.status == 200), "{lines:?}");
}

#[test]
fn b08_inspecting_proxy_that_is_not_trusted_is_refused_by_the_name_of_its_issuer() {
    let Some(scene) = scene("B08 untrusted", Kind::Bump, NAME).unwrap() else {
        return;
    };
    let (device, joined) = scene
        .fleet
        .try_join("hall-1", &scene.behind(), |_| Ok(()))
        .unwrap();
    assert_eq!(joined.status.code(), Some(4), "{}", joined.stderr);
    assert!(joined.stderr.contains("PST-S01"), "{}", joined.stderr);
    assert!(
        joined.stderr.contains(Pki::CORP_AUTHORITY),
        "{}",
        joined.stderr
    );
    let lines = scene.squid.access_log();
    assert!(lines.iter().all(|line| line.method != "POST"), "{lines:?}");
    assert!(!device.folder.path().join("desired").exists());
}

#[test]
fn a28_required_proxy_that_is_down_lets_no_packet_past() {
    // This time the device could resolve the name and reach the port: the policy alone keeps it from doing so.
    let Some(mut scene) = scene("A28", Kind::Plain, "localhost").unwrap() else {
        return;
    };
    let mut device = scene.fleet.device("hall-1", &scene.behind()).unwrap();
    scene.assert_works(&mut device).unwrap();
    scene.fleet.controller.terminate().unwrap();
    let trap = TcpListener::bind(scene.fleet.address()).unwrap();
    trap.set_nonblocking(true).unwrap();
    scene.squid.process().kill_9().unwrap();
    // Whatever was tried while the proxy ended came through the proxy; empty the queue, then count.
    while trap.accept().is_ok() {}
    let before = device.folder.count("failures", "PST-T01");
    device
        .wait_count("failures", "PST-T01", before + 3)
        .unwrap();
    assert!(trap.accept().is_err(), "a direct connection was tried");
    drop(trap);
    scene.fleet.controller.start().unwrap();
    scene.squid.restart().unwrap();
    let revision = scene.fleet.set("hall-1", "fan/speed", "4").unwrap();
    device.wait_applied(revision).unwrap();
}
