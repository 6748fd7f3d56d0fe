//! Between an engine's records and the store: one batch a commit, one pass at start.
//!
//! Refuses to interpret values: that is the engine's part.

use postern_protocol::record::{Table, Write};
use postern_relay::store::{Batch, Durable, KeyRange, Store, StoreError, Table as StoreTable};

/// Records read in one go while loading. Bounds memory, not the store.
const LOAD_RECORDS: usize = 1_024;

/// One record of one table, as the engine wants it back.
#[derive(Debug)]
pub struct Loaded {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

const fn store_table(table: Table) -> StoreTable {
    StoreTable::new(table.as_str())
}

/// Reads every record of every table.
///
/// # Errors
/// [`StoreError`] names the store and, for a damaged record, its table and key.
pub fn load(store: &dyn Store) -> Result<Vec<Loaded>, StoreError> {
    let mut records = Vec::new();
    for table in Table::ALL {
        let mut range = KeyRange::all();
        loop {
            let page = store.range(store_table(table), &range, LOAD_RECORDS)?;
            let is_last = page.len() < LOAD_RECORDS;
            if let Some(last) = page.last() {
                range = KeyRange::after(last.key.clone());
            }
            records.extend(page.into_iter().map(|record| Loaded {
                table,
                key: record.key,
                value: record.value,
            }));
            if is_last {
                break;
            }
        }
    }
    Ok(records)
}

/// Makes writes durable, all or none.
///
/// # Errors
/// [`StoreError`]: nothing may be acknowledged afterwards.
pub fn commit(store: &dyn Store, writes: Vec<Write>) -> Result<Durable, StoreError> {
    let mut batch = Batch::new();
    for write in writes {
        let table = store_table(write.table);
        match write.value {
            Some(value) => batch.insert(table, write.key, value),
            None => batch.remove(table, write.key),
        };
    }
    store.commit(batch)
}

/// Lends records to an engine.
pub fn lend(records: &[Loaded]) -> impl Iterator<Item = (Table, &[u8], &[u8])> {
    records
        .iter()
        .map(|record| (record.table, record.key.as_slice(), record.value.as_slice()))
}
