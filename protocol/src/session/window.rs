//! The mailbox's ephemeral keys, shared by every hello of half a minute.
//!
//! A challenge is 8 bytes of the caller's nonce and 8 bytes that prove it was issued under one
//! of the two newest windows: a flood of asks costs two hashes each and stores nothing.
//! Refuses windows that the caller forgot to rotate.

use super::keys::{ephemeral_public, expand};
use crate::frame::FrameKey;
use crate::id::Challenge;
use crate::limits::{EPHEMERAL_AGE_MS_MAX, EPHEMERAL_ROTATE_MS};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// One ephemeral key of a mailbox; wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct EphemeralWindow {
    secret: [u8; 32],
    #[zeroize(skip)]
    public: [u8; 32],
    #[zeroize(skip)]
    challenge_key: FrameKey,
    #[zeroize(skip)]
    opened_ms: u64,
}

impl EphemeralWindow {
    /// Opens a window with 32 fresh random bytes. Times are of the caller's monotonic clock.
    #[must_use]
    pub fn new(secret: [u8; 32], now_ms: u64) -> Self {
        let expander = Hkdf::<Sha256>::new(Some(b"postern/1 challenge"), &secret);
        Self {
            public: ephemeral_public(&secret),
            challenge_key: expand(&expander, b"window"),
            secret,
            opened_ms: now_ms,
        }
    }

    /// The X25519 public key.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    pub(super) const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Makes the challenge of a nonce.
    #[must_use]
    pub fn challenge(&self, nonce: [u8; 8]) -> Challenge {
        let mut bytes = [0; 16];
        let proof = self.challenge_key.tag(&nonce);
        bytes
            .iter_mut()
            .zip(nonce.into_iter().chain(proof))
            .for_each(|(to, from)| *to = from);
        Challenge::from_bytes(bytes)
    }

    fn issued(&self, challenge: &Challenge, now_ms: u64) -> bool {
        let (nonce, proof) = challenge.as_bytes().split_at(8);
        //= spec/postern.md#hello
        //# A mailbox MUST take a new ephemeral key at least every 30 s and forget each 60 s after
        //# it took it.
        now_ms.saturating_sub(self.opened_ms) <= EPHEMERAL_AGE_MS_MAX
            && self.challenge_key.verifies(nonce, proof)
    }
}

impl core::fmt::Debug for EphemeralWindow {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EphemeralWindow")
            .field("opened_ms", &self.opened_ms)
            .finish_non_exhaustive()
    }
}

/// The window that challenges are made from, and the one before it.
#[derive(Debug)]
pub struct EphemeralWindows {
    current: EphemeralWindow,
    previous: Option<EphemeralWindow>,
}

impl EphemeralWindows {
    /// Starts with one window of 32 fresh random bytes.
    #[must_use]
    pub fn new(secret: [u8; 32], now_ms: u64) -> Self {
        Self {
            current: EphemeralWindow::new(secret, now_ms),
            previous: None,
        }
    }

    /// Tells whether [`Self::rotate`] is due: every 30 s.
    #[must_use]
    pub const fn is_rotation_due(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.current.opened_ms) >= EPHEMERAL_ROTATE_MS
    }

    /// Opens a new window with 32 fresh random bytes and keeps the one before for hellos under way.
    pub fn rotate(&mut self, secret: [u8; 32], now_ms: u64) {
        let next = EphemeralWindow::new(secret, now_ms);
        self.previous = Some(core::mem::replace(&mut self.current, next));
    }

    /// The window that new challenges are made from.
    #[must_use]
    pub const fn current(&self) -> &EphemeralWindow {
        &self.current
    }

    /// Finds the window under which a challenge was issued, if it was issued here and is not too old.
    #[must_use]
    pub fn find(&self, challenge: &Challenge, now_ms: u64) -> Option<&EphemeralWindow> {
        core::iter::once(&self.current)
            .chain(self.previous.as_ref())
            .find(|window| window.issued(challenge, now_ms))
    }
}
