//! Enrolment: a new key proves an invitation's secret, the controller confirms it once.
//!
//! ```text
//!  EnrolRequest --seal--> enrol frame --ReceivedEnrolRequest::open--> (token) --verify--> VerifiedEnrolRequest
//!  enrolled frame: EnrolAnswer --seal--> accept_enrolled --> Trust + VerifiedEnrolAnswer
//! ```
//!
//! The mac is compared in constant time and before any signature. Whether a token is open is
//! the controller's decision. Refuses to look at a payload before its mac.

use crate::cbor::{Reader, Writer, check, decode_all};
use crate::encryption::AgreementKey;
use crate::envelope::{Binding, Draft, Expected, Header, ReceivedEnvelope, SealedEnvelope};
use crate::frame::{Direction, PlainFrame};
use crate::id::{Channel, DeviceName, Digest, Incarnation, MessageId, Tenant, Thumbprint, TokenId};
use crate::key::{PublicKey, Signer};
use crate::kind::{MessageKind, Role};
use crate::reject::Reject;
use crate::revision::{BundleNumber, Epoch, Revision, Seq};
use crate::signed_time::SignedTime;
use crate::trust::Trust;
use alloc::vec::Vec;
use core::fmt;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

mod rotation;
#[cfg(test)]
mod tests;

pub use rotation::{
    accept_rotation_answer, rotation_token, seal_rotation_request, verify_rotation_request,
};

/// What the mac covers before the message id.
const MAC_CONTEXT: &[u8] = b"postern/1 enrol";

/// Who signs a request.
const ENROLLING: Expected = Expected {
    role: Role::Enrolling,
    plane: None,
};

/// The secret of an invitation; wiped on drop, never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct JoinSecret([u8; 32]);

impl JoinSecret {
    /// Wraps 32 random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, to be stored where only the owner can read.
    #[must_use]
    pub const fn danger_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn mac_over(&self, message_id: MessageId) -> Hmac<Sha256> {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of any length")
        };
        //= spec/postern.md#enrolment
        //# The `mac` of frame 16 MUST be HMAC-SHA256(secret, "postern/1 enrol" ‖ message id of the
        //# request), else `enrol-mac`.
        mac.chain_update(MAC_CONTEXT)
            .chain_update(message_id.as_bytes())
    }
}

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(..)")
    }
}

/// What a new key asks for (spec: #enrolment).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolRequest {
    /// The invitation.
    pub token: TokenId,
    /// The device's name.
    pub device: DeviceName,
    /// This life of its store.
    pub incarnation: Incarnation,
    /// 16 random bytes: two requests are never the same message.
    pub nonce: [u8; 16],
    /// The key to which plane keys are encrypted, if the device bound one.
    pub agreement: Option<AgreementKey>,
}

/// An enrol frame, and the identity that its answer must name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedEnrolRequest {
    /// The frame.
    pub frame: Vec<u8>,
    /// The request's message id.
    pub message_id: MessageId,
}

impl EnrolRequest {
    /// Signs the request with the key that it asks to enrol, and proves the secret.
    ///
    /// # Errors
    /// None that can occur with these sizes; the type is that of every encoder.
    pub fn seal(
        &self,
        root: Thumbprint,
        tenant: &Tenant,
        secret: &JoinSecret,
        signer: &dyn Signer,
    ) -> Result<SealedEnrolRequest, Reject> {
        let request = self.seal_envelope(root, tenant, signer)?;
        let message_id = request.message_id();
        let frame = PlainFrame::Enrol {
            token: self.token,
            //= spec/lives.md#join-line
            //# The secret MUST NOT travel in any frame.
            mac: secret.mac_over(message_id).finalize().into_bytes().into(),
            request: request.as_bytes(),
        }
        .encode()?;
        Ok(SealedEnrolRequest { frame, message_id })
    }

