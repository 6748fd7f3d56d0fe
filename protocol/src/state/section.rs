//! Sections: the unit of digest, of transfer and of sharing between states.
//!
//! A section is never changed: a change builds the next one and hashes it once.

use super::document::check_ancestors;
use super::hash::digest_of;
use super::path::{Path, check_path, encoded_order, section_of};
use super::value::{Value, ValueView};
use crate::cbor::{KeyOrder, Reader, Writer, decode_all};
use crate::encryption::Digester;
use crate::id::Digest;
use crate::reject::Reject;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;

/// The empty text or one path segment (spec: #paths). A clone shares the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionName(Arc<str>);

impl SectionName {
    /// Takes a section name. # Errors: `section-invalid`.
    pub fn parse(text: &str) -> Result<Self, Reject> {
        //= spec/postern.md#snapshot
        //# A section name MUST be empty or one valid path segment, else `section-invalid`.
        if text.is_empty() || (check_path(text).is_ok() && !text.contains('/')) {
            Ok(Self(text.into()))
        } else {
            Err(Reject::SectionInvalid)
        }
    }

    /// Names the section of a path.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self(path.section().into())
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for SectionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for SectionName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The paths of one section with its body and digest. Never empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    entries: BTreeMap<Path, Value>,
    body: Vec<u8>,
    digest: Digest,
}

impl Section {
    /// Encodes and hashes entries. # Errors: `section-oversize`.
    pub(super) fn build(
        digester: &Digester,
        entries: BTreeMap<Path, Value>,
    ) -> Result<Self, Reject> {
        let body = encode_body(&entries);
        //= spec/postern.md#digest
        //# A body MUST NOT exceed 65536 bytes, else `section-oversize`.
        if body.len() > digester.section_bytes_max() {
            return Err(Reject::SectionOversize);
        }
        Ok(Self {
            digest: digest_of(digester, &body),
            entries,
            body,
        })
    }

    /// Reads a body that must have `digest` and whose paths must lie in `name`.
    ///
    /// # Errors
    /// `section-oversize`, `body-mismatch`, `shape` when it is empty, `path-conflict`, a path, value
    /// or CBOR reject.
    pub(super) fn decode(
        digester: &Digester,
        name: &str,
        digest: Digest,
        body: Vec<u8>,
    ) -> Result<Self, Reject> {
        //= spec/postern.md#snapshot
        //# A body MUST be within its limit (`section-oversize`), then have the digest that the
        //# table names, else `body-mismatch`.
        if body.len() > digester.section_bytes_max() {
            return Err(Reject::SectionOversize);
        }
        if digest_of(digester, &body) != digest {
            return Err(Reject::BodyMismatch);
        }
        let entries = decode_all(&body, |reader| decode_entries(reader, name))?;
        let entries_of = |section: &str| (section == name).then_some(&entries);
        entries
            .keys()
            .try_for_each(|path| check_ancestors(path, entries_of))?;
        Ok(Self {
            entries,
            body,
            digest,
        })
    }

    pub(super) const fn entries(&self) -> &BTreeMap<Path, Value> {
        &self.entries
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) const fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// Checks one fetched body against its row of the section table (spec: #snapshot).
///
/// # Errors
/// `section-oversize`, `body-mismatch` for another hash or a path of another section, `shape` when
/// it is empty, `path-conflict`, a path, value or CBOR reject.
pub fn check_body(name: &SectionName, digest: &Digest, body: &[u8]) -> Result<(), Reject> {
    Section::decode(&Digester::Plain, name.as_str(), *digest, body.into()).map(|_| ())
}

fn encode_body(entries: &BTreeMap<Path, Value>) -> Vec<u8> {
    let mut sorted: Vec<(&Path, &Value)> = entries.iter().collect();
    sorted.sort_unstable_by(|left, right| encoded_order(left.0.as_str(), right.0.as_str()));
    let mut writer = Writer::new();
    writer.map(sorted.len());
    for (path, value) in sorted {
        writer.text(path.as_str());
        value.encode(&mut writer);
    }
    writer.into_bytes()
}

fn decode_entries(reader: &mut Reader<'_>, name: &str) -> Result<BTreeMap<Path, Value>, Reject> {
    let length = reader.map()?;
    //= spec/postern.md#snapshot
    //# A body MUST be a non-empty map in the CBOR profile whose paths and values are valid and all
    //# lie in the section, else the reject of what is wrong, and `body-mismatch` for a path of
    //# another section.
    if length == 0 {
        return Err(Reject::Shape);
    }
    let mut order = KeyOrder::new();
    let mut entries = BTreeMap::new();
    for _ in 0..length {
        let path = Path::parse(reader.text_key(&mut order)?)?;
        let value = ValueView::decode(reader)?;
        if section_of(path.as_str()) != name {
            return Err(Reject::BodyMismatch);
        }
        entries.insert(path, value.to_value());
    }
    Ok(entries)
}
