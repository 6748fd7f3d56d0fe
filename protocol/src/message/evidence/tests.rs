//! Evidence: forms that are refused, envelopes that are not the named ones, what does not fit.

use super::{Evidence, EvidenceCode, Proof};
use crate::cbor::Writer;
use crate::envelope::{Binding, Draft, Expected, Header, ReceivedEnvelope};
use crate::id::{Channel, DeviceName, Digest, Incarnation, MessageId, Plane, Tenant, Thumbprint};
use crate::key::{MemorySigner, Signer as _};
use crate::kind::{MessageKind, Role};
use crate::limits::{ENVELOPE_BYTES_MAX, ENVELOPE_OVERHEAD_BYTES_MAX};
use crate::message::PlaneMessage;
use crate::reject::Reject;
use crate::revision::{Epoch, Seq};
use crate::state::State;
use alloc::vec;
use alloc::vec::Vec;

const ID: MessageId = MessageId::from_bytes([7; 32]);

fn channel() -> Channel {
    Channel {
        root: Thumbprint::from_bytes([3; 32]),
        tenant: Tenant::parse("acme").unwrap(),
        device: DeviceName::parse("press-7").unwrap(),
    }
}

fn binding(channel: &Channel) -> Binding<'_> {
    Binding::Device {
        channel,
        incarnation: Incarnation::from_bytes([4; 16]),
    }
}

fn evidence<'a>(code: EvidenceCode, envelopes: &[Option<&'a [u8]>]) -> Evidence<'a> {
    let proofs = envelopes.iter().map(|envelope| Proof {
        message_id: ID,
        envelope: *envelope,
    });
    Evidence {
        code,
        table: (code == EvidenceCode::WriterBehind).then(|| State::empty().section_table()),
        proofs: proofs.collect(),
    }
}

#[test]
fn evidence_comes_back() {
    for code in [EvidenceCode::WriterBehind, EvidenceCode::Equivocation] {
        for envelopes in [&[None][..], &[Some(&b"one"[..]), None]] {
            let one = evidence(code, envelopes);
            assert_eq!(Evidence::decode(&one.encode()), Ok(one.clone()));
        }
    }
}

//= spec/lives.md#evidence type=test
//# Another code, a table with `equivocation`, or another number of messages than 1 or 2 MUST be
//# refused with `shape`.
#[test]
fn evidence_that_breaks_a_rule_is_refused() {
    let payload = |code: u64, has_table: bool, proofs: usize| {
        let mut writer = Writer::new();
        writer.array(3).uint(code);
        match has_table {
            true => writer.map(0),
            false => writer.null(),
        };
        writer.array(proofs);
        for _ in 0..proofs {
            writer.array(2).bytes(ID.as_bytes()).null();
        }
        writer.into_bytes()
    };
    let cases = [
        (payload(65, false, 1), Reject::Shape),
        (payload(0, false, 1), Reject::Shape),
        (payload(66, true, 1), Reject::Shape),
        (payload(64, true, 0), Reject::Shape),
        (payload(66, false, 3), Reject::Shape),
        (vec![0x82, 0x18, 64, 0xf6], Reject::Shape),
        (vec![0x83, 0x18, 64, 0xf6, 0x81, 0x80], Reject::Shape),
        (vec![0x83, 0x18, 64, 0xf6], Reject::CborTruncated),
    ];
    for (bytes, reject) in cases {
        assert_eq!(Evidence::decode(&bytes), Err(reject), "{bytes:x?}");
    }
    assert!(Evidence::decode(&payload(64, false, 1)).is_ok());
}

