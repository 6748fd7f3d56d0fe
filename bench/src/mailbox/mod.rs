//! What a whole relay takes, forwards and keeps: the product's own host and its store on a disk.
//!
//! The relay is a process of its own, on TLS over loopback, with real sessions and real signatures;
//! messages have 1 KB and are signed before time is taken. Reading order: [`domain`] (who signs),
//! [`child`] (the relay), [`client`] (both ends), then what is measured. Refuses to count an exchange
//! that was not acknowledged.

pub mod child;
mod client;
pub mod domain;
pub mod flood;
pub mod flow;
pub mod overload;
pub mod reconnect;
pub mod spread;
pub mod throughput;

pub use child::serve;
pub use throughput::measure;
