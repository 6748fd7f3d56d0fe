//! Admissions: what is sealed comes back, the highest stands, and age takes only room away.

use super::*;
use crate::cbor::Writer;
use crate::revision::Epoch;
use crate::testing::{TestKeys, signer};
use alloc::vec;

fn admission(keys: &[&str]) -> Admission {
    Admission {
        device: DeviceName::parse("press-7").unwrap(),
        status: AdmissionStatus::Admitted,
        incarnation: TestKeys::incarnation(),
        keys: keys
            .iter()
            .map(|name| signer(name).public_key().clone())
            .collect(),
        quota_bytes: 1 << 20,
        bundle: BundleNumber::new(1),
    }
}

fn place(epoch: u64, number: u64) -> Revision {
    Revision::new(Epoch::new(epoch), Seq::new(number))
}

fn seal(keys: &TestKeys, admission: &Admission) -> Result<Vec<u8>, Reject> {
    let sealed = admission.seal(place(3, 7), keys.domain(), &keys.tenant, &keys.writer)?;
    Ok(sealed.into_bytes())
}

fn verify(keys: &TestKeys, bytes: &[u8]) -> Result<(AdmissionHead, Admission), Reject> {
    let received = ReceivedEnvelope::parse(bytes)?;
    Admission::verify(&received, &keys.trust(), &keys.tenant)
}

#[test]
fn admission_survives_sealing_and_names_its_channel() {
    let keys = TestKeys::new();
    for names in [&["device"][..], &["device", "next"]] {
        let admission = admission(names);
        let (head, read) = verify(&keys, &seal(&keys, &admission).unwrap()).unwrap();
        assert_eq!(read, admission);
        assert_eq!(
            (head.generation, head.revision),
            (Generation::new(1), place(3, 7))
        );
        let channel = read.channel(keys.domain(), &keys.tenant);
        assert_eq!(channel, keys.channel("press-7"));
    }
}

//= spec/relays.md#admission type=test
//# An admission MUST name 1 or 2 keys, no two alike, else `shape`.
//= spec/relays.md#admission type=test
//# The bundle number of an admission MUST be at least 1, else `shape`.
#[test]
fn admission_that_no_mailbox_would_take_is_not_sealed() {
    let keys = TestKeys::new();
    let without_bundle = Admission {
        bundle: BundleNumber::new(0),
        ..admission(&["device"])
    };
    let cases = [
        admission(&[]),
        admission(&["device", "device"]),
        admission(&["device", "next", "third"]),
        without_bundle,
    ];
    for admission in cases {
        assert_eq!(seal(&keys, &admission), Err(Reject::Shape), "{admission:?}");
    }
    let good = admission(&["device"]);
    for (place, reject) in [
        (place(0, 1), Reject::EpochZero),
        (place(1, 0), Reject::SeqZero),
    ] {
        let sealed = good.seal(place, keys.domain(), &keys.tenant, &keys.writer);
        assert_eq!(sealed.map(|_| ()), Err(reject));
    }
}

#[test]
fn admission_of_another_signer_or_place_is_refused() {
    let mut keys = TestKeys::new();
    let bytes = seal(&keys, &admission(&["device"])).unwrap();
    let other = Tenant::parse("other").unwrap();
    let received = ReceivedEnvelope::parse(&bytes).unwrap();
    let elsewhere = Admission::verify(&received, &keys.trust(), &other);
    assert_eq!(elsewhere.map(|_| ()), Err(Reject::KeyUnknown));
    let foreign = admission(&["device"]).seal(place(3, 7), keys.domain(), &other, &keys.writer);
    let refused = verify(&keys, foreign.unwrap().as_bytes()).map(|_| ());
    assert_eq!(refused, Err(Reject::SignatureInvalid));
    let forged = admission(&["device"]);
    let forged = forged.seal(place(3, 7), keys.domain(), &keys.tenant, &keys.mailbox);
    let refused = verify(&keys, forged.unwrap().as_bytes()).map(|_| ());
    assert_eq!(refused, Err(Reject::KeyUnknown));
    keys.rotate_writer("writer 2", 2);
    assert_eq!(verify(&keys, &bytes).map(|_| ()), Err(Reject::KeyUnknown));
}

