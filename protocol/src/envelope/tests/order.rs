//! Envelopes that break two steps of verification: the earlier one is told.

use super::{HONEST, Protected, WRITER, outer, verify};
use crate::cbor::Writer;
use crate::envelope::Expected;
use crate::id::Plane;
use crate::kind::Role;
use crate::reject::Reject;
use alloc::vec;
use alloc::vec::Vec;

/// Builds an outer array of any parts.
fn parts(protected: &[u8], unprotected: &[u8], payload: &[u8], signature: usize) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(4).bytes(protected).raw(unprotected);
    writer.raw(payload).bytes(&vec![0; signature]);
    writer.into_bytes()
}

fn changed(change: impl FnOnce(&mut Protected)) -> Vec<u8> {
    let mut protected = HONEST;
    change(&mut protected);
    protected.encode()
}

//= spec/postern.md#verification-order type=test
//# A verifier MUST apply these steps in this order and refuse with the reject of the first that
//# fails:
#[test]
fn envelope_that_breaks_two_steps_is_refused_for_the_first() {
    let (bare, full, bytes) = (&[0xa0][..], &[0xa1, 4, 0x40][..], &[0x41, 0x80][..]);
    let (long, honest) = (&[0x18, 0x01][..], HONEST.encode());
    let text_algorithm = [&[0xa3, 0x01, 0x61, b'x'], &changed(|it| it.key_id = 7)[3..]].concat();
    let cases = [
        (
            parts(long, full, bytes, 64)[..40].to_vec(),
            Reject::CborTruncated,
        ),
        (parts(long, full, &[0xf6], 64), Reject::Shape),
        (parts(long, full, bytes, 64), Reject::CborNotShortest),
        (parts(&[0xa0], full, bytes, 64), Reject::UnprotectedNotEmpty),
        (
            outer(
                &changed(|it| (it.kind, it.extra_label) = (None, Some(2))),
                64,
            ),
            Reject::Shape,
        ),
        (
            outer(
                &changed(|it| (it.extra_label, it.has_text_label) = (Some(2), true)),
                64,
            ),
            Reject::CritUnknown,
        ),
        (
            outer(
                &changed(|it| (it.extra_label, it.algorithm) = (Some(3), -8)),
                64,
            ),
            Reject::HeaderLabelUnknown,
        ),
        (
            outer(&changed(|it| (it.algorithm, it.key_id) = (-8, 7)), 64),
            Reject::AlgorithmUnknown,
        ),
        (outer(&text_algorithm, 64), Reject::AlgorithmUnknown),
        (
            outer(&changed(|it| (it.key_id, it.kind) = (7, Some(255))), 64),
            Reject::Shape,
        ),
        (
            outer(&changed(|it| (it.kind, it.digest) = (Some(255), 31)), 64),
            Reject::KindUnknown,
        ),
        (
            outer(&changed(|it| (it.kind, it.digest) = (Some(1), 31)), 64),
            Reject::HeaderNumbers,
        ),
        (
            outer(&changed(|it| it.digest = 31), 63),
            Reject::DigestLength,
        ),
        (parts(&honest, bare, bytes, 63), Reject::SignatureLength),
        (parts(&honest, bare, bytes, 64), Reject::KeyUnknown),
    ];
    for (envelope, reject) in cases {
        assert_eq!(verify(&envelope, WRITER), Err(reject), "{envelope:02x?}");
    }
}

//= spec/postern.md#verification-order type=test
//# A verifier MUST apply these steps in this order and refuse with the reject of the first that
//# fails:
#[test]
fn role_and_plane_are_told_before_the_signature_is_looked_at() {
    let bytes = outer(&HONEST.encode(), 63);
    for (role, plane, reject) in [
        (Role::Root, None, Reject::SignerRole),
        (Role::Writer, None, Reject::PlaneMismatch),
        (Role::Writer, Some(Plane::Actual), Reject::PlaneMismatch),
        (Role::Writer, Some(Plane::Desired), Reject::SignatureLength),
    ] {
        assert_eq!(verify(&bytes, Expected { role, plane }), Err(reject));
    }
}
