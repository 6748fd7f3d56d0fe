//! Deltas: what is set, what is removed and what is edited between two revisions.
//!
//! [`DeltaView`] is a delta that was checked but not copied: the receiving side reads paths and
//! values out of the message itself. [`Delta`] is the owned form that the writer makes.

use super::document::State;
use super::edit::{Edit, EditView};
use super::path::{Path, check_path, check_path_bytes, encoded_order};
use super::value::{Value, ValueView, check_value};
use crate::cbor::{KeyOrder, Reader, Writer, decode_all};
use crate::reject::Reject;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// A checked delta inside a message (spec: #delta).
#[derive(Debug, Clone, Copy)]
pub struct DeltaView<'a> {
    set: &'a [u8],
    set_length: usize,
    remove: &'a [u8],
    remove_length: usize,
    edit: &'a [u8],
    edit_length: usize,
}

impl<'a> DeltaView<'a> {
    /// Reads a delta's payload in one pass and without allocating.
    ///
    /// # Errors
    /// `shape`, `path-invalid`, `value-invalid`, `value-oversize`, `delta-empty`, `delta-order`,
    /// `delta-conflict`, `edit-runs`, `edit-empty`, or the CBOR reject.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Reject> {
        decode_all(payload, |reader| Self::read(reader, payload))
    }

    fn read(reader: &mut Reader<'a>, payload: &'a [u8]) -> Result<Self, Reject> {
        let members = reader.array()?;
        if !(1..=3).contains(&members) {
            return Err(Reject::Shape);
        }
        let set_length = reader.map()?;
        let set_start = reader.position();
        let mut order = KeyOrder::new();
        for _ in 0..set_length {
            check_path_bytes(reader.text_key_bytes(&mut order)?)?;
            check_value(reader)?;
        }
        let mut view = Self {
            set: payload
                .get(set_start..reader.position())
                .unwrap_or_default(),
            set_length,
            remove: &[],
            remove_length: 0,
            edit: &[],
            edit_length: 0,
        };
        if members >= 2 {
            view.remove_length = reader.array()?;
            let start = reader.position();
            view.check_removals(reader, members == 3)?;
            view.remove = payload.get(start..reader.position()).unwrap_or_default();
        } else if set_length == 0 {
            //= spec/postern.md#delta
            //# A delta that sets nothing and removes nothing MUST be refused with `delta-empty`.
            return Err(Reject::DeltaEmpty);
        }
        if members == 3 {
            view.edit_length = reader.map()?;
            let start = reader.position();
            view.check_edits(reader, payload)?;
            view.edit = payload.get(start..reader.position()).unwrap_or_default();
        }
        Ok(view)
    }

    /// Walks the removals beside the sets: both ascend, so that one pass finds a path in both.
    fn check_removals(&self, reader: &mut Reader<'a>, may_be_empty: bool) -> Result<(), Reject> {
        //= spec/postern.md#delta
        //# The form of two members MUST hold at least one removal, else `shape`.
        if self.remove_length == 0 && !may_be_empty {
            return Err(Reject::Shape);
        }
        let mut previous: Option<&str> = None;
        let mut sets = self.sets().map(|(path, _)| path).peekable();
        let mut conflict = None;
        for _ in 0..self.remove_length {
            let path = reader.text()?;
            check_path(path)?;
            //= spec/postern.md#delta
            //# Removals MUST be unique and ascend by their encoded bytes, else `delta-order`.
            if previous.is_some_and(|previous| encoded_order(previous, path) != Ordering::Less) {
                return Err(Reject::DeltaOrder);
            }
            previous = Some(path);
            let is_below = |set: &&str| encoded_order(set, path) == Ordering::Less;
            while sets.next_if(is_below).is_some() {}
            //= spec/postern.md#delta
            //# A path MUST NOT be both set and removed, else `delta-conflict`.
            if sets.peek() == Some(&path) {
                conflict = Some(Reject::DeltaConflict);
            }
        }
        conflict.map_or(Ok(()), Err)
    }

    /// Walks the edits beside sets and removals, as [`Self::check_removals`] does.
    fn check_edits(&self, reader: &mut Reader<'a>, payload: &'a [u8]) -> Result<(), Reject> {
        if self.edit_length == 0 {
            return Err(Reject::Shape);
        }
        let mut sets = self.sets().map(|(path, _)| path).peekable();
        let mut removals = self.removals().peekable();
        let mut order = KeyOrder::new();
        let mut conflict = None;
        for _ in 0..self.edit_length {
            let path = reader.text_key(&mut order)?;
            //= spec/planes.md#edit
            //# The paths of edits MUST be valid, else `path-invalid`.
            check_path(path)?;
            EditView::read(reader, payload)?;
            let is_below = |other: &&str| encoded_order(other, path) == Ordering::Less;
            while sets.next_if(is_below).is_some() {}
            while removals.next_if(is_below).is_some() {}
            //= spec/planes.md#edit
            //# A path MUST NOT be edited and set or removed in one delta, else `delta-conflict`,
            //# once all edits have their form.
            if sets.peek() == Some(&path) || removals.peek() == Some(&path) {
                conflict = Some(Reject::DeltaConflict);
            }
        }
        conflict.map_or(Ok(()), Err)
    }

    /// Returns what is set, ascending by encoding.
    pub fn sets(&self) -> impl Iterator<Item = (&'a str, ValueView<'a>)> + use<'a> {
        let mut reader = Reader::new(self.set);
        (0..self.set_length).map_while(move |_| {
            let path = reader.text().ok()?;
            ValueView::decode(&mut reader)
                .ok()
                .map(|value| (path, value))
        })
    }

    /// Returns what is removed, ascending by encoding.
    pub fn removals(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut reader = Reader::new(self.remove);
        (0..self.remove_length).map_while(move |_| reader.text().ok())
    }

    /// Returns what is edited, ascending by encoding.
    pub fn edits(&self) -> impl Iterator<Item = (&'a str, EditView<'a>)> + use<'a> {
        let payload = self.edit;
        let mut reader = Reader::new(payload);
        (0..self.edit_length).map_while(move |_| {
            let path = reader.text().ok()?;
            let edit = EditView::read(&mut reader, payload).ok()?;
            Some((path, edit))
        })
    }

    /// How many paths are edited.
    #[must_use]
    pub const fn edits_count(&self) -> usize {
        self.edit_length
    }

    /// How many paths are set.
    #[must_use]
    pub const fn sets_count(&self) -> usize {
        self.set_length
    }

    /// How many paths are removed.
    #[must_use]
    pub const fn removals_count(&self) -> usize {
        self.remove_length
    }

    /// Copies the delta. # Errors: none for a view that was decoded.
    pub fn to_delta(&self) -> Result<Delta, Reject> {
        let set: Result<Vec<_>, Reject> = self
            .sets()
            .map(|(path, value)| Ok((Path::parse(path)?, value.to_value())))
            .collect();
        let remove: Result<Vec<_>, Reject> = self.removals().map(Path::parse).collect();
        let edit: Result<Vec<_>, Reject> = self
            .edits()
            .map(|(path, edit)| Ok((Path::parse(path)?, edit.to_edit())))
            .collect();
        Ok(Delta {
            set: set?,
            remove: remove?,
            edit: edit?,
        })
    }
}

