//! The operations on states: digests and deltas.
//!
//! Refuses a `fill` that describes more than a state could ever need to be refused.

use crate::limits::{FILL_BYTES_MAX, FILL_ENTRIES_MAX, FILL_VALUE_BYTES_MAX};
use crate::request::{Fault, Given, Outputs, bytes, hex, member, uint, wrong};
use crate::typed;
use postern_protocol::Reject;
use postern_protocol::id::Digest;
use postern_protocol::state::{Delta, Path, State, Value};
use serde_json::Value as Json;

/// Reads `state`, or what `fill` describes in its place.
pub(crate) fn state_of(request: &Json) -> Result<State, Fault> {
    match (request.get("state"), request.get("fill")) {
        (None, Some(fill)) => filled(fill),
        (_, _) => typed::state(member(request, "state")?),
    }
}

fn filled(fill: &Json) -> Result<State, Fault> {
    let (sections, keys) = (uint(fill, "sections")?, uint(fill, "keys")?);
    let bytes = uint(fill, "bytes")?;
    let count = sections
        .checked_mul(keys)
        .filter(|count| *count <= FILL_ENTRIES_MAX);
    let all = count.and_then(|count| count.checked_mul(bytes));
    let is_bounded = bytes <= FILL_VALUE_BYTES_MAX && all.is_some_and(|all| all <= FILL_BYTES_MAX);
    let size = usize::try_from(bytes).ok().filter(|_| is_bounded);
    let size = size.ok_or_else(|| wrong("fill describes too much"))?;
    let places = (0..sections).flat_map(|section| (0..keys).map(move |key| (section, key)));
    let entries: Result<Vec<_>, Reject> = places
        .map(|(section, key)| {
            let path = Path::parse(&format!("s{section:04}/k{key:04}"))?;
            Ok((path, Value::Bytes(vec![0x5a; size])))
        })
        .collect();
    Ok(State::from_entries(entries?)?)
}

pub(crate) fn describe(state: &State) -> Outputs {
    let sections = state
        .section_digests()
        .map(|(name, digest)| (name.to_string(), digest.to_string().into()));
    Outputs::from_iter([
        ("digest".into(), state.root().to_string().into()),
        ("sections".into(), Json::Object(sections.collect())),
    ])
}

/// The digest of a state.
pub(crate) fn digest(request: &Json) -> Given {
    state_of(request).map(|state| describe(&state))
}

/// A delta on a state.
pub(crate) fn apply(request: &Json) -> Given {
    let (delta, digest) = (bytes(request, "delta")?, bytes(request, "digest")?);
    let digest = <[u8; 32]>::try_from(digest).map_err(|_| Reject::DigestLength)?;
    let before = state_of(request)?;
    let after = before.apply(&Delta::decode(&delta)?, &Digest::from_bytes(digest))?;
    let mut outputs = describe(&after);
    outputs.insert("before".into(), hex(before.root().as_bytes()));
    Ok(outputs)
}
