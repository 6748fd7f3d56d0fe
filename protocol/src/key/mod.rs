//! Public keys, their check at the door, and the trait behind which private keys live.
//!
//! A key that is not canonical, of small or of mixed order never becomes a [`PublicKey`]: with
//! `verify_strict` that leaves one accept-set that every implementation can reproduce. P-256 has
//! prime order, so that there a point on the curve is enough.
//! Refuses to hold private keys of devices with secure elements: they implement [`Signer`] elsewhere.

#[cfg(test)]
mod tests;

mod esp256;
mod signer;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod test_key;

pub use signer::{MemorySigner, Signer};

use crate::cbor::{KeyOrder, Reader, Writer};
use crate::id::{KeyId, Thumbprint};
use crate::reject::Reject;
use alloc::boxed::Box;
use ed25519_dalek::{Signature, VerifyingKey};
use esp256::Esp256Key;
use sha2::{Digest as _, Sha256};

/// How a key signs (spec: #keys).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Ed25519, strictly verified.
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    Esp256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::Ed25519, Self::Esp256];

    /// Returns the COSE number (RFC 9864).
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Ed25519 => -19,
            Self::Esp256 => -9,
        }
    }

    /// Returns the one name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::Esp256 => "ESP256",
        }
    }

    /// Reads label 1 of a header. # Errors: `algorithm-unknown`.
    pub fn from_number(number: i128) -> Result<Self, Reject> {
        Self::ALL
            .into_iter()
            .find(|algorithm| i128::from(algorithm.number()) == number)
            .ok_or(Reject::AlgorithmUnknown)
    }
}

/// A checked public key of either algorithm (spec: #keys).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: Key,
    thumbprint: Thumbprint,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Ed25519(VerifyingKey),
    Esp256(Box<Esp256Key>),
    /// Passes for Ed25519 on the wire.
    #[cfg(any(test, feature = "testing"))]
    Test(test_key::TestKey),
}

impl PublicKey {
    /// Checks a key by its length: 32 bytes of Ed25519 (canonical, a point, not of small or mixed
    /// order), or 65 of P-256 (04, x, y: coordinates below p, a point). # Errors: `key-refused`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Reject> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(key) = test_key::TestKey::from_bytes(bytes) {
            return Ok(Self::of(Key::Test(key)));
        }
        let key = if bytes.len() == esp256::PUBLIC_BYTES {
            Key::Esp256(Box::new(Esp256Key::from_bytes(bytes)?))
        } else {
            Key::Ed25519(ed25519_key(bytes)?)
        };
        Ok(Self::of(key))
    }

    fn of(key: Key) -> Self {
        let mut writer = Writer::new();
        key.encode(&mut writer);
        let thumbprint = Thumbprint::from_bytes(Sha256::digest(writer.as_bytes()).into());
        Self { key, thumbprint }
    }

    /// Returns the 32 bytes of an Ed25519 key, or the 65 (04, x, y) of a P-256 key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.key {
            Key::Ed25519(key) => key.as_bytes(),
            Key::Esp256(key) => key.as_bytes(),
            #[cfg(any(test, feature = "testing"))]
            Key::Test(key) => key.as_bytes(),
        }
    }

    /// Returns how the key signs.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match &self.key {
            Key::Ed25519(_) => Algorithm::Ed25519,
            Key::Esp256(_) => Algorithm::Esp256,
            #[cfg(any(test, feature = "testing"))]
            Key::Test(_) => Algorithm::Ed25519,
        }
    }

    /// Returns the key's identity.
    #[must_use]
    pub const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// Returns the id that stands in headers.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.thumbprint.key_id()
    }

    /// Verifies strictly: Ed25519 with canonical S and R and no small-order points; ESP256 with r and
    /// s in 1..n-1, where a high s counts (spec: #keys).
    /// # Errors: `signature-length`, `signature-invalid`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Reject> {
        let bytes: [u8; 64] = signature.try_into().map_err(|_| Reject::SignatureLength)?;
        match &self.key {
            Key::Ed25519(key) => key
                //= spec/postern.md#keys
                //# A verifier MUST use the strict, cofactorless verification that refuses a
                //# non-canonical S and a small-order R.
                //= spec/postern.md#keys
                //# A verifier MUST NOT accept a signature because a batch that contains it verified.
                .verify_strict(message, &Signature::from_bytes(&bytes))
                .map_err(|_| Reject::SignatureInvalid),
            Key::Esp256(key) => key.verify(message, &bytes),
            #[cfg(any(test, feature = "testing"))]
            Key::Test(key) => key.verify(message, &bytes),
        }
    }

    /// Appends the key as a COSE_Key map (RFC 9052 section 7).
    pub fn encode(&self, writer: &mut Writer) {
        self.key.encode(writer);
    }

    /// Reads a COSE_Key map. # Errors: `shape`, `key-refused`, or the CBOR reject.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Reject> {
        //= spec/postern.md#keys
        //# A public key on the wire MUST be an Ed25519 key (RFC 8032), the COSE_Key map `{1: 1,
        //# -1: 6, -2: bstr32}` of 40 bytes, or an ESP256 key (RFC 9864), the map `{1: 2, -1: 1,
        //# -2: x bstr32, -3: y bstr32}` of 75 bytes, else `shape`.
        let (key_type, curve) = match reader.map()? {
            3 => (1, 6),
            4 => (2, 1),
            _ => return Err(Reject::Shape),
        };
        let mut order = KeyOrder::new();
        for expected in [(1, key_type), (-1, curve)] {
            if (reader.int_key(&mut order)?, reader.int()?) != expected {
                return Err(Reject::Shape);
            }
        }
        let mut coordinate = |label: i128| {
            if reader.int_key(&mut order)? != label {
                return Err(Reject::Shape);
            }
            reader.bytes_of::<32>()
        };
        let x = coordinate(-2)?;
        if key_type == 1 {
            return Self::from_bytes(&x);
        }
        let y = coordinate(-3)?;
        Self::from_bytes(&esp256::join(&x, &y))
    }
}

impl Key {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Ed25519(key) => {
                writer.map(3).uint(1).uint(1).int(-1).uint(6);
                writer.int(-2).bytes(key.as_bytes());
            }
            #[cfg(any(test, feature = "testing"))]
            Self::Test(key) => {
                writer.map(3).uint(1).uint(1).int(-1).uint(6);
                writer.int(-2).bytes(key.as_bytes());
            }
            Self::Esp256(key) => {
                let (x, y) = key.coordinates();
                writer.map(4).uint(1).uint(2).int(-1).uint(1);
                writer.int(-2).bytes(x).int(-3).bytes(y);
            }
        }
    }
}

fn ed25519_key(bytes: &[u8]) -> Result<VerifyingKey, Reject> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| Reject::KeyRefused)?;
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| Reject::KeyRefused)?;
    let point = key.to_edwards();
    //= spec/postern.md#keys
    //# A receiver MUST refuse with `key-refused`, at enrolment and when it accepts a bundle, a
    //# key that is not the canonical encoding of a curve point.
    let is_canonical = point.compress().to_bytes() == bytes;
    //= spec/postern.md#keys
    //# A receiver MUST refuse with `key-refused`, at enrolment and when it accepts a bundle, a
    //# key that is of small order or not in the prime-order subgroup.
    if !is_canonical || point.is_small_order() || !point.is_torsion_free() {
        return Err(Reject::KeyRefused);
    }
    Ok(key)
}
