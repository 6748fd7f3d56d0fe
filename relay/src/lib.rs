//! Mailboxes: the server side of the Postern wire, and the store behind it.
//!
//! A relay carries envelopes between device and controller without being able to forge them. A
//! listening controller embeds the same code; device and controller keep their own state in the
//! same [`store`].
//!
//! Reading order: [`limits`], [`mailbox`] (what is kept), [`exchange`] (one request and its
//! answer), [`limiter`], [`metrics`], then [`server`], the only part that waits.

pub mod durable;
pub mod exchange;
#[cfg(test)]
mod fixtures;
pub mod limiter;
pub mod limits;
pub mod mailbox;
pub mod metrics;
pub mod server;
pub mod store;
