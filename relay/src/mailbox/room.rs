//! How much of an answer is still free. Stops before overflow and never skips ahead.
//!
//! An answer that is cut short stays in order, and the next one goes on from there.

use super::Entry;
use crate::limits::{ANSWER_ITEMS_BYTES_MAX, ITEM_OVERHEAD_BYTES};
use postern_protocol::id::Plane;
use std::sync::Arc;

/// The answer is full: what follows waits for the next poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// Bytes left in one answer.
#[derive(Debug)]
pub(super) struct Room {
    left: usize,
}

impl Room {
    pub(super) const fn for_items() -> Self {
        Self {
            left: ANSWER_ITEMS_BYTES_MAX,
        }
    }

    pub(super) const fn left(&self) -> usize {
        self.left
    }

    /// Takes `bytes`, or tells that they do not fit.
    pub(super) const fn take(&mut self, bytes: usize) -> Result<(), Full> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Full),
        }
    }

    /// Appends an envelope, or tells that it does not fit.
    pub(super) fn push(
        &mut self,
        entries: &mut Vec<Entry>,
        plane: Option<Plane>,
        envelope: &Arc<[u8]>,
    ) -> Result<(), Full> {
        //= spec/postern.md#mailboxes
        //# A mailbox MUST answer a poll with bundles that lead from the poll's number to the newest, ascending, then the
        //# chain, then the slots, as much as fits into one frame.
        self.take(envelope.len().saturating_add(ITEM_OVERHEAD_BYTES))?;
        entries.push(Entry {
            plane,
            envelope: Arc::clone(envelope),
        });
        Ok(())
    }
}
