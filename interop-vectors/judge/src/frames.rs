//! The operation `frame.parse`: the form of one frame.
//!
//! The tag of a session frame is not checked: a vector of a frame has no session.

use crate::request::{Given, bytes, given, text, wrong};
use postern_protocol::Reject;
use postern_protocol::frame::{
    Direction, DownFrame, FrameKey, FrameType, PlainFrame, SessionFrame, frame_type, seal_down,
    seal_up,
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
        let (again, padding) = encode_again(input, direction)?;
        let end = input.len().saturating_sub(TAG_BYTES);
        match (again.get(..end), input.get(..end)) {
            (Some(again), Some(input)) => is_same_but_padding(again, input, padding),
            _ => false,
        }
    } else {
        PlainFrame::decode(input, direction)?.encode()? == input
    };
    if is_same {
        Ok(found)
    } else {
        Err(Reject::Shape)
    }
}

/// Tells whether two frames are the same but for padding, which is written as zeros.
fn is_same_but_padding(again: &[u8], input: &[u8], padding: usize) -> bool {
    let mut differing = again.iter().zip(input).filter(|(one, other)| one != other);
    again.len() == input.len()
        && differing.clone().count() <= padding
        && differing.all(|(written, _)| *written == 0)
}

/// Encodes what a session frame holds, under a key that is nobody's; and how many bytes of it mean nothing.
fn encode_again(input: &[u8], direction: Direction) -> Result<(Vec<u8>, usize), Reject> {
    let frame = SessionFrame::split(input, direction)?;
    let body = frame.danger_unverified_body()?;
    let key = FrameKey::from_bytes([0; 32]);
    let (session, counter) = (frame.session(), body.counter());
    match direction {
        Direction::Up => Ok((seal_up(&key, session, counter, &body.decode_up()?)?, 0)),
        Direction::Down => {
            let down = body.decode_down()?;
            let padding = match &down {
                DownFrame::StreamAnswer(answer) => answer.padding.into(),
                DownFrame::Answer(_) | DownFrame::Bodies(_) | DownFrame::Collected(_) => 0,
            };
            Ok((seal_down(&key, session, counter, &down)?, padding))
        }
        Direction::File => Err(Reject::FrameDirection),
    }
}
