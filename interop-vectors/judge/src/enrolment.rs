//! The operations of an enrolment and of a rotation: what each end makes of the other's frame.
//!
//! Invitations come from the request. Refuses to spend one: nothing is kept.

use crate::request::{
    Given, array, bytes, channel_below, given, hex, key, place, rows, text, thumbprint, untagged,
};
use postern_protocol::Reject;
use postern_protocol::enrol::{
    Enrolling, JoinSecret, ReceivedEnrolRequest, accept_enrolled, verify_rotation_request,
};
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope};
use postern_protocol::id::{Incarnation, Tenant};
use postern_protocol::kind::Role;
use serde_json::Value as Json;

/// The controller's part.
pub(crate) fn request(test: &Json) -> Given {
    let frame = bytes(test, "frame")?;
    let received = ReceivedEnrolRequest::open(&frame)?;
    let mut invitation = None;
    for row in rows(test, "invitations")? {
        if bytes(row, "token")? == received.token().as_bytes() {
            invitation = invitation.or(Some(row));
        }
    }
    let invitation = invitation.ok_or(Reject::TokenUnknown)?;
    let secret = JoinSecret::from_bytes(array(invitation, "secret")?);
    let tenant = Tenant::parse(text(invitation, "tenant")?)?;
    let verified = received.verify(&secret, thumbprint(test, "root")?, &tenant)?;
    if verified.request.device.as_str() != text(invitation, "device")? {
        return Err(Reject::TokenUnknown.into());
    }
    let used_by = invitation.get("used_by").and_then(Json::as_str);
    if used_by.is_some_and(|used_by| used_by != verified.key.thumbprint().to_string()) {
        return Err(Reject::TokenUsed.into());
    }
    given([("message_id", hex(verified.message_id.as_bytes()))])
}

/// The device's part.
pub(crate) fn answer(test: &Json) -> Given {
    let channel = channel_below(test, "genesis")?;
    let request = untagged(bytes(test, "request")?);
    let binding = Binding::Tenant {
        root: channel.root,
        tenant: &channel.tenant,
    };
    let expected = Expected {
        role: Role::Enrolling,
        plane: None,
    };
    let request = ReceivedEnvelope::parse(&request)?
        .unverified_message_id(expected, binding)
        .ok_or(Reject::SignerRole)?;
    let enrolling = Enrolling {
        channel: &channel,
        incarnation: Incarnation::from_bytes(array(test, "incarnation")?),
        device_key: key(test, "public_key")?.thumbprint(),
        request,
    };
    let frame = bytes(test, "frame")?;
    let (_, answer) = accept_enrolled(&frame, thumbprint(test, "recovery")?, &enrolling)?;
    let mut outputs = given([("bundle_number", answer.bundle.number().into())])?;
    if let Some(time) = answer.time {
        outputs.insert("unix_s".into(), time.unix_s().into());
    }
    Ok(outputs)
}

/// The request for a device's next key.
pub(crate) fn rotation(test: &Json) -> Given {
    let (channel, incarnation) = place(test)?;
    let current = thumbprint(test, "current")?;
    let request = bytes(test, "request")?;
    let verified = verify_rotation_request(&request, &channel, incarnation, &current)?;
    given([
        ("message_id", hex(verified.message_id.as_bytes())),
        ("next", hex(verified.key.thumbprint().as_bytes())),
    ])
}
