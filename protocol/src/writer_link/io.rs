//! The whole vocabulary of a writer's link on one screen.
//!
//! What is not a variant here cannot enter or leave it. Refuses to hold behaviour.

use crate::controller::Post;
use crate::frame::Wanted;
use crate::id::{ChannelId, Digest, Plane};
use crate::kind::MessageKind;
use crate::record::Write;
use crate::reject::Reject;
use crate::revision::{ArrivalNumber, Knock, StoreEpoch};
use alloc::vec::Vec;

/// Ties an exchange to its answer; chosen by the link, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExchangeId(pub u64);

/// What the driver tells the link.
#[derive(Debug)]
pub enum Input<'a> {
    /// Try to open a session.
    Connect,
    /// The next collect may be held this long, in seconds.
    Hold {
        /// Seconds, clamped to what the mailbox wants and to 300.
        seconds: u64,
    },
    /// The bytes that came back for an exchange.
    Answer {
        /// The exchange.
        exchange: ExchangeId,
        /// The frame.
        frame: &'a [u8],
    },
    /// An exchange did not come back.
    Failed {
        /// The exchange.
        exchange: ExchangeId,
    },
    /// Bring this to the mailbox; it takes the place of what is of the same slot and was not brought yet.
    Deliver(Letter),
    /// Answer an enrolment that the mailbox showed as [`Output::Knock`].
    Enrolled {
        /// What the mailbox calls it.
        knock: Knock,
        /// The enrolled frame, or the refused one.
        frame: Vec<u8>,
    },
    /// Fetch these bodies of an actual snapshot that came over this link: 1 to 16 of them.
    Fetch {
        /// The channel.
        channel: ChannelId,
        /// The bodies, and where the next byte of each is missing.
        wanted: Vec<Wanted>,
    },
    /// The mailbox lacks everything of these channels: asked for one at a time with [`Output::RefillWanted`].
    Refill {
        /// The channels.
        channels: Vec<ChannelId>,
    },
    /// Everything of a channel that [`Output::RefillWanted`] asked for was delivered here, or there is nothing of it.
    Refilled {
        /// The channel.
        channel: ChannelId,
    },
    /// What arrived up to here is durable, or was refused for good.
    Taken {
        /// The number of the last.
        arrival: ArrivalNumber,
    },
    /// The moment of [`super::WriterLink::poll_timeout`] came.
    Timeout,
}

/// One envelope for the mailbox, with the bodies that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The channel; `None` for a bundle.
    pub channel: Option<ChannelId>,
    /// The plane that it is about, if it is about one.
    pub plane: Option<Plane>,
    /// The envelope.
    pub envelope: Vec<u8>,
    /// Section bodies by digest, of a snapshot.
    pub bodies: Vec<(Digest, Vec<u8>)>,
}

impl Letter {
    /// The next bundle.
    #[must_use]
    pub const fn bundle(envelope: Vec<u8>) -> Self {
        Self {
            channel: None,
            plane: None,
            envelope,
            bodies: Vec::new(),
        }
    }

    /// What the controller posts for a channel.
    #[must_use]
    pub fn of(channel: ChannelId, post: Post) -> Self {
        let (plane, envelope, bodies) = match post {
            Post::Snapshot { envelope, bodies } => (Some(Plane::Desired), envelope, bodies),
            Post::Delta { envelope }
            | Post::ReportAck { envelope }
            | Post::Heartbeat { envelope } => (Some(Plane::Desired), envelope, Vec::new()),
            Post::Evidence { envelope } => (Some(Plane::Actual), envelope, Vec::new()),
            Post::EnrolAnswer { envelope }
            | Post::PlaneKey { envelope }
            | Post::Admission { envelope } => (None, envelope, Vec::new()),
        };
        Self {
            channel: Some(channel),
            plane,
            envelope,
            bodies,
        }
    }

    /// Bytes that it holds.
    pub(super) fn size_bytes(&self) -> usize {
        let bodies: usize = self.bodies.iter().map(|(_, body)| body.len()).sum();
        self.envelope.len().saturating_add(bodies)
    }
}

/// A piece of a body that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// What the driver does for the link, in order.
#[derive(Debug)]
pub enum Output {
    /// Make durable when convenient: what is lost is collected again.
    Persist(Vec<Write>),
    /// Send this frame and bring back what answers it.
    Exchange {
        /// Answered by this id.
        id: ExchangeId,
        /// The frame.
        frame: Vec<u8>,
        /// Seconds that the answer may take beyond the usual; `None` for an answer at once.
        hold_s: Option<u64>,
    },
    /// Wait, then give [`Input::Connect`].
    Reconnect,
    /// Give the controller what a device, or a mailbox, sent; then [`Input::Taken`].
    Received {
        /// Its number.
        arrival: ArrivalNumber,
        /// The channel that it came for.
        channel: ChannelId,
        /// The envelope. Not verified.
        envelope: Vec<u8>,
    },
    /// Give the controller the frame of an enrolment; then [`Input::Taken`].
    Knock {
        /// Its number.
        arrival: ArrivalNumber,
        /// What [`Input::Enrolled`] answers.
        knock: Knock,
        /// The enrol frame.
        frame: Vec<u8>,
    },
    /// Give the controller pieces of bodies of the actual plane. Not verified.
    Bodies {
        /// The channel that they came for.
        channel: ChannelId,
        /// The pieces.
        pieces: Vec<Piece>,
    },
    /// Nothing could be fetched: the mailbox holds none of the bodies that were asked for.
    NoBodies {
        /// The channel.
        channel: ChannelId,
    },
    /// The mailbox wants a snapshot of the desired plane: let the controller sign one and deliver it.
    SnapshotWanted {
        /// The channel.
        channel: ChannelId,
    },
    /// The mailbox's store is another than the one known: deliver every bundle, then give [`Input::Refill`] with every channel.
    StoreChanged {
        /// The store.
        store: StoreEpoch,
    },
    /// Let the controller hand out everything of this channel for this mailbox.
    RefillWanted {
        /// The channel.
        channel: ChannelId,
    },
    /// Something that people or metrics want to know.
    Event(Event),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A session is open and the mailbox proved its key.
    Connected,
    /// An answer verified: the route works.
    Answered {
        /// The exchange.
        exchange: ExchangeId,
        /// True when a collect brought nothing.
        is_empty: bool,
    },
    /// The mailbox took a letter, with every body that it names.
    Delivered {
        /// The channel; `None` for a bundle.
        channel: Option<ChannelId>,
        /// What it was.
        kind: MessageKind,
    },
    /// The mailbox refused a letter.
    Refused {
        /// The channel; `None` for a bundle.
        channel: Option<ChannelId>,
        /// What it was.
        kind: MessageKind,
        /// Why; `None` for a number of a newer registry.
        reject: Option<Reject>,
    },
    /// The mailbox answered with a refusal instead of a frame of the session.
    RefusedByMailbox {
        /// Why; `None` for a number of a newer registry.
        reject: Option<Reject>,
    },
    /// What the mailbox sent was refused: the session ends.
    Rejected {
        /// Why.
        reject: Reject,
    },
}