    fn seal_envelope(
        &self,
        root: Thumbprint,
        tenant: &Tenant,
        signer: &dyn Signer,
    ) -> Result<SealedEnvelope, Reject> {
        let mut writer = Writer::new();
        writer
            .array(5 + usize::from(self.agreement.is_some()))
            .bytes(self.token.as_bytes())
            .text(self.device.as_str());
        signer.public_key().encode(&mut writer);
        writer.bytes(self.incarnation.as_bytes()).bytes(&self.nonce);
        //= spec/encryption.md#agreement-key
        //# A device that can decrypt MUST make an X25519 key at enrolment and put it as the sixth member
        //# into its enrol-request.
        if let Some(agreement) = &self.agreement {
            writer.bytes(agreement.as_bytes());
        }
        let payload = writer.into_bytes();
        let header = Header {
            kind: MessageKind::EnrolRequest,
            epoch: Epoch::new(0),
            seq: Seq::new(0),
            base: Seq::new(0),
            digest: Some(Digest::of(&payload)),
        };
        let draft = Draft { header, payload };
        draft.seal(Role::Enrolling, Binding::Tenant { root, tenant }, signer)
    }
}

/// An enrol frame whose mac and signature nobody has looked at.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedEnrolRequest<'a> {
    token: TokenId,
    mac: [u8; 32],
    envelope: ReceivedEnvelope<'a>,
}

/// A request whose sender holds the secret and the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEnrolRequest {
    /// What is asked for. Its device name must be the invitation's, else `token-unknown`.
    pub request: EnrolRequest,
    /// The key to enrol.
    pub key: PublicKey,
    /// The request's identity, which the answer names.
    pub message_id: MessageId,
}

impl<'a> ReceivedEnrolRequest<'a> {
    /// Reads an enrol frame. # Errors: a frame or envelope reject; `shape`; `signer-role` for another kind.
    pub fn open(frame: &'a [u8]) -> Result<Self, Reject> {
        let PlainFrame::Enrol {
            token,
            mac,
            request,
        } = PlainFrame::decode(frame, Direction::Up)?
        else {
            return Err(Reject::Shape);
        };
        let envelope = ReceivedEnvelope::parse(request)?;
        if envelope.unverified_header().kind != MessageKind::EnrolRequest {
            return Err(Reject::SignerRole);
        }
        Ok(Self {
            token,
            mac,
            envelope,
        })
    }

    /// Selects the invitation; proves nothing.
    #[must_use]
    pub const fn token(&self) -> TokenId {
        self.token
    }

    /// Checks mac, key, signature, payload and digest, in this order.
    ///
    /// # Errors
    /// `enrol-mac`; a CBOR reject; `key-refused`; `key-unknown`, `signature-invalid`; `shape`; `name-invalid`;
    /// `token-unknown` when payload and frame name two tokens; `digest-mismatch`.
    pub fn verify(
        &self,
        secret: &JoinSecret,
        root: Thumbprint,
        tenant: &Tenant,
    ) -> Result<VerifiedEnrolRequest, Reject> {
        let binding = Binding::Tenant { root, tenant };
        let message_id = self
            .envelope
            .unverified_message_id(ENROLLING, binding)
            .ok_or(Reject::SignerRole)?;
        secret
            .mac_over(message_id)
            .verify_slice(&self.mac)
            //= spec/postern.md#enrolment
            //# The controller MUST check the mac before the signature.
            //= spec/postern.md#verification-order
            //# The bytes of a bundle with number 1 and of an enrol-request name their own key; a
            //# verifier MUST compare that key with the pinned thumbprint or the token's proof
            //# before it trusts the payload.
            .map_err(|_| Reject::EnrolMac)?;
        verify_request(&self.envelope, binding, self.token)
    }
}

