//! Paths: the keys of a state.
//!
//! Two orders exist. The order of the type is that of the text, so that all descendants of a path
//! stand in one range; the order on the wire is that of the encoding: shorter first, then bytes.

use crate::limits::PATH_BYTES_MAX;
use crate::reject::Reject;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;

/// One or more segments of `a-z 0-9 . _ -` joined by `/`, at most 255 bytes (spec: #paths).
///
/// A clone shares the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

impl Path {
    /// Takes a path. # Errors: `path-invalid`.
    pub fn parse(text: &str) -> Result<Self, Reject> {
        check_path(text).map(|()| Self(text.into()))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text before the first `/`, or the empty text when there is none.
    #[must_use]
    pub fn section(&self) -> &str {
        section_of(&self.0)
    }

    /// Returns every path that this one lies below, the shortest first.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        ancestors_of(&self.0)
    }
}

impl Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a path without keeping it (spec: #paths). # Errors: `path-invalid`.
pub fn check_path(text: &str) -> Result<(), Reject> {
    check_path_bytes(text.as_bytes())
}

//= spec/postern.md#paths
//# A path MUST be one or more segments of `a-z 0-9 . _ -` joined by `/`, without the segments `.`
//# and `..`, and at most 255 bytes, else `path-invalid`.
/// Checks the bytes of a path; bytes that pass are ASCII. # Errors: `path-invalid`.
///
/// A segment that holds a letter is told apart from `.`, `..` and the empty one by counting:
/// this runs for every key of every delta.
pub(super) fn check_path_bytes(path: &[u8]) -> Result<(), Reject> {
    if path.len() > PATH_BYTES_MAX {
        return Err(Reject::PathInvalid);
    }
    // Bytes of the current segment, and how many of them are dots.
    let (mut length, mut dots) = (0_u16, 0_u16);
    for &byte in path {
        match CLASSES.get(usize::from(byte)) {
            Some(Class::Letter) => length += 1,
            Some(Class::Dot) => (length, dots) = (length + 1, dots + 1),
            Some(Class::Slash) if is_segment(length, dots) => (length, dots) = (0, 0),
            Some(Class::Slash | Class::Other) | None => return Err(Reject::PathInvalid),
        }
    }
    if is_segment(length, dots) {
        Ok(())
    } else {
        Err(Reject::PathInvalid)
    }
}

const fn is_segment(length: u16, dots: u16) -> bool {
    length > 2 || length > dots
}

/// What a byte is to a path.
#[derive(Clone, Copy)]
enum Class {
    Letter,
    Dot,
    Slash,
    Other,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        #[expect(
            clippy::indexing_slicing,
            reason = "a u8 is always inside, and this is evaluated by the compiler"
        )]
        let class = &mut classes[byte as usize];
        *class = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => Class::Letter,
            b'.' => Class::Dot,
            b'/' => Class::Slash,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

/// Returns the text before the first `/` of a valid path, or the empty text.
pub(super) fn section_of(path: &str) -> &str {
    path.split_once('/').map_or("", |(section, _)| section)
}

/// Returns the proper prefixes of a valid path that end before a `/`, the shortest first.
pub(super) fn ancestors_of(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}

/// Compares two texts as their CBOR encodings compare: shorter first, then bytewise.
pub(super) fn encoded_order(left: &str, right: &str) -> Ordering {
    left.len()
        .cmp(&right.len())
        .then_with(|| left.as_bytes().cmp(right.as_bytes()))
}
