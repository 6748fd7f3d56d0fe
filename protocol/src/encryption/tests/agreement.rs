//! Agreement keys: what is drawn for each plane key, and what is stored of the secret.

use super::super::agreement::AgreementSecret;
use super::{life, plane_key};
use crate::context::Random;
use crate::reject::Reject;
use crate::testing::Dice;
use alloc::format;
use alloc::vec::Vec;

/// Counts what is drawn, and gives one byte again and again.
struct Counted {
    byte: u8,
    drawn_bytes: usize,
}

impl Random for Counted {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(self.byte);
        self.drawn_bytes += bytes.len();
    }
}

#[test]
fn plane_key_is_encrypted_under_what_the_caller_drew() {
    let secret = AgreementSecret::from_bytes([9; 32]);
    let sealed = |byte: u8| {
        let mut random = Counted {
            byte,
            drawn_bytes: 0,
        };
        let payload = plane_key(1).encrypt(&life(), &secret.public(), &mut random);
        assert_eq!(random.drawn_bytes, 32, "one seed of the KEM");
        payload.unwrap()
    };
    assert_eq!(sealed(1), sealed(1), "the same draw, the same bytes");
    assert_ne!(sealed(1), sealed(2));
    assert_ne!(sealed(0), sealed(1));
}

#[test]
fn two_plane_keys_of_one_content_are_never_the_same_bytes() {
    let secret = AgreementSecret::from_bytes([9; 32]);
    let mut dice = Dice::new(3);
    let sealed: Vec<_> = (0..3)
        .map(|_| plane_key(1).encrypt(&life(), &secret.public(), &mut dice))
        .collect();
    assert_ne!(sealed[0], sealed[1]);
    assert_ne!(sealed[1], sealed[2]);
}

#[test]
fn secret_comes_back_from_its_bytes_and_is_never_shown() {
    let secret = AgreementSecret::from_bytes([0xab; 32]);
    assert_eq!(secret.danger_bytes(), &[0xab; 32]);
    let stored = AgreementSecret::from_bytes(*secret.danger_bytes());
    assert_eq!(stored.public(), secret.public());
    assert_eq!(format!("{secret:?}"), "AgreementSecret(..)");
    let other = AgreementSecret::from_bytes([0xac; 32]);
    assert_ne!(other.public(), secret.public());
    let opened = other.open(secret.public().as_bytes(), &[1; 48], b"");
    assert_eq!(opened, Err(Reject::DecryptionFailed));
}
