//! Devices written from the specification alone hold live sessions with the real controller and the real relay, through
//! proxies that break TLS open: all comes together, what was changed on the way is refused, and a way that broke is
//! taken again.
//!
//! ```text
//!  device in Python or JavaScript ──CONNECT──▶ Squid | mitmproxy | Inspector ──TLS──▶ postern-relay | postern
//! ```
//!
//! Without an interpreter, its packages, a proxy or the release binaries each test says that it is skipped.

use std::net::SocketAddr;
use std::path::PathBuf;

use postern_lab::doors::{Door, Package, Program, Spot, Unpacked};
use postern_lab::{
    Fleet, Folder, Implementation, Inspector, Kind, LabError, Language, Pki, Plan, Relay, Squid,
    Stranger, Tree, Trick,
};
use serde_json::{Value, json};

/// A name that only an inspector resolves.
const NAME: &str = "controller.test";
const DEVICE: &str = "hall-1";
const PATH: &str = "fan/speed";

/// Decides a speed and waits until the controller holds the device's word that it is so.
fn settle(fleet: &Fleet, device: &Stranger, speed: u64) -> Result<Value, LabError> {
    fleet.set(DEVICE, PATH, &speed.to_string())?;
    let status = fleet.wait_converged(DEVICE)?;
    assert_eq!(device.value(PATH), Some(json!(speed)));
    assert_eq!(status.get("rejects"), Some(&json!([])));
    Ok(status)
}

/// Writes the authority of a proxy where a device can read it.
fn write_authority(fleet: &Fleet, pki: &Pki) -> Result<PathBuf, LabError> {
    let file = fleet.path().join("corp.pem");
    std::fs::write(&file, &pki.corp_ca_pem).map_err(LabError::io("write the authority"))?;
    Ok(file)
}

/// One bit of every answer is flipped while a decision waits, then the connections are cut, then the device is killed.
fn refuses_what_was_changed(language: Language, scenario: &str) -> Result<(), LabError> {
    let Some(implementation) = Implementation::find_or_skip(scenario, language)? else {
        return Ok(());
    };
    let Some(fleet) = Fleet::start_or_skip(scenario, NAME)? else {
        return Ok(());
    };
    let pki = Pki::new(&[NAME])?;
    let authority = write_authority(&fleet, &pki)?;
    let inspector = Inspector::start(pki, &fleet.ca_pem()?, fleet.address())?;
    let mut device = implementation.join(&fleet, DEVICE, &inspector.url(), &authority)?;
    device.start()?;
    settle(&fleet, &device, 1)?;
    assert!(inspector.requests() > 2, "everything was read on the way");

    let counted = device.rejects("session-mac");
    inspector.play(Trick::FlipBit);
    fleet.set(DEVICE, PATH, "2")?;
    device.wait_for("a refused answer", |device| {
        (device.rejects("session-mac") > counted).then_some(())
    })?;
    assert_eq!(device.value(PATH), Some(json!(1)));
    assert!(inspector.played() > 0);
    inspector.play(Trick::Pass);
    fleet.wait_converged(DEVICE)?;
    assert_eq!(device.value(PATH), Some(json!(2)));

    inspector.cut();
    settle(&fleet, &device, 3)?;
    device.kill_9()?;
    fleet.set(DEVICE, PATH, "4")?;
    device.start()?;
    fleet.wait_converged(DEVICE)?;
    assert_eq!(device.value(PATH), Some(json!(4)));
    Ok(())
}

