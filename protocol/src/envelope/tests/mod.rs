//! Envelopes: every step of the order of verification, and coset as a second reader.

mod order;

use super::{Binding, Draft, Expected, Header, ReceivedEnvelope, SealedEnvelope, TAG_SIGN1};
use crate::cbor::Writer;
use crate::id::{Channel, DeviceName, Digest, Incarnation, MessageId, Plane, Tenant, Thumbprint};
use crate::key::{Algorithm, MemorySigner, PublicKey, Signer};
use crate::kind::{MessageKind, Role, Scope};
use crate::reject::Reject;
use crate::revision::{Epoch, Seq};
use alloc::vec;
use alloc::vec::Vec;
use coset::CborSerializable;

const WRITER: Expected = Expected {
    role: Role::Writer,
    plane: Some(Plane::Desired),
};

fn signer() -> MemorySigner {
    MemorySigner::from_seed(&[1; 32])
}

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

fn header(kind: MessageKind) -> Header {
    let (epoch, seq, base) = match kind {
        MessageKind::Delta => (1 << 50, 1 << 20, (1 << 20) - 1),
        MessageKind::Snapshot
        | MessageKind::Report
        | MessageKind::ReportAck
        | MessageKind::Evidence
        | MessageKind::Admission
        | MessageKind::Receipt
        | MessageKind::Lost
        | MessageKind::PlaneKey
        | MessageKind::EnrolAnswer => (7, 1, 0),
        MessageKind::Heartbeat => (7, 1, 3),
        MessageKind::Bundle => (0, 2, 1),
        MessageKind::EnrolRequest | MessageKind::SessionHello | MessageKind::SessionWelcome => {
            (0, 0, 0)
        }
    };
    let has_digest = !matches!(kind, MessageKind::ReportAck | MessageKind::Lost);
    Header {
        kind,
        epoch: Epoch::new(epoch),
        seq: Seq::new(seq),
        base: Seq::new(base),
        digest: has_digest.then_some(Digest::from_bytes([5; 32])),
    }
}

/// Seals as the first role that signs the kind.
fn seal(kind: MessageKind) -> SealedEnvelope {
    let (role, plane) = kind.rows()[0];
    seal_as(kind, role, plane)
}

fn seal_as(kind: MessageKind, role: Role, plane: Option<Plane>) -> SealedEnvelope {
    let draft = Draft {
        header: header(kind),
        payload: vec![0x81, 0xa1, 0x61, 0x6b, 0x01],
    };
    draft
        .seal_about(plane, role, binding(&channel()), &signer())
        .unwrap()
}

fn verify(bytes: &[u8], expected: Expected) -> Result<MessageId, Reject> {
    let channel = channel();
    let keys = [signer().public_key().clone()];
    ReceivedEnvelope::parse(bytes)?
        .verify(expected, binding(&channel), &keys, |_| false)
        .map(|verified| verified.message_id())
}

//= spec/postern.md#kinds type=test
//# A caller MUST name the role and the plane that it expects before it verifies an envelope.
#[test]
fn envelope_of_every_kind_verifies_for_its_role_and_plane_only() {
    let roles = [
        Role::Writer,
        Role::Device,
        Role::Enrolling,
        Role::Root,
        Role::Mailbox,
    ];
    for kind in MessageKind::ALL {
        for (signer, about) in kind.rows() {
            let sealed = seal_as(kind, *signer, *about);
            for role in roles {
                for plane in [None, Some(Plane::Desired), Some(Plane::Actual)] {
                    let expected = if !kind.rows().iter().any(|(row, _)| *row == role) {
                        Err(Reject::SignerRole)
                    } else if !kind.rows().contains(&(role, plane)) {
                        Err(Reject::PlaneMismatch)
                    } else if (role, plane) != (*signer, *about) {
                        Err(Reject::SignatureInvalid)
                    } else {
                        Ok(sealed.message_id())
                    };
                    let verified = verify(sealed.as_bytes(), Expected { role, plane });
                    assert_eq!(verified, expected, "{kind:?} {role:?} {plane:?}");
                }
            }
        }
    }
}