//= spec/lives.md#evidence type=test
//# The message id of an envelope in evidence MUST be the one beside it, else `digest-mismatch`.
#[test]
fn evidence_whose_envelope_is_not_the_named_one_is_refused() {
    let (channel, signer) = (channel(), MemorySigner::from_seed(&[1; 32]));
    let header = Header {
        kind: MessageKind::ReportAck,
        epoch: Epoch::new(1),
        seq: Seq::new(1),
        base: Seq::new(0),
        digest: None,
    };
    let payload = vec![0x80];
    let draft = Draft { header, payload };
    let sealed = draft
        .seal(Role::Writer, binding(&channel), &signer)
        .unwrap();
    let expected = Expected {
        role: Role::Writer,
        plane: Some(Plane::Desired),
    };
    let verify = |message_id, envelope| {
        Proof {
            message_id,
            envelope,
        }
        .verify(expected, binding(&channel), [signer.public_key()], |_| {
            false
        })
        .map(|verified| verified.is_some())
    };
    let id = sealed.message_id();
    assert_eq!(verify(id, Some(sealed.as_bytes())), Ok(true));
    assert_eq!(verify(id, None), Ok(false));
    assert_eq!(
        verify(ID, Some(sealed.as_bytes())),
        Err(Reject::DigestMismatch)
    );
    assert_eq!(verify(id, Some(&[0x80])), Err(Reject::Shape));
    let other = MemorySigner::from_seed(&[2; 32]);
    let forged = draft
        .seal(Role::Writer, binding(&channel), &other)
        .unwrap()
        .into_bytes();
    assert_eq!(verify(id, Some(&forged)), Err(Reject::KeyUnknown));
    let cut = &forged[..forged.len() - 1];
    assert_eq!(verify(id, Some(cut)), Err(Reject::CborTruncated));
}

#[test]
fn evidence_that_does_not_fit_drops_the_last_envelope_first() {
    let (small, large) = (vec![1; 1_000], vec![2; ENVELOPE_BYTES_MAX]);
    let cases = [
        ((&small, &small), (true, true)),
        ((&small, &large), (true, false)),
        ((&large, &large), (false, false)),
    ];
    for ((first, second), expected) in cases {
        let mut one = evidence(EvidenceCode::Equivocation, &[Some(first), Some(second)]);
        one.shorten();
        let kept: Vec<_> = one
            .proofs
            .iter()
            .map(|proof| proof.envelope.is_some())
            .collect();
        assert_eq!((kept[0], kept[1]), expected);
    }
}

#[test]
fn largest_evidence_that_is_kept_whole_can_be_sealed() {
    let (channel, signer) = (channel(), MemorySigner::from_seed(&[1; 32]));
    let around = evidence(EvidenceCode::Equivocation, &[Some(&[])])
        .encode()
        .len();
    let room = ENVELOPE_BYTES_MAX - ENVELOPE_OVERHEAD_BYTES_MAX - around - 2;
    let largest = vec![0; room];
    let mut one = evidence(EvidenceCode::Equivocation, &[Some(&largest)]);
    one.shorten();
    assert!(one.proofs[0].envelope.is_some());
    let header = Header {
        kind: MessageKind::Evidence,
        epoch: Epoch::new(u64::MAX),
        seq: Seq::new(u64::MAX),
        base: Seq::new(0),
        digest: Some(Digest::from_bytes([5; 32])),
    };
    let payload = one.encode();
    let sealed = Draft { header, payload }.seal(Role::Device, binding(&channel), &signer);
    assert!(sealed.is_ok());
}

//= spec/lives.md#evidence type=test
//# The root digest over a table MUST equal the digest of the header, else `digest-mismatch`.
#[test]
fn evidence_whose_table_is_not_that_of_its_header_is_refused() {
    let channel = channel();
    let signer = MemorySigner::from_seed(&[1; 32]);
    let root = *State::empty().root();
    for (digest, expected) in [
        (root, None),
        (Digest::from_bytes([0; 32]), Some(Reject::DigestMismatch)),
    ] {
        let header = Header {
            kind: MessageKind::Evidence,
            epoch: Epoch::new(1),
            seq: Seq::new(1),
            base: Seq::new(0),
            digest: Some(digest),
        };
        let payload = evidence(EvidenceCode::WriterBehind, &[None]).encode();
        let draft = Draft { header, payload };
        let sealed = draft
            .seal(Role::Device, binding(&channel), &signer)
            .unwrap();
        let received = ReceivedEnvelope::parse(sealed.as_bytes()).unwrap();
        let by_device = Expected {
            role: Role::Device,
            plane: Some(Plane::Desired),
        };
        let verified = received
            .verify(by_device, binding(&channel), [signer.public_key()], |_| {
                false
            })
            .unwrap();
        assert_eq!(PlaneMessage::decode(&verified).err(), expected);
    }
}
