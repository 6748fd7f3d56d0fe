//! Edits: what changes inside one text or byte string, in one pass over its bytes.
//!
//! ```text
//!  [skip, delete, insert] ...    copy skip bytes, drop delete bytes, add insert; the rest is copied
//! ```
//!
//! An edit keeps its runs as they are encoded and checks them once, when it is read or made.
//! Refuses runs that say nothing or could be written as one, and results that are no value.

mod between;
#[cfg(test)]
mod tests;

use super::value::Value;
use crate::cbor::{Reader, Writer};
use crate::limits::{EDIT_RUNS_MAX, VALUE_BYTES_MAX};
use crate::reject::Reject;
use alloc::string::String;
use alloc::vec::Vec;

/// One step of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    /// Bytes of the base that are copied first.
    pub skip: u64,
    /// Bytes of the base that are then left out.
    pub delete: u64,
    /// Bytes that come in their place.
    pub insert: &'a [u8],
}

/// A checked edit inside a message (spec: #edit).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditView<'a> {
    runs: &'a [u8],
    count: usize,
}

/// An edit of our own: 1..=256 runs (spec: #edit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    runs: Vec<u8>,
    count: usize,
}

impl<'a> EditView<'a> {
    /// Reads the runs of one path; `payload` is what `reader` reads from.
    ///
    /// # Errors
    /// `shape` without a run or for another form, `edit-runs`, `edit-empty`, or the CBOR reject.
    pub(super) fn read(reader: &mut Reader<'a>, payload: &'a [u8]) -> Result<Self, Reject> {
        let count = reader.array()?;
        if count == 0 {
            return Err(Reject::Shape);
        }
        //= spec/planes.md#edit
        //# An edit MUST NOT have more than 256 runs, else `edit-runs`.
        if count > EDIT_RUNS_MAX {
            return Err(Reject::EditRuns);
        }
        let start = reader.position();
        for place in 0..count {
            let run = read_run(reader)?;
            let says_nothing = run.delete == 0 && run.insert.is_empty();
            //= spec/planes.md#edit
            //# A run MUST NOT have delete 0 with an empty insert, or skip 0 unless it is the first,
            //# else `edit-empty`.
            if says_nothing || (run.skip == 0 && place > 0) {
                return Err(Reject::EditEmpty);
            }
        }
        Ok(Self {
            runs: payload.get(start..reader.position()).unwrap_or_default(),
            count,
        })
    }

    /// Returns the runs in their order.
    pub fn runs(&self) -> impl Iterator<Item = Run<'a>> + use<'a> {
        let mut reader = Reader::new(self.runs);
        (0..self.count).map_while(move |_| read_run(&mut reader).ok())
    }

    /// Copies the edit.
    #[must_use]
    pub fn to_edit(&self) -> Edit {
        Edit {
            runs: self.runs.into(),
            count: self.count,
        }
    }

    /// Returns the value that the edit makes of `base`.
    ///
    /// # Errors
    /// `edit-base` for a value that is neither text nor bytes, `edit-range`, `value-oversize`,
    /// `edit-utf8`.
    pub fn apply(&self, base: &Value) -> Result<Value, Reject> {
        match base {
            Value::Text(text) => {
                let bytes = self.apply_bytes(text.as_bytes())?;
                String::from_utf8(bytes)
                    .map(Value::Text)
                    //= spec/planes.md#edit
                    //# A text that is not UTF-8 after the whole edit MUST be refused with
                    //# `edit-utf8`.
                    .map_err(|_| Reject::EditUtf8)
            }
            Value::Bytes(bytes) => self.apply_bytes(bytes).map(Value::Bytes),
            //= spec/planes.md#edit
            //# An edit of a path that the base does not hold, or that holds neither text nor bytes,
            //# MUST be refused with `edit-base`.
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Reference(_) => Err(Reject::EditBase),
        }
    }

