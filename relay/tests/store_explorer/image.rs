//! The bytes of a disk in shared pages: a copy costs a list of pointers, a write one page.
//!
//! Behaves as a file does: a write beyond the end extends it, new bytes are zero, and what was
//! cut off does not come back.

use std::sync::{Arc, LazyLock};

use super::disk::DiskOp;

const PAGE_BYTES: usize = 4096;

type Page = [u8; PAGE_BYTES];

static ZEROS: LazyLock<Arc<Page>> = LazyLock::new(|| Arc::new([0; PAGE_BYTES]));

#[derive(Clone, Debug, Default)]
pub struct Image {
    pages: Vec<Arc<Page>>,
    length: usize,
}

impl Image {
    pub fn length(&self) -> usize {
        self.length
    }

    /// Fills `out` from `offset` on; `false` where the range is not wholly inside.
    pub fn read(&self, offset: usize, out: &mut [u8]) -> bool {
        let Some(end) = offset.checked_add(out.len()) else {
            return false;
        };
        if end > self.length {
            return false;
        }
        let mut at = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let start = at % PAGE_BYTES;
            let count = rest.len().min(PAGE_BYTES - start);
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&self.pages[at / PAGE_BYTES][start..start + count]);
            at += count;
            rest = later;
        }
        true
    }

    pub fn apply(&mut self, op: &DiskOp) {
        match op {
            DiskOp::Write { offset, bytes } => self.write(*offset, bytes),
            DiskOp::SetLength(length) => self.set_length(*length),
            DiskOp::Flush => {}
        }
    }

    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        if self.length < offset + bytes.len() {
            self.set_length(offset + bytes.len());
        }
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let start = at % PAGE_BYTES;
            let (now, later) = rest.split_at(rest.len().min(PAGE_BYTES - start));
            let page = &mut self.pages[at / PAGE_BYTES];
            match <Page>::try_from(now) {
                Ok(whole) => *page = Arc::new(whole),
                Err(_) => Arc::make_mut(page)[start..start + now.len()].copy_from_slice(now),
            }
            at += now.len();
            rest = later;
        }
    }

    fn set_length(&mut self, length: usize) {
        let kept = length % PAGE_BYTES;
        if length < self.length && kept != 0 {
            Arc::make_mut(&mut self.pages[length / PAGE_BYTES])[kept..].fill(0);
        }
        self.pages
            .resize(length.div_ceil(PAGE_BYTES), Arc::clone(&ZEROS));
        self.length = length;
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.pages.iter().fold(Vec::new(), |mut bytes, page| {
            bytes.extend_from_slice(page.as_slice());
            bytes
        });
        bytes.truncate(self.length);
        bytes
    }
}

impl From<Vec<u8>> for Image {
    fn from(bytes: Vec<u8>) -> Self {
        let mut image = Self::default();
        image.write(0, &bytes);
        image
    }
}
