//! How operator commands reach a running relay: JSON lines over a Unix socket in its folder.
//!
//! ```text
//!  postern-relay drain --client--> relay.sock --server--> Request --Desk--> Operable, or an Order to the loop
//!                      <-- one JSON line -------------------'  '--> audit log, before anything changes
//! ```
//!
//! Whoever may open the socket is the operator: folder 0700, socket 0600. One request a line, one
//! answer a line, in order. Refuses long lines, many connections and unknown members.

pub mod client;
mod desk;
mod request;
mod response;
mod server;
#[cfg(test)]
mod tests;

pub use desk::{Desk, Order};
pub use request::Request;
pub use response::{DrainStanding, Response, Status};
pub use server::{bind, double, serve};
