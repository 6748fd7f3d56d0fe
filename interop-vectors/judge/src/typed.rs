//! Typed values: states as JSON, where JSON alone cannot tell the types apart.
//!
//! `null`, booleans, text and integers stand for themselves; `int`, `float`, `bytes` and
//! `reference` are objects of one member. Refuses other JSON as the runner's fault, except for
//! arrays, objects and floats that no state may hold: those are values that are invalid.

use crate::request::{Fault, bytes, member, text};
use postern_protocol::Reject;
use postern_protocol::id::Digest;
use postern_protocol::state::{Finite, Integer, Path, Reference, State, Value};
use serde_json::{Number, Value as Json};

/// Reads a state. # Errors: [`Fault`], the reject of what is wrong first.
pub(crate) fn state(json: &Json) -> Result<State, Fault> {
    let entries = json
        .as_object()
        .ok_or_else(|| Fault::Unsupported("state is no object".into()))?
        .iter()
        .map(|(path, json)| Ok((Path::parse(path)?, value(json)?)))
        .collect::<Result<Vec<_>, Fault>>()?;
    Ok(State::from_entries(entries)?)
}

/// Reads a value. # Errors: [`Fault`].
pub(crate) fn value(json: &Json) -> Result<Value, Fault> {
    match json {
        Json::Null => Ok(Value::Null),
        Json::Bool(value) => Ok(Value::Bool(*value)),
        Json::Number(number) => whole(number).map(Value::Int),
        Json::String(text) => Ok(Value::Text(text.clone())),
        Json::Array(_) => Err(Reject::ValueInvalid.into()),
        Json::Object(members) => match members.iter().next() {
            Some((form, inner)) if members.len() == 1 => typed(form, json, inner),
            Some(_) | None => Err(Reject::ValueInvalid.into()),
        },
    }
}

fn typed(form: &str, json: &Json, inner: &Json) -> Result<Value, Fault> {
    match form {
        "int" => integer(inner).map(Value::Int),
        "bytes" => bytes(json, form).map(Value::Bytes),
        "float" => {
            let bits = <[u8; 8]>::try_from(bytes(json, form)?)
                .map_err(|_| Fault::Unsupported("float is not 8 bytes".into()))?;
            Ok(Value::Float(Finite::new(f64::from_be_bytes(bits))?))
        }
        "reference" => {
            let digest =
                <[u8; 32]>::try_from(bytes(inner, "digest")?).map_err(|_| Reject::ValueInvalid)?;
            Ok(Value::Reference(Reference {
                digest: Digest::from_bytes(digest),
                size_bytes: u64::try_from(size(inner)?.number())
                    .map_err(|_| Reject::ValueInvalid)?,
                media_type: text(inner, "media_type")?.into(),
            }))
        }
        _ => Err(Reject::ValueInvalid.into()),
    }
}

fn size(reference: &Json) -> Result<Integer, Fault> {
    let json = member(reference, "size")?;
    integer(json.get("int").unwrap_or(json))
}

/// Reads an integer that may be decimal text. # Errors: [`Fault`].
fn integer(json: &Json) -> Result<Integer, Fault> {
    let unsupported = || Fault::Unsupported("an integer is no number".into());
    match (json.as_number(), json.as_str()) {
        (Some(number), _) => whole(number),
        (None, Some(text)) => {
            let number = text.parse::<i128>().map_err(|_| unsupported())?;
            Ok(Integer::new(number)?)
        }
        (None, None) => Err(unsupported()),
    }
}

fn whole(number: &Number) -> Result<Integer, Fault> {
    let number = number
        .as_i128()
        .ok_or_else(|| Fault::Unsupported("a number has a fraction or is too large".into()))?;
    Ok(Integer::new(number)?)
}
