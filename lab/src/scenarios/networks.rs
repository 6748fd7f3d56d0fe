//! Group C: firewalls, portals and inspectors of a site, in network namespaces.

use std::net::SocketAddr;
use std::path::Path;

use super::load::{self, Load, Progress};
use super::scene::{
    self, HALL, NAME, SOME, Scene, carry, have, join, pki, start_to_applied, url_of,
};
use super::{Outcome, ScenarioError, expect};
use crate::clock::Moment;
use crate::doors::{Delivery, Door, Mitmproxy, Nginx, Package, Spot};
use crate::netns::{CONTROLLER, FIREWALL_INSIDE, PROXY};
use crate::{DeviceFolder, DeviceSettings, Kind, LabError, Plan, Tree, wait};

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
/// Milliseconds after which an attempt over QUIC is over where nobody answers: its budget of 3 s, and a busy machine.
const QUIC_MS_MAX: u64 = 3_500;
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

/// What is done to UDP, and what a device then makes of it: HTTPS, and `code` as what it says of QUIC.
fn without_udp(id: &'static str, rule: &str, code: &str) -> Outcome {
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
    let ended = device.wait_for("an attempt over QUIC to end", |folder| {
        let ended = quic_codes(folder);
        (!ended.is_empty()).then_some(ended)
    })?;
    expect(ended.iter().all(|(seen, _took_ms)| seen == code), || {
        format!("QUIC ends with {code}, not {ended:?}")
    })?;
    let took_ms = ended.iter().map(|(_code, took_ms)| *took_ms).max();
    let took_ms = took_ms.unwrap_or(u64::MAX);
    expect(took_ms <= QUIC_MS_MAX, || {
        format!("QUIC is given up within {QUIC_MS_MAX} ms, not {took_ms} ms")
    })?;
    Ok(Some(format!(
        "{numbers}, {tried} UDP packets refused, QUIC {code} after {took_ms} ms"
    )))
}

/// Returns the code and the milliseconds of each attempt over QUIC that failed, as the device tells them.
fn quic_codes(folder: &DeviceFolder) -> Vec<(String, u64)> {
    let Ok(answer) = folder.ask("GET", "/v1/attempts", "") else {
        return Vec::new();
    };
    let told = answer.json();
    let attempts = told.get("attempts").and_then(serde_json::Value::as_array);
    let over_quic = attempts.into_iter().flatten();
    let over_quic = over_quic.filter(|one| one.get("route").is_some_and(|route| route == "quic"));
    let codes = over_quic.filter_map(|one| {
        let code = one.get("code")?.as_str()?.to_owned();
        Some((code, one.get("took_ms")?.as_u64()?))
    });
    codes.collect()
}

pub(super) fn c02(id: &'static str) -> Outcome {
    without_udp(id, "meta l4proto udp counter drop", "PST-U01")
}

pub(super) fn c03(id: &'static str) -> Outcome {
    let rule = "meta l4proto udp counter reject with icmpx admin-prohibited";
    without_udp(id, rule, "PST-U02")
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
        .map_err(LabError::io("remove the refused device"))?;
    let settings = tcp_only().trusting("corp.pem");
    let files = [("corp.pem", pki.corp_ca_pem.as_str())];
    let (device, numbers) = carry(&scene.fleet, &settings, &files)?;
    scene::expect_inspected(&device)?;
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
fn refusals(folder: &DeviceFolder) -> Option<String> {
    let status = folder.status();
    let refused = status.get("rejected")?.as_object()?;
    (!refused.is_empty()).then(|| serde_json::Value::from(refused.clone()).to_string())
}

/// An inspecting proxy speaks HTTP/1.1 to the device, so that a held poll and a post need a connection each.
pub(super) fn a21(id: &'static str) -> Outcome {
    let Some(tree) = Tree::find_or_skip(id)? else {
        return Ok(None);
    };
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    let pki = pki()?;
    let plan = Plan {
        kind: Kind::Bump,
        allowed_ports: &[443],
        names: &[NAME],
        pki: &pki,
        trusted_pem: &scene.fleet.ca_pem()?,
    };
    let _squid = scene.squid(&tree, &plan)?;
    let settings = DeviceSettings::behind(url_of(PROXY, 3128)).trusting("corp.pem");
    let files = [("corp.pem", pki.corp_ca_pem.as_str())];
    capped(&scene, 2, SocketAddr::new(PROXY, 3128), &settings, &files)
}

pub(super) fn c12(id: &'static str) -> Outcome {
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    scene.resolve()?;
    let place = SocketAddr::new(CONTROLLER, 443);
    capped(&scene, 3, place, &tcp_only(), &[])
}

/// A device whose site lets no more than `most` connections out, in use both ways: messages down, values up.
fn capped(
    scene: &Scene,
    most: u32,
    place: SocketAddr,
    settings: &DeviceSettings,
    files: &[(&str, &str)],
) -> Outcome {
    let mut device = join(&scene.fleet, settings, files)?;
    scene.site.limit_connections(most)?;
    crowd(scene, most, place)?;
    let crowded = scene.site.counted()?;
    expect(crowded > 0, || {
        format!("one connection above {most} is reset")
    })?;
    let cold_ms = start_to_applied(&scene.fleet, &mut device, "1")?;
    let (folder, mut written) = (device.folder.clone(), 0);
    let report = load::drive(
        &scene.fleet,
        &mut device,
        &Load::of(SOME),
        |progress: Progress| {
            if progress.applied > written {
                written = progress.applied;
                report(&folder, written)?;
            }
            Ok(())
        },
    )?;
    device.wait_for("the reports to be acknowledged", |folder| {
        let status = folder.status();
        (status.get("actual_acknowledged") == status.get("actual")).then_some(())
    })?;
    let refused = scene.site.counted()?.saturating_sub(crowded);
    let status = device.folder.status();
    let failures = status.get("failures").cloned().unwrap_or_default();
    let switches = status.pointer("/routes/switches").cloned();
    let switches = switches.unwrap_or_default();
    let numbers = format!(
        "first applied {cold_ms} ms after start, {report}, values reported meanwhile; {refused} connections reset, \
         failures {failures}"
    );
    let is_steady = switches.as_array().map(Vec::len) == Some(1)
        && switches.pointer("/0/count") == Some(&1.into())
        && failures.as_object().is_some_and(serde_json::Map::is_empty);
    expect(is_steady, || {
        format!("one way and no failure: {numbers}, switches {switches}")
    })?;
    Ok(Some(numbers))
}

/// Opens one connection more than the site lets out, all at the same time, and ends them.
fn crowd(scene: &Scene, most: u32, place: SocketAddr) -> Result<(), ScenarioError> {
    let (host, port) = (place.ip(), place.port());
    let opens = (0..=most).map(|n| format!("exec {}<>/dev/tcp/{host}/{port}\n", n + 3));
    let script: String = opens.collect();
    let mut command = scene.site.device.command(Path::new("bash"));
    let finished = command.args(["-c", &script]).output();
    finished.map_err(LabError::io("run bash"))?;
    // The firewall would count them until the far side has closed them, too.
    scene.site.firewall.forget_connections()?;
    Ok(())
}

/// Lets the device's application write a value.
fn report(folder: &DeviceFolder, number: usize) -> Result<(), ScenarioError> {
    let body = serde_json::json!({ "set": { "capped/number": number } }).to_string();
    let answer = folder.ask("PATCH", "/v1/actual", &body)?;
    expect(answer.status == 200, || {
        format!("the device takes a value, not: {}", answer.body)
    })
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