//= spec/postern.md#aad type=test
//# A verifier MUST take tenant, device, incarnation and plane from what it expects and never from
//# the message alone.
#[test]
fn envelope_verified_for_another_place_is_invalid() {
    let sealed = seal(MessageKind::Delta);
    let received = ReceivedEnvelope::parse(sealed.as_bytes()).unwrap();
    let keys = [signer().public_key().clone()];
    let right = channel();
    let others = [
        (
            Channel {
                root: Thumbprint::from_bytes([9; 32]),
                ..right.clone()
            },
            4,
        ),
        (
            Channel {
                tenant: Tenant::parse("other").unwrap(),
                ..right.clone()
            },
            4,
        ),
        (
            Channel {
                device: DeviceName::parse("press-8").unwrap(),
                ..right.clone()
            },
            4,
        ),
        (right.clone(), 5),
    ];
    for (channel, incarnation) in &others {
        let incarnation = Incarnation::from_bytes([*incarnation; 16]);
        let binding = Binding::Device {
            channel,
            incarnation,
        };
        let verified = received.verify(WRITER, binding, &keys, |_| false);
        assert_eq!(verified.err(), Some(Reject::SignatureInvalid));
    }
    for binding in [
        Binding::Trust { root: right.root },
        Binding::Tenant {
            root: right.root,
            tenant: &right.tenant,
        },
    ] {
        let verified = received.verify(WRITER, binding, &keys, |_| false);
        assert_eq!(verified.err(), Some(Reject::SignatureInvalid));
    }
}

#[test]
fn envelope_without_a_usable_key_is_refused() {
    let sealed = seal(MessageKind::Delta);
    let received = ReceivedEnvelope::parse(sealed.as_bytes()).unwrap();
    let channel = channel();
    let other = MemorySigner::from_seed(&[2; 32]).public_key().clone();
    let own = signer().public_key().clone();
    let run = |keys: &[PublicKey], is_revoked: bool| {
        let verified = received.verify(WRITER, binding(&channel), keys, |_| is_revoked);
        verified.map(|verified| verified.signer()).err()
    };
    assert_eq!(run(&[], false), Some(Reject::KeyUnknown));
    assert_eq!(
        run(core::slice::from_ref(&other), false),
        Some(Reject::KeyUnknown)
    );
    assert_eq!(
        run(core::slice::from_ref(&own), true),
        Some(Reject::KeyRevoked)
    );
    assert_eq!(run(&[other, own], false), None);
}

#[test]
fn envelope_under_the_other_algorithm_is_refused() {
    let other = MemorySigner::esp256_from_secret(&[1; 32]).unwrap();
    let channel = channel();
    let draft = Draft {
        header: header(MessageKind::Delta),
        payload: vec![0x80],
    };
    let sealed = draft.seal(Role::Writer, binding(&channel), &other).unwrap();
    let received = ReceivedEnvelope::parse(sealed.as_bytes()).unwrap();
    assert_eq!(received.unverified_algorithm(), Algorithm::Esp256);
    let run = |bytes: &[u8], key: &PublicKey, is_revoked| {
        ReceivedEnvelope::parse(bytes)?
            .verify(WRITER, binding(&channel), [key], |_| is_revoked)
            .map(|verified| verified.message_id())
    };
    let key = other.public_key();
    assert_eq!(run(sealed.as_bytes(), key, false), Ok(sealed.message_id()));
    assert_eq!(run(sealed.as_bytes(), key, true), Err(Reject::KeyRevoked));
    // The header is changed, so that the key id still selects the key.
    let mut changed = sealed.into_bytes();
    let at = changed
        .windows(2)
        .position(|pair| pair == [1, 0x28])
        .unwrap();
    changed[at + 1] = 0x32;
    for is_revoked in [false, true] {
        let refused = run(&changed, key, is_revoked);
        assert_eq!(refused, Err(Reject::AlgorithmMismatch));
    }
}

