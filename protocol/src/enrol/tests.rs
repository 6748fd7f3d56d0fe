use super::*;
use crate::key::MemorySigner;
use crate::revision::Generation;
use crate::trust::{BundleContent, Writership};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;

const SECRET: [u8; 32] = [42; 32];

fn signer(number: u8) -> MemorySigner {
    MemorySigner::from_seed(&[number; 32])
}

fn channel() -> Channel {
    Channel {
        root: signer(1).public_key().thumbprint(),
        tenant: Tenant::parse("acme").unwrap(),
        device: DeviceName::parse("press-7").unwrap(),
    }
}

fn request() -> EnrolRequest {
    EnrolRequest {
        token: TokenId::from_bytes([8; 8]),
        device: channel().device,
        incarnation: Incarnation::from_bytes([5; 16]),
        nonce: [6; 16],
        agreement: None,
    }
}

fn sealed() -> SealedEnrolRequest {
    let channel = channel();
    let secret = JoinSecret::from_bytes(SECRET);
    request()
        .seal(channel.root, &channel.tenant, &secret, &signer(5))
        .unwrap()
}

fn verify(frame: &[u8], secret: [u8; 32], tenant: &str) -> Result<VerifiedEnrolRequest, Reject> {
    let secret = JoinSecret::from_bytes(secret);
    let tenant = Tenant::parse(tenant)?;
    ReceivedEnrolRequest::open(frame)?.verify(&secret, channel().root, &tenant)
}

#[test]
fn request_is_verified_with_its_secret() {
    let sealed = sealed();
    let verified = verify(&sealed.frame, SECRET, "acme").unwrap();
    assert_eq!(verified.request, request());
    assert_eq!(&verified.key, signer(5).public_key());
    assert_eq!(verified.message_id, sealed.message_id);
}

//= spec/postern.md#enrolment type=test
//# The `mac` of frame 16 MUST be HMAC-SHA256(secret, "postern/1 enrol" ‖ message id of the
//# request), else `enrol-mac`.
#[test]
fn request_without_the_secret_is_refused() {
    let frame = sealed().frame;
    let cases = [([0; 32], "acme"), ([43; 32], "acme"), (SECRET, "other")];
    for (secret, tenant) in cases {
        assert_eq!(verify(&frame, secret, tenant), Err(Reject::EnrolMac));
    }
}

//= spec/postern.md#enrolment type=test
//# The `mac` of frame 16 MUST be HMAC-SHA256(secret, "postern/1 enrol" ‖ message id of the
//# request), else `enrol-mac`.
//= spec/postern.md#verification-order type=test
//# The bytes of a bundle with number 1 and of an enrol-request name their own key; a verifier MUST
//# compare that key with the pinned thumbprint or the token's proof before it trusts the payload.
#[test]
fn request_with_the_mac_of_another_is_refused() {
    let channel = channel();
    let secret = JoinSecret::from_bytes([0; 32]);
    let stolen = request()
        .seal(channel.root, &channel.tenant, &secret, &signer(66))
        .unwrap();
    let mut frame = stolen.frame;
    // Type, token and mac are the first 44 bytes: an inspector keeps them and puts its own key behind.
    frame[..44].copy_from_slice(&sealed().frame[..44]);
    assert_eq!(verify(&frame, SECRET, "acme"), Err(Reject::EnrolMac));
}

//= spec/postern.md#enrolment type=test
//# The controller MUST refuse a token id that no invitation has, or whose frame, payload, tenant
//# and device name do not agree with the invitation, with `token-unknown`.
#[test]
fn request_with_another_token_in_the_frame_is_refused() {
    let mut frame = sealed().frame;
    frame[2] ^= 1;
    assert_eq!(verify(&frame, SECRET, "acme"), Err(Reject::TokenUnknown));
}

