//! The form of everything encrypted: one COSE_Encrypt0 (RFC 9052 section 5.2) with ChaCha20/Poly1305.
//!
//! ```text
//!  [protected: bstr {1: 24, 4: key generation, 5: iv}, {}, ciphertext and tag: bstr]
//! ```
//!
//! Refuses any other algorithm, label or form, and says nothing about why a decryption failed.

use super::keys::CipherKey;
use crate::cbor::{KeyOrder, Reader, Writer, check, decode_all};
use crate::reject::Reject;
use crate::revision::KeyGeneration;
use alloc::vec::Vec;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};

/// ChaCha20/Poly1305 with a 256-bit key and a 128-bit tag (RFC 9053 section 4.3).
const ALGORITHM: u64 = 24;
const LABEL_ALGORITHM: i128 = 1;
const LABEL_KEY_ID: i128 = 4;
const LABEL_IV: i128 = 5;
/// Bytes of an IV; each encryption takes fresh random ones.
pub(super) const IV_BYTES: usize = 12;

/// Encrypts `plaintext` under the key of a generation, bound to `external_aad`.
///
/// The IV must be fresh random bytes: two plaintexts under one IV reveal each other.
#[must_use]
pub fn encrypt(
    key: &CipherKey,
    generation: KeyGeneration,
    iv: &[u8; IV_BYTES],
    external_aad: &[u8],
    plaintext: &[u8],
) -> Vec<u8> {
    let protected = encode_protected(generation, iv);
    let payload = Payload {
        msg: plaintext,
        aad: &enc_structure(&protected, external_aad),
    };
    let Ok(ciphertext) = cipher(key).encrypt(&Nonce::from(*iv), payload) else {
        unreachable!("the cipher takes up to 256 GiB, and no plaintext here exceeds 64 KiB")
    };
    let mut writer = Writer::with_capacity(ciphertext.len() + protected.len() + 16);
    writer.array(3).bytes(&protected).map(0).bytes(&ciphertext);
    writer.into_bytes()
}

/// A COSE_Encrypt0 whose form is right and whose tag nobody has looked at.
#[derive(Debug, Clone, Copy)]
pub struct Encrypted<'a> {
    generation: KeyGeneration,
    iv: [u8; IV_BYTES],
    protected: &'a [u8],
    ciphertext: &'a [u8],
}

impl<'a> Encrypted<'a> {
    /// Reads one. # Errors: `shape`, `unprotected-not-empty`, `oversize` or the CBOR reject.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reject> {
        decode_all(bytes, Self::read)
    }

    /// Reads one out of a larger item. # Errors: as [`Self::parse`].
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Reject> {
        reader.array_of(3)?;
        let protected = reader.bytes()?;
        let is_bare = reader.is_empty_map()?;
        let ciphertext = reader.bytes()?;
        //= spec/encryption.md#encrypted
        //# The unprotected header MUST be the empty map, else `unprotected-not-empty`.
        if !is_bare {
            let refused = check(protected).err();
            return Err(refused.unwrap_or(Reject::UnprotectedNotEmpty));
        }
        let (generation, iv) = decode_all(protected, read_protected)?;
        Ok(Self {
            generation,
            iv,
            protected,
            ciphertext,
        })
    }

    /// The generation of the key that it names.
    #[must_use]
    pub const fn generation(&self) -> KeyGeneration {
        self.generation
    }

    /// Decrypts it. # Errors: `decryption-failed` for another key, another aad or changed bytes.
    pub fn decrypt(&self, key: &CipherKey, external_aad: &[u8]) -> Result<Vec<u8>, Reject> {
        let payload = Payload {
            msg: self.ciphertext,
            aad: &enc_structure(self.protected, external_aad),
        };
        //= spec/encryption.md#encrypted
        //# A reader MUST refuse what does not decrypt under the key that it names, for the place
        //# where it stands, with `decryption-failed`.
        cipher(key)
            .decrypt(&Nonce::from(self.iv), payload)
            .map_err(|_| Reject::DecryptionFailed)
    }
}

fn cipher(key: &CipherKey) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.danger_bytes().into())
}

/// What the tag covers beside the ciphertext (RFC 9052 section 5.3).
fn enc_structure(protected: &[u8], external_aad: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(protected.len() + external_aad.len() + 24);
    writer
        .array(3)
        .text("Encrypt0")
        .bytes(protected)
        .bytes(external_aad);
    writer.into_bytes()
}

//= spec/encryption.md#encrypted
//# The protected header MUST encode exactly the map `{1: 24, 4: key generation, 5: iv bstr12}`, else
//# `shape`.
fn encode_protected(generation: KeyGeneration, iv: &[u8; IV_BYTES]) -> Vec<u8> {
    let number = generation.number().to_be_bytes();
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let mut writer = Writer::with_capacity(32);
    writer.map(3).uint(1).uint(ALGORITHM);
    writer
        .uint(4)
        .bytes(number.get(zeros..).unwrap_or_default());
    writer.uint(5).bytes(iv);
    writer.into_bytes()
}

fn read_protected(reader: &mut Reader<'_>) -> Result<(KeyGeneration, [u8; IV_BYTES]), Reject> {
    let mut order = KeyOrder::new();
    let mut labels = [0; 3];
    if reader.map()? != labels.len() {
        return Err(Reject::Shape);
    }
    let mut algorithm = 0;
    let mut generation = KeyGeneration::new(0);
    let mut iv = [0; IV_BYTES];
    for label in &mut labels {
        *label = reader.int_key(&mut order)?;
        match *label {
            LABEL_ALGORITHM => algorithm = reader.uint()?,
            LABEL_KEY_ID => generation = read_generation(reader.bytes()?)?,
            LABEL_IV => iv = reader.bytes_of()?,
            _ => return Err(Reject::Shape),
        }
    }
    if algorithm != ALGORITHM {
        return Err(Reject::Shape);
    }
    Ok((generation, iv))
}

/// Reads a generation in big-endian bytes. # Errors: `shape` for none, over eight or a leading zero.
fn read_generation(bytes: &[u8]) -> Result<KeyGeneration, Reject> {
    //= spec/encryption.md#encrypted
    //# A key generation in label 4 MUST be 1 to 8 bytes, big-endian, without a leading zero byte, else
    //# `shape`.
    if bytes.len() > 8 || bytes.first().is_none_or(|first| *first == 0) {
        return Err(Reject::Shape);
    }
    let number = bytes
        .iter()
        .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    Ok(KeyGeneration::new(number))
}
