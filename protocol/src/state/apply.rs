//! Changing a state: apply a delta, make a delta, edit locally.
//!
//! All changes go through one scratch copy of the sections that they touch; the state they start
//! from stays as it was, whatever happens. Refuses a result whose digest was not promised.

use super::delta::{Delta, DeltaView};
use super::document::{State, check_ancestors, check_descendants};
use super::edit::EditView;
use super::path::{Path, section_of};
use super::section::{Section, SectionName};
use super::value::Value;
use crate::id::Digest;
use crate::reject::Reject;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// One edit of the writer of a plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The path shall hold this value.
    Set(Path, Value),
    /// The path shall be absent.
    Remove(Path),
}

impl State {
    /// Applies a delta that must lead to the digest `expected` (spec: #delta).
    ///
    /// # Errors
    /// `delta-remove-absent`, `edit-base`, `edit-range`, `value-oversize`, `edit-utf8`, `path-conflict`,
    /// `section-oversize`, `state-oversize`, `digest-mismatch`.
    pub fn apply_view(&self, delta: &DeltaView<'_>, expected: &Digest) -> Result<Self, Reject> {
        let mut scratch = Scratch::new(self);
        //= spec/postern.md#delta
        //# A reader MUST apply removals before sets.
        delta.removals().try_for_each(|path| scratch.remove(path))?;
        delta
            .edits()
            //= spec/planes.md#edit
            //# A reader MUST apply removals, then edits in the order of their paths, then sets.
            .try_for_each(|(path, edit)| scratch.edit(path, edit))?;
        for (path, value) in delta.sets() {
            scratch.set(Path::parse(path)?, value.to_value());
        }
        scratch.finish(expected)
    }

    /// Applies an owned delta. # Errors: as [`Self::apply_view`].
    pub fn apply(&self, delta: &Delta, expected: &Digest) -> Result<Self, Reject> {
        self.scratch_with(delta)?.finish(expected)
    }

    fn scratch_with(&self, delta: &Delta) -> Result<Scratch<'_>, Reject> {
        let mut scratch = Scratch::new(self);
        delta
            .remove()
            .iter()
            .try_for_each(|path| scratch.remove(path.as_str()))?;
        delta
            .edit()
            .iter()
            .try_for_each(|(path, edit)| scratch.edit(path.as_str(), edit.as_view()))?;
        for (path, value) in delta.set() {
            scratch.set(path.clone(), value.clone());
        }
        Ok(scratch)
    }

    /// Returns the delta from `self` to `later`, or `None` when they are equal.
    #[must_use]
    pub fn diff(&self, later: &Self) -> Option<Delta> {
        let mut set = Vec::new();
        let mut remove = Vec::new();
        for (name, section) in &self.sections {
            let Some(other) = later.sections.get(name) else {
                remove.extend(section.entries().keys().cloned());
                continue;
            };
            if section.digest() == other.digest() {
                continue;
            }
            let is_gone = |path: &&Path| !other.entries().contains_key(*path);
            remove.extend(section.entries().keys().filter(is_gone).cloned());
        }
        for (name, section) in &later.sections {
            let before = self.sections.get(name);
            if before.is_some_and(|before| before.digest() == section.digest()) {
                continue;
            }
            for (path, value) in section.entries() {
                let is_same = before.and_then(|before| before.entries().get(path)) == Some(value);
                if !is_same {
                    set.push((path.clone(), value.clone()));
                }
            }
        }
        Delta::new(set, remove).ok()
    }

    /// Makes the changes in their order and returns the next state with the delta that leads to it.
    ///
    /// Returns `None` when nothing differs in the end: that is no decision and gets no number.
    ///
    /// # Errors
    /// `value-oversize`, `value-invalid`, `delta-remove-absent`, `path-conflict`,
    /// `section-oversize`, `state-oversize`.
    pub fn change(&self, changes: &[Change]) -> Result<Option<(Self, Delta)>, Reject> {
        let mut last: BTreeMap<&Path, Option<&Value>> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Set(path, value) => {
                    value.check()?;
                    last.insert(path, Some(value));
                }
                Change::Remove(path) => {
                    let is_held = match last.get(path) {
                        Some(value) => value.is_some(),
                        None => self.value(path.as_str()).is_some(),
                    };
                    if !is_held {
                        return Err(Reject::DeltaRemoveAbsent);
                    }
                    last.insert(path, None);
                }
            }
        }
        let mut set = Vec::new();
        let mut remove = Vec::new();
        for (path, value) in last {
            match (self.value(path.as_str()), value) {
                (before, Some(value)) if before != Some(value) => {
                    set.push((path.clone(), value.clone()));
                }
                (Some(_), None) => remove.push(path.clone()),
                (Some(_) | None, Some(_)) | (None, None) => {}
            }
        }
        if set.is_empty() && remove.is_empty() {
            return Ok(None);
        }
        let delta = Delta::new(set, remove)?;
        let next = self.scratch_with(&delta)?.settle()?;
        Ok(Some((next, delta)))
    }
}

