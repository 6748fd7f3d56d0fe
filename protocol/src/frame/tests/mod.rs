//! Frames as bytes: what is written comes back, what is not in its form is refused by name.

mod bounds;
mod writer;

use super::*;
use crate::id::{Challenge, Digest, Plane, SessionId, Thumbprint};
use crate::revision::{BundleNumber, Epoch, ReceiptNumber, Revision, Seq, StoreEpoch};
use alloc::vec;

const SESSION: SessionId = SessionId::from_bytes([9, 8, 7, 6]);
const ENVELOPE: &[u8] = &[0x84, 0x40, 0xa0, 0x40, 0x40];

fn key() -> FrameKey {
    FrameKey::from_bytes([7; 32])
}

/// The conditions under which the byte figures are stated.
fn head() -> Revision {
    Revision::new(Epoch::new((1_780_000_000 << 20) | 1), Seq::new(1 << 20))
}

fn poll(actual: Option<Revision>) -> UpFrame<'static> {
    UpFrame::Poll(Poll {
        hold_s: 25,
        bundle: BundleNumber::new(1),
        acked: None,
        desired: head(),
        actual,
        receipt: None,
    })
}

fn poll_naming(actual: Option<Revision>) -> UpFrame<'static> {
    UpFrame::Poll(Poll {
        hold_s: 25,
        bundle: BundleNumber::new(1),
        acked: None,
        desired: head(),
        actual,
        receipt: Some(ReceiptNumber {
            store: StoreEpoch::new(77),
            number: Seq::new(5),
        }),
    })
}

fn open_up(bytes: &[u8]) -> Result<u16, Reject> {
    let body = SessionFrame::split(bytes, Direction::Up)?.verify(&key())?;
    body.decode_up().map(|_| body.counter())
}

fn open_down(bytes: &[u8]) -> Result<u16, Reject> {
    let body = SessionFrame::split(bytes, Direction::Down)?.verify(&key())?;
    body.decode_down().map(|_| body.counter())
}

/// Seals a body that no encoder of ours would write.
fn forge(number: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number, 9, 8, 7, 6];
    bytes.extend_from_slice(body);
    let tag = key().tag(&bytes);
    bytes.extend_from_slice(&tag);
    bytes
}

#[test]
fn session_frames_have_the_stated_sizes() {
    let one = seal_up(&key(), SESSION, 300, &poll(None)).unwrap();
    let two = seal_up(&key(), SESSION, 300, &poll(Some(head()))).unwrap();
    let idle = DownFrame::Answer(Answer::default());
    let idle = seal_down(&key(), SESSION, 300, &idle).unwrap();
    assert_eq!((one.len(), two.len(), idle.len()), (34, 48, 16));
}

#[test]
fn session_frames_survive_encoding() {
    let wanted = Wanted {
        digest: Digest::of(b"x"),
        offset: 3,
    };
    let item = Item {
        plane: Some(Plane::Actual),
        envelope: ENVELOPE,
    };
    let frames = [
        poll(Some(Revision::NONE)),
        poll_naming(None),
        poll_naming(Some(head())),
        UpFrame::Post(vec![
            item,
            Item {
                plane: None,
                ..item
            },
        ]),
        UpFrame::Need {
            plane: Plane::Desired,
            held: head(),
        },
        UpFrame::Fetch {
            plane: Plane::Desired,
            wanted: vec![wanted; 16],
        },
    ];
    for frame in frames {
        let bytes = seal_up(&key(), SESSION, 65_535, &frame).unwrap();
        let split = SessionFrame::split(&bytes, Direction::Up).unwrap();
        assert_eq!(split.verify(&key()).unwrap().decode_up(), Ok(frame));
    }
}

//= spec/postern.md#poll type=test
//# The store epoch and the number of a receipt in a poll MUST be at least 1, else `shape`.
#[test]
fn receipt_in_a_poll_has_two_numbers_from_1_and_stands_last() {
    let head = [0x01, 0x18, 0x19, 0x01, 0xf6, 0x05, 0x06];
    let cases: [(&[u8], Result<u16, Reject>); 9] = [
        (&[0x82, 7, 8], Ok(1)),
        (&[1, 2, 0x82, 1, 1], Ok(1)),
        (&[0x82, 0, 8], Err(Reject::Shape)),
        (&[0x82, 7, 0], Err(Reject::Shape)),
        (&[0x81, 7], Err(Reject::Shape)),
        (&[0x83, 7, 8, 9], Err(Reject::Shape)),
        (&[0x82, 7], Err(Reject::CborTruncated)),
        (&[0x82, 7, 8, 1, 2], Err(Reject::CborTrailing)),
        (&[1, 0x82, 7, 8], Err(Reject::Shape)),
    ];
    for (rest, expected) in cases {
        let body = [head.as_slice(), rest].concat();
        assert_eq!(open_up(&forge(0, &body)), expected, "{rest:?}");
    }
}