/// Checks a request by the key that it names itself: key, signature, form, token, digest, in this order.
fn verify_request(
    envelope: &ReceivedEnvelope<'_>,
    binding: Binding<'_>,
    token: TokenId,
) -> Result<VerifiedEnrolRequest, Reject> {
    let payload = envelope.unverified_payload();
    let key = read_key(payload)?;
    let verified = envelope.verify(ENROLLING, binding, [&key], |_| false)?;
    let request = decode_all(payload, read_request)?;
    //= spec/postern.md#enrolment
    //# The controller MUST refuse a token id that no invitation has, or whose frame, payload,
    //# tenant and device name do not agree with the invitation, with `token-unknown`.
    if request.token != token {
        return Err(Reject::TokenUnknown);
    }
    if verified.header().digest != Some(Digest::of(payload)) {
        return Err(Reject::DigestMismatch);
    }
    Ok(VerifiedEnrolRequest {
        request,
        key,
        message_id: verified.message_id(),
    })
}

/// Reads the key of a request alone: no other member counts before its signature has verified.
fn read_key(payload: &[u8]) -> Result<PublicKey, Reject> {
    check(payload)?;
    let mut reader = Reader::new(payload);
    let _members = reader.array()?;
    let _token = reader.bytes()?;
    let _name = reader.text()?;
    //= spec/postern.md#enrolment
    //# The controller MUST refuse a key that fails the check of #keys with `key-refused`.
    PublicKey::decode(&mut reader)
}

/// Reads the payload of an enrol-request.
fn read_request(reader: &mut Reader<'_>) -> Result<EnrolRequest, Reject> {
    let members = reader.array()?;
    if !(5..=6).contains(&members) {
        return Err(Reject::Shape);
    }
    let token = TokenId::from_bytes(reader.bytes_of()?);
    //= spec/postern.md#enrolment
    //# The controller MUST refuse a device name outside #names with `name-invalid`.
    let device = DeviceName::parse(reader.text()?)?;
    let _key = PublicKey::decode(reader)?;
    Ok(EnrolRequest {
        token,
        device,
        incarnation: Incarnation::from_bytes(reader.bytes_of()?),
        nonce: reader.bytes_of()?,
        agreement: match members {
            6 => Some(AgreementKey::from_bytes(reader.bytes_of()?)?),
            _ => None,
        },
    })
}

/// What a controller confirms (spec: #enrolment).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnrolAnswer {
    /// An epoch of the writer and a number in it; both from 1.
    pub revision: Revision,
    /// The request that is answered.
    pub request: MessageId,
    /// The bundle that the answer comes with.
    pub bundle: BundleNumber,
    /// The enrolled key.
    pub device_key: Thumbprint,
    /// What the controller believes the time to be; `None` where it does not know, and in an answer to a rotation.
    pub time: Option<SignedTime>,
}

impl EnrolAnswer {
    /// Signs the answer with the tenant's writer key.
    ///
    /// # Errors
    /// `epoch-zero`, `seq-zero` for a revision that no device would take.
    pub fn seal(
        &self,
        channel: &Channel,
        incarnation: Incarnation,
        writer: &dyn Signer,
    ) -> Result<SealedEnvelope, Reject> {
        let header = Header {
            kind: MessageKind::EnrolAnswer,
            epoch: self.revision.epoch,
            seq: self.revision.seq,
            base: Seq::new(0),
            digest: Some(Digest::from_bytes(*self.request.as_bytes())),
        };
        header
            .kind
            .check_numbers(header.epoch, header.seq, header.base)?;
        let mut payload = Writer::new();
        payload
            .array(if self.time.is_some() { 3 } else { 2 })
            .uint(self.bundle.number())
            .bytes(self.device_key.as_bytes());
        SignedTime::write_last(&mut payload, self.time);
        let payload = payload.into_bytes();
        let binding = Binding::Device {
            channel,
            incarnation,
        };
        Draft { header, payload }.seal(Role::Writer, binding, writer)
    }
}

/// Who waits for an enrolment to be confirmed.
#[derive(Debug, Clone, Copy)]
pub struct Enrolling<'a> {
    /// The channel that was asked for.
    pub channel: &'a Channel,
    /// The incarnation that was asked for.
    pub incarnation: Incarnation,
    /// The key that was asked for.
    pub device_key: Thumbprint,
    /// The request's message id.
    pub request: MessageId,
}

