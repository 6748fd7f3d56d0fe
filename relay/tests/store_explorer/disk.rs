//! A disk in memory that remembers what was done to it, and can refuse to flush.
//!
//! It models a drive with a volatile cache: what reached it before the last flush is safe, the
//! rest is at the mercy of [`super::crash`]. It does not model lying flushes or misdirected
//! writes.

use std::io;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use postern_relay::store::Disk;

/// One change, in the order in which the engine made it.
#[derive(Clone, Debug)]
pub enum DiskOp {
    Write { offset: usize, bytes: Vec<u8> },
    SetLength(usize),
    Flush,
}

#[derive(Debug, Default)]
struct State {
    image: Vec<u8>,
    log: Vec<DiskOp>,
    reads: Vec<Range<usize>>,
    flushes: u64,
    flush_failing_from: Option<u64>,
}

/// Bytes in memory with a log of every change.
#[derive(Debug, Default)]
pub struct RecordingDisk(Mutex<State>);

impl RecordingDisk {
    pub fn holding(image: Vec<u8>) -> Self {
        Self(Mutex::new(State {
            image,
            ..State::default()
        }))
    }

    /// Every flush from this one on (counted from 0 since the disk was made) fails.
    pub fn fail_flushes_from(&self, nth: u64) {
        self.state().flush_failing_from = Some(nth);
    }

    /// Flushes asked for since the disk was made, failed ones included.
    pub fn flushes(&self) -> u64 {
        self.state().flushes
    }

    pub fn image(&self) -> Vec<u8> {
        self.state().image.clone()
    }

    /// Takes the changes since the last call.
    pub fn take_log(&self) -> Vec<DiskOp> {
        std::mem::take(&mut self.state().log)
    }

    /// Returns one flag per byte: whether it was ever read.
    pub fn bytes_read(&self) -> Vec<bool> {
        let state = self.state();
        // Opening may shorten the disk after it has read the end.
        let length = state.reads.iter().map(|range| range.end).max();
        let mut read = vec![false; length.unwrap_or(0)];
        for range in &state.reads {
            if let Some(bytes) = read.get_mut(range.clone()) {
                bytes.fill(true);
            }
        }
        read
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for RecordingDisk {
    fn length_bytes(&self) -> io::Result<u64> {
        Ok(self.state().image.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = to_usize(offset)?;
        let mut state = self.state();
        let end = start.checked_add(out.len()).ok_or_else(beyond_the_end)?;
        let bytes = state.image.get(start..end).ok_or_else(beyond_the_end)?;
        out.copy_from_slice(bytes);
        state.reads.push(start..end);
        Ok(())
    }

    fn set_length(&self, length_bytes: u64) -> io::Result<()> {
        let mut state = self.state();
        let op = DiskOp::SetLength(to_usize(length_bytes)?);
        apply(&mut state.image, &op);
        state.log.push(op);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let op = DiskOp::Write {
            offset: to_usize(offset)?,
            bytes: bytes.to_vec(),
        };
        apply(&mut state.image, &op);
        state.log.push(op);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut state = self.state();
        let nth = state.flushes;
        state.flushes += 1;
        if state.flush_failing_from.is_some_and(|from| nth >= from) {
            return Err(io::Error::other("injected flush failure"));
        }
        state.log.push(DiskOp::Flush);
        Ok(())
    }
}

/// Applies one change to an image. A write beyond the end extends it, as a file does.
pub fn apply(image: &mut Vec<u8>, op: &DiskOp) {
    match op {
        DiskOp::Write { offset, bytes } => {
            let end = offset + bytes.len();
            if image.len() < end {
                grow(image, end);
            }
            if let Some(target) = image.get_mut(*offset..end) {
                target.copy_from_slice(bytes);
            }
        }
        DiskOp::SetLength(length) => {
            image.truncate(*length);
            grow(image, *length);
        }
        DiskOp::Flush => {}
    }
}

/// As `resize`, which is a loop over single bytes in an unoptimised build.
fn grow(image: &mut Vec<u8>, length: usize) {
    let zeros = vec![0; length.saturating_sub(image.len())];
    image.extend_from_slice(&zeros);
}

fn to_usize(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(io::Error::other)
}

fn beyond_the_end() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}
