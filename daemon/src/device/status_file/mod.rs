//! `status.json` in the device's folder: the newest status, for people and for what watches files.
//!
//! Written whole and renamed, when something changed, and five times a second at most. Refuses to
//! stand in the way of a push, and to end the process over a file that cannot be written.

#[cfg(test)]
mod tests;

use super::status::Status;
use std::path::PathBuf;

/// Milliseconds between two writes of `status.json`. Arbitrary: soon enough for people, and seldom enough that
/// renaming over a file, which costs the disk a flush, stays off the way of a push.
const WRITE_INTERVAL_MS: u64 = 200;

/// `status.json`.
#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    written: Option<Status>,
    /// The clock's milliseconds before which nothing is written.
    rests_until_ms: u64,
    /// True while the file is behind.
    is_behind: bool,
}

impl StatusFile {
    /// Names the file; writes nothing yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self {
            path,
            written: None,
            rests_until_ms: 0,
            is_behind: false,
        }
    }

    /// Returns the clock's milliseconds at which [`Self::offer`] should come again, while the file is behind.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.is_behind.then_some(self.rests_until_ms)
    }

    /// Writes the file when it would differ, five times a second at most; [`Self::due_ms`] tells what waits.
    pub fn offer(&mut self, status: &Status, now_ms: u64) {
        self.is_behind = self.written.as_ref() != Some(status);
        if self.is_behind && now_ms >= self.rests_until_ms {
            self.rests_until_ms = now_ms.saturating_add(WRITE_INTERVAL_MS);
            self.write(status);
        }
    }

    /// Writes the file at once. A file that cannot be written is logged, never fatal.
    pub fn write(&mut self, status: &Status) {
        let next = self.path.with_extension("json.next");
        let text = format!("{:#}\n", status.to_json());
        let written = std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, &self.path));
        match written {
            Ok(()) => {
                self.written = Some(status.clone());
                self.is_behind = false;
            }
            Err(error) => tracing::debug!(%error, "status file not written"),
        }
    }
}
