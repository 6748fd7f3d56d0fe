//! Values as JSON: scalars as they are, bytes and references as objects with one member.
//!
//! ```text
//!  null  true  17  1.5  "text"  {"bytes":"<base64>"}  {"reference":{"digest","size_bytes","media_type"}}
//! ```
//!
//! Whole numbers are exact up to 64 bits; 1 and 1.0 are different values. Refuses arrays and
//! other objects: structure is what paths are for.

use base64ct::{Base64, Encoding as _};
use postern_protocol::id::Digest;
use postern_protocol::state::{Finite, Integer, Reference, Value};
use serde_json::{Map, Value as Json, json};

/// Writes a value as JSON.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(integer) => match u64::try_from(integer.number()) {
            Ok(number) => Json::from(number),
            Err(_negative) => i64::try_from(integer.number()).map_or(Json::Null, Json::from),
        },
        Value::Float(float) => Json::from(float.number()),
        Value::Text(text) => Json::from(text.as_str()),
        Value::Bytes(bytes) => json!({ "bytes": Base64::encode_string(bytes) }),
        Value::Reference(reference) => json!({ "reference": {
            "digest": reference.digest.to_string(),
            "size_bytes": reference.size_bytes,
            "media_type": reference.media_type,
        } }),
    }
}

/// Reads a value from JSON.
///
/// # Errors
/// What is wrong, for people.
pub fn from_json(json: &Json) -> Result<Value, String> {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(whole), _, _) => Value::Int(Integer::from(whole)),
            (None, Some(whole), _) => Value::Int(Integer::from(whole)),
            (None, None, Some(float)) => {
                Value::Float(Finite::new(float).map_err(|_| "the number is not finite")?)
            }
            (None, None, None) => return Err("the number is out of range".into()),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(_) => {
            return Err("an array is no value; give each element a path of its own".into());
        }
        Json::Object(members) => from_object(members)?,
    };
    value
        .check()
        .map_err(|reject| reject.sentence().to_owned())?;
    Ok(value)
}

fn from_object(members: &Map<String, Json>) -> Result<Value, String> {
    let other = || {
        "an object is no value (only {\"bytes\":…} and {\"reference\":…} are); give each member a path of its own".to_owned()
    };
    if members.len() != 1 {
        return Err(other());
    }
    if let Some(Json::String(text)) = members.get("bytes") {
        let bytes = Base64::decode_vec(text).map_err(|_| "bytes must be base64 with padding")?;
        return Ok(Value::Bytes(bytes));
    }
    match members.get("reference") {
        Some(Json::Object(reference)) if reference.len() == 3 => from_reference(reference)
            .map(Value::Reference)
            .ok_or_else(|| {
                "a reference has digest (64 hex digits), size_bytes and media_type".into()
            }),
        Some(_) | None => Err(other()),
    }
}

fn from_reference(members: &Map<String, Json>) -> Option<Reference> {
    Some(Reference {
        digest: Digest::from_bytes(from_hex(members.get("digest")?.as_str()?)?),
        size_bytes: members.get("size_bytes")?.as_u64()?,
        media_type: members.get("media_type")?.as_str()?.to_owned(),
    })
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Reads a scalar as an operator types it: JSON, exact or refused.
///
/// # Errors
/// What is wrong, for people.
pub fn from_typed(text: &str) -> Result<Value, String> {
    let json: Json = serde_json::from_str(text).map_err(|_| {
        format!("`{text}` is no JSON scalar; write text in quotes ('\"{text}\"') or use --string")
    })?;
    let is_whole = !text.contains(['.', 'e', 'E']);
    if let Json::Number(number) = &json
        && number.is_f64()
        && is_whole
    {
        return Err(format!(
            "{text} is outside -2^63..=2^64-1; write it as text or as a float"
        ));
    }
    from_json(&json)
}
