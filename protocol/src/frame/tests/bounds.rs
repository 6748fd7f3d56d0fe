//! Chunks, fetches and hints at their bounds and beyond.

use super::{SESSION, forge, key, open_down, open_up, poll};
use crate::cbor::Writer;
use crate::frame::{Direction, FrameType, Item, PlainFrame, UpFrame, frame_type, seal_up};
use crate::limits::FRAME_BYTES_MAX;
use crate::reject::Reject;
use alloc::vec;
use alloc::vec::Vec;

#[test]
fn hint_that_asks_for_nothing_or_too_much_is_refused() {
    let row = [&[0x82, 0x58, 32][..], &[0; 32], &[0]].concat();
    let wanted =
        |count: usize| [&[1, 0xa1, 5, 0x80 | count as u8][..], &row.repeat(count)].concat();
    let cases = [
        wanted(0),
        wanted(17),
        vec![1, 0xa1, 6, 0x80],
        vec![1, 0xa1, 6, 0x82, 1, 0],
        vec![1, 0xa1, 6, 0x82, 1, 1],
        vec![1, 0xa1, 6, 0x81, 2],
        vec![1, 0xa1, 7, 0x81, 0],
    ];
    for body in cases {
        assert_eq!(open_down(&forge(1, &body)), Err(Reject::Shape), "{body:x?}");
    }
    assert_eq!(open_down(&forge(1, &wanted(15))), Ok(1));
}

/// A bodies frame with one chunk.
fn bodies(size: u64, offset: u64, length: usize) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.uint(1).array(4).bytes(&[7; 32]).uint(size);
    writer.uint(offset).bytes(&vec![0; length]);
    forge(5, writer.as_bytes())
}

//= spec/postern.md#bodies type=test
//# A chunk MUST hold 1 to 32768 bytes of the body from the offset that it names, else `shape`.
//= spec/postern.md#bodies type=test
//# A device MUST refuse a size above 65536 with `section-oversize`.
//= spec/postern.md#bodies type=test
//# A device MUST refuse an offset plus chunk beyond the size with `shape`.
//= spec/postern.md#limits type=test
//# An implementation MUST accept everything up to a bound and refuse what is beyond it.
//= spec/postern.md#limits type=test
//# Arithmetic on numbers from a peer MUST NOT wrap.
#[test]
fn chunk_outside_its_bounds_is_refused() {
    for (size, offset, length, expected) in [
        (1, 0, 1, Ok(1)),
        (65_536, 32_768, 32_768, Ok(1)),
        (65_536, 65_535, 1, Ok(1)),
        (1, 0, 0, Err(Reject::Shape)),
        (65_536, 0, 32_769, Err(Reject::Shape)),
        (65_537, 0, 1, Err(Reject::SectionOversize)),
        (u64::MAX, 0, 1, Err(Reject::SectionOversize)),
        (10, 10, 1, Err(Reject::Shape)),
        (10, 0, 11, Err(Reject::Shape)),
        (10, u64::MAX, 1, Err(Reject::Shape)),
        (10, u64::MAX, 10, Err(Reject::Shape)),
    ] {
        let found = open_down(&bodies(size, offset, length));
        assert_eq!(found, expected, "{size} {offset} {length}");
    }
}

//= spec/postern.md#fetch type=test
//# A fetch MUST ask for 1 to 16 section bodies by digest, each from a byte offset, else `shape`.
#[test]
fn fetch_of_17_digests_is_refused() {
    let fetch = |count: usize| {
        let mut writer = Writer::new();
        writer.uint(1).uint(0);
        (0..count).for_each(|_| {
            writer.array(2).bytes(&[7; 32]).uint(0);
        });
        open_up(&forge(4, writer.as_bytes()))
    };
    assert_eq!(fetch(16), Ok(1));
    assert_eq!(fetch(17), Err(Reject::Shape));
}

