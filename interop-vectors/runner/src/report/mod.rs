//! Reports of a run: a table for people, JSON for programs, JUnit XML for build servers.
//!
//! Each is a text; nothing here writes it anywhere.

mod json;
mod junit;
mod table;

pub(crate) use json::json;
pub(crate) use junit::junit;
pub(crate) use table::table;

use crate::limits::SHOWN_CHARS_MAX;
use serde_json::Value as Json;

/// A value as reports show it, cut where it is long.
fn shown(value: &Json) -> String {
    let text = match value {
        Json::Null => "nothing".to_owned(),
        Json::String(text) => text.clone(),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
    };
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
