//! Our strict reader against two that others wrote: ciborium for CBOR, coset for COSE_Sign1.
//!
//! What we take they take, with the same values. What they take and we refuse is refused for a reason that
//! stands in [`STRICTER_CBOR`] or [`STRICTER_ENVELOPE`]. Refuses to judge what both refuse.
//!
//! `protocol/tests/fuzz_corpus.rs` includes this file, so that the ordinary tests replay the corpus through it.

use ciborium::Value;
use coset::{
    CborSerializable as _, CoseSign1, Header, Label, RegisteredLabelWithPrivate,
    TaggedCborSerializable as _, iana::EnumI64 as _,
};
use postern_protocol::Reject;
use postern_protocol::cbor::{self, Kind, Reader};
use postern_protocol::envelope::{ReceivedEnvelope, TAG_SIGN1};

/// Label of the array that says what a message is (spec: #envelope).
const LABEL_SEMANTICS: i64 = -65_537;
/// Bytes of a key id.
const KEY_ID_BYTES: usize = 8;

/// Why the profile refuses CBOR that is well-formed: it has a second form of something, or something that no message
/// of ours holds (spec: #cbor-profile).
pub const STRICTER_CBOR: &[Reject] = &[
    // Second forms.
    Reject::CborNotShortest,
    Reject::CborIndefinite,
    Reject::CborUnsortedKey,
    Reject::CborDuplicateKey,
    Reject::CborFloat,
    // What no message holds.
    Reject::CborTag,
    Reject::CborSimple,
    Reject::CborIntegerRange,
    Reject::CborMapKey,
    // Bounds.
    Reject::CborDepth,
    Reject::Oversize,
];

/// Why the profile refuses a COSE_Sign1 that RFC 9052 allows, beyond [`STRICTER_CBOR`] and `shape` (spec: #envelope, #kinds).
pub const STRICTER_ENVELOPE: &[Reject] = &[
    // Headers that nobody signs, or that we do not know.
    Reject::UnprotectedNotEmpty,
    Reject::CritUnknown,
    Reject::HeaderLabelUnknown,
    Reject::AlgorithmUnknown,
    // Semantics that are not those of a kind.
    Reject::KindUnknown,
    Reject::EpochZero,
    Reject::SeqZero,
    Reject::BaseNotBelow,
    Reject::HeaderNumbers,
    Reject::DigestLength,
];

/// Both comparisons over one input.
///
/// # Panics
/// When a reader differs in another way than the lists say.
pub fn differential(input: &[u8]) {
    compare_cbor(input);
    compare_envelope(input);
}

fn compare_cbor(input: &[u8]) {
    let mut rest = input;
    let theirs = ciborium::from_reader::<Value, _>(&mut rest).ok();
    let theirs = theirs.filter(|_| rest.is_empty());
    match (cbor::check(input), theirs) {
        (Ok(()), Some(theirs)) => {
            let mut reader = Reader::new(input);
            assert_eq!(is_same(&mut reader, &theirs), Ok(true), "{theirs:?}");
            assert!(reader.is_at_end(), "they read more than we");
        }
        (Ok(()), None) => panic!("only we take it"),
        (Err(reject), Some(theirs)) => {
            assert!(STRICTER_CBOR.contains(&reject), "{reject}: {theirs:?}");
        }
        (Err(_), None) => {}
    }
}

/// Tells whether both read one item alike.
fn is_same(reader: &mut Reader<'_>, theirs: &Value) -> Result<bool, Reject> {
    Ok(match (reader.peek()?, theirs) {
        (Kind::Uint | Kind::Nint, Value::Integer(it)) => reader.int()? == i128::from(*it),
        (Kind::Bytes, Value::Bytes(it)) => reader.bytes()? == it,
        (Kind::Text, Value::Text(it)) => reader.text()? == it,
        (Kind::Bool, Value::Bool(it)) => reader.bool()? == *it,
        (Kind::Null, Value::Null) => reader.null().is_ok(),
        // Bits: a zero has a sign.
        (Kind::Float, Value::Float(it)) => reader.float()?.to_bits() == it.to_bits(),
        (Kind::Array, Value::Array(items)) => {
            let mut is_alike = reader.array()? == items.len();
            for item in items {
                is_alike = is_alike && is_same(reader, item)?;
            }
            is_alike
        }
        (Kind::Map, Value::Map(entries)) => {
            let mut is_alike = reader.map()? == entries.len();
            for (key, value) in entries {
                is_alike = is_alike && is_same(reader, key)? && is_same(reader, value)?;
            }
            is_alike
        }
        _ => false,
    })
}

