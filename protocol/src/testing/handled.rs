//! What the test mailbox makes of a frame: an answer, or something that waits for the controller.
//!
//! Refuses to hold a key: what is sealed is sealed by the mailbox.

use crate::frame::{BodyChunk, Poll};
use crate::id::{ChannelId, Digest, Plane, SessionId};
use alloc::vec::Vec;

/// What a frame leads to.
#[derive(Debug)]
pub enum Handled {
    /// Answer with these bytes.
    Answer(Vec<u8>),
    /// Nothing is newer: ask again with the same poll when something may be.
    Held(HeldPoll),
    /// Hand an `enrol` frame to the controller, whose answer is the answer.
    Enrol(Vec<u8>),
    /// Hand the envelopes to the controller, then answer with [`Hop::answer_post`](super::Hop::answer_post).
    Posted(Asked, Vec<Vec<u8>>),
    /// Hand the pieces to the controller, then answer with [`Hop::answer_post`](super::Hop::answer_post).
    Put(Asked, Plane, Vec<Piece>),
    /// Ask the controller for a snapshot, then answer.
    SnapshotWanted(ChannelId, Vec<u8>),
}

/// Whose post or put is to be answered.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The channel.
    pub channel: ChannelId,
    pub(super) of: AskedOf,
}

/// How a mailbox finds the request again: in a session, or by a number of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum AskedOf {
    Session(SessionId, u16),
    Number(u64),
}

impl Asked {
    /// A request that its mailbox knows by a number.
    #[must_use]
    pub const fn numbered(channel: ChannelId, number: u64) -> Self {
        Self {
            channel,
            of: AskedOf::Number(number),
        }
    }

    /// The number; `None` for another mailbox's.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        match self.of {
            AskedOf::Number(number) => Some(number),
            AskedOf::Session(..) => None,
        }
    }
}

/// One piece of a body that a device put.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Digest of the whole body.
    pub digest: Digest,
    /// Bytes of the whole body.
    pub size: u64,
    /// Where this piece begins.
    pub offset: u64,
    /// The piece.
    pub bytes: Vec<u8>,
}

impl Piece {
    /// The piece as frames carry it.
    #[must_use]
    pub fn as_chunk(&self) -> BodyChunk<'_> {
        BodyChunk {
            digest: self.digest,
            size: self.size,
            offset: self.offset,
            bytes: &self.bytes,
        }
    }
}

/// A poll that waits for news.
#[derive(Debug, Clone)]
pub struct HeldPoll {
    /// Its channel.
    pub channel: ChannelId,
    /// Milliseconds that it may wait.
    pub hold_ms: u64,
    pub(super) of: HeldOf,
}

/// How a mailbox finds the poll again: in a session, or by a number of its own.
#[derive(Debug, Clone)]
pub(super) enum HeldOf {
    Session(SessionId, u16, Poll),
    Number(u64),
}

impl HeldPoll {
    /// A poll that its mailbox knows by a number.
    #[must_use]
    pub const fn numbered(channel: ChannelId, hold_ms: u64, number: u64) -> Self {
        Self {
            channel,
            hold_ms,
            of: HeldOf::Number(number),
        }
    }

    /// The number; `None` for another mailbox's.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        match self.of {
            HeldOf::Number(number) => Some(number),
            HeldOf::Session(..) => None,
        }
    }
}
