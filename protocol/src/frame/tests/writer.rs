//! Frames of writer sessions: what is written comes back, what breaks a rule is refused.

use super::*;
use crate::id::ChannelId;
use crate::kind::Role;
use crate::revision::{ArrivalNumber, Knock, StoreEpoch};

const CHANNEL: ChannelId = ChannelId::from_bytes([0xc1; 16]);

fn collect(hold_s: u16, store: u64, cursor: u64) -> UpFrame<'static> {
    UpFrame::Collect(Collect {
        hold_s,
        store: StoreEpoch::new(store),
        cursor: ArrivalNumber::new(cursor),
    })
}

fn delivery(channel: Option<ChannelId>, plane: Option<Plane>) -> Delivery<'static> {
    let item = Item {
        plane,
        envelope: ENVELOPE,
    };
    Delivery { channel, item }
}

fn wanted(offset: u64) -> Wanted {
    Wanted {
        digest: Digest::of(b"body"),
        offset,
    }
}

/// One frame of each type that a writer sends.
fn frames() -> Vec<UpFrame<'static>> {
    vec![
        collect(300, 7, 9),
        collect(0, 0, 0),
        collect(25, u64::MAX, u64::MAX),
        UpFrame::Deliver(vec![
            delivery(None, None),
            delivery(Some(CHANNEL), None),
            delivery(Some(CHANNEL), Some(Plane::Desired)),
        ]),
        UpFrame::DeliverBodies {
            channel: CHANNEL,
            plane: Plane::Desired,
            chunks: vec![chunk(0, b"bo"), chunk(2, b"dy")],
        },
        UpFrame::FetchBodies {
            channel: CHANNEL,
            plane: Plane::Actual,
            wanted: vec![wanted(3); 16],
        },
        UpFrame::DeliverEnrolled {
            knock: Knock::new(5),
            enrolled: &[17, 0x81],
        },
    ]
}

#[test]
fn frames_of_a_writer_survive_encoding() {
    for frame in frames() {
        let bytes = seal_up(&key(), SESSION, 1, &frame).unwrap();
        let split = SessionFrame::split(&bytes, Direction::Up).unwrap();
        assert_eq!(split.verify(&key()).unwrap().decode_up(), Ok(frame));
    }
    let hints = Hints {
        retry_ms: Some(5),
        snapshots_wanted: vec![(CHANNEL, Plane::Desired), (CHANNEL, Plane::Actual)],
        bodies_wanted: vec![
            WantedBody {
                channel: CHANNEL,
                plane: Plane::Desired,
                wanted: wanted(2),
            };
            16
        ],
        ..Hints::default()
    };
    let entries = vec![
        Entry::Envelope {
            arrival: ArrivalNumber::new(1),
            delivery: delivery(Some(CHANNEL), Some(Plane::Actual)),
        },
        Entry::Knock {
            arrival: ArrivalNumber::new(u64::MAX),
            knock: Knock::new(0),
            frame: &[16, 0x40],
        },
    ];
    for (hints, entries) in [(hints, entries), (Hints::default(), vec![])] {
        let collected = DownFrame::Collected(Collected {
            hints,
            store: StoreEpoch::new(1),
            entries,
        });
        let bytes = seal_down(&key(), SESSION, 1, &collected).unwrap();
        let split = SessionFrame::split(&bytes, Direction::Down).unwrap();
        assert_eq!(split.verify(&key()).unwrap().decode_down(), Ok(collected));
    }
}

