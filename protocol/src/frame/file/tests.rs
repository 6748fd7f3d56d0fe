//! Files: frames in a row, and where a broken one ends the reading.

use super::FileFrames;
use crate::frame::{BodyChunk, Direction, FrameType, PlainFrame};
use crate::id::{ChannelId, Digest, Plane, TokenId};
use crate::limits::FRAME_BYTES_MAX;
use crate::reject::Reject;
use alloc::vec;
use alloc::vec::Vec;

const ENVELOPE: &[u8] = &[0x84, 0x40, 0xa0, 0x40, 0x40];

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
fn filed_frames_survive_encoding() {
    let channel = ChannelId::from_bytes([1; 16]);
    let frames = [
        (
            Direction::File,
            PlainFrame::FiledBody {
                channel,
                plane: Plane::Actual,
                chunk: BodyChunk {
                    digest: Digest::of(b"body"),
                    size: 4,
                    offset: 0,
                    bytes: b"body",
                },
            },
        ),
        (
            Direction::File,
            PlainFrame::Enrolled {
                bundles: vec![ENVELOPE],
                answer: ENVELOPE,
            },
        ),
        (
            Direction::File,
            PlainFrame::Posted {
                channel,
                plane: None,
                envelope: ENVELOPE,
            },
        ),
    ];
    for (direction, frame) in frames {
        let bytes = frame.encode().unwrap();
        assert_eq!(PlainFrame::decode(&bytes, direction), Ok(frame));
    }
}

/// One frame of each type that a file may hold.
fn file_frames() -> [Vec<u8>; 4] {
    let channel = ChannelId::from_bytes([1; 16]);
    let frames = [
        PlainFrame::Posted {
            channel,
            plane: None,
            envelope: ENVELOPE,
        },
        PlainFrame::FiledBody {
            channel,
            plane: Plane::Desired,
            chunk: chunk(0, b"body"),
        },
        PlainFrame::Enrol {
            token: TokenId::from_bytes([2; 8]),
            mac: [3; 32],
            request: ENVELOPE,
        },
        PlainFrame::Enrolled {
            bundles: vec![ENVELOPE],
            answer: ENVELOPE,
        },
    ];
    frames.map(|frame| frame.encode().unwrap())
}

#[test]
fn file_falls_into_its_frames() {
    let frames = file_frames();
    let file = frames.concat();
    let found: Result<Vec<_>, _> = FileFrames::new(&file).collect();
    assert_eq!(found.unwrap(), frames.each_ref().map(Vec::as_slice));
    for frame in &frames {
        assert!(PlainFrame::decode(frame, Direction::File).is_ok());
    }
    assert_eq!(FileFrames::new(&[]).next(), None);
}

//= spec/files.md#file-binding type=test
//# A reader of a file MUST refuse a frame of another type with `frame-direction`, or
//# `frame-unknown` where no frame has it, and read nothing behind it.
#[test]
fn file_that_is_broken_ends_there() {
    let frames = file_frames();
    let cases = [
        (vec![18, 1], Reject::FrameDirection, 0),
        (vec![0, 1], Reject::FrameDirection, 0),
        (vec![99], Reject::FrameUnknown, 0),
        (vec![23], Reject::CborTruncated, 1),
        (vec![23, 0x40, 0xf6], Reject::CborTruncated, 3),
        (vec![23, 0x40, 0xf6, 0x84], Reject::CborTruncated, 3),
        (vec![23, 0x40, 0xf6, 0x05], Reject::Shape, 3),
        (vec![23, 0x40, 0xf6, 0xd1, 0x40], Reject::CborTag, 3),
        (vec![16, 0x40, 0x18, 1], Reject::CborNotShortest, 4),
    ];
    for (broken, reject, at) in cases {
        let file = [frames[0].clone(), broken.clone()].concat();
        let mut found = FileFrames::new(&file);
        assert_eq!(found.next(), Some(Ok(&frames[0][..])));
        let (next, position) = (found.next(), found.position());
        assert_eq!(next, Some(Err(reject)), "{broken:x?}");
        assert!(position >= frames[0].len() + at, "{broken:x?}");
        assert_eq!(found.next(), None);
    }
}

//= spec/postern.md#frames type=test
//# A frame MUST NOT be larger than 49152 bytes, else `oversize`.
#[test]
fn frame_of_49152_bytes_is_read_from_a_file_and_one_more_is_oversize() {
    let posted = |bytes: usize| {
        let mut writer = crate::cbor::Writer::new();
        writer.bytes(&[1; 16]).null();
        let mut frame = [&[FrameType::Posted.number()][..], writer.as_bytes()].concat();
        let mut envelope = crate::cbor::Writer::new();
        envelope
            .array(4)
            .bytes(&[])
            .map(0)
            .bytes(&[])
            .bytes(&vec![0; bytes]);
        frame.push(0xd2);
        frame.extend_from_slice(envelope.as_bytes());
        frame
    };
    let overhead = posted(40_000).len() - 40_000;
    let largest = posted(FRAME_BYTES_MAX - overhead);
    let read: Vec<_> = FileFrames::new(&largest).collect();
    assert_eq!(read, [Ok(&largest[..])]);
    let larger = posted(FRAME_BYTES_MAX - overhead + 1);
    let read: Vec<_> = FileFrames::new(&larger).collect();
    assert_eq!(read, [Err(Reject::Oversize)]);
}

#[test]
fn file_that_ends_before_an_envelope_stopped_at_its_end() {
    // Type, channel, no plane, and nothing behind them.
    let mut bytes = vec![FrameType::Posted.number(), 0x50];
    bytes.extend([1; 16]);
    bytes.push(0xf6);
    let mut frames = FileFrames::new(&bytes);
    assert_eq!(frames.next(), Some(Err(Reject::CborTruncated)));
    assert_eq!(frames.position(), bytes.len());
}
