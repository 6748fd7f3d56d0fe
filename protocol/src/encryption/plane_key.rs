//! The keys of one generation on their way to the device: the payload of a plane-key message.
//!
//! Refuses keys for another life of the device or under another number than the header's.

use super::agreement::{AgreementKey, AgreementSecret};
use super::keys::{CipherKey, DigestKey};
use super::place::Life;
use crate::cbor::{Reader, Writer, decode_all};
use crate::context::Random;
use crate::id::Digest;
use crate::reject::Reject;
use crate::revision::{Epoch, Generation, KeyGeneration};
use alloc::vec::Vec;
use core::cmp::Ordering;
use zeroize::Zeroizing;

/// Bytes of the three keys, encoded and encrypted.
const CIPHERTEXT_BYTES: usize = 103 + 16;

/// The keys of one generation (spec: #plane-key).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneKey {
    /// Which generation.
    pub generation: KeyGeneration,
    /// Makes the digests of both planes; the same in every generation of an incarnation.
    pub digest: DigestKey,
    /// Encrypts what the controller writes.
    pub desired: CipherKey,
    /// Encrypts what the device writes.
    pub actual: CipherKey,
}

impl PlaneKey {
    /// Encrypts the keys to a device's agreement key: the payload of the message.
    ///
    /// # Errors
    /// `key-refused` for an agreement key that gives no shared secret.
    pub fn encrypt(
        &self,
        life: &Life,
        to: &AgreementKey,
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, Reject> {
        let sealed = to.seal(&self.encode(), &life.plane_key_aad(self.generation), random)?;
        let mut writer = Writer::with_capacity(160);
        writer.array(2).bytes(&sealed.key).bytes(&sealed.ciphertext);
        Ok(writer.into_bytes())
    }

    /// Decrypts a payload whose header names `generation`.
    ///
    /// # Errors
    /// `shape` or the CBOR reject; `decryption-failed` for another secret, life or generation.
    pub fn decrypt(
        payload: &[u8],
        life: &Life,
        generation: KeyGeneration,
        secret: &AgreementSecret,
    ) -> Result<Self, Reject> {
        let (key, ciphertext) = decode_all(payload, read_payload)?;
        //= spec/encryption.md#plane-key
        //# A device MUST refuse a plane-key that does not decrypt under the agreement key that it bound
        //# with `decryption-failed`.
        let opened = secret.open(&key, ciphertext, &life.plane_key_aad(generation))?;
        let opened = Zeroizing::new(opened);
        decode_all(&opened, |reader| {
            reader.array_of(3)?;
            Ok(Self {
                generation,
                digest: DigestKey::from_bytes(reader.bytes_of()?),
                desired: CipherKey::from_bytes(reader.bytes_of()?),
                actual: CipherKey::from_bytes(reader.bytes_of()?),
            })
        })
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::with_capacity(CIPHERTEXT_BYTES);
        writer
            .array(3)
            .bytes(self.digest.danger_bytes())
            .bytes(self.desired.danger_bytes())
            .bytes(self.actual.danger_bytes());
        Zeroizing::new(writer.into_bytes())
    }
}

/// What plane-keys compare by (spec: #plane-key), with the payload that brought the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPlace {
    /// Generation of the writer key that signed it.
    pub writer: Generation,
    /// The writer's epoch.
    pub epoch: Epoch,
    /// The key generation.
    pub number: KeyGeneration,
    /// Hash of the payload.
    pub payload: Digest,
}

/// What a plane-key is to whoever holds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arriving {
    /// The same keys, told before.
    Known,
    /// The same keys, signed in a later place.
    Again,
    /// Other keys.
    New,
}

impl KeyPlace {
    const fn order(&self) -> (Generation, Epoch, KeyGeneration) {
        (self.writer, self.epoch, self.number)
    }

    /// Compares with the plane-key that is held.
    ///
    /// # Errors
    /// `plane-key-stale`, `equivocation`.
    pub fn judge(&self, held: Option<&Self>) -> Result<Arriving, Reject> {
        let Some(held) = held else {
            return Ok(Arriving::New);
        };
        let is_same = self.number == held.number && self.payload == held.payload;
        match (self.order().cmp(&held.order()), is_same) {
            (Ordering::Less | Ordering::Equal, true) => Ok(Arriving::Known),
            //= spec/encryption.md#plane-key
            //# A device MUST refuse a plane-key that compares lower than the one held with
            //# `plane-key-stale`.
            (Ordering::Less, false) => Err(Reject::PlaneKeyStale),
            //= spec/encryption.md#plane-key
            //# A device MUST refuse a plane-key that compares equal and has another digest with
            //# `equivocation`.
            (Ordering::Equal, false) => Err(Reject::Equivocation),
            (Ordering::Greater, true) => Ok(Arriving::Again),
            (Ordering::Greater, false) => Ok(Arriving::New),
        }
    }
}

/// Checks the form of a payload, for whoever cannot decrypt it. # Errors: `shape` or the CBOR reject.
pub fn check_plane_key(payload: &[u8]) -> Result<(), Reject> {
    decode_all(payload, read_payload).map(|_| ())
}

fn read_payload<'a>(reader: &mut Reader<'a>) -> Result<([u8; 32], &'a [u8]), Reject> {
    //= spec/encryption.md#plane-key
    //# The payload MUST be an array of the 32 bytes of an encapsulated key and 119 bytes of ciphertext,
    //# else `shape`.
    reader.array_of(2)?;
    let key = reader.bytes_of()?;
    let ciphertext = reader.bytes()?;
    if ciphertext.len() == CIPHERTEXT_BYTES {
        Ok((key, ciphertext))
    } else {
        Err(Reject::Shape)
    }
}
