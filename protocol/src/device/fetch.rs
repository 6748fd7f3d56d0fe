//! A snapshot on its way: the signed table is here, its bodies are fetched by digest.
//!
//! Refuses to begin anew when a body is cut off: the next fetch names the byte where it ended.

use super::accept::Arrived;
use super::link::PACE_MS;
use super::{Context, Device, Event};
use crate::context::Now;
use crate::frame::BodyChunk;
use crate::kind::MessageKind;
use crate::message::RejectNote;
use crate::reject::Reject;
use crate::revision::{Head, KeyGeneration};
use crate::state::SnapshotAssembly;
use alloc::vec::Vec;

/// Fetches in a row that may bring nothing before the snapshot is given up. Arbitrary.
const FETCH_FAILURES_MAX: u32 = 3;

/// The snapshot that is being fetched.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) head: Head,
    pub(super) assembly: SnapshotAssembly,
    /// The signed snapshot: kept with the head once it is accepted.
    pub(super) envelope: Vec<u8>,
    pub(super) bytes: usize,
    /// The key generation of an encrypted one.
    pub(super) generation: Option<KeyGeneration>,
    /// No fetch before this moment.
    pub(super) retry_ms: u64,
    /// Fetches that brought nothing since the last that did.
    pub(super) failures: u32,
}

impl Device {
    /// Takes what a fetch brought. Only bytes that were missing count as progress.
    pub(super) fn handle_chunks(&mut self, context: &mut Context<'_>, chunks: &[BodyChunk<'_>]) {
        let mut is_progress = false;
        let mut refusal = None;
        for chunk in chunks {
            match self.handle_chunk(chunk) {
                Ok(progressed) => is_progress |= progressed,
                Err(reject) => {
                    self.event(Event::Rejected { reject });
                    refusal = Some(reject);
                }
            }
        }
        self.finish_snapshot_if_whole(context);
        if refusal.is_some() || !is_progress {
            self.abandon_snapshot(context.now);
        }
    }

    /// Takes one chunk of a body. Chunks are unsigned: only the finished body's hash is believed.
    pub(super) fn handle_chunk(&mut self, chunk: &BodyChunk<'_>) -> Result<bool, Reject> {
        let Some(pending) = &mut self.desired.pending else {
            return Ok(false);
        };
        let next_byte = |pending: &Pending| {
            let mut missing = pending.assembly.missing();
            missing.find(|(digest, _)| *digest == chunk.digest)
        };
        let before = next_byte(pending);
        pending
            .assembly
            //= spec/postern.md#bodies
            //# A device MUST check the digest of the complete body before it uses any byte of it,
            //# else `body-mismatch`.
            .put(&chunk.digest, chunk.size, chunk.offset, chunk.bytes)?;
        let after = next_byte(pending);
        if before == after {
            return Ok(false);
        }
        pending.bytes = pending.bytes.saturating_add(chunk.bytes.len());
        if after.is_none() {
            pending.failures = 0;
        }
        Ok(true)
    }

    /// Commits the snapshot once every body is here and right.
    pub(super) fn finish_snapshot_if_whole(&mut self, context: &mut Context<'_>) {
        if self
            .desired
            .pending
            .as_ref()
            .is_none_or(|pending| !pending.assembly.is_complete())
        {
            return;
        }
        let Some(Pending {
            head,
            assembly,
            envelope,
            bytes,
            generation,
            ..
        }) = self.desired.pending.take()
        else {
            return;
        };
        let stored = self.desired.head.as_ref();
        if stored.is_some_and(|stored| !is_above(&head, stored)) {
            // Deltas overtook the snapshot while its bodies were on their way.
            return;
        }
        //= spec/postern.md#snapshot
        //# A reader MUST commit all sections of a snapshot together.
        match assembly.finish() {
            Ok(state) => {
                let arrival = Arrived {
                    kind: MessageKind::Snapshot,
                    bytes,
                    envelope,
                    generation,
                };
                self.adopt(&head, state, arrival);
            }
            Err(reject) => self.refuse_snapshot(context, &head, reject),
        }
    }

    /// Waits before the next fetch; after three that brought nothing the snapshot is asked for anew.
    pub(super) fn abandon_snapshot(&mut self, now: Now) {
        let Some(pending) = &mut self.desired.pending else {
            return;
        };
        pending.failures += 1;
        pending.retry_ms = now.mono_ms.saturating_add(PACE_MS);
        if pending.failures >= FETCH_FAILURES_MAX {
            self.desired.pending = None;
            self.want_snapshot();
        }
    }

    fn refuse_snapshot(&mut self, context: &mut Context<'_>, head: &Head, reject: Reject) {
        self.event(Event::Rejected { reject });
        self.want_snapshot();
        self.note_reject(RejectNote::new(
            MessageKind::Snapshot,
            head.revision,
            reject,
        ));
        self.report_notes(context);
    }
}

/// Compares as revisions compare: by generation, epoch, seq.
fn is_above(head: &Head, stored: &Head) -> bool {
    (head.generation, head.revision) > (stored.generation, stored.revision)
}
