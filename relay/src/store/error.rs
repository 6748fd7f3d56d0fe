//! What can go wrong in the store, worded for the person who has to act.
//!
//! A message names the file, what was found, and the next step; the machine's own words are the
//! source. No engine type appears here. Errors can be cloned because every caller that shared a
//! failed group commit gets the same one.

use std::error::Error;
use std::io;
use std::sync::Arc;

/// Why the store refused or failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The file was written by a later version.
    #[error(
        "store {file} has schema {found}, this program supports up to schema {supported}: \
         run the version that wrote it or a later one"
    )]
    Newer {
        /// The store's file.
        file: String,
        /// Schema version found in the file.
        found: u32,
        /// Newest schema version this program reads.
        supported: u32,
    },
    /// The file exists, and no Postern wrote it.
    #[error(
        "{file} is not a Postern store ({found}): name another file, or move this one away to \
         start a new store"
    )]
    NotAStore {
        /// The file.
        file: String,
        /// What was found instead.
        found: &'static str,
    },
    /// The file is a store whose structure no longer checks out.
    #[error(
        "store {file} is damaged: keep a copy of it, then restore a backup or move it away to \
         start a new store"
    )]
    DamagedFile {
        /// The store's file.
        file: String,
        /// The engine's own words.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// One record does not match its check. Its bytes are never served.
    #[error(
        "store {file} is damaged: the record at table {table} key {key} fails its check; keep a \
         copy of the file, then restore a backup or move it away to start a new store"
    )]
    Damaged {
        /// The store's file.
        file: String,
        /// Table of the record, or `?` where the stored key names none.
        table: String,
        /// Key of the record in hexadecimal.
        key: String,
    },
    /// Another process, or another handle of this one, has the store open.
    #[error("store {file} is in use by another process: end that process, or name another folder")]
    Locked {
        /// The store's file.
        file: String,
    },
    /// The machine refused a read or write.
    #[error("store {file}: cannot {doing}")]
    Io {
        /// The store's file.
        file: String,
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// The machine's own words.
        #[source]
        source: Arc<io::Error>,
    },
    /// An earlier failure stopped this store: nothing is acknowledged until the process restarts.
    #[error("store {file} stopped after an earlier failure: restart the process")]
    Poisoned {
        /// The store's file.
        file: String,
    },
    /// The writer's thread panicked: nothing is acknowledged until the process restarts.
    #[error("the store's writer panicked: restart the process")]
    Panicked,
    /// The store, or the writer in front of it, is closed.
    #[error("the store is closed")]
    Closed,
    /// A key, value or batch is above its bound; nothing was stored.
    #[error("{what} of {bytes} bytes is above the bound of {bytes_max} bytes")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// The bound in bytes.
        bytes_max: usize,
    },
    /// The writer's queue has no room now; nothing was stored.
    #[error("the store's queue is full: {bytes} more bytes would exceed {bytes_max}")]
    QueueFull {
        /// Bytes the refused batch would have taken.
        bytes: usize,
        /// The queue's bound in bytes.
        bytes_max: usize,
    },
}
