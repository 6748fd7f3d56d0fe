//! Mailboxes: the server side of the Postern wire, and the store behind it.
//!
//! A relay carries envelopes between device and controller without being able to forge them. A
//! listening controller embeds the same code; device and controller keep their own state in the
//! same [`store`].
//!
//! Reading order: [`limits`], [`mailbox`] (what is kept), [`exchange`] (one request and its
//! answer), [`limiter`], [`budget`], [`delay`] (who has to come later), [`metrics`], [`server`],
//! which waits for peers, [`durable`], which waits for the disk, [`upstream`], which dials further out, [`Relay`], which puts them
//! together, and [`Handover`], by which one process goes on where another stood.

pub mod budget;
pub mod delay;
pub mod durable;
pub mod exchange;
#[cfg(test)]
mod fixtures;
#[cfg(any(test, feature = "testing"))]
pub mod fuzz;
mod handover;
pub mod limiter;
pub mod limits;
pub mod mailbox;
pub mod metrics;
mod relay;
pub mod server;
pub mod store;
pub mod upstream;

pub use handover::{HANDED_SESSIONS_BYTES_MAX, HandedSessions, Handover, NotSessions};
pub use relay::{MailboxStats, Relay, RelayConfig, RelayError, RelayStats, TenantStats};
