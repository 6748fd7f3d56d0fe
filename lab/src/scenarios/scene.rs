//! What scenarios share: a fleet on loopback or outside of a site, a device with files, how long a start takes.
//!
//! It refuses to hide a refusal: a join that fails is an error with what it printed.

use std::net::{IpAddr, SocketAddr};

use super::load::{self, Load};
use super::{Outcome, ScenarioError, expect};
use crate::clock::Moment;
use crate::doors::{Door, Package, Program, Spot};
use crate::netns::{CONTROLLER, Namespace, PROXY, Site};
use crate::{Device, DeviceSettings, Fleet, LabError, Pki, Plan, Squid, Tree};

/// The controller's name, which nothing resolves by itself.
pub(super) const NAME: &str = "controller.test";
/// The device of most scenarios.
pub(super) const HALL: &str = "hall-1";
/// Messages of a scenario that only wants to know that messages pass.
pub(super) const SOME: usize = 40;

/// A fleet whose controller is outside of a site, under [`NAME`] and port 443.
#[derive(Debug)]
pub(super) struct Scene {
    /// The fleet; it ends before its site.
    pub(super) fleet: Fleet,
    /// The site.
    pub(super) site: Site,
}

impl Scene {
    /// Makes site and fleet; the device's machine knows no name until told.
    pub(super) fn make(scenario: &str) -> Result<Option<Self>, LabError> {
        if Namespace::possible_or_skip(scenario)?.is_none() {
            return Ok(None);
        }
        Self::within(scenario, Site::make()?)
    }

    /// As [`Scene::make`], in a site of the caller's.
    pub(super) fn within(scenario: &str, site: Site) -> Result<Option<Self>, LabError> {
        let listen = SocketAddr::new(CONTROLLER, 443);
        let url = format!("https://{NAME}");
        let fleet = Fleet::start_outside_or_skip(scenario, &site, listen, &url)?;
        Ok(fleet.map(|fleet| Self { fleet, site }))
    }

    /// The device's machine resolves the controller's name to its IPv4 address.
    pub(super) fn resolve(&self) -> Result<(), LabError> {
        self.site.know(&format!("{CONTROLLER} {NAME}"), "")
    }

    /// Starts a Squid outside, on port 3128 of the proxy's address.
    pub(super) fn squid(&self, tree: &Tree, plan: &Plan<'_>) -> Result<Squid, LabError> {
        let spot = Spot {
            listen: SocketAddr::new(PROXY, 3128),
            namespace: Some(&self.site.outside),
        };
        Squid::start_at(tree, plan, spot, CONTROLLER)
    }
}

/// Joins [`HALL`] with files in its folder; it does not run yet.
pub(super) fn join(
    fleet: &Fleet,
    settings: &DeviceSettings,
    files: &[(&str, &str)],
) -> Result<Device, ScenarioError> {
    let (device, joined) = fleet.try_join(HALL, settings, |folder| {
        files
            .iter()
            .try_for_each(|(name, text)| folder.write(name, text))
    })?;
    expect(joined.status.success(), || {
        format!("the device cannot join: {}", joined.stderr.trim())
    })?;
    Ok(device)
}

/// Decides a value, starts the device and returns the milliseconds until it is applied.
pub(super) fn start_to_applied(
    fleet: &Fleet,
    device: &mut Device,
    value: &str,
) -> Result<u64, ScenarioError> {
    let revision = fleet.set(&device.name, "start/value", value)?;
    let start = Moment::now();
    device.daemon.launch()?;
    device.wait_applied(revision)?;
    Ok(start.elapsed_ms())
}

/// Decides a value and returns the milliseconds until a running device applied it.
pub(super) fn set_to_applied(
    fleet: &Fleet,
    device: &mut Device,
    value: &str,
) -> Result<u64, ScenarioError> {
    let revision = fleet.set(&device.name, "push/value", value)?;
    let start = Moment::now();
    device.wait_applied(revision)?;
    Ok(start.elapsed_ms())
}

/// Joins a device, starts it, and follows messages until all are applied.
pub(super) fn carry(
    fleet: &Fleet,
    settings: &DeviceSettings,
    files: &[(&str, &str)],
) -> Result<(Device, String), ScenarioError> {
    let mut device = join(fleet, settings, files)?;
    let cold_ms = start_to_applied(fleet, &mut device, "1")?;
    let report = load::drive(fleet, &mut device, &Load::of(SOME), |_progress| Ok(()))?;
    Ok((
        device,
        format!("first applied {cold_ms} ms after start, {report}"),
    ))
}

/// The device says that TLS is broken open on its way, and names who does it.
pub(super) fn expect_inspected(device: &Device) -> Result<(), ScenarioError> {
    let status = device.folder.status();
    let routes = status.get("routes").cloned().unwrap_or_default();
    let is_named = routes
        .get("issuer")
        .is_some_and(serde_json::Value::is_string);
    let is_told = routes.get("intercepted") == Some(&true.into());
    expect(is_told && is_named, || {
        format!("the device tells of the inspector: {routes}")
    })
}

/// Lets a proxy of `make` on loopback carry messages to a controller whose name only it resolves.
pub(super) fn through<P: Program>(
    id: &'static str,
    make: impl FnOnce(&Fleet) -> Result<P, ScenarioError>,
    files: impl FnOnce(&P) -> Vec<(&'static str, String)>,
    settings: impl FnOnce(&Door) -> DeviceSettings,
) -> Outcome {
    if P::PACKAGE.find_or_skip(id)?.is_none() {
        return Ok(None);
    }
    let Some(fleet) = Fleet::start_or_skip(id, "localhost")? else {
        return Ok(None);
    };
    let program = make(&fleet)?;
    let door = Door::start(&program, Spot::loopback()?)?;
    let files = files(&program);
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let (_device, numbers) = carry(&fleet, &settings(&door), &files)?;
    Ok(Some(numbers))
}

/// Whether all of these can be had; says loudly which cannot.
pub(super) fn have(id: &str, packages: &[Package]) -> Result<bool, LabError> {
    for package in packages {
        if package.find_or_skip(id)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns certificates for the controller's name and for loopback.
pub(super) fn pki() -> Result<Pki, LabError> {
    Pki::new(&[NAME, "localhost"])
}

/// Returns an address and port as a pair that a `hosts` line or a proxy URL needs.
pub(super) fn url_of(host: IpAddr, port: u16) -> String {
    format!("http://{}", SocketAddr::new(host, port))
}