/// Through Squid to a relay; then Squid and the relay are killed one after the other, and everything goes on.
fn comes_back(language: Language, scenario: &str) -> Result<(), LabError> {
    let Some(implementation) = Implementation::find_or_skip(scenario, language)? else {
        return Ok(());
    };
    let Some(tree) = Tree::find_or_skip(scenario)? else {
        return Ok(());
    };
    let Some(fleet) = Fleet::start_dialling_or_skip(scenario)? else {
        return Ok(());
    };
    let Some(mut relay) = Relay::start_or_skip(scenario, &fleet)? else {
        return Ok(());
    };
    let pki = Pki::new(&["localhost"])?;
    let authority = write_authority(&fleet, &pki)?;
    let plan = Plan {
        kind: Kind::Bump,
        allowed_ports: &[relay.address().port()],
        names: &[],
        pki: &pki,
        trusted_pem: &relay.ca_pem()?,
    };
    let mut squid = Squid::start(&tree, &plan)?;
    let mut device = implementation.join(&fleet, DEVICE, &squid.url(), &authority)?;
    device.start()?;
    settle(&fleet, &device, 1)?;
    squid.wait_for_access("a request that it read", |line| line.method == "POST")?;

    squid.restart()?;
    settle(&fleet, &device, 2)?;
    relay.daemon.kill_9()?;
    relay.daemon.start()?;
    settle(&fleet, &device, 3)?;
    Ok(())
}

/// mitmproxy with the authority that it makes for itself. OpenSSL, which both devices use, wants certificates to name
/// the key of their issuer as the issuer does; mitmproxy names it by SHA-1, which the lab's own authority does not.
struct OwnAuthority {
    trusted_pem: String,
}

impl Program for OwnAuthority {
    const PACKAGE: Package = Package::Mitmproxy;

    fn configure(
        &self,
        _unpacked: &Unpacked,
        folder: &Folder,
        listen: SocketAddr,
    ) -> Result<Vec<String>, LabError> {
        let trusted = folder.write("trusted.pem", &self.trusted_pem)?;
        Ok(vec![
            format!("--listen-host={}", listen.ip()),
            format!("--listen-port={}", listen.port()),
            format!("--set=confdir={}", folder.path().display()),
            format!("--set=ssl_verify_upstream_trusted_ca={}", trusted.display()),
        ])
    }
}

/// Through mitmproxy, which holds each answer back until its end.
fn passes_mitmproxy(language: Language, scenario: &str) -> Result<(), LabError> {
    let Some(implementation) = Implementation::find_or_skip(scenario, language)? else {
        return Ok(());
    };
    if Package::Mitmproxy.find_or_skip(scenario)?.is_none() {
        return Ok(());
    }
    let Some(fleet) = Fleet::start_or_skip(scenario, "localhost")? else {
        return Ok(());
    };
    let door = Door::start(
        &OwnAuthority {
            trusted_pem: fleet.ca_pem()?,
        },
        Spot::loopback()?,
    )?;
    let authority = door.folder().path().join("mitmproxy-ca-cert.pem");
    let mut device = implementation.join(&fleet, DEVICE, &door.url(), &authority)?;
    device.start()?;
    for speed in 1..=3 {
        settle(&fleet, &device, speed)?;
    }
    assert!(door.log().contains("/postern/1"), "{}", door.log());
    Ok(())
}

#[test]
fn python_device_refuses_what_an_inspector_changed_and_goes_on() {
    refuses_what_was_changed(Language::Python, "python, inspector").unwrap();
}

#[test]
fn javascript_device_refuses_what_an_inspector_changed_and_goes_on() {
    refuses_what_was_changed(Language::JavaScript, "javascript, inspector").unwrap();
}

#[test]
fn python_device_behind_an_inspecting_squid_comes_back_to_its_relay() {
    comes_back(Language::Python, "python, squid").unwrap();
}

#[test]
fn javascript_device_behind_an_inspecting_squid_comes_back_to_its_relay() {
    comes_back(Language::JavaScript, "javascript, squid").unwrap();
}

#[test]
fn python_device_converges_through_mitmproxy() {
    passes_mitmproxy(Language::Python, "python, mitmproxy").unwrap();
}

#[test]
fn javascript_device_converges_through_mitmproxy() {
    passes_mitmproxy(Language::JavaScript, "javascript, mitmproxy").unwrap();
}
