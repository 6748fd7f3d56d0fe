//! Private key files: one line `postern-key-1 <role> <secret in base64url>`, readable by its owner only.
//!
//! The secret is an Ed25519 seed, or with a further word `esp256` the secret number of a P-256 key.
//!
//! Refuses files that anybody else may read, keys of another role, and to overwrite any file.
//! The seed is wiped from every buffer of ours and appears in no message.

#[cfg(test)]
mod tests;

use crate::exit::CommandError;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use postern_protocol::context::Random;
use postern_protocol::key::{Algorithm, MemorySigner, PublicKey, Signer as _};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What every key file begins with.
const KEY_FILE_PREFIX: &str = "postern-key-1";
/// Bytes of a key file: prefix, role and 43 characters take less than 80.
const KEY_FILE_BYTES_MAX: usize = 128;
/// Mode bits that let group or others do anything.
const MODE_OTHERS: u32 = 0o077;
/// The word behind the secret of a P-256 key; that of an Ed25519 key has none.
const ESP256_WORD: &str = "esp256";
/// Draws of a P-256 secret: one in four billion is no valid number.
const DRAWS_MAX: u32 = 8;

/// What a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRole {
    /// Bundles. Needed rarely: keep it offline.
    Root,
    /// Bundles, after the root key is lost. Keep it offline, elsewhere.
    Recovery,
    /// A tenant's desired state.
    Writer,
    /// A mailbox's sessions.
    Mailbox,
    /// A device's reports.
    Device,
}

impl KeyRole {
    /// Returns the word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Recovery => "recovery",
            Self::Writer => "writer",
            Self::Mailbox => "mailbox",
            Self::Device => "device",
        }
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a key file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It exists and is not overwritten.
    #[error("{}: a file stands there already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It is not there.
    #[error("{}: the {role} key file is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The role that was asked for.
        role: KeyRole,
    },
    /// Others than its owner may read or change it.
    #[error("{}: others may read this private key (mode {mode:04o})", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds no key.
    #[error("{}: this is no key file: {reason}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong, without any of the content.
        reason: &'static str,
    },
    /// It holds a key for something else.
    #[error("{}: this is not a {role} key", path.display())]
    Role {
        /// The file.
        path: PathBuf,
        /// The role that was asked for.
        role: KeyRole,
    },
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl KeyFileError {
    fn next_step(&self) -> String {
        match self {
            Self::Exists { .. } => {
                "choose another folder; a key is never overwritten, move the file away if you mean to replace it".into()
            }
            Self::Missing { role, .. } => {
                format!("bring the {role} key back from your backup, or correct its path in the configuration")
            }
            Self::Open { path, .. } => format!(
                "run `chmod 600 {}`, and replace the key if somebody else may have read it",
                path.display()
            ),
            Self::Shape { .. } => "bring the file back from your backup".into(),
            Self::Role { role, .. } => {
                format!("name the file of the {role} key; the second word in a key file is its role")
            }
            Self::Io { .. } => "check that the folder exists and belongs to the user who runs this".into(),
        }
    }
}

impl From<KeyFileError> for CommandError {
    fn from(error: KeyFileError) -> Self {
        let name = match &error {
            KeyFileError::Exists { .. } => "key-file-exists",
            KeyFileError::Missing { .. } => "key-file-missing",
            KeyFileError::Open { .. } => "key-file-open",
            KeyFileError::Shape { .. } => "key-file-shape",
            KeyFileError::Role { .. } => "key-file-role",
            KeyFileError::Io { .. } => "key-file-io",
        };
        Self::configuration(name, error.to_string(), error.next_step())
    }
}

/// Draws a new Ed25519 key and stores it, mode 0600, in a file that did not exist.
///
/// # Errors
/// [`KeyFileError::Exists`], [`KeyFileError::Io`].
pub fn create(
    path: &Path,
    role: KeyRole,
    random: &mut dyn Random,
) -> Result<MemorySigner, KeyFileError> {
    create_of(path, role, Algorithm::Ed25519, random)
}

