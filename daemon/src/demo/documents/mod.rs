//! Deployment documents as a Margo workload fleet manager would hand them out, made up here.
//!
//! Each deployment is a section of its own: its document under `<id>/document`, and every parameter
//! an operator may turn beside it as `<id>/<name>`, so that turning one costs bytes for one.
//! Field names follow the pre-release (PR1) shape of `ApplicationDeployment`; names and values are
//! ours. Refuses to be random: the same number gives the same document.

#[cfg(test)]
mod tests;
mod yaml;

use serde_json::{Value, json};

/// The parameter that the demo turns.
pub(super) const TURNED_PARAMETER: &str = "setpoint-celsius";
/// Value of [`TURNED_PARAMETER`] before anybody turned it.
const SETPOINT_CELSIUS: &str = "180.0";

/// Two components of the made-up application: name, and what it is for.
const COMPONENTS: [&str; 2] = ["oven-control", "oven-vision"];

/// Parameters with their value, the place they are written to, and the component that reads them.
const PARAMETERS: [(&str, &str, &str, usize); 10] = [
    (TURNED_PARAMETER, SETPOINT_CELSIUS, "control.setpoint", 0),
    ("ramp-celsius-per-minute", "4.5", "control.ramp", 0),
    ("cycle-milliseconds", "250", "control.cycle", 0),
    ("fan-percent", "65", "control.fan", 0),
    ("alarm-celsius", "240.0", "control.alarm", 0),
    ("door-timeout-seconds", "30", "control.door", 0),
    ("camera-exposure-microseconds", "8000", "camera.exposure", 1),
    ("camera-frames-per-second", "12", "camera.rate", 1),
    ("reject-threshold", "0.82", "model.threshold", 1),
    ("model-revision", "2026-09-14", "model.revision", 1),
];

/// Returns the id of deployment `number`, one valid path segment.
pub(super) fn deployment_id(number: usize) -> String {
    format!("oven-{number:03}")
}

/// Returns the path of one deployment's turned parameter.
pub(super) fn parameter_path(number: usize, name: &str) -> String {
    format!("{}/{name}", deployment_id(number))
}

/// Returns the whole desired state with deployments 1..=`count`, as `(path, text)`.
pub(super) fn deployments(count: usize) -> Vec<(String, String)> {
    (1..=count).flat_map(deployment).collect()
}

/// Returns the paths of one deployment.
fn deployment(number: usize) -> Vec<(String, String)> {
    let id = deployment_id(number);
    vec![
        (format!("{id}/document"), yaml::write(&document(number))),
        (
            parameter_path(number, TURNED_PARAMETER),
            SETPOINT_CELSIUS.to_owned(),
        ),
    ]
}

/// Returns one deployment's document.
fn document(number: usize) -> Value {
    let id = deployment_id(number);
    let components = COMPONENTS.map(|name| {
        json!({
            "name": name,
            "properties": {
                "repository": format!("oci://registry.bakery.example/charts/{name}"),
                "revision": format!("2.{}.0", number % 10),
                "timeout": "8m30s",
                "wait": true,
            },
        })
    });
    json!({
        "apiVersion": "application.margo.org/v1alpha1",
        "kind": "ApplicationDeployment",
        "metadata": {
            "annotations": {
                "applicationId": "com-bakery-example-oven",
                "id": id,
            },
            "name": format!("{id}-deployment"),
            "namespace": "bakery-floor",
        },
        "spec": {
            "deploymentProfile": { "type": "helm.v3", "components": components },
            "parameters": parameters(),
        },
    })
}

fn parameters() -> Value {
    let each = PARAMETERS.iter().map(|(name, value, pointer, component)| {
        let components: Vec<&str> = COMPONENTS
            .iter()
            .skip(*component)
            .take(1)
            .copied()
            .collect();
        let target = json!({ "pointer": pointer, "components": components });
        (
            (*name).to_owned(),
            json!({ "value": value, "targets": [target] }),
        )
    });
    Value::Object(each.collect())
}
