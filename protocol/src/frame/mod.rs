//! What one exchange carries: a type byte and a CBOR sequence, with or without a session's tag.
//!
//! ```text
//!  bytes --SessionFrame::split--> (type, session id, tag) --verify--> VerifiedBody --> UpFrame | DownFrame
//!  bytes --PlainFrame::decode---> Ask | Challenge | Hello | Welcome | Enrol | Enrolled | Refused
//!  file --FileFrames---> bytes --PlainFrame::decode---> Posted | FiledBody | Enrol | Enrolled
//! ```
//!
//! The body of a session frame is not looked at before its tag verifies. Decoding borrows and
//! allocates only for items that were really read. Refuses frames that travel the wrong way.

mod body;
mod chunk;
mod exchange;
mod file;
mod hints;
mod plain;
mod stream;
mod tagged;
#[cfg(test)]
mod tests;
mod writer;

pub use body::{Answer, DownFrame, Item, Poll, UpFrame};
pub use chunk::{BodyChunk, Wanted};
pub use exchange::check_exchange;
pub use file::{FileFrames, body_frames};
pub use hints::{Hints, Refusal, WantedBody};
pub use plain::PlainFrame;
pub use stream::{Deframed, Deframer, Stream, StreamAnswer, StreamIndex, prefixed};
pub use tagged::{FrameKey, SessionFrame, VerifiedBody, seal_down, seal_up};
pub use writer::{Collect, Collected, Delivery, Entry};

use crate::cbor::Reader;
use crate::limits::FRAME_BYTES_MAX;
use crate::reject::Reject;
use alloc::vec::Vec;

/// Which way a frame travels (spec: #frames).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the client of a mailbox to the mailbox.
    Up,
    /// From the mailbox to its client.
    Down,
    /// In a file, to whoever it is brought to.
    File,
}

/// The first byte of a frame (spec: #frames).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FrameType {
    /// Asks what is newer than the named heads.
    Poll,
    /// Answers a poll, post or need.
    Answer,
    /// Brings envelopes.
    Post,
    /// Asks for a snapshot.
    Need,
    /// Asks for section bodies.
    Fetch,
    /// Brings section bodies.
    Bodies,
    /// Brings section bodies that the other side wants.
    Put,
    /// Asks for what devices posted since an arrival number.
    Collect,
    /// Brings what devices posted.
    Collected,
    /// Brings envelopes for many channels.
    Deliver,
    /// Brings section bodies of one channel.
    DeliverBodies,
    /// Asks for section bodies of one channel.
    FetchBodies,
    /// Brings the answer to an enrolment.
    DeliverEnrolled,
    /// Asks what is newer than the named heads, and for every answer from then on.
    Stream,
    /// Carries a piece of a section body in a file.
    FiledBody,
    /// One of the answers of a stream.
    StreamAnswer,
    /// Asks to enrol a new device key.
    Enrol,
    /// Confirms an enrolment.
    Enrolled,
    /// Asks for a challenge.
    Ask,
    /// Names a challenge and the mailbox's ephemeral key.
    Challenge,
    /// Proves the device's key.
    Hello,
    /// Proves the mailbox's key.
    Welcome,
    /// Refuses without a session: unsigned, advisory.
    Refused,
    /// Carries one envelope of one channel in a file.
    Posted,
}

impl FrameType {
    /// Every frame type, ascending by number.
    pub const ALL: [Self; 24] = [
        Self::Poll,
        Self::Answer,
        Self::Post,
        Self::Need,
        Self::Fetch,
        Self::Bodies,
        Self::Put,
        Self::Collect,
        Self::Collected,
        Self::Deliver,
        Self::DeliverBodies,
        Self::FetchBodies,
        Self::DeliverEnrolled,
        Self::Stream,
        Self::FiledBody,
        Self::StreamAnswer,
        Self::Enrol,
        Self::Enrolled,
        Self::Ask,
        Self::Challenge,
        Self::Hello,
        Self::Welcome,
        Self::Refused,
        Self::Posted,
    ];

