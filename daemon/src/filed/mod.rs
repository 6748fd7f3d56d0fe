//! Files instead of a network: read frame by frame, written whole or not at all.
//!
//! ```text
//!  controller --export--> file --import--> device --export--> file --import--> controller
//! ```
//!
//! `daemon/FILES.md` is its documentation. What a file holds is believed as little as what a mailbox
//! answers: the engines verify it. Refuses to hold more than one frame of a file in memory, to write
//! over a file that exists, and to write anything secret.

pub mod limits;
mod read;
mod row;
#[cfg(test)]
mod tests;
mod write;

pub use read::FrameReader;
pub use row::{Outcome, Row};
pub use write::write;
