//! `postern doctor` in broken networks: what it prints is checked in under `tests/doctor/`, and kept true here.
//!
//! `POSTERN_TRANSCRIPTS=write cargo test -p postern-lab --test doctor` writes the transcripts anew; read the difference.

#[path = "doctor/settled.rs"]
mod settled;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use postern_lab::netns::{CONTROLLER, Namespace, Site};
use postern_lab::wire::Shape;
use postern_lab::{
    BASIC_USER, Device, DeviceSettings, Finished, Fleet, Inspector, Kind, LabError, Pki, Plan,
    Squid, Tree, Trick, free_address,
};

use settled::settled;

/// Only the proxies resolve this name.
const NAME: &str = "controller.test";

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/doctor/{name}.txt"))
}

/// Compares what a command printed, and how it ended, with the transcript of that name.
fn compare(name: &str, printed: &Finished, replaced: &[(String, &str)]) -> Result<(), LabError> {
    let code = printed.status.code();
    let found = format!(
        "{}exit code {}\n",
        settled(&printed.stdout, replaced),
        code.map_or("none".into(), |code| code.to_string())
    );
    let file = file(name);
    if std::env::var_os("POSTERN_TRANSCRIPTS").is_some_and(|word| word == "write") {
        std::fs::write(&file, &found).map_err(LabError::io("write a transcript"))?;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, expected, "{}\n{}", file.display(), printed.stderr);
    Ok(())
}

/// A controller, and a device that has joined it on a network without obstacles.
struct Scene {
    fleet: Fleet,
    device: Device,
}

impl Scene {
    fn make(scenario: &str) -> Result<Option<Self>, LabError> {
        let Some(fleet) = Fleet::start_or_skip(scenario, "localhost")? else {
            return Ok(None);
        };
        let device = fleet.device("hall-1", &DeviceSettings::direct())?;
        Ok(Some(Self { fleet, device }))
    }

    /// The port of the controller, the folder, and others that a scenario has.
    fn replaced<'a>(&self, more: &[(String, &'a str)]) -> Vec<(String, &'a str)> {
        let mut all = vec![
            (self.device.folder.path().display().to_string(), "DIR"),
            (self.fleet.address().port().to_string(), "PORT"),
        ];
        all.extend_from_slice(more);
        all
    }

    /// Puts the device behind something, and asks the doctor.
    fn check(
        &self,
        name: &str,
        settings: &DeviceSettings,
        more: &[(String, &str)],
        words: &[&str],
    ) -> Result<(), LabError> {
        self.device.folder.configure(settings)?;
        let printed = self.doctor(words)?;
        compare(name, &printed, &self.replaced(more))
    }

    fn doctor(&self, words: &[&str]) -> Result<Finished, LabError> {
        self.fleet
            .on_device(&self.device, &[&["doctor"], words].concat())
    }

    fn squid(
        &self,
        scenario: &str,
        kind: Kind,
        ports: &[u16],
    ) -> Result<Option<(Squid, Pki)>, LabError> {
        let Some(tree) = Tree::find_or_skip(scenario)? else {
            return Ok(None);
        };
        let pki = Pki::new(&["localhost"])?;
        let plan = Plan {
            kind,
            allowed_ports: ports,
            names: &[NAME],
            pki: &pki,
            trusted_pem: &self.fleet.ca_pem()?,
        };
        Ok(Some((Squid::start(&tree, &plan)?, pki)))
    }
}

fn port(squid: &Squid) -> (String, &'static str) {
    let url = squid.url();
    (
        url.rsplit(':').next().unwrap_or_default().to_owned(),
        "PROXY",
    )
}

#[test]
fn doctor_finds_the_open_way_and_the_controller_that_is_down() {
    let Some(mut scene) = Scene::make("doctor direct").unwrap() else {
        return;
    };
    scene
        .check("direct", &DeviceSettings::direct(), &[], &["--deep"])
        .unwrap();
    scene.fleet.controller.terminate().unwrap();
    scene
        .check("nobody-listens", &DeviceSettings::direct(), &[], &[])
        .unwrap();
}

#[test]
fn doctor_of_a_running_device_looks_from_that_device() {
    let Some(mut scene) = Scene::make("doctor running").unwrap() else {
        return;
    };
    scene.device.daemon.start().unwrap();
    let printed = scene.doctor(&["--json"]).unwrap();
    let report: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(report["by"], "running device", "{}", printed.stderr);
    assert_eq!(report["verdict"]["state"], "ok");
    assert_eq!(report["targets"][0]["ways"][0]["answerer"], "listed");
    assert!(report["network"]["id"].is_string() && report["clock"]["source"].is_string());
    // What the device does is not disturbed by being looked at.
    let revision = scene.fleet.set("hall-1", "fan/speed", "3").unwrap();
    scene.device.wait_applied(revision).unwrap();
}

