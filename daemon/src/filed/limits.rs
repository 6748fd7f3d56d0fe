//! Bounds of reading and carrying files.
//!
//! Nothing else in this module may invent a size or count.

/// Bytes of a file that is read at most. Arbitrary: fifty times the largest state with all around it.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
/// Frames in one request to a running controller: as JSON they stay below its longest line.
pub const FRAMES_A_REQUEST: usize = 16;