//= spec/postern.md#sessions type=test
//# A receiver MUST compare the tag in constant time and refuse another with `session-mac`.
//= spec/postern.md#sessions type=test
//# A receiver MUST check the tag before it reads the body.
#[test]
fn poll_with_any_flipped_bit_is_refused_by_name() {
    let good = seal_up(&key(), SESSION, 300, &poll(Some(head()))).unwrap();
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[place] ^= 1 << bit;
            let reject = open_up(&bad).unwrap_err();
            let allowed: &[Reject] = match place {
                0 => &[
                    Reject::SessionMac,
                    Reject::FrameUnknown,
                    Reject::Shape,
                    Reject::FrameDirection,
                ],
                _ => &[Reject::SessionMac],
            };
            assert!(
                allowed.contains(&reject),
                "byte {place} bit {bit}: {reject}"
            );
        }
    }
}

//= spec/postern.md#frames type=test
//# A frame without a type byte, or a session frame without room for session id and tag, MUST be
//# refused with `shape`.
#[test]
fn frame_cut_anywhere_is_refused() {
    let good = seal_up(&key(), SESSION, 300, &poll(None)).unwrap();
    for length in 0..good.len() {
        let reject = open_up(&good[..length]).unwrap_err();
        let wanted = if length < 13 {
            Reject::Shape
        } else {
            Reject::SessionMac
        };
        assert_eq!(reject, wanted, "{length} bytes");
    }
}

#[test]
fn request_bodies_outside_their_form_are_refused() {
    let cases: &[(u8, &[u8], Reject)] = &[
        //= spec/postern.md#sessions type=test
        //# A counter outside 1..65535 MUST be refused with `counter-exhausted`.
        (0, &[0x00], Reject::CounterExhausted),
        (0, &[0x1a, 0, 1, 0, 0], Reject::CounterExhausted),
        (0, &[0x18, 0x01], Reject::CborNotShortest),
        //= spec/postern.md#frames type=test
        //# A body that ends before its last required item MUST be refused with `cbor-truncated`,
        //# where a list of one or more that is empty is `shape`.
        (0, &[0x01], Reject::CborTruncated),
        (
            0,
            //= spec/postern.md#poll type=test
            //# A hold above 300 s MUST be refused with `hold-range`.
            &[0x01, 0x19, 0x01, 0x2d, 0, 0xf6, 0, 0],
            Reject::HoldRange,
        ),
        //= spec/postern.md#frames type=test
        //# A head in a frame MUST NOT have only one of epoch and seq 0, else `shape`.
        (0, &[0x01, 0, 0, 0xf6, 1, 0], Reject::Shape),
        (0, &[0x01, 0, 0, 0xf6, 0, 1], Reject::Shape),
        (0, &[0x01, 0, 0, 0xf6, 0, 0, 1], Reject::CborTruncated),
        //= spec/postern.md#frames type=test
        //# A body that goes on after its last item MUST be refused with `cbor-trailing`, where a
        //# further member of a list is judged as one.
        (0, &[0x01, 0, 0, 0xf6, 0, 0, 1, 1, 1], Reject::CborTrailing),
        (2, &[0x01], Reject::Shape),
        (2, &[0x01, 0x82, 0x02, 0x80], Reject::Shape),
        (2, &[0x01, 0x82, 0xf6, 0xd2, 0x80], Reject::CborTag),
        (3, &[0x01, 0x02, 0, 0], Reject::Shape),
        //= spec/postern.md#fetch type=test
        //# A fetch MUST ask for 1 to 16 section bodies by digest, each from a byte offset, else
        //# `shape`.
        (4, &[0x01, 0x00], Reject::Shape),
        (4, &[0x01, 0x00, 0x82, 0x41, 0, 0], Reject::Shape),
    ];
    for (number, body, reject) in cases {
        assert_eq!(
            open_up(&forge(*number, body)),
            Err(*reject),
            "{number} {body:x?}"
        );
    }
}

