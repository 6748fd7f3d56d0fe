//! The signed bytes: one COSE_Sign1 (RFC 9052) with an empty unprotected map.
//!
//! ```text
//!  bytes --parse--> ReceivedEnvelope --verify--> Verified --Message::decode--> meaning
//!  Draft --seal---> SealedEnvelope --as_bytes--> transport
//! ```
//!
//! `verify.rs` holds the only constructor of [`Verified`]; nothing that is not verified can be
//! decoded into a message. Refuses detached payloads, unknown labels, any unprotected header.

mod binding;
mod decode;
mod seal;
#[cfg(test)]
mod tests;
mod verify;

pub use binding::Binding;
pub use decode::{ReceivedEnvelope, TAG_SIGN1, skip_envelope};
pub use seal::{Draft, SealedEnvelope};
pub use verify::{Expected, Verified};

use crate::id::Digest;
use crate::kind::MessageKind;
use crate::revision::{Epoch, Seq};

/// The semantic header: what the numbers mean is fixed by the kind (spec: #kinds).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the message is.
    pub kind: MessageKind,
    /// The writer's life.
    pub epoch: Epoch,
    /// The decision, report number or bundle number.
    pub seq: Seq,
    /// The sequence that a delta starts from, or the previous bundle; else 0.
    pub base: Seq,
    /// The digest that the kind carries, if any.
    pub digest: Option<Digest>,
}
