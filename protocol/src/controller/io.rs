//! The controller's whole vocabulary on one screen.
//!
//! What is not a variant here cannot enter or leave the engine. Refuses to hold behaviour.

use crate::enrol::JoinSecret;
use crate::frame::{BodyChunk, Wanted};
use crate::id::{
    Channel, ChannelId, DeviceName, Digest, Incarnation, Plane, Tenant, Thumbprint, TokenId,
};
use crate::key::PublicKey;
use crate::message::Report;
use crate::receipt::{Lost, Receipt};
use crate::record::Write;
use crate::reject::Reject;
use crate::revision::{BundleNumber, Epoch, Generation, Head, KeyGeneration, Revision, Seq};
use crate::state::{Change, Path};
use crate::trust::BundleStep;
use alloc::boxed::Box;
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
        /// Seconds since 1970 after which an unused invitation counts no more; without a clock it stays open.
        expires_unix_s: Option<u64>,
    },
    /// The operator takes an unused invitation back.
    Withdraw {
        /// Answered by this ticket.
        ticket: Ticket,
        /// The invitation.
        token: TokenId,
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
    /// The operator raises an intent by one: a decision whose value the engine chooses.
    Intend {
        /// Answered by this ticket.
        ticket: Ticket,
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// `intent/` and the verb.
        path: Path,
    },
    /// A mailbox hands over an envelope of a channel.
    Received {
        /// The channel that it came for.
        channel: ChannelId,
        /// The bytes.
        envelope: &'a [u8],
        /// True when it came under the MAC of a session of this device, false from a file or a store.
        is_live: bool,
    },
    /// A mailbox hands over section bodies that [`Output::Wanted`] asked for.
    Put {
        /// The channel that they came for.
        channel: ChannelId,
        /// The plane that their sender names.
        plane: Plane,
        /// The bytes; nobody signed them.
        chunks: &'a [BodyChunk<'a>],
    },
    /// A mailbox answers an idle poll and holds no heartbeat of the last minutes.
    HeartbeatWanted {
        /// The channel.
        channel: ChannelId,
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
    /// A mailbox lacks what it held of a channel, as after it lost its store: it alone is given everything again.
    Refill {
        /// Answered by this ticket: each [`Output::Refill`] bears it, [`Event::Refilled`] comes last.
        ticket: Ticket,
        /// The channel of a member, or of one that was withdrawn.
        channel: ChannelId,
    },
    /// The next bundle, signed by a root. The keyring given with it must hold the writer keys that it names.
    Bundle {
        /// Answered by this ticket.
        ticket: Ticket,
        /// The bytes.
        envelope: &'a [u8],
        /// True when the operator says that a new writer key cannot wait for [`super::Controller::unsettled`] devices.
        is_urgent: bool,
    },
    /// Encrypts a device's planes, or rotates their keys. Never ends in this life or the next.
    Encrypt {
        /// Answered by this ticket.
        ticket: Ticket,
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
    },
    /// The operator removes a device with everything that is held of it.
    Remove {
        /// Answered by this ticket.
        ticket: Ticket,
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
    },
    /// The operator decides which history of a device counts, after [`Event::Behind`].
    Resolve {
        /// Answered by this ticket.
        ticket: Ticket,
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// Whose content is taken.
        take: Take,
    },
    /// The moment of [`super::Controller::poll_timeout`] came.
    Timeout,
}

