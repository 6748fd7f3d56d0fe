//! The state itself: sections, root digest and size, always in agreement.
//!
//! Every way to a state computes all three. Refuses states that break a limit or hold a path below another.

use super::hash::digest_of;
use super::path::{Path, encoded_order, section_of};
use super::section::{Section, SectionName};
use super::snapshot::SectionTable;
use super::value::Value;
use crate::cbor::Writer;
use crate::encryption::Digester;
use crate::id::Digest;
use crate::limits::{ENCRYPTED_OVERHEAD_BYTES_MAX, SECTIONS_MAX, STATE_BYTES_MAX};
use crate::reject::Reject;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

/// A flat map from path to value (spec: #state). A clone shares all sections.
#[derive(Debug, Clone)]
pub struct State {
    pub(super) sections: BTreeMap<SectionName, Arc<Section>>,
    pub(super) digester: Digester,
    root: Digest,
    len_bytes: usize,
}

impl State {
    /// Returns the state without a path.
    #[must_use]
    pub fn empty() -> Self {
        Self::empty_under(Digester::Plain)
    }

    /// Returns the state without a path, of a plane whose digests are made like this.
    #[must_use]
    pub fn empty_under(digester: Digester) -> Self {
        Self {
            sections: BTreeMap::new(),
            root: root_of(&digester, core::iter::empty()),
            digester,
            len_bytes: 0,
        }
    }

    /// Returns the same content with digests that are made in another way.
    ///
    /// # Errors
    /// `section-oversize` for a section that is too large to be encrypted.
    pub fn under(&self, digester: Digester) -> Result<Self, Reject> {
        if digester == self.digester {
            return Ok(self.clone());
        }
        let sections: Result<BTreeMap<_, _>, Reject> = self
            .sections
            .iter()
            .map(|(name, section)| {
                let entries = section.entries().clone();
                Ok((name.clone(), Arc::new(Section::build(&digester, entries)?)))
            })
            .collect();
        Self::from_sections(digester, sections?)
    }

    /// How the digests of this state are made.
    #[must_use]
    pub const fn digester(&self) -> &Digester {
        &self.digester
    }

    /// Builds a state from entries; a later value of a path replaces an earlier one.
    ///
    /// # Errors
    /// `value-oversize`, `value-invalid`, `path-conflict`, `section-oversize`, `state-oversize`.
    pub fn from_entries(entries: impl IntoIterator<Item = (Path, Value)>) -> Result<Self, Reject> {
        let mut by_section: BTreeMap<SectionName, BTreeMap<Path, Value>> = BTreeMap::new();
        for (path, value) in entries {
            value.check()?;
            let name = SectionName::of(&path);
            by_section.entry(name).or_default().insert(path, value);
        }
        check_conflicts(&by_section)?;
        let sections: Result<BTreeMap<_, _>, Reject> = by_section
            .into_iter()
            .map(|(name, entries)| {
                let section = Section::build(&Digester::Plain, entries)?;
                Ok((name, Arc::new(section)))
            })
            .collect();
        Self::from_sections(Digester::Plain, sections?)
    }

    /// Takes sections whose paths do not conflict. # Errors: `state-oversize`.
    pub(super) fn from_sections(
        digester: Digester,
        sections: BTreeMap<SectionName, Arc<Section>>,
    ) -> Result<Self, Reject> {
        let len_bytes = sections.values().map(|section| section.body().len()).sum();
        //= spec/postern.md#digest
        //# A state MUST NOT hold more than 512 sections or bodies of more than 1048576 bytes in sum,
        //# else `state-oversize`.
        //= spec/encryption.md#encrypted-snapshot
        //# A state of an encrypted plane MUST count each section as 64 bytes more, else
        //# `state-oversize`.
        let stored_bytes = match digester {
            Digester::Plain => len_bytes,
            Digester::Keyed(_) => len_bytes + sections.len() * ENCRYPTED_OVERHEAD_BYTES_MAX,
        };
        if sections.len() > SECTIONS_MAX || stored_bytes > STATE_BYTES_MAX {
            return Err(Reject::StateOversize);
        }
        let root = root_of(
            &digester,
            sections
                .iter()
                .map(|(name, section)| (name, section.digest())),
        );
        Ok(Self {
            sections,
            digester,
            root,
            len_bytes,
        })
    }

    /// The root digest (spec: #digest).
    #[must_use]
    pub const fn root(&self) -> &Digest {
        &self.root
    }

    /// Bytes of all section bodies, at most 1 MiB.
    #[must_use]
    pub const fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// How many paths the state holds.
    #[must_use]
    pub fn paths_count(&self) -> usize {
        self.sections
            .values()
            .map(|section| section.entries().len())
            .sum()
    }

    /// True when the state holds no path.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Returns the value at `path`, if there is one.
    #[must_use]
    pub fn value(&self, path: &str) -> Option<&Value> {
        self.sections.get(section_of(path))?.entries().get(path)
    }

