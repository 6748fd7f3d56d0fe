//! The store on disk: redb with fixed settings, a check on every value, and fail-stop errors.
//!
//! The table in the [module documentation](super) gives each setting and its reason. Of the
//! engine only insert, remove, get and range are used. A panic inside the engine, which a damaged
//! file can cause, is contained and reported as damage. After the first failure every later
//! commit is refused; nothing is retried.

use std::ffi::OsString;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, Durability, ReadableDatabase, TableDefinition};
use tracing::{error, info};

use super::batch::Op;
use super::disk::{self, EngineDisk, FileDisk};
use super::limits::{DEVICE_CACHE_BYTES, SCHEMA_VERSION, SERVER_CACHE_BYTES};
use super::{Batch, Disk, Durable, KeyRange, Record, Store, StoreError, Table, frame};

/// Whose store it is, which decides the engine's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A device: one flush per commit, every page checked on open, a small cache.
    Device,
    /// A controller or relay: two flushes per commit, instant open after a crash.
    Server,
}

/// Records in one file that belongs to this process alone.
#[derive(Debug)]
pub struct DiskStore {
    file: String,
    profile: Profile,
    open: RwLock<Option<Open>>,
    failed: AtomicBool,
}

#[derive(Debug)]
struct Open {
    database: Database,
    disk: Arc<dyn Disk>,
}

impl DiskStore {
    /// Opens the store in a file, or makes one where there is no file.
    ///
    /// A new store appears under its name only when it is complete; until then it is built in a
    /// file beside it, whose name ends in `.new`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Newer`], [`StoreError::NotAStore`], [`StoreError::DamagedFile`],
    /// [`StoreError::Damaged`] and [`StoreError::Locked`] name the file and the next step;
    /// [`StoreError::Io`] where the machine refuses. An existing file is never replaced.
    pub fn open(path: &Path, profile: Profile) -> Result<Self, StoreError> {
        if let Some(store) = Self::open_existing(path, profile)? {
            return Ok(store);
        }
        let building = beside(path);
        let disk = FileDisk::open_or_create(&building)?;
        // Another process may have completed a store between the look and the lock.
        if let Some(store) = Self::open_existing(path, profile)? {
            return Ok(store);
        }
        disk.set_length(0)
            .map_err(|error| disk::io_error(&building, "empty the file", error))?;
        let store = Self::open_on(Arc::new(disk), &path.display().to_string(), profile)?;
        fs::rename(&building, path)
            .map_err(|error| disk::io_error(path, "name the new file", error))?;
        disk::flush_folder_of(path)?;
        Ok(store)
    }

    /// Opens the store on any [`Disk`], or makes one where the disk is empty.
    ///
    /// `file` is what errors call it. The caller sees to it that nobody else uses the disk.
    ///
    /// # Errors
    ///
    /// As [`DiskStore::open`], without [`StoreError::Locked`].
    pub fn open_on(disk: Arc<dyn Disk>, file: &str, profile: Profile) -> Result<Self, StoreError> {
        let store = Self {
            file: file.to_owned(),
            profile,
            open: RwLock::new(None),
            failed: AtomicBool::new(false),
        };
        let fresh = store.check_kind(disk.as_ref())?;
        let database = store.contain("open the store", || {
            let mut builder = Database::builder();
            match profile {
                Profile::Device => builder
                    .set_cache_size(DEVICE_CACHE_BYTES)
                    .set_check_integrity_on_open(true),
                Profile::Server => builder
                    .set_cache_size(SERVER_CACHE_BYTES)
                    .set_check_integrity_on_open(false),
            };
            Ok(builder.create_with_backend(EngineDisk(Arc::clone(&disk)))?)
        })?;
        *store.open.write().unwrap_or_else(PoisonError::into_inner) = Some(Open { database, disk });
        if fresh {
            store.write_schema()?;
        }
        store.check_schema()?;
        let bytes = store.size_bytes()?;
        info!(bytes, "opened the store");
        Ok(store)
    }

