//! Groups A and B: no proxy, and proxies, on loopback.

use std::net::Ipv4Addr;

use super::load::{self, Load, Progress};
use super::networks::tcp_only;
use super::scene::{self, HALL, NAME, carry, join, pki, start_to_applied};
use super::{Outcome, ScenarioError, expect};
use crate::clock::Moment;
use crate::doors::{
    Dante, Delivery, Door, ForwardApache, Mitmproxy, Package, Privoxy, Spot, Tinyproxy,
};
use crate::{
    BASIC_PASSWORD, BASIC_USER, Device, DeviceSettings, Fleet, Kind, LabError, Pki, Plan, Squid,
    Tree,
};

/// Starts of a device of which the fastest counts: the others tell how busy the machine is.
const STARTS: u32 = 5;
/// Milliseconds from the start until a message is applied over direct HTTPS.
const DIRECT_MS_MAX: u64 = 300;
/// Seconds after which small proxies give a silent tunnel up: above the shortest hold.
const SILENCE_S: u64 = 30;
/// Milliseconds within which messages flow again once the proxy is back.
const RESUME_MS_MAX: u64 = 5_000;
/// The same where only loss is judged.
const BACK_MS_MAX: u64 = 60_000;
/// Messages of `B15`, at a hundred a second.
const KILLED_MESSAGES: usize = 1_000;
/// Bytes of one large value of `B12`; 32 of them nearly fill the mebibyte that a state may hold.
const PART_BYTES: usize = 32_600;
/// Seconds that they take at the proxy's 16 kB/s.
const SLOW_S_MIN: u64 = 65;
/// Large values of `B12`.
const PARTS: usize = 32;

/// A fleet and a Squid that alone knows the controller's name.
struct Behind {
    squid: Squid,
    fleet: Fleet,
    pki: Pki,
}

impl Behind {
    fn make(id: &str, kind: Kind) -> Result<Option<Self>, LabError> {
        let Some(tree) = Tree::find_or_skip(id)? else {
            return Ok(None);
        };
        let Some(fleet) = Fleet::start_or_skip(id, NAME)? else {
            return Ok(None);
        };
        let pki = pki()?;
        let plan = Plan {
            kind,
            allowed_ports: &[fleet.address().port()],
            names: &[NAME],
            pki: &pki,
            trusted_pem: &fleet.ca_pem()?,
        };
        let spot = Spot::loopback()?;
        let squid = Squid::start_at(&tree, &plan, spot, Ipv4Addr::LOCALHOST.into())?;
        Ok(Some(Self { squid, fleet, pki }))
    }

    fn settings(&self) -> DeviceSettings {
        DeviceSettings::behind(self.squid.url())
    }
}

/// Starts a device several times and returns the shortest time until it applied, in milliseconds, and after the fastest
/// start the bytes that crossed the sockets of direct HTTPS.
fn best_start(
    id: &'static str,
    settings: &DeviceSettings,
) -> Result<Option<(u64, u64)>, ScenarioError> {
    let Some(fleet) = Fleet::start_or_skip(id, "localhost")? else {
        return Ok(None);
    };
    let mut device = join(&fleet, settings, &[])?;
    let mut best = (u64::MAX, u64::MAX);
    for number in 1..=STARTS {
        let took_ms = start_to_applied(&fleet, &mut device, &number.to_string())?;
        best = best.min((took_ms, direct_bytes(&device)?));
        device.daemon.kill_9()?;
    }
    Ok(Some(best))
}

/// Returns how many bytes crossed the sockets of direct HTTPS since the start, as the device counts them.
fn direct_bytes(device: &Device) -> Result<u64, ScenarioError> {
    let page = device.folder.ask("GET", "/metrics", "")?.body;
    let counts = page.lines().filter(|line| {
        line.starts_with("postern_route_bytes_total{") && line.contains("route=\"direct\"")
    });
    let counts: Vec<u64> = counts
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    expect(counts.len() == 2, || {
        format!("bytes up and down are counted: {page}")
    })?;
    Ok(counts.iter().sum())
}

