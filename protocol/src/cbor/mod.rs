//! Strict deterministic CBOR: RFC 8949 section 4.2.1 and nothing else.
//!
//! One byte string has one meaning and one meaning has one byte string. The reader validates
//! while it reads, borrows from the input and never allocates; a second form of any value, a
//! duplicate key, a tag, an indefinite length or a trailing byte is a [`Reject`](crate::Reject).
//! Refuses to be a general CBOR library: no tags, no NaN, no undefined, depth at most 8.

mod decode;
mod encode;
mod float;
#[cfg(test)]
mod tests;

pub use decode::{KeyOrder, Kind, Reader, check, decode_all};
pub use encode::Writer;
