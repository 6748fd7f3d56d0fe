//! Reads vector files: hexadecimal members, typed values, the list of files.
//!
//! Refuses to guess: a missing member or an unknown form fails the test.

pub(crate) mod encryption;
pub(crate) mod lives;
pub(crate) mod relays;
pub(crate) mod sign1;

use postern_protocol::Reject;
use postern_protocol::id::Digest;
use postern_protocol::key::MemorySigner;
use postern_protocol::state::{Finite, Integer, Reference, Value};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../interop-vectors/v1")
}

/// Returns every vector file with its name below the root, sorted. Numbered folders hold vectors.
pub(crate) fn files() -> Vec<(String, Json)> {
    let mut found = Vec::new();
    for folder in fs::read_dir(root()).expect("the folder of vectors") {
        let folder = folder.expect("an entry").path();
        let name = folder.file_name().and_then(|name| name.to_str());
        let is_numbered = name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_digit()));
        if !is_numbered {
            continue;
        }
        for file in fs::read_dir(&folder).expect("a folder") {
            let file = file.expect("an entry").path();
            let name = file
                .strip_prefix(root())
                .expect("below")
                .display()
                .to_string();
            found.push((name, read(&file)));
        }
    }
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

fn read(file: &PathBuf) -> Json {
    let content = fs::read(file).expect("a readable file");
    serde_json::from_slice(&content).expect("JSON")
}

/// Returns the test key with this public key.
pub(crate) fn signer_of(public_key: &[u8]) -> MemorySigner {
    let keys = read(&root().join("keys.json"));
    let rows = keys["keys"].as_array().expect("keys");
    let row = rows
        .iter()
        .find(|row| bytes(row, "public_key") == public_key)
        .expect("a known key");
    let seed: [u8; 32] = bytes(row, "seed").try_into().expect("32 bytes");
    match text(row, "type") {
        "ed25519" => MemorySigner::from_seed(&seed),
        "esp256" => MemorySigner::esp256_from_secret(&seed).expect("a secret number"),
        other => panic!("{other} does not sign"),
    }
}

/// Returns a text member.
pub(crate) fn text<'a>(json: &'a Json, member: &str) -> &'a str {
    json[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} is no text in {json}"))
}

/// Returns a number member; large numbers are decimal text.
pub(crate) fn uint(json: &Json, member: &str) -> u64 {
    let number = &json[member];
    number
        .as_u64()
        .or_else(|| number.as_str()?.parse().ok())
        .or_else(|| number["int"].as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("{member} is no number in {json}"))
}

/// Returns a hexadecimal member.
pub(crate) fn bytes(json: &Json, member: &str) -> Vec<u8> {
    unhex(text(json, member))
}

/// Reads hexadecimal.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "half a byte in {text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

/// Writes hexadecimal.
pub(crate) fn hex_of(bytes: &[u8]) -> Json {
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.into()
}

/// Reads a value of a state in the typed form of the vectors.
pub(crate) fn value(json: &Json) -> Result<Value, Reject> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => {
            let number = number
                .as_i64()
                .map(i128::from)
                .or(number.as_u64().map(i128::from));
            Value::Int(Integer::new(number.expect("floats are wrapped"))?)
        }
        Json::String(text) => Value::Text(text.clone()),
        Json::Object(members) => {
            let (name, inner) = members.iter().next().expect("one member");
            match name.as_str() {
                "bytes" => Value::Bytes(bytes(json, "bytes")),
                "int" => Value::Int(Integer::new(text(json, "int").parse().expect("a number"))?),
                "float" => {
                    let bits = bytes(json, "float").try_into().expect("8 bytes");
                    Value::Float(Finite::new(f64::from_be_bytes(bits))?)
                }
                "reference" => Value::Reference(Reference {
                    digest: Digest::from_bytes(bytes(inner, "digest").try_into().expect("32")),
                    size_bytes: uint(inner, "size"),
                    media_type: text(inner, "media_type").into(),
                }),
                other => panic!("{other} is no form of a value"),
            }
        }
        Json::Array(_) => panic!("an array is no value"),
    })
}

/// Collects the text of every member `error`, however deep.
pub(crate) fn collect_errors(json: &Json, seen: &mut BTreeSet<String>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| collect_errors(item, seen)),
        Json::Object(members) => {
            for (name, item) in members {
                if let Some(error) = item.as_str().filter(|_| name == "error") {
                    seen.insert(error.to_owned());
                }
                collect_errors(item, seen);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}
