//! A whole fleet in memory: published keys, seeded dice, stores, one mailbox, a faulty network.
//!
//! ```text
//!  World: Controller engine <--> TestMailbox <--faults--> Device engines      (virtual time)
//!  Lone:  one Device engine <--> a mailbox whose every answer the test writes
//! ```
//!
//! Everything follows from a seed: the same seed gives the same bytes and the same end.
//! Refuses to be part of a release: the seeds of its keys are public.

mod agenda;
pub mod campaign;
mod clock;
#[cfg(test)]
#[path = "../../tests/diagrams/page.rs"]
pub(crate) mod diagram_page;
#[cfg(test)]
#[path = "../../tests/diagrams/states.rs"]
pub(crate) mod diagram_states;
mod disk;
mod drive;
pub mod fuzz;
mod handled;
mod heads;
mod hop;
mod keys;
mod lone;
mod mailbox;
mod node;
mod operate;
mod oracle;
mod sabotage;
mod serve;
mod slots;
mod store;
mod way;
mod wire;
mod world;

pub use clock::{Clock, Wall};
pub use handled::{Asked, Handled, HeldPoll, Piece};
pub use hop::{Held, Hop};
pub use keys::{Dice, Signing, TestKeys, agreement, signer};
pub use lone::{Answering, Lone, at, numbers, posted};
pub use mailbox::TestMailbox;
pub use node::{ControllerNode, Crash, DeviceNode, DiskFault};
pub use oracle::{Acknowledged, Invariant, Oracle, Violation};
pub use sabotage::Sabotage;
pub use store::MemoryStore;
pub use way::Proxy;
pub use wire::{Faults, Trace};
pub use world::{MakeHop, World};
