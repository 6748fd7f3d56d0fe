//! The form of a COSE_Encrypt0: every other form is refused before the tag is looked at.

use super::*;

const IV: [u8; 12] = [9; 12];

fn key() -> CipherKey {
    CipherKey::from_bytes([4; 32])
}

fn made(generation: u64) -> Vec<u8> {
    encrypt(
        &key(),
        KeyGeneration::new(generation),
        &IV,
        b"here",
        b"secret",
    )
}

/// Puts a protected header and an unprotected one around an empty tag.
fn around(protected: &[u8], unprotected: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer
        .array(3)
        .bytes(protected)
        .raw(unprotected)
        .bytes(&[0; 16]);
    writer.into_bytes()
}

//= spec/encryption.md#encrypted type=test
//# The protected header MUST encode exactly the map `{1: 24, 4: key generation, 5: iv bstr12}`, else
//# `shape`.
#[test]
fn encrypted_bytes_have_the_stated_form() {
    let bytes = made(258);
    let expected = hex("83 56 a3 01 1818 04 420102 05 4c 090909090909090909090909 a0 56");
    assert_eq!(bytes[..expected.len()], expected);
    assert!(bytes.len() - b"secret".len() <= ENCRYPTED_OVERHEAD_BYTES_MAX);
    let parsed = Encrypted::parse(&bytes).unwrap();
    assert_eq!(parsed.generation(), KeyGeneration::new(258));
    assert_eq!(parsed.decrypt(&key(), b"here").unwrap(), b"secret");
}

#[test]
fn encrypted_body_of_the_largest_section_stays_a_body() {
    let body = std::vec![0; ENCRYPTED_SECTION_BYTES_MAX];
    let largest = KeyGeneration::new(u64::MAX);
    let bytes = encrypt(&key(), largest, &IV, b"", &body);
    assert!(bytes.len() <= SECTION_BYTES_MAX);
    assert_eq!(Encrypted::parse(&bytes).unwrap().generation(), largest);
}

//= spec/encryption.md#encrypted type=test
//# The unprotected header MUST be the empty map, else `unprotected-not-empty`.
//= spec/encryption.md#encrypted type=test
//# A key generation in label 4 MUST be 1 to 8 bytes, big-endian, without a leading zero byte, else
//# `shape`.
//= spec/encryption.md#encrypted type=test
//# The protected header MUST encode exactly the map `{1: 24, 4: key generation, 5: iv bstr12}`, else
//# `shape`.
#[test]
fn encrypted_of_another_form_is_refused() {
    let iv = "05 4c 090909090909090909090909";
    let cases = [
        (
            "a3 01 1818 04 4101",
            iv,
            "a1 04 41 01",
            Reject::UnprotectedNotEmpty,
        ),
        ("a3 01 1818 04 40", iv, "a0", Reject::Shape),
        ("a3 01 1818 04 420001", iv, "a0", Reject::Shape),
        (
            "a3 01 1818 04 49010000000000000000",
            iv,
            "a0",
            Reject::Shape,
        ),
        ("a3 01 1818 04 01", iv, "a0", Reject::Shape),
        ("a3 01 03 04 4101", iv, "a0", Reject::Shape),
        ("a2 01 1818 04 4101", "", "a0", Reject::Shape),
        (
            "a3 01 1818 04 4101 06",
            "4c 090909090909090909090909",
            "a0",
            Reject::Shape,
        ),
        (
            "a3 01 1818 04 4101",
            "05 4b 0909090909090909090909",
            "a0",
            Reject::Shape,
        ),
        ("a3 04 4101 01 1818", iv, "a0", Reject::CborUnsortedKey),
        (
            "a3 01 1818 04 4101",
            "05 4c 090909090909090909090909 00",
            "a0",
            Reject::CborTrailing,
        ),
        ("a3 01 1818 04 4101", "05", "a0", Reject::CborTruncated),
    ];
    for (first, rest, unprotected, expected) in cases {
        let protected = hex(&format!("{first}{rest}"));
        let bytes = around(&protected, &hex(unprotected));
        assert_eq!(
            Encrypted::parse(&bytes).err(),
            Some(expected),
            "{first} {rest}"
        );
    }
}

#[test]
fn encrypted_that_is_no_array_of_three_is_refused() {
    for (bytes, expected) in [
        ("80", Reject::Shape),
        ("a0", Reject::Shape),
        ("8440a04000", Reject::Shape),
        ("8360a040", Reject::Shape),
        ("8340a0", Reject::CborTruncated),
        ("d0 8340a040", Reject::CborTag),
    ] {
        let refused = Encrypted::parse(&hex(bytes)).err();
        assert_eq!(refused, Some(expected), "{bytes}");
    }
}

//= spec/encryption.md#encrypted type=test
//# A reader MUST refuse what does not decrypt under the key that it names, for the place
//# where it stands, with `decryption-failed`.
#[test]
fn encrypted_bytes_that_changed_are_refused() {
    let bytes = made(1);
    let start = bytes.len() - b"secret".len() - 16;
    for at in start..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let parsed = Encrypted::parse(&changed).unwrap();
        assert_eq!(
            parsed.decrypt(&key(), b"here"),
            Err(Reject::DecryptionFailed)
        );
    }
    let parsed = Encrypted::parse(&bytes).unwrap();
    assert_eq!(
        parsed.decrypt(&key(), b"elsewhere"),
        Err(Reject::DecryptionFailed)
    );
    let other = CipherKey::from_bytes([5; 32]);
    assert_eq!(
        parsed.decrypt(&other, b"here"),
        Err(Reject::DecryptionFailed)
    );
}

#[test]
fn encrypted_header_that_changed_is_refused() {
    // The generation and the IV are under the tag: another IV, or another generation, is another place.
    let bytes = made(1);
    for at in [8, 11, 22] {
        let mut changed = bytes.clone();
        changed[at] ^= 2;
        let parsed = Encrypted::parse(&changed).unwrap();
        assert_eq!(
            parsed.decrypt(&key(), b"here"),
            Err(Reject::DecryptionFailed),
            "{at}"
        );
    }
}
