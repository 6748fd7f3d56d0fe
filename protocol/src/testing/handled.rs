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
    /// Hand the envelopes to the controller, then answer with [`TestMailbox::answer_post`].
    Posted(Asked, Vec<Vec<u8>>),
    /// Hand the pieces to the controller, then answer with [`TestMailbox::answer_post`].
    Put(Asked, Plane, Vec<Piece>),
    /// Ask the controller for a snapshot, then answer.
    SnapshotWanted(ChannelId, Vec<u8>),
}

/// Whose post or put is to be answered.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The channel.
    pub channel: ChannelId,
    pub(super) session: SessionId,
    pub(super) counter: u16,
}

/// One piece of a body that a device put.
#[derive(Debug, Clone)]
pub struct Piece {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
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
    /// Seconds that it may wait.
    pub hold_s: u16,
    pub(super) session: SessionId,
    pub(super) counter: u16,
    pub(super) poll: Poll,
}
