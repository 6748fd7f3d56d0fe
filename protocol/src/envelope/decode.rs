//! From bytes to [`ReceivedEnvelope`]: size and shape, no trust.
//!
//! Everything that can be read here is named unverified. Refuses to look at the signature.

use super::Header;
use crate::cbor::{KeyOrder, Kind, Reader, check, decode_all};
use crate::id::{Digest, KeyId};
use crate::key::Algorithm;
use crate::kind::MessageKind;
use crate::limits::ENVELOPE_BYTES_MAX;
use crate::reject::Reject;
use crate::revision::{Epoch, Seq};

/// First byte of a COSE_Sign1 in a file or vector: tag 18. Refused inside frames.
pub const TAG_SIGN1: u8 = 0xd2;

const LABEL_ALGORITHM: i128 = 1;
const LABEL_CRIT: i128 = 2;
const LABEL_KEY_ID: i128 = 4;
const LABEL_SEMANTICS: i128 = -65_537;

/// An envelope whose shape is right and whose signature nobody has looked at.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedEnvelope<'a> {
    pub(super) header: Header,
    pub(super) algorithm: Algorithm,
    pub(super) key_id: KeyId,
    pub(super) protected: &'a [u8],
    pub(super) payload: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) bytes: &'a [u8],
}

impl<'a> ReceivedEnvelope<'a> {
    /// Reads an untagged COSE_Sign1 (spec: #verification-order, steps up to the header).
    ///
    /// # Errors
    /// `oversize`, a CBOR reject, `shape`, `unprotected-not-empty`, a header reject.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reject> {
        //= spec/postern.md#envelope
        //# An envelope MUST NOT be larger than 48128 bytes without its tag, else `oversize`.
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(Reject::Oversize);
        }
        //= spec/postern.md#verification-order
        //# A verifier MUST apply these steps in this order and refuse with the reject of the first
        //# that fails:
        let Outer {
            protected,
            is_bare,
            payload,
            signature,
        } = decode_all(bytes, read_outer)?;
        //= spec/postern.md#envelope
        //# The unprotected header MUST be the empty map, else `unprotected-not-empty`.
        if !is_bare {
            return Err(check(protected)
                .err()
                .unwrap_or(Reject::UnprotectedNotEmpty));
        }
        let semantics = decode_all(protected, read_protected)?;
        let header = semantics.check()?;
        Ok(Self {
            header,
            algorithm: semantics.algorithm,
            key_id: semantics.key_id,
            protected,
            payload,
            signature,
            bytes,
        })
    }

    /// Reads a COSE_Sign1 of a file, which has tag 18.
    ///
    /// # Errors
    /// As [`Self::parse`]; `shape` without the tag, `cbor-truncated` for nothing at all.
    pub fn parse_tagged(bytes: &'a [u8]) -> Result<Self, Reject> {
        match bytes.split_first() {
            //= spec/postern.md#envelope
            //# An envelope MUST carry tag 18 in a posted frame and a vector, else `shape`; the tag is
            //# stripped before the strict decoder runs.
            Some((&TAG_SIGN1, rest)) => Self::parse(rest),
            Some(_) => Err(check(bytes).err().unwrap_or(Reject::Shape)),
            None => Err(Reject::CborTruncated),
        }
    }

    /// What the header claims; not to be believed before verification.
    #[must_use]
    pub const fn unverified_header(&self) -> &Header {
        &self.header
    }

    /// The algorithm that the header claims.
    #[must_use]
    pub const fn unverified_algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key id that the header claims.
    #[must_use]
    pub const fn unverified_key_id(&self) -> KeyId {
        self.key_id
    }

    /// The payload; not to be believed before verification. For display only.
    #[must_use]
    pub const fn unverified_payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The bytes that were parsed.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// The outer array in the order of the wire.
struct Outer<'a> {
    protected: &'a [u8],
    /// True when nothing stands in the header that nobody signs.
    is_bare: bool,
    payload: &'a [u8],
    signature: &'a [u8],
}

fn read_outer<'a>(reader: &mut Reader<'a>) -> Result<Outer<'a>, Reject> {
    reader.array_of(4)?;
    Ok(Outer {
        protected: reader.bytes()?,
        is_bare: reader.is_empty_map()?,
        payload: reader.bytes()?,
        signature: reader.bytes()?,
    })
}

