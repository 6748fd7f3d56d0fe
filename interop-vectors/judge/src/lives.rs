//! The operation `evidence.verify`: evidence and every envelope in it.
//!
//! Refuses a role that reads no plane.

use crate::request::{Fault, Given, bytes, given, key, place, text, wrong};
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope};
use postern_protocol::id::Plane;
use postern_protocol::kind::Role;
use postern_protocol::message::{Evidence, check_payload};
use serde_json::Value as Json;

/// Returns the reader of a plane and its writer.
fn sides(request: &Json) -> Result<(Expected, Expected), Fault> {
    let (reader, plane, writer) = match text(request, "role")? {
        "device" => (Role::Device, Plane::Desired, Role::Writer),
        "writer" => (Role::Writer, Plane::Actual, Role::Device),
        _ => return Err(wrong("the role reads no plane")),
    };
    let of = |role| Expected {
        role,
        plane: Some(plane),
    };
    Ok((of(reader), of(writer)))
}

/// Verifies evidence and every envelope in it.
pub(crate) fn evidence(request: &Json) -> Given {
    let cose = bytes(request, "cose")?;
    let (channel, incarnation) = place(request)?;
    let binding = Binding::Device {
        channel: &channel,
        incarnation,
    };
    let reader_key = key(request, "reader_key")?;
    let accused_key = key(request, "accused_key")?;
    let (reader, accused) = sides(request)?;
    let envelope = ReceivedEnvelope::parse_tagged(&cose)?;
    let verified = envelope.verify(reader, binding, [&reader_key], |_| false)?;
    check_payload(&verified)?;
    let mut proved = Vec::new();
    for proof in Evidence::decode(verified.payload())?.proofs {
        let shown = proof.verify(accused, binding, [&accused_key], |_| false)?;
        if let Some(shown) = &shown {
            check_payload(shown)?;
        }
        proved.push(Json::from(shown.is_some()));
    }
    given([("proved", Json::Array(proved))])
}
