//! Group C: ways that die under a device, and ways that come back.
//!
//! ```text
//!  best way ──dies──▶ another one within seconds ──healed──▶ asked every ten minutes, three good answers ──▶ best way
//! ```
//!
//! How soon a better way is asked again is the product's own number, and no scenario shortens it: the return takes ten to
//! fifteen minutes, and is not short. It refuses to call a way taken again that was left within two minutes.

use std::net::SocketAddr;
use std::time::Duration;

use super::load::{self, Load};
use super::scene::{NAME, SOME, Scene, join, set_to_applied, start_to_applied};
use super::{Outcome, ScenarioError, expect};
use crate::clock::Moment;
use crate::netns::{CONTROLLER, RELAY};
use crate::{Device, DeviceSettings, Relay, wait};

/// Milliseconds within which a message goes by another route once UDP died.
const SWITCH_MS_MAX: u64 = 12_000;
/// Milliseconds within which a message goes by the relay once the controller is not reached.
const RELAY_MS_MAX: u64 = 8_000;
/// Seconds before which a way that died is not taken again.
const BACK_S_MIN: u64 = 10 * 60;
/// Seconds within which it is: ten minutes and a fifth until it is asked, two minutes of good answers, and a minute in
/// which the old way was still being left.
const BACK_S_MAX: u64 = 15 * 60;
/// Seconds that a way has to stay in use once it was taken again.
const STAY_S: u64 = 2 * 60;
/// Seconds from one message to the next while a return is waited for.
const PACE_S: u64 = 5;

/// A device whose best way has died, and what was seen of that.
struct Left {
    scene: Scene,
    device: Device,
    /// Another mailbox; it ends with the scene.
    _relay: Option<Relay>,
    numbers: String,
}

pub(super) fn c04(id: &'static str) -> Outcome {
    Ok(quic_dies(id)?.map(|left| left.numbers))
}

pub(super) fn c04_back(id: &'static str) -> Outcome {
    quic_dies(id)?.map(|left| back(left, "quic")).transpose()
}

pub(super) fn c13(id: &'static str) -> Outcome {
    Ok(controller_drops(id)?.map(|left| left.numbers))
}

pub(super) fn c13_back(id: &'static str) -> Outcome {
    let left = controller_drops(id)?;
    left.map(|left| back(left, "quic")).transpose()
}

fn quic_dies(id: &'static str) -> Result<Option<Left>, ScenarioError> {
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    scene.resolve()?;
    let mut device = join(&scene.fleet, &DeviceSettings::direct(), &[])?;
    start_to_applied(&scene.fleet, &mut device, "1")?;
    device.wait_for("QUIC to be used", |folder| {
        (way(&folder.status()) == "quic").then_some(())
    })?;
    scene.site.rule("meta l4proto udp counter drop")?;
    let switch_ms = set_to_applied(&scene.fleet, &mut device, "2")?;
    let report = load::drive(&scene.fleet, &mut device, &Load::of(SOME), |_progress| {
        Ok(())
    })?;
    expect(switch_ms <= SWITCH_MS_MAX, || {
        format!("another route within {SWITCH_MS_MAX} ms, not {switch_ms} ms")
    })?;
    Ok(Some(Left {
        scene,
        device,
        _relay: None,
        numbers: format!("another route after {switch_ms} ms, {report}"),
    }))
}

fn controller_drops(id: &'static str) -> Result<Option<Left>, ScenarioError> {
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
    Ok(Some(Left {
        scene,
        device,
        _relay: Some(relay),
        numbers,
    }))
}

/// Returns the label of the way in use.
fn way(status: &serde_json::Value) -> String {
    let way = status.get("routes").and_then(|routes| routes.get("way"));
    way.and_then(serde_json::Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Heals the site and follows messages until the best way is in use again, and while it stays so.
fn back(mut left: Left, best: &str) -> Result<String, ScenarioError> {
    let used = way(&left.device.folder.status());
    expect(used != best, || format!("{best} was left, not {used}"))?;
    left.scene.site.open()?;
    let healed = Moment::now();
    let (mut sent, mut worst_ms) = (0, 0);
    follow(&mut left, BACK_S_MAX, |used, late_ms| {
        sent += 1;
        worst_ms = worst_ms.max(late_ms);
        used == best
    })?;
    let back_s = healed.elapsed_ms() / 1_000;
    let used = way(&left.device.folder.status());
    let numbers = format!(
        "{used} {back_s} s after it was healed, {sent} messages meanwhile, worst {worst_ms} ms"
    );
    expect(
        used == best && (BACK_S_MIN..=BACK_S_MAX).contains(&back_s),
        || format!("{best} after {BACK_S_MIN} to {BACK_S_MAX} s: {numbers}"),
    )?;
    let mut others = Vec::new();
    follow(&mut left, STAY_S, |used, _late_ms| {
        others.extend((used != best).then(|| used.to_owned()));
        false
    })?;
    expect(others.is_empty(), || {
        format!("{best} for {STAY_S} s, not {others:?}: {numbers}")
    })?;
    let switches = left
        .device
        .folder
        .status()
        .pointer("/routes/switches")
        .cloned();
    Ok(format!(
        "{}; {numbers}, still after {STAY_S} s; switches {}",
        left.numbers,
        switches.unwrap_or_default()
    ))
}

/// Sends a message every few seconds, for so long or until `is_over` of the way in use and how late the message was.
fn follow(
    left: &mut Left,
    seconds: u64,
    mut is_over: impl FnMut(&str, u64) -> bool,
) -> Result<(), ScenarioError> {
    let start = Moment::now();
    let end = start.after(Duration::from_secs(seconds));
    let (mut next, mut number) = (start, 0_u64);
    while !end.left().is_zero() {
        wait::pause_until(next);
        next = next.after(Duration::from_secs(PACE_S));
        number += 1;
        let value = format!("{seconds}{number}");
        let late_ms = set_to_applied(&left.scene.fleet, &mut left.device, &value)?;
        if is_over(&way(&left.device.folder.status()), late_ms) {
            break;
        }
    }
    Ok(())
}
