//! A store in memory: what an engine asked to make durable, and how often.
//!
//! With a disk below it, a power cut tears what was not flushed, and the rows are read back from what is left.

use super::disk::{Disk, DiskFlaw};
use super::keys::Dice;
use crate::record::{Table, Write};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Every row.
pub(super) type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Tables in memory. A clone is a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    rows: Rows,
    commits: usize,
    disk: Option<Disk>,
}

impl MemoryStore {
    /// Applies one commit.
    pub fn commit(&mut self, writes: &[Write]) {
        self.commits += 1;
        apply(&mut self.rows, writes);
        if let Some(disk) = &mut self.disk {
            disk.commit(writes, &self.rows);
        }
    }

    /// Puts the rows on a disk, which may have a flaw.
    pub(super) fn lay_on_disk(&mut self, flaw: Option<DiskFlaw>) {
        let mut disk = Disk::holding(&self.rows);
        disk.flaw = flaw;
        self.disk = Some(disk);
    }

    /// Tells whether there is a disk below.
    pub(super) const fn is_on_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Cuts the power, perhaps in the midst of a commit, and reads back what is left. Returns false when
    /// that is neither what was there before nor what the commit makes of it.
    pub(super) fn cut(&mut self, in_flight: &[Write], dice: &mut Dice) -> bool {
        let Some(disk) = &mut self.disk else {
            return true;
        };
        if !in_flight.is_empty() {
            disk.write(in_flight);
        }
        disk.crash(dice);
        let before = core::mem::replace(&mut self.rows, disk.open());
        if self.rows == before {
            return true;
        }
        let mut after = before;
        apply(&mut after, in_flight);
        self.rows == after
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let rows = self.rows.iter();
        rows.map(|((_, key), value)| key.len() + value.len()).sum()
    }

    /// How many commits were made.
    #[must_use]
    pub const fn commits(&self) -> usize {
        self.commits
    }

    /// Returns one row.
    pub(super) fn row(&self, table: Table, key: &[u8]) -> Option<&[u8]> {
        self.rows.get(&(table, key.to_vec())).map(Vec::as_slice)
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

fn apply(rows: &mut Rows, writes: &[Write]) {
    for write in writes {
        let key = (write.table, write.key.clone());
        match &write.value {
            Some(value) => rows.insert(key, value.clone()),
            None => rows.remove(&key),
        };
    }
}
