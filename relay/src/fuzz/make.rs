//! What scripts are made of: steps, and envelopes with any numbers.
//!
//! Every envelope is signed by one key: mailboxes leave signatures to their host. Refuses to sign what has no row in the
//! registry of kinds.

use postern_protocol::envelope::{Binding, Draft, Header};
use postern_protocol::id::{Channel, DeviceName, Digest, Incarnation, Tenant, Thumbprint};
use postern_protocol::key::MemorySigner;
use postern_protocol::kind::MessageKind;
use postern_protocol::revision::{Epoch, Seq};

pub(crate) const INCARNATION: Incarnation = Incarnation::from_bytes([7; 16]);

/// The steps of an input, in order: `selector(1) ‖ length(2, big endian) ‖ bytes`. A length beyond the end means what is left.
pub(crate) fn steps(input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = input;
    std::iter::from_fn(move || {
        let ([selector, high, low], tail) = rest.split_first_chunk::<3>()?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (chunk, next) = tail.split_at(tail.len().min(length));
        rest = next;
        Some((*selector, chunk))
    })
}

/// A device of the one tenant.
pub(crate) fn channel(device: &str) -> Channel {
    let (Ok(tenant), Ok(device)) = (Tenant::parse("acme"), DeviceName::parse(device)) else {
        unreachable!("the names are valid")
    };
    Channel {
        root: Thumbprint::from_bytes([1; 32]),
        tenant,
        device,
    }
}

/// A key of this number.
pub(crate) fn signer(number: u8) -> MemorySigner {
    MemorySigner::from_seed(&[number; 32])
}

/// An envelope with these numbers; `None` where its kind has no such numbers.
pub(super) fn sealed(
    kind: MessageKind,
    numbers: [u64; 3],
    mark: Option<u8>,
    payload: Vec<u8>,
) -> Option<Vec<u8>> {
    let [epoch, seq, base] = numbers;
    let draft = Draft {
        header: Header {
            kind,
            epoch: Epoch::new(epoch),
            seq: Seq::new(seq),
            base: Seq::new(base),
            digest: mark.map(|mark| Digest::of(&[mark])),
        },
        payload,
    };
    let (role, plane) = kind.rows().first().copied()?;
    let channel = channel("press-1");
    let binding = Binding::Device {
        channel: &channel,
        incarnation: INCARNATION,
    };
    let sealed = draft.seal_about(plane, role, binding, &signer(2)).ok()?;
    Some(sealed.into_bytes())
}

/// The payload of a snapshot whose table names these bodies, `[{"a": h'..', ..}, []]`; of 23 at most.
pub(super) fn table(bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = vec![0x82];
    payload.extend((0xa0..).take(bodies.len() + 1).last());
    for (name, body) in (b'a'..=b'w').zip(bodies) {
        payload.extend([0x61, name, 0x58, 32]);
        payload.extend(Digest::of(body).as_bytes());
    }
    payload.push(0x80);
    payload
}

/// A payload of this many bytes and three, that no mailbox reads.
pub(super) fn filler(bytes: u16) -> Vec<u8> {
    let mut payload = vec![0x59];
    payload.extend(bytes.to_be_bytes());
    payload.resize(payload.len() + usize::from(bytes), 0);
    payload
}
