//! Bounds of the judge.
//!
//! Refuses to be configured: a vector fits, or it is no vector.

/// Bytes of one line. Arbitrary, above the largest state in hexadecimal.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Entries of a state that `fill` may describe. Above every bound of a state, so that each can be exceeded.
pub const FILL_ENTRIES_MAX: u64 = 1 << 17;

/// Bytes of one value that `fill` may describe. Above the bound of a value.
pub const FILL_VALUE_BYTES_MAX: u64 = 1 << 20;

/// Bytes of all values that `fill` may describe. Above the bound of a state.
pub const FILL_BYTES_MAX: u64 = 1 << 26;

/// Entries of one list, as steps of a scenario. Arbitrary, far above every vector.
pub const STEPS_MAX: usize = 4_096;

/// Times that an engine wakes between two steps, each at a millisecond of its own: more is a busy loop. Arbitrary.
pub const WAKES_MAX: usize = 10_000;
