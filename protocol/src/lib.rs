//! Everything that two Postern implementations must agree on, and nothing that touches the world.
//!
//! ```text
//!  bytes --> ReceivedEnvelope --> Verified --> Message --> engine --> Persist | Apply | Send | Event | Wait
//! ```
//!
//! Reading order: [`id`], [`cbor`], [`key`], [`kind`], [`envelope`], [`revision`], [`state`],
//! [`trust`], [`frame`], [`session`], then the two roles.
//!
//! Refuses: IO, clocks, threads, randomness, environment. Time, random bytes and keys come in as
//! arguments; the same inputs give the same bytes. A peer can cause a [`Reject`], never an error
//! of ours and never a panic.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(all(feature = "testing", not(debug_assertions)))]
compile_error!(
    "the feature `testing` holds keys whose seeds are public: it cannot be part of a release build"
);

pub mod admission;
pub mod cbor;
pub mod context;
pub mod controller;
pub mod device;
pub mod encryption;
pub mod enrol;
pub mod envelope;
pub mod frame;
pub mod freshness;
pub mod id;
pub mod join_line;
pub mod key;
pub mod kind;
pub mod limits;
pub mod message;
pub mod receipt;
pub mod record;
pub mod reject;
pub mod revision;
pub mod session;
pub mod signed_time;
pub mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod trust;
pub mod trust_line;
pub mod writer_link;

pub use reject::Reject;
