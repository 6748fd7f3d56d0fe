//! Proxies named by a script: where it comes from, what it is asked, what its answer means.
//!
//! ```text
//!   file | http(s) | WPAD --> script --+
//!                                      v
//!   target --prepare--> Question --> Evaluate (a process of its own) --> text
//!                                      |                                   |
//!                         Lookups <----+        Decision <-- PacResult <---+
//!                                                   |
//!   Dialer::routes (never waits) <------------------+
//! ```
//!
//! The last good script and the last good answer stay in use when a newer one cannot be had; both live in
//! memory only, because a script of a rogue server must not survive the network it came from.
//! Refuses to mean "direct" by a failure where a proxy is required, and to show credentials to a
//! proxy that the operator did not list.

#[cfg(feature = "pac")]
mod builtins;
#[cfg(feature = "pac")]
mod child;
#[cfg(feature = "pac")]
pub(crate) mod engine;
mod evaluate;
mod fault;
mod fetch;
mod keeper;
pub(crate) mod limits;
pub(crate) mod pipe;
mod process;
mod result;
#[cfg(feature = "pac")]
mod thread;
mod wpad;

#[cfg(feature = "pac")]
pub use child::serve_child;
pub use evaluate::{Evaluate, Evaluation, LookupRule, Lookups, Question};
pub use fault::PacFault;
pub(crate) use fetch::Fetcher;
pub use fetch::{PacUrl, PacUrlError};
pub(crate) use keeper::{Decision, Keeper, Means};
pub use process::ProcessEvaluator;
pub use result::{PacEntry, PacResult, Skipped};
#[cfg(feature = "pac")]
pub use thread::ThreadEvaluator;
