//! A store in memory, for tests and simulations.
//!
//! It passes the same conformance suite as the store on disk and forgets everything when dropped.
//! It refuses what that one refuses: oversized keys and values, and any call after close.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::Op;
use super::{Batch, Durable, KeyRange, Record, Store, StoreError, Table};

type Records = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Records that live as long as this value.
#[derive(Debug)]
pub struct MemoryStore {
    records: Mutex<Option<Records>>,
}

impl MemoryStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            records: Mutex::new(Some(Records::new())),
        }
    }

    fn records(&self) -> MutexGuard<'_, Option<Records>> {
        // A batch is applied without a call that can panic, so the map is whole.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: Batch) -> Result<Durable, StoreError> {
        batch.check()?;
        let mut guard = self.records();
        let records = guard.as_mut().ok_or(StoreError::Closed)?;
        for op in batch.into_ops() {
            match op {
                Op::Insert { table, key, value } => {
                    records.insert((table, key), value);
                }
                Op::Remove { table, key } => {
                    records.remove(&(table, key));
                }
            }
        }
        Ok(Durable::after_commit())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let guard = self.records();
        let records = guard.as_ref().ok_or(StoreError::Closed)?;
        Ok(records.get(&(table, key.to_vec())).cloned())
    }

    fn range(
        &self,
        table: Table,
        keys: &KeyRange,
        records_max: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let guard = self.records();
        let records = guard.as_ref().ok_or(StoreError::Closed)?;
        Ok(records
            .range((table, keys.from().to_vec())..)
            .take_while(|((found, key), _)| {
                *found == table && keys.to().is_none_or(|to| key.as_slice() < to)
            })
            .take(records_max)
            .map(|((_, key), value)| Record {
                key: key.clone(),
                value: value.clone(),
            })
            .collect())
    }

    fn size_bytes(&self) -> Result<u64, StoreError> {
        let guard = self.records();
        let records = guard.as_ref().ok_or(StoreError::Closed)?;
        let bytes = records.iter().fold(0_usize, |sum, ((table, key), value)| {
            sum.saturating_add(table.name().len())
                .saturating_add(key.len())
                .saturating_add(value.len())
        });
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    fn close(&self) -> Result<(), StoreError> {
        *self.records() = None;
        Ok(())
    }
}