#[test]
fn request_with_any_flipped_bit_is_refused() {
    let good = sealed().frame;
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[place] ^= 1 << bit;
            assert!(
                verify(&bad, SECRET, "acme").is_err(),
                "byte {place} bit {bit}"
            );
        }
    }
}

fn trust() -> Trust {
    let content = BundleContent {
        root: signer(1).public_key().clone(),
        recovery: signer(2).public_key().clone(),
        writers: BTreeMap::from([(
            channel().tenant,
            Writership {
                generation: Generation::new(1),
                key: signer(3).public_key().clone(),
            },
        )]),
        mailboxes: vec![],
        revoked: BTreeSet::new(),
    };
    let recovery = signer(2).public_key().thumbprint();
    let sealed = content.seal(None, channel().root, &signer(1)).unwrap();
    let pinned = Trust::new(channel().root, recovery);
    pinned.offer(sealed.as_bytes()).unwrap()
}

fn answer() -> EnrolAnswer {
    EnrolAnswer {
        revision: Revision::new(Epoch::new(7), Seq::new(1)),
        request: sealed().message_id,
        bundle: BundleNumber::new(1),
        device_key: signer(5).public_key().thumbprint(),
        time: SignedTime::new(1_795_000_000),
    }
}

fn accept(answer: &EnrolAnswer, by: u8, incarnation: u8) -> Result<EnrolAnswer, Reject> {
    let channel = channel();
    let incarnation = Incarnation::from_bytes([incarnation; 16]);
    let envelope = answer.seal(&channel, incarnation, &signer(by))?;
    let trust = trust();
    let bundles = vec![trust.held().unwrap().as_bytes()];
    let frame = PlainFrame::Enrolled {
        bundles,
        answer: envelope.as_bytes(),
    };
    let enrolling = Enrolling {
        channel: &channel,
        incarnation: request().incarnation,
        device_key: signer(5).public_key().thumbprint(),
        request: sealed().message_id,
    };
    let recovery = signer(2).public_key().thumbprint();
    accept_enrolled(&frame.encode()?, recovery, &enrolling).map(|(_, answer)| answer)
}

#[test]
fn answer_of_the_writer_is_accepted() {
    assert_eq!(accept(&answer(), 3, 5), Ok(answer()));
    let without_time = EnrolAnswer {
        time: None,
        ..answer()
    };
    assert_eq!(accept(&without_time, 3, 5), Ok(without_time));
}

//= spec/postern.md#enrolment type=test
//# The device MUST refuse with `enrol-answer-mismatch` an answer whose digest is not the message id
//# of its request, whose thumbprint is not its own key's, or whose number is not the last bundle's.
#[test]
fn answer_for_another_request_key_or_bundle_is_refused() {
    let base = answer();
    let cases = [
        EnrolAnswer {
            request: MessageId::from_bytes([0; 32]),
            ..base
        },
        EnrolAnswer {
            device_key: signer(66).public_key().thumbprint(),
            ..base
        },
        EnrolAnswer {
            bundle: BundleNumber::new(2),
            ..base
        },
    ];
    for case in cases {
        assert_eq!(accept(&case, 3, 5), Err(Reject::EnrolAnswerMismatch));
    }
}

//= spec/lives.md#rotation type=test
//# A mailbox MUST NOT keep an enrol-answer for the only key that the admission names.
#[test]
fn answer_is_settled_where_its_key_is_the_only_one_that_is_admitted() {
    let sealed = answer().seal(&channel(), request().incarnation, &signer(3));
    let sealed = sealed.unwrap();
    let received = ReceivedEnvelope::parse(sealed.as_bytes()).unwrap();
    let [own, other] = [5, 66].map(|seed| signer(seed).public_key().clone());
    let both = [own.clone(), other.clone()];
    let settled = [&both[..1], &both[1..], &both[..], &[]];
    let settled = settled.map(|admitted| is_settled(&received, admitted));
    assert_eq!(settled, [true, false, false, false]);
}

