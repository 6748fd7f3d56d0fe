//! What an operator may change about mailboxes; the defaults stand in [`crate::limits`].
//!
//! Refuses nothing: a higher value than the protocol's own is not an error, it has no effect.

use crate::limits::{BUNDLES_BYTES_MAX, MAILBOX_BYTES_MAX, MAILBOXES_BYTES_MAX};
use postern_protocol::limits::{CHAIN_BYTES_MAX, CHAIN_DELTAS_MAX};

/// Bounds of mailboxes. Lower values are allowed; a chain never exceeds those of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Bytes of one mailbox: envelopes and section bodies.
    pub bytes_max: usize,
    /// Bytes of all mailboxes together.
    pub total_bytes_max: usize,
    /// Bytes of all bundles.
    pub bundles_bytes_max: usize,
    /// Deltas after a chain's snapshot.
    pub deltas_max: usize,
    /// Bytes of the deltas after a chain's snapshot.
    pub delta_bytes_max: usize,
}

impl Default for MailboxLimits {
    fn default() -> Self {
        Self {
            bytes_max: MAILBOX_BYTES_MAX,
            total_bytes_max: MAILBOXES_BYTES_MAX,
            bundles_bytes_max: BUNDLES_BYTES_MAX,
            deltas_max: CHAIN_DELTAS_MAX,
            delta_bytes_max: CHAIN_BYTES_MAX,
        }
    }
}
