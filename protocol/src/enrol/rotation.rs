//! A device's next key: asked for by an enrol-request inside a report, counted once the controller says so.
//!
//! The report that carries the request is signed by the present key, the request by the next one:
//! together they show that both are in one hand, and no mac is needed. Refuses a request that
//! names another life, another device or another present key.

use super::{
    EnrolAnswer, EnrolRequest, Enrolling, VerifiedEnrolRequest, verify_answer, verify_request,
};
use crate::envelope::{Binding, ReceivedEnvelope, SealedEnvelope};
use crate::id::{Channel, Incarnation, Thumbprint, TokenId};
use crate::key::Signer;
use crate::kind::MessageKind;
use crate::reject::Reject;
use crate::trust::Trust;

/// The token that a request for the key after `current` carries: the first 8 bytes of its thumbprint.
#[must_use]
pub fn rotation_token(current: &Thumbprint) -> TokenId {
    TokenId::from_bytes(*current.key_id().as_bytes())
}

/// Signs the request with the next key. `nonce` is 16 fresh random bytes.
///
/// # Errors
/// None that can occur with these sizes; the type is that of every encoder.
pub fn seal_rotation_request(
    channel: &Channel,
    incarnation: Incarnation,
    current: &Thumbprint,
    nonce: [u8; 16],
    next: &dyn Signer,
) -> Result<SealedEnvelope, Reject> {
    let request = EnrolRequest {
        token: rotation_token(current),
        device: channel.device.clone(),
        incarnation,
        nonce,
        // The agreement key belongs to the life of the device and outlives its signing keys.
        agreement: None,
    };
    request.seal_envelope(channel.root, &channel.tenant, next)
}

/// Verifies a request for the key after `current`; both ends check it by the same rule.
///
/// # Errors
/// An envelope reject; `signer-role` for another kind; `name-invalid`, `key-refused`; `token-unknown`
/// for another present key, device or incarnation; `token-used` when the next key is the present
/// one; `key-unknown`, `signature-invalid`; `digest-mismatch`.
pub fn verify_rotation_request(
    envelope: &[u8],
    channel: &Channel,
    incarnation: Incarnation,
    current: &Thumbprint,
) -> Result<VerifiedEnrolRequest, Reject> {
    let received = ReceivedEnvelope::parse(envelope)?;
    if received.unverified_header().kind != MessageKind::EnrolRequest {
        return Err(Reject::SignerRole);
    }
    let binding = Binding::Tenant {
        root: channel.root,
        tenant: &channel.tenant,
    };
    let verified = verify_request(&received, binding, rotation_token(current))?;
    let request = &verified.request;
    if request.device != channel.device || request.incarnation != incarnation {
        return Err(Reject::TokenUnknown);
    }
    if verified.key.thumbprint() == *current {
        return Err(Reject::TokenUsed);
    }
    Ok(verified)
}

/// Verifies the answer that makes the next key count.
///
/// # Errors
/// An envelope reject; `signer-role`; `key-unknown`, `key-revoked`, `signature-invalid`;
/// `enrol-answer-mismatch` for another request or another key.
pub fn accept_rotation_answer(
    envelope: &[u8],
    trust: &Trust,
    enrolling: &Enrolling<'_>,
) -> Result<EnrolAnswer, Reject> {
    verify_answer(envelope, trust, enrolling)
}
