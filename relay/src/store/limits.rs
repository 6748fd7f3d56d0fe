//! Every bound of the store, with its unit and its reason.
//!
//! Nothing here is negotiated with a peer; a caller that exceeds a bound gets
//! [`StoreError::TooLarge`](super::StoreError::TooLarge) or
//! [`StoreError::QueueFull`](super::StoreError::QueueFull) and nothing is stored.

/// Version of the record layout this program writes and the newest it reads.
pub const SCHEMA_VERSION: u32 = 1;

/// Most tries to lock a file that another process holds.
pub const LOCK_TRIES_MAX: usize = 50;

/// Milliseconds between two tries: with them a second in all, far above the time between fork and
/// exec on a busy machine, and short for an operator who is told that the store is in use.
pub const LOCK_PAUSE_MS: u64 = 20;

/// Longest table name in bytes; its length is stored in one byte. Arbitrary.
pub const TABLE_NAME_BYTES_MAX: usize = 32;

/// Longest key in bytes. Keys are sequences, ids and state paths, all far below; arbitrary.
pub const KEY_BYTES_MAX: usize = 4 * 1024;

/// Largest value in bytes: above any envelope, below what would starve a small device; arbitrary.
pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Engine cache of a device in bytes: the live set is about 100 KB, the daemon's budget 12 MiB.
pub const DEVICE_CACHE_BYTES: usize = 1024 * 1024;

/// Engine cache of a controller or relay in bytes. The engine's own default is 1 GiB, which is
/// more than a small relay has.
pub const SERVER_CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Most batches that share one group commit. Beyond 256 the cost of a record no longer falls
/// (measured November 2026, redb 4.5.0, 400-byte records).
pub const GROUP_BATCHES_MAX: usize = 256;

/// Most bytes in one group commit, so that one commit stays short; a larger single batch still
/// goes alone. Arbitrary.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Default bound of a writer's queue in bytes, commits under way included. Arbitrary.
pub const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes charged for each operation besides its key and value, so that empty ones are not free.
pub const OP_OVERHEAD_BYTES: usize = 64;
