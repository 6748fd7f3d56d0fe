//! What targets need beyond the crates that they test: second readers, which the product never links.
//!
//! Refuses to hold anything that a crate could hold itself: other bodies stand beside the code that they test.

#![forbid(unsafe_code)]

pub mod config;
pub mod differential;