/// Verifies an enrolled frame: its bundles from number 1 on, then the answer.
///
/// `recovery` is the pinned thumbprint of the first recovery key.
///
/// # Errors
/// A frame or envelope reject; those of [`Trust::offer`]; `key-unknown` when the last bundle names
/// no writer of the tenant or another; `key-revoked`; `signature-invalid`; `enrol-answer-mismatch`.
pub fn accept_enrolled(
    frame: &[u8],
    recovery: Thumbprint,
    enrolling: &Enrolling<'_>,
) -> Result<(Trust, EnrolAnswer), Reject> {
    let PlainFrame::Enrolled { bundles, answer } = PlainFrame::decode(frame, Direction::Down)?
    else {
        return Err(Reject::Shape);
    };
    //= spec/postern.md#enrolment
    //# The device MUST accept the bundles by #bundle, starting from the pinned thumbprints, before
    //# it verifies the answer with the tenant's writer key of the last one.
    let trust = Trust::from_chain(enrolling.channel.root, recovery, bundles)?;
    let answer = verify_answer(answer, &trust, enrolling)?;
    if answer.bundle == trust.number() {
        Ok((trust, answer))
    } else {
        Err(Reject::EnrolAnswerMismatch)
    }
}

/// What the payload of an enrol-answer holds.
struct AnswerContent {
    bundle: BundleNumber,
    device_key: Thumbprint,
    time: Option<SignedTime>,
}

fn decode_answer(payload: &[u8]) -> Result<AnswerContent, Reject> {
    decode_all(payload, |reader| {
        let has_time = SignedTime::read_array(reader, 2)?;
        let bundle = BundleNumber::new(reader.uint()?);
        let device_key = Thumbprint::from_bytes(reader.bytes_of()?);
        let time = SignedTime::read_last(reader, has_time)?;
        Ok(AnswerContent {
            bundle,
            device_key,
            time,
        })
    })
}

/// Tells a mailbox whether an enrol-answer is about the only key that the writer admits: then the device has signed
/// with it, and holds the answer. An answer that cannot be read is about none.
#[must_use]
pub fn is_settled(answer: &ReceivedEnvelope<'_>, admitted: &[PublicKey]) -> bool {
    //= spec/lives.md#rotation
    //# A mailbox MUST NOT keep an enrol-answer for the only key that the admission names.
    let content = decode_answer(answer.unverified_payload());
    matches!((admitted, content), ([only], Ok(one)) if only.thumbprint() == one.device_key)
}

/// Verifies an enrol-answer under the newest bundle.
fn verify_answer(
    envelope: &[u8],
    trust: &Trust,
    enrolling: &Enrolling<'_>,
) -> Result<EnrolAnswer, Reject> {
    let received = ReceivedEnvelope::parse(envelope)?;
    if received.unverified_header().kind != MessageKind::EnrolAnswer {
        return Err(Reject::SignerRole);
    }
    let (_, writer) = trust
        .writer(&enrolling.channel.tenant)
        .ok_or(Reject::KeyUnknown)?;
    let expected = Expected {
        role: Role::Writer,
        plane: None,
    };
    let binding = Binding::Device {
        channel: enrolling.channel,
        incarnation: enrolling.incarnation,
    };
    let verified = received.verify(expected, binding, [writer], |key| trust.is_revoked(key))?;
    let header = verified.header();
    let content = decode_answer(verified.payload())?;
    let answer = EnrolAnswer {
        revision: Revision::new(header.epoch, header.seq),
        request: enrolling.request,
        bundle: content.bundle,
        device_key: content.device_key,
        time: content.time,
    };
    //= spec/postern.md#enrolment
    //# The device MUST refuse with `enrol-answer-mismatch` an answer whose digest is not the
    //# message id of its request, whose thumbprint is not its own key's, or whose number is not the
    //# last bundle's.
    let named = header.digest == Some(Digest::from_bytes(*enrolling.request.as_bytes()));
    let is_ours = named && answer.device_key == enrolling.device_key;
    if is_ours {
        Ok(answer)
    } else {
        Err(Reject::EnrolAnswerMismatch)
    }
}
