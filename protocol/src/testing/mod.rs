//! A whole fleet in memory: published keys, seeded dice, stores, one mailbox, a faulty network.
//!
//! ```text
//!  World: Controller engine <--> TestMailbox <--faults--> Device engines      (virtual time)
//!  Lone:  one Device engine <--> a mailbox whose every answer the test writes
//! ```
//!
//! Everything follows from a seed: the same seed gives the same bytes and the same end.
//! Refuses to be part of a release: the seeds of its keys are public.

pub mod campaign;
mod clock;
pub mod fuzz;
mod keys;
mod lone;
mod mailbox;
mod node;
mod operate;
mod oracle;
mod serve;
mod slots;
mod store;
mod wire;
mod world;

pub use clock::{Clock, Wall};
pub use keys::{Dice, TestKeys, agreement, signer};
pub use lone::{Answering, Lone, at, numbers, posted};
pub use mailbox::{Asked, Handled, HeldPoll, Piece, TestMailbox};
pub use node::{ControllerNode, Crash, DeviceNode, Sabotage};
pub use oracle::{Acknowledged, Invariant, Oracle, Violation};
pub use store::MemoryStore;
pub use wire::{Faults, Trace};
pub use world::World;