    fn open_existing(path: &Path, profile: Profile) -> Result<Option<Self>, StoreError> {
        let Some(disk) = FileDisk::open_existing(path)? else {
            return Ok(None);
        };
        let file = path.display().to_string();
        let length_bytes = disk
            .length_bytes()
            .map_err(|error| disk::io_error(path, "read the length", error))?;
        // A complete store is never empty: an empty file is one that somebody cut.
        if length_bytes == 0 {
            let found = "the file is empty";
            return Err(StoreError::NotAStore { file, found });
        }
        Self::open_on(Arc::new(disk), &file, profile).map(Some)
    }

    /// Returns whether the disk is empty; refuses one that holds anything but an engine's file.
    fn check_kind(&self, disk: &dyn Disk) -> Result<bool, StoreError> {
        let path = Path::new(&self.file);
        let length_bytes = disk
            .length_bytes()
            .map_err(|error| disk::io_error(path, "read the length", error))?;
        if length_bytes == 0 {
            return Ok(true);
        }
        let mut start = [0; ENGINE_MAGIC.len()];
        match disk.read(0, &mut start) {
            Ok(()) if start == ENGINE_MAGIC => Ok(false),
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
                Err(disk::io_error(path, "read the file", error))
            }
            Ok(()) | Err(_) => Err(self.not_a_store("it does not begin like one")),
        }
    }

    fn write_schema(&self) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.insert(Table::META, SCHEMA_KEY, SCHEMA_VERSION.to_be_bytes());
        self.commit(batch).map(drop)
    }

    fn check_schema(&self) -> Result<(), StoreError> {
        let Some(version) = self.get(Table::META, SCHEMA_KEY)? else {
            return Err(self.not_a_store("a database without a Postern schema"));
        };
        let found = match version.try_into().map(u32::from_be_bytes) {
            Ok(found) if found > 0 => found,
            Ok(_) | Err(_) => {
                return Err(self.damaged(&frame::engine_key(Table::META, SCHEMA_KEY)));
            }
        };
        if found > SCHEMA_VERSION {
            return Err(StoreError::Newer {
                file: self.file.clone(),
                found,
                supported: SCHEMA_VERSION,
            });
        }
        Ok(())
    }

    fn with_open<T>(
        &self,
        doing: &'static str,
        call: impl FnOnce(&Open) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let guard = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let open = guard.as_ref().ok_or(StoreError::Closed)?;
        self.contain(doing, || call(open))
    }

    /// Runs an engine call; any failure of it, a panic included, stops later commits.
    fn contain<T>(
        &self,
        doing: &'static str,
        call: impl FnOnce() -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let error = match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => self.classify(doing, error),
            Err(_) => StoreError::DamagedFile {
                file: self.file.clone(),
                source: Arc::new(std::io::Error::other("the engine panicked")),
            },
        };
        self.fail(&error);
        Err(error)
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the engine's error enum is open; what is not named here means a bad file"
    )]
    fn classify(&self, doing: &'static str, error: redb::Error) -> StoreError {
        use std::io::ErrorKind::{InvalidData, UnexpectedEof};
        let file = self.file.clone();
        match error {
            redb::Error::Io(source) if !matches!(source.kind(), InvalidData | UnexpectedEof) => {
                StoreError::Io {
                    file,
                    doing,
                    source: Arc::new(source),
                }
            }
            redb::Error::PreviousIo => StoreError::Poisoned { file },
            redb::Error::DatabaseAlreadyOpen => StoreError::Locked { file },
            redb::Error::TableDoesNotExist(_) => self.not_a_store("a database of something else"),
            redb::Error::DatabaseClosed => StoreError::Closed,
            error => StoreError::DamagedFile {
                file,
                source: Arc::new(error),
            },
        }
    }

    fn not_a_store(&self, found: &'static str) -> StoreError {
        StoreError::NotAStore {
            file: self.file.clone(),
            found,
        }
    }

    /// Names a record that fails its check, and stops later commits.
    fn damaged(&self, engine_key: &[u8]) -> StoreError {
        let (table, key) = match engine_key.split_first() {
            Some((length, rest)) if usize::from(*length) <= rest.len() => {
                rest.split_at(usize::from(*length))
            }
            Some(_) | None => (b"?".as_slice(), engine_key),
        };
        let error = StoreError::Damaged {
            file: self.file.clone(),
            table: String::from_utf8_lossy(table).into_owned(),
            key: key.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        self.fail(&error);
        error
    }

    fn fail(&self, reason: &StoreError) {
        if !self.failed.swap(true, Ordering::SeqCst) {
            error!(%reason, "the store stopped: nothing is acknowledged any more");
        }
    }
}

