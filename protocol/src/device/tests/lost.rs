//! Lost markers: told when a mailbox of the bundle signed them, and never a reason to do anything.

use crate::Reject;
use crate::device::Event;
use crate::frame::Item;
use crate::id::{Incarnation, Plane};
use crate::key::Signer;
use crate::receipt::Lost;
use crate::revision::{Epoch, Seq};
use crate::testing::{Lone, at, numbers};
use alloc::vec;
use alloc::vec::Vec;

const LOST: Lost = Lost {
    plane: Plane::Desired,
    epoch: Epoch::new(3),
    first: Seq::new(8),
    last: Seq::new(10),
    code: 113,
};

fn connected() -> Lone {
    let mut lone = Lone::holding(&numbers(&[("a/x", 1)]), at(100, 5));
    lone.acknowledge();
    lone
}

fn seal(lone: &Lone, incarnation: Incarnation, signer: &dyn Signer) -> Vec<u8> {
    let channel = &lone.node.identity.channel;
    LOST.seal(channel, incarnation, signer)
        .unwrap()
        .into_bytes()
}

/// Answers the poll with this marker, as if it were about `plane`.
fn give(lone: &mut Lone, envelope: &[u8], plane: Plane) {
    lone.node.events.clear();
    let poll = lone.paced_poll();
    let item = Item {
        plane: Some(plane),
        envelope,
    };
    lone.answer_items(&poll, vec![item]);
}

#[test]
fn lost_marker_of_the_mailbox_is_told() {
    let mut lone = connected();
    let envelope = seal(&lone, lone.node.identity.incarnation, &lone.keys.mailbox);
    give(&mut lone, &envelope, Plane::Desired);
    let mailbox = lone.keys.mailbox.public_key().thumbprint();
    let told = Event::Lost {
        mailbox,
        lost: LOST,
    };
    assert!(lone.node.events.contains(&told), "{:?}", lone.node.events);
    assert!(lone.rejects().is_empty());
}

#[test]
fn lost_marker_of_another_signer_life_or_plane_is_refused() {
    let mut lone = connected();
    let own = lone.node.identity.incarnation;
    let of_earlier_life = Incarnation::from_bytes([0; 16]);
    let cases = [
        (
            seal(&lone, own, &lone.keys.writer),
            Plane::Desired,
            Reject::KeyUnknown,
        ),
        (
            seal(&lone, of_earlier_life, &lone.keys.mailbox),
            Plane::Desired,
            Reject::SignatureInvalid,
        ),
        (
            seal(&lone, own, &lone.keys.mailbox),
            Plane::Actual,
            Reject::SignatureInvalid,
        ),
    ];
    for (envelope, plane, reject) in cases {
        give(&mut lone, &envelope, plane);
        assert_eq!(lone.rejects(), [reject]);
    }
}
