//! The end of a stream: keeps the last bytes and forgets the rest while reading.
//!
//! Refuses to grow with what a command prints, and to cut a character in two.

use std::collections::VecDeque;

/// Bytes of output kept while a command runs; the report takes the last 512 of them.
pub(super) const TAIL_BYTES_MAX: usize = 65_536;

/// The last [`TAIL_BYTES_MAX`] bytes.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<u8>);

impl Tail {
    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let kept = bytes
            .get(bytes.len().saturating_sub(TAIL_BYTES_MAX)..)
            .unwrap_or_default();
        let excess = (self.0.len() + kept.len()).saturating_sub(TAIL_BYTES_MAX);
        self.0.drain(..excess);
        self.0.extend(kept);
    }

    /// Returns what is kept as text; what is not UTF-8 becomes U+FFFD.
    pub(super) fn to_text(&self) -> String {
        let (front, back) = self.0.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }
}

/// Returns the longest end of `text` that has at most `bytes_max` bytes and begins with a character.
pub(crate) fn end_of(text: &str, bytes_max: usize) -> &str {
    let least = text.len().saturating_sub(bytes_max);
    (least..=text.len())
        .find_map(|start| text.get(start..))
        .unwrap_or_default()
}

/// Returns the longest start of `text` that has at most `bytes_max` bytes and ends with a character.
pub(super) fn start_of(text: &str, bytes_max: usize) -> &str {
    let most = text.len().min(bytes_max);
    (0..=most)
        .rev()
        .find_map(|end| text.get(..end))
        .unwrap_or_default()
}