//= spec/postern.md#envelope
//# An envelope MUST be untagged inside a session frame or a plain frame of types 16 to 22.
/// Skips one envelope inside a frame and returns its bytes. # Errors: a CBOR reject or `shape`.
pub fn skip_envelope<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Reject> {
    let envelope = reader.item()?;
    //= spec/postern.md#frames
    //# An envelope in a frame MUST be an array of a byte string, a map and two byte strings, else
    //# `shape`.
    decode_all(envelope, read_outer)?;
    Ok(envelope)
}

/// The protected header as read, before the registry of kinds is asked.
struct Semantics {
    algorithm: Algorithm,
    key_id: KeyId,
    kind: u64,
    epoch: u64,
    seq: u64,
    base: u64,
    digest_length: usize,
    digest: Option<Digest>,
}

fn read_protected(reader: &mut Reader<'_>) -> Result<Semantics, Reject> {
    let entries = reader.map()?;
    let mut order = KeyOrder::new();
    let (mut algorithm, mut key_id, mut semantics) = (None, None, None);
    let (mut has_crit, mut has_unknown) = (false, false);
    for _ in 0..entries {
        if !matches!(reader.peek()?, Kind::Uint | Kind::Nint) {
            order.check(reader.key()?)?;
            reader.item()?;
            has_unknown = true;
            continue;
        }
        match reader.int_key(&mut order)? {
            LABEL_ALGORITHM => algorithm = Some(read_or_pass(reader, Reader::int)?),
            LABEL_KEY_ID => key_id = Some(read_or_pass(reader, Reader::bytes_of)?),
            LABEL_SEMANTICS => semantics = Some(read_or_pass(reader, read_semantics)?),
            label => {
                reader.item()?;
                has_crit |= label == LABEL_CRIT;
                has_unknown |= label != LABEL_CRIT;
            }
        }
    }
    let (Some(algorithm), Some(key_id), Some(semantics)) = (algorithm, key_id, semantics) else {
        return Err(Reject::Shape);
    };
    if has_crit {
        return Err(Reject::CritUnknown);
    }
    if has_unknown {
        return Err(Reject::HeaderLabelUnknown);
    }
    let algorithm = algorithm.ok_or(Reject::AlgorithmUnknown)?;
    let algorithm = Algorithm::from_number(algorithm)?;
    let (Some(key_id), Some(semantics)) = (key_id, semantics) else {
        return Err(Reject::Shape);
    };
    Ok(Semantics {
        algorithm,
        key_id: KeyId::from_bytes(key_id),
        ..semantics
    })
}

/// Reads a member, or passes over one of another form: that is told once every label is known.
fn read_or_pass<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Reject>,
) -> Result<Option<T>, Reject> {
    let start = reader.clone();
    if let Ok(value) = read(reader) {
        return Ok(Some(value));
    }
    *reader = start;
    reader.item().map(|_| None)
}

fn read_semantics(reader: &mut Reader<'_>) -> Result<Semantics, Reject> {
    reader.array_of(5)?;
    let (kind, epoch, seq, base) = (
        reader.uint()?,
        reader.uint()?,
        reader.uint()?,
        reader.uint()?,
    );
    let digest = reader.bytes()?;
    Ok(Semantics {
        algorithm: Algorithm::Ed25519,
        key_id: KeyId::from_bytes([0; 8]),
        kind,
        epoch,
        seq,
        base,
        digest_length: digest.len(),
        digest: <[u8; 32]>::try_from(digest).ok().map(Digest::from_bytes),
    })
}

impl Semantics {
    fn check(&self) -> Result<Header, Reject> {
        let kind = MessageKind::from_number(self.kind)?;
        let (epoch, seq, base) = (
            Epoch::new(self.epoch),
            Seq::new(self.seq),
            Seq::new(self.base),
        );
        kind.check_numbers(epoch, seq, base)?;
        if self.digest.is_none() && self.digest_length != 0 {
            return Err(Reject::DigestLength);
        }
        kind.check_digest_presence(seq, self.digest.is_some())?;
        Ok(Header {
            kind,
            epoch,
            seq,
            base,
            digest: self.digest,
        })
    }
}
