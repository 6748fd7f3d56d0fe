//! Key agreement: one transcript, one shared secret, one key for each direction.
//!
//! Every input of the hello stands in the transcript, so two ends that derived the same keys
//! agree about mailbox, challenge, both ephemeral keys and channel. Refuses shared secrets of
//! zero, which a peer's key of small order would give.

use crate::cbor::Writer;
use crate::frame::FrameKey;
use crate::id::{Challenge, ChannelId, Digest, Thumbprint};
#[cfg(any(test, feature = "testing"))]
use crate::key::test_key;
use crate::reject::Reject;
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey as AgreementKey, StaticSecret};
use zeroize::Zeroize as _;

/// What both ends of a hello agree about (spec: #sessions).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transcript {
    /// The mailbox's identity.
    pub mailbox: Thumbprint,
    /// What the mailbox asked the device to sign.
    pub challenge: Challenge,
    /// The device's X25519 public key.
    pub device_ephemeral: [u8; 32],
    /// The mailbox's X25519 public key.
    pub mailbox_ephemeral: [u8; 32],
    /// The channel.
    pub channel: ChannelId,
}

impl Transcript {
    /// Hashes the transcript: what hello and welcome carry as digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut writer = Writer::with_capacity(192);
        writer
            .array(6)
            .text("postern/1 session")
            .bytes(self.mailbox.as_bytes())
            .bytes(self.challenge.as_bytes())
            .bytes(&self.device_ephemeral)
            .bytes(&self.mailbox_ephemeral)
            .bytes(self.channel.as_bytes());
        Digest::of(writer.as_bytes())
    }
}

/// The two keys of a session; wiped on drop.
#[derive(Debug, Clone)]
pub struct SessionKeys {
    /// Authenticates requests.
    pub up: FrameKey,
    /// Authenticates answers.
    pub down: FrameKey,
}

impl SessionKeys {
    /// Agrees on the keys from our ephemeral seed and the peer's ephemeral public key.
    ///
    /// # Errors
    /// `ephemeral-invalid` when the shared secret is zero.
    pub fn agree(
        seed: &[u8; 32],
        peer_ephemeral: &[u8; 32],
        transcript: &Digest,
    ) -> Result<Self, Reject> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(shared) = test_key::agree(seed, peer_ephemeral) {
            return Ok(Self::derive(&shared, transcript));
        }
        let secret = StaticSecret::from(*seed);
        let shared = secret.diffie_hellman(&AgreementKey::from(*peer_ephemeral));
        //= spec/postern.md#hello
        //# Both ends MUST refuse an all-zero shared secret with `ephemeral-invalid`.
        if !shared.was_contributory() {
            return Err(Reject::EphemeralInvalid);
        }
        Ok(Self::derive(shared.as_bytes(), transcript))
    }

    fn derive(shared: &[u8; 32], transcript: &Digest) -> Self {
        let expander = Hkdf::<Sha256>::new(Some(transcript.as_bytes()), shared);
        Self {
            up: expand(&expander, b"postern/1 up"),
            down: expand(&expander, b"postern/1 down"),
        }
    }
}

/// Returns the X25519 public key of an ephemeral seed (RFC 7748 section 5).
#[must_use]
pub fn ephemeral_public(seed: &[u8; 32]) -> [u8; 32] {
    #[cfg(any(test, feature = "testing"))]
    if let Some(public) = test_key::ephemeral_public(seed) {
        return public;
    }
    AgreementKey::from(&StaticSecret::from(*seed)).to_bytes()
}

/// Expands 32 bytes for one purpose.
pub(super) fn expand(expander: &Hkdf<Sha256>, purpose: &[u8]) -> FrameKey {
    let mut bytes = [0; 32];
    if expander.expand(purpose, &mut bytes).is_err() {
        unreachable!("HKDF-SHA256 gives up to 8160 bytes")
    }
    let key = FrameKey::from_bytes(bytes);
    bytes.zeroize();
    key
}
