//! One device as the controller knows it: its key, both planes, its newest report, what stands against either.
//!
//! Refuses to know others: nothing of one device depends on another.

use super::Ack;
use super::actual::Actual;
use super::encryption::Encryption;
use super::evidence::EvidenceHeld;
use super::heartbeat::Pulse;
use super::recovery::Behind;
use crate::context::Now;
use crate::freshness::Freshness;
use crate::id::{Channel, Digest, Incarnation, MessageId, Thumbprint};
use crate::key::PublicKey;
use crate::message::{IntentNote, Report, ReportHead};
use crate::revision::{self, Epoch, Generation, Head, History, LineageEntry, Revision, Seq};
use crate::state::{Path, State};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// One device of the controller.
#[derive(Debug)]
pub struct Member {
    pub(super) channel: Channel,
    pub(super) enrolled: Option<Enrolled>,
    /// True from the report that says so until the name is enrolled again.
    pub(super) has_left: bool,
    pub(super) state: State,
    pub(super) head: Head,
    pub(super) lineage: Vec<LineageEntry>,
    /// The first epoch of ours of which the device may know nothing, because somebody else's decisions showed up.
    pub(super) contested: Option<Epoch>,
    pub(super) report: Option<ReportHeld>,
    pub(super) actual: Actual,
    pub(super) behind: Option<Behind>,
    pub(super) cloned: Option<Cloned>,
    pub(super) evidence: Vec<EvidenceHeld>,
    pub(super) intents: BTreeMap<Path, IntentShown>,
    pub(super) pulse: Pulse,
    pub(super) encryption: Encryption,
}

/// The life of a device that the controller confirmed.
#[derive(Debug, Clone)]
pub(super) struct Enrolled {
    pub(super) key: PublicKey,
    pub(super) incarnation: Incarnation,
    /// The key that counts with the first message that it signs.
    pub(super) next: Option<NextKey>,
    /// The request that was answered last: a file repeats the answer until the first report is held.
    pub(super) request: Option<MessageId>,
}

/// A device key that was confirmed and has signed nothing yet.
#[derive(Debug, Clone)]
pub(super) struct NextKey {
    pub(super) key: PublicKey,
    /// The request that it was confirmed for.
    pub(super) request: MessageId,
}

impl Enrolled {
    /// Every key that may sign for the device now.
    pub(super) fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        core::iter::once(&self.key).chain(self.next.as_ref().map(|next| &next.key))
    }
}

/// Two reports that one device cannot have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cloned {
    /// The report held.
    pub held: Ack,
    /// The report that contradicts it.
    pub shown: Ack,
}

/// What a device showed of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentShown {
    /// The highest value that it took, or shows in its actual state.
    pub value: u64,
    /// The newest thing that a report said of it.
    pub note: Option<IntentNote>,
}

/// The newest report of the member's incarnation.
#[derive(Debug, Clone)]
pub struct ReportHeld {
    /// Its number.
    pub ack: Ack,
    /// Its identity.
    pub message_id: MessageId,
    /// The digest that the device applied, if it applied anything.
    pub applied_digest: Option<Digest>,
    /// True when its lists came encrypted.
    pub is_encrypted: bool,
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
    /// A member that nobody has enrolled and nothing was decided for.
    pub(super) fn new(channel: Channel, epoch: Epoch, generation: Generation) -> Self {
        let state = State::empty();
        let head = Head {
            generation,
            revision: Revision::new(epoch, Seq::new(1)),
            digest: *state.root(),
        };
        Self {
            channel,
            enrolled: None,
            has_left: false,
            state,
            head,
            lineage: Vec::new(),
            contested: None,
            report: None,
            actual: Actual::default(),
            behind: None,
            cloned: None,
            evidence: Vec::new(),
            intents: BTreeMap::new(),
            pulse: Pulse::default(),
            encryption: Encryption::default(),
        }
    }

    /// The device's names.
    #[must_use]
    pub const fn channel(&self) -> &Channel {
        &self.channel
    }

    /// True while the device's key is confirmed and it has not left.
    #[must_use]
    pub const fn is_enrolled(&self) -> bool {
        self.enrolled.is_some() && !self.has_left
    }

    /// True when the device said that it leaves; a new invitation enrols the name again.
    #[must_use]
    pub const fn has_left(&self) -> bool {
        self.has_left
    }

    /// The thumbprint of the device's key.
    #[must_use]
    pub fn key(&self) -> Option<Thumbprint> {
        let enrolled = self.enrolled.as_ref()?;
        Some(enrolled.key.thumbprint())
    }