    /// Measures first, so that nothing is allocated for an edit that cannot be applied.
    fn apply_bytes(&self, base: &[u8]) -> Result<Vec<u8>, Reject> {
        let length = self.measure(base.len())?;
        let mut result = Vec::with_capacity(length);
        let mut rest = base;
        for run in self.runs() {
            let (kept, behind) = split(rest, run.skip)?;
            result.extend_from_slice(kept);
            result.extend_from_slice(run.insert);
            (_, rest) = split(behind, run.delete)?;
        }
        result.extend_from_slice(rest);
        Ok(result)
    }

    /// Returns the length of the result. # Errors: `edit-range`, then `value-oversize`.
    fn measure(&self, base_bytes: usize) -> Result<usize, Reject> {
        let (mut left, mut length) = (base_bytes as u64, base_bytes as u64);
        for run in self.runs() {
            //= spec/planes.md#edit
            //# An edit that skips and deletes more bytes than the base value has MUST be refused
            //# with `edit-range`.
            left = left
                .checked_sub(run.skip)
                .and_then(|left| left.checked_sub(run.delete))
                .ok_or(Reject::EditRange)?;
            // What is deleted is within the base, which is within the length so far.
            length = length.saturating_sub(run.delete);
            length = length.saturating_add(run.insert.len() as u64);
        }
        //= spec/planes.md#edit
        //# A result of more than 32768 bytes MUST be refused with `value-oversize` before memory is
        //# taken for it.
        match usize::try_from(length) {
            Ok(length) if length <= VALUE_BYTES_MAX => Ok(length),
            Ok(_) | Err(_) => Err(Reject::ValueOversize),
        }
    }
}

impl Edit {
    /// Takes runs. # Errors: `shape` for none, `edit-runs`, `edit-empty`.
    pub fn new(runs: &[Run<'_>]) -> Result<Self, Reject> {
        let mut writer = Writer::new();
        writer.array(runs.len());
        for run in runs {
            writer
                .array(3)
                .uint(run.skip)
                .uint(run.delete)
                .bytes(run.insert);
        }
        let payload = writer.into_bytes();
        EditView::read(&mut Reader::new(&payload), &payload).map(|view| view.to_edit())
    }

    /// Makes the edit from one value to another, where it takes fewer bytes than the value itself.
    ///
    /// Several changes in one document become several runs. The same values give the same edit; the
    /// work is bounded by the size of the values. `None` for equal values, values of other types
    /// than text or bytes, values of two types, and where setting the value is as short.
    #[must_use]
    pub fn between(base: &Value, later: &Value) -> Option<Self> {
        let (base, later) = match (base, later) {
            (Value::Text(base), Value::Text(later)) => (base.as_bytes(), later.as_bytes()),
            (Value::Bytes(base), Value::Bytes(later)) => (&base[..], &later[..]),
            (_, _) => return None,
        };
        let edit = Self::new(&between::runs(base, later)).ok()?;
        //= spec/planes.md#edit
        //# A writer SHOULD NOT send an edit that takes more bytes than setting the value.
        (edit.encoded_bytes() < later.len()).then_some(edit)
    }

    /// Looks at the edit as a reader does.
    #[must_use]
    pub fn as_view(&self) -> EditView<'_> {
        EditView {
            runs: &self.runs,
            count: self.count,
        }
    }

    /// Appends the edit's only encoding.
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.array(self.count).raw(&self.runs);
    }

    /// Bytes that the edit takes in a delta, with the two heads of the form of three members.
    fn encoded_bytes(&self) -> usize {
        self.runs.len().saturating_add(5)
    }
}

fn read_run<'a>(reader: &mut Reader<'a>) -> Result<Run<'a>, Reject> {
    reader.array_of(3)?;
    Ok(Run {
        skip: reader.uint()?,
        delete: reader.uint()?,
        insert: reader.bytes()?,
    })
}

fn split(bytes: &[u8], at: u64) -> Result<(&[u8], &[u8]), Reject> {
    let at = usize::try_from(at).map_err(|_| Reject::EditRange)?;
    bytes.split_at_checked(at).ok_or(Reject::EditRange)
}
