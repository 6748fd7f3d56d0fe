//! One process goes on where another stood: sockets and sessions go over a private socket pair.
//!
//! ```text
//!  predecessor                                   successor (`run --take-over`, the pair is its stdin)
//!    | ---- starts it ------------------------------> reads configuration, keys, certificate
//!    | <--- "ready" or "refused <why>" -------------- |
//!    | lets devices go, ends exchanges, closes store  | waits
//!    | ---- sockets, sessions ----------------------> opens the store, serves
//!    | <--- "serving" or "refused <why>" ------------ |
//!    | tells the service manager, ends                | goes on
//! ```
//!
//! Until the sockets are sent nothing is lost by stopping: the predecessor goes on. A successor that
//! fails afterwards is followed by the predecessor's own program, on the same sockets. Refuses
//! sessions on a disk, and a successor that talks about another layout.

mod predecessor;
mod successor;
#[cfg(test)]
mod tests;
mod wire;

pub use predecessor::{Inherited, Predecessor};
pub use successor::{Left, Prepared, Successor, follow_self};

/// The option by which a process is told that its standard input is a predecessor.
pub const TAKE_OVER: &str = "--take-over";
