//! What comes back from an exchange over HTTP: a frame, a named refusal, or nothing of ours.
//!
//! Login pages, caches and proxies answer too. Only status 200 with a frame that travels down
//! counts; the content type does not, because proxies rewrite it.

use super::{Direction, FrameType, PlainFrame, frame_type};
use crate::reject::Reject;

/// The only status with which a mailbox sends a frame.
const STATUS_OK: u16 = 200;

/// Looks at an HTTP answer before anything in it is believed.
///
/// # Errors
/// `not-postern` for what is no frame that travels down; the reject that a refused frame names,
/// or `overloaded` when its code is of a newer registry. Unsigned: a reason to wait, nothing more.
pub fn check_exchange(status: u16, body: &[u8]) -> Result<FrameType, Reject> {
    //= spec/postern.md#answer
    //# An exchange answered with something that is no frame MUST be counted as `not-postern`.
    let found = frame_type(body).map_err(|_| Reject::NotPostern)?;
    //= spec/postern.md#http-binding
    //# A client MUST take a frame only from an answer with status 200, whatever its content type.
    //= spec/postern.md#answer
    //# A device MUST NOT take an HTTP status, an empty answer or a missing item as news about
    //# state.
    if status != STATUS_OK || found.direction() != Direction::Down {
        return Err(Reject::NotPostern);
    }
    if found != FrameType::Refused {
        return Ok(found);
    }
    match PlainFrame::decode(body, Direction::Down) {
        Ok(PlainFrame::Refused { code, .. }) => {
            Err(Reject::from_code(u64::from(code)).unwrap_or(Reject::Overloaded))
        }
        Ok(
            PlainFrame::Enrol { .. }
            | PlainFrame::Enrolled { .. }
            | PlainFrame::Ask { .. }
            | PlainFrame::Challenge { .. }
            | PlainFrame::Hello { .. }
            | PlainFrame::Welcome { .. }
            | PlainFrame::Posted { .. }
            | PlainFrame::FiledBody { .. },
        )
        | Err(_) => Err(Reject::NotPostern),
    }
}