pub(super) fn a01(id: &'static str) -> Outcome {
    let Some((took_ms, bytes)) = best_start(id, &tcp_only())? else {
        return Ok(None);
    };
    let numbers =
        format!("fastest of {STARTS} starts applied after {took_ms} ms, {bytes} bytes by HTTPS");
    expect(took_ms < DIRECT_MS_MAX && bytes > 0, || {
        format!("below {DIRECT_MS_MAX} ms: {numbers}")
    })?;
    Ok(Some(numbers))
}

pub(super) fn a02(id: &'static str) -> Outcome {
    let Some((took_ms, bytes)) = best_start(id, &DeviceSettings::direct())? else {
        return Ok(None);
    };
    let numbers =
        format!("fastest of {STARTS} starts applied after {took_ms} ms, {bytes} bytes by HTTPS");
    expect(bytes == 0, || format!("QUIC alone is used: {numbers}"))?;
    Ok(Some(numbers))
}

pub(super) fn b01(id: &'static str) -> Outcome {
    let Some(scene) = Behind::make(id, Kind::Plain)? else {
        return Ok(None);
    };
    let (_device, numbers) = carry(&scene.fleet, &scene.settings(), &[])?;
    let other = Fleet::start_or_skip(id, NAME)?;
    let Some(other) = other else { return Ok(None) };
    let (_device, joined) = other.try_join(HALL, &scene.settings(), |_folder| Ok(()))?;
    expect(joined.stderr.contains("PST-P01"), || {
        format!("another port is refused as PST-P01, not: {}", joined.stderr)
    })?;
    Ok(Some(format!("{numbers}; another port PST-P01")))
}

pub(super) fn b03(id: &'static str) -> Outcome {
    let Some(scene) = Behind::make(id, Kind::Digest)? else {
        return Ok(None);
    };
    let secret = format!("{BASIC_USER}:{BASIC_PASSWORD}\n");
    let settings = scene.settings().with_secret("proxy.secret");
    let (_device, numbers) = carry(&scene.fleet, &settings, &[("proxy.secret", &secret)])?;
    let is_known = |line: &crate::AccessLine| line.user.as_deref() == Some(BASIC_USER);
    scene.squid.wait_for_access("the user's tunnel", is_known)?;
    Ok(Some(numbers))
}

pub(super) fn b08(id: &'static str) -> Outcome {
    let Some(scene) = Behind::make(id, Kind::Bump)? else {
        return Ok(None);
    };
    let settings = scene.settings().trusting("corp.pem");
    let files = [("corp.pem", scene.pki.corp_ca_pem.as_str())];
    let (device, numbers) = carry(&scene.fleet, &settings, &files)?;
    scene::expect_inspected(&device)?;
    let posts = scene.squid.access_log().into_iter();
    let inner = posts.filter(|line| line.method == "POST").count();
    expect(inner > 0, || "the proxy saw no inner request".to_owned())?;
    Ok(Some(format!("{numbers}, {inner} inner requests seen")))
}

pub(super) fn b09(id: &'static str) -> Outcome {
    let Some(scene) = Behind::make(id, Kind::ShortTunnel)? else {
        return Ok(None);
    };
    let settings = DeviceSettings {
        hold_s_max: None,
        ..scene.settings()
    };
    let mut device = join(&scene.fleet, &settings, &[])?;
    start_to_applied(&scene.fleet, &mut device, "1")?;
    let cut = |line: &crate::AccessLine| line.elapsed_ms >= 5_000;
    let line = scene.squid.wait_for_access("a cut tunnel", cut)?;
    let report = load::drive(
        &scene.fleet,
        &mut device,
        &Load::of(200),
        |_progress| Ok(()),
    )?;
    let late_ms = scene::set_to_applied(&scene.fleet, &mut device, "2")?;
    Ok(Some(format!(
        "first cut after {} ms, {report}, then {late_ms} ms",
        line.elapsed_ms
    )))
}

