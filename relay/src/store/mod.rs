//! The store: durable records behind one small synchronous trait.
//!
//! Callers name tables, hand over [`Batch`]es and get a [`Durable`] back; whoever acknowledges
//! anything must hold one. Only insert, remove, get and range can be expressed; no type, error or
//! iterator of the engine leaves this module, so another engine can take its place once it has
//! passed the same conformance suite. The store refuses to decide anything, to serve bytes that
//! fail their check, and to commit after its first failure.
//!
//! ```text
//!  callers --submit--> Writer (bounded queue, one thread) --commit--> DiskStore --> Disk --> file
//!          <--Durable-- one group commit for all that waited            redb        write, flush
//! ```
//!
//! # Settings, and why
//!
//! The engine is redb, pinned: every release of it is run through the crash explorer before the
//! pin moves. sled, its usual rival, acknowledges without flushing.
//!
//! | setting | [`Profile::Device`] | [`Profile::Server`] | reason |
//! |---|---|---|---|
//! | durability | immediate | immediate | stated on every commit, never left to a default |
//! | two-phase commit | off | on, contained in quick repair | a one-phase commit can be attacked by someone who chooses the payload and can cut the power; strangers choose what a server stores, only the paired controller what a device stores |
//! | flushes per commit | exactly 1 | exactly 2 | asserted by count; an engine that flushes less loses acknowledged records. Each growth of the file inside a commit adds exactly one, under both profiles: the longer file is durable before any header can name it, or a power cut would leave a header that points beyond the end |
//! | quick repair | off | on | without it, opening a million records after a crash takes 6 s and 587 MB; a device's file is checked whole in milliseconds |
//! | integrity check on open | on | off | reads the whole file: cheap for a device, beyond a server's restart budget. Opening a server's file once with the device profile runs the check |
//! | cache | 1 MiB | 64 MiB | the engine's default is 1 GiB |
//! | value frame | yes | yes | engines serve a flipped bit as good data; see below |
//! | file mode | 0600 | 0600 | tightened on every open |
//! | close | explicit | explicit | returns the error that dropping ignores |
//!
//! Every value carries version, length and a CRC32C over table, key and bytes, checked on every
//! read. What a CRC cannot see is a record that has *vanished*, because the engine's own pages are
//! damaged. The integrity check sees it; a server's settings do not look. Of 231,936 single flips
//! in a server's file opened without a check, every bit that is read, none was served as other
//! data, but 190 made records vanish and 66 ended the process inside the engine; checked at
//! start, all of 395,776 were refused or harmless, those 256 among the refused (November 2026,
//! `POSTERN_FLIPS_EVERY=1 cargo test -p postern-relay --test store_rot`). So whoever
//! uses [`Profile::Server`] opens the file with [`Profile::Device`] and closes it first, as relay and
//! controller do, and owners of numbered records keep the numbers contiguous.
//!
//! A new store is built beside its final name and renamed when complete, so no crash leaves half
//! a store behind. All tables share one engine table under a table prefix: a device commit then
//! rewrites one path of one tree instead of several.
//!
//! # Errors are final
//!
//! After a failed write, a failed flush or a record that fails its check, the store refuses every
//! later commit, and the process exits and is restarted. A flush is never retried: the kernel may
//! have dropped the very pages whose writing failed and report success the second time.

mod batch;
mod disk;
mod disk_store;
mod error;
mod frame;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fuzz;
pub mod limits;
mod memory;
mod writer;

#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use disk::Disk;
pub use disk_store::{DiskStore, Profile};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use writer::{Pending, Writer};

/// A place where records outlive the process.
pub trait Store: Send + Sync {
    /// Applies a batch as a whole and returns once it survives a power cut.
    ///
    /// An empty batch is durable without a flush.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] changes nothing and leaves the store usable. After any other
    /// error it is unknown whether the batch was stored, nothing may be acknowledged, and every
    /// later commit fails with [`StoreError::Poisoned`].
    fn commit(&self, batch: Batch) -> Result<Durable, StoreError>;

