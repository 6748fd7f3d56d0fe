//! A poll whose answer goes on: what it asks, its answers, their order, and how they lie in one body.
//!
//! ```text
//!   length(4) frame length(4) frame ... --Deframer--> frame --tag--> StreamAnswer --StreamIndex--> taken
//! ```
//!
//! Refuses a frame beyond its bound as soon as its length is known, and an answer out of its order.

use super::Answer;
use super::body::{Poll, read_heads, write_heads};
use crate::cbor::{Reader, Writer};
use crate::limits::{
    FRAME_BYTES_MAX, STREAM_FRAMES_MAX, STREAM_INTERVAL_MS_LONG, STREAM_INTERVAL_MS_MAX,
    STREAM_INTERVAL_MS_MIN, STREAM_PAD_BYTES_LONG, STREAM_PAD_BYTES_MAX, STREAM_PROBE_FRAMES_MAX,
};
use crate::reject::Reject;
use alloc::vec::Vec;

/// Bytes in front of each answer in a body.
const LENGTH_BYTES: usize = 4;

/// Asks what is newer than what is held, from now on (spec: #stream).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Milliseconds after which an idle mailbox answers, 250..=60000; from 5000 where it is no probe.
    pub interval_ms: u16,
    /// Answers that are taken at most, 1..=1024; at most 8 are a probe.
    pub frames: u16,
    /// Bytes to which each answer is filled up, 0..=4096; 16384 for a probe.
    pub pad: u16,
    /// What is held. Its hold is not sent, and 0.
    pub heads: Poll,
}

/// One of the answers of a stream (spec: #stream).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamAnswer<'a> {
    /// Its place, from 0.
    pub index: u16,
    /// Milliseconds from the request to this answer, by the mailbox's clock.
    pub age_ms: u64,
    /// Bytes that mean nothing, 0..=16384.
    pub padding: u16,
    /// What it says.
    pub answer: Answer<'a>,
}

impl Stream {
    /// Tells whether it is short enough to be a probe of the way.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        u64::from(self.frames) <= STREAM_PROBE_FRAMES_MAX
    }

    /// Refuses what no mailbox would take. # Errors: `shape`.
    pub(super) fn check(&self) -> Result<(), Reject> {
        check(self.interval_ms.into(), self.frames.into(), self.pad.into())
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Reject> {
        let (interval_ms, frames, pad) = (reader.uint()?, reader.uint()?, reader.uint()?);
        check(interval_ms, frames, pad)?;
        let narrow = |number: u64| u16::try_from(number).map_err(|_| Reject::Shape);
        Ok(Self {
            interval_ms: narrow(interval_ms)?,
            frames: narrow(frames)?,
            pad: narrow(pad)?,
            heads: read_heads(reader)?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .uint(self.interval_ms.into())
            .uint(self.frames.into())
            .uint(self.pad.into());
        write_heads(writer, &self.heads);
    }
}

fn check(interval_ms: u64, frames: u64, pad: u64) -> Result<(), Reject> {
    //= spec/postern.md#stream
    //# A stream with an interval outside 250..60000, frames outside 1..1024 or a pad above 16384 MUST
    //# be refused with `shape`.
    let is_within = (STREAM_INTERVAL_MS_MIN..=STREAM_INTERVAL_MS_MAX).contains(&interval_ms)
        && (1..=STREAM_FRAMES_MAX).contains(&frames)
        && pad <= STREAM_PAD_BYTES_MAX;
    //= spec/postern.md#stream
    //# A stream of more than 8 frames with an interval below 5000 or a pad above 4096 MUST be refused
    //# with `shape`.
    let is_modest = frames <= STREAM_PROBE_FRAMES_MAX
        || (interval_ms >= STREAM_INTERVAL_MS_LONG && pad <= STREAM_PAD_BYTES_LONG);
    if is_within && is_modest {
        Ok(())
    } else {
        Err(Reject::Shape)
    }
}

impl<'a> StreamAnswer<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Reject> {
        let (index, age_ms) = (reader.uint()?, reader.uint()?);
        let padding = reader.bytes()?.len();
        let padding = u16::try_from(padding).ok();
        let padding = padding.filter(|bytes| u64::from(*bytes) <= STREAM_PAD_BYTES_MAX);
        if index >= STREAM_FRAMES_MAX {
            return Err(Reject::Shape);
        }
        Ok(Self {
            index: u16::try_from(index).map_err(|_| Reject::Shape)?,
            age_ms,
            padding: padding.ok_or(Reject::Shape)?,
            answer: Answer::read(reader)?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .uint(self.index.into())
            .uint(self.age_ms)
            .bytes(&alloc::vec![0; self.padding.into()]);
        self.answer.write(writer);
    }
}

/// Which answer of a stream comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamIndex {
    next: u16,
    frames: u16,
}

impl StreamIndex {
    /// Begins in front of the first of so many answers.
    #[must_use]
    pub const fn new(frames: u16) -> Self {
        Self { next: 0, frames }
    }

    /// The place of the next answer; `None` behind the last.
    #[must_use]
    pub const fn next(&self) -> Option<u16> {
        if self.next < self.frames {
            Some(self.next)
        } else {
            None
        }
    }

    //= spec/postern.md#stream
    //# A device MUST refuse an answer whose index is not the next one with `stream-order`.
    /// Takes the place of an answer that verified. # Errors: `stream-order` for a gap, a repeat, or one behind the last.
    pub fn take(&mut self, index: u16) -> Result<(), Reject> {
        if self.next() != Some(index) {
            return Err(Reject::StreamOrder);
        }
        self.next = self.next.saturating_add(1);
        Ok(())
    }
}

/// Puts the length of an answer in front of it. # Errors: `oversize` above the frame limit.
pub fn prefixed(frame: &[u8]) -> Result<Vec<u8>, Reject> {
    let length = u32::try_from(frame.len()).map_err(|_| Reject::Oversize)?;
    if frame.len() > FRAME_BYTES_MAX {
        return Err(Reject::Oversize);
    }
    let mut bytes = Vec::with_capacity(frame.len().saturating_add(LENGTH_BYTES));
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(frame);
    Ok(bytes)
}

/// What stands in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deframed {
    /// An answer of a stream.
    Frame(Vec<u8>),
    /// The whole body: no stream, but one frame or something that is none of ours.
    Whole(Vec<u8>),
}

