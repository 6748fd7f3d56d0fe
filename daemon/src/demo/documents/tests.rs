use super::{TURNED_PARAMETER, deployment_id, deployments, document, parameter_path, yaml};
use postern_protocol::state::Path;
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn document_has_the_size_of_a_usual_one() {
    for number in [1, 7, 10, 100] {
        let bytes = yaml::write(&document(number)).len();
        assert!((2_100..=2_700).contains(&bytes), "{number}: {bytes} bytes");
    }
}

#[test]
fn document_has_the_field_names_of_the_pre_release() {
    let document = document(7);
    let check = |pointer: &str, expected: &str| {
        let found = document.pointer(pointer).and_then(Value::as_str);
        assert_eq!(found, Some(expected), "{pointer}");
    };
    check("/apiVersion", "application.margo.org/v1alpha1");
    check("/kind", "ApplicationDeployment");
    check("/metadata/annotations/id", "oven-007");
    check(
        "/metadata/annotations/applicationId",
        "com-bakery-example-oven",
    );
    check("/metadata/name", "oven-007-deployment");
    check("/metadata/namespace", "bakery-floor");
    check("/spec/deploymentProfile/type", "helm.v3");
    check("/spec/deploymentProfile/components/1/name", "oven-vision");
    check(
        "/spec/deploymentProfile/components/0/properties/timeout",
        "8m30s",
    );
    check(
        "/spec/parameters/fan-percent/targets/0/pointer",
        "control.fan",
    );
}

#[test]
fn parameters_name_components_that_the_document_has() {
    let document = document(1);
    let components = document["spec"]["deploymentProfile"]["components"]
        .as_array()
        .unwrap();
    let known: BTreeSet<_> = components
        .iter()
        .map(|component| &component["name"])
        .map(Value::to_string)
        .collect();
    let parameters = document["spec"]["parameters"].as_object().unwrap();
    assert_eq!((known.len(), parameters.len()), (2, 10));
    for (name, parameter) in parameters {
        assert!(parameter["value"].is_string(), "{name}");
        let used = parameter["targets"][0]["components"][0].to_string();
        assert!(known.contains(&used), "{name} names {used}");
    }
}

#[test]
fn deployments_give_distinct_valid_paths_that_never_enclose_each_other() {
    for (count, expected) in [(0, 0), (1, 2), (10, 20), (100, 200)] {
        let values = deployments(count);
        let paths: BTreeSet<_> = values.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!((values.len(), paths.len()), (expected, expected));
        for path in &paths {
            assert!(Path::parse(path).is_ok(), "{path}");
            assert!(
                !paths
                    .iter()
                    .any(|other| other.starts_with(&format!("{path}/"))),
                "{path}"
            );
        }
    }
}

#[test]
fn turned_parameter_is_in_the_state_and_in_the_document() {
    let path = parameter_path(3, TURNED_PARAMETER);
    assert!(deployments(3).iter().any(|(found, _)| *found == path));
    assert!(!deployments(2).iter().any(|(found, _)| *found == path));
    assert!(document(3)["spec"]["parameters"][TURNED_PARAMETER].is_object());
    assert_eq!(deployment_id(3), "oven-003");
}
