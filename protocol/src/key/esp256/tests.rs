//! P-256 keys: a published signature, forms and points that are refused.

use crate::cbor::{Reader, Writer};
use crate::key::{Algorithm, MemorySigner, PublicKey, Signer as _};
use crate::reject::Reject;
use alloc::vec::Vec;

/// RFC 6979, A.2.5: the key, and its signature of "sample" with SHA-256, whose s is high.
const SECRET: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
const X: &str = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6";
const Y: &str = "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
const R: &str = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716";
const S: &str = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
const N: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const P: &str = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn unhex(texts: &[&str]) -> Vec<u8> {
    let text = texts.concat();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn key() -> PublicKey {
    PublicKey::from_bytes(&unhex(&["04", X, Y])).unwrap()
}

fn signer() -> MemorySigner {
    let secret: [u8; 32] = unhex(&[SECRET]).try_into().unwrap();
    MemorySigner::esp256_from_secret(&secret).unwrap()
}

/// n - s: the other signature that says the same.
fn negated(s: &str) -> Vec<u8> {
    let (n, s) = (unhex(&[N]), unhex(&[s]));
    let mut borrow = 0;
    let mut low: Vec<u8> = Vec::new();
    for (n, s) in n.iter().zip(&s).rev() {
        let left = i16::from(*n) - i16::from(*s) - borrow;
        borrow = i16::from(left < 0);
        low.push(u8::try_from(left.rem_euclid(256)).unwrap());
    }
    low.reverse();
    low
}

//= spec/postern.md#keys type=test
//# An ESP256 signature MUST be r ‖ s, 32 bytes each, over SHA-256, with r and s in 1..n-1; a high s
//# counts.
#[test]
fn signature_of_the_standard_is_made_and_verifies() {
    let signer = signer();
    assert_eq!(signer.public_key(), &key());
    assert_eq!(signer.public_key().algorithm(), Algorithm::Esp256);
    let signature = unhex(&[R, S]);
    assert_eq!(signer.sign(b"sample").to_vec(), signature);
    assert_eq!(key().verify(b"sample", &signature), Ok(()));
    let low = [unhex(&[R]), negated(S)].concat();
    assert_eq!(key().verify(b"sample", &low), Ok(()), "both s count");
    assert_eq!(signer.danger_seed().to_vec(), unhex(&[SECRET]));
}

//= spec/postern.md#keys type=test
//# An ESP256 signature MUST be r ‖ s, 32 bytes each, over SHA-256, with r and s in 1..n-1; a high s
//# counts.
#[test]
fn signature_that_is_not_right_is_refused() {
    let cases = [
        unhex(&[ZERO, S]),
        unhex(&[R, ZERO]),
        unhex(&[N, S]),
        unhex(&[R, N]),
        unhex(&[S, R]),
        unhex(&[P, P]),
    ];
    for signature in cases {
        let refused = key().verify(b"sample", &signature);
        assert_eq!(refused, Err(Reject::SignatureInvalid), "{signature:x?}");
    }
    let other = key().verify(b"sampl", &unhex(&[R, S]));
    assert_eq!(other, Err(Reject::SignatureInvalid));
    let short = key().verify(b"sample", &unhex(&[R]));
    assert_eq!(short, Err(Reject::SignatureLength));
}

//= spec/postern.md#keys type=test
//# A receiver MUST refuse with `key-refused`, at enrolment and when it accepts a bundle, an ESP256
//# key with a coordinate that is not below p or a point that is not on P-256.
#[test]
fn key_that_is_no_point_or_of_another_form_is_refused() {
    let mut off_curve = unhex(&["04", X, Y]);
    off_curve[64] ^= 1;
    let cases = [
        off_curve,
        unhex(&["04", ZERO, ZERO]),
        unhex(&["04", P, Y]),
        unhex(&["04", X, P]),
        unhex(&["02", X, Y]),
        unhex(&["06", X, Y]),
        unhex(&["00", X, Y]),
        unhex(&["03", X]),
        unhex(&["04", X, Y, "00"]),
        unhex(&["00"]),
    ];
    for bytes in cases {
        let refused = PublicKey::from_bytes(&bytes).err();
        assert_eq!(refused, Some(Reject::KeyRefused), "{bytes:x?}");
    }
    for secret in [ZERO, N] {
        let secret: [u8; 32] = unhex(&[secret]).try_into().unwrap();
        let refused = MemorySigner::esp256_from_secret(&secret).err();
        assert_eq!(refused, Some(Reject::KeyRefused));
    }
}

#[test]
fn cose_key_takes_75_bytes_and_comes_back() {
    let mut writer = Writer::new();
    key().encode(&mut writer);
    let bytes = writer.into_bytes();
    assert_eq!(bytes, unhex(&["a401022001215820", X, "225820", Y]));
    assert_eq!(bytes.len(), 75);
    assert_eq!(PublicKey::decode(&mut Reader::new(&bytes)), Ok(key()));
    let hash = crate::id::Digest::of(&bytes);
    assert_eq!(key().thumbprint().as_bytes(), hash.as_bytes());
}

#[test]
fn cose_key_of_another_form_is_refused() {
    let cases = [
        (unhex(&["a301022001215820", X]), Reject::Shape),
        (unhex(&["a401022001215820", X, "22f5"]), Reject::Shape),
        (unhex(&["a401022001215820", X, "22f4"]), Reject::Shape),
        (unhex(&["a401012001215820", X, "225820", Y]), Reject::Shape),
        (unhex(&["a401022002215820", X, "225820", Y]), Reject::Shape),
        (unhex(&["a401022006215820", X, "225820", Y]), Reject::Shape),
        (unhex(&["a401022001215820", X, "235820", Y]), Reject::Shape),
        (
            unhex(&["a40102200121581f", &X[2..], "225820", Y]),
            Reject::Shape,
        ),
        (
            unhex(&["a401022001215820", X, "225820", X]),
            Reject::KeyRefused,
        ),
        (
            unhex(&["a401022001215820", X, "2258", "20"]),
            Reject::CborTruncated,
        ),
    ];
    for (bytes, reject) in cases {
        let decoded = PublicKey::decode(&mut Reader::new(&bytes));
        assert_eq!(decoded, Err(reject), "{bytes:x?}");
    }
}
