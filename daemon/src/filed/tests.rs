//! Files frame by frame: bounds, broken ends, private names.

use super::limits::FILE_BYTES_MAX;
use super::{FrameReader, write};
use postern_protocol::frame::PlainFrame;
use postern_protocol::id::ChannelId;
use postern_protocol::limits::FRAME_BYTES_MAX;
use postern_protocol::reject::Reject;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;

fn frame() -> Vec<u8> {
    let posted = PlainFrame::Posted {
        channel: ChannelId::from_bytes([1; 16]),
        plane: None,
        envelope: &[0x84, 0x40, 0xa0, 0x40, 0x40],
    };
    posted.encode().unwrap()
}

/// Reads a source to its end: how many frames were good, and what ended the reading.
fn read(source: impl Read) -> (usize, Option<Reject>) {
    let mut reader = FrameReader::new(source);
    let mut good = 0;
    while let Some(next) = reader.next_frame().unwrap() {
        match next {
            Ok(found) => {
                assert_eq!(found, frame());
                good += 1;
            }
            Err(reject) => return (good, Some(reject)),
        }
    }
    (good, None)
}

#[test]
fn frames_in_a_row_are_read_one_by_one() {
    let many = frame().repeat(10_000);
    assert!(many.len() > 4 * FRAME_BYTES_MAX);
    assert_eq!(read(many.as_slice()), (10_000, None));
}

#[test]
fn file_that_is_cut_off_or_goes_on_with_something_else_is_refused_there() {
    let two = frame().repeat(2);
    for end in 1..frame().len() {
        let cut = &two[..frame().len() + end];
        assert_eq!(read(cut), (1, Some(Reject::CborTruncated)), "{end}");
    }
    let poll = [two.clone(), vec![0]].concat();
    assert_eq!(read(poll.as_slice()), (2, Some(Reject::FrameDirection)));
    let garbage = [two, vec![0xff]].concat();
    assert_eq!(read(garbage.as_slice()), (2, Some(Reject::FrameUnknown)));
}

#[test]
fn frame_above_the_limit_is_oversize_and_not_held() {
    // Type 23, then a byte string of 2^32 - 1 bytes that never ends.
    let head = [23, 0x5a, 0xff, 0xff, 0xff, 0xff];
    let endless = head.as_slice().chain(std::io::repeat(7));
    assert_eq!(read(endless), (0, Some(Reject::Oversize)));
}

/// The same frame without end, in any number of bytes.
struct Endless(Vec<u8>, usize);

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        for byte in into.iter_mut() {
            *byte = self.0[self.1 % self.0.len()];
            self.1 += 1;
        }
        Ok(into.len())
    }
}

#[test]
fn source_without_end_is_refused_at_the_limit() {
    // Large frames, so that the limit is reached soon.
    let mut envelope = vec![0x84, 0x40, 0xa0, 0x59, 0xbf, 0x00];
    envelope.extend(vec![0; 0xbf00]);
    envelope.push(0x40);
    let posted = PlainFrame::Posted {
        channel: ChannelId::from_bytes([1; 16]),
        plane: None,
        envelope: &envelope,
    };
    let mut reader = FrameReader::new(Endless(posted.encode().unwrap(), 0));
    let mut last = None;
    while let Some(next) = reader.next_frame().unwrap() {
        last = Some(next.map(|found| found.len()));
    }
    assert!(matches!(
        last,
        Some(Err(Reject::Oversize | Reject::CborTruncated))
    ));
    assert!(reader.position() <= FILE_BYTES_MAX + FRAME_BYTES_MAX as u64);
}

#[test]
fn written_file_is_private_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.down");
    write(&file, &[frame(), frame()], false).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), frame().repeat(2));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn file_that_exists_is_kept_without_force() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.down");
    std::fs::write(&file, "mine").unwrap();
    let error = write(&file, &[frame()], false).unwrap_err();
    assert_eq!(error.name, "file-exists");
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    write(&file, &[frame()], true).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), frame());
}

#[test]
fn file_in_a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none/a.down");
    let error = write(&file, &[frame()], false).unwrap_err();
    assert_eq!(error.name, "file-not-written");
    assert!(error.message.contains("a.down"));
}
