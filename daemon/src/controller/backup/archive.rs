//! The bytes of a backup: a line that names the format, a SHA-256, then entries.
//!
//! ```text
//!  "postern-controller-backup 1\n" | SHA-256 of the rest (32) | entry | entry | ... | end
//!  entry = kind (1) | name length (4) | name | content length (8) | content      lengths big-endian
//! ```
//!
//! Pure: bytes in, bytes out. The digest finds damage; it is no signature, so a backup is kept like
//! a key. Refuses everything that is not exactly this, before anybody uses any of it.

use postern_protocol::id::Digest;
use postern_protocol::record::Table;

/// What a backup begins with; the number is the version of the format.
pub const MAGIC: &[u8] = b"postern-controller-backup 1\n";
/// What every version begins with.
const FAMILY: &[u8] = b"postern-controller-backup ";
/// Bytes of a name: a path within the folder, or a table and its key.
const NAME_BYTES_MAX: usize = 8_192;
/// Entries of one backup: some twenty million, far above any store. Arbitrary.
const ENTRIES_MAX: u64 = 20_000_000;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    About,
    File,
    Record,
    End,
}

impl Kind {
    const ALL: [Self; 4] = [Self::About, Self::File, Self::Record, Self::End];

    const fn number(self) -> u8 {
        match self {
            Self::About => 1,
            Self::File => 2,
            Self::Record => 3,
            Self::End => 0,
        }
    }
}

/// Why bytes are no backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// Something else.
    #[error("this is no backup of a controller")]
    NotABackup,
    /// A later format.
    #[error("this backup has a format that this program does not know")]
    Version,
    /// The digest does not fit.
    #[error("this backup is damaged: its SHA-256 does not fit its content")]
    Damaged,
    /// The digest fits, but the entries do not.
    #[error("this backup is malformed: {0}")]
    Malformed(&'static str),
}

/// One record of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedRecord {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// All that a backup holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archive {
    /// What it is about, as JSON.
    pub about: Vec<u8>,
    /// Files by their path within the controller's folder, with `/`.
    pub files: Vec<(String, Vec<u8>)>,
    /// Records of the store.
    pub records: Vec<ArchivedRecord>,
}

impl Archive {
    /// Writes a backup.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put(&mut body, Kind::About, b"", &self.about);
        for (name, content) in &self.files {
            put(&mut body, Kind::File, name.as_bytes(), content);
        }
        for record in &self.records {
            let mut name = record.table.as_str().as_bytes().to_vec();
            name.push(0);
            name.extend_from_slice(&record.key);
            put(&mut body, Kind::Record, &name, &record.value);
        }
        put(&mut body, Kind::End, b"", b"");
        let digest = Digest::of(&body);
        [MAGIC, digest.as_bytes().as_slice(), &body].concat()
    }

    /// Reads a backup.
    ///
    /// # Errors
    /// [`ArchiveError`]; nothing of a damaged backup is given away.
    pub fn decode(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(if bytes.starts_with(FAMILY) {
                ArchiveError::Version
            } else {
                ArchiveError::NotABackup
            });
        };
        let (digest, body) = rest.split_at_checked(32).ok_or(ArchiveError::Damaged)?;
        if Digest::of(body).as_bytes() != digest {
            return Err(ArchiveError::Damaged);
        }
        let mut archive = Self::default();
        let mut reader = Reader(body);
        for _ in 0..ENTRIES_MAX {
            let (kind, name, content) = reader.entry()?;
            match kind {
                Kind::About => archive.about = content.to_vec(),
                Kind::File => archive.files.push((read_path(name)?, content.to_vec())),
                Kind::Record => archive.records.push(read_record(name, content)?),
                Kind::End if reader.0.is_empty() => return Ok(archive),
                Kind::End => return Err(ArchiveError::Malformed("something follows its end")),
            }
        }
        Err(ArchiveError::Malformed("it has too many entries"))
    }
}

fn put(body: &mut Vec<u8>, kind: Kind, name: &[u8], content: &[u8]) {
    let name_bytes = u32::try_from(name.len()).unwrap_or(u32::MAX);
    body.push(kind.number());
    body.extend_from_slice(&name_bytes.to_be_bytes());
    body.extend_from_slice(name);
    body.extend_from_slice(&(content.len() as u64).to_be_bytes());
    body.extend_from_slice(content);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], ArchiveError> {
        let (taken, rest) = self
            .0
            .split_at_checked(bytes)
            .ok_or(ArchiveError::Malformed("an entry is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<usize, ArchiveError> {
        let bytes = self.take(N)?;
        let number = bytes
            .iter()
            .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        usize::try_from(number).map_err(|_| ArchiveError::Malformed("a length is too large"))
    }

    fn entry(&mut self) -> Result<(Kind, &'a [u8], &'a [u8]), ArchiveError> {
        let number = self.number::<1>()?;
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| usize::from(kind.number()) == number)
            .ok_or(ArchiveError::Malformed("an entry has an unknown kind"))?;
        let name_bytes = self.number::<4>()?;
        if name_bytes > NAME_BYTES_MAX {
            return Err(ArchiveError::Malformed("a name is too long"));
        }
        let name = self.take(name_bytes)?;
        let content_bytes = self.number::<8>()?;
        Ok((kind, name, self.take(content_bytes)?))
    }
}

/// Reads the path of a file: one that cannot leave the folder.
fn read_path(name: &[u8]) -> Result<String, ArchiveError> {
    let refused = ArchiveError::Malformed("a file would stand outside the folder");
    let path = std::str::from_utf8(name).map_err(|_| refused)?;
    let is_inside = !path.contains(['\\', '\0'])
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..");
    if is_inside {
        Ok(path.to_owned())
    } else {
        Err(refused)
    }
}

fn read_record(name: &[u8], value: &[u8]) -> Result<ArchivedRecord, ArchiveError> {
    let refused = ArchiveError::Malformed("a record belongs to no table");
    let end = name.iter().position(|byte| *byte == 0).ok_or(refused)?;
    let (table, key) = name.split_at_checked(end).ok_or(refused)?;
    let table = Table::ALL
        .into_iter()
        .find(|known| known.as_str().as_bytes() == table)
        .ok_or(refused)?;
    Ok(ArchivedRecord {
        table,
        key: key.get(1..).unwrap_or_default().to_vec(),
        value: value.to_vec(),
    })
}
