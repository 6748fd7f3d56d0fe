//! Takes a file apart, one frame in memory at a time.
//!
//! Refuses to go on behind a frame whose end cannot be found, and files above the limit.

use super::limits::FILE_BYTES_MAX;
use crate::exit::CommandError;
use postern_protocol::frame::FileFrames;
use postern_protocol::limits::FRAME_BYTES_MAX;
use postern_protocol::reject::Reject;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The frames of a file, in order.
#[derive(Debug)]
pub struct FrameReader<R> {
    source: io::Take<R>,
    /// What was read and not given out; never more than a frame and a byte.
    buffer: Vec<u8>,
    position: u64,
    has_ended: bool,
}

impl FrameReader<File> {
    /// Opens a file.
    ///
    /// # Errors
    /// One that cannot be read, is no plain file, is empty or larger than the limit.
    pub fn open(path: &Path) -> Result<Self, CommandError> {
        let unreadable = |error: &io::Error| {
            let message = format!("{}: cannot be read: {error}", path.display());
            CommandError::configuration("file-unreadable", message, "name a file that you may read")
        };
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let metadata = file.metadata().map_err(|error| unreadable(&error))?;
        let refused = |name: &str, what: &str, next: &str| {
            CommandError::configuration(name, format!("{}: {what}", path.display()), next)
        };
        let next =
            "name a file that `postern bundle export` or `postern device join --to-file` wrote";
        if !metadata.is_file() {
            return Err(refused("file-unreadable", "this is no plain file", next));
        }
        if metadata.len() > FILE_BYTES_MAX {
            return Err(refused("oversize", "the file is larger than 64 MiB", next));
        }
        if metadata.len() == 0 {
            let next = "copy it again: the medium was perhaps removed too early";
            return Err(refused("file-empty", "the file is empty", next));
        }
        Ok(Self::new(file))
    }
}

impl<R: Read> FrameReader<R> {
    /// Begins at the first byte of a source.
    pub fn new(source: R) -> Self {
        Self {
            // One more tells that there is more than allowed.
            source: source.take(FILE_BYTES_MAX + 1),
            buffer: Vec::new(),
            position: 0,
            has_ended: false,
        }
    }

    /// Bytes before the next frame, or before the byte at which reading stopped.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Gives the next frame; `None` behind the last and behind one that is refused.
    ///
    /// # Errors
    /// Whatever the file system refuses.
    pub fn next_frame(&mut self) -> io::Result<Option<Result<Vec<u8>, Reject>>> {
        if self.has_ended {
            return Ok(None);
        }
        self.fill()?;
        let mut frames = FileFrames::new(&self.buffer);
        let Some(found) = frames.next() else {
            self.has_ended = true;
            return Ok(None);
        };
        let length = frames.position();
        self.position = self.position.saturating_add(length as u64);
        let found = found.map(<[u8]>::to_vec);
        if self.position > FILE_BYTES_MAX {
            self.has_ended = true;
            return Ok(Some(Err(Reject::Oversize)));
        }
        match found {
            Ok(frame) => {
                self.buffer.drain(..length);
                Ok(Some(Ok(frame)))
            }
            Err(reject) => {
                self.has_ended = true;
                // No frame is as long as what is in memory: it was not cut off, it is too large.
                let is_large = self.buffer.len() > FRAME_BYTES_MAX;
                let is_cut = reject == Reject::CborTruncated;
                Ok(Some(Err(if is_large && is_cut {
                    Reject::Oversize
                } else {
                    reject
                })))
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let room = (FRAME_BYTES_MAX + 1).saturating_sub(self.buffer.len());
        let room = u64::try_from(room).unwrap_or(0);
        (&mut self.source)
            .take(room)
            .read_to_end(&mut self.buffer)?;
        Ok(())
    }
}
