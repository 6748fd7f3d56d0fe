//! Reads the files of the published vectors that their manifest lists.
//!
//! Refuses to guess: a member that is missing fails the test.

use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

fn read(file: &str) -> Json {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../v1");
    let content = fs::read(root.join(file)).expect("a file of the manifest");
    serde_json::from_slice(&content).expect("JSON")
}

/// Every file of vectors, in the order of the manifest.
pub(crate) fn files() -> &'static [Json] {
    static FILES: OnceLock<Vec<Json>> = OnceLock::new();
    FILES.get_or_init(|| {
        let manifest = read("manifest.json");
        let rows = manifest["files"].as_array().expect("files").iter();
        let names = rows.map(|row| text(row, "file"));
        names
            .filter(|name| *name != "keys.json")
            .map(read)
            .collect()
    })
}

/// Every test of an operation.
pub(crate) fn tests_of(operation: &str) -> Vec<Json> {
    let of_it = files().iter().filter(|file| file["operation"] == operation);
    of_it
        .flat_map(|file| file["tests"].as_array().expect("tests").clone())
        .collect()
}

/// Returns a text member.
pub(crate) fn text<'a>(json: &'a Json, member: &str) -> &'a str {
    json[member].as_str().expect("a text")
}

/// Returns the flags of a test.
pub(crate) fn flags(test: &Json) -> Vec<&str> {
    let flags = test["flags"].as_array().expect("flags").iter();
    flags.filter_map(Json::as_str).collect()
}

/// Returns a hexadecimal member.
pub(crate) fn bytes(json: &Json, member: &str) -> Vec<u8> {
    unhex(text(json, member))
}

/// Returns a hexadecimal member of a fixed size.
pub(crate) fn array<const N: usize>(json: &Json, member: &str) -> [u8; N] {
    bytes(json, member).try_into().expect("the right size")
}

/// Reads hexadecimal.
fn unhex(text: &str) -> Vec<u8> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "half a byte in {text}");
    let digits = pairs
        .iter()
        .map(|pair| str::from_utf8(pair).expect("ASCII"));
    digits
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal"))
        .collect()
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
