//! Heartbeats: the bytes that the figures state, and forms that are refused.

use super::Heartbeat;
use crate::envelope::{Binding, Draft, Header};
use crate::id::{Channel, DeviceName, Digest, Incarnation, Nonce, StartId, Tenant, Thumbprint};
use crate::key::MemorySigner;
use crate::kind::{MessageKind, Role};
use crate::reject::Reject;
use crate::revision::{Epoch, Revision, Seq};
use alloc::vec::Vec;

fn heartbeat() -> Heartbeat {
    Heartbeat {
        start: StartId::from_bytes([1; 8]),
        uptime_ms: u64::from(u32::MAX),
        other: Revision::new(Epoch::new((1 << 51) | 1), Seq::new(1 << 20)),
        echo: Some(Nonce::from_bytes([2; 16])),
        ask: None,
    }
}

#[test]
fn heartbeat_with_an_echo_takes_at_most_190_bytes() {
    let channel = Channel {
        root: Thumbprint::from_bytes([3; 32]),
        tenant: Tenant::parse("acme").unwrap(),
        device: DeviceName::parse("press-7").unwrap(),
    };
    let binding = Binding::Device {
        channel: &channel,
        incarnation: Incarnation::from_bytes([4; 16]),
    };
    let header = Header {
        kind: MessageKind::Heartbeat,
        epoch: Epoch::new((1 << 51) | 1),
        seq: Seq::new(1 << 20),
        base: Seq::new(1),
        digest: Some(Digest::from_bytes([5; 32])),
    };
    let draft = Draft {
        header,
        payload: heartbeat().encode(),
    };
    let signer = MemorySigner::from_seed(&[1; 32]);
    let sealed = draft.seal(Role::Device, binding, &signer).unwrap();
    assert_eq!(sealed.as_bytes().len(), 188);
}

#[test]
fn heartbeat_comes_back() {
    let asking = Heartbeat {
        other: Revision::NONE,
        echo: None,
        ask: Some(Nonce::from_bytes([9; 16])),
        ..heartbeat()
    };
    for one in [heartbeat(), asking] {
        assert_eq!(Heartbeat::decode(&one.encode()), Ok(one));
    }
}

//= spec/freshness.md#heartbeat type=test
//# The head of the other plane MUST NOT have only one of epoch and seq 0, else `shape`.
#[test]
fn heartbeat_that_breaks_a_rule_is_refused() {
    let start = [&[0x48][..], &[1; 8]].concat();
    let with = |head: u8, rest: &[u8]| [&[head][..], &start, rest].concat();
    let cases: [(Vec<u8>, Reject); 9] = [
        (with(0x85, &[0, 0, 0, 0xf6]), Reject::Shape),
        (with(0x87, &[0, 0, 0, 0xf6, 0xf6, 0xf6]), Reject::Shape),
        (with(0x86, &[0, 1, 0, 0xf6, 0xf6]), Reject::Shape),
        (with(0x86, &[0, 0, 1, 0xf6, 0xf6]), Reject::Shape),
        (with(0x86, &[0x20, 0, 0, 0xf6, 0xf6]), Reject::Shape),
        (with(0x86, &[0, 0, 0, 0x40, 0xf6]), Reject::Shape),
        (with(0x86, &[0, 0, 0, 0xf6, 0xf5]), Reject::Shape),
        (with(0x86, &[0, 0, 0, 0xf6]), Reject::CborTruncated),
        (
            with(0x86, &[0x18, 1, 0, 0, 0xf6, 0xf6]),
            Reject::CborNotShortest,
        ),
    ];
    for (payload, reject) in cases {
        assert_eq!(Heartbeat::decode(&payload), Err(reject), "{payload:x?}");
    }
}
