//! Every bound of the link to an upstream, with its unit and its reason.
//!
//! Nothing here is negotiated: whatever an upstream says is cut down to these.

/// Milliseconds after which everything is collected, or brought, again because something of it was missing.
/// Arbitrary: a full state of many devices is not sent every few seconds.
pub const AGAIN_MS: u64 = 60_000;
/// Milliseconds before what was refused for now is brought again, unless the upstream says longer. Arbitrary.
pub const REFUSED_RETRY_MS: u64 = 5_000;
/// Milliseconds between two collects that came back empty at once. Arbitrary.
pub const PACE_MS: u64 = 1_000;
/// Envelopes of one tenant that are brought in one frame: as many as the answer can refuse by name.
pub const BROUGHT_MAX: usize = 64;
/// Envelopes of one tenant that wait to be brought again. Beyond it the tenant is brought from its start.
pub const WAITING_MAX: usize = 4_096;
/// Enrolments, in exchanges, that are carried on at a time. Arbitrary: the upstream takes a few a second.
pub const ENROLMENTS_MAX: usize = 64;
/// Enrolments (entries) whose end is remembered. Arbitrary, as many as wait at once at most.
pub const ENDED_MAX: usize = 10_000;
/// Seconds that the upstream may hold an enrolment; above its own hold.
pub const ENROL_HOLD_S: u64 = 15;
