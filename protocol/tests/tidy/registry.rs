//! Rules about what must agree: registry, code, vectors and tests; manifest and files; limits.
//!
//! They compare names and numbers; whether a vector is right is the business of those who replay it.

use super::files::{files, is_test, name, report, root, text, text_of};
use postern_protocol::Reject;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fs;

#[test]
fn every_reject_stands_in_the_registry_with_its_number() {
    let registry = text_of("spec/registry.md");
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
        "add to spec/registry.md: number, name and sentence of the reject",
        &missing,
    );
    let names: BTreeSet<&str> = Reject::ALL.iter().map(|reject| reject.as_str()).collect();
    let section = registry.split("\n## Rejects\n").nth(1).expect("rejects");
    let section = section.split("\n## ").next().unwrap_or_default();
    let unknown: Vec<String> = section
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("| `"))
        .filter(|line| !line.split('`').nth(1).is_some_and(|it| names.contains(it)))
        .map(str::to_owned)
        .collect();
    report("a row of spec/registry.md that no code knows", &unknown);
}

#[test]
fn every_reject_is_in_a_vector() {
    let mut seen = BTreeSet::new();
    for file in files("interop-vectors/v1", ".json") {
        let json: Json = serde_json::from_str(&text(&file).expect("text")).expect("JSON");
        collect_errors(&json, &mut seen);
    }
    let missing: Vec<String> = Reject::ALL
        .iter()
        .filter(|reject| !seen.contains(reject.as_str()))
        .map(|reject| reject.as_str().to_owned())
        .collect();
    report("write a vector whose `error` is this reject", &missing);
}

fn collect_errors(json: &Json, seen: &mut BTreeSet<String>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| collect_errors(item, seen)),
        Json::Object(members) => {
            for (name, item) in members {
                if let (true, Some(error)) = (name == "error", item.as_str()) {
                    seen.insert(error.to_owned());
                }
                collect_errors(item, seen);
            }
        }
        Json::String(_) | Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

#[test]
fn every_reject_is_in_a_test() {
    let mut tests = String::new();
    for folder in ["protocol", "relay", "egress", "daemon"] {
        for file in files(folder, ".rs") {
            let name = name(&file);
            if is_test(&name) && !name.contains("/tidy/") {
                tests.push_str(&text(&file).unwrap_or_default());
            }
        }
    }
    // A name counts as a whole: `shape` within quotes, `Reject::Shape` before anything but a letter.
    let is_in_code = |reject: &Reject| {
        let variant = format!("Reject::{reject:?}");
        let mut found = tests.split(&variant).skip(1);
        found.any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
    };
    let is_by_name = |reject: &Reject| tests.contains(&format!("\"{}\"", reject.as_str()));
    let missing: Vec<String> = Reject::ALL
        .iter()
        .filter(|reject| !is_in_code(reject) && !is_by_name(reject))
        .map(|reject| format!("{reject:?}"))
        .collect();
    report("write a test that expects this reject", &missing);
}

#[test]
fn every_vector_file_is_in_the_manifest_with_its_hash_and_count() {
    let folder = root().join("interop-vectors/v1");
    let manifest: Json =
        serde_json::from_str(&text_of("interop-vectors/v1/manifest.json")).expect("JSON");
    let (mut listed, mut findings) = (BTreeSet::new(), Vec::new());
    for row in manifest["files"].as_array().expect("files") {
        let file = row["file"].as_str().expect("a name");
        listed.insert(file.to_owned());
        let content = fs::read(folder.join(file)).unwrap_or_default();
        let hash = Sha256::digest(&content);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let json: Json = serde_json::from_slice(&content).unwrap_or_default();
        let rows = json.get("tests").or_else(|| json.get("keys"));
        let count = rows.and_then(Json::as_array).map_or(0, Vec::len);
        if row["sha256"].as_str() != Some(hash.as_str()) {
            findings.push(format!("{file}: sha256 is {hash}"));
        }
        if row["count"].as_u64() != Some(count as u64) {
            findings.push(format!("{file}: count is {count}"));
        }
    }
    for file in files("interop-vectors/v1", ".json") {
        let below = file.strip_prefix(&folder).expect("below");
        let below = below.display().to_string();
        let is_about = below == "manifest.json" || below.starts_with("schema/");
        if !is_about && !listed.contains(&below) {
            findings.push(format!("{below} is not listed"));
        }
    }
    report("run interop-vectors/regenerate", &findings);
}

/// What limits count, as a part of their name or a word of their documentation.
const UNITS: [&str; 39] = [
    "byte",
    "millisecond",
    "second",
    "ms",
    "character",
    "container",
    "section",
    "entr",
    "digest",
    "key",
    "delta",
    "tenant",
    "url",
    "counter",
    "line",
    "epoch",
    "answer",
    "file",
    "per cent",
    "header",
    "connection",
    "slot",
    "session",
    "poll",
    "stream",
    "event",
    "call",
    "exchange",
    "batch",
    "quarter",
    "rung",
    "nesting",
    "version",
    "hold",
    "way",
    "failure",
    "probe",
    "weight",
    "number",
];

#[test]
fn limits_say_what_they_count() {
    let mut findings = Vec::new();
    for file in files("", "limits.rs") {
        let content = text(&file).expect("a source file");
        let mut doc = String::new();
        for (at, line) in content.lines().enumerate() {
            if let Some(rest) = line.strip_prefix("///") {
                doc.push_str(rest);
            } else if line.starts_with("pub const") || line.starts_with("pub(crate) const") {
                let described = format!("{doc} {line}").to_lowercase();
                let is_said = described.contains(": duration")
                    || UNITS.iter().any(|unit| described.contains(unit));
                if !is_said || doc.is_empty() {
                    findings.push(format!("{}:{}: {line}", name(&file), at + 1));
                }
                doc.clear();
            }
        }
    }
    report(
        "say in name or documentation what the limit counts",
        &findings,
    );
}