#[test]
fn envelope_with_one_bit_changed_is_refused() {
    let sealed = seal(MessageKind::Delta);
    for at in 0..sealed.as_bytes().len() {
        for bit in 0..8 {
            let mut changed = sealed.as_bytes().to_vec();
            changed[at] ^= 1 << bit;
            assert!(verify(&changed, WRITER).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn envelope_cut_anywhere_is_truncated_and_longer_is_trailing() {
    let sealed = seal(MessageKind::Delta);
    for length in 0..sealed.as_bytes().len() {
        let cut = &sealed.as_bytes()[..length];
        assert_eq!(verify(cut, WRITER), Err(Reject::CborTruncated), "{length}");
    }
    let mut longer = sealed.into_bytes();
    longer.push(0);
    assert_eq!(verify(&longer, WRITER), Err(Reject::CborTrailing));
}

/// Builds an outer array around a protected header that the writer closure makes.
fn outer(protected: &[u8], signature: usize) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(4).bytes(protected).map(0).bytes(&[0x80]);
    writer.bytes(&vec![0; signature]);
    writer.into_bytes()
}

/// Builds a protected header: algorithm, an extra label, key id, kind, digest, a last label.
struct Protected {
    algorithm: i64,
    extra_label: Option<u64>,
    key_id: usize,
    kind: Option<u64>,
    digest: usize,
    has_text_label: bool,
}

const HONEST: Protected = Protected {
    algorithm: -19,
    extra_label: None,
    key_id: 8,
    kind: Some(0),
    digest: 32,
    has_text_label: false,
};

impl Protected {
    fn encode(&self) -> Vec<u8> {
        let labels = [
            self.extra_label.is_some(),
            self.kind.is_some(),
            self.has_text_label,
        ];
        let mut writer = Writer::new();
        writer.map(2 + labels.iter().filter(|is_there| **is_there).count());
        writer.uint(1).int(self.algorithm);
        if let Some(label) = self.extra_label {
            writer.uint(label).array(0);
        }
        writer.uint(4).bytes(&vec![0; self.key_id]);
        if let Some(kind) = self.kind {
            writer.int(-65_537).array(5).uint(kind);
            writer.uint(1).uint(2).uint(1).bytes(&vec![0; self.digest]);
        }
        if self.has_text_label {
            writer.text("x").uint(0);
        }
        writer.into_bytes()
    }
}

//= spec/postern.md#envelope type=test
//# The protected header MUST encode exactly the map `{1: -19 or -9, 4: bstr8, -65537: [kind,
//# epoch, seq, base, digest]}`.
#[test]
fn protected_header_that_breaks_a_rule_is_refused_by_name() {
    type Change = fn(&mut Protected);
    let cases: [(Change, Reject); 9] = [
        (|header| header.kind = None, Reject::Shape),
        (|header| header.algorithm = -8, Reject::AlgorithmUnknown),
        (|header| header.key_id = 7, Reject::Shape),
        (|header| header.kind = Some(15), Reject::KindUnknown),
        (|header| header.digest = 31, Reject::DigestLength),
        (|header| header.digest = 0, Reject::DigestLength),
        (|header| header.extra_label = Some(2), Reject::CritUnknown),
        (
            |header| header.extra_label = Some(3),
            Reject::HeaderLabelUnknown,
        ),
        (
            |header| header.has_text_label = true,
            Reject::HeaderLabelUnknown,
        ),
    ];
    for (index, (change, reject)) in cases.into_iter().enumerate() {
        let mut protected = HONEST;
        change(&mut protected);
        let bytes = outer(&protected.encode(), 64);
        let parsed = ReceivedEnvelope::parse(&bytes);
        assert_eq!(parsed.err(), Some(reject), "case {index}");
    }
    assert!(ReceivedEnvelope::parse(&outer(&HONEST.encode(), 64)).is_ok());
    assert_eq!(
        ReceivedEnvelope::parse(&outer(&[0xa0], 64)).err(),
        Some(Reject::Shape)
    );
}

#[test]
fn outer_array_that_breaks_a_rule_is_refused_by_name() {
    let sealed = seal(MessageKind::Delta);
    let mut tagged = vec![TAG_SIGN1];
    tagged.extend_from_slice(sealed.as_bytes());
    //= spec/postern.md#envelope type=test
    //# An envelope MUST be untagged inside a session frame or a plain frame of types 16 to 22.
    assert_eq!(verify(&tagged, WRITER), Err(Reject::CborTag));
    //= spec/postern.md#envelope type=test
    //# An envelope MUST carry tag 18 in a posted frame and a vector, else `shape`; the tag is
    //# stripped before the strict decoder runs.
    assert!(ReceivedEnvelope::parse_tagged(&tagged).is_ok());
    let parsed = ReceivedEnvelope::parse_tagged(sealed.as_bytes());
    assert_eq!(parsed.err(), Some(Reject::Shape));
    let twice = [&[TAG_SIGN1], &tagged[..]].concat();
    assert_eq!(
        ReceivedEnvelope::parse_tagged(&twice).err(),
        Some(Reject::CborTag)
    );
    let protected = &sealed.as_bytes()[3..3 + usize::from(sealed.as_bytes()[2])];
    for length in [0, 63, 65] {
        let bytes = outer(protected, length);
        assert_eq!(
            verify(&bytes, WRITER),
            Err(Reject::SignatureLength),
            "{length}"
        );
    }
    let mut unprotected = Writer::new();
    unprotected
        .array(4)
        .bytes(protected)
        .map(1)
        .uint(4)
        .bytes(&[0]);
    unprotected.bytes(&[]).bytes(&[0; 64]);
    let bytes = unprotected.into_bytes();
    //= spec/postern.md#envelope type=test
    //# The unprotected header MUST be the empty map, else `unprotected-not-empty`.
    assert_eq!(verify(&bytes, WRITER), Err(Reject::UnprotectedNotEmpty));
    let mut detached = Writer::new();
    detached
        .array(4)
        .bytes(protected)
        .map(0)
        .null()
        .bytes(&[0; 64]);
    assert_eq!(verify(detached.as_bytes(), WRITER), Err(Reject::Shape));
}

//= spec/postern.md#envelope type=test
//# An envelope MUST NOT be larger than 48128 bytes without its tag, else `oversize`.
//= spec/postern.md#limits type=test
//# An implementation MUST accept everything up to a bound and refuse what is beyond it.
#[test]
fn envelope_above_48128_bytes_is_neither_sealed_nor_read() {
    let channel = channel();
    let seal = |size: usize| {
        let payload = vec![0; size];
        let draft = Draft {
            header: header(MessageKind::Delta),
            payload,
        };
        draft.seal(Role::Writer, binding(&channel), &signer())
    };
    let overhead = seal(40_000).unwrap().as_bytes().len() - 40_000;
    let largest = seal(48_128 - overhead).unwrap();
    assert_eq!(largest.as_bytes().len(), 48_128);
    assert!(verify(largest.as_bytes(), WRITER).is_ok());
    assert_eq!(seal(48_129 - overhead), Err(Reject::Oversize));
    assert_eq!(verify(&[0; 48_129], WRITER), Err(Reject::Oversize));
}

#[test]
fn draft_with_a_binding_that_names_too_little_is_not_sealed() {
    let channel = channel();
    let bindings = [
        (Binding::Trust { root: channel.root }, Scope::Trust),
        (
            Binding::Tenant {
                root: channel.root,
                tenant: &channel.tenant,
            },
            Scope::Tenant,
        ),
    ];
    for (binding, scope) in bindings {
        for kind in MessageKind::ALL {
            let draft = Draft {
                header: header(kind),
                payload: vec![0x80],
            };
            let role = kind.rows()[0].0;
            let is_sealed = draft.seal(role, binding, &signer()).is_ok();
            let wanted = kind.scope_for(role, scope);
            assert_eq!(is_sealed, wanted <= scope, "{kind:?} {scope:?}");
        }
    }
}

//= spec/postern.md#envelope type=test
//# A verifier MUST build Sig_structure from the received bytes and never from re-encoded values.
//= spec/postern.md#message-id type=test
//# An implementation MUST NOT identify a message by a hash over its signature or its wire bytes.
#[test]
fn envelope_of_every_kind_is_a_sign1_for_coset_with_the_same_signed_bytes() {
    let channel = channel();
    for kind in MessageKind::ALL {
        let sealed = seal(kind);
        let sign1 = coset::CoseSign1::from_slice(sealed.as_bytes()).unwrap();
        let (role, plane) = kind.rows()[0];
        let aad = binding(&channel).aad(kind, role, plane).unwrap();
        let to_be_signed = sign1.tbs_data(&aad);
        assert_eq!(
            Digest::of(&to_be_signed).as_bytes(),
            sealed.message_id().as_bytes()
        );
        let checked = signer()
            .public_key()
            .verify(&to_be_signed, &sign1.signature);
        assert_eq!(checked, Ok(()), "{kind:?}");
        let key_id = signer().public_key().key_id();
        assert_eq!(sign1.protected.header.key_id, key_id.as_bytes());
        assert!(sign1.unprotected.is_empty());
        let parsed = ReceivedEnvelope::parse(sealed.as_bytes()).unwrap();
        assert_eq!(parsed.unverified_header(), &header(kind));
        assert_eq!(parsed.unverified_payload(), sign1.payload.unwrap());
    }
}

//= spec/postern.md#keys type=test
//# A verifier MUST NOT try more than 4 keys for one key id.
#[test]
fn fifth_key_with_the_same_id_is_not_tried() {
    let mut forged = seal(MessageKind::Delta).into_bytes();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let channel = channel();
    let keys = vec![signer().public_key().clone(); 9];
    let tried = core::cell::Cell::new(0);
    let count = |_: &Thumbprint| {
        tried.set(tried.get() + 1);
        false
    };
    let received = ReceivedEnvelope::parse(&forged).unwrap();
    let verified = received.verify(WRITER, binding(&channel), &keys, count);
    assert_eq!(verified.err(), Some(Reject::SignatureInvalid));
    assert_eq!(tried.get(), 4);
}
