//! What others ask of the thread that owns the engine.
//!
//! Every kind of work carries the place for its reply. Refuses to hand out the engine itself.

use super::waiting::WaitEnd;
use postern_protocol::Reject;
use postern_protocol::controller::Controller;
use postern_protocol::enrol::JoinSecret;
use postern_protocol::id::{ChannelId, DeviceName, Digest, Tenant, TokenId};
use postern_protocol::revision::Revision;
use postern_protocol::state::Change;
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
        /// Answered when durable.
        reply: oneshot::Sender<Result<Decided, Reject>>,
    },
    /// Takes an envelope from a device.
    Posted {
        /// Its channel.
        channel: ChannelId,
        /// The bytes.
        envelope: Vec<u8>,
        /// Answered when durable.
        reply: oneshot::Sender<Result<(), Reject>>,
    },
    /// Takes an enrol frame.
    Enrol {
        /// The frame.
        frame: Vec<u8>,
        /// Answered when durable.
        reply: oneshot::Sender<Result<Vec<u8>, Reject>>,
    },
    /// Waits until a device applied a revision, or failed to.
    Wait {
        /// The device's channel.
        channel: ChannelId,
        /// The revision.
        revision: Revision,
        /// Answered once.
        reply: oneshot::Sender<WaitEnd>,
    },
    /// Looks at what is durable.
    Read(Box<dyn FnOnce(&Controller) + Send>),
    /// Ends the loop.
    Stop,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}