/// Takes the answers out of a body, piece by piece. Holds one frame at most.
#[derive(Debug, Default)]
pub struct Deframer {
    bytes: Vec<u8>,
    is_single: bool,
    has_begun: bool,
    is_over: bool,
}

impl Deframer {
    /// Begins with nothing read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the body, and gives the answers that are whole by now.
    ///
    /// # Errors
    /// `oversize` for a length of 0 or above the frame limit, or for one frame beyond it; from then on always.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<Vec<Deframed>, Reject> {
        let mut frames = Vec::new();
        if self.is_over {
            return Err(Reject::Oversize);
        }
        if let (false, Some(first)) = (self.has_begun, piece.first()) {
            self.has_begun = true;
            //= spec/postern.md#http-binding
            //# A client MUST take a body of a stream whose first byte is not 0 as one frame.
            self.is_single = *first != 0;
        }
        while !piece.is_empty() {
            let wanted = self.wanted()?;
            let (taken, rest) = piece.split_at_checked(wanted).unwrap_or((piece, &[]));
            self.bytes.extend_from_slice(taken);
            piece = rest;
            if let Some(length) = self.length()?
                && self.bytes.len() == length.saturating_add(LENGTH_BYTES)
            {
                frames.push(Deframed::Frame(self.bytes.split_off(LENGTH_BYTES)));
                self.bytes.clear();
            }
        }
        Ok(frames)
    }

    /// The body ended. Gives the one frame of a body that is no stream.
    ///
    /// # Errors
    /// `shape` for a body that ends within a frame or holds nothing.
    pub fn finish(self) -> Result<Option<Deframed>, Reject> {
        if self.is_single {
            return Ok(Some(Deframed::Whole(self.bytes)));
        }
        if self.has_begun && self.bytes.is_empty() && !self.is_over {
            Ok(None)
        } else {
            Err(Reject::Shape)
        }
    }

    /// How many bytes belong to what is read now, at least 1. # Errors: `oversize`.
    fn wanted(&mut self) -> Result<usize, Reject> {
        let end = if self.is_single {
            FRAME_BYTES_MAX
        } else {
            self.length()?
                .map_or(LENGTH_BYTES, |length| length.saturating_add(LENGTH_BYTES))
        };
        let wanted = end.checked_sub(self.bytes.len()).filter(|left| *left > 0);
        if wanted.is_none() {
            self.is_over = true;
        }
        wanted.ok_or(Reject::Oversize)
    }

    /// The length of the frame that is read, once it is there. # Errors: `oversize`.
    fn length(&mut self) -> Result<Option<usize>, Reject> {
        let head = self.bytes.first_chunk::<LENGTH_BYTES>();
        let Some(head) = head.filter(|_| !self.is_single) else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        //= spec/postern.md#http-binding
        //# A client MUST refuse a length of 0 or above 49152 with `oversize` and read nothing behind it.
        if length == 0 || length > FRAME_BYTES_MAX {
            self.is_over = true;
            return Err(Reject::Oversize);
        }
        Ok(Some(length))
    }
}

#[cfg(test)]
mod tests;
