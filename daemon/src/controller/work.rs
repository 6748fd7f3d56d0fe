//! What others ask of the thread that owns the engine.
//!
//! Every kind of work carries the place for its reply. Refuses to hand out the engine itself.

use super::relays::LinkId;
use super::waiting::{Awaited, WaitEnd};
use crate::records::Loaded;
use postern_protocol::Reject;
use postern_protocol::context::Keyring;
use postern_protocol::controller::{Controller, Take};
use postern_protocol::enrol::JoinSecret;
use postern_protocol::id::{ChannelId, DeviceName, Digest, Plane, Tenant, TokenId};
use postern_protocol::record::Write;
use postern_protocol::revision::{BundleNumber, Epoch, Revision, Seq};
use postern_protocol::state::{Change, Path};
use postern_relay::exchange::MailboxKeys;
use postern_relay::mailbox::Chunk;
use postern_relay::server::Taken;
use postern_relay::store::StoreError;
use tokio::sync::oneshot;

/// A decision that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// The revision after it.
    pub revision: Revision,
    /// The digest there.
    pub digest: Digest,
    /// False when nothing changed.
    pub is_change: bool,
}

/// Why a decision was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The engine refuses it.
    Reject(Reject),
    /// The state is not the one that it was meant for: somebody decided in between.
    BaseChanged {
        /// Where the state is now.
        now: Revision,
    },
}

/// An intent that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intended {
    /// Its value now.
    pub value: u64,
    /// The decision that holds it.
    pub decided: Decided,
}

/// The history of a device that counts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// The epoch of the range that this store did not hold.
    pub epoch: Epoch,
    /// Its first decision.
    pub first: Seq,
    /// Its last decision.
    pub last: Seq,
    /// Whose content was taken.
    pub take: Take,
}

/// The next bundle, and the keys that it names.
pub struct NextBundle {
    /// The envelope.
    pub envelope: Vec<u8>,
    /// The writer keys that count with it.
    pub writers: Box<dyn Keyring + Send>,
    /// The mailbox keys that count with it.
    pub mailboxes: MailboxKeys,
    /// True when the operator says that a new writer key cannot wait for devices that were not heard.
    pub is_urgent: bool,
}

/// What the link to a relay needs of the engine.
#[derive(Debug)]
pub enum LinkWork {
    /// Sign a snapshot for mailboxes that want one.
    SnapshotWanted {
        /// The channel.
        channel: ChannelId,
    },
    /// Hand everything of a channel to the relay of one link.
    Refill {
        /// The link.
        link: LinkId,
        /// The channel.
        channel: ChannelId,
    },
    /// Make what the link remembers durable, with the next commit.
    Keep(Vec<Write>),
}

/// What others ask of the engine.
pub enum Work {
    /// Opens an invitation.
    Invite {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// The public id to use.
        token: TokenId,
        /// The secret to use.
        secret: JoinSecret,
        /// Seconds since 1970 after which it counts no more.
        expires_unix_s: Option<u64>,
        /// Answered when durable.
        reply: oneshot::Sender<Result<(), Reject>>,
    },
    /// Takes an unused invitation back.
    Withdraw {
        /// The invitation.
        token: TokenId,
        /// Answered when durable.
        reply: oneshot::Sender<Result<(), Reject>>,
    },
    /// Takes changes as one decision.
    Decide {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// The changes.
        changes: Vec<Change>,
        /// The revision that they were made for; absent: whatever there is.
        base: Option<Revision>,
        /// Answered when durable.
        reply: oneshot::Sender<Result<Decided, Refusal>>,
    },
    /// Raises an intent by one.
    Intend {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// `intent/` and the verb.
        path: Path,
        /// Answered when durable.
        reply: oneshot::Sender<Result<Intended, Reject>>,
    },
    /// Removes a device.
    Remove {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// Answered when durable.
        reply: oneshot::Sender<Result<(), Reject>>,
    },
    /// Encrypts a device's planes, or rotates their keys.
    Encrypt {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// Answered when durable.
        reply: oneshot::Sender<Result<(), Reject>>,
    },
    /// Chooses between the histories of device and controller.
    Resolve {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// Whose content counts.
        take: Take,
        /// Answered when durable.
        reply: oneshot::Sender<Result<Recovered, Reject>>,
    },
    /// Takes the next bundle.
    Bundle {
        /// The bundle and its keys.
        next: Box<NextBundle>,
        /// Answered when durable.
        reply: oneshot::Sender<Result<BundleNumber, Reject>>,
    },
    /// Takes an envelope from a device.
    Posted {
        /// Its channel.
        channel: ChannelId,
        /// The bytes.
        envelope: Vec<u8>,
        /// False when it came in a file.
        is_live: bool,
        /// Answered when durable, with the bodies that are still wanted.
        reply: oneshot::Sender<Result<Taken, Reject>>,
    },
    /// Takes pieces of section bodies from a device.
    Put {
        /// Its channel.
        channel: ChannelId,
        /// The plane that it names.
        plane: Plane,
        /// The pieces.
        chunks: Vec<Chunk>,
        /// Answered when durable, with the bodies that are still wanted.
        reply: oneshot::Sender<Result<Taken, Reject>>,
    },
    /// Posts a heartbeat if one may be signed now.
    HeartbeatWanted {
        /// The device's channel.
        channel: ChannelId,
        /// Answered when it is posted, or not.
        reply: oneshot::Sender<Result<(), Reject>>,
    },
    /// Takes an enrol frame.
    Enrol {
        /// The frame.
        frame: Vec<u8>,
        /// Answered when durable.
        reply: oneshot::Sender<Result<Vec<u8>, Reject>>,
    },
    /// Waits until a device has done something, or failed to.
    Wait {
        /// The device's channel.
        channel: ChannelId,
        /// What is waited for.
        awaited: Awaited,
        /// Answered once.
        reply: oneshot::Sender<WaitEnd>,
    },
    /// Writes a file for a device.
    Export {
        /// The tenant.
        tenant: Tenant,
        /// The device.
        device: DeviceName,
        /// Answered when what it says is durable.
        reply: oneshot::Sender<Result<Vec<Vec<u8>>, Reject>>,
    },
    /// Does what the link to a relay needs.
    Link(LinkWork),
    /// Looks at what is durable.
    Read(Box<dyn FnOnce(&Controller) + Send>),
    /// Copies every record of the store as it stands between two commits.
    Copy(oneshot::Sender<Result<Vec<Loaded>, StoreError>>),
    /// The moment came that the engine asked for.
    Timeout,
    /// Ends the loop.
    Stop,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}