/// As [`create`], with the algorithm of the key.
///
/// # Errors
/// As [`create`].
pub fn create_of(
    path: &Path,
    role: KeyRole,
    algorithm: Algorithm,
    random: &mut dyn Random,
) -> Result<MemorySigner, KeyFileError> {
    let mut secret = Zeroizing::new([0; 32]);
    let mut signer = None;
    for _ in 0..DRAWS_MAX {
        random.fill(secret.as_mut_slice());
        signer = signer_of(algorithm, &secret);
        if signer.is_some() {
            break;
        }
    }
    let signer = signer.ok_or_else(|| {
        let reason = "the system's random numbers make no key";
        io_error(path, io::Error::other(reason))
    })?;
    let encoded = Zeroizing::new(Base64UrlUnpadded::encode_string(secret.as_slice()));
    let mut line = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX));
    for part in [KEY_FILE_PREFIX, " ", role.as_str(), " ", &encoded] {
        line.push_str(part);
    }
    match algorithm {
        Algorithm::Ed25519 => {}
        Algorithm::Esp256 => {
            line.push(' ');
            line.push_str(ESP256_WORD);
        }
    }
    line.push('\n');
    write_private(path, line.as_bytes()).map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            KeyFileError::Exists { path: path.into() }
        } else {
            io_error(path, source)
        }
    })?;
    Ok(signer)
}

fn signer_of(algorithm: Algorithm, secret: &[u8; 32]) -> Option<MemorySigner> {
    match algorithm {
        Algorithm::Ed25519 => Some(MemorySigner::from_seed(secret)),
        Algorithm::Esp256 => MemorySigner::esp256_from_secret(secret).ok(),
    }
}

/// Writes a new file, mode 0600, and makes it and its name durable.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], and whatever the file system refuses.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}

/// Reads the key of a file that only its owner may read.
///
/// # Errors
/// [`KeyFileError`]; none of its variants holds any of the content.
pub fn read(path: &Path, role: KeyRole) -> Result<MemorySigner, KeyFileError> {
    let line = read_private(path, role)?;
    let shape = |reason| KeyFileError::Shape {
        path: path.into(),
        reason,
    };
    let (found, signer) = parse(&line).map_err(shape)?;
    if found != role.as_str() {
        return Err(KeyFileError::Role {
            path: path.into(),
            role,
        });
    }
    Ok(signer)
}

/// Returns the public key of a key file's content, whatever its role; `None` when it holds none.
#[must_use]
pub fn public_key_in(content: &[u8]) -> Option<PublicKey> {
    let line = std::str::from_utf8(content).ok()?;
    let (_, signer) = parse(line).ok()?;
    Some(signer.public_key().clone())
}

/// Reads role and key of a line. # Errors: what is wrong, without any of the content.
fn parse(line: &str) -> Result<(&str, MemorySigner), &'static str> {
    let mut words = line.trim_end_matches(['\n', '\r']).split(' ');
    if words.next() != Some(KEY_FILE_PREFIX) {
        return Err("it does not begin with postern-key-1");
    }
    let role = words.next().ok_or("the role is missing")?;
    let encoded = words.next().ok_or("the seed is missing")?;
    let algorithm = match words.next() {
        None => Algorithm::Ed25519,
        Some(ESP256_WORD) => Algorithm::Esp256,
        Some(_) => return Err("something follows the seed"),
    };
    if words.next().is_some() {
        return Err("something follows the seed");
    }
    let mut secret = Zeroizing::new([0; 32]);
    match Base64UrlUnpadded::decode(encoded, secret.as_mut_slice()) {
        Ok(bytes) if bytes.len() == 32 => {
            let signer = signer_of(algorithm, &secret).ok_or("the secret is no P-256 key")?;
            Ok((role, signer))
        }
        Ok(_) | Err(_) => Err("the seed is not 43 characters of base64url"),
    }
}

/// Reads a small text file whose mode lets nobody but its owner in.
fn read_private(path: &Path, role: KeyRole) -> Result<Zeroizing<String>, KeyFileError> {
    let file = File::open(path).map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            KeyFileError::Missing {
                path: path.into(),
                role,
            }
        } else {
            io_error(path, source)
        }
    })?;
    let metadata = file.metadata().map_err(|source| io_error(path, source))?;
    let shape = |reason| KeyFileError::Shape {
        path: path.into(),
        reason,
    };
    if !metadata.is_file() {
        return Err(shape("it is not a regular file"));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & MODE_OTHERS != 0 {
        return Err(KeyFileError::Open {
            path: path.into(),
            mode,
        });
    }
    if metadata.size() > KEY_FILE_BYTES_MAX as u64 {
        return Err(shape("it is too long"));
    }
    let mut line = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX));
    file.take(KEY_FILE_BYTES_MAX as u64)
        .read_to_string(&mut line)
        .map_err(|source| {
            if source.kind() == io::ErrorKind::InvalidData {
                shape("it is not text")
            } else {
                io_error(path, source)
            }
        })?;
    Ok(line)
}

fn io_error(path: &Path, source: io::Error) -> KeyFileError {
    KeyFileError::Io {
        path: path.into(),
        source,
    }
}