//= spec/relays.md#writer-sessions type=test
//# A mailbox MUST refuse with `session-role` frames 7 to 12 in a session that a device opened, and
//# frames 0 to 6 and 13 in any other.
#[test]
fn frame_in_a_session_of_another_role_is_refused() {
    for frame in frames() {
        let refused = frame.check_greeter(Role::Device);
        assert_eq!(refused, Err(Reject::SessionRole), "{frame:?}");
        assert_eq!(frame.check_greeter(Role::Writer), Ok(()));
        assert_eq!(frame.check_greeter(Role::Mailbox), Ok(()));
    }
    let fetch = UpFrame::Fetch {
        plane: Plane::Desired,
        wanted: vec![wanted(0)],
    };
    for frame in [poll(None), UpFrame::Post(vec![]), fetch] {
        for role in [Role::Writer, Role::Mailbox, Role::Root, Role::Enrolling] {
            let refused = frame.check_greeter(role);
            assert_eq!(refused, Err(Reject::SessionRole), "{frame:?} {role:?}");
        }
        assert_eq!(frame.check_greeter(Role::Device), Ok(()));
    }
}

//= spec/relays.md#collect type=test
//# A hold above 300 s in a collect MUST be refused with `hold-range`.
//= spec/relays.md#collect type=test
//# A collect MUST NOT name a cursor without a store epoch, else `shape`.
#[test]
fn collect_that_breaks_a_rule_is_neither_sealed_nor_opened() {
    let cases = [
        (collect(301, 0, 0), Reject::HoldRange),
        (collect(u16::MAX, 7, 9), Reject::HoldRange),
        (collect(0, 0, 1), Reject::Shape),
        (collect(0, 0, u64::MAX), Reject::Shape),
    ];
    for (frame, reject) in cases {
        assert_eq!(seal_up(&key(), SESSION, 1, &frame), Err(reject));
    }
    let bodies: [(&[u8], Reject); 5] = [
        (&[1, 0x19, 0x01, 0x2d, 7, 9], Reject::HoldRange),
        (&[1, 0, 0, 1], Reject::Shape),
        (&[1, 0, 0xf6, 0], Reject::Shape),
        (&[1, 0, 7], Reject::CborTruncated),
        (&[1, 0, 7, 9, 9], Reject::CborTrailing),
    ];
    for (body, reject) in bodies {
        assert_eq!(open_up(&forge(7, body)), Err(reject), "{body:x?}");
    }
}

//= spec/relays.md#collect type=test
//# The store epoch in a collected frame MUST be at least 1, else `shape`.
//= spec/relays.md#collect type=test
//# Arrival numbers in a collected frame MUST be at least 1 and ascend strictly, else `shape`.
#[test]
fn collected_that_breaks_a_rule_is_refused() {
    let cases: [(&[u8], Reject); 9] = [
        (&[1, 0], Reject::Shape),
        (&[1, 0xf6], Reject::Shape),
        (&[1], Reject::CborTruncated),
        (&[1, 0xa0, 7], Reject::Shape),
        (&[1, 7, 0x83, 0, 5, 0x40], Reject::Shape),
        (&[1, 7, 0x83, 2, 5, 0x40, 0x83, 2, 6, 0x40], Reject::Shape),
        (&[1, 7, 0x83, 2, 5, 0x40, 0x83, 1, 6, 0x40], Reject::Shape),
        (&[1, 7, 0x82, 1, 5], Reject::Shape),
        (&[1, 7, 0x83, 1, 5, 0x60], Reject::Shape),
    ];
    for (body, reject) in cases {
        assert_eq!(open_down(&forge(8, body)), Err(reject), "{body:x?}");
    }
    let good = [1, 7, 0x83, 1, 5, 0x40, 0x83, 9, 5, 0x40];
    assert_eq!(open_down(&forge(8, &good)), Ok(1));
}

