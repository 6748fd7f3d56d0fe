//! Every published vector, through the operation of its file: result, error and each output.
//!
//! An operation that nobody knows, or a folder without vectors, is a failure, never a skip.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read its vectors has to fail"
)]

use postern_judge::{operations, reply};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../v1")
}

/// Every file of the manifest with its content.
fn files() -> Vec<(String, Json)> {
    let manifest = fs::read(vectors().join("manifest.json")).expect("the manifest");
    let manifest: Json = serde_json::from_slice(&manifest).expect("JSON");
    let rows = manifest["files"].as_array().expect("files");
    let names = rows.iter().map(|row| row["file"].as_str().expect("a name"));
    names
        .filter(|name| *name != "keys.json")
        .map(|name| {
            let content = fs::read(vectors().join(name)).expect("a file of the manifest");
            (
                name.to_owned(),
                serde_json::from_slice(&content).expect("JSON"),
            )
        })
        .collect()
}

/// The first output in which a reply and a vector differ.
fn difference(wanted: &Json, reply: &Json) -> Option<String> {
    for member in ["result", "error"] {
        if wanted.get(member) != reply.get(member) {
            return Some(format!("{member} is {:?}: {reply}", reply.get(member)));
        }
    }
    let members = reply.as_object().expect("an object");
    for (name, output) in members {
        match wanted.get(name) {
            Some(steps) if name == "steps" => {
                let pairs = steps.as_array().expect("steps").iter();
                let pairs = pairs.zip(output.as_array().expect("steps")).enumerate();
                for (at, (wanted, given)) in pairs {
                    if let Some(text) = difference_of_step(wanted, given) {
                        return Some(format!("step {at}: {text}"));
                    }
                }
            }
            Some(known) if known != output => return Some(format!("{name} is {output}")),
            Some(_) | None => {}
        }
    }
    None
}

fn difference_of_step(wanted: &Json, given: &Json) -> Option<String> {
    let told = given.as_object().expect("an object").iter();
    let differs = told
        .clone()
        .find(|(name, output)| wanted.get(name).is_some_and(|known| known != *output));
    if let Some((name, output)) = differs {
        return Some(format!("{name} is {output}: {given}"));
    }
    if wanted.get("error") != given.get("error") {
        return Some(format!("error is {:?}", given.get("error")));
    }
    let expect = wanted.get("expect")?.as_object().expect("an object");
    let (name, known) = expect
        .iter()
        .find(|(name, known)| given.get(name) != Some(known))?;
    Some(format!("{name} is not {known}: {given}"))
}

fn complaints(operation: &str, document: &Json) -> Vec<String> {
    let mut complaints = Vec::new();
    for test in document["tests"].as_array().expect("tests") {
        let mut request = test.clone();
        request["op"] = operation.into();
        if let Some(text) = difference(test, &reply(&request)) {
            complaints.push(format!("{}: {text:.1500}", test["name"]));
        }
    }
    complaints
}

#[test]
fn every_published_vector_agrees() {
    let mut failures = Vec::new();
    for (file, document) in files() {
        let operation = document["operation"].as_str().expect("an operation");
        for complaint in complaints(operation, &document) {
            failures.push(format!("{file}: {complaint}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{}\n{} failed",
        failures.join("\n"),
        failures.len()
    );
}

#[test]
fn every_operation_has_a_vector() {
    let files = files();
    let used: BTreeSet<&str> = files
        .iter()
        .map(|(_, document)| document["operation"].as_str().expect("an operation"))
        .collect();
    // The key check under another name.
    let known: BTreeSet<&str> = operations().filter(|name| *name != "key.check").collect();
    assert_eq!(used, known);
}
