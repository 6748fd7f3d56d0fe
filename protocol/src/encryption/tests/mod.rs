//! What is encrypted comes back only where it belongs, and nothing of a key is ever shown.

extern crate std;

use super::agreement::AgreementSecret;
use super::*;
use crate::cbor::Writer;
use crate::envelope::Header;
use crate::id::{Channel, DeviceName, Digest, Incarnation, Plane, Tenant, Thumbprint};
use crate::kind::MessageKind;
use crate::limits::{ENCRYPTED_OVERHEAD_BYTES_MAX, ENCRYPTED_SECTION_BYTES_MAX, SECTION_BYTES_MAX};
use crate::reject::Reject;
use crate::revision::{Epoch, KeyGeneration, Seq};
use crate::testing::Dice;
use alloc::format;
use alloc::vec::Vec;

mod agreement;
mod form;
mod rfc;
mod vault;

fn life() -> Life {
    Life {
        channel: Channel {
            root: Thumbprint::from_bytes([1; 32]),
            tenant: Tenant::parse("acme").unwrap(),
            device: DeviceName::parse("pump-7").unwrap(),
        },
        incarnation: Incarnation::from_bytes([2; 16]),
    }
}

fn plane_key(generation: u64) -> PlaneKey {
    PlaneKey {
        generation: KeyGeneration::new(generation),
        digest: DigestKey::from_bytes([7; 32]),
        desired: CipherKey::from_bytes([generation as u8; 32]),
        actual: CipherKey::from_bytes([generation as u8 + 100; 32]),
    }
}

fn header() -> Header {
    Header {
        kind: MessageKind::Delta,
        epoch: Epoch::new(5),
        seq: Seq::new(9),
        base: Seq::new(8),
        digest: Some(Digest::from_bytes([3; 32])),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
