//! The second exchange of a session: what is posted, fetched and asked for beside the poll.
//!
//! One piece at a time, in a fixed order: reports, evidence, heartbeats, bodies up, the actual
//! plane, bodies down, questions. Refuses to start a piece that is not due: what is due and what
//! wakes the engine are the same moments.

use super::link::PACE_MS;
use super::put::Puts;
use super::{Context, Device};
use crate::frame::{BodyChunk, Item, UpFrame, Wanted};
use crate::id::{Digest, Plane};
use crate::message::EvidenceCode;
use crate::revision::{Revision, Seq};
use alloc::vec::Vec;

/// What the second exchange does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Brings the report of this number: a newer one may be sealed before the answer comes.
    Report(Seq),
    /// Brings what is held against the controller.
    Evidence(EvidenceCode),
    /// Brings a heartbeat.
    Heartbeat,
    /// Brings bodies of a plane.
    Put(Plane),
    /// Brings this revision of the actual plane.
    Actual(Revision),
    /// Asks for bodies of the desired plane.
    Fetch,
    /// Asks for a snapshot of the desired plane.
    Need,
}

/// What an item that was taken did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It brought the device forward.
    Forward,
    /// It changed nothing: asking again at once would bring the same.
    Nothing,
    /// A heartbeat or an acknowledgement without news: as if it had not come.
    Quiet,
}

impl From<bool> for Taken {
    fn from(is_forward: bool) -> Self {
        if is_forward {
            Self::Forward
        } else {
            Self::Nothing
        }
    }
}

/// A piece of a body on its way up.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// The body of the frame that a piece of work sends.
#[derive(Debug)]
pub(super) enum Outgoing {
    Post(Plane, Vec<u8>),
    Put(Plane, Vec<Chunk>),
    Fetch(Vec<Wanted>),
    Need(Revision),
}

impl Outgoing {
    pub(super) fn as_frame(&self) -> UpFrame<'_> {
        match self {
            Self::Post(plane, envelope) => UpFrame::Post(Vec::from([Item {
                //= spec/postern.md#frames
                //# A sender MUST NOT send an item whose plane is not the one of the kind.
                plane: Some(*plane),
                envelope,
            }])),
            Self::Put(plane, chunks) => UpFrame::Put {
                plane: *plane,
                chunks: chunks.iter().map(Chunk::as_body_chunk).collect(),
            },
            Self::Fetch(wanted) => UpFrame::Fetch {
                plane: Plane::Desired,
                wanted: wanted.clone(),
            },
            Self::Need(held) => UpFrame::Need {
                plane: Plane::Desired,
                held: *held,
            },
        }
    }
}

impl Chunk {
    pub(super) fn as_body_chunk(&self) -> BodyChunk<'_> {
        BodyChunk {
            digest: self.digest,
            size: self.size,
            offset: self.offset,
            bytes: &self.bytes,
        }
    }
}

impl Device {
    /// Chooses the next piece of work, if any is due.
    pub(super) fn next_work(&mut self, context: &mut Context<'_>) -> Option<(Work, Outgoing)> {
        let now_ms = context.now.mono_ms;
        if self.may_report(now_ms)
            && let Some(envelope) = self.reporter.due(now_ms)
        {
            let outgoing = Outgoing::Post(Plane::Actual, envelope.to_vec());
            return Some((Work::Report(self.reporter.rseq), outgoing));
        }
        if let Some((code, envelope)) = self.next_evidence(context) {
            return Some((
                Work::Evidence(code),
                Outgoing::Post(Plane::Desired, envelope),
            ));
        }
        if let Some(envelope) = self.next_heartbeat(context) {
            return Some((Work::Heartbeat, Outgoing::Post(Plane::Actual, envelope)));
        }
        if let Some((plane, chunks)) = self.next_put() {
            return Some((Work::Put(plane), Outgoing::Put(plane, chunks)));
        }
        if let Some((revision, envelope)) = self.offer_actual(context) {
            return Some((
                Work::Actual(revision),
                Outgoing::Post(Plane::Actual, envelope),
            ));
        }
        if let Some(wanted) = self.next_fetch(now_ms) {
            return Some((Work::Fetch, Outgoing::Fetch(wanted)));
        }
        let held = self.next_need(now_ms)?;
        Some((Work::Need, Outgoing::Need(held)))
    }

    fn next_fetch(&mut self, now_ms: u64) -> Option<Vec<Wanted>> {
        if !self.may_fetch(now_ms) {
            return None;
        }
        let pending = self.desired.pending.as_ref()?;
        let missing = pending.assembly.missing().take(self.sizes.digests_max());
        let wanted: Vec<Wanted> = missing
            .map(|(digest, offset)| Wanted { digest, offset })
            .collect();
        (!wanted.is_empty()).then_some(wanted)
    }

    fn next_need(&mut self, now_ms: u64) -> Option<Revision> {
        let need = &mut self.desired.need;
        if !need.is_wanted || need.allowed_ms > now_ms {
            return None;
        }
        need.allowed_ms = now_ms.saturating_add(PACE_MS);
        need.is_wanted = false;
        Some(
            self.desired
                .head
                .map_or(Revision::NONE, |head| head.revision),
        )
    }

    /// When the next piece of work is due, if anything waits for its moment.
    pub(super) fn work_due_ms(&self) -> Option<u64> {
        let dues = [
            self.report_wake_ms(),
            self.disputes.due_ms(),
            Some(self.pulse.due_ms()),
            self.actual.due_ms(),
            self.desired.wake_ms(),
        ];
        dues.into_iter().flatten().min()
    }

    pub(super) fn take_puts(&mut self) -> Option<Puts> {
        self.link.open_mut()?.puts.take()
    }

    pub(super) fn set_puts(&mut self, puts: Option<Puts>) {
        if let Some(open) = self.link.open_mut() {
            open.puts = puts;
        }
    }
}
