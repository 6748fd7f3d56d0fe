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

mod child;
mod engine;
mod frames;
mod keys;
pub mod limits;
mod operation;
#[cfg_attr(
    not(feature = "all"),
    expect(dead_code, reason = "the further operations use the rest")
)]
mod request;
mod sign1;
mod state;
#[cfg(test)]
mod tests;
mod typed;

#[cfg(feature = "all")]
mod acceptance;
#[cfg(feature = "all")]
mod bodies;
#[cfg(feature = "all")]
mod clones;
#[cfg(feature = "all")]
mod domain;
#[cfg(feature = "all")]
mod encryption;
#[cfg(feature = "all")]
mod enrolment;
#[cfg(feature = "all")]
mod hop;
#[cfg(feature = "all")]
mod lives;
#[cfg(feature = "all")]
mod published;
#[cfg(feature = "all")]
mod session;
#[cfg(feature = "all")]
mod time;

pub use child::{reply, serve};
pub use operation::operations;
