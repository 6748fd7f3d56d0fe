//! Bodies of the fuzz targets: plain functions over bytes, also called by the tests beside them.
//!
//! Each states what must hold for every input; [`http`] stands with the server, [`stored`] with what is stored.
//! They refuse to return anything: a finding is a panic.

#![expect(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a finding is a panic"
)]

mod exchange;
mod mailbox;
mod make;
#[cfg(test)]
mod tests;

pub use exchange::exchange;
pub use mailbox::mailbox;
pub(crate) use make::{INCARNATION, channel, signer, steps};

/// Whatever comes on a connection, every answer is one of the binding and the connection ends.
pub fn http(input: &[u8]) {
    crate::server::fuzz::http(input);
}

/// Whatever a front states, it is read like a whole header or refused.
pub fn proxy_header(input: &[u8]) {
    crate::server::fuzz::proxy_header(input);
}

/// Whatever lies in the store, it is what a relay wrote or is refused.
pub fn stored(input: &[u8]) {
    match input.split_first() {
        Some((selector, rest)) if selector % 2 == 0 => crate::store::fuzz::frame(rest),
        Some((_, rest)) => crate::durable::fuzz::records(rest),
        None => {}
    }
}