//= spec/relays.md#deliver type=test
//# A deliver, and a deliver-bodies, MUST bring at least one member of its list, else `shape`.
//= spec/relays.md#deliver type=test
//# An envelope without a channel MUST NOT have a plane, else `shape`.
#[test]
fn deliver_that_breaks_a_rule_is_refused() {
    let nothing = [
        UpFrame::Deliver(vec![]),
        UpFrame::DeliverBodies {
            channel: CHANNEL,
            plane: Plane::Desired,
            chunks: vec![],
        },
        UpFrame::FetchBodies {
            channel: CHANNEL,
            plane: Plane::Desired,
            wanted: vec![],
        },
        UpFrame::FetchBodies {
            channel: CHANNEL,
            plane: Plane::Desired,
            wanted: vec![wanted(0); 17],
        },
    ];
    for frame in nothing {
        assert_eq!(seal_up(&key(), SESSION, 1, &frame), Err(Reject::Shape));
    }
    let place = [&[1, 0x50][..], &[0xc1; 16], &[0]].concat();
    let with_plane = [&[1, 0x83, 0xf6, 0][..], ENVELOPE].concat();
    let cases: [(u8, &[u8]); 6] = [
        (9, &[1]),
        (9, &with_plane),
        (9, &[1, 0x83, 0xf6, 0xf6, 0xf6]),
        (9, &[1, 0x82, 0xf6, 0xf6]),
        (10, &place),
        (11, &place),
    ];
    for (number, body) in cases {
        let refused = open_up(&forge(number, body));
        assert_eq!(refused, Err(Reject::Shape), "{number} {body:x?}");
    }
}

/// A hints map whose one hint has this many rows, the last byte of each made by `row`.
fn hint(number: u8, count: usize, row: impl Fn(u8) -> Vec<u8>) -> Vec<u8> {
    let mut body = vec![1, 0xa1, number];
    match u8::try_from(count).unwrap() {
        few @ 0..24 => body.push(0x80 | few),
        many => body.extend([0x98, many]),
    }
    (0..count).for_each(|place| body.extend(row(u8::try_from(place).unwrap())));
    body
}

fn channel_bytes(last: u8) -> Vec<u8> {
    [&[0x50][..], &[0; 15], &[last]].concat()
}

//= spec/relays.md#deliver type=test
//# Hint 7 MUST name 1 to 64 planes, ascending by channel id and plane and each once, else `shape`.
#[test]
fn hint_for_snapshots_that_breaks_a_rule_is_refused() {
    let ascending = |last| [&[0x82][..], &channel_bytes(last), &[1]].concat();
    let plane = |plane| move |_| [&[0x82][..], &channel_bytes(7), &[plane]].concat();
    let cases = [
        hint(7, 0, ascending),
        hint(7, 65, ascending),
        hint(7, 2, |last| ascending(1 - last)),
        hint(7, 2, plane(0)),
        hint(7, 1, plane(2)),
        hint(7, 1, |_| vec![0x80]),
    ];
    for body in cases {
        let refused = open_down(&forge(1, &body));
        assert_eq!(refused, Err(Reject::Shape), "{body:x?}");
    }
    assert_eq!(open_down(&forge(1, &hint(7, 64, ascending))), Ok(1));
}

//= spec/relays.md#deliver type=test
//# Hint 8 MUST name 1 to 16 bodies, else `shape`.
#[test]
fn hint_for_bodies_that_breaks_a_rule_is_refused() {
    let row = |plane: u8| {
        let digest = [&[0x58, 32][..], &[5; 32]].concat();
        move |_| [&[0x84][..], &channel_bytes(7), &[plane], &digest, &[0]].concat()
    };
    let cases = [
        hint(8, 0, row(0)),
        hint(8, 17, row(0)),
        hint(8, 1, row(2)),
        hint(8, 1, |_| vec![0x80]),
    ];
    for body in cases {
        let refused = open_down(&forge(1, &body));
        assert_eq!(refused, Err(Reject::Shape), "{body:x?}");
    }
    assert_eq!(open_down(&forge(1, &hint(8, 16, row(1)))), Ok(1));
}

#[test]
fn refusal_of_an_enrolment_at_a_relay_has_a_name() {
    for (code, reject) in [(94, Reject::EnrolPending), (95, Reject::KnockUnknown)] {
        let refused = PlainFrame::Refused {
            code,
            retry_ms: Some(10_000),
        };
        let body = refused.encode().unwrap();
        assert_eq!(check_exchange(200, &body), Err(reject));
        assert_eq!(check_exchange(503, &body), Err(Reject::NotPostern));
    }
}
