//! The device's process: joins once, then carries the engine's frames and applies its state.
//!
//! ```text
//!   join line --join--> device.key, store (identity, bundles)
//!   run: engine <--answers-- routes (egress) <--frames-- engine
//!        engine --Apply--> applier (files, on_change) --Applied--> engine
//! ```
//!
//! The device never listens for the network. Refuses to run with a store or key that is not its own.

mod carry;
mod identity;
mod join;
mod note;
mod routes;
mod run;
mod start;
mod status;

pub use join::join;
pub use run::run;
