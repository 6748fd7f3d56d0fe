//! Group C: paths that lose, delay, swallow or forget.

use super::load::{self, Load};
use super::networks::tcp_only;
use super::scene::{HALL, SOME, Scene, carry, join, set_to_applied, start_to_applied};
use super::{Outcome, ScenarioError, expect};
use crate::clock::Moment;
use crate::netns::{Namespace, Site};
use crate::wire::Shape;
use crate::{DeviceSettings, wait};

/// Milliseconds within which 99 of 100 messages arrive over the bad wire: some retransmissions of TCP at 50 ms.
const BAD_WIRE_P99_MS_MAX: u64 = 5_000;
/// Seconds of silence after which the firewall forgets a connection.
const FORGET_S: u64 = 5;
/// Milliseconds within which a message arrives although its connection was silently cut: hold and grace.
const SILENT_MS_MAX: u64 = 45_000;
/// Bytes of a value that needs several full packets.
const LARGE_BYTES: usize = 20_000;

/// A scene whose outside is behind a wire.
fn behind(id: &str, shape: Shape) -> Result<Option<Scene>, ScenarioError> {
    if Namespace::possible_or_skip(id)?.is_none() {
        return Ok(None);
    }
    let scene = Scene::within(id, Site::make_behind(shape)?)?;
    if let Some(scene) = &scene {
        scene.resolve()?;
    }
    Ok(scene)
}

fn c09(id: &'static str, loss_per_mille: u64, messages: usize) -> Outcome {
    let shape = Shape {
        delay_ms: 25,
        jitter_ms: 3,
        loss_per_mille,
        rate_kbit: 256,
        seed: 9,
        ..Shape::default()
    };
    let Some(scene) = behind(id, shape)? else {
        return Ok(None);
    };
    let mut device = join(&scene.fleet, &DeviceSettings::direct(), &[])?;
    let cold_ms = start_to_applied(&scene.fleet, &mut device, "1")?;
    let load = Load {
        tries: 10 * wait::TRIES_MAX,
        ..Load::of(messages)
    };
    let report = load::drive(&scene.fleet, &mut device, &load, |_progress| Ok(()))?;
    let (passed, lost) = scene.site.wire().map_or((0, 0), |wire| wire.counts());
    let numbers = format!(
        "start {cold_ms} ms, {report}, {lost} of {} frames lost",
        passed + lost
    );
    expect(lost > 0, || format!("the wire lost nothing: {numbers}"))?;
    expect(report.p99_ms <= BAD_WIRE_P99_MS_MAX, || {
        format!("p99 below {BAD_WIRE_P99_MS_MAX} ms: {numbers}")
    })?;
    Ok(Some(numbers))
}

pub(super) fn c09_light(id: &'static str) -> Outcome {
    c09(id, 10, 1_000)
}

pub(super) fn c09_heavy(id: &'static str) -> Outcome {
    c09(id, 50, 300)
}

pub(super) fn silent_cut(id: &'static str) -> Outcome {
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    scene.resolve()?;
    scene.site.forget_silent(FORGET_S)?;
    let settings = DeviceSettings {
        hold_s_max: Some(25),
        ..tcp_only()
    };
    let mut device = join(&scene.fleet, &settings, &[])?;
    start_to_applied(&scene.fleet, &mut device, "1")?;
    // No event to wait for: silence is what is to pass, twice as long as the firewall remembers.
    let looks = u32::try_from(2 * FORGET_S * 1_000 / wait::STEP_MS).unwrap_or_default();
    drop(wait::until_tries("silence", looks, || Ok(None::<()>)));
    let late_ms = set_to_applied(&scene.fleet, &mut device, "2")?;
    let cut = scene.site.counted()?;
    let report = load::drive(&scene.fleet, &mut device, &Load::of(SOME), |_progress| {
        Ok(())
    })?;
    let numbers = format!("{late_ms} ms late after the cut, {cut} packets swallowed, {report}");
    expect(cut > 0, || format!("nothing was cut: {numbers}"))?;
    expect(late_ms <= SILENT_MS_MAX, || {
        format!("within {SILENT_MS_MAX} ms: {numbers}")
    })?;
    Ok(Some(numbers))
}

pub(super) fn black_hole(id: &'static str) -> Outcome {
    swallowing(id, "0")
}

pub(super) fn black_hole_probing(id: &'static str) -> Outcome {
    swallowing(id, "1")
}

/// `probing` is the kernel's `tcp_mtu_probing` on both ends: `0` is the default of many distributions.
fn swallowing(id: &'static str, probing: &str) -> Outcome {
    let shape = Shape {
        mtu: 1_280,
        seed: 1,
        ..Shape::default()
    };
    let Some(scene) = behind(id, shape)? else {
        return Ok(None);
    };
    for machine in [&scene.site.device, &scene.site.outside] {
        machine.sysctl("ipv4/tcp_mtu_probing", probing)?;
    }
    let mut device = join(&scene.fleet, &DeviceSettings::direct(), &[])?;
    let cold_ms = start_to_applied(&scene.fleet, &mut device, "1")?;
    let large = format!("\"{}\"", "x".repeat(LARGE_BYTES));
    let start = Moment::now();
    let revision = scene.fleet.set(HALL, "large/value", &large)?;
    let arrived = device.wait_applied(revision);
    let took_ms = start.elapsed_ms();
    let swallowed = scene.site.wire().map_or(0, |wire| wire.counts().1);
    let numbers =
        format!("start {cold_ms} ms, 20 kB after {took_ms} ms, {swallowed} frames swallowed");
    expect(arrived.is_ok(), || {
        format!("20 kB pass a black hole: {numbers}")
    })?;
    expect(swallowed > 0, || {
        format!("nothing was swallowed: {numbers}")
    })?;
    Ok(Some(numbers))
}

pub(super) fn translated(id: &'static str) -> Outcome {
    let Some(scene) = Scene::make(id)? else {
        return Ok(None);
    };
    scene.resolve()?;
    scene.site.translate()?;
    let (mut device, numbers) = carry(&scene.fleet, &DeviceSettings::direct(), &[])?;
    // The translation forgets the flow, and a packet of it gets a new port: the far side resets it.
    scene.site.firewall.forget_connections()?;
    let late_ms = set_to_applied(&scene.fleet, &mut device, "2")?;
    Ok(Some(format!(
        "{numbers}, {late_ms} ms late after the mapping was forgotten"
    )))
}
