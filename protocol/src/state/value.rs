//! Values: scalars and references, owned ([`Value`]) or borrowed from a message ([`ValueView`]).
//!
//! Refuses arrays and maps: structure is what paths are for. Equality is equality of the encoding,
//! so that 1 and 1.0, or 0.0 and -0.0, are different values.

use crate::cbor::{Kind, Reader, Writer};
use crate::id::Digest;
use crate::limits::{MEDIA_TYPE_BYTES_MAX, VALUE_BYTES_MAX};
use crate::reject::Reject;
use alloc::string::String;
use alloc::vec::Vec;

/// An integer in -2^63..=2^64-1 (spec: #values).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Integer(i128);

impl Integer {
    /// Takes an integer. # Errors: `value-invalid` outside -2^63..=2^64-1.
    pub fn new(value: i128) -> Result<Self, Reject> {
        if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value) {
            Ok(Self(value))
        } else {
            Err(Reject::ValueInvalid)
        }
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> i128 {
        self.0
    }

    fn encode(self, writer: &mut Writer) {
        match (u64::try_from(self.0), i64::try_from(self.0)) {
            (Ok(positive), _) => writer.uint(positive),
            (Err(_), Ok(negative)) => writer.int(negative),
            (Err(_), Err(_)) => {
                unreachable!("the constructor takes only numbers of one of the two types")
            }
        };
    }
}

impl From<i64> for Integer {
    fn from(value: i64) -> Self {
        Self(value.into())
    }
}

impl From<u64> for Integer {
    fn from(value: u64) -> Self {
        Self(value.into())
    }
}

/// A float that is a number: neither NaN nor infinite (spec: #values). Equal when its bits are.
#[derive(Debug, Clone, Copy)]
pub struct Finite(f64);

impl Finite {
    /// Takes a float. # Errors: `value-invalid` for NaN and infinities.
    pub fn new(value: f64) -> Result<Self, Reject> {
        if value.is_finite() {
            Ok(Self(value))
        } else {
            Err(Reject::ValueInvalid)
        }
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> f64 {
        self.0
    }
}

impl PartialEq for Finite {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Finite {}

/// Names content that travels apart (spec: #values).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// SHA-256 of the content.
    pub digest: Digest,
    /// Bytes of the content.
    pub size_bytes: u64,
    /// Media type, 1 to 127 bytes.
    pub media_type: String,
}

/// A [`Reference`] borrowed from a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReferenceView<'a> {
    /// SHA-256 of the content.
    pub digest: Digest,
    /// Bytes of the content.
    pub size_bytes: u64,
    /// Media type, 1 to 127 bytes.
    pub media_type: &'a str,
}

/// What a path holds (spec: #values).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing, on purpose.
    Null,
    /// False or true.
    Bool(bool),
    /// A whole number.
    Int(Integer),
    /// A number with a fraction, or written as one.
    Float(Finite),
    /// Text, at most 32768 bytes.
    Text(String),
    /// Bytes, at most 32768.
    Bytes(Vec<u8>),
    /// Content that travels apart.
    Reference(Reference),
}

/// A [`Value`] borrowed from a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueView<'a> {
    /// Nothing, on purpose.
    Null,
    /// False or true.
    Bool(bool),
    /// A whole number.
    Int(Integer),
    /// A number with a fraction, or written as one.
    Float(Finite),
    /// Text, at most 32768 bytes.
    Text(&'a str),
    /// Bytes, at most 32768.
    Bytes(&'a [u8]),
    /// Content that travels apart.
    Reference(ReferenceView<'a>),
}

impl Value {
    /// Borrows the value.
    #[must_use]
    pub fn as_view(&self) -> ValueView<'_> {
        match self {
            Self::Null => ValueView::Null,
            Self::Bool(value) => ValueView::Bool(*value),
            Self::Int(value) => ValueView::Int(*value),
            Self::Float(value) => ValueView::Float(*value),
            Self::Text(text) => ValueView::Text(text),
            Self::Bytes(bytes) => ValueView::Bytes(bytes),
            Self::Reference(reference) => ValueView::Reference(ReferenceView {
                digest: reference.digest,
                size_bytes: reference.size_bytes,
                media_type: &reference.media_type,
            }),
        }
    }

    /// Checks what the type cannot: lengths. # Errors: `value-oversize`, `value-invalid`.
    pub fn check(&self) -> Result<(), Reject> {
        self.as_view().check()
    }

    /// Appends the value's only encoding.
    pub fn encode(&self, writer: &mut Writer) {
        self.as_view().encode(writer);
    }

    /// Reads a value. # Errors: `value-invalid`, `value-oversize`, or the CBOR reject.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Reject> {
        ValueView::decode(reader).map(ValueView::to_value)
    }
}

