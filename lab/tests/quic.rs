//! Devices and controllers that have nothing but UDP: what they do over QUIC with the real servers, and how they leave
//! a path that dies.
//!
//! No TCP listens at the URLs here, so that nothing can pass another way.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should end the test where it happened"
)]

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use postern_lab::{Device, DeviceFolder, DeviceSettings, Fleet, Relay, UdpFront};
use serde_json::Value;

/// A fleet whose join lines lead to a port with UDP alone.
fn fleet(scenario: &str) -> Option<(Fleet, UdpFront)> {
    let (socket, address) = UdpFront::bind().unwrap();
    let fleet = Fleet::start_behind_or_skip(scenario, address).unwrap()?;
    let front = UdpFront::start(socket, fleet.address()).unwrap();
    Some((fleet, front))
}

fn route(device: &Device) -> Option<String> {
    let status = device.folder.status();
    status
        .get("route")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

#[test]
fn a02_device_joins_applies_and_reports_to_the_real_controller_over_quic() {
    let Some((fleet, front)) = fleet("A02 controller") else {
        return;
    };
    let mut device = fleet.device("hall-1", &DeviceSettings::direct()).unwrap();
    device.daemon.start().unwrap();
    for speed in ["3", "4"] {
        let revision = fleet.set("hall-1", "fan/speed", speed).unwrap();
        device.wait_applied(revision).unwrap();
        assert_eq!(device.folder.rendered("fan/speed").as_deref(), Some(speed));
        let status = fleet.wait_converged("hall-1").unwrap();
        assert_eq!(status.get("converged"), Some(&Value::from(true)));
    }
    assert_eq!(route(&device).as_deref(), Some("quic"));
    assert!(front.passed() > 20, "{}", front.passed());
}

#[test]
fn a02_device_and_controller_meet_at_the_real_relay_over_quic() {
    let Some(fleet) = Fleet::start_dialling_or_skip("A02 relay").unwrap() else {
        return;
    };
    let Some(relay) = Relay::start_quic_or_skip("A02 relay", &fleet).unwrap() else {
        return;
    };
    let ca = relay.ca_pem().unwrap();
    let settings = DeviceSettings::direct().trusting("relay-ca.pem");
    let prepare = |folder: &DeviceFolder| folder.write("relay-ca.pem", &ca);
    let (mut device, joined) = fleet.try_join("hall-1", &settings, prepare).unwrap();
    assert!(joined.status.success(), "{}", joined.stderr);
    device.daemon.start().unwrap();
    let revision = fleet.set("hall-1", "fan/speed", "3").unwrap();
    device.wait_applied(revision).unwrap();
    fleet.wait_converged("hall-1").unwrap();
    assert_eq!(route(&device).as_deref(), Some("quic"));
    let listed = fleet.must(&["controller", "relay", "list"]).unwrap();
    assert!(listed.contains("relay, connected"), "{listed}");
}

#[test]
fn c04_device_leaves_udp_that_died_for_https_and_loses_nothing() {
    let Some((fleet, front)) = fleet("C04") else {
        return;
    };
    // Holds longer than the test: only the path's own silence can tell.
    let settings = DeviceSettings {
        hold_s_max: Some(285),
        ..DeviceSettings::default()
    };
    let mut device = fleet.device("hall-1", &settings).unwrap();
    device.daemon.start().unwrap();
    let revision = fleet.set("hall-1", "fan/speed", "3").unwrap();
    device.wait_applied(revision).unwrap();
    assert_eq!(route(&device).as_deref(), Some("quic"));
    carry_tcp(front.address(), fleet.address()).unwrap();
    front.cut();
    let revision = fleet.set("hall-1", "fan/speed", "4").unwrap();
    device.wait_applied(revision).unwrap();
    assert_eq!(route(&device).as_deref(), Some("direct"));
    assert_eq!(device.folder.rendered("fan/speed").as_deref(), Some("4"));
    assert!(device.folder.count("failures", "PST-U09") >= 1);
}

#[test]
fn device_and_controller_that_are_told_not_to_use_quic_do_not() {
    let Some((fleet, front)) = fleet("QUIC off") else {
        return;
    };
    let settings = DeviceSettings::direct().with_tables("[transport]\nquic = false\n");
    let (_device, joined) = fleet.try_join("hall-1", &settings, |_| Ok(())).unwrap();
    assert!(!joined.status.success());
    assert!(joined.stderr.contains("PST-T01"), "{}", joined.stderr);
    assert!(!joined.stderr.contains("PST-U"), "{}", joined.stderr);
    assert_eq!(front.passed(), 0);
}

/// Carries TCP from one address to another from now on, for as long as the process runs.
fn carry_tcp(from: SocketAddr, to: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(from)?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || join(client, to));
        }
    });
    Ok(())
}

fn join(client: TcpStream, to: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(to)?;
    let (mut up, mut down) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut up, &mut &server));
    io::copy(&mut down, &mut &client).map(drop)
}