    /// The thumbprint of the key that takes its place with the first message that it signs.
    #[must_use]
    pub fn next_key(&self) -> Option<Thumbprint> {
        let next = self.enrolled.as_ref()?.next.as_ref()?;
        Some(next.key.thumbprint())
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

    /// What the device says it is.
    #[must_use]
    pub const fn actual(&self) -> &State {
        &self.actual.state
    }

    /// The revision and digest of the actual state, if the device ever wrote one. Its generation is always 0.
    #[must_use]
    pub const fn actual_head(&self) -> Option<&Head> {
        self.actual.head.as_ref()
    }

    /// The newest report, if there is one.
    #[must_use]
    pub const fn report(&self) -> Option<&ReportHeld> {
        self.report.as_ref()
    }

    /// What the device proved against this writer, oldest first.
    #[must_use]
    pub fn evidence(&self) -> &[EvidenceHeld] {
        &self.evidence
    }

    /// The history that the device holds and this store does not, if it showed one.
    #[must_use]
    pub const fn behind(&self) -> Option<&Behind> {
        self.behind.as_ref()
    }

    /// True when the device showed a head that this store does not know.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let accepted = self.report.as_ref().map(|held| held.report.accepted);
        let mut shown = accepted.into_iter().chain(self.pulse.heard);
        self.behind.is_some() || shown.any(|shown| self.history().is_unknown(shown))
    }

    /// The highest desired head that the device showed: in evidence, in a report, in a heartbeat of this start.
    #[must_use]
    pub fn shown(&self) -> Revision {
        let proven = self.behind.as_ref().map(|behind| behind.head().revision);
        let accepted = self.report.as_ref().map(|held| held.report.accepted);
        let shown = proven.max(accepted).max(self.pulse.heard);
        shown.unwrap_or(Revision::NONE)
    }

    /// True while nothing is posted to the device: this store was restored below the newest writer key, and the device
    /// has not shown yet where it stands (spec: #rotation).
    #[must_use]
    pub const fn is_withheld(&self) -> bool {
        self.pulse.is_withheld
    }

    /// True while nothing is offered to the device before an operator decides which history counts.
    #[must_use]
    pub fn is_in_conflict(&self) -> bool {
        let is_overruled = self.pulse.is_withheld && self.is_behind();
        is_overruled || self.behind.as_ref().is_some_and(Behind::is_conflict)
    }

    /// The two reports that show a clone, until the name is enrolled again.
    #[must_use]
    pub const fn cloned(&self) -> Option<&Cloned> {
        self.cloned.as_ref()
    }

    /// True when two units run this device's life.
    #[must_use]
    pub const fn is_cloned(&self) -> bool {
        self.cloned.is_some()
    }

    /// What the device showed of its intents, by path.
    #[must_use]
    pub const fn intents(&self) -> &BTreeMap<Path, IntentShown> {
        &self.intents
    }

    /// How fresh the device's word is.
    #[must_use]
    pub fn freshness(&self, now: Now) -> Freshness {
        self.pulse.watch.freshness(now.mono_ms)
    }

    /// True when the device reports that it applied exactly the desired state.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        let applied = self.report.as_ref().and_then(|held| held.applied_digest);
        self.enrolled.is_some() && applied == Some(self.head.digest)
    }

    /// What this store knows of the desired plane's epochs.
    pub(super) fn history(&self) -> History<'_> {
        History {
            head: self.head,
            lineage: &self.lineage,
            contested: self.contested,
            reported: self.report.as_ref().map(|held| held.report.accepted),
        }
    }

    /// The epoch that the device signed last as accepted.
    pub(super) fn reported_epoch(&self) -> Option<Epoch> {
        self.history().reported.map(|reported| reported.epoch)
    }

    /// Closes the epoch of the head and continues in `epoch` at sequence 1 with the same content.
    pub(super) fn open_epoch(&mut self, epoch: Epoch, generation: Generation) {
        let reported = self.reported_epoch();
        revision::end_epoch(&mut self.lineage, &self.head, reported);
        self.head = Head {
            generation,
            revision: Revision::new(epoch, Seq::new(1)),
            digest: *self.state.root(),
        };
    }

    /// Forgets epochs that the device left.
    pub(super) fn prune_lineage(&mut self) {
        let reported = self.reported_epoch();
        revision::prune(&mut self.lineage, self.head.revision.epoch, reported);
    }
}
