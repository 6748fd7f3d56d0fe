//! The crash explorer: cuts the power at every instant of a workload and opens what is left.
//!
//! ```text
//!  records: batches of a device, a controller, a mailbox
//!     -> life: commits them through several lives on a recording disk
//!     -> explore: cuts at every write and flush; tail: what the drive kept
//!     -> verify: opens, holds against model and rules -> cut the recovery again, or go on
//! ```
//!
//! One `u64` seed reproduces an exploration, one line reproduces a state. Nothing here waits, and
//! nothing touches a real disk.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    dead_code,
    reason = "a test; it is shared by tests that each use a part of it"
)]

pub mod disk;
pub mod explore;
pub mod image;
pub mod life;
pub mod random;
pub mod records;
pub mod schedule;
pub mod tail;
pub mod verify;
