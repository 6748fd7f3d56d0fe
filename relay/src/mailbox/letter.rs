//! The slots of a lane: one for each kind that is no delta or snapshot, each with its highest.
//!
//! A slot whose bytes were read and dropped keeps a mark, so that nothing lower ever takes it.
//! Refuses another content under the number of a report.

use super::{Posted, Stamp};
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::id::{Digest, Plane};
use postern_protocol::kind::MessageKind;
use postern_protocol::revision::Revision;
use std::cmp::Ordering;
use std::sync::Arc;

/// A kind with one slot in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    /// The acknowledgement of the device's reports.
    Ack,
    /// The writer's answer to a new device key.
    EnrolAnswer,
    /// Why the other end's plane was refused.
    Evidence,
    /// What the device received, accepted and applied.
    Report,
    /// Where the lane's writer stands.
    Heartbeat,
    /// What a mailbox did with a letter of the lane's reader.
    Receipt,
    /// What this mailbox can no longer give to the lane's reader.
    Lost,
    /// The keys of the channel, for its device alone.
    PlaneKey,
}

impl Slot {
    pub(crate) const ALL: [Self; 8] = [
        Self::Ack,
        Self::EnrolAnswer,
        Self::Evidence,
        Self::Report,
        Self::Heartbeat,
        Self::Receipt,
        Self::Lost,
        Self::PlaneKey,
    ];

    /// The slot of a kind, if it has one.
    pub(crate) const fn of(kind: MessageKind) -> Option<Self> {
        match kind {
            MessageKind::ReportAck => Some(Self::Ack),
            MessageKind::EnrolAnswer => Some(Self::EnrolAnswer),
            MessageKind::Evidence => Some(Self::Evidence),
            MessageKind::Report => Some(Self::Report),
            MessageKind::Heartbeat => Some(Self::Heartbeat),
            MessageKind::Receipt => Some(Self::Receipt),
            MessageKind::Lost => Some(Self::Lost),
            MessageKind::PlaneKey => Some(Self::PlaneKey),
            MessageKind::Delta
            | MessageKind::Snapshot
            | MessageKind::EnrolRequest
            | MessageKind::Bundle
            | MessageKind::Admission
            | MessageKind::SessionHello
            | MessageKind::SessionWelcome => None,
        }
    }

    /// The number under which it is stored.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Ack => 0,
            Self::EnrolAnswer => 1,
            Self::Evidence => 2,
            Self::Report => 3,
            Self::Heartbeat => 4,
            Self::Receipt => 5,
            Self::Lost => 6,
            Self::PlaneKey => 7,
        }
    }

    /// The plane under which its envelope travels in the lane of `plane`.
    pub(crate) const fn plane_in(self, plane: Plane) -> Option<Plane> {
        match (self, plane) {
            (Self::EnrolAnswer | Self::Receipt | Self::PlaneKey, _) => None,
            // Evidence is about the plane of the other end, and so is what was lost of it.
            (Self::Evidence | Self::Lost, Plane::Desired) => Some(Plane::Actual),
            (Self::Evidence | Self::Lost, Plane::Actual) => Some(Plane::Desired),
            (Self::Ack | Self::Report | Self::Heartbeat, plane) => Some(plane),
        }
    }

    /// True for what is a message of its own and not the newest of a series.
    pub(crate) const fn is_letter(self) -> bool {
        match self {
            Self::EnrolAnswer | Self::Evidence | Self::Receipt | Self::Lost => true,
            Self::Ack | Self::Report | Self::Heartbeat | Self::PlaneKey => false,
        }
    }
}

/// The highest envelope of a kind, or the mark that is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) revision: Revision,
    /// Hash of header digest and payload: what it says, whatever its signature.
    pub(crate) content: Digest,
    pub(crate) stamp: Stamp,
    /// `None` in a mark: its bytes were acknowledged and dropped.
    pub(crate) envelope: Option<Arc<[u8]>>,
}

impl Letter {
    pub(super) fn of(received: &ReceivedEnvelope<'_>, stamp: Stamp) -> Self {
        let header = received.unverified_header();
        Self {
            revision: Revision::new(header.epoch, header.seq),
            content: content(received),
            stamp,
            envelope: Some(Arc::from(received.as_bytes())),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.envelope.as_ref().map_or(0, |bytes| bytes.len())
    }

    /// Ranks this letter against the one that is held; `None` means that it takes its place.
    pub(super) fn compare(&self, slot: Slot, held: &Self) -> Result<Option<Posted>, Reject> {
        match self.revision.cmp(&held.revision) {
            //= spec/postern.md#mailboxes
            //# A slot MUST hold the highest envelope of its kind, in the order that the kind
            //# compares by.
            Ordering::Less => return Ok(Some(Posted::Older)),
            Ordering::Greater => return Ok(None),
            Ordering::Equal => {}
        }
        let is_same = held.content == self.content;
        // What is gone is kept anew: whoever sends it again misses an acknowledgement.
        let is_held = held.envelope.is_some();
        match slot {
            Slot::Report if !is_same => Err(Reject::Equivocation),
            // An acknowledgement is the same under every signature of it.
            Slot::Ack | Slot::Report => Ok(is_held.then_some(Posted::Held)),
            // Under a newer writer key the same keys are signed anew: only that signature counts then.
            Slot::PlaneKey if !is_same => Err(Reject::Equivocation),
            Slot::PlaneKey => Ok((held.envelope == self.envelope).then_some(Posted::Held)),
            Slot::EnrolAnswer | Slot::Evidence | Slot::Heartbeat | Slot::Receipt | Slot::Lost => {
                Ok((is_same && is_held).then_some(Posted::Held))
            }
        }
    }
}

fn content(received: &ReceivedEnvelope<'_>) -> Digest {
    let digest = received.unverified_header().digest;
    let mut said: Vec<u8> = Vec::new();
    if let Some(digest) = &digest {
        said.extend_from_slice(digest.as_bytes());
    }
    said.extend_from_slice(received.unverified_payload());
    Digest::of(&said)
}