fn compare_envelope(input: &[u8]) {
    let ours = ReceivedEnvelope::parse(input);
    let theirs = CoseSign1::from_slice(input);
    match (&ours, theirs) {
        (Ok(ours), Ok(theirs)) => assert_same_envelope(ours, &theirs),
        (Ok(_), Err(error)) => panic!("only we take it: {error}"),
        (Err(reject), Ok(theirs)) => {
            assert!(is_stricter(*reject, &theirs), "{reject}: {theirs:?}");
        }
        (Err(_), Err(_)) => {}
    }
    let mut tagged = Vec::from([TAG_SIGN1]);
    tagged.extend_from_slice(input);
    let is_taken = CoseSign1::from_tagged_slice(&tagged).is_ok();
    assert!(
        is_taken || ours.is_err(),
        "they take it without tag 18 only"
    );
}

fn assert_same_envelope(ours: &ReceivedEnvelope<'_>, theirs: &CoseSign1) {
    let header = &theirs.protected.header;
    assert_eq!(
        algorithm(header),
        Some(ours.unverified_algorithm().number())
    );
    assert_eq!(header.key_id, ours.unverified_key_id().as_bytes());
    assert_eq!(theirs.payload.as_deref(), Some(ours.unverified_payload()));
    assert!(theirs.unprotected.is_empty(), "a header that nobody signs");
    assert!(header.crit.is_empty(), "an extension");
    // The last member of the outer array.
    assert!(ours.as_bytes().ends_with(&theirs.signature), "signature");
    let ours = ours.unverified_header();
    let numbers = [
        ours.kind.number(),
        ours.epoch.number(),
        ours.seq.number(),
        ours.base.number(),
    ];
    let digest = ours.digest.map(|digest| digest.as_bytes().to_vec());
    let semantics = semantics(header);
    assert_eq!(semantics, Some((numbers, digest.unwrap_or_default())));
}

fn algorithm(header: &Header) -> Option<i64> {
    match header.alg.as_ref()? {
        RegisteredLabelWithPrivate::Assigned(algorithm) => Some(algorithm.to_i64()),
        RegisteredLabelWithPrivate::PrivateUse(number) => Some(*number),
        RegisteredLabelWithPrivate::Text(_) => None,
    }
}

/// Kind, epoch, seq and base, then the digest's bytes; `None` where they have another form.
fn semantics(header: &Header) -> Option<([u64; 4], Vec<u8>)> {
    let is_it = |label: &Label| *label == Label::Int(LABEL_SEMANTICS);
    let (_, value) = header.rest.iter().find(|(label, _)| is_it(label))?;
    let [kind, epoch, seq, base, digest] = value.as_array()?.as_slice() else {
        return None;
    };
    let number = |value: &Value| u64::try_from(value.as_integer()?).ok();
    let numbers = [number(kind)?, number(epoch)?, number(seq)?, number(base)?];
    Some((numbers, digest.as_bytes()?.clone()))
}

/// Tells whether the profile has this reason to refuse what coset takes.
fn is_stricter(reject: Reject, theirs: &CoseSign1) -> bool {
    let header = &theirs.protected.header;
    if reject == Reject::CborTruncated {
        // RFC 9052 lets the empty string stand for an empty header; we want the labels that are missing there.
        return theirs.protected.original_data.as_deref() == Some(&[]);
    }
    if reject == Reject::Shape {
        // A detached payload, or a header without algorithm, key id or semantics of the one form.
        return theirs.payload.is_none()
            || algorithm(header).is_none()
            || header.key_id.len() != KEY_ID_BYTES
            || semantics(header).is_none();
    }
    STRICTER_CBOR.contains(&reject) || STRICTER_ENVELOPE.contains(&reject)
}
