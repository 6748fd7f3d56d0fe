//! The strict reader: validates and decodes in one pass over borrowed input.
//!
//! Typed calls read what a place expects; `item` and `check` validate anything. Refuses to allocate.

use super::float::{f64_to_half, f64_to_single, half_to_f64};
use crate::limits::{CBOR_DEPTH_MAX, CBOR_ITEM_BYTES_MAX};
use crate::reject::Reject;

/// The map without an entry.
const EMPTY_MAP: u8 = 0xa0;

/// What the next item is, told from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Unsigned integer.
    Uint,
    /// Negative integer.
    Nint,
    /// Byte string.
    Bytes,
    /// Text string.
    Text,
    /// Array.
    Array,
    /// Map.
    Map,
    /// false or true.
    Bool,
    /// null.
    Null,
    /// Half, single or double precision float.
    Float,
    /// Something that the profile refuses.
    Refused,
}

/// Reads strict CBOR items from front to back (spec: #cbor-profile).
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    input: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `input`.
    #[must_use]
    pub const fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// True when every byte is read.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.position >= self.input.len()
    }

    /// Ends the reading. # Errors: `cbor-trailing` when bytes are left.
    pub const fn finish(self) -> Result<(), Reject> {
        if self.is_at_end() {
            Ok(())
        } else {
            //= spec/postern.md#cbor-profile
            //# A decoder MUST refuse bytes after the item with `cbor-trailing`.
            Err(Reject::CborTrailing)
        }
    }

    /// Tells what the next item is. # Errors: `cbor-truncated` at the end of the input.
    #[inline]
    pub fn peek(&self) -> Result<Kind, Reject> {
        let first = *self.input.get(self.position).ok_or(Reject::CborTruncated)?;
        Ok(match first {
            0x00..=0x1b => Kind::Uint,
            0x20..=0x3b => Kind::Nint,
            0x40..=0x5b => Kind::Bytes,
            0x60..=0x7b => Kind::Text,
            0x80..=0x9b => Kind::Array,
            0xa0..=0xbb => Kind::Map,
            0xf4 | 0xf5 => Kind::Bool,
            0xf6 => Kind::Null,
            0xf9..=0xfb => Kind::Float,
            _ => Kind::Refused,
        })
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], Reject> {
        let end = self
            .position
            .checked_add(count)
            .ok_or(Reject::CborTruncated)?;
        let taken = self
            .input
            //= spec/postern.md#cbor-profile
            //# A decoder MUST refuse input that ends inside an item with `cbor-truncated`.
            .get(self.position..end)
            .ok_or(Reject::CborTruncated)?;
        self.position = end;
        Ok(taken)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        let taken = self.take(N)?;
        <[u8; N]>::try_from(taken).map_err(|_| Reject::CborTruncated)
    }

    /// Reads a head: major type and argument, in the shortest form only.
    #[inline]
    fn head(&mut self) -> Result<(u8, u64), Reject> {
        let [first] = self.take_array::<1>()?;
        let (major, info) = (first >> 5, first & 0x1f);
        if major == 6 {
            //= spec/postern.md#cbor-profile
            //# A decoder MUST refuse a tag with `cbor-tag`.
            return Err(Reject::CborTag);
        }
        let (argument, least) = match info {
            0..=23 => (u64::from(info), 0),
            24 => (u64::from(self.take_array::<1>()?[0]), 24),
            25 => (u64::from(u16::from_be_bytes(self.take_array()?)), 0x100),
            26 => (u64::from(u32::from_be_bytes(self.take_array()?)), 0x1_0000),
            27 => (u64::from_be_bytes(self.take_array()?), 0x1_0000_0000),
            //= spec/postern.md#cbor-profile
            //# A decoder MUST refuse an indefinite length with `cbor-indefinite`.
            31 => return Err(Reject::CborIndefinite),
            //= spec/postern.md#cbor-profile
            //# A decoder MUST refuse additional information 28, 29 and 30 with `cbor-reserved`.
            _ => return Err(Reject::CborReserved),
        };
        //= spec/postern.md#cbor-profile
        //# A decoder MUST refuse an integer or a length that is not in its shortest form with
        //# `cbor-not-shortest`.
        if argument < least {
            Err(Reject::CborNotShortest)
        } else {
            Ok((major, argument))
        }
    }

    #[inline]
    fn head_of(&mut self, major: u8) -> Result<u64, Reject> {
        let first = *self.input.get(self.position).ok_or(Reject::CborTruncated)?;
        if first >> 5 != major {
            //= spec/postern.md#cbor-profile
            //# A decoder MUST refuse a well-formed item of the wrong type, length or number of
            //# members for its place with `shape`.
            return Err(Reject::Shape);
        }
        self.head().map(|(_, argument)| argument)
    }

    #[inline]
    fn length_of(&mut self, major: u8) -> Result<usize, Reject> {
        let length = self.head_of(major)?;
        usize::try_from(length).map_err(|_| Reject::CborTruncated)
    }

    /// Reads an unsigned integer. # Errors: `shape` for another type, or the CBOR reject.
    #[inline]
    pub fn uint(&mut self) -> Result<u64, Reject> {
        self.head_of(0)
    }

    /// Reads an integer in -2^63..2^64. # Errors: `shape`, `cbor-integer-range`, or the CBOR reject.
    pub fn int(&mut self) -> Result<i128, Reject> {
        let first = *self.input.get(self.position).ok_or(Reject::CborTruncated)?;
        if first >> 5 != 1 {
            return self.uint().map(i128::from);
        }
        let argument = self.head_of(1)?;
        if argument > i64::MAX.unsigned_abs() {
            //= spec/postern.md#cbor-profile
            //# A decoder MUST refuse a negative integer below -2^63 with `cbor-integer-range`.
            return Err(Reject::CborIntegerRange);
        }
        Ok(-1 - i128::from(argument))
    }

    /// Reads a byte string. # Errors: `shape` for another type, or the CBOR reject.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Reject> {
        let length = self.length_of(2)?;
        self.take(length)
    }

    /// Reads a byte string of exactly `N` bytes. # Errors: `shape` for another type or length.
    pub fn bytes_of<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        <[u8; N]>::try_from(self.bytes()?).map_err(|_| Reject::Shape)
    }

    /// Reads text. # Errors: `cbor-utf8`, `shape` for another type, or the CBOR reject.
    #[inline]
    pub fn text(&mut self) -> Result<&'a str, Reject> {
        let length = self.length_of(3)?;
        //= spec/postern.md#cbor-profile
        //# A decoder MUST refuse text that is not valid UTF-8 with `cbor-utf8`.
        core::str::from_utf8(self.take(length)?).map_err(|_| Reject::CborUtf8)
    }

    /// Checks text as [`Self::text`] does and returns its length in bytes: for callers that read it
    /// later. Most text is ASCII, which is told apart faster than UTF-8 is decoded.
    /// # Errors: as [`Self::text`].
    #[inline]
    pub(crate) fn skip_text(&mut self) -> Result<usize, Reject> {
        let length = self.length_of(3)?;
        let bytes = self.take(length)?;
        if bytes.is_ascii() || core::str::from_utf8(bytes).is_ok() {
            Ok(length)
        } else {
            Err(Reject::CborUtf8)
        }
    }

    /// Reads the head of an array and returns its length, at most the bytes that are left.
    /// # Errors: `shape` for another type, or the CBOR reject.
    pub fn array(&mut self) -> Result<usize, Reject> {
        let length = self.length_of(4)?;
        //= spec/postern.md#cbor-profile
        //# A decoder MUST NOT allocate memory for a length that the remaining input cannot hold.
        if length > self.input.len() - self.position {
            return Err(Reject::CborTruncated);
        }
        Ok(length)
    }

    /// Reads the head of an array of exactly `length` items. # Errors: `shape` otherwise.
    pub fn array_of(&mut self, length: usize) -> Result<(), Reject> {
        if self.array()? == length {
            Ok(())
        } else {
            Err(Reject::Shape)
        }
    }

    /// Reads the head of a map and returns its number of entries, at most half the bytes left.
    /// Keys must then pass a [`KeyOrder`]. # Errors: `shape` for another type, or the CBOR reject.
    pub fn map(&mut self) -> Result<usize, Reject> {
        let length = self.length_of(5)?;
        if length > (self.input.len() - self.position) / 2 {
            return Err(Reject::CborTruncated);
        }
        Ok(length)
    }

    /// Reads false or true. # Errors: `shape` for another type, or the CBOR reject.
    pub fn bool(&mut self) -> Result<bool, Reject> {
        if self.peek()? != Kind::Bool {
            return Err(Reject::Shape);
        }
        Ok(self.take_array::<1>()? == [0xf5])
    }

    /// Reads null. # Errors: `shape` for another type.
    pub fn null(&mut self) -> Result<(), Reject> {
        if self.peek()? != Kind::Null {
            return Err(Reject::Shape);
        }
        self.take(1).map(|_| ())
    }

    /// Reads null as `None`, anything else by `read`. # Errors: those of `read`.
    pub fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Reject>,
    ) -> Result<Option<T>, Reject> {
        if self.peek()? == Kind::Null {
            return self.null().map(|()| None);
        }
        read(self).map(Some)
    }

    /// Reads a float. # Errors: `cbor-float` for NaN, infinity or a longer form than needed.
    pub fn float(&mut self) -> Result<f64, Reject> {
        if self.peek()? != Kind::Float {
            return Err(Reject::Shape);
        }
        let [first] = self.take_array::<1>()?;
        let (value, is_shortest) = match first {
            0xf9 => (half_to_f64(u16::from_be_bytes(self.take_array()?)), true),
            0xfa => {
                let value = f64::from(f32::from_be_bytes(self.take_array()?));
                (value, f64_to_half(value).is_none())
            }
            _ => {
                let value = f64::from_be_bytes(self.take_array()?);
                (value, f64_to_single(value).is_none())
            }
        };
        //= spec/postern.md#cbor-profile
        //# A decoder MUST refuse a float that is NaN, infinite, or not in the shortest of the 16,
        //# 32 and 64 bit forms that holds it exactly, with `cbor-float`.
        if value.is_finite() && is_shortest {
            Ok(value)
        } else {
            Err(Reject::CborFloat)
        }
    }

    /// Reads one item of any kind and returns its bytes. # Errors: the CBOR reject.
    pub fn item(&mut self) -> Result<&'a [u8], Reject> {
        let start = self.position;
        self.skip_within(CBOR_DEPTH_MAX)?;
        Ok(self.input.get(start..self.position).unwrap_or_default())
    }

    /// Reads a map, whatever it holds, and tells whether that is nothing. # Errors: the CBOR reject, `shape` for another kind.
    pub fn is_empty_map(&mut self) -> Result<bool, Reject> {
        if self.peek()? != Kind::Map {
            return Err(Reject::Shape);
        }
        Ok(self.item()? == [EMPTY_MAP])
    }

    /// Validates one item that may nest `depth` containers. Recursion ends at `CBOR_DEPTH_MAX`.
    fn skip_within(&mut self, depth: usize) -> Result<(), Reject> {
        let first = *self.input.get(self.position).ok_or(Reject::CborTruncated)?;
        match first >> 5 {
            0 => self.uint().map(|_| ()),
            1 => self.int().map(|_| ()),
            2 => self.bytes().map(|_| ()),
            3 => self.text().map(|_| ()),
            4 => {
                //= spec/postern.md#cbor-profile
                //# A decoder MUST refuse arrays and maps nested deeper than 8 with `cbor-depth`.
                let inner = depth.checked_sub(1).ok_or(Reject::CborDepth)?;
                (0..self.array()?).try_for_each(|_| self.skip_within(inner))
            }
            5 => {
                let inner = depth.checked_sub(1).ok_or(Reject::CborDepth)?;
                let entries = self.map()?;
                let mut order = KeyOrder::new();
                for _ in 0..entries {
                    let key = self.key()?;
                    order.check(key)?;
                    self.skip_within(inner)?;
                }
                Ok(())
            }
            6 => Err(Reject::CborTag),
            _ => self.skip_simple(first),
        }
    }

    fn skip_simple(&mut self, first: u8) -> Result<(), Reject> {
        match first {
            0xf4..=0xf6 => self.take(1).map(|_| ()),
            0xf9..=0xfb => self.float().map(|_| ()),
            0xfc..=0xfe => Err(Reject::CborReserved),
            0xff => Err(Reject::CborIndefinite),
            //= spec/postern.md#cbor-profile
            //# A decoder MUST refuse a simple value other than false, true and null with
            //# `cbor-simple`.
            _ => Err(Reject::CborSimple),
        }
    }

    /// Reads a map key of any allowed kind and returns its bytes. # Errors: `cbor-map-key` or the CBOR reject.
    pub fn key(&mut self) -> Result<&'a [u8], Reject> {
        let start = self.position;
        let first = *self.input.get(start).ok_or(Reject::CborTruncated)?;
        match first >> 5 {
            0..=3 => self.skip_within(0)?,
            6 => return Err(Reject::CborTag),
            //= spec/postern.md#cbor-profile
            //# A decoder MUST refuse a map key that is not an integer, text or byte string with
            //# `cbor-map-key`.
            _ => return Err(Reject::CborMapKey),
        }
        Ok(self.input.get(start..self.position).unwrap_or_default())
    }

    /// Reads a text key under `order` as bytes that may not be UTF-8: for callers whose own grammar
    /// is ASCII. # Errors: `shape` for another type, key order, or the CBOR reject.
    #[inline]
    pub(crate) fn text_key_bytes(&mut self, order: &mut KeyOrder<'a>) -> Result<&'a [u8], Reject> {
        let start = self.position;
        let length = self.length_of(3)?;
        let bytes = self.take(length)?;
        order.check(self.input.get(start..self.position).unwrap_or_default())?;
        Ok(bytes)
    }

    /// Reads a text key under `order`. # Errors: `shape` for another type, key order, or the CBOR reject.
    #[inline]
    pub fn text_key(&mut self, order: &mut KeyOrder<'a>) -> Result<&'a str, Reject> {
        let start = self.position;
        let text = self.text()?;
        order.check(self.input.get(start..self.position).unwrap_or_default())?;
        Ok(text)
    }

    /// Reads an integer key under `order`. # Errors: `shape` for another type, key order, or the CBOR reject.
    pub fn int_key(&mut self, order: &mut KeyOrder<'a>) -> Result<i128, Reject> {
        let start = self.position;
        let key = self.int()?;
        order.check(self.input.get(start..self.position).unwrap_or_default())?;
        Ok(key)
    }
}

/// Remembers the last key of a map and refuses one that is not above it.
#[derive(Debug, Default)]
pub struct KeyOrder<'a> {
    previous: Option<&'a [u8]>,
}

