//! A file as a row of frames: each begins with its type, which is also a CBOR integer.
//!
//! ```text
//!  file --FileFrames--> frame, frame, ... --PlainFrame::decode--> Posted | FiledBody | Enrol | Enrolled
//! ```
//!
//! Refuses to resynchronise: behind a frame whose end cannot be found there is nothing.

#[cfg(test)]
mod tests;

use super::{BodyChunk, FrameType, PlainFrame, check_file_type};
use crate::cbor::Reader;
use crate::envelope::TAG_SIGN1;
use crate::id::{ChannelId, Digest, Plane};
use crate::limits::{BODY_CHUNK_BYTES_MAX, FRAME_BYTES_MAX};
use crate::reject::Reject;
use alloc::vec::Vec;

/// Cuts section bodies, each with the digest under which it travels, into frames of type 14.
///
/// # Errors
/// None that can occur with these sizes; the type is that of every encoder.
pub fn body_frames<'b>(
    channel: ChannelId,
    plane: Plane,
    bodies: impl IntoIterator<Item = (Digest, &'b [u8])>,
) -> Result<Vec<Vec<u8>>, Reject> {
    let mut frames = Vec::new();
    for (digest, body) in bodies {
        for (place, bytes) in body.chunks(BODY_CHUNK_BYTES_MAX).enumerate() {
            let filed = PlainFrame::FiledBody {
                channel,
                plane,
                chunk: BodyChunk {
                    digest,
                    size: body.len() as u64,
                    offset: (place * BODY_CHUNK_BYTES_MAX) as u64,
                    bytes,
                },
            };
            frames.push(filed.encode()?);
        }
    }
    Ok(frames)
}

/// The frames of a file, in order; ends after the first that cannot be told apart (spec: #file-binding).
#[derive(Debug, Clone)]
pub struct FileFrames<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> FileFrames<'a> {
    /// Begins at the first byte of a file.
    #[must_use]
    pub const fn new(file: &'a [u8]) -> Self {
        Self {
            rest: file,
            position: 0,
        }
    }

    /// Bytes of the file before the next frame, or before the byte at which reading stopped.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Finds the end of the first frame of what is left.
    fn measure(&self) -> Result<usize, (Reject, usize)> {
        let found = check_file_type(self.rest).map_err(|reject| (reject, 0))?;
        let items = match found {
            FrameType::Posted | FrameType::FiledBody | FrameType::Enrol => 3,
            FrameType::Enrolled => 2,
            FrameType::Poll
            | FrameType::Answer
            | FrameType::Post
            | FrameType::Need
            | FrameType::Fetch
            | FrameType::Bodies
            | FrameType::Put
            | FrameType::Collect
            | FrameType::Collected
            | FrameType::Deliver
            | FrameType::DeliverBodies
            | FrameType::FetchBodies
            | FrameType::DeliverEnrolled
            | FrameType::Stream
            | FrameType::StreamAnswer
            | FrameType::Ask
            | FrameType::Challenge
            | FrameType::Hello
            | FrameType::Welcome
            //= spec/files.md#file-binding
            //# A reader of a file MUST refuse a frame of another type with `frame-direction`, or
            //# `frame-unknown` where no frame has it, and read nothing behind it.
            | FrameType::Refused => return Err((Reject::FrameDirection, 0)),
        };
        let mut at = 1;
        for place in 1..=items {
            if found == FrameType::Posted && place == items {
                if self.rest.get(at).is_some_and(|first| *first != TAG_SIGN1) {
                    let mut untagged = Reader::new(self.rest.get(at..).unwrap_or_default());
                    // Another tag is told as such.
                    return Err((untagged.item().err().unwrap_or(Reject::Shape), at));
                }
                at += usize::from(at < self.rest.len());
            }
            let mut reader = Reader::new(self.rest.get(at..).unwrap_or_default());
            match reader.item() {
                Ok(item) => at += item.len(),
                Err(reject) => return Err((reject, at + reader.position())),
            }
        }
        if at > FRAME_BYTES_MAX {
            return Err((Reject::Oversize, at));
        }
        Ok(at)
    }
}

impl<'a> Iterator for FileFrames<'a> {
    type Item = Result<&'a [u8], Reject>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match self.measure() {
            Ok(length) => {
                let (frame, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                self.position += length;
                Some(Ok(frame))
            }
            Err((reject, at)) => {
                self.rest = &[];
                self.position += at;
                Some(Err(reject))
            }
        }
    }
}
