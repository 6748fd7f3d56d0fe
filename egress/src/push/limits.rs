//! Bounds of streams and of the canaries before them: what each limits, its unit, and why that number.
//!
//! "Measured" and "arbitrary" mean what they mean in the crate's own limits, which hold all others.

use std::time::Duration;

/// Time between two answers of an idle stream: below every idle timer seen on a way but the shortest.
pub const STREAM_INTERVAL: Duration = Duration::from_secs(15);

/// Least of it, where even short holds are cut.
pub const STREAM_INTERVAL_MIN: Duration = Duration::from_secs(5);

/// Part of the longest hold that lives on a way after which an idle stream is answered, in per cent.
pub const STREAM_INTERVAL_PERCENT: u64 = 80;

/// Silence of a stream after which it is dead, in thirds of its interval: 40 s at the usual one.
pub const STREAM_SILENCE_THIRDS: u32 = 8;

/// Longest hold of a way, at the most, where a stream is chosen by itself: there its answers cost less than polls.
pub const STREAM_HOLD_CAP: Duration = Duration::from_secs(28);

/// Age at which a stream is renewed at the latest. Arbitrary; a mailbox ends it at 900 s.
pub const STREAM_RENEWAL: Duration = Duration::from_secs(10 * 60);

/// Part of the age at which something on the way cuts streams after which they are renewed, in per cent.
pub const STREAM_RENEWAL_PERCENT: u64 = 80;

/// Part of the renewal by which it is early, at random and at most, in per cent: a fleet does not renew at once.
pub const STREAM_RENEWAL_JITTER_PERCENT: u64 = 10;

/// Halves of an interval that a stream has to live to be worth its head.
pub const STREAM_WORTH_HALVES: u32 = 3;

/// Answers that are asked of one stream: more than fit into its longest life at the shortest interval.
pub const STREAM_FRAMES: u16 = 1_024;

/// Streams in a row that end badly before polls take over for [`STREAM_PAUSE`].
pub const STREAM_FAILURES_MAX: u32 = 4;

/// Time without streams after too many ended badly, and at a mailbox that knows none.
pub const STREAM_PAUSE: Duration = Duration::from_secs(6 * 3600);

/// Answers of a canary.
pub const CANARY_FRAMES: u16 = 4;

/// Time between two answers of a canary: three of them outlast what buffers hold back for efficiency.
pub const CANARY_GAP: Duration = Duration::from_millis(500);

/// Bytes to which the answers of a canary are filled up, one try after the other: no buffer, and the usual sizes of one.
pub const CANARY_PADS_BYTES: [u16; 3] = [0, 1_024, 4_096];

/// The bytes that a diagnosis tries after those.
pub const CANARY_PAD_BYTES_MAX: u16 = 16_384;

/// Canaries of the same padding that have to come through one by one before a stream is believed in.
pub const CANARY_PROOFS: u32 = 2;

/// Part of the time between first and last answer at the mailbox that has to lie between them here, in per cent.
pub const CANARY_SPAN_PERCENT: u64 = 60;

/// Answers that come within this time came at once.
pub const CANARY_AT_ONCE: Duration = Duration::from_millis(150);

/// Age at which what a canary showed is asked again.
pub const CANARY_AGE: Duration = Duration::from_secs(6 * 3600);

/// Stalls of streams that nothing explains before the canary is asked again.
pub const CANARY_STALLS: u32 = 2;
