//! Keeps the record of rejected proxy credentials in the folder of a device or controller: `proxy.lockout`.
//!
//! Written whole, flushed and renamed, readable by its owner only. A process that restarts in a loop
//! reads it before it shows a password again. Refuses to guess: a record that cannot be read stops
//! the start, a damaged one locks every secret for 15 minutes. Removing the file forgets everything.

use crate::clock;
use crate::random::OsRandom;
use postern_egress::LockoutMemory;
use postern_egress::clock::Moment;
use postern_egress::lockout::record::Uptime;
use postern_protocol::context::draw;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Name of the file in the folder.
const FILE: &str = "proxy.lockout";
/// Largest record that is read, in bytes: eight times a full one.
const RECORD_BYTES_MAX: u64 = 8_192;
/// Where Linux names its boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The record's file.
#[derive(Debug)]
pub(super) struct LockoutFile {
    file: PathBuf,
    folder: PathBuf,
    boot: Option<[u8; 16]>,
}

impl LockoutFile {
    /// Names the record of a folder.
    #[must_use]
    pub(super) fn new(folder: &Path) -> Self {
        let boot = std::fs::read_to_string(BOOT_ID).ok();
        Self {
            file: folder.join(FILE),
            folder: folder.to_owned(),
            boot: boot.as_deref().and_then(boot_id),
        }
    }

    /// Returns where the record stands.
    #[must_use]
    pub(super) fn path(&self) -> &Path {
        &self.file
    }
}

impl LockoutMemory for LockoutFile {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut record = Vec::new();
        file.take(RECORD_BYTES_MAX).read_to_end(&mut record)?;
        Ok(Some(record))
    }

    fn save(&self, record: &[u8]) -> io::Result<()> {
        let next = self.file.with_extension("lockout.next");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&next)?;
        file.write_all(record)?;
        file.sync_all()?;
        std::fs::rename(&next, &self.file)?;
        File::open(&self.folder)?.sync_all()
    }

    fn uptime(&self) -> Uptime {
        Uptime {
            boot: self.boot,
            moment: Moment::from_millis(clock::mono_ms()),
        }
    }

    fn salt(&self) -> [u8; 32] {
        draw(&mut OsRandom)
    }
}

/// Reads a UUID, with or without hyphens.
fn boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|char| *char != '-').collect();
    let is_uuid = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(&digits, 16).ok()?;
    is_uuid.then_some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_id_is_a_uuid_and_nothing_else() {
        let check = |text, expected| assert_eq!(boot_id(text), expected, "{text:?}");
        check("00000000-0000-0000-0000-0000000000ff\n", {
            let mut id = [0; 16];
            id[15] = 0xff;
            Some(id)
        });
        check("", None);
        check("00000000-0000-0000-0000-0000000000f", None);
        check("+0000000-0000-0000-0000-0000000000ff", None);
        check("zzzzzzzz-0000-0000-0000-0000000000ff", None);
    }

    #[test]
    fn record_that_was_saved_is_loaded_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let memory = LockoutFile::new(folder.path());
        assert_eq!(memory.load().unwrap(), None);
        for record in [&b"one"[..], b"two and more"] {
            memory.save(record).unwrap();
            assert_eq!(memory.load().unwrap().as_deref(), Some(record));
        }
        let mode = std::fs::metadata(memory.path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn record_that_cannot_be_read_or_written_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(FILE)).unwrap();
        let memory = LockoutFile::new(folder.path());
        assert!(memory.load().is_err());
        assert!(memory.save(b"x").is_err());
        let nowhere = LockoutFile::new(&folder.path().join("absent"));
        assert!(nowhere.save(b"x").is_err());
    }
}
