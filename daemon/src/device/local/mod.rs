//! The local API: HTTP/1.1 on a Unix socket for the applications of this device.
//!
//! ```text
//!  application --> socket --> server --> Target, Question --> Desk --> View (reads)
//!                                                               `----> Ask --> engine's loop
//! ```
//!
//! `daemon/LOCAL_API.md` is its documentation. A client can neither stop nor slow the engine's loop:
//! reads never reach it, and writes wait in a bounded queue. Refuses TCP.

mod client;
mod desk;
pub(super) mod limits;
mod metrics;
mod problem;
mod request;
mod server;
mod socket;
#[cfg(test)]
mod tests;

pub use client::{attempts, control, diagnose, status};
pub use desk::{Ask, Desk, Reply, Written};
pub use problem::Problem;
pub use request::{Control, Done};
pub use server::serve;
pub use socket::bind;
