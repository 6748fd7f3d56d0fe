//! Mailboxes: the server side of the Postern wire, and the store behind it.
//!
//! A relay carries envelopes between device and controller without being able to forge them. A
//! listening controller embeds the same code; device and controller keep their own state in the
//! same [`store`].

pub mod store;
