//! How operator commands reach a running controller: JSON lines over a Unix socket in its folder.
//!
//! ```text
//!  postern desired set … --client--> controller.sock --server--> OperatorRequest --Desk--> engine
//!                        <-- one JSON line -----------------------------'
//! ```
//!
//! Whoever may open the socket is the operator: folder 0700, socket 0600. One request a line, one
//! answer a line, in order. Refuses long lines, many connections and unknown members.

pub mod client;
mod desk;
mod device_status;
pub mod diff;
mod entries;
mod fields;
mod request;
mod response;
mod server;
#[cfg(test)]
mod tests;
pub mod value;

pub use desk::Desk;
pub use device_status::{DeviceStatus, PAUSE};
pub use entries::Entries;
pub use request::{Request, TakeSide, Target};
pub use response::{HeadJson, LinkJson, Response};
pub use server::{bind, serve};
