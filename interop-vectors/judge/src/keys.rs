//! The operations on items, keys and signatures.
//!
//! Each goes through the function that verifiers use. Refuses keys of the other algorithm as no key.

use crate::request::{Given, bytes, given, hex, key, nothing};
use postern_protocol::Reject;
use postern_protocol::cbor;
use postern_protocol::key::{Algorithm, PublicKey};
use serde_json::Value as Json;

/// One item of the profile.
pub(crate) fn cbor(request: &Json) -> Given {
    cbor::check(&bytes(request, "input")?)?;
    nothing()
}

/// The key check and what follows from a key.
pub(crate) fn key_names(request: &Json) -> Given {
    let key = key(request, "public_key")?;
    let mut writer = cbor::Writer::new();
    key.encode(&mut writer);
    given([
        ("cose_key", hex(writer.as_bytes())),
        ("thumbprint", hex(key.thumbprint().as_bytes())),
        ("kid", hex(key.key_id().as_bytes())),
    ])
}

/// A signature of Ed25519.
pub(crate) fn ed25519(request: &Json) -> Given {
    verify(request, Algorithm::Ed25519)
}

/// A signature of ESP256.
pub(crate) fn esp256(request: &Json) -> Given {
    verify(request, Algorithm::Esp256)
}

fn verify(request: &Json, algorithm: Algorithm) -> Given {
    let key = bytes(request, "public_key")?;
    let (message, signature) = (bytes(request, "message")?, bytes(request, "signature")?);
    let key = PublicKey::from_bytes(&key)?;
    if key.algorithm() != algorithm {
        return Err(Reject::KeyRefused.into());
    }
    key.verify(&message, &signature)?;
    nothing()
}