impl Store for DiskStore {
    fn commit(&self, batch: Batch) -> Result<Durable, StoreError> {
        batch.check()?;
        if self.failed.load(Ordering::SeqCst) {
            return Err(StoreError::Poisoned {
                file: self.file.clone(),
            });
        }
        self.with_open("commit", |open| {
            if batch.is_empty() {
                return Ok(());
            }
            let mut transaction = open.database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            match self.profile {
                Profile::Device => {
                    transaction.set_two_phase_commit(false);
                    transaction.set_quick_repair(false);
                }
                // Quick repair contains two-phase commit.
                Profile::Server => transaction.set_quick_repair(true),
            }
            {
                let mut records = transaction.open_table(RECORDS)?;
                for op in batch.ops() {
                    match op {
                        Op::Insert { table, key, value } => {
                            let key = frame::engine_key(*table, key);
                            let sealed = frame::seal(&key, value);
                            records.insert(key.as_slice(), sealed.as_slice())?;
                        }
                        Op::Remove { table, key } => {
                            records.remove(frame::engine_key(*table, key).as_slice())?;
                        }
                    }
                }
            }
            Ok(transaction.commit()?)
        })?;
        Ok(Durable::after_commit())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let key = frame::engine_key(table, key);
        let sealed = self.with_open("read", |open| {
            let records = open.database.begin_read()?.open_table(RECORDS)?;
            let found = records.get(key.as_slice())?;
            Ok(found.map(|sealed| sealed.value().to_vec()))
        })?;
        let Some(sealed) = sealed else {
            return Ok(None);
        };
        match frame::unseal(&key, &sealed) {
            Some(value) => Ok(Some(value.to_vec())),
            None => Err(self.damaged(&key)),
        }
    }

    fn range(
        &self,
        table: Table,
        keys: &KeyRange,
        records_max: usize,
    ) -> Result<Vec<Record>, StoreError> {
        if keys.is_empty() {
            return self.with_open("read", |_| Ok(Vec::new()));
        }
        let (from, to) = frame::engine_range(table, keys);
        let sealed = self.with_open("read", |open| {
            let records = open.database.begin_read()?.open_table(RECORDS)?;
            let range = records.range(from.as_slice()..to.as_slice())?;
            range
                .take(records_max)
                .map(|record| {
                    let (key, sealed) = record?;
                    Ok((key.value().to_vec(), sealed.value().to_vec()))
                })
                .collect::<Result<Vec<_>, redb::Error>>()
        })?;
        let mut out = Vec::with_capacity(sealed.len());
        let mut at_least = from;
        for (key, sealed) in sealed {
            // A damaged tree can yield what lies outside the range, or out of order.
            let in_order = key >= at_least && key < to;
            match (frame::caller_key(table, &key), frame::unseal(&key, &sealed)) {
                (Some(own), Some(value)) if in_order => out.push(Record {
                    key: own.to_vec(),
                    value: value.to_vec(),
                }),
                (Some(_) | None, Some(_) | None) => return Err(self.damaged(&key)),
            }
            at_least = key;
            at_least.push(0);
        }
        Ok(out)
    }

    fn size_bytes(&self) -> Result<u64, StoreError> {
        self.with_open("read the length", |open| Ok(open.disk.length_bytes()?))
    }

    fn close(&self) -> Result<(), StoreError> {
        let mut guard = self.open.write().unwrap_or_else(PoisonError::into_inner);
        match guard.take() {
            Some(open) => self.contain("close", || Ok(open.database.close()?)),
            None => Ok(()),
        }
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        // `contain` has logged what failed; there is nobody left to tell.
        drop(self.close());
    }
}

/// The name under which a new store is built.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    PathBuf::from(name)
}

const RECORDS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("records");
const SCHEMA_KEY: &[u8] = b"schema";
const ENGINE_MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";