    /// Returns all entries, by section name and then by path, each in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Value)> {
        self.sections.values().flat_map(|section| section.entries())
    }

    /// Returns the entries of one section, in the order of the text.
    pub fn section(&self, name: &str) -> impl Iterator<Item = (&Path, &Value)> {
        let section = self.sections.get(name).map(|section| section.entries());
        section.into_iter().flatten()
    }

    /// Returns each section's name and body digest, in the order of the text.
    pub fn section_digests(&self) -> impl Iterator<Item = (&SectionName, &Digest)> {
        self.sections
            .iter()
            .map(|(name, section)| (name, section.digest()))
    }

    /// Returns the digest of a section's body.
    #[must_use]
    pub fn section_digest(&self, name: &str) -> Option<&Digest> {
        self.sections.get(name).map(|section| section.digest())
    }

    /// Returns the encoded body of a section.
    #[must_use]
    pub fn section_body(&self, name: &str) -> Option<&[u8]> {
        self.sections.get(name).map(|section| section.body())
    }

    /// Returns every section's encoded body with its digest.
    pub fn bodies(&self) -> impl Iterator<Item = (Digest, &[u8])> {
        let sections = self.sections.values();
        sections.map(|section| (*section.digest(), section.body()))
    }

    /// Returns the encoded body that has this digest.
    #[must_use]
    pub fn body(&self, digest: &Digest) -> Option<&[u8]> {
        self.sections
            .values()
            .find(|section| section.digest() == digest)
            .map(|section| section.body())
    }

    /// Returns the table that a snapshot of this state carries.
    #[must_use]
    pub fn section_table(&self) -> SectionTable {
        SectionTable::of(self)
    }
}

impl Default for State {
    fn default() -> Self {
        Self::empty()
    }
}

/// Equal content, however its digests are made.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        if self.digester == other.digester {
            self.root == other.root
        } else {
            self.iter().eq(other.iter())
        }
    }
}

impl Eq for State {}

/// Hashes a section table to the root digest (spec: #digest).
pub(super) fn root_of<'a>(
    digester: &Digester,
    sections: impl Iterator<Item = (&'a SectionName, &'a Digest)>,
) -> Digest {
    let mut writer = Writer::new();
    writer.array(2).text("postern-state");
    encode_table(sections, &mut writer);
    digest_of(digester, writer.as_bytes())
}

//= spec/postern.md#digest
//# A section without a path MUST be absent from the table.
/// Encodes a section table as a map.
pub(super) fn encode_table<'a>(
    sections: impl Iterator<Item = (&'a SectionName, &'a Digest)>,
    writer: &mut Writer,
) {
    let mut sorted: Vec<_> = sections.collect();
    sorted.sort_unstable_by(|left, right| encoded_order(left.0.as_str(), right.0.as_str()));
    writer.map(sorted.len());
    for (name, digest) in sorted {
        writer.text(name.as_str()).bytes(digest.as_bytes());
    }
}

/// Checks every path of all sections against the others. # Errors: `path-conflict`.
pub(super) fn check_conflicts(
    sections: &BTreeMap<SectionName, BTreeMap<Path, Value>>,
) -> Result<(), Reject> {
    let entries_of = |name: &str| sections.get(name);
    sections
        .values()
        .flat_map(BTreeMap::keys)
        .try_for_each(|path| check_ancestors(path, entries_of))
}

//= spec/postern.md#paths
//# A path of a state MUST NOT be an ancestor of another, segment by segment, else `path-conflict`.
/// Checks that no ancestor of `path` is itself a path. # Errors: `path-conflict`.
pub(super) fn check_ancestors<'s>(
    path: &Path,
    entries_of: impl Fn(&str) -> Option<&'s BTreeMap<Path, Value>>,
) -> Result<(), Reject> {
    let is_held = |ancestor: &str| {
        entries_of(section_of(ancestor)).is_some_and(|entries| entries.contains_key(ancestor))
    };
    if path.ancestors().any(is_held) {
        Err(Reject::PathConflict)
    } else {
        Ok(())
    }
}

/// Checks that nothing lies below `path`. # Errors: `path-conflict`.
pub(super) fn check_descendants<'s>(
    path: &Path,
    entries_of: impl Fn(&str) -> Option<&'s BTreeMap<Path, Value>>,
) -> Result<(), Reject> {
    let has_descendants = if path.section().is_empty() {
        entries_of(path.as_str()).is_some_and(|entries| !entries.is_empty())
    } else {
        let floor = format!("{path}/");
        entries_of(path.section()).is_some_and(|entries| {
            let from_floor = (Bound::Included(floor.as_str()), Bound::Unbounded);
            let next = entries.range::<str, _>(from_floor).next();
            next.is_some_and(|(other, _)| other.as_str().starts_with(&floor))
        })
    };
    if has_descendants {
        Err(Reject::PathConflict)
    } else {
        Ok(())
    }
}
