//! Group C: firewalls, portals and inspectors of a site, in network namespaces.

use std::net::SocketAddr;

use super::load::{self, Load};
use super::scene::{
    HALL, NAME, SOME, Scene, carry, have, join, pki, set_to_applied, start_to_applied, url_of,
};
use super::{Outcome, ScenarioError, expect};
use crate::clock::Moment;
use crate::doors::{Delivery, Door, Mitmproxy, Nginx, Package, Spot};
use crate::netns::{CONTROLLER, FIREWALL_INSIDE, PROXY, RELAY};
use crate::{DeviceSettings, Kind, Plan, Relay, Tree, wait};

/// Milliseconds from the start of a device to its first applied message, behind the only proxy.
const COLD_MS_MAX: u64 = 3_000;
/// The same for a device that knows its way.
const WARM_MS_MAX: u64 = 500;
/// Milliseconds that a black hole may add to a start: 250 until the next address is tried, and room for a connection.
const PENALTY_MS_MAX: u64 = 300;
/// Milliseconds by which a start is measured late at worst: the looks at its two ends.
const LOOKS_MS: u64 = 2 * wait::STEP_MS;
/// Milliseconds from the start until HTTPS is used where UDP is not let through.
const HTTPS_MS_MAX: u64 = 1_500;
/// Milliseconds within which a message goes by another route once UDP died.
const SWITCH_MS_MAX: u64 = 12_000;
/// Milliseconds within which a message goes by the relay once the controller is not reached.
const RELAY_MS_MAX: u64 = 8_000;
/// Milliseconds within which a message passes once the portal opened.
const OPENED_MS_MAX: u64 = 5_000;

pub(super) fn c01(id: &'static str) -> Outcome {
    let Some(tree) = Tree::find_or_skip(id)? else {
        return Ok(None);
    };
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    let pki = pki()?;
    let plan = Plan {
        kind: Kind::Plain,
        allowed_ports: &[443],
        names: &[NAME],
        pki: &pki,
        trusted_pem: "",
    };
    let _squid = scene.squid(&tree, &plan)?;
    scene.site.only(PROXY, 3128)?;
    let settings = DeviceSettings::behind(url_of(PROXY, 3128));
    let mut device = join(&scene.fleet, &settings, &[])?;
    let cold_ms = start_to_applied(&scene.fleet, &mut device, "1")?;
    let report = load::drive(&scene.fleet, &mut device, &Load::of(SOME), |_progress| {
        Ok(())
    })?;
    device.daemon.kill_9()?;
    let warm_ms = start_to_applied(&scene.fleet, &mut device, "2")?;
    let numbers = format!("cold {cold_ms} ms, warm {warm_ms} ms, {report}");
    expect(cold_ms < COLD_MS_MAX && warm_ms < WARM_MS_MAX, || {
        format!("cold below {COLD_MS_MAX} ms and warm below {WARM_MS_MAX} ms: {numbers}")
    })?;
    Ok(Some(numbers))
}

/// What is done to UDP, and what a device then makes of it.
fn without_udp(id: &'static str, rule: &str) -> Outcome {
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    scene.resolve()?;
    scene.site.rule(rule)?;
    let mut device = join(&scene.fleet, &DeviceSettings::direct(), &[])?;
    let cold_ms = start_to_applied(&scene.fleet, &mut device, "1")?;
    let report = load::drive(&scene.fleet, &mut device, &Load::of(SOME), |_progress| {
        Ok(())
    })?;
    let numbers = format!("applied {cold_ms} ms after start, {report}");
    expect(cold_ms < HTTPS_MS_MAX, || {
        format!("below {HTTPS_MS_MAX} ms: {numbers}")
    })?;
    let tried = scene.site.counted()?;
    expect(tried > 0, || "no UDP was ever sent".to_owned())?;
    Ok(Some(format!("{numbers}, {tried} UDP packets refused")))
}

pub(super) fn c02(id: &'static str) -> Outcome {
    without_udp(id, "meta l4proto udp counter drop")
}

pub(super) fn c03(id: &'static str) -> Outcome {
    without_udp(
        id,
        "meta l4proto udp counter reject with icmpx admin-prohibited",
    )
}

