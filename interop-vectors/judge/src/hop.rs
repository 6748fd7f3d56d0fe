//! The operations on bytes of the hop: sizes, answers of HTTP, files.
//!
//! Refuses to read behind the first frame of a file that is refused.

use crate::frames::parse_frame;
use crate::request::{Fault, Given, Outputs, bytes, given, nothing, text, uint, wrong};
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::{Direction, FileFrames, PlainFrame, check_exchange, frame_type};
use serde_json::Value as Json;

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
