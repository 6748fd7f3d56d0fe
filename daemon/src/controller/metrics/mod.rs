//! What happened and how the fleet stands, as Prometheus text.
//!
//! Labels come from closed enums only: no device, tenant or key is ever named. Refuses to keep
//! anything but counts.

mod latency;
#[cfg(test)]
mod tests;

use latency::PushLatency;

use postern_protocol::Reject;
use postern_protocol::controller::{Event, Take};
use postern_relay::metrics::Sample;
pub use postern_relay::metrics::to_text;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// Decisions that changed a state.
    Decided,
    /// Intents raised.
    Intended,
    /// Requests of operators, and enrolments, that were refused.
    Refused,
    /// Invitations opened.
    Invited,
    /// Invitations taken back.
    Withdrawn,
    /// Devices enrolled.
    Enrolled,
    /// Devices whose planes were encrypted, or whose keys were rotated.
    Encrypted,
    /// Devices removed.
    Removed,
    /// Devices that left.
    Left,
    /// Reports accepted.
    Reported,
    /// Revisions of actual planes accepted.
    ActualAccepted,
    /// Devices that showed decisions that this store does not hold.
    Behind,
    /// Histories taken from a device.
    RecoveredFromDevice,
    /// Histories of a device that were overruled.
    RecoveredFromController,
    /// Clone alarms.
    Cloned,
    /// Evidence that this controller lost what it wrote.
    EvidenceBehind,
    /// Evidence that this controller contradicted itself.
    EvidenceEquivocation,
    /// Devices that use their next key.
    KeyRotated,
    /// Devices that became stale.
    Stale,
    /// Devices that became fresh.
    Fresh,
    /// Messages that a relay stored.
    RelayStored,
    /// Messages that a relay put aside.
    RelayPutAside,
    /// Times that a mailbox lost messages.
    Lost,
    /// Channels that were handed to a relay again.
    Refilled,
    /// Bundles accepted.
    BundleAccepted,
    /// Envelopes of devices that were refused.
    Rejected,
    /// Starts of this process.
    Started,
}

impl Counted {
    /// Every kind, in the order of the text.
    pub const ALL: [Self; 27] = [
        Self::Decided,
        Self::Intended,
        Self::Refused,
        Self::Invited,
        Self::Withdrawn,
        Self::Enrolled,
        Self::Encrypted,
        Self::Removed,
        Self::Left,
        Self::Reported,
        Self::ActualAccepted,
        Self::Behind,
        Self::RecoveredFromDevice,
        Self::RecoveredFromController,
        Self::Cloned,
        Self::EvidenceBehind,
        Self::EvidenceEquivocation,
        Self::KeyRotated,
        Self::Stale,
        Self::Fresh,
        Self::RelayStored,
        Self::RelayPutAside,
        Self::Lost,
        Self::Refilled,
        Self::BundleAccepted,
        Self::Rejected,
        Self::Started,
    ];

    /// Returns the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::Intended => "intended",
            Self::Refused => "refused",
            Self::Invited => "invited",
            Self::Withdrawn => "withdrawn",
            Self::Enrolled => "enrolled",
            Self::Encrypted => "encrypted",
            Self::Removed => "removed",
            Self::Left => "left",
            Self::Reported => "reported",
            Self::ActualAccepted => "actual-accepted",
            Self::Behind => "behind",
            Self::RecoveredFromDevice => "recovered-from-device",
            Self::RecoveredFromController => "recovered-from-controller",
            Self::Cloned => "cloned",
            Self::EvidenceBehind => "evidence-writer-behind",
            Self::EvidenceEquivocation => "evidence-equivocation",
            Self::KeyRotated => "key-rotated",
            Self::Stale => "became-stale",
            Self::Fresh => "became-fresh",
            Self::RelayStored => "relay-stored",
            Self::RelayPutAside => "relay-put-aside",
            Self::Lost => "lost",
            Self::Refilled => "refilled",
            Self::BundleAccepted => "bundle-accepted",
            Self::Rejected => "rejected",
            Self::Started => "started",
        }
    }

    /// Tells what an event counts as; a decision without a change counts as nothing.
    fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::Started { .. } => Self::Started,
            Event::Invited { .. } => Self::Invited,
            Event::Withdrawn { .. } => Self::Withdrawn,
            Event::Intended { .. } => Self::Intended,
            Event::Decided {
                is_change: false, ..
            } => return None,
            Event::Decided { .. } => Self::Decided,
            Event::Refused { .. } => Self::Refused,
            Event::Enrolled { .. } => Self::Enrolled,
            Event::Reported { .. } => Self::Reported,
            Event::ActualAccepted { .. } => Self::ActualAccepted,
            Event::Behind { .. } => Self::Behind,
            Event::Recovered {
                take: Take::Device, ..
            } => Self::RecoveredFromDevice,
            Event::Recovered {
                take: Take::Controller,
                ..
            } => Self::RecoveredFromController,
            Event::Cloned { .. } => Self::Cloned,
            Event::EvidenceKept {
                code: Reject::WriterBehind,
                ..
            } => Self::EvidenceBehind,
            Event::EvidenceKept { .. } => Self::EvidenceEquivocation,
            Event::Left { .. } => Self::Left,
            Event::KeyRotated { .. } => Self::KeyRotated,
            Event::FreshnessChanged { is_stale: true, .. } => Self::Stale,
            Event::FreshnessChanged {
                is_stale: false, ..
            } => Self::Fresh,
            Event::Receipt { receipt, .. } if receipt.code == 0 => Self::RelayStored,
            Event::Receipt { .. } => Self::RelayPutAside,
            Event::Lost { .. } => Self::Lost,
            Event::Refilled { .. } => Self::Refilled,
            Event::BundleAccepted { .. } => Self::BundleAccepted,
            Event::Encrypted { .. } => Self::Encrypted,
            Event::Removed { .. } => Self::Removed,
            Event::Rejected { .. } => Self::Rejected,
        })
    }
}

/// How often each kind of event happened since the start, and how long decisions took to arrive.
#[derive(Debug)]
pub struct EventCounts {
    counts: BTreeMap<Counted, AtomicU64>,
    latency: PushLatency,
}

impl Default for EventCounts {
    fn default() -> Self {
        let counts = Counted::ALL.map(|kind| (kind, AtomicU64::new(0)));
        Self {
            counts: counts.into_iter().collect(),
            latency: PushLatency::default(),
        }
    }
}

impl EventCounts {
    /// Counts one event. `now_ms` are the milliseconds of the clock that counts intervals.
    pub fn count(&self, event: &Event, now_ms: u64) {
        self.latency.note(event, now_ms);
        let count = Counted::of(event).and_then(|kind| self.counts.get(&kind));
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how long decisions took, as Prometheus text.
    #[must_use]
    pub fn latency_text(&self) -> String {
        self.latency.to_text()
    }

    /// Returns every count, in a fixed order.
    pub fn samples(&self) -> impl Iterator<Item = Sample> {
        Counted::ALL.into_iter().map(|kind| Sample {
            name: "postern_events_total",
            label: Some(("event", kind.as_str())),
            value: self
                .counts
                .get(&kind)
                .map_or(0, |count| count.load(Ordering::Relaxed)),
        })
    }
}
