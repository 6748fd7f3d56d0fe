//! A whole relay over TLS and QUIC on loopback: devices post and writers collect, writers deliver and
//! devices poll, across restarts; and what a relay, a foreign tenant or an old key cannot do.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test"
)]

mod answers;
mod armour;
mod blind;
mod both_ways;
mod chain;
mod handover;
mod quic;
mod receipts;
mod refusals;
mod restored;
mod site;
