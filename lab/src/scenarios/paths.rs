//! Group C: paths that lose, delay, swallow or forget.

use std::path::Path;

use super::load::{self, Load};
use super::networks::tcp_only;
use super::scene::{HALL, SOME, Scene, carry, join, set_to_applied, start_to_applied};
use super::{Outcome, ScenarioError, expect};
use crate::clock::Moment;
use crate::netns::{CONTROLLER, Namespace, Site};
use crate::wire::Shape;
use crate::{Device, DeviceSettings, LabError, wait};

/// Milliseconds within which 99 of 100 messages arrive over the bad wire: some retransmissions of TCP at 50 ms.
const BAD_WIRE_P99_MS_MAX: u64 = 5_000;
/// Seconds of silence after which the firewall forgets a connection.
const FORGET_S: u64 = 5;
/// Milliseconds within which a message arrives although its connection was silently cut: hold and grace.
const SILENT_MS_MAX: u64 = 45_000;
/// Bytes of a value that needs several full packets.
const LARGE_BYTES: usize = 20_000;
/// Milliseconds within which such a value passes a black hole, in each direction.
const LARGE_MS_MAX: u64 = 8_000;
/// Bytes of a datagram that an Ethernet carries and the black hole does not.
const SHOUT_BYTES: usize = 1_400;

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

pub(super) fn c09_heavy_long(id: &'static str) -> Outcome {
    c09(id, 50, 1_000)
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
    swallowing(id, "0", &DeviceSettings::direct())
}

pub(super) fn black_hole_probing(id: &'static str) -> Outcome {
    swallowing(id, "1", &DeviceSettings::direct())
}

pub(super) fn black_hole_tcp(id: &'static str) -> Outcome {
    swallowing(id, "0", &tcp_only())
}

/// `probing` is the kernel's `tcp_mtu_probing` on both ends: `0` is the default of many distributions.
fn swallowing(id: &'static str, probing: &str, settings: &DeviceSettings) -> Outcome {
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
    let swallowed = || scene.site.wire().map_or(0, |wire| wire.counts().1);
    // Nobody who sends small packets meets the hole, so that it has to be shown by others.
    shout(&scene)?;
    wait::until("a large packet to be swallowed", || {
        Ok((swallowed() > 0).then_some(()))
    })?;
    let shouted = swallowed();
    let mut device = join(&scene.fleet, settings, &[])?;
    let cold_ms = start_to_applied(&scene.fleet, &mut device, "1")?;
    let large = "x".repeat(LARGE_BYTES);
    let start = Moment::now();
    let revision = scene
        .fleet
        .set(HALL, "large/value", &format!("\"{large}\""))?;
    device.wait_applied(revision)?;
    let down_ms = start.elapsed_ms();
    let start = Moment::now();
    write_actual(&device, &large)?;
    wait_acknowledged(&mut device)?;
    let up_ms = start.elapsed_ms();
    let numbers = format!(
        "start {cold_ms} ms, 20 kB down after {down_ms} ms and up after {up_ms} ms, {} of their frames swallowed",
        swallowed() - shouted
    );
    expect(down_ms.max(up_ms) <= LARGE_MS_MAX, || {
        format!("20 kB each way within {LARGE_MS_MAX} ms: {numbers}")
    })?;
    Ok(Some(numbers))
}

/// Sends a datagram that is larger than the path carries.
fn shout(scene: &Scene) -> Result<(), ScenarioError> {
    let script = format!("head -c {SHOUT_BYTES} /dev/zero >/dev/udp/{CONTROLLER}/9");
    let mut command = scene.site.device.command(Path::new("bash"));
    let status = command.args(["-c", &script]).status();
    let status = status.map_err(LabError::io("run bash"))?;
    expect(status.success(), || "no datagram could be sent".to_owned())
}

/// Lets the device report a value.
fn write_actual(device: &Device, value: &str) -> Result<(), ScenarioError> {
    let body = serde_json::json!({ "set": { "large/log": value } }).to_string();
    let answer = device.folder.ask("PATCH", "/v1/actual", &body)?;
    expect(answer.status == 200, || {
        format!("the device takes the value: status {}", answer.status)
    })
}

/// Waits until a mailbox has taken everything that the device reported.
fn wait_acknowledged(device: &mut Device) -> Result<(), LabError> {
    device.wait_for("the report to be acknowledged", |folder| {
        let status = folder.status();
        let newest = status.get("actual").filter(|newest| !newest.is_null())?;
        (status.get("actual_acknowledged") == Some(newest)).then_some(())
    })
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
