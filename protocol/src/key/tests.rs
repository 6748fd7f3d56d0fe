//! The key check, thumbprints, and strict verification.

use super::{Algorithm, MemorySigner, PublicKey, Signer};
use crate::cbor::{Writer, decode_all};
use crate::reject::Reject;

const P_LOW: u8 = 0xed;

/// A field element at or above 2^255 - 19 in little-endian bytes.
fn element_of_p_plus(low: u8, sign: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = P_LOW + low;
    bytes[31] = 0x7f | sign;
    bytes
}

fn small_order_points() -> [[u8; 32]; 4] {
    let zero = [0; 32];
    let mut one = zero;
    one[0] = 1;
    let mut minus_one = element_of_p_plus(0, 0);
    minus_one[0] = P_LOW - 1;
    let mut zero_with_sign = zero;
    zero_with_sign[31] = 0x80;
    [zero, one, minus_one, zero_with_sign]
}

//= spec/postern.md#keys type=test
//# A receiver MUST refuse with `key-refused`, at enrolment and when it accepts a bundle, a key that
//# is of small order or not in the prime-order subgroup.
#[test]
fn key_of_small_order_is_refused() {
    for bytes in small_order_points() {
        assert_eq!(
            PublicKey::from_bytes(&bytes).err(),
            Some(Reject::KeyRefused)
        );
    }
}

//= spec/postern.md#keys type=test
//# A receiver MUST refuse with `key-refused`, at enrolment and when it accepts a bundle, a key that
//# is not the canonical encoding of a curve point.
#[test]
fn key_that_is_not_canonical_is_refused() {
    for low in 0..=18 {
        for sign in [0, 0x80] {
            let bytes = element_of_p_plus(low, sign);
            assert_eq!(
                PublicKey::from_bytes(&bytes).err(),
                Some(Reject::KeyRefused)
            );
        }
    }
}

#[test]
fn key_of_another_length_is_refused() {
    let key = MemorySigner::from_seed(&[1; 32]);
    let bytes = key.public_key().as_bytes();
    for length in [0, 1, 31] {
        assert_eq!(
            PublicKey::from_bytes(&bytes[..length]).err(),
            Some(Reject::KeyRefused)
        );
    }
    assert_eq!(
        PublicKey::from_bytes(&[7; 33]).err(),
        Some(Reject::KeyRefused)
    );
}

#[test]
fn key_as_cose_key_has_40_bytes_and_comes_back() {
    let signer = MemorySigner::from_seed(&[2; 32]);
    let mut writer = Writer::new();
    signer.public_key().encode(&mut writer);
    assert_eq!(writer.as_bytes().len(), 40);
    let read = decode_all(writer.as_bytes(), PublicKey::decode);
    assert_eq!(read.as_ref(), Ok(signer.public_key()));
    assert_eq!(
        signer.public_key().thumbprint().as_bytes()[..8],
        *signer.public_key().key_id().as_bytes()
    );
}

//= spec/postern.md#keys type=test
//# A public key on the wire MUST be an Ed25519 key (RFC 8032), the COSE_Key map `{1: 1, -1: 6,
//# -2: bstr32}` of 40 bytes, or an ESP256 key (RFC 9864), the map `{1: 2, -1: 1, -2: x bstr32,
//# -3: y bstr32}` of 75 bytes, else `shape`.
#[test]
fn cose_key_with_another_member_is_refused() {
    let signer = MemorySigner::from_seed(&[3; 32]);
    let bytes = signer.public_key().as_bytes();
    let key = |type_: u64, curve: u64, label: i64, length: usize| {
        let mut writer = Writer::new();
        writer
            .map(3)
            .uint(1)
            .uint(type_)
            .int(-1)
            .uint(curve)
            .int(label)
            .bytes(&bytes[..length]);
        decode_all(writer.as_bytes(), PublicKey::decode).err()
    };
    assert_eq!(key(1, 6, -2, 32), None);
    for (type_, curve, label, length) in [
        (2, 6, -2, 32),
        (1, 4, -2, 32),
        (1, 6, -3, 32),
        (1, 6, -2, 31),
    ] {
        assert_eq!(key(type_, curve, label, length), Some(Reject::Shape));
    }
}

#[test]
fn signature_with_one_bit_changed_is_refused() {
    let signer = MemorySigner::from_seed(&[4; 32]);
    let signature = signer.sign(b"message");
    assert_eq!(signer.public_key().verify(b"message", &signature), Ok(()));
    for at in 0..64 {
        let mut changed = signature;
        changed[at] ^= 1;
        assert_eq!(
            signer.public_key().verify(b"message", &changed),
            Err(Reject::SignatureInvalid)
        );
    }
    assert_eq!(
        signer.public_key().verify(b"massage", &signature),
        Err(Reject::SignatureInvalid)
    );
}

#[test]
fn signature_of_another_length_is_refused() {
    let signer = MemorySigner::from_seed(&[5; 32]);
    let signature = signer.sign(b"m");
    for length in [0, 63] {
        assert_eq!(
            signer.public_key().verify(b"m", &signature[..length]),
            Err(Reject::SignatureLength)
        );
    }
    assert_eq!(
        signer.public_key().verify(b"m", &[0; 65]),
        Err(Reject::SignatureLength)
    );
}

//= spec/postern.md#keys type=test
//# A verifier MUST use the strict, cofactorless verification that refuses a non-canonical S and a
//# small-order R.
#[test]
fn signature_with_s_plus_group_order_is_refused() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let signer = MemorySigner::from_seed(&[6; 32]);
    let mut signature = signer.sign(b"m");
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(
        signer.public_key().verify(b"m", &signature),
        Err(Reject::SignatureInvalid)
    );
}

#[test]
fn signer_shown_for_debugging_hides_its_seed() {
    let signer = MemorySigner::from_seed(&[0xab; 32]);
    let shown = alloc::format!("{signer:?}");
    let public = alloc::format!("{:?}", signer.public_key().thumbprint());
    assert!(shown.contains(&public), "{shown} is somebody's");
    assert!(!shown.contains("abab") && !shown.contains("171"));
    assert_eq!(signer.danger_seed(), [0xab; 32]);
}

#[test]
fn algorithm_has_its_registered_number_and_name() {
    for (algorithm, number, name) in [
        (Algorithm::Ed25519, -19, "Ed25519"),
        (Algorithm::Esp256, -9, "ESP256"),
    ] {
        assert_eq!((algorithm.number(), algorithm.as_str()), (number, name));
        assert_eq!(Algorithm::from_number(i128::from(number)), Ok(algorithm));
    }
    for number in [0, 9, 19, -7, -8, i128::MIN] {
        let read = Algorithm::from_number(number);
        assert_eq!(read, Err(Reject::AlgorithmUnknown));
    }
}

#[test]
fn key_of_the_simulator_passes_for_an_ed25519_key_of_40_bytes() {
    let signer = MemorySigner::danger_test_from_seed(&[4; 32]);
    let mut writer = Writer::new();
    signer.public_key().encode(&mut writer);
    assert_eq!(writer.as_bytes().len(), 40);
    let read = decode_all(writer.as_bytes(), PublicKey::decode);
    assert_eq!(read.as_ref(), Ok(signer.public_key()));
}