//= spec/postern.md#enrolment type=test
//# The device MUST accept the bundles by #bundle, starting from the pinned thumbprints, before it
//# verifies the answer with the tenant's writer key of the last one.
#[test]
fn answer_signed_by_another_or_for_another_life_is_refused() {
    assert_eq!(accept(&answer(), 1, 5), Err(Reject::KeyUnknown));
    assert_eq!(accept(&answer(), 5, 5), Err(Reject::KeyUnknown));
    assert_eq!(accept(&answer(), 3, 6), Err(Reject::SignatureInvalid));
    let zero = EnrolAnswer {
        revision: Revision::NONE,
        ..answer()
    };
    assert_eq!(accept(&zero, 3, 5), Err(Reject::EpochZero));
}

//= spec/lives.md#join-line type=test
//# The secret MUST NOT travel in any frame.
#[test]
fn request_frame_does_not_hold_the_secret() {
    let frame = sealed().frame;
    assert!(frame.windows(4).all(|part| part != &SECRET[..4]));
}

//= spec/postern.md#enrolment type=test
//# The controller MUST check the mac before the signature.
#[test]
fn request_with_wrong_mac_and_signature_is_refused_for_the_mac() {
    let mut frame = sealed().frame;
    let last = frame.len() - 1;
    frame[last] ^= 1;
    assert_eq!(
        verify(&frame, SECRET, "acme"),
        Err(Reject::SignatureInvalid)
    );
    assert_eq!(verify(&frame, [43; 32], "acme"), Err(Reject::EnrolMac));
}

/// An enrol frame with a right mac and signature around any name and key.
fn request_with(name: &str, key: [u8; 32]) -> Vec<u8> {
    let channel = channel();
    let mut writer = Writer::new();
    writer.array(5).bytes(&[8; 8]).text(name);
    writer
        .map(3)
        .uint(1)
        .uint(1)
        .int(-1)
        .uint(6)
        .int(-2)
        .bytes(&key);
    writer.bytes(&[5; 16]).bytes(&[6; 16]);
    let payload = writer.into_bytes();
    let header = Header {
        kind: MessageKind::EnrolRequest,
        epoch: Epoch::new(0),
        seq: Seq::new(0),
        base: Seq::new(0),
        digest: Some(Digest::of(&payload)),
    };
    let binding = Binding::Tenant {
        root: channel.root,
        tenant: &channel.tenant,
    };
    let sealed = Draft { header, payload }
        .seal(Role::Enrolling, binding, &signer(5))
        .unwrap();
    let mac = JoinSecret::from_bytes(SECRET).mac_over(sealed.message_id());
    PlainFrame::Enrol {
        token: TokenId::from_bytes([8; 8]),
        mac: mac.finalize().into_bytes().into(),
        request: sealed.as_bytes(),
    }
    .encode()
    .unwrap()
}

//= spec/postern.md#enrolment type=test
//# The controller MUST refuse a device name outside #names with `name-invalid`.
#[test]
fn request_for_a_name_outside_the_grammar_is_refused() {
    let key = <[u8; 32]>::try_from(signer(5).public_key().as_bytes()).unwrap();
    assert!(verify(&request_with("press-7", key), SECRET, "acme").is_ok());
    let long = "a".repeat(64);
    for name in ["", "Press", "a/b", "-a", &long] {
        let refused = verify(&request_with(name, key), SECRET, "acme");
        assert_eq!(refused, Err(Reject::NameInvalid), "{name}");
    }
}

//= spec/postern.md#enrolment type=test
//# The controller MUST refuse a key that fails the check of #keys with `key-refused`.
#[test]
fn request_for_a_key_that_fails_the_check_is_refused() {
    let mut not_canonical = [0xff; 32];
    not_canonical[31] = 0x7f;
    for key in [[0; 32], [1; 32], not_canonical] {
        let refused = verify(&request_with("press-7", key), SECRET, "acme");
        assert_eq!(refused, Err(Reject::KeyRefused), "{key:?}");
    }
}