impl<'a> ValueView<'a> {
    /// Copies the value.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Float(value) => Value::Float(value),
            Self::Text(text) => Value::Text(text.into()),
            Self::Bytes(bytes) => Value::Bytes(bytes.into()),
            Self::Reference(reference) => Value::Reference(Reference {
                digest: reference.digest,
                size_bytes: reference.size_bytes,
                media_type: reference.media_type.into(),
            }),
        }
    }

    fn check(&self) -> Result<(), Reject> {
        match self {
            //= spec/postern.md#values
            //# Text and byte strings of a value MUST NOT hold more than 32768 bytes, else
            //# `value-oversize`.
            Self::Text(text) if text.len() > VALUE_BYTES_MAX => Err(Reject::ValueOversize),
            Self::Bytes(bytes) if bytes.len() > VALUE_BYTES_MAX => Err(Reject::ValueOversize),
            Self::Reference(reference) => check_media_type(reference.media_type),
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Bytes(_) => Ok(()),
        }
    }

    /// Appends the value's only encoding.
    pub fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Null => writer.null(),
            Self::Bool(value) => writer.bool(*value),
            Self::Int(value) => {
                value.encode(writer);
                writer
            }
            Self::Float(value) => writer.float(value.0),
            Self::Text(text) => writer.text(text),
            Self::Bytes(bytes) => writer.bytes(bytes),
            Self::Reference(reference) => writer
                .array(3)
                .bytes(reference.digest.as_bytes())
                .uint(reference.size_bytes)
                .text(reference.media_type),
        };
    }

    /// Reads a value. # Errors: `value-invalid`, `value-oversize`, or the CBOR reject.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, Reject> {
        let value = match reader.peek()? {
            Kind::Uint | Kind::Nint => Self::Int(Integer(reader.int()?)),
            Kind::Bytes => Self::Bytes(reader.bytes()?),
            Kind::Text => Self::Text(reader.text()?),
            Kind::Array => Self::Reference(ReferenceView::decode(reader)?),
            Kind::Bool => Self::Bool(reader.bool()?),
            Kind::Null => reader.null().map(|()| Self::Null)?,
            Kind::Float => Self::Float(Finite(reader.float()?)),
            //= spec/postern.md#values
            //# A value MUST be null, a boolean, an integer in -2^63..2^64-1, a float, text, a byte
            //# string, or a reference, else `value-invalid`.
            Kind::Map | Kind::Refused => return reader.item().and(Err(Reject::ValueInvalid)),
        };
        value.check().map(|()| value)
    }
}

/// Checks the next value without keeping it. # Errors: as [`ValueView::decode`].
#[inline]
pub(super) fn check_value(reader: &mut Reader<'_>) -> Result<(), Reject> {
    if reader.peek()? != Kind::Text {
        return ValueView::decode(reader).map(|_| ());
    }
    if reader.skip_text()? > VALUE_BYTES_MAX {
        return Err(Reject::ValueOversize);
    }
    Ok(())
}

impl<'a> ReferenceView<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Reject> {
        Self::decode_members(reader).map_err(|reject| match reject == Reject::Shape {
            true => Reject::ValueInvalid,
            false => reject,
        })
    }

    //= spec/postern.md#values
    //# A reference MUST be `[digest: bstr32, size: uint, media type: tstr of 1 to 127 bytes]`, else
    //# `value-invalid`.
    fn decode_members(reader: &mut Reader<'a>) -> Result<Self, Reject> {
        reader.array_of(3)?;
        Ok(Self {
            digest: Digest::from_bytes(reader.bytes_of()?),
            size_bytes: reader.uint()?,
            media_type: reader.text()?,
        })
    }
}

fn check_media_type(media_type: &str) -> Result<(), Reject> {
    if (1..=MEDIA_TYPE_BYTES_MAX).contains(&media_type.len()) {
        Ok(())
    } else {
        Err(Reject::ValueInvalid)
    }
}
