//! What stands in a file: the bytes of one value.
//!
//! Text and bytes are the file; everything else is JSON text without a line end, so that `null`,
//! `true`, `3` and `3.0` can be told apart. Refuses to add or convert anything.

use postern_protocol::state::{Reference, State, Value};
use std::collections::BTreeMap;

/// The files of one revision by path, the separators of which are `/`.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Sections about the device itself, which are no files.
pub(crate) const RESERVED_SECTIONS: [&str; 2] = ["intent", "postern"];

/// Renders every path of a state that belongs to the application.
pub(super) fn files_of(state: &State) -> Files {
    state
        .iter()
        .filter(|(path, _)| !RESERVED_SECTIONS.contains(&path.section()))
        .map(|(path, value)| (path.as_str().to_owned(), bytes_of(value)))
        .collect()
}

/// Renders one value.
pub(super) fn bytes_of(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => b"null".to_vec(),
        Value::Bool(value) => value.to_string().into_bytes(),
        Value::Int(value) => value.number().to_string().into_bytes(),
        Value::Float(value) => serde_json::Value::from(value.number())
            .to_string()
            .into_bytes(),
        Value::Text(text) => text.clone().into_bytes(),
        Value::Bytes(bytes) => bytes.clone(),
        Value::Reference(reference) => reference_json(reference).into_bytes(),
    }
}

fn reference_json(reference: &Reference) -> String {
    serde_json::json!({
        "digest": reference.digest.to_string(),
        "size_bytes": reference.size_bytes,
        "media_type": reference.media_type,
    })
    .to_string()
}
