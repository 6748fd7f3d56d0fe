//! What the process that embeds the server must know and do: admit, enrol, take what devices post.
//!
//! The server never calls the host while it holds a lock, so the host may post to the mailbox
//! from within. Each call runs in a task of its own and is never
//! dropped half-way, except with the runtime. Refuses to answer
//! a device before the host has answered.

use crate::exchange::{AdmittedDevice, AdmittedMailbox, AdmittedWriter, Delivered, DeliveredItem};
use crate::mailbox::Chunk;
use postern_protocol::Reject;
use postern_protocol::frame::Wanted;
use postern_protocol::id::{ChannelId, MailboxId, Plane, TenantId};
use postern_protocol::revision::{ArrivalNumber, Knock, ReceiptNumber};
use std::future::Future;
use std::pin::Pin;

/// What the host is still working on.
pub type HostAnswer<T> = Pin<Box<dyn Future<Output = Result<T, Reject>> + Send>>;

/// What the host made of something that it did not refuse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Section bodies that it lacks, each from an offset: the device is asked to put them, 16 at a time.
    pub wanted: Vec<Wanted>,
    /// True when it cannot follow the device's plane: the device is asked for a snapshot.
    pub wants_snapshot: bool,
}

/// The process that embeds the server: the controller, or a relay with its documents.
///
/// When a device is enrolled again, removed or revoked, the host also calls
/// [`Mailbox::remove`](super::Mailbox::remove), [`Mailbox::evict`](super::Mailbox::evict) or
/// [`Mailbox::close_sessions`](super::Mailbox::close_sessions): admission is asked for at the hello only.
pub trait Host: Send + Sync + 'static {
    /// Returns the devices with this channel id that may open a session, at most 4. A key that
    /// the bundle revokes is left out. Called for every hello that the limiter lets pass: it must be quick.
    fn admitted(&self, channel: ChannelId) -> Vec<AdmittedDevice>;

    /// Answers an enrol frame (type 16) with an enrolled frame (type 17), once the enrolment is durable.
    ///
    /// # Errors
    /// The rejects of enrolment; they reach the device in a refused frame (type 22).
    fn enrol(&self, frame: Vec<u8>) -> HostAnswer<Vec<u8>>;

    /// Takes an envelope that the session of this channel posted: verifies it, makes it durable, then answers.
    /// The same envelope may come again.
    ///
    /// # Errors
    /// Any reject; it reaches the device as hint 4 of the answer.
    fn posted(
        &self,
        channel: ChannelId,
        plane: Option<Plane>,
        envelope: Vec<u8>,
    ) -> HostAnswer<Taken>;

    /// Takes pieces of section bodies that an answer of [`Self::posted`] or of this wanted. They
    /// are unsigned: what counts is the digest of the complete body.
    ///
    /// # Errors
    /// Any reject; it reaches the device in a refused frame (type 22).
    fn put(&self, channel: ChannelId, plane: Plane, chunks: Vec<Chunk>) -> HostAnswer<Taken>;

    /// Posts a heartbeat for this channel if it may sign one now, then answers. Called before an
    /// idle answer when the last heartbeat is older than 300 s; whoever is slow is not waited for.
    ///
    /// # Errors
    /// Any reject; the device is answered without a heartbeat.
    fn heartbeat_wanted(&self, channel: ChannelId) -> HostAnswer<()>;

    /// Takes the word of a device that it has the receipt that is kept for it, which may go.
    fn receipt_held(&self, _channel: ChannelId, _receipt: ReceiptNumber) {}

    /// Returns milliseconds until the host may take something again, where it takes nothing now: its store fails,
    /// or is slower than anybody waits for. It must be quick.
    fn unavailable_ms(&self) -> Option<u64> {
        None
    }

    /// Returns the writers with this tenant id that may open a session, none where the host serves
    /// none. A key that the bundle revokes is left out. It must be quick.
    fn writers(&self, _tenant: TenantId) -> Vec<AdmittedWriter> {
        Vec::new()
    }

    /// Returns the mailboxes with this id that may open a session: those that the bundle names, without the
    /// host's own and those whose key is revoked. None where the host serves none. It must be quick.
    fn mailboxes(&self, _mailbox: MailboxId) -> Vec<AdmittedMailbox> {
        Vec::new()
    }

    /// Takes what a mailbox that depends on this one carries here from its devices, as [`Self::posted`] takes it
    /// from a device itself; nothing but the envelopes' own signatures stands for them.
    ///
    /// # Errors
    /// As [`Self::delivered`].
    fn carried(&self, _items: Vec<DeliveredItem>) -> HostAnswer<Delivered> {
        Box::pin(async { Err(Reject::SessionRole) })
    }

    /// Takes pieces of section bodies that an answer to a mailbox wanted.
    ///
    /// # Errors
    /// As [`Self::delivered`].
    fn carried_bodies(
        &self,
        _channel: ChannelId,
        _plane: Plane,
        _chunks: Vec<Chunk>,
    ) -> HostAnswer<Delivered> {
        Box::pin(async { Err(Reject::SessionRole) })
    }

    /// Takes the word of a tenant's writer that it holds everything up to an arrival durably.
    fn read_to(&self, _tenant: TenantId, _arrival: ArrivalNumber) {}

    /// Takes what a tenant's writer delivered, in its order, and makes it durable before it answers.
    /// Refused items are named in the answer.
    ///
    /// # Errors
    /// Any reject, when nothing was taken; it reaches the writer in a refused frame (type 22).
    fn delivered(&self, _tenant: TenantId, _items: Vec<DeliveredItem>) -> HostAnswer<Delivered> {
        Box::pin(async { Err(Reject::SessionRole) })
    }

    /// Takes pieces of section bodies that an answer to a writer wanted.
    ///
    /// # Errors
    /// As [`Self::delivered`].
    fn delivered_bodies(
        &self,
        _tenant: TenantId,
        _channel: ChannelId,
        _plane: Plane,
        _chunks: Vec<Chunk>,
    ) -> HostAnswer<Delivered> {
        Box::pin(async { Err(Reject::SessionRole) })
    }

    /// Takes what a writer answers to an enrolment that is shown as this knock: it is enrolled, or refused.
    ///
    /// # Errors
    /// `knock-unknown`, `shape`.
    fn enrolled(&self, _tenant: TenantId, _knock: Knock, _frame: Vec<u8>) -> HostAnswer<()> {
        Box::pin(async { Err(Reject::KnockUnknown) })
    }
}
