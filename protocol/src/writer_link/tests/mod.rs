//! The link against a mailbox whose every answer is written here.

mod bodies;
mod collect;
mod deliver;
mod desk;
mod diagram;
mod gaps;
mod handshake;
mod outbox;