impl<'a> KeyOrder<'a> {
    /// Starts before the first key.
    #[must_use]
    pub const fn new() -> Self {
        Self { previous: None }
    }

    /// Takes the next key's encoding. # Errors: `cbor-duplicate-key`, `cbor-unsorted-key`.
    #[inline]
    pub fn check(&mut self, key: &'a [u8]) -> Result<(), Reject> {
        match self.previous.map(|previous| previous.cmp(key)) {
            //= spec/postern.md#cbor-profile
            //# A decoder MUST refuse a repeated map key with `cbor-duplicate-key`.
            Some(core::cmp::Ordering::Equal) => Err(Reject::CborDuplicateKey),
            //= spec/postern.md#cbor-profile
            //# A decoder MUST refuse map keys that do not ascend bytewise by their encodings with
            //# `cbor-unsorted-key`.
            Some(core::cmp::Ordering::Greater) => Err(Reject::CborUnsortedKey),
            Some(core::cmp::Ordering::Less) | None => {
                self.previous = Some(key);
                Ok(())
            }
        }
    }
}

/// Checks that `input` is exactly one item of the profile. # Errors: the first reject in reading order.
pub fn check(input: &[u8]) -> Result<(), Reject> {
    //= spec/postern.md#cbor-profile
    //# A decoder MUST refuse an item of more than 65536 bytes with `oversize`.
    if input.len() > CBOR_ITEM_BYTES_MAX {
        return Err(Reject::Oversize);
    }
    let mut reader = Reader::new(input);
    reader.item()?;
    reader.finish()
}

/// Runs a typed decoder over all of `input`.
///
/// # Errors
/// The CBOR reject when the input is not strict, whatever the decoder met first; else the decoder's.
pub fn decode_all<'a, T>(
    input: &'a [u8],
    decode: impl FnOnce(&mut Reader<'a>) -> Result<T, Reject>,
) -> Result<T, Reject> {
    let mut reader = Reader::new(input);
    let decoded = decode(&mut reader).and_then(|value| reader.finish().map(|()| value));
    //= spec/postern.md#cbor-profile
    //# A decoder MUST check an item against this profile before it uses any part of it.
    //= spec/postern.md#cbor-profile
    //# A decoder MUST report the first error in reading order.
    decoded.map_err(|reject| check(input).err().unwrap_or(reject))
}
