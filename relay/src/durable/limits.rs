//! Every bound of the durable mailboxes, with its unit and its reason.
//!
//! Numbers marked "arbitrary" come from judgement. Refuses to bound what the protocol bounds itself.

use crate::limits::MAILBOX_BYTES_MAX;

/// Bytes that a tenant earns in its turn at the writer: a third of the largest post.
pub const QUANTUM_COST: usize = 16 * 1024;
/// Bytes charged for a task beside its own, so that small ones are not free: about what a record
/// costs in the store.
pub const TASK_COST: usize = 1024;
/// Bytes and charges that wait for one tenant. Arbitrary: 80 full posts, or 4,000 small ones.
pub const LINE_COST_MAX: usize = 4 * 1024 * 1024;
/// Tasks, in entries, that wait for one tenant. Arbitrary, as many as small posts fill the line with.
pub const LINE_TASKS_MAX: usize = 4_096;
/// Tenants that wait at once: as many as a bundle names (spec: #bundle).
pub const TENANT_LINES_MAX: usize = 256;
/// Tasks, in entries of a batch, after which a commit is not made larger: beyond 256 the cost of a record no longer falls.
pub const GROUP_TASKS_MAX: usize = 256;
/// Bytes after which a commit is not made larger, so that it stays short. Arbitrary.
pub const GROUP_COST_MAX: usize = 4 * 1024 * 1024;

/// Milliseconds of a commit that count as slow. Arbitrary: a hundred times a usual one; beyond it
/// devices give up before they are answered.
pub const COMMIT_SLOW_MS: u64 = 2_000;
/// Commits, in entries of a ring, over which slow ones are counted.
pub const COMMITS_WATCHED: usize = 128;
/// Slow commits among the entries watched that open the breaker: one of a hundred is its p99.
pub const COMMITS_SLOW_MAX: usize = 1;
/// Milliseconds between two tries while the breaker is open.
pub const BREAKER_TRY_MS: u64 = 1_000;
/// Tries in a row, each one call of the store, that must be quick before the breaker closes. Arbitrary.
pub const BREAKER_TRIES: u32 = 3;

/// Milliseconds between two sweeps through some of the mailboxes. Arbitrary.
pub const SWEEP_MS: u64 = 1_000;
/// Mailboxes, in entries, looked at in one sweep: 20,000 take 80 s.
pub const SWEEP_CHANNELS_MAX: usize = 256;
/// Seconds of the relay's own clock for which a letter waits for its reader: 21 days.
pub const LETTER_AGE_S_MAX: u64 = 21 * 86_400;
/// Seconds after which a contact is written though nothing else is. Far below what lowers quotas.
pub const CONTACT_NOTED_S: u64 = 3_600;
/// Bytes that one device may have kept towards its controller where its admission names no less.
pub const DEVICE_BYTES_MAX: usize = MAILBOX_BYTES_MAX;
/// Part of a quota, in quarters, below which a sender that was refused is asked to come again.
pub const LOW_WATER_QUARTERS: usize = 2;
/// Part of the memory of all mailboxes, in quarters, above which acknowledged bytes go.
pub const PRESSURE_QUARTERS: usize = 3;
/// Admitted channels and marks of withdrawn ones. Arbitrary: five times the devices that one
/// process can hold polls of.
pub const ADMISSIONS_MAX: usize = 100_000;
/// Milliseconds after a change of admission for which posts are verified in full: a session of
/// before may still have brought them. As long as a host call may take.
pub const ADMISSION_FRESH_MS: u64 = 2 * crate::limits::HOST_ANSWER_MS_MAX;

/// Bytes of an enrol frame that a relay keeps: above a request of the largest key.
pub const KNOCK_BYTES_MAX: usize = 4 * 1024;
/// Enrolments, in entries, that wait at once: 40 MB at most.
pub const KNOCKS_MAX: usize = 10_000;
/// Entries of enrolments in what the writers of all tenants may collect: each is shown to every
/// tenant. Arbitrary: about 10 MB of memory.
pub const KNOCK_ENTRIES_MAX: usize = 100_000;
/// Milliseconds for which an enrolment is shown to writers: an hour.
pub const KNOCK_AGE_MS_MAX: u64 = 3_600_000;
/// New enrolments at once, of all sources, in entries. Arbitrary.
pub const KNOCKS_BURST: u32 = 100;
/// New enrolments per second, of all sources, in entries: each costs a commit and is shown to every tenant.
pub const KNOCKS_PER_S: u32 = 20;
/// Milliseconds for which a refusal is what an enrol frame finds; then it is a new knock (spec: #knocks).
pub const KNOCK_REFUSED_MS_MAX: u64 = 60_000;
/// Milliseconds for which a device's enrolment is held for its answer, below every proxy's patience.
pub const KNOCK_HOLD_MS_MAX: u64 = 10_000;
