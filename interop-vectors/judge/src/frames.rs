//! The operation `frame.parse`: the form of one frame.
//!
//! The tag of a session frame is not checked: a vector of a frame has no session.

use crate::request::{Given, bytes, given, text, wrong};
use postern_protocol::Reject;
use postern_protocol::frame::{
    Direction, FrameKey, FrameType, PlainFrame, SessionFrame, frame_type, seal_down, seal_up,
};
use serde_json::Value as Json;

/// Bytes of a tag at the end of a session frame.
const TAG_BYTES: usize = 8;

/// Parses one frame.
pub(crate) fn parse(request: &Json) -> Given {
    let input = bytes(request, "input")?;
    let direction = match text(request, "direction")? {
        "up" => Direction::Up,
        "down" => Direction::Down,
        "file" => Direction::File,
        _ => return Err(wrong("direction is not up, down or file")),
    };
    let found = parse_frame(&input, direction)?;
    given([
        ("type", found.number().into()),
        ("bytes", input.len().into()),
    ])
}

/// Parses a frame, which must encode to the same bytes again. # Errors: its reject.
pub(crate) fn parse_frame(input: &[u8], direction: Direction) -> Result<FrameType, Reject> {
    let found = frame_type(input)?;
    let is_same = if found.is_in_session() {
        let again = encode_again(input, direction)?;
        let end = input.len().saturating_sub(TAG_BYTES);
        again.get(..end) == input.get(..end)
    } else {
        PlainFrame::decode(input, direction)?.encode()? == input
    };
    if is_same {
        Ok(found)
    } else {
        Err(Reject::Shape)
    }
}

/// Encodes what a session frame holds, under a key that is nobody's.
fn encode_again(input: &[u8], direction: Direction) -> Result<Vec<u8>, Reject> {
    let frame = SessionFrame::split(input, direction)?;
    let body = frame.danger_unverified_body()?;
    let key = FrameKey::from_bytes([0; 32]);
    match direction {
        Direction::Up => seal_up(&key, frame.session(), body.counter(), &body.decode_up()?),
        Direction::Down => seal_down(&key, frame.session(), body.counter(), &body.decode_down()?),
        Direction::File => Err(Reject::FrameDirection),
    }
}
