//! The keys that one end of an encrypted channel holds, and what they can do.
//!
//! ```text
//!  generation 3 -- generation 4 -- generation 5       encrypts with the newest, decrypts with each
//! ```
//!
//! Refuses what is not encrypted where a key is held, and keys that another digest key would follow.

use super::encrypt0::{Encrypted, encrypt};
use super::keys::{CipherKey, DigestKey, Digester};
use super::place::Life;
use super::plane_key::PlaneKey;
use crate::cbor::{Reader, Writer, decode_all};
use crate::context::{Random, draw};
use crate::envelope::Header;
use crate::id::{Digest, Plane};
use crate::limits::KEY_GENERATIONS_MAX;
use crate::reject::Reject;
use crate::revision::KeyGeneration;
use alloc::vec::Vec;

/// See the head of this module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vault {
    life: Life,
    digest: DigestKey,
    /// Ascending by generation, never empty.
    keys: Vec<PlaneKey>,
}

impl Vault {
    /// Begins with the keys of one generation.
    #[must_use]
    pub fn new(life: Life, key: PlaneKey) -> Self {
        Self {
            life,
            digest: key.digest.clone(),
            keys: Vec::from([key]),
        }
    }

    /// Takes the keys of a further generation, in the place of all that are not below it. The oldest
    /// are forgotten above the limit.
    ///
    /// # Errors
    /// `plane-key-conflict` for another digest key.
    pub fn take(&mut self, key: PlaneKey) -> Result<(), Reject> {
        //= spec/encryption.md#plane-key
        //# A device MUST refuse a plane-key that changes the digest key of its incarnation with
        //# `plane-key-conflict`.
        if key.digest != self.digest {
            return Err(Reject::PlaneKeyConflict);
        }
        self.keys.retain(|held| held.generation < key.generation);
        self.keys.push(key);
        //= spec/encryption.md#plane-key
        //# An end MUST keep at most 4 generations and forget the oldest first.
        let excess = self.keys.len().saturating_sub(KEY_GENERATIONS_MAX);
        self.keys.drain(..excess);
        Ok(())
    }

    /// Draws the keys of the next generation, with the digest key that is held.
    /// `None` at the end of the range.
    #[must_use]
    pub fn draw_next(&self, random: &mut dyn Random) -> Option<PlaneKey> {
        Some(PlaneKey {
            generation: self.generation().next()?,
            digest: self.digest.clone(),
            desired: CipherKey::draw(random),
            actual: CipherKey::draw(random),
        })
    }

    /// Forgets the generations below `generation`, as nothing needs them any more; never the newest.
    pub fn forget_below(&mut self, generation: KeyGeneration) {
        let newest = self.generation();
        self.keys
            .retain(|held| held.generation >= generation || held.generation == newest);
    }

    /// The newest generation.
    #[must_use]
    pub fn generation(&self) -> KeyGeneration {
        self.newest().generation
    }

    /// How many generations are held.
    #[must_use]
    pub fn generations_count(&self) -> usize {
        self.keys.len()
    }

    /// How digests are made in this channel.
    #[must_use]
    pub fn digester(&self) -> Digester {
        Digester::Keyed(self.digest.clone())
    }

    /// The key of all digests.
    #[must_use]
    pub const fn digest_key(&self) -> &DigestKey {
        &self.digest
    }

    /// The life that the keys belong to.
    #[must_use]
    pub const fn life(&self) -> &Life {
        &self.life
    }

    fn newest(&self) -> &PlaneKey {
        let Some(newest) = self.keys.last() else {
            unreachable!(
                "a vault begins with one generation and each that goes makes room for another"
            )
        };
        newest
    }

    fn encrypt(&self, plane: Plane, aad: &[u8], bytes: &[u8], random: &mut dyn Random) -> Vec<u8> {
        let key = self.newest();
        //= spec/encryption.md#encrypted
        //# Each encryption MUST take 12 fresh random bytes as IV, and never a number of the message.
        let iv = draw(random);
        encrypt(cipher_key(key, plane), key.generation, &iv, aad, bytes)
    }

