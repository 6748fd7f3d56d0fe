//! What came back, out of its frame; anything else is the end of the test.
//!
//! Refuses to be part of anything but tests.

use postern_protocol::frame::{Answer, BodyChunk, Collected, Direction, DownFrame, PlainFrame};
use postern_protocol::id::Digest;
use postern_protocol::session::ClientSession;

pub fn open_answer<'a>(session: &ClientSession, counter: u16, frame: &'a [u8]) -> Answer<'a> {
    match session.open_answer(counter, frame).unwrap() {
        DownFrame::Answer(answer) => answer,
        other @ (DownFrame::Bodies(_) | DownFrame::Collected(_) | DownFrame::StreamAnswer(_)) => {
            panic!("{other:?}")
        }
    }
}

pub fn open_collected<'a>(session: &ClientSession, counter: u16, frame: &'a [u8]) -> Collected<'a> {
    match session.open_answer(counter, frame).unwrap() {
        DownFrame::Collected(collected) => collected,
        other @ (DownFrame::Bodies(_) | DownFrame::Answer(_) | DownFrame::StreamAnswer(_)) => {
            panic!("{other:?}")
        }
    }
}

pub fn open_bodies<'a>(
    session: &ClientSession,
    counter: u16,
    frame: &'a [u8],
) -> Vec<BodyChunk<'a>> {
    match session.open_answer(counter, frame).unwrap() {
        DownFrame::Bodies(chunks) => chunks,
        other @ (DownFrame::Collected(_) | DownFrame::Answer(_) | DownFrame::StreamAnswer(_)) => {
            panic!("{other:?}")
        }
    }
}

/// A whole body as one chunk.
pub fn whole(body: &[u8]) -> BodyChunk<'_> {
    BodyChunk {
        digest: Digest::of(body),
        size: body.len() as u64,
        offset: 0,
        bytes: body,
    }
}

/// The code of a refused frame.
pub fn refusal(frame: &[u8]) -> Option<u16> {
    match PlainFrame::decode(frame, Direction::Down) {
        Ok(PlainFrame::Refused { code, .. }) => Some(code),
        Ok(_) | Err(_) => None,
    }
}
