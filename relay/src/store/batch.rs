//! What a commit changes: an ordered list of inserts and removes over any tables.
//!
//! A batch is visible after a commit as a whole or not at all. Later operations on the same key
//! win. It knows its own size, because every queue it waits in is bounded in bytes. It cannot
//! read, count or compare: the store decides nothing.

use super::limits::{KEY_BYTES_MAX, OP_OVERHEAD_BYTES, VALUE_BYTES_MAX};
use super::{StoreError, Table};

/// Ordered changes that are stored together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    ops: Vec<Op>,
    size_bytes: usize,
}

/// One change of a batch.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Insert {
        table: Table,
        key: Vec<u8>,
        value: Vec<u8>,
    },
    Remove {
        table: Table,
        key: Vec<u8>,
    },
}

impl Batch {
    /// Creates a batch that changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an insert; it replaces a value already at the key.
    pub fn insert(
        &mut self,
        table: Table,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
    ) -> &mut Self {
        let (key, value) = (key.into(), value.into());
        self.charge(key.len().saturating_add(value.len()));
        self.ops.push(Op::Insert { table, key, value });
        self
    }

    /// Adds a remove; removing what is not there changes nothing.
    pub fn remove(&mut self, table: Table, key: impl Into<Vec<u8>>) -> &mut Self {
        let key = key.into();
        self.charge(key.len());
        self.ops.push(Op::Remove { table, key });
        self
    }

    /// Appends the changes of another batch behind those of this one.
    pub fn append(&mut self, mut later: Self) {
        self.size_bytes = self.size_bytes.saturating_add(later.size_bytes);
        self.ops.append(&mut later.ops);
    }

    /// Returns how many changes the batch holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Returns whether the batch changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Returns the bytes of keys and values, plus a fixed charge for each change.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub(super) fn ops(&self) -> &[Op] {
        &self.ops
    }

    pub(super) fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// Checks every key and value against its bound.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for op in &self.ops {
            match op {
                Op::Insert { key, value, .. } => {
                    check_bound("key", key.len(), KEY_BYTES_MAX)?;
                    check_bound("value", value.len(), VALUE_BYTES_MAX)?;
                }
                Op::Remove { key, .. } => check_bound("key", key.len(), KEY_BYTES_MAX)?,
            }
        }
        Ok(())
    }

    fn charge(&mut self, bytes: usize) {
        self.size_bytes = self
            .size_bytes
            .saturating_add(bytes)
            .saturating_add(OP_OVERHEAD_BYTES);
    }
}

fn check_bound(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), StoreError> {
    if bytes > bytes_max {
        return Err(StoreError::TooLarge {
            what,
            bytes,
            bytes_max,
        });
    }
    Ok(())
}
