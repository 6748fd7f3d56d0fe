//! Rules about what must agree: registry, code, vectors and tests; manifest and files.

use super::files::{files, name, report, root, text};
use postern_protocol::Reject;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fs;

#[test]
fn every_reject_stands_in_the_registry_with_its_number() {
    let registry = text(&root().join("spec/registry.md")).expect("the registry");
    let rows: BTreeSet<String> = registry
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim);
            let (_, number, name, sentence) =
                (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
            Some(format!("{number} {} {sentence}", name.trim_matches('`')))
        })
        .collect();
    let missing: Vec<String> = Reject::ALL
        .iter()
        .map(|reject| {
            format!(
                "{} {} {}",
                reject.code(),
                reject.as_str(),
                reject.sentence()
            )
        })
        .filter(|row| !rows.contains(row))
        .collect();
    report(
        "number, name and sentence of a reject stand in spec/registry.md",
        &missing,
    );
}

#[test]
fn every_reject_is_in_a_vector() {
    let mut seen = BTreeSet::new();
    for file in files("interop-vectors/v1", ".json") {
        let json: Json = serde_json::from_str(&text(&file).expect("text")).expect("JSON");
        collect_texts(&json, &mut seen);
    }
    let missing: Vec<String> = Reject::ALL
        .iter()
        .filter(|reject| !seen.contains(reject.as_str()))
        .map(|reject| reject.as_str().to_owned())
        .collect();
    report("every reject has a vector", &missing);
}

fn collect_texts(json: &Json, seen: &mut BTreeSet<String>) {
    match json {
        Json::String(text) => {
            seen.insert(text.clone());
        }
        Json::Array(items) => items.iter().for_each(|item| collect_texts(item, seen)),
        Json::Object(members) => members.values().for_each(|item| collect_texts(item, seen)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

#[test]
fn every_reject_is_in_a_test() {
    let mut tests = String::new();
    for folder in ["protocol", "relay", "egress", "daemon"] {
        for file in files(folder, ".rs") {
            if name(&file).contains("/tests") {
                tests.push_str(&text(&file).unwrap_or_default());
            }
        }
    }
    let is_in_code = |reject: &Reject| tests.contains(&format!("Reject::{reject:?}"));
    let is_by_name = |reject: &Reject| tests.contains(reject.as_str());
    let missing: Vec<String> = Reject::ALL
        .iter()
        .filter(|reject| !is_in_code(reject) && !is_by_name(reject))
        .map(|reject| format!("{reject:?}"))
        .collect();
    report("every reject has a test", &missing);
}

#[test]
fn every_vector_file_is_in_the_manifest_with_its_hash() {
    let folder = root().join("interop-vectors/v1");
    let manifest = text(&folder.join("manifest.json")).expect("the manifest");
    let manifest: Json = serde_json::from_str(&manifest).expect("JSON");
    let mut listed = BTreeSet::new();
    let mut findings = Vec::new();
    for row in manifest["files"].as_array().expect("files") {
        let file = row["file"].as_str().expect("a name");
        listed.insert(file.to_owned());
        let hash: String = fs::read(folder.join(file))
            .map(Sha256::digest)
            .map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect())
            .unwrap_or_default();
        if row["sha256"].as_str() != Some(hash.as_str()) {
            findings.push(format!("{file}: {hash}"));
        }
    }
    for file in files("interop-vectors/v1", ".json") {
        let below = file
            .strip_prefix(&folder)
            .expect("below")
            .display()
            .to_string();
        let is_about = below == "manifest.json" || below.starts_with("schema/");
        if !is_about && !listed.contains(&below) {
            findings.push(format!("{below} is not listed"));
        }
    }
    report("the manifest names every vector file", &findings);
}