    /// Returns the first byte of such a frame.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Poll => 0,
            Self::Answer => 1,
            Self::Post => 2,
            Self::Need => 3,
            Self::Fetch => 4,
            Self::Bodies => 5,
            Self::Put => 6,
            Self::Collect => 7,
            Self::Collected => 8,
            Self::Deliver => 9,
            Self::DeliverBodies => 10,
            Self::FetchBodies => 11,
            Self::DeliverEnrolled => 12,
            Self::Stream => 13,
            Self::FiledBody => 14,
            Self::StreamAnswer => 15,
            Self::Enrol => 16,
            Self::Enrolled => 17,
            Self::Ask => 18,
            Self::Challenge => 19,
            Self::Hello => 20,
            Self::Welcome => 21,
            Self::Refused => 22,
            Self::Posted => 23,
        }
    }

    /// Reads the first byte of a frame. # Errors: `frame-unknown`.
    pub fn from_number(number: u8) -> Result<Self, Reject> {
        Self::ALL
            .into_iter()
            .find(|frame_type| frame_type.number() == number)
            //= spec/postern.md#frames
            //# A receiver MUST refuse an unknown type with `frame-unknown`.
            .ok_or(Reject::FrameUnknown)
    }

    /// Returns the one word for this frame type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Answer => "answer",
            Self::Post => "post",
            Self::Need => "need",
            Self::Fetch => "fetch",
            Self::Bodies => "bodies",
            Self::Put => "put",
            Self::Collect => "collect",
            Self::Collected => "collected",
            Self::Deliver => "deliver",
            Self::DeliverBodies => "deliver-bodies",
            Self::FetchBodies => "fetch-bodies",
            Self::DeliverEnrolled => "deliver-enrolled",
            Self::Stream => "stream",
            Self::FiledBody => "filed-body",
            Self::StreamAnswer => "stream-answer",
            Self::Enrol => "enrol",
            Self::Enrolled => "enrolled",
            Self::Ask => "ask",
            Self::Challenge => "challenge",
            Self::Hello => "hello",
            Self::Welcome => "welcome",
            Self::Refused => "refused",
            Self::Posted => "posted",
        }
    }

    /// Returns the way such a frame travels; [`Self::is_filed`] tells which may also stand in a file.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Poll
            | Self::Post
            | Self::Need
            | Self::Fetch
            | Self::Put
            | Self::Collect
            | Self::Deliver
            | Self::DeliverBodies
            | Self::FetchBodies
            | Self::DeliverEnrolled
            | Self::Stream
            | Self::Enrol
            | Self::Ask
            | Self::Hello => Direction::Up,
            Self::Answer
            | Self::Bodies
            | Self::Collected
            | Self::StreamAnswer
            | Self::Enrolled
            | Self::Challenge
            | Self::Welcome
            | Self::Refused => Direction::Down,
            Self::Posted | Self::FiledBody => Direction::File,
        }
    }

    /// Tells whether such a frame carries a session id and a tag.
    #[must_use]
    pub const fn is_in_session(self) -> bool {
        self.number() < Self::FiledBody.number() || matches!(self, Self::StreamAnswer)
    }

    /// Tells whether such a frame may stand in a file (spec: #file-binding).
    #[must_use]
    pub const fn is_filed(self) -> bool {
        matches!(
            self,
            Self::Posted | Self::FiledBody | Self::Enrol | Self::Enrolled
        )
    }

    //= spec/postern.md#frames
    //# A receiver MUST refuse a type that does not travel in this direction with `frame-direction`.
    fn check_direction(self, expected: Direction) -> Result<(), Reject> {
        if self.direction() == expected || (expected == Direction::File && self.is_filed()) {
            Ok(())
        } else {
            Err(Reject::FrameDirection)
        }
    }
}

/// Tells what a frame is, from its size and first byte.
///
/// # Errors
/// `oversize` above the frame limit, `shape` for no bytes, `frame-unknown`.
pub fn frame_type(bytes: &[u8]) -> Result<FrameType, Reject> {
    //= spec/postern.md#frames
    //# A frame MUST NOT be larger than 49152 bytes, else `oversize`.
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(Reject::Oversize);
    }
    //= spec/postern.md#frames
    //# A frame without a type byte, or a session frame without room for session id and tag, MUST be
    //# refused with `shape`.
    let first = bytes.first().ok_or(Reject::Shape)?;
    FrameType::from_number(*first)
}

/// Tells what the first frame of a file is. # Errors: `frame-unknown`; `frame-direction` for one that no file holds.
fn check_file_type(bytes: &[u8]) -> Result<FrameType, Reject> {
    let first = bytes.first().ok_or(Reject::Shape)?;
    let found = FrameType::from_number(*first)?;
    found.check_direction(Direction::File).map(|()| found)
}

/// Runs a typed decoder over a whole CBOR sequence.
///
/// A CBOR reject anywhere in the sequence outranks what the decoder met first, as in
/// [`decode_all`](crate::cbor::decode_all); items after the last one wanted are `cbor-trailing`.
fn decode_sequence<'a, T>(
    input: &'a [u8],
    decode: impl FnOnce(&mut Reader<'a>) -> Result<T, Reject>,
) -> Result<T, Reject> {
    let mut reader = Reader::new(input);
    //= spec/postern.md#frames
    //# A body that goes on after its last item MUST be refused with `cbor-trailing`, where a
    //# further member of a list is judged as one.
    //= spec/postern.md#frames
    //# A body that ends before its last required item MUST be refused with `cbor-truncated`, where
    //# a list of one or more that is empty is `shape`.
    let decoded = decode(&mut reader).and_then(|value| reader.finish().map(|()| value));
    decoded.map_err(|reject| first_cbor_reject(input).unwrap_or(reject))
}

fn first_cbor_reject(input: &[u8]) -> Option<Reject> {
    let mut reader = Reader::new(input);
    while !reader.is_at_end() {
        if let Err(reject) = reader.item() {
            return Some(reject);
        }
    }
    None
}

/// Refuses to hand out a frame that no peer would take.
fn check_size(bytes: Vec<u8>) -> Result<Vec<u8>, Reject> {
    if bytes.len() > FRAME_BYTES_MAX {
        Err(Reject::Oversize)
    } else {
        Ok(bytes)
    }
}
