//! The writer: appends items in their only form. Callers give map keys in order.
//!
//! Refuses nothing: sorting and limits are the business of those who know what they write.

use super::float::{f64_to_half, f64_to_single};
use alloc::vec::Vec;

/// Appends deterministic CBOR to a buffer (spec: #cbor-profile).
#[derive(Debug, Default, Clone)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Starts with an empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { out: Vec::new() }
    }

    /// Starts with room for `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
        }
    }

    /// Returns what was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Looks at what was written so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    fn head(&mut self, major: u8, argument: u64) -> &mut Self {
        let major = major << 5;
        let [b7, b6, b5, b4, b3, b2, b1, b0] = argument.to_be_bytes();
        match argument {
            0..=23 => self.out.push(major | b0),
            24..=0xff => self.out.extend_from_slice(&[major | 24, b0]),
            0x100..=0xffff => self.out.extend_from_slice(&[major | 25, b1, b0]),
            0x1_0000..=0xffff_ffff => self.out.extend_from_slice(&[major | 26, b3, b2, b1, b0]),
            _ => self
                .out
                .extend_from_slice(&[major | 27, b7, b6, b5, b4, b3, b2, b1, b0]),
        }
        self
    }

    /// Writes an unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(0, value)
    }

    /// Writes an integer; values outside -2^63..2^64 cannot be expressed by callers of this crate.
    pub fn int(&mut self, value: i64) -> &mut Self {
        match u64::try_from(value) {
            Ok(positive) => self.head(0, positive),
            Err(_) => self.head(1, !value.cast_unsigned()),
        }
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(2, value.len() as u64);
        self.out.extend_from_slice(value);
        self
    }

    /// Writes text.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(3, value.len() as u64);
        self.out.extend_from_slice(value.as_bytes());
        self
    }

    /// Writes the head of an array.
    pub fn array(&mut self, length: usize) -> &mut Self {
        self.head(4, length as u64)
    }

    /// Writes the head of a map; its entries follow with ascending keys.
    pub fn map(&mut self, entries: usize) -> &mut Self {
        self.head(5, entries as u64)
    }

    /// Writes false or true.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.out.push(if value { 0xf5 } else { 0xf4 });
        self
    }

    /// Writes null.
    pub fn null(&mut self) -> &mut Self {
        self.out.push(0xf6);
        self
    }

    /// Writes a finite float in its shortest exact form.
    pub fn float(&mut self, value: f64) -> &mut Self {
        if let Some(half) = f64_to_half(value) {
            self.out.push(0xf9);
            self.out.extend_from_slice(&half.to_be_bytes());
        } else if let Some(single) = f64_to_single(value) {
            self.out.push(0xfa);
            self.out.extend_from_slice(&single.to_be_bytes());
        } else {
            self.out.push(0xfb);
            self.out.extend_from_slice(&value.to_be_bytes());
        }
        self
    }

    /// Appends bytes that are already strict CBOR (or the fixed parts of a frame).
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }
}
