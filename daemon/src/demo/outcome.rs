//! What the demo ends with: one object for programs, next steps for people.
//!
//! Figures are what the processes reported. Refuses to call a fleet converged whose digests differ.

use super::decisions::Head;
use super::percentile::percentile;
use super::unit::Counts;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// One device at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeviceOutcome {
    /// Its name.
    pub(super) name: String,
    /// What was decided for it, as the controller acknowledged it.
    pub(super) desired: Head,
    /// What it applied, as it signed it.
    pub(super) applied: Head,
    /// The word for its way.
    pub(super) route: String,
    /// Counts over all its processes.
    pub(super) counts: Counts,
}

/// Everything at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The devices, by name.
    pub(super) devices: Vec<DeviceOutcome>,
    /// Devices that were killed and started again.
    pub(super) restarts: u64,
    /// Microseconds from each decision to its report.
    pub(super) pushes_us: Vec<u64>,
}

impl Outcome {
    /// Returns true when every device applied exactly what was decided for it.
    pub(super) fn is_converged(&self) -> bool {
        let is_same = |device: &DeviceOutcome| device.desired == device.applied;
        !self.devices.is_empty() && self.devices.iter().all(is_same)
    }

    /// Returns the object for programs.
    pub(super) fn to_json(&self) -> Json {
        let mut refused = BTreeMap::new();
        for (name, count) in self
            .devices
            .iter()
            .flat_map(|device| &device.counts.rejected)
        {
            *refused.entry(name.as_str()).or_insert(0_u64) += count;
        }
        let refused = refused.into_iter();
        json!({
            "devices": self.devices.iter().map(device_json).collect::<Vec<_>>(),
            "refused": refused
                .map(|(reason, count)| json!({ "reason": reason, "count": count }))
                .collect::<Vec<_>>(),
            "restarts": self.restarts,
            "push_ms": {
                "p50": millis(percentile(&self.pushes_us, 50)),
                "p99": millis(percentile(&self.pushes_us, 99)),
            },
            "converged": self.is_converged(),
        })
    }

    /// Returns what a person may do now.
    pub(super) fn next_steps(&self) -> Vec<&'static str> {
        vec![
            "",
            "next: for real, on the machine that decides",
            "        postern controller init --dir controller --listen 0.0.0.0:8443 --url https://YOUR-HOST:8443",
            "        postern controller run --dir controller",
            "        postern controller invite hall-a --dir controller > hall-a.join",
            "      on the device, with that line",
            "        postern device join --dir device < hall-a.join",
            "        postern device run --dir device",
            "      then decide something, and see it applied",
            "        postern desired set hall-a oven/setpoint 181.5 --dir controller --wait",
            "      README.md goes on from here",
        ]
    }
}

fn device_json(device: &DeviceOutcome) -> Json {
    json!({
        "name": device.name,
        "desired": head_json(&device.desired),
        "applied": head_json(&device.applied),
        "route": device.route,
        "bytes_up": device.counts.bytes_up,
        "bytes_down": device.counts.bytes_down,
    })
}

fn head_json(head: &Head) -> Json {
    json!({ "epoch": head.epoch, "seq": head.seq, "digest": head.digest })
}

/// Microseconds as milliseconds with three digits behind the point.
fn millis(micros: Option<u64>) -> Option<f64> {
    // Exact: a duration of a demo has far fewer than 53 bits.
    let whole = u32::try_from(micros?).unwrap_or(u32::MAX);
    Some(f64::from(whole) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::{DeviceOutcome, Outcome};
    use crate::demo::decisions::Head;
    use crate::demo::unit::Counts;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn head(seq: u64, digest: &str) -> Head {
        Head {
            epoch: 9,
            seq,
            digest: digest.into(),
        }
    }

    fn device(name: &str, applied: Head, rejected: &[(&str, u64)]) -> DeviceOutcome {
        let rejected = rejected
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        DeviceOutcome {
            name: name.into(),
            desired: head(4, "ab"),
            applied,
            route: "proxy".into(),
            counts: Counts {
                bytes_up: 1,
                bytes_down: 2,
                rejected: rejected.collect::<BTreeMap<_, _>>(),
            },
        }
    }

    fn outcome(devices: Vec<DeviceOutcome>) -> Outcome {
        Outcome {
            devices,
            restarts: 1,
            pushes_us: vec![8_000, 9_500, 7_250],
        }
    }

    #[test]
    fn outcome_is_one_object_with_every_promised_member() {
        let devices = vec![
            device("hall-a", head(4, "ab"), &[("session-mac", 1)]),
            device(
                "hall-b",
                head(4, "ab"),
                &[("base-newer", 1), ("session-mac", 2)],
            ),
        ];
        let json = outcome(devices).to_json();
        let applied = json!({ "epoch": 9, "seq": 4, "digest": "ab" });
        assert_eq!(
            json["devices"][0],
            json!({
                "name": "hall-a", "desired": applied, "applied": applied,
                "route": "proxy", "bytes_up": 1, "bytes_down": 2,
            })
        );
        assert_eq!(
            json["refused"],
            json!([
                { "reason": "base-newer", "count": 1 }, { "reason": "session-mac", "count": 3 },
            ])
        );
        assert_eq!(
            (json["restarts"].as_u64(), json["converged"].as_bool()),
            (Some(1), Some(true))
        );
        assert_eq!(json["push_ms"], json!({ "p50": 8.0, "p99": 9.5 }));
        assert_eq!(json.as_object().unwrap().len(), 5);
    }

    #[test]
    fn outcome_with_any_difference_is_not_converged() {
        for applied in [head(3, "ab"), head(5, "ab"), head(4, "cd"), head(4, "")] {
            let devices = vec![
                device("hall-a", head(4, "ab"), &[]),
                device("hall-b", applied, &[]),
            ];
            assert_eq!(outcome(devices).to_json()["converged"], json!(false));
        }
        assert_eq!(outcome(Vec::new()).to_json()["converged"], json!(false));
    }

    #[test]
    fn outcome_without_pushes_has_no_latency() {
        let quiet = Outcome {
            pushes_us: Vec::new(),
            ..outcome(Vec::new())
        };
        assert_eq!(
            quiet.to_json()["push_ms"],
            json!({ "p50": null, "p99": null })
        );
    }
}