    /// Returns the value at a key, checked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] names a record that fails its check; like a failed read it also
    /// stops all later commits.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Returns at most `records_max` records of a range in ascending order of key, each checked.
    ///
    /// To go on, ask again from [`KeyRange::after`] the last key.
    ///
    /// # Errors
    ///
    /// As [`Store::get`]; one damaged record fails the whole call.
    fn range(
        &self,
        table: Table,
        keys: &KeyRange,
        records_max: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// Returns the bytes the store takes up where it lives.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] where the machine cannot tell.
    fn size_bytes(&self) -> Result<u64, StoreError>;

    /// Closes the store in order; later calls fail with [`StoreError::Closed`].
    ///
    /// # Errors
    ///
    /// What the last writes met. Everything acknowledged is durable all the same.
    fn close(&self) -> Result<(), StoreError>;
}

/// One stored value and the key it lies under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key within its table.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// Proof that a commit has returned: an acknowledgement needs one in hand.
///
/// Only a store can make one, and it cannot be copied.
#[derive(Debug)]
#[must_use = "this is the permission to acknowledge"]
pub struct Durable(());

impl Durable {
    /// The one constructor, called after the engine's commit has returned.
    fn after_commit() -> Self {
        Self(())
    }

    /// Hands the proof of a group commit to each of the callers whose batches it held.
    fn shared_by_group(&self) -> Self {
        Self(())
    }
}

/// Name of a table: 1 to 32 bytes of ASCII that do not begin with `_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table(&'static str);

impl Table {
    /// Schema version and the like; out of callers' reach because of its first character.
    const META: Self = Self("_meta");

    /// Names a table; meant for constants, where a bad name is a compile error.
    ///
    /// # Panics
    ///
    /// Where the name is empty, too long, not ASCII, or begins with `_`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(
            name.is_ascii() && name.len() <= limits::TABLE_NAME_BYTES_MAX,
            "a table name is short ASCII"
        );
        assert!(
            matches!(name.as_bytes().first(), Some(first) if *first != b'_'),
            "a table name is not empty and does not begin with an underscore"
        );
        Self(name)
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// A range of keys within one table: first included, last excluded, ordered as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    from: Vec<u8>,
    to: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    #[must_use]
    pub fn all() -> Self {
        Self::starting_at([])
    }

    /// Every key from this one on.
    #[must_use]
    pub fn starting_at(from: impl Into<Vec<u8>>) -> Self {
        Self {
            from: from.into(),
            to: None,
        }
    }

    /// Every key behind this one: where the last answer stopped.
    #[must_use]
    pub fn after(key: impl Into<Vec<u8>>) -> Self {
        let mut from = key.into();
        from.push(0);
        Self { from, to: None }
    }

    /// Every key from the first up to, and without, the second. Empty if they are not in order.
    #[must_use]
    pub fn between(from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) -> Self {
        Self {
            from: from.into(),
            to: Some(to.into()),
        }
    }

    /// Every key that begins with these bytes.
    #[must_use]
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let from = prefix.into();
        let mut to = from.clone();
        // The successor of a prefix: drop trailing 0xFF, count the last byte up.
        while to.last() == Some(&u8::MAX) {
            to.pop();
        }
        let to = to.pop().map(|last| {
            to.push(last.saturating_add(1));
            to
        });
        Self { from, to }
    }

    /// Ends the range before this key as well.
    #[must_use]
    pub fn ending_before(mut self, to: impl Into<Vec<u8>>) -> Self {
        let to = to.into();
        self.to = Some(match self.to {
            Some(earlier) => earlier.min(to),
            None => to,
        });
        self
    }

    fn from(&self) -> &[u8] {
        &self.from
    }

    fn to(&self) -> Option<&[u8]> {
        self.to.as_deref()
    }

    fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }
}
