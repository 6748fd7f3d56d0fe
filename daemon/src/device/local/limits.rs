//! Every bound of the local API: what one client, and all of them, can take from this process.
//!
//! Refuses numbers without unit and reason.

use std::time::Duration;

/// Connections at once; more wait in the socket's queue. Arbitrary, above the applications of one device.
pub(super) const CONNECTIONS_MAX: usize = 32;
/// Questions that wait for the engine; one more is answered 503. Arbitrary, far above what is answered in a turn.
pub(in crate::device) const ASKS_MAX: usize = 16;
/// Bytes of a request's body: a full state as JSON and some.
pub(super) const BODY_BYTES_MAX: usize = 2 << 20;
/// Bytes of all bodies that are read at once. Two of the largest.
pub(super) const BODIES_BYTES_MAX: usize = 4 << 20;
/// Bytes of a request's head. Arbitrary, above any path of the state with its query.
pub(super) const HEAD_BYTES_MAX: usize = 16_384;
/// Header lines of a request. Arbitrary, above what HTTP clients send.
pub(super) const HEADERS_MAX: usize = 32;
/// From the connection to the end of the head. Arbitrary: both ends are on one machine.
pub(super) const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// From the head to the end of the body. Arbitrary, as above.
pub(super) const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Seconds of the longest long poll. Arbitrary: as long as a mailbox holds one.
pub(super) const WAIT_S_MAX: u64 = 300;
/// Life of a connection: the longest poll, and time to read its answer.
pub(super) const CONNECTION_DEADLINE: Duration = Duration::from_secs(360);
/// From a question to the engine's answer; longer means that the disk hangs.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// From the beginning of a diagnosis to its report: a script's answer (20 s), every hop of the slowest way at its
/// budget (36 s), a large body (10 s).
pub(super) const DIAGNOSIS_DEADLINE: Duration = Duration::from_secs(70);
/// Seconds after which a client that was told to wait may ask again.
pub(super) const RETRY_AFTER_S: u64 = 1;
/// Bytes of a socket's path that the system takes, less the end mark.
pub(super) const SOCKET_PATH_BYTES_MAX: usize = 107;