#[test]
fn running_device_tells_its_holds_and_its_last_attempts() {
    let Some(mut scene) = Scene::make("doctor behind a proxy").unwrap() else {
        return;
    };
    let allowed = [scene.fleet.address().port()];
    let Some((squid, _pki)) = scene
        .squid("doctor behind a proxy", Kind::Plain, &allowed)
        .unwrap()
    else {
        return;
    };
    let behind = DeviceSettings::behind(squid.url());
    scene.device.folder.configure(&behind).unwrap();
    scene.device.daemon.start().unwrap();
    let revision = scene.fleet.set("hall-1", "fan/speed", "3").unwrap();
    scene.device.wait_applied(revision).unwrap();
    scene
        .check("running", &behind, &[port(&squid)], &["--deep"])
        .unwrap();
    let bundle = scene.device.folder.path().join("support.tar");
    scene
        .doctor(&["--bundle", bundle.to_str().unwrap()])
        .unwrap();
    let text = String::from_utf8_lossy(&std::fs::read(&bundle).unwrap()).into_owned();
    for part in ["attempts.txt", "status.json", "\"took_ms\"", "\"hold\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let words = ["device", "status", "--attempts", "--json"];
    let printed = scene.fleet.on_device(&scene.device, &words).unwrap();
    let attempts: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    let first = &attempts["attempts"][0];
    assert_eq!(first["route"], "proxy", "{}", printed.stdout);
    assert_eq!(
        (&first["stage"], first["code"].is_null()),
        (&"exchange".into(), true)
    );
    scene.device.daemon.terminate().unwrap();
    let printed = scene.fleet.on_device(&scene.device, &words).unwrap();
    assert_eq!(printed.status.code(), Some(3), "{}", printed.stderr);
}

#[test]
fn doctor_names_a_host_that_nobody_knows() {
    let Some(scene) = Scene::make("doctor name").unwrap() else {
        return;
    };
    let url = ["--url", "https://controller.invalid:8443"];
    scene
        .check("name-unknown", &DeviceSettings::direct(), &[], &url)
        .unwrap();
}

#[test]
fn doctor_names_a_port_that_speaks_no_tls_and_a_proxy_that_is_none() {
    let Some(scene) = Scene::make("doctor plain").unwrap() else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        // One connection for each of the two looks.
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 64];
            let _some = stream.read(&mut head).unwrap();
            let _gone = stream.write_all(b"220 mail.test ESMTP\r\n");
        }
    });
    let replaced = [(plain.port().to_string(), "PLAIN")];
    let url = format!("https://{plain}");
    scene
        .check(
            "plain-text",
            &DeviceSettings::direct(),
            &replaced,
            &["--url", &url],
        )
        .unwrap();
    let proxy = DeviceSettings::behind(format!("http://{plain}"));
    scene
        .check("no-proxy-there", &proxy, &replaced, &[])
        .unwrap();
    server.join().unwrap();
}

#[test]
fn doctor_names_a_proxy_that_is_down() {
    let Some(scene) = Scene::make("doctor proxy down").unwrap() else {
        return;
    };
    let nobody = free_address().unwrap();
    let replaced = [(nobody.port().to_string(), "PROXY")];
    let proxy = DeviceSettings::behind(format!("http://{nobody}"));
    scene.check("proxy-down", &proxy, &replaced, &[]).unwrap();
}

#[test]
fn doctor_names_the_port_that_a_proxy_does_not_allow() {
    let Some(scene) = Scene::make("doctor proxy port").unwrap() else {
        return;
    };
    let Some((squid, _pki)) = scene.squid("doctor proxy port", Kind::Plain, &[1]).unwrap() else {
        return;
    };
    let behind = DeviceSettings::behind(squid.url());
    scene
        .check("proxy-refuses-port", &behind, &[port(&squid)], &[])
        .unwrap();
}

#[test]
fn doctor_names_credentials_that_are_missing_or_wrong_and_prints_none() {
    let Some(scene) = Scene::make("doctor proxy password").unwrap() else {
        return;
    };
    let allowed = [scene.fleet.address().port()];
    let Some((squid, _pki)) = scene
        .squid("doctor proxy password", Kind::Basic, &allowed)
        .unwrap()
    else {
        return;
    };
    let behind = DeviceSettings::behind(squid.url());
    scene
        .check("proxy-credentials-missing", &behind, &[port(&squid)], &[])
        .unwrap();
    let secret = format!("{BASIC_USER}:wrong-horse\n");
    scene.device.folder.write("proxy.secret", secret).unwrap();
    let behind = behind.with_secret("proxy.secret");
    scene
        .check("proxy-password-wrong", &behind, &[port(&squid)], &[])
        .unwrap();
    // A second look sends the same password to nobody.
    scene
        .check("proxy-password-locked", &behind, &[port(&squid)], &[])
        .unwrap();
    let bundle = scene.device.folder.path().join("support.tar");
    let words = ["--bundle", bundle.to_str().unwrap()];
    let printed = scene.doctor(&words).unwrap();
    let bytes = std::fs::read(&bundle).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    for whole in [&text, &printed.stdout, &printed.stderr] {
        assert!(!whole.contains("wrong-horse") && !whole.contains(BASIC_USER));
    }
    assert!(text.contains("PST-P03"), "{text}");
    let again = scene.doctor(&words).unwrap();
    assert_eq!(again.status.code(), Some(3), "{}", again.stderr);
}

