//! The operations `evidence.verify`, `enrol.rotation` and `file.read`.
//!
//! Each goes through the functions that devices and controllers use. Refuses a role that no reader has.

use super::{bytes, hex_of, text, uint};
use postern_protocol::Reject;
use postern_protocol::enrol::verify_rotation_request;
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope};
use postern_protocol::frame::{Direction, FileFrames, PlainFrame};
use postern_protocol::id::{Channel, DeviceName, Incarnation, Plane, Tenant, Thumbprint};
use postern_protocol::key::PublicKey;
use postern_protocol::kind::Role;
use postern_protocol::message::{Evidence, check_payload};
use serde_json::Value as Json;

/// What one vector gives: its outputs as JSON members, or a reject.
type Given = Result<Vec<(&'static str, Json)>, Reject>;

fn place(test: &Json) -> (Channel, Incarnation) {
    let root = bytes(test, "root").try_into().expect("32 bytes");
    let channel = Channel {
        root: Thumbprint::from_bytes(root),
        tenant: Tenant::parse(text(test, "tenant")).expect("a tenant"),
        device: DeviceName::parse(text(test, "device")).expect("a device"),
    };
    let incarnation = bytes(test, "incarnation").try_into().expect("16 bytes");
    (channel, Incarnation::from_bytes(incarnation))
}

/// Returns the reader of a plane and its writer.
fn sides(test: &Json) -> (Expected, Expected) {
    let (reader, plane, writer) = match text(test, "role") {
        "device" => (Role::Device, Plane::Desired, Role::Writer),
        "writer" => (Role::Writer, Plane::Actual, Role::Device),
        other => panic!("{other} reads no plane"),
    };
    let of = |role| Expected {
        role,
        plane: Some(plane),
    };
    (of(reader), of(writer))
}

/// Verifies evidence and every envelope in it.
//= spec/lives.md#evidence type=test
//# A receiver MUST verify an envelope in evidence like any other before it believes it.
//= spec/lives.md#evidence type=test
//# The message id of an envelope in evidence MUST be the one beside it, else `digest-mismatch`.
pub(crate) fn evidence(test: &Json) -> Given {
    let cose = bytes(test, "cose");
    let (channel, incarnation) = place(test);
    let binding = Binding::Device {
        channel: &channel,
        incarnation,
    };
    let reader_key = PublicKey::from_bytes(&bytes(test, "reader_key"))?;
    let accused_key = PublicKey::from_bytes(&bytes(test, "accused_key"))?;
    let (reader, accused) = sides(test);
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
    Ok(vec![("proved", Json::Array(proved))])
}

/// Verifies the request for a device's next key.
//= spec/lives.md#rotation type=test
//# A controller MUST check a next key as at enrolment and persist it before it answers.
pub(crate) fn rotation(test: &Json) -> Given {
    let (channel, incarnation) = place(test);
    let current = bytes(test, "current").try_into().expect("32 bytes");
    let current = Thumbprint::from_bytes(current);
    let request = bytes(test, "request");
    let verified = verify_rotation_request(&request, &channel, incarnation, &current)?;
    Ok(vec![
        ("message_id", hex_of(verified.message_id.as_bytes())),
        ("next", hex_of(verified.key.thumbprint().as_bytes())),
    ])
}

/// Reads a file frame by frame, up to the first that is refused.
//= spec/files.md#file-binding type=test
//# A reader of a file MUST refuse a frame of another type with `frame-direction`, or
//# `frame-unknown` where no frame has it, and read nothing behind it.
pub(crate) fn file(test: &Json) -> Given {
    let input = bytes(test, "input");
    let mut count = 0;
    let mut refusal = None;
    for frame in FileFrames::new(&input) {
        match frame.and_then(|frame| PlainFrame::decode(frame, Direction::File)) {
            Ok(_) => count += 1,
            Err(reject) => {
                refusal = Some(reject);
                break;
            }
        }
    }
    assert_eq!(count, uint(test, "frames"), "{}", text(test, "name"));
    refusal.map_or(Ok(vec![]), Err)
}