pub(super) fn c04(id: &'static str) -> Outcome {
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    scene.resolve()?;
    let mut device = join(&scene.fleet, &DeviceSettings::direct(), &[])?;
    start_to_applied(&scene.fleet, &mut device, "1")?;
    device.wait_for("QUIC to be used", |folder| {
        let route = folder.status().get("route")?.as_str()?.to_owned();
        route.contains("quic").then_some(())
    })?;
    scene.site.rule("meta l4proto udp counter drop")?;
    let switch_ms = set_to_applied(&scene.fleet, &mut device, "2")?;
    let report = load::drive(&scene.fleet, &mut device, &Load::of(SOME), |_progress| {
        Ok(())
    })?;
    expect(switch_ms <= SWITCH_MS_MAX, || {
        format!("another route within {SWITCH_MS_MAX} ms, not {switch_ms} ms")
    })?;
    Ok(Some(format!(
        "another route after {switch_ms} ms, {report}"
    )))
}

pub(super) fn c05(id: &'static str) -> Outcome {
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    scene.resolve()?;
    let mut device = join(&scene.fleet, &DeviceSettings::direct(), &[])?;
    start_to_applied(&scene.fleet, &mut device, "0")?;
    let mut best = |scene: &Scene, first: u32| -> Result<u64, ScenarioError> {
        let mut times = Vec::new();
        for number in first..first + 5 {
            device.daemon.kill_9()?;
            times.push(start_to_applied(
                &scene.fleet,
                &mut device,
                &number.to_string(),
            )?);
        }
        Ok(times.into_iter().min().unwrap_or(u64::MAX))
    };
    let v4_ms = best(&scene, 1)?;
    let both = format!("fd99:2::3 {NAME}\n{CONTROLLER} {NAME}");
    scene.site.know(&both, "")?;
    scene.site.rule("ip6 daddr fd99:2::/64 counter drop")?;
    let both_ms = best(&scene, 11)?;
    let tried = scene.site.counted()?;
    let numbers =
        format!("IPv4 alone {v4_ms} ms, IPv6 swallowed {both_ms} ms, {tried} packets swallowed");
    expect(tried > 0, || format!("IPv6 was never tried: {numbers}"))?;
    expect(both_ms <= v4_ms + PENALTY_MS_MAX + LOOKS_MS, || {
        format!("at most {PENALTY_MS_MAX} ms more: {numbers}")
    })?;
    Ok(Some(numbers))
}

pub(super) fn c10(id: &'static str) -> Outcome {
    if !have(id, &[Package::Mitmproxy])? {
        return Ok(None);
    }
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    scene.resolve()?;
    let pki = pki()?;
    let inspector = Mitmproxy {
        pki: &pki,
        trusted_pem: &scene.fleet.ca_pem()?,
        delivery: Delivery::AtEnd,
        is_transparent: true,
    };
    let spot = Spot {
        listen: SocketAddr::new(FIREWALL_INSIDE, 8080),
        namespace: Some(&scene.site.firewall),
    };
    let _door = Door::start(&inspector, spot)?;
    scene.site.intercept(443, 8080)?;
    // Refused without the authority: nothing but a handshake leaves.
    let (device, joined) = scene.fleet.try_join(HALL, &tcp_only(), |_f| Ok(()))?;
    expect(joined.stderr.contains("PST-S01"), || {
        format!("an unknown issuer is PST-S01, not: {}", joined.stderr)
    })?;
    drop(device);
    std::fs::remove_dir_all(scene.fleet.path().join(HALL))
        .map_err(crate::LabError::io("remove the refused device"))?;
    let settings = tcp_only().trusting("corp.pem");
    let files = [("corp.pem", pki.corp_ca_pem.as_str())];
    let (_device, numbers) = carry(&scene.fleet, &settings, &files)?;
    Ok(Some(format!(
        "PST-S01 without the authority; with it {numbers}"
    )))
}

/// A device that does not go by UDP round what is done to TCP.
pub(super) fn tcp_only() -> DeviceSettings {
    DeviceSettings::direct().with_tables("[transport]\nquic = false\n")
}

