//! The bounds of PAC scripts: what each limits, the unit, and why that number.
//!
//! They belong to [`crate::limits`] and are read there. Numbers called "arbitrary" only have to be finite. Refuses a bound
//! without a unit.

use crate::limits::DNS_BUDGET;
use std::time::Duration;

/// Largest PAC script, in bytes. Browsers take 1 MiB; real ones with long lists of hosts stay below 200 KiB.
pub const PAC_SCRIPT_BYTES_MAX: usize = 1024 * 1024;

/// Longest time that a script may compute for one answer; waiting for names is counted apart.
/// A usual script takes 4 ms (measured).
pub const PAC_EVALUATION: Duration = Duration::from_millis(300);

/// Extra time of the evaluating process before it is killed: the engine's own bound comes first
/// unless the script found one of its loops without a clock.
pub const PAC_KILL_GRACE: Duration = Duration::from_millis(200);

/// Longest time for the evaluating process to come up. A loaded device with slow flash needs a second.
pub const PAC_CHILD_START: Duration = Duration::from_secs(5);

/// Memory that the engine may use for a script, in bytes: script, syntax tree and values.
pub const PAC_MEMORY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Stack that the engine may use, in bytes; a thread of the runtime has eight times as much.
pub const PAC_STACK_BYTES_MAX: usize = 256 * 1024;

/// Address space of the evaluating process, in bytes: program, C library, script, engine, twice.
pub const PAC_CHILD_MEMORY_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Processor time of the evaluating process, in seconds: the kernel's word if all else fails.
pub const PAC_CHILD_CPU_S_MAX: u64 = 2;

/// Longest line between evaluating process and parent, in bytes: a URL, a host, some addresses.
pub const PAC_LINE_BYTES_MAX: usize = 4096;

/// Most names that are looked up in one evaluation, each within the seconds of [`PAC_LOOKUP_BUDGET`]. Arbitrary; scripts ask for the target and their own address.
pub const PAC_LOOKUPS_MAX: usize = 16;

/// Longest time for all lookups of one evaluation, as for one lookup elsewhere.
pub const PAC_LOOKUP_BUDGET: Duration = DNS_BUDGET;

/// Largest part of a script's answer that is read, in bytes.
pub const PAC_RESULT_BYTES_MAX: usize = 16 * 1024;

/// Most ways tried of one answer, each with budgets of its own. Arbitrary.
pub const PAC_ENTRIES_MAX: usize = 8;

/// Most entries of an answer that are looked at, understood or not. Arbitrary.
pub const PAC_ENTRIES_READ_MAX: usize = 64;

/// Longest text that `shExpMatch` matches, in bytes; a URL is shorter.
pub const PAC_GLOB_TEXT_BYTES_MAX: usize = 8 * 1024;

/// Longest pattern of `shExpMatch`, in bytes.
pub const PAC_GLOB_PATTERN_BYTES_MAX: usize = 1024;

/// Longest time to fetch a script, redirects and all.
pub const PAC_FETCH_BUDGET: Duration = Duration::from_secs(10);

/// Most redirects on the way to a script, each a request and a connection. Arbitrary.
pub const PAC_REDIRECTS_MAX: usize = 3;

/// Time after which a fetched script is fetched again, on average.
pub const PAC_REFRESH: Duration = Duration::from_secs(4 * 3600);

/// Largest deviation from [`PAC_REFRESH`] to either side, so that a fleet does not fetch at once.
pub const PAC_REFRESH_JITTER: Duration = Duration::from_secs(3600);

/// Time after which a script's file is read again.
pub const PAC_FILE_REFRESH: Duration = Duration::from_secs(60);

/// Pause after a script could not be had, or failed, before it is tried again.
pub const PAC_RETRY: Duration = Duration::from_secs(10);

/// Age at which an answer is asked for again: scripts look at the time of day.
pub const PAC_DECISION_AGE: Duration = Duration::from_secs(5 * 60);

/// Targets whose answers are remembered: mailboxes and relays of one process. Arbitrary.
pub const PAC_TARGETS_MAX: usize = 64;

/// Longest time of [`Dialer::prepare`](crate::Dialer::prepare): a fetch, a process and its lookups.
pub const PAC_PREPARE_BUDGET: Duration = Duration::from_secs(20);
