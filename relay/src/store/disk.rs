//! What lies under the engine: a flat run of bytes that can be read, written, cut and flushed.
//!
//! [`Disk`] is the seam where tests count flushes, cut the power and fail calls; the product has
//! one implementation, [`FileDisk`]. It takes the lock on the file before anything is read or
//! truncated, so two processes never write one store. It waits a moment for a lock whose holder was
//! just killed; otherwise it retries nothing, and it interprets nothing.

use std::fmt::Debug;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::StoreError;
use super::limits::{LOCK_PAUSE_MS, LOCK_TRIES_MAX};

const OWNER_ONLY: u32 = 0o600;

/// Bytes that survive a power cut once flushed.
///
/// Any write since the last successful [`Disk::flush`] may be lost, kept or torn by a power cut,
/// independently of the others.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Returns the length in bytes.
    ///
    /// # Errors
    ///
    /// The machine's.
    fn length_bytes(&self) -> io::Result<u64>;

    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` where the range is not wholly inside; otherwise the machine's.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Cuts or extends to a length in bytes; new bytes are zero.
    ///
    /// # Errors
    ///
    /// The machine's.
    fn set_length(&self, length_bytes: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    ///
    /// The machine's.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns once every earlier write and length survives a power cut.
    ///
    /// # Errors
    ///
    /// The machine's; afterwards no earlier write since the last flush may be relied on.
    fn flush(&self) -> io::Result<()>;
}

/// A locked file, readable by its owner only.
#[derive(Debug)]
pub(super) struct FileDisk {
    file: File,
}

impl FileDisk {
    /// Opens and locks a file; `None` where there is none.
    pub(super) fn open_existing(path: &Path) -> Result<Option<Self>, StoreError> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Self::lock(file, path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(path, "open the file", error)),
        }
    }

    /// Opens and locks a file, made where there is none. Its content is left as it is.
    pub(super) fn open_or_create(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(OWNER_ONLY)
            .open(path)
            .map_err(|error| io_error(path, "create the file", error))?;
        Self::lock(file, path)
    }

    fn lock(file: File, path: &Path) -> Result<Self, StoreError> {
        Self::lock_patiently(file, path, || {
            // Nobody tells when the lock is free; to be woken early only means to look once more.
            std::thread::park_timeout(Duration::from_millis(LOCK_PAUSE_MS));
        })
    }

    /// Locks a file, or finds it locked at every one of a bounded number of tries. A process that was
    /// killed while it started a command leaves its lock to the child until that one executes.
    pub(super) fn lock_patiently(
        file: File,
        path: &Path,
        mut pause: impl FnMut(),
    ) -> Result<Self, StoreError> {
        let mut tries = 0;
        while let Err(error) = file.try_lock() {
            tries += 1;
            match error {
                TryLockError::WouldBlock if tries < LOCK_TRIES_MAX => pause(),
                TryLockError::WouldBlock => {
                    return Err(StoreError::Locked {
                        file: path.display().to_string(),
                    });
                }
                TryLockError::Error(error) => return Err(io_error(path, "lock the file", error)),
            }
        }
        file.set_permissions(Permissions::from_mode(OWNER_ONLY))
            .map_err(|error| io_error(path, "keep the file from other users", error))?;
        Ok(Self { file })
    }
}

impl Disk for FileDisk {
    fn length_bytes(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_length(&self, length_bytes: u64) -> io::Result<()> {
        self.file.set_len(length_bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn flush(&self) -> io::Result<()> {
        // fdatasync: includes the length, which is all the metadata that matters here.
        self.file.sync_data()
    }
}

/// Makes renames and new names in the folder of `path` survive a power cut.
pub(super) fn flush_folder_of(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| io_error(path, "flush the folder", error))
}

pub(super) fn io_error(path: &Path, doing: &'static str, error: io::Error) -> StoreError {
    StoreError::Io {
        file: path.display().to_string(),
        doing,
        source: Arc::new(error),
    }
}

/// Shows a [`Disk`] to the engine. It offers no locks: [`FileDisk`] already holds one.
#[derive(Debug)]
pub(super) struct EngineDisk(pub(super) Arc<dyn Disk>);

impl redb::StorageBackend for EngineDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.length_bytes()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_length(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.flush()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