#[test]
fn answer_bodies_outside_their_form_are_refused() {
    let cases: &[(u8, &[u8], Reject)] = &[
        //= spec/postern.md#answer type=test
        //# An empty hints map, an unknown hint, a URL outside 1 to 512 bytes or a code outside
        //# 1..65535 MUST be refused with `shape`.
        (1, &[0x01, 0xa0], Reject::Shape),
        (1, &[0x01, 0xa1, 0x05, 0x01], Reject::Shape),
        (
            1,
            &[0x01, 0xa2, 0x02, 0x01, 0x01, 0x01],
            Reject::CborUnsortedKey,
        ),
        (1, &[0x01, 0xa1, 0x04, 0x80], Reject::Shape),
        (
            1,
            &[0x01, 0xa1, 0x04, 0x81, 0x82, 0x00, 0x00],
            Reject::Shape,
        ),
        (1, &[0x01, 0xa1, 0x03, 0x60], Reject::Shape),
        (1, &[0x01, 0x00], Reject::Shape),
        (5, &[0x01, 0x84], Reject::CborTruncated),
        (5, &[0x01, 0x80], Reject::Shape),
    ];
    for (number, body, reject) in cases {
        assert_eq!(
            open_down(&forge(*number, body)),
            Err(*reject),
            "{number} {body:x?}"
        );
    }
}

//= spec/postern.md#answer type=test
//# A device MUST treat retry_ms above 3600000 as 3600000 and hold_s_max above 300 as 300.
#[test]
fn hints_beyond_the_limits_are_clamped() {
    let body = [
        0x01, 0xa2, 0x01, 0x1b, 255, 255, 255, 255, 255, 255, 255, 255, 0x02, 0x19, 255, 255,
    ];
    let bytes = forge(1, &body);
    let split = SessionFrame::split(&bytes, Direction::Down).unwrap();
    let Ok(DownFrame::Answer(answer)) = split.verify(&key()).unwrap().decode_down() else {
        panic!("an answer");
    };
    assert_eq!(answer.hints.retry_ms, Some(3_600_000));
    assert_eq!(answer.hints.hold_s_max, Some(300));
}

//= spec/postern.md#frames type=test
//# A receiver MUST refuse a type that does not travel in this direction with `frame-direction`.
#[test]
fn frame_sent_the_wrong_way_is_refused() {
    for frame_type in FrameType::ALL {
        for direction in [Direction::Up, Direction::Down, Direction::File] {
            let is_filed = direction == Direction::File && frame_type.is_filed();
            if frame_type.direction() == direction || is_filed {
                continue;
            }
            let bytes = forge(frame_type.number(), &[1]);
            let refused = if frame_type.is_in_session() {
                SessionFrame::split(&bytes, direction).map(|_| ())
            } else {
                PlainFrame::decode(&bytes, direction).map(|_| ())
            };
            assert_eq!(refused, Err(Reject::FrameDirection), "{frame_type:?}");
        }
    }
}

#[test]
fn frame_of_a_wrong_size_or_type_is_refused() {
    assert_eq!(frame_type(&[]), Err(Reject::Shape));
    assert_eq!(
        //= spec/postern.md#frames type=test
        //# A frame MUST NOT be larger than 49152 bytes, else `oversize`.
        frame_type(&vec![0; FRAME_BYTES_MAX + 1]),
        Err(Reject::Oversize)
    );
    //= spec/postern.md#frames type=test
    //# A receiver MUST refuse an unknown type with `frame-unknown`.
    for number in [24, 25, 31, 128, 255] {
        assert_eq!(frame_type(&[number]), Err(Reject::FrameUnknown));
    }
    let ask = PlainFrame::Ask { bundle: None }.encode().unwrap();
    assert_eq!(ask, [18, 1]);
    let split = SessionFrame::split(&ask, Direction::Up).map(|_| ());
    assert_eq!(split, Err(Reject::Shape));
    let poll = seal_up(&key(), SESSION, 1, &poll(None)).unwrap();
    assert_eq!(PlainFrame::decode(&poll, Direction::Up), Err(Reject::Shape));
}

#[test]
fn plain_frames_survive_encoding() {
    let frames = [
        (Direction::Up, PlainFrame::Ask { bundle: None }),
        (
            Direction::Up,
            PlainFrame::Ask {
                bundle: Some(BundleNumber::new(7)),
            },
        ),
        (
            Direction::Down,
            PlainFrame::Challenge {
                challenge: Challenge::from_bytes([1; 16]),
                ephemeral: [2; 32],
                mailbox: Thumbprint::from_bytes([3; 32]),
            },
        ),
        (
            Direction::Down,
            PlainFrame::Enrolled {
                bundles: vec![ENVELOPE, ENVELOPE],
                answer: ENVELOPE,
            },
        ),
        (
            Direction::Down,
            PlainFrame::Refused {
                code: 114,
                retry_ms: Some(5),
            },
        ),
    ];
    for (direction, frame) in frames {
        let bytes = frame.encode().unwrap();
        assert_eq!(PlainFrame::decode(&bytes, direction), Ok(frame));
    }
}