pub(super) fn b12(id: &'static str) -> Outcome {
    let Some(scene) = Behind::make(id, Kind::HttpsSlow)? else {
        return Ok(None);
    };
    let settings = scene.settings().trusting("proxy-ca.pem");
    let files = [("proxy-ca.pem", scene.pki.origin_ca_pem.as_str())];
    let mut device = join(&scene.fleet, &settings, &files)?;
    let cold_ms = start_to_applied(&scene.fleet, &mut device, "1")?;
    let start = Moment::now();
    let mut last = None;
    for number in 0..PARTS {
        let value = format!("\"{number}{}\"", "x".repeat(PART_BYTES));
        last = Some(
            scene
                .fleet
                .set(HALL, &format!("part{number}/value"), &value)?,
        );
    }
    // A mebibyte at this rate takes 65 s, and the wait has to outlast it.
    for _round in 0..4 {
        let Some(last) = last else { break };
        match device.wait_applied(last) {
            Ok(()) => break,
            Err(LabError::GaveUp { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    let applied = device.folder.revision("applied");
    expect(applied >= last, || {
        format!(
            "applied {applied:?} of {last:?}: {:#}",
            device.folder.status()
        )
    })?;
    let failures = device.folder.status().get("failures").cloned();
    let failures = failures.unwrap_or_default();
    let took_s = start.elapsed_ms() / 1_000;
    let numbers = format!(
        "start {cold_ms} ms, {} KiB in {took_s} s, failures {failures}",
        PARTS * PART_BYTES / 1_024
    );
    expect(took_s >= SLOW_S_MIN, || {
        format!("the proxy slows it to {SLOW_S_MIN} s at least: {numbers}")
    })?;
    expect(
        failures.as_object().is_some_and(serde_json::Map::is_empty),
        || format!("nothing is given up for being slow: {numbers}"),
    )?;
    Ok(Some(numbers))
}

pub(super) fn b13_tinyproxy(id: &'static str) -> Outcome {
    let make = |fleet: &Fleet| {
        Ok(Tinyproxy {
            allowed_port: fleet.address().port(),
            timeout_s: SILENCE_S,
            login: Some((BASIC_USER.to_owned(), BASIC_PASSWORD.to_owned())),
        })
    };
    let secret = format!("{BASIC_USER}:{BASIC_PASSWORD}\n");
    scene::through(
        id,
        make,
        |_program| vec![("proxy.secret", secret)],
        |door| DeviceSettings::behind(door.url()).with_secret("proxy.secret"),
    )
}

pub(super) fn b13_privoxy(id: &'static str) -> Outcome {
    let make = |fleet: &Fleet| {
        Ok(Privoxy {
            allowed_port: fleet.address().port(),
            timeout_s: SILENCE_S,
        })
    };
    let settings = |door: &Door| DeviceSettings::behind(door.url());
    scene::through(id, make, |_program| Vec::new(), settings)
}

pub(super) fn b13_dante(id: &'static str) -> Outcome {
    let make = |fleet: &Fleet| {
        Ok(Dante {
            allowed_port: fleet.address().port(),
            external: "lo",
            timeout_s: SILENCE_S,
        })
    };
    let settings = |door: &Door| DeviceSettings::behind(format!("socks5h://{}", door.address()));
    scene::through(id, make, |_program| Vec::new(), settings)
}

pub(super) fn b13_apache(id: &'static str) -> Outcome {
    if !scene::have(id, &[Package::Apache])? {
        return Ok(None);
    }
    let Some(fleet) = Fleet::start_or_skip(id, "localhost")? else {
        return Ok(None);
    };
    let program = ForwardApache {
        allowed_port: fleet.address().port(),
        timeout_s: SILENCE_S,
    };
    let door = Door::start(&program, Spot::loopback()?)?;
    let settings = DeviceSettings::behind(door.url());
    let (device, joined) = fleet.try_join(HALL, &settings, |_folder| Ok(()))?;
    expect(joined.stderr.contains("PST-P02"), || {
        format!("without a password PST-P02, not: {}", joined.stderr)
    })?;
    std::fs::remove_dir_all(device.folder.path())
        .map_err(LabError::io("remove the refused device"))?;
    drop(device);
    let secret = format!("{BASIC_USER}:{BASIC_PASSWORD}\n");
    let settings = settings.with_secret("proxy.secret");
    let (_device, numbers) = carry(&fleet, &settings, &[("proxy.secret", &secret)])?;
    let connects = ForwardApache::connects(&door);
    let count = |wanted: u16, user: &str| {
        let like = |one: &&(u16, String)| one.0 == wanted && one.1 == user;
        connects.iter().filter(like).count()
    };
    let (refused, passed) = (count(407, "-"), count(200, BASIC_USER));
    expect(refused > 0 && passed > 0, || {
        format!("asked, then let a known user pass: {connects:?}")
    })?;
    Ok(Some(format!(
        "PST-P02 without a password; {numbers}, {passed} tunnels of {BASIC_USER} ended, {refused} refused"
    )))
}

pub(super) fn b14_at_end(id: &'static str) -> Outcome {
    inspected(id, Delivery::AtEnd)
}

pub(super) fn b14_streaming(id: &'static str) -> Outcome {
    inspected(id, Delivery::Streaming)
}

fn inspected(id: &'static str, delivery: Delivery) -> Outcome {
    let (pki, ca) = (pki()?, std::cell::OnceCell::new());
    let make = |fleet: &Fleet| {
        let trusted_pem = ca.get_or_init(|| fleet.ca_pem().unwrap_or_default());
        Ok(Mitmproxy {
            pki: &pki,
            trusted_pem,
            delivery,
            is_transparent: false,
        })
    };
    let authority = pki.corp_ca_pem.clone();
    scene::through(
        id,
        make,
        |_program| vec![("corp.pem", authority)],
        |door| DeviceSettings::behind(door.url()).trusting("corp.pem"),
    )
}

pub(super) fn b15(id: &'static str) -> Outcome {
    killed(id, BACK_MS_MAX)
}

pub(super) fn b15_quick(id: &'static str) -> Outcome {
    killed(id, RESUME_MS_MAX)
}

fn killed(id: &'static str, resume_ms_max: u64) -> Outcome {
    let Some(scene) = Behind::make(id, Kind::Plain)? else {
        return Ok(None);
    };
    let settings = scene.settings();
    let Behind {
        mut squid,
        fleet,
        pki: _,
    } = scene;
    let mut device = join(&fleet, &settings, &[])?;
    start_to_applied(&fleet, &mut device, "1")?;
    let load = Load {
        per_second: 100,
        ..Load::of(KILLED_MESSAGES)
    };
    let mut back: Option<(Moment, Progress)> = None;
    let mut resumed_ms = None;
    let report = load::drive(&fleet, &mut device, &load, |progress| {
        match back {
            None if progress.sent >= KILLED_MESSAGES / 3 => {
                squid.restart()?;
                back = Some((Moment::now(), progress));
            }
            Some((at, then)) if resumed_ms.is_none() && progress.applied > then.sent => {
                resumed_ms = Some(at.elapsed_ms());
            }
            None | Some(_) => {}
        }
        Ok::<(), ScenarioError>(())
    })?;
    let resumed_ms = resumed_ms.unwrap_or(u64::MAX);
    expect(resumed_ms <= resume_ms_max, || {
        let log = device.daemon.log();
        let troubles: Vec<_> = log
            .lines()
            .filter(|line| !line.contains(" INFO "))
            .collect();
        format!(
            "messages flow again {resumed_ms} ms after the proxy is back ({report})\n{}\n{:?}",
            troubles.join("\n"),
            squid.access_log()
        )
    })?;
    Ok(Some(format!("flows again after {resumed_ms} ms, {report}")))
}