pub(super) fn c11(id: &'static str) -> Outcome {
    if !have(id, &[Package::Nginx])? {
        return Ok(None);
    }
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    scene.resolve()?;
    let pki = pki()?;
    let spot = Spot {
        listen: SocketAddr::new(FIREWALL_INSIDE, 8443),
        namespace: Some(&scene.site.firewall),
    };
    let _portal = Door::start(&Nginx::Portal { pki: &pki }, spot)?;
    // The portal's authority is trusted: only signatures tell its page from the controller.
    let settings = DeviceSettings::direct().trusting("portal.pem");
    let files = [("portal.pem", pki.origin_ca_pem.as_str())];
    let mut device = join(&scene.fleet, &settings, &files)?;
    let cold_ms = start_to_applied(&scene.fleet, &mut device, "1")?;
    device.daemon.kill_9()?;
    scene.site.capture(8443)?;
    let revision = scene.fleet.set(HALL, "start/value", "2")?;
    device.daemon.launch()?;
    let seen = device.wait_for("the portal to be noticed", refusals)?;
    let applied = device.folder.revision("applied");
    expect(applied < Some(revision), || {
        "a portal's page was believed".to_owned()
    })?;
    scene.site.open()?;
    let opened = Moment::now();
    device.wait_applied(revision)?;
    let opened_ms = opened.elapsed_ms();
    let numbers = format!(
        "start {cold_ms} ms; portal seen as {seen}; applied {opened_ms} ms after it opened"
    );
    expect(opened_ms <= OPENED_MS_MAX, || {
        format!("within {OPENED_MS_MAX} ms: {numbers}")
    })?;
    Ok(Some(numbers))
}

/// Returns what was counted of answers that are no messages, once there are some.
fn refusals(folder: &crate::DeviceFolder) -> Option<String> {
    let status = folder.status();
    let refused = status.get("rejected")?.as_object()?;
    (!refused.is_empty()).then(|| serde_json::Value::from(refused.clone()).to_string())
}

pub(super) fn c12(id: &'static str) -> Outcome {
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    scene.resolve()?;
    scene.site.limit_connections(3)?;
    let (_device, numbers) = carry(&scene.fleet, &tcp_only(), &[])?;
    let refused = scene.site.counted()?;
    Ok(Some(format!("{numbers}, {refused} connections reset")))
}

pub(super) fn c13(id: &'static str) -> Outcome {
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    let names = format!("{CONTROLLER} {NAME}\n{RELAY} relay.test");
    scene.site.know(&names, &names)?;
    let listen = SocketAddr::new(RELAY, 443);
    let url = "https://relay.test";
    let relay = Relay::start_outside_or_skip(id, &scene.fleet, &scene.site, listen, url)?;
    let Some(relay) = relay else { return Ok(None) };
    let settings = DeviceSettings::direct().trusting("relay-ca.pem");
    let ca = relay.ca_pem()?;
    let mut device = join(&scene.fleet, &settings, &[("relay-ca.pem", &ca)])?;
    start_to_applied(&scene.fleet, &mut device, "1")?;
    // Only devices are cut off; the controller still reaches its relay.
    scene.site.drop_host(CONTROLLER)?;
    let relay_ms = set_to_applied(&scene.fleet, &mut device, "2")?;
    let report = load::drive(&scene.fleet, &mut device, &Load::of(SOME), |_progress| {
        Ok(())
    })?;
    let numbers = format!("by the relay after {relay_ms} ms, {report}");
    expect(relay_ms <= RELAY_MS_MAX, || {
        format!("within {RELAY_MS_MAX} ms: {numbers}")
    })?;
    Ok(Some(numbers))
}

pub(super) fn c15(id: &'static str) -> Outcome {
    let Some(tree) = Tree::find_or_skip(id)? else {
        return Ok(None);
    };
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    let wpad = format!("{CONTROLLER} {NAME}\n{PROXY} wpad wpad.corp.test proxy");
    scene.site.know(&wpad, "")?;
    scene.site.device.etc(
        "resolv.conf",
        &format!("nameserver {PROXY}\nsearch corp.test\n"),
    )?;
    let pki = pki()?;
    let plan = Plan {
        kind: Kind::Plain,
        allowed_ports: &[443],
        names: &[NAME],
        pki: &pki,
        trusted_pem: "",
    };
    let _squid = scene.squid(&tree, &plan)?;
    scene.site.count(&format!("ip daddr {PROXY}"))?;
    let (_device, numbers) = carry(&scene.fleet, &DeviceSettings::direct(), &[])?;
    let sent = scene.site.counted()?;
    expect(sent == 0, || {
        format!("{sent} packets went to the rogue host")
    })?;
    Ok(Some(format!("{numbers}, 0 packets to the rogue host")))
}