/// Whose content counts where device and controller know different histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Take {
    /// What the device holds.
    Device,
    /// What the controller decided since.
    Controller,
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
        /// The key that takes its place with the first message that it signs; both may open sessions until then.
        next: Option<Box<PublicKey>>,
    },
    /// The mailbox must not serve this device any more: close its sessions, forget what is kept for it.
    Evict {
        /// The channel.
        channel: ChannelId,
    },
    /// Ask the device for these bodies, in the answer to the post or put that is being handled.
    Wanted {
        /// The channel.
        channel: ChannelId,
        /// 1 to 16 bodies and where the next byte of each is missing.
        wanted: Vec<Wanted>,
    },
    /// What is held of the actual plane, for mailboxes to compare polls with. `Revision::NONE` for nothing.
    ActualHeld {
        /// The channel.
        channel: ChannelId,
        /// The revision.
        revision: Revision,
    },
    /// Hand to every mailbox: it belongs to no channel.
    PostBundle {
        /// What brings any reader to the newest, ascending; the newest is the last.
        steps: Vec<BundleStep>,
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
    /// Hand to the one mailbox that [`Input::Refill`] is about, as [`Output::Post`] is handed to all.
    Refill {
        /// The request's ticket.
        ticket: Ticket,
        /// The channel.
        channel: ChannelId,
        /// The generation of the key that signed.
        generation: Generation,
        /// What to keep.
        post: Post,
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
    /// Where both planes stand; the newest takes the place of any other.
    Heartbeat {
        /// The envelope.
        envelope: Vec<u8>,
    },
    /// Why what the device wrote was refused.
    Evidence {
        /// The envelope.
        envelope: Vec<u8>,
    },
    /// The keys of the channel, for its device alone; belongs to no plane.
    PlaneKey {
        /// The envelope.
        envelope: Vec<u8>,
    },
    /// A device's next key is confirmed; belongs to no plane.
    EnrolAnswer {
        /// The envelope.
        envelope: Vec<u8>,
    },
    /// Whom a mailbox in a process of its own shall serve; an embedded one is told by [`Output::Admit`] and [`Output::Evict`].
    Admission {
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
    /// An invitation is taken back.
    Withdrawn {
        /// The request's ticket.
        ticket: Ticket,
    },
    /// The value of an intent; [`Event::Decided`] with the same ticket follows.
    Intended {
        /// The request's ticket.
        ticket: Ticket,
        /// The channel.
        channel: ChannelId,
        /// Which intent.
        path: Path,
        /// Its value now.
        value: u64,
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
    /// A revision of the actual plane is durable.
    ActualAccepted {
        /// The channel.
        channel: ChannelId,
        /// The revision.
        revision: Revision,
    },
    /// A device holds a history that this store does not: it was restored, or another controller wrote.
    Behind {
        /// The channel.
        channel: ChannelId,
        /// What the device holds.
        head: Head,
        /// True when nothing is adopted before [`Input::Resolve`].
        is_conflict: bool,
    },
    /// One history counts again; the range is what the device had and this store had not.
    Recovered {
        /// The request's ticket, or `None` when it needed no operator.
        ticket: Option<Ticket>,
        /// The channel.
        channel: ChannelId,
        /// The epoch of the range.
        epoch: Epoch,
        /// The first decision that this store did not hold.
        first: Seq,
        /// The last.
        last: Seq,
        /// Whose content was taken.
        take: Take,
    },
    /// Two units run one life of a device, each in an epoch of its own.
    Cloned {
        /// The channel.
        channel: ChannelId,
        /// The report held.
        held: Ack,
        /// The report that contradicts it.
        shown: Ack,
    },
    /// A device proves that this writer contradicted itself, or lost what it wrote.
    EvidenceKept {
        /// The channel.
        channel: ChannelId,
        /// `writer-behind` or `equivocation`.
        code: Reject,
        /// True when this controller's own key signed what is shown: for `equivocation` an alarm.
        is_proven: bool,
    },
    /// A device left; a new invitation enrols the name again.
    Left {
        /// The channel.
        channel: ChannelId,
    },
    /// A device signs with its next key; the former counts no more.
    KeyRotated {
        /// The channel.
        channel: ChannelId,
    },
    /// Whether what a device says is fresh.
    FreshnessChanged {
        /// The channel.
        channel: ChannelId,
        /// True when it is not proven to be.
        is_stale: bool,
    },
    /// A mailbox says what it did with a message.
    Receipt {
        /// The channel.
        channel: ChannelId,
        /// The key of the mailbox.
        mailbox: Thumbprint,
        /// What it says.
        receipt: Receipt,
    },
    /// A mailbox can no longer hand over what it took.
    Lost {
        /// The channel.
        channel: ChannelId,
        /// The key of the mailbox.
        mailbox: Thumbprint,
        /// What is lost.
        lost: Lost,
    },
    /// Everything of the channel was handed to the mailbox that lacked it.
    Refilled {
        /// The request's ticket.
        ticket: Ticket,
        /// The channel.
        channel: ChannelId,
    },
    /// A bundle is durable and counts.
    BundleAccepted {
        /// The request's ticket.
        ticket: Ticket,
        /// Its number.
        number: BundleNumber,
    },
    /// A device's planes are encrypted from now on, under keys of this generation.
    Encrypted {
        /// The request's ticket.
        ticket: Ticket,
        /// The channel.
        channel: ChannelId,
        /// The generation.
        generation: KeyGeneration,
    },
    /// A device is removed.
    Removed {
        /// The request's ticket.
        ticket: Ticket,
        /// The channel.
        channel: ChannelId,
    },
    /// Something that a peer sent was refused.
    Rejected {
        /// The channel that it came for.
        channel: ChannelId,
        /// Why.
        reject: Reject,
    },
}
