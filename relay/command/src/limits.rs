//! Every bound of this program that is no key of `relay.toml`, with its unit and its reason.
//!
//! Numbers marked "arbitrary" come from judgement.

use std::time::Duration;

/// Bytes of one line of the audit log: the largest request and its frame.
pub const AUDIT_LINE_BYTES_MAX: u64 = 65_536;
/// Bytes of an audit file before it is put away. Arbitrary: 40,000 lines, quick to verify.
pub const AUDIT_FILE_BYTES_MAX: u64 = 16 << 20;

/// Bytes of one request line on the admin socket.
pub const REQUEST_BYTES_MAX: u64 = 16_384;
/// Bytes of one answer on the admin socket: a page of mailboxes is below 1 MB.
pub const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// Connections to the admin socket at once. Arbitrary, far above the operators of one relay.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;
/// Entries in one answer that lists mailboxes or sessions.
pub const ROWS_MAX: usize = 1_000;
/// Orders that wait for the loop of the process. Arbitrary, above the admin connections.
pub const ORDERS_MAX: usize = 64;

/// Milliseconds for the next process of an upgrade to read configuration and keys. Arbitrary: it takes
/// some ten on any machine; a program that waits for something is not the one that was meant.
pub const SUCCESSOR_READY_MS_MAX: u64 = 10_000;
/// Milliseconds for the next process to open the store and serve. Arbitrary: a store of 1 GB is
/// checked within half a minute on a slow disk.
pub const SUCCESSOR_SERVING_MS_MAX: u64 = 120_000;
/// Milliseconds for which the next process waits for the end of the one before. Arbitrary: that one
/// has only to send a datagram.
pub const PREDECESSOR_END_MS_MAX: u64 = 5_000;
/// Sockets of one handover: two doors with their connections, health address and admin socket.
pub const HANDOVER_SOCKETS_MAX: usize = 4;
/// Bytes of a line between the two processes; a reason is shorter.
pub const HANDOVER_HEAD_BYTES_MAX: u64 = 4_096;
/// Milliseconds between two looks at an upgrade by the command that asked for it.
pub const UPGRADE_LOOK: Duration = Duration::from_millis(200);

/// Networks of load balancers, each an entry of `server.proxy_protocol_from`. Arbitrary, above any site.
pub const FRONTS_MAX: usize = 64;

/// Connections to the health address at once: a few scrapers and load balancers.
pub const HEALTH_CONNECTIONS_MAX: usize = 64;
/// Milliseconds for a request head on the health address, and between two requests.
pub const HEALTH_HEADER_MS_MAX: u64 = 10_000;
/// Bytes of a request head on the health address; hyper's least buffer.
pub const HEALTH_HEADER_BYTES_MAX: usize = 8_192;

/// Least milliseconds before a device asks a drained relay again: 20,000 devices without another one
/// make 500 exchanges a second.
pub const DRAINED_RETRY_MS: u64 = 30_000;
/// Seconds over which an operator may spread a drain at most.
pub const DRAIN_WITHIN_S_MAX: u64 = 3_600;

/// Milliseconds between two turns of the process's loop: drains spread smoothly, signals are quick.
pub const TURN: Duration = Duration::from_millis(200);
/// Milliseconds after its last turn at which the loop no longer counts as alive.
pub const TURN_MS_MAX: u64 = 10_000;
/// Milliseconds between two looks at the certificate files, and two counts of lines left out.
pub const MINUTE_MS: u64 = 60_000;
/// Seconds that the wall clock may go otherwise than the monotonic one between two turns. Arbitrary:
/// a time service that repairs more than this has found a clock that nobody should have trusted.
pub const CLOCK_JUMP_S_MAX: u64 = 300;
/// Milliseconds for which a clock that jumped is suspect. Arbitrary: long enough for an alert.
pub const CLOCK_SUSPECT_MS: u64 = 900_000;

/// Bytes of memory that one connection with a held poll takes: 28 KiB of HTTP/2, 4 KiB of the
/// kernel, session and hold. Measured with idle long polls, rounded up.
pub const CONNECTION_BYTES: u64 = 40 << 10;
/// Bytes that the process takes with no connection at all, the store's cache included.
pub const PROCESS_BYTES: u64 = 96 << 20;
/// Files that the process has open beside its connections: store, sockets, logs, and slack.
pub const FILES_BESIDE: u64 = 128;

/// Places in the code whose lines of log are counted. Each is static; arbitrary, above their number.
pub const LOG_CALLS_MAX: usize = 1_024;
