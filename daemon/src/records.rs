//! Between an engine's records and the store: one batch a commit, one pass at start.
//!
//! Refuses to interpret values: that is the engine's part.

use crate::exit::CommandError;
use postern_protocol::record::{RecordError, Table, Write};
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

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let name = match &error {
            StoreError::Newer { .. } => "store-newer",
            StoreError::NotAStore { .. } => "store-not-a-store",
            StoreError::DamagedFile { .. } | StoreError::Damaged { .. } => "store-damaged",
            StoreError::Locked { .. } => "store-locked",
            StoreError::Io { .. } => "store-io",
            StoreError::Poisoned { .. }
            | StoreError::Panicked
            | StoreError::Closed
            | StoreError::TooLarge { .. }
            | StoreError::QueueFull { .. } => "store-failed",
        };
        let text = error.to_string();
        // An error that begins with the machine's own reason has no remedy behind a colon.
        let remedy = match &error {
            StoreError::Io { .. } | StoreError::TooLarge { .. } | StoreError::QueueFull { .. } => {
                None
            }
            StoreError::Newer { .. }
            | StoreError::NotAStore { .. }
            | StoreError::DamagedFile { .. }
            | StoreError::Damaged { .. }
            | StoreError::Locked { .. }
            | StoreError::Poisoned { .. }
            | StoreError::Panicked
            | StoreError::Closed => text.split_once(": "),
        };
        let (message, next) = remedy.unwrap_or((
            &text,
            "look at the disk (space, rights, errors), then start again",
        ));
        let source = std::error::Error::source(&error).map(|source| format!(" ({source})"));
        Self::store(
            name,
            format!("{message}{}", source.unwrap_or_default()),
            next,
        )
    }
}

impl CommandError {
    /// Names a store whose record checks out but cannot be understood.
    #[must_use]
    pub fn from_record(store: &std::path::Path, error: &RecordError) -> Self {
        Self::store(
            "store-damaged",
            format!("store {}: {error}", store.display()),
            "keep a copy of the file, then restore a backup or move it away to start a new store",
        )
    }
}