//= spec/relays.md#admission type=test
//# The digest of an admission MUST be `h(payload)`, else `digest-mismatch`.
#[test]
fn admission_whose_digest_is_another_is_refused() {
    let keys = TestKeys::new();
    let header = Header {
        kind: MessageKind::Admission,
        epoch: Epoch::new(1),
        seq: Seq::new(1),
        base: Seq::new(0),
        digest: Some(Digest::of(b"another payload")),
    };
    let payload = admission(&["device"]).encode();
    let binding = Binding::Tenant {
        root: keys.domain(),
        tenant: &keys.tenant,
    };
    let draft = Draft { header, payload };
    let sealed = draft.seal(Role::Writer, binding, &keys.writer).unwrap();
    let refused = verify(&keys, sealed.as_bytes()).map(|_| ());
    assert_eq!(refused, Err(Reject::DigestMismatch));
}

#[test]
fn payload_outside_its_form_is_refused() {
    let good = admission(&["device"]);
    let write = |status: u64, members: usize| {
        let mut writer = Writer::new();
        writer.array(members).text("press-7").uint(status);
        writer.bytes(&[1; 16]).array(1);
        good.keys[0].encode(&mut writer);
        writer.uint(5).uint(1);
        writer.into_bytes()
    };
    assert!(decode_all(&write(1, 6), read_admission).is_ok());
    let cases: [(Vec<u8>, Reject); 4] = [
        (write(2, 6), Reject::Shape),
        (write(0, 5), Reject::CborTrailing),
        (write(0, 7), Reject::CborTruncated),
        (vec![], Reject::CborTruncated),
    ];
    for (payload, reject) in cases {
        assert_eq!(decode_all(&payload, read_admission), Err(reject));
    }
}

fn head(generation: u64, epoch: u64, number: u64, content: &[u8]) -> AdmissionHead {
    AdmissionHead {
        generation: Generation::new(generation),
        revision: place(epoch, number),
        digest: Digest::of(content),
    }
}

//= spec/relays.md#admission type=test
//# A mailbox MUST refuse an admission that compares lower than the one held with `admission-stale`.
//= spec/relays.md#admission type=test
//# A mailbox MUST refuse an admission that compares equal and has another digest with
//# `equivocation`.
#[test]
fn admission_beside_the_one_held_is_judged_by_its_numbers() {
    let held = head(2, 5, 7, b"held");
    let cases = [
        (head(2, 5, 8, b"next"), Ok(Offered::Newer)),
        (head(2, 6, 1, b"next"), Ok(Offered::Newer)),
        (head(3, 1, 1, b"next"), Ok(Offered::Newer)),
        (head(2, 5, 7, b"held"), Ok(Offered::Same)),
        (head(2, 5, 7, b"other"), Err(Reject::Equivocation)),
        (head(2, 5, 6, b"held"), Err(Reject::AdmissionStale)),
        (head(2, 4, u64::MAX, b"old"), Err(Reject::AdmissionStale)),
        (
            head(1, u64::MAX, u64::MAX, b"old"),
            Err(Reject::AdmissionStale),
        ),
    ];
    for (offered, judged) in cases {
        assert_eq!(offered.judge(Some(&held)), judged, "{offered:?}");
    }
    assert_eq!(held.judge(None), Ok(Offered::Newer));
}

//= spec/relays.md#admission type=test
//# The time since the last contact with a writer MUST NOT close a mailbox; after 604800 s the quota
//# is a quarter of the one that the admission names.
#[test]
fn quota_without_contact_shrinks_to_a_quarter_and_no_further() {
    let mut admission = admission(&["device"]);
    admission.quota_bytes = 4_000;
    let week_ms = 604_800_000;
    let cases = [
        (0, 4_000),
        (week_ms - 1, 4_000),
        (week_ms, 1_000),
        (u64::MAX, 1_000),
    ];
    for (silent_ms, quota) in cases {
        assert_eq!(admission.quota_bytes_after(silent_ms), quota, "{silent_ms}");
    }
}

#[test]
fn status_has_one_word_and_identities_are_shown_in_hex() {
    assert_eq!(AdmissionStatus::Admitted.as_str(), "admitted");
    assert_eq!(AdmissionStatus::Withdrawn.as_str(), "withdrawn");
    let channel = crate::id::ChannelId::from_bytes([0xa0; 16]);
    assert_eq!(alloc::format!("{channel}"), "a0".repeat(16));
}
