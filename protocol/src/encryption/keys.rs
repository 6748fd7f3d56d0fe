//! The secrets of an encrypted channel: 32 bytes each, wiped on drop, never shown.
//!
//! Refuses to be printed; comparing is for tests and for telling that nothing changed.

use crate::context::{Random, draw};
use crate::id::Digest;
use crate::limits::{ENCRYPTED_SECTION_BYTES_MAX, SECTION_BYTES_MAX};
use core::fmt;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

macro_rules! secrets {
    ($( $(#[$meta:meta])* $name:ident; )*) => { $(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 random bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self { Self(bytes) }

            /// Draws a fresh one.
            #[must_use]
            pub fn draw(random: &mut dyn Random) -> Self { Self(draw(random)) }

            /// Returns the bytes, to be stored where only the owner can read.
            #[must_use]
            pub const fn danger_bytes(&self) -> &[u8; 32] { &self.0 }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )* };
}

secrets! {
    /// Encrypts one plane in one generation (spec: #encrypted).
    CipherKey;
    /// Makes the digests of both planes for a whole incarnation (spec: #keyed-digest).
    DigestKey;
}

impl DigestKey {
    //= spec/encryption.md#keyed-digest
    //# The digest of a section body and the root digest of an encrypted plane MUST be HMAC-SHA256
    //# (RFC 2104) under the digest key over the bytes that #digest hashes.
    /// Returns HMAC-SHA256 of bytes (RFC 2104).
    #[must_use]
    pub fn digest(&self, bytes: &[u8]) -> Digest {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of any length")
        };
        Digest::from_bytes(mac.chain_update(bytes).finalize().into_bytes().into())
    }
}

/// How the digests of a plane are made (spec: #digest, #keyed-digest).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Digester {
    /// SHA-256: the plane is readable.
    #[default]
    Plain,
    /// HMAC-SHA256: the plane is encrypted.
    Keyed(DigestKey),
}

impl Digester {
    /// Hashes a section body or a root.
    #[must_use]
    pub fn digest(&self, bytes: &[u8]) -> Digest {
        match self {
            Self::Plain => Digest::of(bytes),
            Self::Keyed(key) => key.digest(bytes),
        }
    }

    //= spec/encryption.md#encrypted-snapshot
    //# A body of an encrypted plane MUST NOT exceed 65472 bytes before it is encrypted, else
    //# `section-oversize`.
    /// The largest section body: encrypted, it must still be a body like others.
    #[must_use]
    pub const fn section_bytes_max(&self) -> usize {
        match self {
            Self::Plain => SECTION_BYTES_MAX,
            Self::Keyed(_) => ENCRYPTED_SECTION_BYTES_MAX,
        }
    }

    /// True for the digests of an encrypted plane.
    #[must_use]
    pub const fn is_keyed(&self) -> bool {
        matches!(self, Self::Keyed(_))
    }
}