/// A delta of our own: never empty, every path once (spec: #delta).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    set: Vec<(Path, Value)>,
    remove: Vec<Path>,
    edit: Vec<(Path, Edit)>,
}

impl Delta {
    /// Takes sets and removals in any order.
    ///
    /// # Errors
    /// `delta-empty`, `value-oversize`, `value-invalid`, `delta-order` for a removal given twice,
    /// `delta-conflict` for a path given twice otherwise.
    pub fn new(mut set: Vec<(Path, Value)>, mut remove: Vec<Path>) -> Result<Self, Reject> {
        if set.is_empty() && remove.is_empty() {
            return Err(Reject::DeltaEmpty);
        }
        set.iter().try_for_each(|(_, value)| value.check())?;
        set.sort_by(|left, right| encoded_order(left.0.as_str(), right.0.as_str()));
        remove.sort_by(|left, right| encoded_order(left.as_str(), right.as_str()));
        if remove.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(Reject::DeltaOrder);
        }
        let is_set_twice = set
            .windows(2)
            .any(|pair| pair.first().map(|(path, _)| path) == pair.last().map(|(path, _)| path));
        let is_in_both = remove.iter().any(|path| {
            set.binary_search_by(|(set, _)| encoded_order(set.as_str(), path.as_str()))
                .is_ok()
        });
        if is_set_twice || is_in_both {
            return Err(Reject::DeltaConflict);
        }
        Ok(Self {
            set,
            remove,
            edit: Vec::new(),
        })
    }

    /// Turns sets into edits of what `base` holds, where those are shorter. What the delta leads to
    /// from `base` stays the same.
    #[must_use]
    pub fn shortened(self, base: &State) -> Self {
        let Self {
            set: all,
            remove,
            mut edit,
        } = self;
        let mut set = Vec::with_capacity(all.len());
        for (path, value) in all {
            let before = base.value(path.as_str());
            match before.and_then(|before| Edit::between(before, &value)) {
                Some(short) => edit.push((path, short)),
                None => set.push((path, value)),
            }
        }
        edit.sort_by(|left, right| encoded_order(left.0.as_str(), right.0.as_str()));
        Self { set, remove, edit }
    }

    /// What is set, ascending by encoding.
    #[must_use]
    pub fn set(&self) -> &[(Path, Value)] {
        &self.set
    }

    /// What is removed, ascending by encoding.
    #[must_use]
    pub fn remove(&self) -> &[Path] {
        &self.remove
    }

    /// What is edited, ascending by encoding.
    #[must_use]
    pub fn edit(&self) -> &[(Path, Edit)] {
        &self.edit
    }

    /// Encodes the payload of a delta message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let members = match (self.remove.is_empty(), self.edit.is_empty()) {
            (true, true) => 1,
            (false, true) => 2,
            (_, false) => 3,
        };
        writer.array(members).map(self.set.len());
        for (path, value) in &self.set {
            writer.text(path.as_str());
            value.encode(&mut writer);
        }
        if members > 1 {
            writer.array(self.remove.len());
            for path in &self.remove {
                writer.text(path.as_str());
            }
        }
        if members > 2 {
            writer.map(self.edit.len());
            for (path, edit) in &self.edit {
                writer.text(path.as_str());
                edit.encode(&mut writer);
            }
        }
        writer.into_bytes()
    }

    /// Reads and copies a payload. # Errors: as [`DeltaView::decode`].
    pub fn decode(payload: &[u8]) -> Result<Self, Reject> {
        DeltaView::decode(payload)?.to_delta()
    }
}
