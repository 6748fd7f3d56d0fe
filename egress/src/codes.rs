//! The codes that more than one module gives, each with its one meaning; `egress/CODES.md` lists all of them.
//!
//! A code of a fault stands beside that fault. Refuses to give one code two meanings: a test counts them.

/// What answers is no mailbox: a captive portal, a block page, another server.
pub const NO_MAILBOX: &str = "PST-A01";
/// A mailbox answers that the bundle does not list.
pub const STRANGER: &str = "PST-A02";
/// The right kind of mailbox answers and refuses to be asked for now.
pub const BUSY: &str = "PST-A03";
/// The record of rejected proxy credentials cannot be read or written.
pub const LOCKOUT_RECORD: &str = "PST-C05";
/// Nobody trusted issued the certificate.
pub const UNKNOWN_ISSUER: &str = "PST-S01";
/// Not even the smallest useful body passes.
pub const BODIES_BLOCKED: &str = "PST-L01";
/// A large request is lost on its way while small ones pass.
pub const LARGE_BODY_LOST: &str = "PST-L02";
/// The path carries packets below 1280 bytes only.
pub const SMALL_PACKETS: &str = "PST-L03";
/// Large answers are lost on their way while small ones pass.
pub const LARGE_ANSWER_LOST: &str = "PST-L04";
/// Answers are held back until they are complete.
pub const ANSWERS_HELD_BACK: &str = "PST-L05";
