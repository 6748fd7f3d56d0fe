//! The controller's whole vocabulary on one screen.
//!
//! What is not a variant here cannot enter or leave the engine. Refuses to hold behaviour.

use crate::enrol::JoinSecret;
use crate::id::{Channel, ChannelId, DeviceName, Digest, Incarnation, Tenant, TokenId};
use crate::key::PublicKey;
use crate::message::Report;
use crate::record::Write;
use crate::reject::Reject;
use crate::revision::{Epoch, Generation, Revision, Seq};
use crate::state::Change;
use alloc::vec::Vec;

/// Ties an operator's request to its answer; chosen by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What the driver tells the controller.
#[derive(Debug)]
pub enum Input<'a> {
    /// The process started: open an epoch and offer every member a snapshot.
    Start,
    /// The operator invites a device.
    Invite {
        /// Answered by this ticket.
        ticket: Ticket,
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// Public id of the invitation.
        token: TokenId,
        /// What the device will prove; never travels.
        secret: JoinSecret,
    },
    /// The operator decides; all changes together are one decision.
    Decide {
        /// Answered by this ticket.
        ticket: Ticket,
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// What changes, in any order.
        changes: Vec<Change>,
    },
    /// A mailbox hands over an envelope of a channel.
    Received {
        /// The channel that it came for.
        channel: ChannelId,
        /// The bytes.
        envelope: &'a [u8],
    },
    /// A mailbox hands over an `enrol` frame.
    Enrol {
        /// Answered by this ticket.
        ticket: Ticket,
        /// The frame.
        frame: &'a [u8],
    },
    /// A mailbox has a gap or too long a chain.
    SnapshotWanted {
        /// The channel.
        channel: ChannelId,
    },
}

/// What the driver does for the controller, in order.
#[derive(Debug)]
pub enum Output {
    /// Make durable before anything behind this leaves the process.
    Persist(Vec<Write>),
    /// The mailbox may serve this device now.
    Admit {
        /// The channel.
        channel: Channel,
        /// The device's life.
        incarnation: Incarnation,
        /// The device's key.
        key: PublicKey,
    },
    /// Hand to every mailbox of the device.
    Post {
        /// The channel.
        channel: ChannelId,
        /// Generation of the key that signed it.
        generation: Generation,
        /// What is posted.
        post: Post,
    },
    /// Answer an `enrol` frame.
    Answer {
        /// The request's ticket.
        ticket: Ticket,
        /// The frame to answer with.
        frame: Vec<u8>,
    },
    /// Something that people or metrics want to know.
    Event(Event),
}

/// A sealed envelope for a mailbox.
#[derive(Debug, Clone)]
pub enum Post {
    /// The next contiguous change.
    Delta {
        /// The envelope.
        envelope: Vec<u8>,
    },
    /// A whole state: the signed table and the bodies that it names.
    Snapshot {
        /// The envelope.
        envelope: Vec<u8>,
        /// Section bodies by digest.
        bodies: Vec<(Digest, Vec<u8>)>,
    },
    /// A report is held.
    ReportAck {
        /// The envelope.
        envelope: Vec<u8>,
    },
}

/// A report that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ack {
    /// The device's epoch.
    pub epoch: Epoch,
    /// The report's number.
    pub rseq: Seq,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// This start's epoch is open.
    Started {
        /// The epoch.
        epoch: Epoch,
        /// Members that were offered a snapshot.
        members: usize,
    },
    /// An invitation is open.
    Invited {
        /// The request's ticket.
        ticket: Ticket,
    },
    /// A decision is durable.
    Decided {
        /// The request's ticket.
        ticket: Ticket,
        /// The channel.
        channel: ChannelId,
        /// The revision after it.
        revision: Revision,
        /// The digest there.
        digest: Digest,
        /// False when nothing changed and no number was spent.
        is_change: bool,
    },
    /// An operator's request or an enrolment was refused.
    Refused {
        /// The request's ticket.
        ticket: Ticket,
        /// Why.
        reject: Reject,
    },
    /// A device is enrolled.
    Enrolled {
        /// The channel.
        channel: ChannelId,
    },
    /// A newer report is held.
    Reported {
        /// The channel.
        channel: ChannelId,
        /// Its number.
        ack: Ack,
        /// What it says.
        report: Report,
    },
    /// Something that a peer sent was refused.
    Rejected {
        /// The channel that it came for.
        channel: ChannelId,
        /// Why.
        reject: Reject,
    },
}
