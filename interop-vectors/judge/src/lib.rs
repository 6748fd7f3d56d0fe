//! Answers the operations of the interop vectors, each a pure function of its request.
//!
//! ```text
//!   line --JSON--> request --operation--> outputs | reject | what is wrong with the request
//! ```
//!
//! Follows `interop-vectors/CLIENT-CLI.md`. A line that is broken, too long or lacks a member is
//! answered as `unsupported` with a `detail` that says what is wrong, and the next line is read.
//! Goes through the functions that devices, controllers and mailboxes use. Refuses to keep anything
//! between lines, to hold more than one line in memory, and to guess.

mod acceptance;
mod child;
mod clones;
mod encryption;
mod engine;
mod enrolment;
mod frames;
pub mod limits;
mod lives;
mod operation;
mod published;
mod request;
mod session;
mod sign1;
mod state;
#[cfg(test)]
mod tests;
mod time;
mod trust;
mod typed;

pub use child::{reply, serve};
pub use operation::operations;
