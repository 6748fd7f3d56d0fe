//! The operations on bytes of the hop: frames, sizes, answers of HTTP, files.
//!
//! The tag of a session frame is not checked: a vector of a frame has no session.

use crate::request::{Fault, Given, Outputs, bytes, given, nothing, text, uint, wrong};
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::{
    Direction, FileFrames, FrameKey, FrameType, PlainFrame, SessionFrame, check_exchange,
    frame_type, seal_down, seal_up,
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
fn parse_frame(input: &[u8], direction: Direction) -> Result<FrameType, Reject> {
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

/// The size of a message.
pub(crate) fn size(request: &Json) -> Given {
    let input = bytes(request, "input")?;
    match text(request, "form")? {
        "envelope" => ReceivedEnvelope::parse(&input).map(|_| ())?,
        "frame" => {
            let direction = frame_type(&input)?.direction();
            parse_frame(&input, direction)?;
        }
        _ => return Err(wrong("the form is no envelope and no frame")),
    }
    let budget = uint(request, "budget")?;
    if u64::try_from(input.len()).is_ok_and(|size| size > budget) {
        return Err(Reject::Oversize.into());
    }
    given([("bytes", input.len().into())])
}

/// What came back over HTTP.
pub(crate) fn exchange(request: &Json) -> Given {
    let status = u16::try_from(uint(request, "status")?);
    let status = status.map_err(|_| wrong("the status has 16 bits"))?;
    check_exchange(status, &bytes(request, "body")?)?;
    nothing()
}

/// Reads a file frame by frame, up to the first that is refused.
pub(crate) fn file(request: &Json) -> Given {
    let input = bytes(request, "input")?;
    let mut count = 0_u64;
    let mut refusal = None;
    for frame in FileFrames::new(&input) {
        match frame.and_then(|frame| PlainFrame::decode(frame, Direction::File).map(|_| ())) {
            Ok(()) => count += 1,
            Err(reject) => {
                refusal = Some(reject);
                break;
            }
        }
    }
    let outputs = Outputs::from_iter([("frames".to_owned(), count.into())]);
    match refusal {
        Some(reject) => Err(Fault::RefusedWith(reject, outputs)),
        None => Ok(outputs),
    }
}
