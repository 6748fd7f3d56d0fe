//! One device as the controller knows it: its key, its desired state, its newest report.
//!
//! Refuses to know others: nothing of one device depends on another.

use super::Ack;
use crate::id::{Channel, Incarnation, MessageId};
use crate::key::PublicKey;
use crate::limits::LINEAGE_MAX;
use crate::message::{Report, ReportHead};
use crate::revision::{Epoch, Head, LineageEntry, Revision};
use crate::state::State;
use alloc::vec::Vec;

/// One device of the controller.
#[derive(Debug, Clone)]
pub struct Member {
    pub(super) channel: Channel,
    pub(super) enrolled: Option<Enrolled>,
    pub(super) state: State,
    pub(super) head: Head,
    pub(super) lineage: Vec<LineageEntry>,
    pub(super) report: Option<ReportHeld>,
}

/// The life of a device that the controller confirmed.
#[derive(Debug, Clone)]
pub(super) struct Enrolled {
    pub(super) key: PublicKey,
    pub(super) incarnation: Incarnation,
}

/// The newest report of the member's incarnation.
#[derive(Debug, Clone)]
pub struct ReportHeld {
    /// Its number.
    pub ack: Ack,
    /// Its identity.
    pub message_id: MessageId,
    /// The digest that the device applied, if it applied anything.
    pub applied_digest: Option<crate::id::Digest>,
    /// What it says.
    pub report: Report,
}

impl ReportHeld {
    /// What the next report is compared with.
    pub(super) const fn head(&self) -> ReportHead {
        ReportHead {
            number: Revision::new(self.ack.epoch, self.ack.rseq),
            message_id: self.message_id,
        }
    }
}

impl Member {
    /// The device's names.
    #[must_use]
    pub const fn channel(&self) -> &Channel {
        &self.channel
    }

    /// True once the device's key is confirmed.
    #[must_use]
    pub const fn is_enrolled(&self) -> bool {
        self.enrolled.is_some()
    }

    /// What the device should be.
    #[must_use]
    pub const fn desired(&self) -> &State {
        &self.state
    }

    /// The revision and digest of the desired state.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The newest report, if there is one.
    #[must_use]
    pub const fn report(&self) -> Option<&ReportHeld> {
        self.report.as_ref()
    }

    /// True when the device reports that it applied exactly the desired state.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        let applied = self.report.as_ref().and_then(|held| held.applied_digest);
        self.enrolled.is_some() && applied == Some(self.head.digest)
    }

    /// Closes the epoch of the head and continues in `epoch` at sequence 1 with the same content.
    pub(super) fn open_epoch(&mut self, epoch: Epoch, generation: crate::revision::Generation) {
        let ended = LineageEntry {
            last: self.head.revision,
            digest: self.head.digest,
        };
        //= spec/postern.md#lineage
        //# A writer MUST keep an entry for every epoch that a reader has shown in a signed head and
        //# not yet left.
        self.lineage.push(ended);
        self.prune_lineage();
        let first = Revision::new(epoch, crate::revision::Seq::new(1));
        self.head = Head {
            generation,
            revision: first,
            digest: self.head.digest,
        };
    }

    /// Forgets epochs older than the one that the device signed as its own, and those after it above the limit.
    pub(super) fn prune_lineage(&mut self) {
        if let Some(held) = &self.report {
            let oldest = held.report.accepted.epoch;
            self.lineage.retain(|entry| entry.last.epoch >= oldest);
        }
        // The oldest entry is where the device was last seen: it goes last.
        while self.lineage.len() > LINEAGE_MAX {
            self.lineage.remove(1);
        }
    }
}
