//! Bodies on their way up: of an offered snapshot, or of the state that evidence names.
//!
//! ```text
//!  hint 5 --put--> answer with hint 5 --put--> ... --answer without--> whole
//! ```
//!
//! The other side says from which byte on: nothing is sent twice after a cut. Refuses to go on when
//! an answer asks for the same again, or for more than a state can hold.

use super::Device;
use super::work::Chunk;
use crate::frame::Wanted;
use crate::id::Plane;
use crate::limits::{BODY_CHUNK_BYTES_MAX, PUTS_MAX};
use alloc::vec::Vec;

/// What the other side wants of one plane.
#[derive(Debug)]
pub(super) struct Puts {
    pub(super) plane: Plane,
    wanted: Vec<Wanted>,
    /// Frames that may still be sent for what was posted.
    left: usize,
}

impl Device {
    //= spec/lives.md#recovery
    //# A device MUST put the bodies that the answer wants.
    /// Takes the bodies that are wanted of what was just posted.
    pub(super) fn begin_puts(&mut self, plane: Plane, wanted: &[Wanted]) {
        if wanted.is_empty() {
            return;
        }
        self.set_puts(Some(Puts {
            plane,
            wanted: wanted.to_vec(),
            left: PUTS_MAX,
        }));
    }

    /// Takes what is still missing after a put.
    pub(super) fn handle_put_answer(&mut self, plane: Plane, wanted: &[Wanted]) {
        let Some(before) = self.take_puts() else {
            return;
        };
        if wanted.is_empty() {
            if plane == Plane::Actual {
                self.finish_offer();
            }
            return;
        }
        if wanted != before.wanted {
            self.set_puts(Some(Puts {
                plane,
                wanted: wanted.to_vec(),
                left: before.left,
            }));
        }
    }

    /// Cuts the next frame of bodies, as much as fits. `None` when nothing is wanted or held.
    pub(super) fn next_put(&mut self) -> Option<(Plane, Vec<Chunk>)> {
        let mut puts = self.take_puts()?;
        puts.left = puts.left.checked_sub(1)?;
        let mut chunks = Vec::new();
        let mut room = self.sizes.put_bytes_max();
        for wanted in &puts.wanted {
            let Some(body) = self.body_of(puts.plane, wanted) else {
                continue;
            };
            let start = usize::try_from(wanted.offset).unwrap_or(usize::MAX);
            let rest = body.get(start..).unwrap_or_default();
            let length = rest.len().min(BODY_CHUNK_BYTES_MAX).min(room);
            let (bytes, _) = rest.split_at(length);
            if bytes.is_empty() {
                continue;
            }
            room = room.saturating_sub(length + CHUNK_OVERHEAD_BYTES);
            chunks.push(Chunk {
                digest: wanted.digest,
                size: body.len() as u64,
                offset: wanted.offset,
                bytes: bytes.to_vec(),
            });
        }
        let plane = puts.plane;
        if chunks.is_empty() {
            return None;
        }
        self.set_puts(Some(puts));
        Some((plane, chunks))
    }
}

/// Bytes of a chunk around its bytes: digest 34, three heads of at most 5 and the array.
const CHUNK_OVERHEAD_BYTES: usize = 50;
