//! Bounds of the runner.
//!
//! A child is a stranger's program: refuses to wait for it, or to keep anything of it, without end.

/// Bytes of one reply. Arbitrary, above the largest state in hexadecimal.
pub(crate) const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of one vector file. The generator refuses 1 MiB; four times that is no vector file.
pub(crate) const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Entries that `fill` may describe. Above every bound of a state.
pub(crate) const FILL_ENTRIES_MAX: u64 = 1 << 17;

/// Bytes that `fill` may describe. Above the bound of a state; in hexadecimal below that of a line.
pub(crate) const FILL_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Deaths of a child that never answered before it is given up. Arbitrary.
pub(crate) const DEATHS_MAX: usize = 16;

/// Children at a time, each with one request of at most `REPLY_BYTES_MAX` bytes. Arbitrary, above the cores of most machines.
pub(crate) const JOBS_MAX: usize = 64;

/// Seconds that a reply may take at most. An hour: longer is a child that hangs.
pub(crate) const TIMEOUT_S_MAX: u64 = 3_600;

/// Milliseconds after which a run shows how far it is. Below that nobody wonders.
pub(crate) const PROGRESS_AFTER_MS: u64 = 2_000;

/// Milliseconds of silence after which a run shows how far it is. Arbitrary.
pub(crate) const PROGRESS_EVERY_MS: u64 = 200;

/// Entries of the list of vectors after which a run shows how far it is. Arbitrary.
pub(crate) const PROGRESS_VECTORS: usize = 64;

/// Characters of a value that a report shows. Arbitrary: digests and signatures fit.
pub(crate) const SHOWN_CHARS_MAX: usize = 160;
