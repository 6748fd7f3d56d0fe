//! Deployment documents of 2.4 KB and the manifest that would list them, made up here.
//!
//! Field names follow the pre-release shapes of the Margo specification (`ApplicationDeployment`,
//! the state manifest, the deployment status); names and values are ours. Refuses to be random:
//! the same number gives the same bytes.

use postern_protocol::id::Digest;
use serde_json::json;
use std::fmt::Write as _;

/// Parameters of one document; the first is the one that is turned.
const PARAMETERS: [(&str, &str); 12] = [
    ("settings.oven.setpoint", "180.0"),
    ("settings.oven.ramp", "4.5"),
    ("settings.oven.cycle", "250"),
    ("settings.oven.alarm", "240.0"),
    ("settings.fan.percent", "65"),
    ("settings.door.timeout", "30"),
    ("settings.door.lock", "true"),
    ("settings.camera.exposure", "8000"),
    ("settings.camera.rate", "12"),
    ("settings.model.threshold", "0.82"),
    ("settings.model.revision", "2026-09-14"),
    ("settings.log.level", "info"),
];

/// Value of the first parameter after it was turned.
const TURNED: &str = "182.5";

/// Returns the id of deployment `number`.
pub fn id(number: usize) -> String {
    format!("oven-{number:03}")
}

/// Returns one document; turned or not, it has the same length.
pub fn text(number: usize, is_turned: bool) -> String {
    let id = id(number);
    let mut text = format!(
        "apiVersion: application.margo.org/v1alpha1\nkind: ApplicationDeployment\nmetadata:\n  annotations:\n    \
         applicationId: com-bakery-example-oven\n    id: {id}\n  name: {id}-deployment\n  namespace: bakery-floor\n\
         spec:\n  deploymentProfile:\n    type: helm.v3\n    components:\n"
    );
    for component in ["oven-control", "oven-vision"] {
        let _infallible = write!(
            text,
            "      - name: {component}\n        properties:\n          repository: oci://registry.bakery.example/charts/{component}\n          \
             revision: 2.4.0\n          timeout: 8m30s\n          wait: true\n"
        );
    }
    text.push_str("  parameters:\n");
    for (index, (name, value)) in PARAMETERS.into_iter().enumerate() {
        let value = if is_turned && index == 0 {
            TURNED
        } else {
            value
        };
        let _infallible = write!(
            text,
            "    {}:\n      value: \"{value}\"\n      targets:\n        - pointer: {name}\n          components: [\"oven-control\"]\n",
            name.replace('.', "-")
        );
    }
    text
}

/// Returns the manifest of `count` deployments, compact, of which the first is turned or not.
pub fn manifest(count: usize, is_turned: bool) -> String {
    let entry = |number: usize| {
        let document = text(number, is_turned && number == 1);
        let digest = Digest::of(document.as_bytes());
        json!({
            "deploymentId": format!("7b1c6a90-5f3e-4d2b-9a77-{number:012}"),
            "digest": format!("sha256:{digest}"),
            "sizeBytes": document.len(),
            "url": format!("/api/v1/clients/press-7/deployments/7b1c6a90-5f3e-4d2b-9a77-{number:012}/sha256:{digest}"),
        })
    };
    let deployments: Vec<_> = (1..=count).map(entry).collect();
    json!({
        "manifestVersion": 1_048_576,
        "bundle": null,
        "deployments": deployments,
    })
    .to_string()
}

/// Returns the status that a device sends back for one deployment of two components, compact.
pub fn status() -> String {
    let component = |name: &str| json!({ "name": name, "state": "installed", "error": { "code": "", "message": "" } });
    json!({
        "apiVersion": "deployment.margo.org/v1alpha1",
        "kind": "DeploymentStatusManifest",
        "deploymentId": "7b1c6a90-5f3e-4d2b-9a77-000000000001",
        "status": { "state": "installed", "error": { "code": "", "message": "" } },
        "components": [component("oven-control"), component("oven-vision")],
    })
    .to_string()
}