#[test]
fn body_that_no_peer_takes_is_not_sealed() {
    let UpFrame::Poll(mut body) = poll(None) else {
        panic!("a poll");
    };
    body.hold_s = 301;
    let long = seal_up(&key(), SESSION, 1, &UpFrame::Poll(body));
    assert_eq!(long, Err(Reject::HoldRange));
    let nothing = seal_up(&key(), SESSION, 1, &UpFrame::Post(vec![]));
    assert_eq!(nothing, Err(Reject::Shape));
    assert_eq!(
        seal_up(&key(), SESSION, 0, &poll(None)),
        Err(Reject::CounterExhausted)
    );
    let large = vec![0x40; FRAME_BYTES_MAX];
    let item = Item {
        plane: None,
        envelope: &large,
    };
    let post = seal_up(&key(), SESSION, 1, &UpFrame::Post(vec![item]));
    assert_eq!(post, Err(Reject::Oversize));
}

/// A chunk of a body of 4 bytes.
fn chunk(offset: u64, bytes: &[u8]) -> BodyChunk<'_> {
    BodyChunk {
        digest: Digest::of(b"body"),
        size: 4,
        offset,
        bytes,
    }
}

#[test]
fn put_and_the_hints_that_ask_for_it_survive_encoding() {
    let put = UpFrame::Put {
        plane: Plane::Actual,
        chunks: vec![chunk(0, b"bo"), chunk(2, b"dy")],
    };
    let bytes = seal_up(&key(), SESSION, 1, &put).unwrap();
    let body = SessionFrame::split(&bytes, Direction::Up).unwrap();
    assert_eq!(body.verify(&key()).unwrap().decode_up(), Ok(put));
    let wanted = Wanted {
        digest: Digest::of(b"body"),
        offset: 2,
    };
    let hints = Hints {
        wanted: vec![wanted; 16],
        need: vec![Plane::Desired, Plane::Actual],
        ..Hints::default()
    };
    let answer = DownFrame::Answer(Answer {
        hints,
        items: vec![],
    });
    let bytes = seal_down(&key(), SESSION, 1, &answer).unwrap();
    let body = SessionFrame::split(&bytes, Direction::Down).unwrap();
    assert_eq!(body.verify(&key()).unwrap().decode_down(), Ok(answer));
}

//= spec/postern.md#bodies type=test
//# A put MUST bring at least one chunk, else `shape`.
#[test]
fn put_that_breaks_a_rule_is_refused() {
    let empty = UpFrame::Put {
        plane: Plane::Actual,
        chunks: vec![],
    };
    assert_eq!(seal_up(&key(), SESSION, 1, &empty), Err(Reject::Shape));
    let head = [&[1, 1, 0x84, 0x58, 32][..], &[0; 32]].concat();
    let cases: [(&[u8], Reject); 5] = [
        (&[], Reject::CborTruncated),
        (&[1, 0x40, 0x40], Reject::Shape),
        (&[4, 0, 0x40], Reject::Shape),
        (&[4, 3, 0x42, 0, 0], Reject::Shape),
        (&[0x1a, 0, 1, 0, 1, 0, 0x41, 0], Reject::SectionOversize),
    ];
    assert_eq!(open_up(&forge(6, &[1, 1])), Err(Reject::Shape));
    assert_eq!(open_up(&forge(6, &[1, 2])), Err(Reject::Shape));
    for (rest, reject) in cases {
        let body = [&head, rest].concat();
        assert_eq!(open_up(&forge(6, &body)), Err(reject), "{rest:x?}");
    }
}

#[test]
fn ask_that_names_no_bundle_or_another_version_is_refused() {
    let cases: [(&[u8], Reject); 4] = [
        (&[18, 2], Reject::Shape),
        (&[18, 1, 0], Reject::Shape),
        (&[18, 1, 0x40], Reject::Shape),
        (&[18, 1, 1, 1], Reject::CborTrailing),
    ];
    for (bytes, reject) in cases {
        assert_eq!(PlainFrame::decode(bytes, Direction::Up), Err(reject));
    }
}
