//! Changing one bit of what passes: what an inspecting proxy could do, on purpose.
//!
//! Pure. Touches answer frames only, once for each time it is asked, and never their length.

use postern_protocol::frame::{FrameType, frame_type};

/// One answer to falsify, found by bytes that it carries in the open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::demo) struct Tamper {
    mark: Vec<u8>,
}

impl Tamper {
    /// Waits for an answer that carries `mark`, which must not be empty.
    pub(in crate::demo) fn new(mark: impl Into<Vec<u8>>) -> Self {
        Self { mark: mark.into() }
    }

    /// Flips the lowest bit of the mark's last byte; false when this is not the frame.
    pub(super) fn falsify(&self, frame: &mut [u8]) -> bool {
        if self.mark.is_empty() || !matches!(frame_type(frame), Ok(FrameType::Answer)) {
            return false;
        }
        let windows = frame.windows(self.mark.len());
        let found = windows.enumerate().find(|(_, window)| *window == self.mark);
        let Some(last) = found.map(|(start, _)| start + self.mark.len() - 1) else {
            return false;
        };
        let Some(byte) = frame.get_mut(last) else {
            unreachable!("a window of the frame ends inside the frame");
        };
        *byte ^= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Tamper;

    /// Type 1 is an answer; what follows is not parsed by anybody here.
    fn check(frame: &[u8], mark: &[u8], expected: Option<&[u8]>) {
        let mut falsified = frame.to_vec();
        let is_falsified = Tamper::new(mark).falsify(&mut falsified);
        assert_eq!(is_falsified, expected.is_some(), "{mark:?} in {frame:?}");
        assert_eq!(falsified, expected.unwrap_or(frame));
    }

    #[test]
    fn answer_with_the_mark_loses_one_bit() {
        check(b"\x01..e181.5..", b"181.5", Some(b"\x01..e181.4.."));
        check(b"\x01181.5", b"181.5", Some(b"\x01181.4"));
        check(b"\x01aa", b"a", Some(b"\x01`a"));
    }

    #[test]
    fn other_frames_pass_unchanged() {
        check(b"", b"181.5", None);
        check(b"\x01", b"181.5", None);
        check(b"\x01181.", b"181.5", None);
        check(b"\x01nothing", b"181.5", None);
        check(b"\x00..181.5..", b"181.5", None);
        check(b"\x02..181.5..", b"181.5", None);
        check(b"\x05..181.5..", b"181.5", None);
        check(b"\xff..181.5..", b"181.5", None);
        check(b"<html>181.5", b"181.5", None);
        check(b"\x01181.5", b"", None);
    }
}
