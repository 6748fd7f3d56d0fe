//! A store in memory: what an engine asked to make durable, and how often.

use crate::record::{Table, Write};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Tables in memory. A clone is a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    commits: usize,
}

impl MemoryStore {
    /// Applies one commit.
    pub fn commit(&mut self, writes: &[Write]) {
        self.commits += 1;
        for write in writes {
            let key = (write.table, write.key.clone());
            match &write.value {
                Some(value) => self.rows.insert(key, value.clone()),
                None => self.rows.remove(&key),
            };
        }
    }

    /// How many commits were made.
    #[must_use]
    pub const fn commits(&self) -> usize {
        self.commits
    }

    /// Returns every row as engines want them back.
    pub fn rows(&self) -> impl Iterator<Item = (Table, &[u8], &[u8])> {
        self.rows
            .iter()
            .map(|((table, key), value)| (*table, key.as_slice(), value.as_slice()))
    }

    /// Replaces a row, as a damaged disk would.
    pub fn overwrite(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) {
        let key = (table, key.to_vec());
        match value {
            Some(value) => self.rows.insert(key, value),
            None => self.rows.remove(&key),
        };
    }
}