#[test]
fn doctor_names_who_inspects_tls() {
    let Some(scene) = Scene::make("doctor inspection").unwrap() else {
        return;
    };
    let allowed = [scene.fleet.address().port()];
    let Some((squid, pki)) = scene
        .squid("doctor inspection", Kind::Bump, &allowed)
        .unwrap()
    else {
        return;
    };
    let behind = DeviceSettings::behind(squid.url());
    scene
        .check("inspected-untrusted", &behind, &[port(&squid)], &[])
        .unwrap();
    // What the doctor saves, and nothing else, makes the inspector's certificates good.
    let issuer = scene.device.folder.path().join("corp.pem");
    let save = ["--save-issuer", issuer.to_str().unwrap()];
    let printed = scene.doctor(&save).unwrap();
    assert_eq!(printed.status.code(), Some(4), "{}", printed.stderr);
    assert!(
        printed.stderr.contains("NOT verified"),
        "{}",
        printed.stderr
    );
    let saved = std::fs::read_to_string(&issuer).unwrap();
    assert_eq!(saved.trim(), pki.corp_ca_pem.trim());
    let again = scene.doctor(&save).unwrap();
    assert_eq!(again.status.code(), Some(3), "{}", again.stderr);
    let trusting = behind.trusting("corp.pem");
    let other = scene.device.folder.path().join("other.pem");
    scene
        .check("inspected", &trusting, &[port(&squid)], &["--deep"])
        .unwrap();
    let save = ["--save-issuer", other.to_str().unwrap()];
    let printed = scene.doctor(&save).unwrap();
    assert_eq!(printed.status.code(), Some(3), "{}", printed.stderr);
    assert!(!other.exists());
}

/// A device in a site of namespaces, whose controller is outside under its address. What ends first stands last.
fn in_site(
    scenario: &str,
    make: impl FnOnce() -> Result<Site, LabError>,
) -> Result<Option<(Site, Fleet, Device)>, LabError> {
    if Namespace::possible_or_skip(scenario)?.is_none() {
        return Ok(None);
    }
    let site = make()?;
    let listen = SocketAddr::new(CONTROLLER, 443);
    let url = format!("https://{CONTROLLER}");
    let Some(fleet) = Fleet::start_outside_or_skip(scenario, &site, listen, &url)? else {
        return Ok(None);
    };
    let device = fleet.device("hall-1", &DeviceSettings::direct())?;
    Ok(Some((site, fleet, device)))
}

#[test]
fn doctor_names_an_interface_that_carries_small_packets_only() {
    let Some((site, fleet, device)) = in_site("doctor small packets", Site::make).unwrap() else {
        return;
    };
    let small = ["link", "set", "eth0", "mtu", "1100"];
    site.device.ip(&small).unwrap();
    let printed = fleet.on_device(&device, &["doctor", "--deep"]).unwrap();
    compare("small-packets", &printed, &[]).unwrap();
}

#[test]
fn doctor_names_a_firewall_that_drops_or_rejects_udp() {
    let Some((site, fleet, device)) = in_site("doctor UDP", Site::make).unwrap() else {
        return;
    };
    for (name, rule) in [
        ("udp-dropped", "meta l4proto udp counter drop"),
        (
            "udp-rejected",
            "meta l4proto udp counter reject with icmpx admin-prohibited",
        ),
    ] {
        site.rule(rule).unwrap();
        let printed = fleet.on_device(&device, &["doctor"]).unwrap();
        compare(name, &printed, &[]).unwrap();
    }
}

/// Packets of 1280 bytes pass everywhere but here, and larger ones are not sent.
#[test]
fn doctor_names_a_path_that_swallows_large_packets() {
    let shape = Shape {
        mtu: 1_240,
        seed: 1,
        ..Shape::default()
    };
    let make = || Site::make_behind(shape);
    let Some((_site, fleet, device)) = in_site("doctor black hole", make).unwrap() else {
        return;
    };
    let printed = fleet.on_device(&device, &["doctor", "--deep"]).unwrap();
    compare("large-packets-lost", &printed, &[]).unwrap();
}

#[test]
fn doctor_names_a_block_page_in_the_mailboxs_place() {
    let Some(scene) = Scene::make("doctor block page").unwrap() else {
        return;
    };
    let pki = Pki::new(&["localhost"]).unwrap();
    scene
        .device
        .folder
        .write("corp.pem", &pki.corp_ca_pem)
        .unwrap();
    let trusted = scene.fleet.ca_pem().unwrap();
    let inspector = Inspector::start(pki, &trusted, scene.fleet.address()).unwrap();
    inspector.play(Trick::BlockPage);
    let settings = DeviceSettings::behind(inspector.url()).trusting("corp.pem");
    let url = inspector.url();
    let port = url.rsplit(':').next().unwrap().to_owned();
    scene
        .check("block-page", &settings, &[(port, "PROXY")], &[])
        .unwrap();
}