    fn decrypt(&self, plane: Plane, aad: &[u8], one: &Encrypted<'_>) -> Result<Vec<u8>, Reject> {
        let mut keys = self.keys.iter();
        //= spec/encryption.md#encrypted
        //# A reader that does not hold the key generation named in label 4 MUST refuse with
        //# `plane-key-missing`.
        let key = keys.find(|key| key.generation == one.generation());
        let key = key.ok_or(Reject::PlaneKeyMissing)?;
        one.decrypt(cipher_key(key, plane), aad)
    }

    /// Encrypts what stands in the payload of the message that `header` heads.
    pub fn encrypt_message(
        &self,
        plane: Plane,
        header: &Header,
        plaintext: &[u8],
        random: &mut dyn Random,
    ) -> Vec<u8> {
        let aad = self.life.message_aad(plane, header);
        self.encrypt(plane, &aad, plaintext, random)
    }

    /// Decrypts what stands in the payload of a verified message.
    /// # Errors: `plane-key-missing`, `decryption-failed`.
    pub fn decrypt_message(
        &self,
        plane: Plane,
        header: &Header,
        encrypted: &Encrypted<'_>,
    ) -> Result<Vec<u8>, Reject> {
        self.decrypt(plane, &self.life.message_aad(plane, header), encrypted)
    }

    /// Encrypts the body of a section whose keyed digest is `digest`.
    pub fn encrypt_body(
        &self,
        plane: Plane,
        section: &str,
        digest: &Digest,
        body: &[u8],
        random: &mut dyn Random,
    ) -> Vec<u8> {
        let aad = self.life.body_aad(plane, section, digest);
        self.encrypt(plane, &aad, body, random)
    }

    /// Decrypts a stored body. # Errors: a form, `plane-key-missing`, `decryption-failed`.
    pub fn decrypt_body(
        &self,
        plane: Plane,
        section: &str,
        digest: &Digest,
        stored: &[u8],
    ) -> Result<Vec<u8>, Reject> {
        let aad = self.life.body_aad(plane, section, digest);
        self.decrypt(plane, &aad, &Encrypted::parse(stored)?)
    }

    /// Encodes the keys for a record. The bytes are secret.
    pub fn write(&self, writer: &mut Writer) {
        writer.array(2).bytes(self.digest.danger_bytes());
        writer.array(self.keys.len());
        for key in &self.keys {
            writer
                .array(3)
                .uint(key.generation.number())
                .bytes(key.desired.danger_bytes())
                .bytes(key.actual.danger_bytes());
        }
    }

    /// Reads the keys of a record. # Errors: `shape`, or the CBOR reject.
    pub fn read(reader: &mut Reader<'_>, life: Life) -> Result<Self, Reject> {
        reader.array_of(2)?;
        let digest = DigestKey::from_bytes(reader.bytes_of()?);
        let count = reader.array()?;
        if count == 0 || count > KEY_GENERATIONS_MAX {
            return Err(Reject::Shape);
        }
        let mut keys: Vec<PlaneKey> = Vec::new();
        for _ in 0..count {
            reader.array_of(3)?;
            let key = PlaneKey {
                generation: KeyGeneration::new(reader.uint()?),
                digest: digest.clone(),
                desired: CipherKey::from_bytes(reader.bytes_of()?),
                actual: CipherKey::from_bytes(reader.bytes_of()?),
            };
            if keys
                .last()
                .is_some_and(|last| last.generation >= key.generation)
            {
                return Err(Reject::Shape);
            }
            keys.push(key);
        }
        Ok(Self { life, digest, keys })
    }

    /// Reads the keys of a whole record. # Errors: as [`Self::read`].
    pub fn decode(bytes: &[u8], life: Life) -> Result<Self, Reject> {
        decode_all(bytes, |reader| Self::read(reader, life))
    }
}

const fn cipher_key(key: &PlaneKey, plane: Plane) -> &CipherKey {
    match plane {
        Plane::Desired => &key.desired,
        Plane::Actual => &key.actual,
    }
}