/// A copy of the sections that a change touches.
struct Scratch<'s> {
    base: &'s State,
    touched: BTreeMap<SectionName, BTreeMap<Path, Value>>,
    added: Vec<Path>,
}

impl<'s> Scratch<'s> {
    const fn new(base: &'s State) -> Self {
        Self {
            base,
            touched: BTreeMap::new(),
            added: Vec::new(),
        }
    }

    fn entries_of(&self, name: &str) -> Option<&BTreeMap<Path, Value>> {
        self.touched.get(name).or_else(|| {
            self.base
                .sections
                .get(name)
                .map(|section| section.entries())
        })
    }

    /// Copies a section of the base, unless it was; `None` when the base has none of this name.
    fn touch(&mut self, name: &str) -> Option<&mut BTreeMap<Path, Value>> {
        if !self.touched.contains_key(name) {
            let (name, section) = self.base.sections.get_key_value(name)?;
            self.touched.insert(name.clone(), section.entries().clone());
        }
        self.touched.get_mut(name)
    }

    /// Removes a path of the base. # Errors: `delta-remove-absent`.
    fn remove(&mut self, path: &str) -> Result<(), Reject> {
        //= spec/postern.md#delta
        //# A removal of a path that the base does not hold MUST be refused with
        //# `delta-remove-absent`.
        let removed = self
            .touch(section_of(path))
            .and_then(|entries| entries.remove(path));
        removed.map(|_| ()).ok_or(Reject::DeltaRemoveAbsent)
    }

    /// Edits a value of the base. # Errors: `edit-base`, `edit-range`, `value-oversize`, `edit-utf8`.
    fn edit(&mut self, path: &str, edit: EditView<'_>) -> Result<(), Reject> {
        let value = self
            .touch(section_of(path))
            .and_then(|entries| entries.get_mut(path))
            .ok_or(Reject::EditBase)?;
        *value = edit.apply(value)?;
        Ok(())
    }

    fn set(&mut self, path: Path, value: Value) {
        let name = path.section();
        if !self.touched.contains_key(name) {
            let copied = self
                .base
                .sections
                .get(name)
                .map(|section| section.entries().clone());
            self.touched
                .insert(SectionName::of(&path), copied.unwrap_or_default());
        }
        if let Some(entries) = self.touched.get_mut(path.section())
            && entries.insert(path.clone(), value).is_none()
        {
            self.added.push(path);
        }
    }

    /// Checks conflicts and limits and hashes what was touched.
    /// # Errors: `path-conflict`, `section-oversize`, `state-oversize`.
    fn settle(self) -> Result<State, Reject> {
        // A path that was there before conflicts with nothing but paths that were added.
        //= spec/postern.md#delta
        //# After the change a reader MUST check paths (`path-conflict`), then limits
        //# (`section-oversize`, `state-oversize`), then the digest.
        for path in &self.added {
            check_ancestors(path, |name| self.entries_of(name))?;
            check_descendants(path, |name| self.entries_of(name))?;
        }
        let mut sections = self.base.sections.clone();
        for (name, entries) in self.touched {
            if entries.is_empty() {
                sections.remove(&name);
            } else {
                sections.insert(
                    name,
                    Arc::new(Section::build(&self.base.digester, entries)?),
                );
            }
        }
        State::from_sections(self.base.digester.clone(), sections)
    }

    /// Settles and compares the root. # Errors: as [`Self::settle`], `digest-mismatch`.
    fn finish(self, expected: &Digest) -> Result<State, Reject> {
        let state = self.settle()?;
        //= spec/postern.md#delta
        //# A result whose root digest is not the one in the header MUST be refused with
        //# `digest-mismatch`.
        if state.root() == expected {
            Ok(state)
        } else {
            Err(Reject::DigestMismatch)
        }
    }
}
