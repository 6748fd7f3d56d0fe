//! A snapshot on its way: the signed table is here, its bodies are fetched by digest.

use super::link::PACE_MS;
use super::{Context, Device, Event, records};
use crate::context::Now;
use crate::id::Digest;
use crate::kind::MessageKind;
use crate::message::RejectNote;
use crate::reject::Reject;
use crate::revision::Head;
use crate::state::SnapshotAssembly;

/// Fetches in a row that may bring nothing before the snapshot is given up. Arbitrary.
const FETCH_FAILURES_MAX: u32 = 3;

/// The snapshot that is being fetched.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) head: Head,
    pub(super) assembly: SnapshotAssembly,
    pub(super) bytes: usize,
    /// No fetch before this moment.
    pub(super) retry_ms: u64,
    /// Fetches that brought nothing since the last that did.
    pub(super) failures: u32,
}

impl Device {
    /// Takes one chunk of a body. Chunks are unsigned: only the finished body's hash is believed.
    pub(super) fn handle_chunk(
        &mut self,
        digest: Digest,
        size: u64,
        offset: u64,
        bytes: &[u8],
    ) -> bool {
        let Some(pending) = &mut self.desired.pending else {
            return false;
        };
        match pending.assembly.put(&digest, size, offset, bytes) {
            Ok(()) => {
                pending.bytes += bytes.len();
                pending.failures = 0;
                true
            }
            Err(reject) => {
                self.event(Event::Rejected { reject });
                false
            }
        }
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
            bytes,
            ..
        }) = self.desired.pending.take()
        else {
            return;
        };
        match assembly.finish() {
            Ok(state) => {
                let writes = records::replacement(&self.desired.state, &state);
                self.desired.state = state;
                self.adopt(context, &head, MessageKind::Snapshot, bytes, writes);
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
        let note = RejectNote::new(MessageKind::Snapshot, head.revision, reject);
        self.report_reject(context, note, alloc::vec::Vec::new());
    }
}
