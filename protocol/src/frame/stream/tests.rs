//! Bodies in pieces of every size, lengths that lie, answers out of order.

use super::*;
use crate::revision::{BundleNumber, Revision};

fn whole(body: &[u8], step: usize) -> Result<Vec<Deframed>, Reject> {
    let mut deframer = Deframer::new();
    let mut all = Vec::new();
    for piece in body.chunks(step) {
        all.extend(deframer.push(piece)?);
    }
    all.extend(deframer.finish()?);
    Ok(all)
}

fn body_of(frames: &[&[u8]]) -> Vec<u8> {
    let prefixed = frames.iter().map(|frame| prefixed(frame).unwrap());
    prefixed.flatten().collect()
}

#[test]
fn body_in_pieces_of_any_size_gives_the_same_answers() {
    let large = alloc::vec![7; FRAME_BYTES_MAX];
    let body = body_of(&[b"\x0fa", &large, b"\x0fbc"]);
    let wanted: Vec<_> = [&b"\x0fa"[..], &large, b"\x0fbc"]
        .iter()
        .map(|frame| Deframed::Frame(frame.to_vec()))
        .collect();
    for step in [1, 2, 3, 5, 4_096, body.len()] {
        assert_eq!(whole(&body, step).unwrap(), wanted, "{step}");
    }
}

//= spec/postern.md#http-binding type=test
//# A client MUST take a body of a stream whose first byte is not 0 as one frame.
#[test]
fn body_of_one_frame_comes_whole_at_its_end() {
    for step in [1, 3, 64] {
        let given = whole(b"\x16\x18\x64", step).unwrap();
        assert_eq!(given, [Deframed::Whole(b"\x16\x18\x64".to_vec())]);
    }
    let page = whole(b"<html>", 4).unwrap();
    assert_eq!(page, [Deframed::Whole(b"<html>".to_vec())]);
}

//= spec/postern.md#http-binding type=test
//# A client MUST refuse a length of 0 or above 49152 with `oversize` and read nothing behind it.
#[test]
fn length_out_of_range_is_refused_at_once_and_for_good() {
    for length in [0_u32, 49_153, 65_536, 0x00ff_ffff] {
        let mut deframer = Deframer::new();
        let head = length.to_be_bytes();
        let (most, last) = head.split_at(3);
        assert_eq!(deframer.push(most), Ok(Vec::new()), "{length}");
        assert_eq!(deframer.push(last), Err(Reject::Oversize), "{length}");
        let honest = body_of(&[b"\x0fa"]);
        assert_eq!(deframer.push(&honest), Err(Reject::Oversize), "{length}");
        assert_eq!(deframer.finish(), Err(Reject::Shape), "{length}");
    }
}

#[test]
fn length_out_of_range_behind_an_answer_is_refused() {
    let mut body = body_of(&[b"\x0fa"]);
    body.extend([0, 0, 0xc0, 0x01]);
    assert_eq!(whole(&body, 64), Err(Reject::Oversize));
}

#[test]
fn page_without_an_end_is_refused_at_the_bound() {
    let mut deframer = Deframer::new();
    let page = alloc::vec![b'x'; FRAME_BYTES_MAX];
    assert_eq!(deframer.push(&page), Ok(Vec::new()));
    assert_eq!(deframer.push(b"x"), Err(Reject::Oversize));
}

#[test]
fn body_cut_within_an_answer_or_empty_is_refused() {
    let body = body_of(&[b"\x0fab"]);
    for end in 0..body.len() {
        let cut = body.get(..end).unwrap();
        assert_eq!(whole(cut, 64), Err(Reject::Shape), "{end}");
    }
    assert_eq!(whole(&body, 64).map(|frames| frames.len()), Ok(1));
}

#[test]
fn frame_beyond_the_limit_or_none_is_given_no_length() {
    let beyond = alloc::vec![0; FRAME_BYTES_MAX + 1];
    assert_eq!(prefixed(&beyond), Err(Reject::Oversize));
    assert_eq!(prefixed(b"ab").unwrap(), [0, 0, 0, 2, b'a', b'b']);
}

#[test]
fn answers_count_from_0_to_the_last_and_no_further() {
    let mut index = StreamIndex::new(3);
    for wrong in [1, 2, 3, u16::MAX] {
        assert_eq!(index.take(wrong), Err(Reject::StreamOrder));
    }
    for place in 0..3 {
        assert_eq!(index.take(place), Ok(()));
        assert_eq!(index.take(place), Err(Reject::StreamOrder));
    }
    assert_eq!(index.next(), None);
    for wrong in 0..5 {
        assert_eq!(index.take(wrong), Err(Reject::StreamOrder));
    }
    assert_eq!(StreamIndex::new(0).take(0), Err(Reject::StreamOrder));
}

//= spec/postern.md#stream type=test
//# A stream with an interval outside 250..60000, frames outside 1..1024 or a pad above 16384 MUST
//# be refused with `shape`.
//= spec/postern.md#stream type=test
//# A stream of more than 8 frames with an interval below 5000 or a pad above 4096 MUST be refused
//# with `shape`.
#[test]
fn stream_out_of_range_is_refused() {
    let honest = [
        (250, 1, 16_384),
        (60_000, 8, 16_384),
        (5_000, 9, 4_096),
        (60_000, 1_024, 0),
    ];
    for (interval, frames, pad) in honest {
        assert_eq!(check(interval, frames, pad), Ok(()), "{interval} {frames}");
    }
    let refused = [
        (249, 4, 0),
        (0, 4, 0),
        (60_001, 4, 0),
        (u64::MAX, 4, 0),
        (500, 0, 0),
        (5_000, 1_025, 0),
        (500, 4, 16_385),
        (4_999, 9, 0),
        (5_000, 9, 4_097),
        (250, 1_024, 0),
    ];
    for (interval, frames, pad) in refused {
        let found = check(interval, frames, pad);
        assert_eq!(found, Err(Reject::Shape), "{interval} {frames} {pad}");
    }
}

#[test]
fn stream_of_few_answers_is_a_probe() {
    let most = u16::try_from(STREAM_PROBE_FRAMES_MAX).unwrap();
    let stream = |frames| Stream {
        interval_ms: 1_000,
        frames,
        pad: 0,
        heads: Poll {
            hold_s: 0,
            bundle: BundleNumber::new(1),
            acked: None,
            desired: Revision::NONE,
            actual: None,
            receipt: None,
        },
    };
    for (frames, expected) in [(1, true), (most, true), (most + 1, false), (600, false)] {
        assert_eq!(stream(frames).is_probe(), expected, "{frames}");
    }
}