//= spec/postern.md#poll type=test
//# A hold above 300 s MUST be refused with `hold-range`.
#[test]
fn poll_held_for_300_s_is_taken_and_for_longer_refused() {
    for (hold_s, expected) in [(300, Ok(1)), (301, Err(Reject::HoldRange))] {
        let mut body = Writer::new();
        body.uint(1).uint(hold_s).uint(1).null().uint(0).uint(0);
        assert_eq!(open_up(&forge(0, body.as_bytes())), expected, "{hold_s}");
    }
    let UpFrame::Poll(mut longest) = poll(None) else {
        panic!("a poll");
    };
    longest.hold_s = 300;
    assert!(seal_up(&key(), SESSION, 1, &UpFrame::Poll(longest)).is_ok());
}

//= spec/postern.md#frames type=test
//# A frame MUST NOT be larger than 49152 bytes, else `oversize`.
//= spec/postern.md#limits type=test
//# An implementation MUST accept everything up to a bound and refuse what is beyond it.
#[test]
fn frame_of_49152_bytes_is_sealed_and_read_and_one_more_is_oversize() {
    let sealed = |bytes: usize| {
        let envelope = vec![0x40; bytes];
        let item = Item {
            plane: None,
            envelope: &envelope,
        };
        seal_up(&key(), SESSION, 1, &UpFrame::Post(vec![item]))
    };
    let overhead = sealed(40_000).unwrap().len() - 40_000;
    let largest = sealed(FRAME_BYTES_MAX - overhead).unwrap();
    assert_eq!(largest.len(), FRAME_BYTES_MAX);
    assert_eq!(frame_type(&largest), Ok(FrameType::Post));
    let larger = sealed(FRAME_BYTES_MAX - overhead + 1);
    assert_eq!(larger, Err(Reject::Oversize));
}

#[test]
fn frame_type_says_where_such_a_frame_may_stand() {
    for frame_type in FrameType::ALL {
        let number = frame_type.number();
        let is_in_session = number < 14 || number == 15;
        assert_eq!(frame_type.is_in_session(), is_in_session, "{frame_type:?}");
        let is_filed = [14, 16, 17, 23].contains(&number);
        assert_eq!(frame_type.is_filed(), is_filed, "{frame_type:?}");
    }
    let mut words: Vec<_> = FrameType::ALL.iter().map(|it| it.as_str()).collect();
    assert_eq!(
        (words[0], words[14], words[23]),
        ("poll", "filed-body", "posted")
    );
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), FrameType::ALL.len(), "one word for each");
    assert!(words.iter().all(|word| !word.is_empty()));
}

//= spec/postern.md#cbor-profile type=test
//# A decoder MUST report the first error in reading order.
#[test]
fn wrong_cbor_behind_a_wrong_member_is_what_is_reported() {
    // A hold beyond its range, then what is no CBOR of ours.
    for (behind, expected) in [
        ([0xf6, 0x00], Reject::HoldRange),
        ([0xc0, 0x00], Reject::CborTag),
        ([0x18, 0x00], Reject::CborNotShortest),
        ([0x00, 0x18], Reject::CborTruncated),
    ] {
        let body = [&[1, 0x19, 0x01, 0x2d, 1][..], &behind].concat();
        assert_eq!(open_up(&forge(0, &body)), Err(expected), "{behind:x?}");
    }
    let hello = [&[FrameType::Hello.number()][..], &[0x00, 0xc0, 0x00]].concat();
    let refused = PlainFrame::decode(&hello, Direction::Up);
    assert_eq!(refused, Err(Reject::CborTag));
}

//= spec/postern.md#answer type=test
//# An empty hints map, an unknown hint, a URL outside 1 to 512 bytes or a code outside 1..65535
//# MUST be refused with `shape`.
#[test]
fn url_to_move_to_has_1_to_512_bytes() {
    for (bytes, expected) in [
        (1, Ok(1)),
        (512, Ok(1)),
        (0, Err(Reject::Shape)),
        (513, Err(Reject::Shape)),
    ] {
        let mut body = Writer::new();
        body.uint(1).map(1).uint(3).text(&"x".repeat(bytes));
        assert_eq!(open_down(&forge(1, body.as_bytes())), expected, "{bytes}");
    }
}

#[test]
fn key_of_a_session_is_never_shown() {
    assert_eq!(alloc::format!("{:?}", key()), "FrameKey(..)");
}
