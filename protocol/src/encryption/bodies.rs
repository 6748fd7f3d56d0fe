//! Encrypted section bodies as they are stored and sent, kept so that one body is encrypted once.
//!
//! A snapshot that is signed again names the same stored bodies: a fetch that was cut goes on.
//! Refuses to keep what belongs to another content or to an older generation.

use super::vault::Vault;
use crate::context::Random;
use crate::id::{Digest, Plane};
use crate::revision::KeyGeneration;
use crate::state::{SectionName, SectionTable, State};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;

/// The encrypted bodies of one state.
#[derive(Debug, Clone, Default)]
pub struct EncryptedBodies {
    generation: Option<KeyGeneration>,
    rows: BTreeMap<SectionName, Row>,
}

#[derive(Debug, Clone)]
struct Row {
    digest: Digest,
    stored: Digest,
    bytes: Arc<[u8]>,
}

impl EncryptedBodies {
    /// Encrypts what changed since the last time, and all of it under a newer generation.
    pub fn refresh(&mut self, vault: &Vault, plane: Plane, state: &State, random: &mut dyn Random) {
        if self.generation != Some(vault.generation()) {
            self.rows.clear();
            self.generation = Some(vault.generation());
        }
        self.rows
            .retain(|name, row| state.section_digest(name.as_str()) == Some(&row.digest));
        for (name, digest) in state.section_digests() {
            if self.rows.contains_key(name) {
                continue;
            }
            let body = state.section_body(name.as_str()).unwrap_or_default();
            let bytes = vault.encrypt_body(plane, name.as_str(), digest, body, random);
            let row = Row {
                digest: *digest,
                stored: Digest::of(&bytes),
                bytes: Arc::from(bytes),
            };
            self.rows.insert(name.clone(), row);
        }
    }

    /// The table that names them.
    #[must_use]
    pub fn table(&self) -> SectionTable {
        let rows = self.rows.iter();
        SectionTable::encrypted(
            self.generation.unwrap_or_default(),
            rows.map(|(name, row)| (name.clone(), row.digest, row.stored)),
        )
    }

    /// The stored body that has this digest.
    #[must_use]
    pub fn body(&self, stored: &Digest) -> Option<&[u8]> {
        let mut rows = self.rows.values();
        let row = rows.find(|row| row.stored == *stored)?;
        Some(&row.bytes)
    }

    /// Every stored body by its digest.
    pub fn iter(&self) -> impl Iterator<Item = (Digest, &[u8])> {
        self.rows.values().map(|row| (row.stored, &*row.bytes))
    }
}
