//! The published vectors: RFC 9180 A.2.1 (HPKE), RFC 8439 2.8.2 (cipher), RFC 4231 4.2 (HMAC).

use super::*;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};

#[test]
fn hpke_of_rfc_9180_opens() {
    let secret = hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
    let secret = AgreementSecret::from_bytes(secret.try_into().unwrap());
    let public = hex("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a");
    assert_eq!(secret.public().as_bytes().as_slice(), public);
    let key = hex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
    let ciphertext = hex(
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
    );
    let opened = secret.open_with(
        b"Ode on a Grecian Urn",
        &key.try_into().unwrap(),
        &ciphertext,
        b"Count-0",
    );
    assert_eq!(opened.unwrap(), b"Beauty is truth, truth beauty");
}

#[test]
fn cipher_of_rfc_8439_decrypts() {
    let key = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let key: [u8; 32] = key.try_into().unwrap();
    let nonce: [u8; 12] = hex("070000004041424344454647").try_into().unwrap();
    let ciphertext = hex(
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6\
         3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36\
         92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
         3ff4def08e4b7a9de576d26586cec64b6116\
         1ae10b594f09e26a7e902ecbd0600691",
    );
    let payload = Payload {
        msg: &ciphertext,
        aad: &hex("50515253c0c1c2c3c4c5c6c7"),
    };
    let plain = ChaCha20Poly1305::new(&key.into()).decrypt(&Nonce::from(nonce), payload);
    assert!(
        plain
            .unwrap()
            .starts_with(b"Ladies and Gentlemen of the class of '99")
    );
}

#[test]
fn keyed_digest_of_rfc_4231_agrees() {
    // Its first case has a key of 20 bytes; HMAC pads shorter keys with zeros.
    let mut key = [0; 32];
    key[..20].fill(0x0b);
    let digest = DigestKey::from_bytes(key).digest(b"Hi There");
    let expected = hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_eq!(digest.as_bytes().as_slice(), expected);
}
