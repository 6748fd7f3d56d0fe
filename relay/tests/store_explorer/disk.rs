//! A disk in memory that remembers what was done to it, and can refuse to do it.
//!
//! It models a drive with a volatile cache: what reached it before the last flush is safe, the
//! rest is at the mercy of a [`Tail`]. A call can be made to fail once or from then on; with a
//! failing flush the system may drop what it had not written, and report success the next time.
//! It does not model misdirected writes.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postern_relay::store::Disk;

use super::image::Image;
use super::tail::{Tail, Window};

/// One change, in the order in which the engine made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOp {
    Write { offset: usize, bytes: Arc<[u8]> },
    SetLength(usize),
    Flush,
}

/// A kind of call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Write,
    SetLength,
    Flush,
}

/// Which call fails, how, and what becomes of the writes that were not flushed.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub call: Call,
    /// Counted from 0 over calls of this kind since the fault was set.
    pub nth: u64,
    pub error: io::ErrorKind,
    /// Whether every later call of this kind fails too.
    pub lasts: bool,
    /// What the system makes of unflushed writes when a flush fails; `None` keeps them in memory.
    pub dropping: Option<Tail>,
    /// Does not report the failure: what no system may do.
    pub silent: bool,
}

#[derive(Debug, Default)]
struct State {
    image: Image,
    /// What a power cut finds, and may find.
    window: Window,
    log: Vec<DiskOp>,
    reads: Vec<Range<usize>>,
    flushes: u64,
    fault: Option<Fault>,
    calls_until_fault: u64,
    faults_met: u64,
    length_max: Option<usize>,
}

/// Bytes in memory with a log of every change.
#[derive(Debug, Default)]
pub struct RecordingDisk(Mutex<State>);

impl RecordingDisk {
    pub fn holding(image: impl Into<Image>) -> Self {
        let image = image.into();
        Self(Mutex::new(State {
            window: Window::over(image.clone()),
            image,
            ..State::default()
        }))
    }

    /// Every flush from this one on (counted from 0 since the disk was made) fails.
    pub fn fail_flushes_from(&self, nth: u64) {
        let nth = nth.saturating_sub(self.flushes());
        self.fail(Fault {
            call: Call::Flush,
            nth,
            error: io::ErrorKind::Other,
            lasts: true,
            dropping: None,
            silent: false,
        });
    }

    pub fn fail(&self, fault: Fault) {
        let mut state = self.state();
        state.calls_until_fault = fault.nth;
        state.fault = Some(fault);
    }

    /// Ends every fault: the disk works again.
    pub fn heal(&self) {
        let mut state = self.state();
        state.fault = None;
        state.length_max = None;
    }

    /// How many calls have failed.
    pub fn faults_met(&self) -> u64 {
        self.state().faults_met
    }

    /// No byte beyond this one can be stored: the disk is full.
    pub fn limit_length(&self, length_max: usize) {
        self.state().length_max = Some(length_max);
    }

    /// Flushes asked for since the disk was made, failed ones included.
    pub fn flushes(&self) -> u64 {
        self.state().flushes
    }

    pub fn image(&self) -> Image {
        self.state().image.clone()
    }

    /// What a power cut now would leave to chance.
    pub fn window(&self) -> Window {
        self.state().window.clone()
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

impl State {
    /// Returns the fault that this call meets.
    fn meet(&mut self, call: Call) -> Option<Fault> {
        let fault = self.fault.filter(|fault| fault.call == call)?;
        if self.calls_until_fault > 0 {
            self.calls_until_fault -= 1;
            return None;
        }
        if !fault.lasts {
            self.fault = None;
        }
        self.faults_met += 1;
        Some(fault)
    }

    fn change(&mut self, call: Call, op: DiskOp, end: usize) -> io::Result<()> {
        if let Some(fault) = self.meet(call) {
            self.accept_part(&op);
            return fault.outcome();
        }
        if self.length_max.is_some_and(|length_max| end > length_max) {
            self.faults_met += 1;
            self.accept_part(&op);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.accept(op);
        Ok(())
    }

    fn accept(&mut self, op: DiskOp) {
        self.image.apply(&op);
        self.window.push(op.clone());
        self.log.push(op);
    }

    /// A write that fails may have written a part; a length that fails has not changed.
    fn accept_part(&mut self, op: &DiskOp) {
        if let DiskOp::Write { offset, bytes } = op {
            let room = self
                .length_max
                .map_or(usize::MAX, |end| end.saturating_sub(*offset));
            let part = &bytes[..(bytes.len() / 2).min(room)];
            if !part.is_empty() {
                let (offset, bytes) = (*offset, part.into());
                self.accept(DiskOp::Write { offset, bytes });
            }
        }
    }
}

impl Fault {
    fn outcome(&self) -> io::Result<()> {
        if self.silent {
            return Ok(());
        }
        Err(io::Error::new(self.error, "injected failure"))
    }
}

impl Disk for RecordingDisk {
    fn length_bytes(&self) -> io::Result<u64> {
        Ok(self.state().image.length() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = to_usize(offset)?;
        let mut state = self.state();
        if !state.image.read(start, out) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        state.reads.push(start..start + out.len());
        Ok(())
    }

    fn set_length(&self, length_bytes: u64) -> io::Result<()> {
        let length = to_usize(length_bytes)?;
        self.state()
            .change(Call::SetLength, DiskOp::SetLength(length), length)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = to_usize(offset)?;
        let bytes = bytes.into();
        let op = DiskOp::Write { offset, bytes };
        let end = op.end();
        self.state().change(Call::Write, op, end)
    }

    fn flush(&self) -> io::Result<()> {
        let mut state = self.state();
        state.flushes += 1;
        if let Some(fault) = state.meet(Call::Flush) {
            if let Some(tail) = fault.dropping {
                let left = state.window.after(&tail);
                state.window = Window::over(left.clone());
                state.image = left;
            }
            return fault.outcome();
        }
        state.window.push(DiskOp::Flush);
        state.log.push(DiskOp::Flush);
        Ok(())
    }
}

impl DiskOp {
    /// The first byte behind what the change touches.
    fn end(&self) -> usize {
        match self {
            Self::Write { offset, bytes } => offset + bytes.len(),
            Self::SetLength(length) => *length,
            Self::Flush => 0,
        }
    }
}

fn to_usize(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(io::Error::other)
}
