//! Chunks, fetches and hints at their bounds and beyond.

use super::{forge, open_down, open_up};
use crate::cbor::Writer;
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
