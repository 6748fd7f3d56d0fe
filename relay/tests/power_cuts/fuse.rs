//! A FUSE file system that is one file, and remembers what was done to it: the disk under the loop device.
//!
//! Speaks the kernel's protocol 7.31 itself, as far as a loop device uses it; everything else is `ENOSYS`. It answers
//! strictly one request after the other, and it never touches what is mounted upon it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::store_explorer::disk::DiskOp;
use super::super::store_explorer::image::Image;
use super::super::store_explorer::life::Event;

const MINOR: u32 = 31;
/// `FUSE_BIG_WRITES`: without it the kernel cuts writes into pages.
const BIG_WRITES: u32 = 1 << 5;
const WRITE_BYTES_MAX: u32 = 128 * 1024;
const IN_HEADER_BYTES: usize = 40;
const OUT_HEADER_BYTES: usize = 16;
/// Fields before the data of a write.
const WRITE_HEADER_BYTES: usize = 40;
const REQUEST_BYTES_MAX: usize = 2 * WRITE_BYTES_MAX as usize;
/// A regular file that its owner may read and write.
const MODE: u32 = 0o100_600;

const ENODEV: i32 = 19;
const EIO: i32 = 5;
const ENOSYS: i32 = 38;

#[derive(Debug, Default)]
struct State {
    image: Image,
    events: Vec<Event>,
}

/// The disk's bytes, and one list of all that happened to it and above it.
#[derive(Debug, Default)]
pub struct Recording {
    state: Mutex<State>,
    /// Reports flushes as done and does none: what no drive may do.
    deaf: bool,
}

impl Recording {
    pub fn over(image: Image, deaf: bool) -> Self {
        let state = State {
            image,
            events: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            deaf,
        }
    }

    /// Writes down what happened above the disk, behind everything that reached it before.
    pub fn note(&self, event: Event) {
        self.state().events.push(event);
    }

    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.state().events)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, offset: usize, size: usize) -> Option<Vec<u8>> {
        let state = self.state();
        let left = state.image.length().saturating_sub(offset);
        let mut bytes = vec![0; size.min(left)];
        state.image.read(offset, &mut bytes).then_some(bytes)
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        let op = DiskOp::Write {
            offset,
            bytes: Arc::from(bytes),
        };
        let mut state = self.state();
        state.image.apply(&op);
        state.events.push(Event::Disk(op));
    }

    fn flush(&self) {
        if !self.deaf {
            self.state().events.push(Event::Disk(DiskOp::Flush));
        }
    }
}

/// Answers the kernel until the file is unmounted.
pub fn serve(mut device: File, recording: &Recording) {
    let mut request = vec![0; REQUEST_BYTES_MAX];
    loop {
        let length = match device.read(&mut request) {
            Ok(length) => length,
            Err(error) if error.raw_os_error() == Some(ENODEV) => return,
            // A request that was withdrawn before it was read.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Interrupted) => {
                continue;
            }
            Err(error) => unreachable!("the kernel's requests can be read: {error}"),
        };
        let request = Request(&request[..length]);
        if let Some(answer) = answer(&request, recording) {
            // Who asked may be gone: nobody is to be told.
            drop(device.write(&frame(request.unique(), answer)));
        }
    }
}

struct Request<'a>(&'a [u8]);

impl Request<'_> {
    fn u32_at(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    fn unique(&self) -> u64 {
        self.u64_at(8)
    }

    /// Offset and size, which stand at the same places of a read and a write.
    fn range(&self) -> (usize, usize) {
        let offset = usize::try_from(self.u64_at(IN_HEADER_BYTES + 8)).unwrap();
        let size = self.u32_at(IN_HEADER_BYTES + 16) as usize;
        (offset, size)
    }
}

/// Returns the answer or the error of a request; `None` where the kernel wants no answer.
fn answer(request: &Request<'_>, recording: &Recording) -> Option<Result<Vec<u8>, i32>> {
    const FORGET: u32 = 2;
    const GETATTR: u32 = 3;
    const SETATTR: u32 = 4;
    const OPEN: u32 = 14;
    const READ: u32 = 15;
    const WRITE: u32 = 16;
    const STATFS: u32 = 17;
    const RELEASE: u32 = 18;
    const FSYNC: u32 = 20;
    const FLUSH: u32 = 25;
    const INIT: u32 = 26;
    const INTERRUPT: u32 = 36;
    const DESTROY: u32 = 38;
    const BATCH_FORGET: u32 = 42;
    Some(match request.u32_at(4) {
        FORGET | INTERRUPT | BATCH_FORGET => return None,
        INIT => Ok(init()),
        // Times are not kept.
        GETATTR | SETATTR => Ok(attributes(recording.state().image.length())),
        OPEN => Ok(vec![0; 16]),
        STATFS => Ok(vec![0; 80]),
        READ => {
            let (offset, size) = request.range();
            recording.read(offset, size).ok_or(EIO)
        }
        WRITE => {
            let (offset, size) = request.range();
            let data = &request.0[IN_HEADER_BYTES + WRITE_HEADER_BYTES..][..size];
            recording.write(offset, data);
            let size = u32::try_from(size).unwrap();
            Ok([size.to_ne_bytes(), [0; 4]].concat())
        }
        FSYNC => {
            recording.flush();
            Ok(Vec::new())
        }
        FLUSH | RELEASE | DESTROY => Ok(Vec::new()),
        _not_for_us => Err(ENOSYS),
    })
}

fn init() -> Vec<u8> {
    let mut out = Vec::new();
    for word in [7, MINOR, 0, BIG_WRITES, 0, WRITE_BYTES_MAX, 1] {
        out.extend_from_slice(&u32::to_ne_bytes(word));
    }
    out.resize(64, 0);
    out
}

fn attributes(length: usize) -> Vec<u8> {
    let length = length as u64;
    let mut out = vec![0; 16];
    for long in [1, length, length.div_ceil(512), 0, 0, 0] {
        out.extend_from_slice(&u64::to_ne_bytes(long));
    }
    for word in [0, 0, 0, MODE, 1, 0, 0, 0, 4096, 0] {
        out.extend_from_slice(&u32::to_ne_bytes(word));
    }
    out
}

fn frame(unique: u64, answer: Result<Vec<u8>, i32>) -> Vec<u8> {
    let (error, body) = match answer {
        Ok(body) => (0, body),
        Err(error) => (-error, Vec::new()),
    };
    let length = u32::try_from(OUT_HEADER_BYTES + body.len()).unwrap();
    let mut out = length.to_ne_bytes().to_vec();
    out.extend_from_slice(&error.to_ne_bytes());
    out.extend_from_slice(&unique.to_ne_bytes());
    out.extend_from_slice(&body);
    out
}
