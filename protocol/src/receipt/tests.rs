//! Receipts and lost markers: what is sealed comes back, and only a mailbox of the bundle says it.

use super::*;
use crate::testing::{TestKeys, signer};
use alloc::vec::Vec;

fn receipt(code: u16) -> Receipt {
    Receipt {
        store: StoreEpoch::new(77),
        number: Seq::new(5),
        message: MessageId::from_bytes([6; 32]),
        channel: ChannelId::from_bytes([7; 16]),
        code,
    }
}

fn lost(plane: Plane, first: u64, last: u64) -> Lost {
    Lost {
        plane,
        epoch: Epoch::new(3),
        first: Seq::new(first),
        last: Seq::new(last),
        code: 113,
    }
}

fn seal_lost(keys: &TestKeys, lost: &Lost) -> Result<Vec<u8>, Reject> {
    let channel = keys.channel("press-7");
    let sealed = lost.seal(&channel, TestKeys::incarnation(), &keys.mailbox)?;
    Ok(sealed.into_bytes())
}

fn verify_lost(keys: &TestKeys, bytes: &[u8], plane: Plane) -> Result<Lost, Reject> {
    let received = ReceivedEnvelope::parse(bytes)?;
    let (trust, channel) = (keys.trust(), keys.channel("press-7"));
    let incarnation = TestKeys::incarnation();
    Lost::verify(&received, &trust, &channel, incarnation, plane).map(|(_, lost)| lost)
}

#[test]
fn receipt_survives_sealing_and_names_its_mailbox() {
    let keys = TestKeys::new();
    for code in [0, 113, u16::MAX] {
        let sealed = receipt(code).seal(keys.domain(), &keys.tenant, &keys.mailbox);
        let sealed = sealed.unwrap();
        let received = ReceivedEnvelope::parse(sealed.as_bytes()).unwrap();
        let read = Receipt::verify(&received, &keys.trust(), &keys.tenant);
        let mailbox = keys.mailbox.public_key().thumbprint();
        assert_eq!(read, Ok((mailbox, receipt(code))));
    }
}

#[test]
fn receipt_of_another_signer_place_or_number_is_refused() {
    let keys = TestKeys::new();
    let other = Tenant::parse("other").unwrap();
    let stranger = signer("stranger");
    let cases: [(&Tenant, &dyn Signer, Reject); 3] = [
        (&other, &keys.mailbox, Reject::SignatureInvalid),
        (&keys.tenant, &keys.writer, Reject::KeyUnknown),
        (&keys.tenant, &stranger, Reject::KeyUnknown),
    ];
    for (tenant, signer, reject) in cases {
        let sealed = receipt(0).seal(keys.domain(), tenant, signer).unwrap();
        let received = ReceivedEnvelope::parse(sealed.as_bytes()).unwrap();
        let refused = Receipt::verify(&received, &keys.trust(), &keys.tenant);
        assert_eq!(refused.map(|_| ()), Err(reject));
    }
    for (store, number, reject) in [(0, 1, Reject::EpochZero), (1, 0, Reject::SeqZero)] {
        let wrong = Receipt {
            store: StoreEpoch::new(store),
            number: Seq::new(number),
            ..receipt(0)
        };
        let refused = wrong.seal(keys.domain(), &keys.tenant, &keys.mailbox);
        assert_eq!(refused.map(|_| ()), Err(reject));
    }
}

#[test]
fn lost_marker_survives_sealing_on_either_plane() {
    let keys = TestKeys::new();
    for plane in [Plane::Desired, Plane::Actual] {
        for (first, last) in [(1, 1), (8, 10), (1, u64::MAX), (u64::MAX, u64::MAX)] {
            let marker = lost(plane, first, last);
            let bytes = seal_lost(&keys, &marker).unwrap();
            assert_eq!(verify_lost(&keys, &bytes, plane), Ok(marker));
        }
    }
}

//= spec/relays.md#lost type=test
//# The code of a lost marker MUST be at least 1, else `shape`.
#[test]
fn lost_marker_that_breaks_a_rule_is_not_sealed() {
    let keys = TestKeys::new();
    let nothing = Lost {
        code: 0,
        ..lost(Plane::Desired, 1, 2)
    };
    let without_epoch = Lost {
        epoch: Epoch::new(0),
        ..lost(Plane::Desired, 1, 2)
    };
    let cases = [
        (nothing, Reject::Shape),
        (without_epoch, Reject::EpochZero),
        (lost(Plane::Desired, 0, 2), Reject::HeaderNumbers),
        (lost(Plane::Desired, 1, 0), Reject::SeqZero),
        (lost(Plane::Desired, 4, 3), Reject::BaseNotBelow),
    ];
    for (marker, reject) in cases {
        assert_eq!(seal_lost(&keys, &marker), Err(reject), "{marker:?}");
    }
}

#[test]
fn lost_marker_shown_for_another_plane_or_by_another_signer_is_refused() {
    let mut keys = TestKeys::new();
    let bytes = seal_lost(&keys, &lost(Plane::Desired, 1, 2)).unwrap();
    let refused = verify_lost(&keys, &bytes, Plane::Actual);
    assert_eq!(refused, Err(Reject::SignatureInvalid));
    let receipt = receipt(0).seal(keys.domain(), &keys.tenant, &keys.mailbox);
    let refused = verify_lost(&keys, receipt.unwrap().as_bytes(), Plane::Desired);
    assert_eq!(refused, Err(Reject::PlaneMismatch));
    keys.rotate_mailbox("mailbox 2");
    let refused = verify_lost(&keys, &bytes, Plane::Desired);
    assert_eq!(refused, Err(Reject::KeyUnknown));
}

/// A mailbox signs welcomes, hellos and receipts without a plane: only one of them is a receipt.
#[test]
fn welcome_of_a_mailbox_is_no_receipt() {
    let keys = TestKeys::new();
    let header = Header {
        kind: MessageKind::SessionWelcome,
        epoch: Epoch::new(0),
        seq: Seq::new(0),
        base: Seq::new(0),
        digest: Some(Digest::of(b"transcript")),
    };
    let binding = Binding::Tenant {
        root: keys.domain(),
        tenant: &keys.tenant,
    };
    let mut payload = Writer::new();
    payload.array(2).bytes(&[7; 16]).uint(0);
    let payload = payload.into_bytes();
    let draft = Draft { header, payload };
    let sealed = draft.seal(Role::Mailbox, binding, &keys.mailbox).unwrap();
    let received = ReceivedEnvelope::parse(sealed.as_bytes()).unwrap();
    let refused = Receipt::verify(&received, &keys.trust(), &keys.tenant);
    assert_eq!(refused.map(|_| ()), Err(Reject::SignerRole));
}
