//! Requests that only look: states, differences, proofs, status, metrics.
//!
//! What is shown is durable. Refuses to touch the network: a device is shown as it last signed.

use super::{Desk, device_unknown};
use crate::clock;
use crate::controller::metrics::to_text;
use crate::controller::relays::RelayShown;
use crate::exit::{CommandError, Exit};
use crate::operator::device_status::DeviceStatus;
use crate::operator::diff::{Diff, compare, is_equal};
use crate::operator::request::Target;
use crate::operator::response::{EvidenceJson, HeadJson, LinkJson, Response};
use crate::operator::value;
use base64ct::{Base64, Encoding as _};
use postern_protocol::controller::{EvidenceHeld, Member};
use postern_protocol::id::{DeviceName, Tenant};
use postern_protocol::state::{Path, State};
use postern_relay::metrics::Sample;
use std::collections::BTreeMap;

impl Desk {
    /// Looks at one member.
    async fn look<T: Send + 'static>(
        &self,
        target: Target,
        look: impl FnOnce(&Member) -> T + Send + 'static,
    ) -> Result<T, CommandError> {
        let unknown = device_unknown(&target.tenant, &target.device);
        let found = self
            .read(move |engine| engine.member(&target.tenant, &target.device).map(look))
            .await?;
        found.ok_or(unknown)
    }

    pub(super) async fn values(
        &self,
        target: Target,
        path: Option<Path>,
    ) -> Result<Response, CommandError> {
        self.look(target, move |member| Response::Values {
            desired: member.head().into(),
            values: select(member.desired(), path.as_ref()),
        })
        .await
    }

    pub(super) async fn actual(
        &self,
        target: Target,
        path: Option<Path>,
    ) -> Result<Response, CommandError> {
        self.look(target, move |member| Response::Actual {
            actual: member.actual_head().map(HeadJson::from),
            stale: member.freshness(clock::now()).is_stale,
            values: select(member.actual(), path.as_ref()),
        })
        .await
    }

    pub(super) async fn diff(&self, target: Target) -> Result<Response, CommandError> {
        self.look(target, |member| {
            let (sections, paths) = compare(member.desired(), member.actual());
            let diff = Diff {
                desired: member.head().into(),
                actual: member.actual_head().map(HeadJson::from),
                stale: member.freshness(clock::now()).is_stale,
                equal: is_equal(&sections),
                sections,
                paths,
            };
            Response::Diff { diff }
        })
        .await
    }

    pub(super) async fn evidence(&self, target: Target) -> Result<Response, CommandError> {
        self.look(target, |member| Response::Evidence {
            evidence: member.evidence().iter().map(describe).collect(),
        })
        .await
    }

    pub(super) async fn status(
        &self,
        tenant: Option<Tenant>,
        device: Option<DeviceName>,
    ) -> Result<Response, CommandError> {
        let named = device.clone();
        let mut devices = self
            .read(move |engine| {
                let now = clock::now();
                let wanted = engine.members().filter(|member| {
                    let channel = member.channel();
                    tenant
                        .as_ref()
                        .is_none_or(|tenant| *tenant == channel.tenant)
                        && device
                            .as_ref()
                            .is_none_or(|device| *device == channel.device)
                });
                wanted
                    .map(|member| DeviceStatus::of(member, engine.trust(), now))
                    .collect::<Vec<_>>()
            })
            .await?;
        if let (Some(name), true) = (named, devices.is_empty()) {
            return Err(CommandError::new(
                Exit::Refused,
                "device-unknown",
                format!("no device is called {name}"),
                "list all devices with `postern status`",
            ));
        }
        devices
            .sort_by(|left, right| (&left.tenant, &left.name).cmp(&(&right.tenant, &right.name)));
        Ok(Response::Devices { devices })
    }

    /// Says which relays are reached.
    pub(super) fn relays(&self) -> Response {
        let links = self.starter.relays().shown().into_iter();
        let links = links.map(|link| LinkJson {
            relay: link.relay.to_string(),
            tenant: link.tenant.to_string(),
            connected: link.is_open,
        });
        Response::Relays {
            links: links.collect(),
        }
    }

    pub(super) async fn metrics(&self) -> Result<Response, CommandError> {
        let devices = self
            .read(|engine| {
                let now = clock::now();
                let members = engine.members();
                members
                    .map(|member| DeviceStatus::of(member, engine.trust(), now))
                    .collect::<Vec<_>>()
            })
            .await?;
        let mut samples = self.mailbox.snapshot();
        samples.extend(self.counts.samples());
        samples.extend(fleet_samples(&devices));
        samples.extend(link_samples(&self.starter.relays().shown()));
        Ok(Response::Metrics {
            text: to_text(&samples) + &self.counts.latency_text(),
        })
    }
}

/// Counts the relays' links by whether a session is open.
fn link_samples(links: &[RelayShown]) -> [Sample; 2] {
    [("open", true), ("down", false)].map(|(state, is_open)| Sample {
        name: "postern_relay_links",
        label: Some(("state", state)),
        value: links.iter().filter(|link| link.is_open == is_open).count() as u64,
    })
}

/// Tells whether a device is in a condition.
type Condition = fn(&DeviceStatus) -> bool;

/// Counts the devices that are in each condition; one device may be in several.
fn fleet_samples(devices: &[DeviceStatus]) -> Vec<Sample> {
    let conditions: [(&'static str, Condition); 10] = [
        ("known", |_| true),
        ("enrolled", |device| device.enrolled),
        ("converged", |device| device.converged),
        ("stale", |device| device.stale),
        ("behind", |device| device.behind.is_some()),
        ("conflict", |device| {
            device.behind.is_some_and(|behind| behind.conflict)
        }),
        ("cloned", |device| device.cloned.is_some()),
        ("paused", |device| device.paused),
        ("frozen", |device| device.frozen),
        ("revoked", |device| device.revoked),
    ];
    let sample = |(state, holds): (&'static str, fn(&DeviceStatus) -> bool)| Sample {
        name: "postern_devices",
        label: Some(("state", state)),
        value: devices.iter().filter(|device| holds(device)).count() as u64,
    };
    conditions.map(sample).into()
}

fn select(state: &State, path: Option<&Path>) -> BTreeMap<String, serde_json::Value> {
    let below = path.map(|path| format!("{path}/"));
    let is_wanted = |found: &Path| match (path, &below) {
        (Some(path), Some(below)) => found == path || found.as_str().starts_with(below),
        (None, _) | (_, None) => true,
    };
    let entries = state.iter().filter(|(found, _)| is_wanted(found));
    entries
        .map(|(found, set)| (found.to_string(), value::to_json(set)))
        .collect()
}

fn describe(held: &EvidenceHeld) -> EvidenceJson {
    EvidenceJson {
        code: held.code.reject().as_str().to_owned(),
        head: (&held.head).into(),
        proven: held.is_proven,
        envelope: Base64::encode_string(&held.envelope),
    }
}
