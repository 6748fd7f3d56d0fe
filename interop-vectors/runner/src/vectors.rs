//! Reads vectors: the manifest first, then each file as long as its hash is the one listed.
//!
//! Refuses a file that is not what the manifest says, and a test without a name.

use crate::limits::{FILE_BYTES_MAX, FILL_BYTES_MAX, FILL_ENTRIES_MAX};
use crate::operation;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path};

/// One vector.
#[derive(Debug)]
pub(crate) struct Vector {
    /// Its file below the folder of vectors.
    pub(crate) file: String,
    /// What it tests.
    pub(crate) operation: String,
    /// Its unique name.
    pub(crate) name: String,
    /// All of it.
    pub(crate) test: Json,
}

impl Vector {
    /// The folder of its file.
    pub(crate) fn folder(&self) -> &str {
        self.file.split('/').next().unwrap_or_default()
    }

    /// True when it must be accepted.
    pub(crate) fn is_valid(&self) -> bool {
        self.text("result") == "valid"
    }

    /// A text member; empty when there is none.
    pub(crate) fn text(&self, member: &str) -> &str {
        self.test
            .get(member)
            .and_then(Json::as_str)
            .unwrap_or_default()
    }

    /// The request: `op`, the id, and every input. # Errors: a `fill` that describes too much.
    pub(crate) fn request(&self, id: u64) -> Result<Json, String> {
        let form = operation::of(&self.operation);
        let about = ["name", "spec", "comment", "flags", "result", "error"];
        let mut request = Map::new();
        request.insert("op".into(), self.operation.as_str().into());
        request.insert("id".into(), id.into());
        for (name, value) in self.test.as_object().into_iter().flatten() {
            if name == "steps" {
                request.insert(name.clone(), steps(value, form.steps));
            } else if name == "fill" {
                request.insert("state".into(), filled(value)?);
            } else if !about.contains(&name.as_str()) && !form.outputs.contains(&name.as_str()) {
                request.insert(name.clone(), value.clone());
            }
        }
        Ok(Json::Object(request))
    }
}

/// Steps without what they give.
fn steps(steps: &Json, outputs: &[&str]) -> Json {
    let inputs = |step: &Json| {
        let members = step.as_object().into_iter().flatten();
        let inputs = members.filter(|(name, _)| {
            !["result", "error"].contains(&name.as_str()) && !outputs.contains(&name.as_str())
        });
        inputs
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    steps
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| Json::Object(inputs(step)))
        .collect()
}

/// The state that `fill` describes.
fn filled(fill: &Json) -> Result<Json, String> {
    let number = |name: &str| fill.get(name).and_then(Json::as_u64);
    let numbers = (number("sections"), number("keys"), number("bytes"));
    let (Some(sections), Some(keys), Some(bytes)) = numbers else {
        return Err("fill has no sections, keys and bytes".into());
    };
    let count = sections
        .checked_mul(keys)
        .filter(|count| *count <= FILL_ENTRIES_MAX);
    let all = count.and_then(|count| count.checked_mul(bytes));
    if all.is_none_or(|all| all > FILL_BYTES_MAX) {
        return Err("fill describes too much".into());
    }
    let value = "5a".repeat(usize::try_from(bytes).unwrap_or_default());
    let places = (0..sections).flat_map(|section| (0..keys).map(move |key| (section, key)));
    let entries = places.map(|(section, key)| {
        (
            format!("s{section:04}/k{key:04}"),
            json!({ "bytes": value }),
        )
    });
    Ok(Json::Object(entries.collect()))
}

/// Reads every vector below a folder.
///
/// # Errors
/// What is wrong, with the file's name: it cannot be read, differs from the manifest, or is no vector file.
pub(crate) fn read(folder: &Path) -> Result<Vec<Vector>, String> {
    let manifest = parse(&content(folder, "manifest.json")?, "manifest.json")?;
    let rows = manifest.get("files").and_then(Json::as_array);
    let rows = rows.ok_or("manifest.json: the member files is missing")?;
    let (mut vectors, mut names) = (Vec::new(), BTreeSet::new());
    for row in rows {
        let text = |member: &str| row.get(member).and_then(Json::as_str).unwrap_or_default();
        let (file, hash) = (text("file"), text("sha256"));
        let bytes = content(folder, file)?;
        if hex(&Sha256::digest(&bytes)) != hash {
            return Err(format!("{file}: the hash is not the one of manifest.json"));
        }
        if file == "keys.json" {
            continue;
        }
        let document = parse(&bytes, file)?;
        let count = vectors.len();
        for vector in tests(file, document)? {
            if !names.insert(vector.name.clone()) {
                return Err(format!("{file}: {} is used twice", vector.name));
            }
            vectors.push(vector);
        }
        let found = u64::try_from(vectors.len().saturating_sub(count)).ok();
        if found != row.get("count").and_then(Json::as_u64) {
            return Err(format!("{file}: the count is not the one of manifest.json"));
        }
    }
    Ok(vectors)
}

fn tests(file: &str, document: Json) -> Result<Vec<Vector>, String> {
    let operation = document.get("operation").and_then(Json::as_str);
    let operation = operation.ok_or(format!("{file}: no operation"))?.to_owned();
    let tests = document.get("tests").and_then(Json::as_array);
    let tests = tests.ok_or(format!("{file}: no tests"))?;
    tests
        .iter()
        .map(|test| {
            let name = test.get("name").and_then(Json::as_str);
            let result = test.get("result").and_then(Json::as_str);
            if !matches!(result, Some("valid" | "invalid")) {
                return Err(format!("{file}: a test without a result"));
            }
            Ok(Vector {
                file: file.into(),
                operation: operation.clone(),
                name: name.ok_or(format!("{file}: a test without a name"))?.into(),
                test: test.clone(),
            })
        })
        .collect()
}

fn content(folder: &Path, file: &str) -> Result<Vec<u8>, String> {
    let is_below = |part: Component<'_>| matches!(part, Component::Normal(_));
    if file.is_empty() || !Path::new(file).components().all(is_below) {
        return Err(format!("manifest.json: {file:?} is no file below it"));
    }
    let failed = |error| format!("{}: {error}", folder.join(file).display());
    let opened = File::open(folder.join(file)).map_err(failed)?;
    let mut bytes = Vec::new();
    opened
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size > FILE_BYTES_MAX) {
        return Err(format!("{file}: larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

fn parse(bytes: &[u8], file: &str) -> Result<Json, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("{file}: {error}"))
}

/// Writes hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
