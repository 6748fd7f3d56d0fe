//! The secret of the QUIC door: one line `postern-quic-1 <64 hexadecimal digits>`, mode 0600.
//!
//! It names no one and signs nothing; who has it can end QUIC connections of this server and open its
//! TLS tickets, no more. Refuses a file that others may read, and to overwrite one.

use crate::exit::CommandError;
use crate::keys;
use postern_protocol::context::Random;
use postern_relay::server::ListenerSecret;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// What the file begins with.
const PREFIX: &str = "postern-quic-1 ";
/// Bytes of the secret.
const SECRET_BYTES: usize = 32;
/// Bytes of the file at most: prefix, digits and a line end.
const FILE_BYTES_MAX: u64 = 128;

/// Reads the secret; where there is no file, makes one.
///
/// # Errors
/// A file that cannot be read or made, that others may read, or that holds no secret.
pub fn read_or_make(path: &Path, random: &mut dyn Random) -> Result<ListenerSecret, CommandError> {
    match read(path)? {
        Some(secret) => Ok(secret),
        None => make(path, random),
    }
}

/// Reads the secret; `None` where there is no file.
///
/// # Errors
/// As [`read_or_make`].
pub fn read(path: &Path) -> Result<Option<ListenerSecret>, CommandError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, &error)),
    };
    let mode = file
        .metadata()
        .map_err(|error| failed(path, &error))?
        .mode();
    if mode & 0o077 != 0 {
        let what = format!("others may read this secret (mode {:04o})", mode & 0o7777);
        let next = format!("run `chmod 600 {}`", path.display());
        return Err(refused(path, &what, next));
    }
    let mut text = Zeroizing::new(String::with_capacity(128));
    let mut bounded = file.take(FILE_BYTES_MAX);
    bounded
        .read_to_string(&mut text)
        .map_err(|error| failed(path, &error))?;
    let secret = text
        .strip_prefix(PREFIX)
        .and_then(|digits| from_hex(digits.trim_end()));
    let secret = secret.ok_or_else(|| {
        let next = "bring it back from a backup, or delete it: the next start makes a new one";
        refused(path, "this is no QUIC secret", next.into())
    })?;
    Ok(Some(secret))
}

fn make(path: &Path, random: &mut dyn Random) -> Result<ListenerSecret, CommandError> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    random.fill(bytes.as_mut_slice());
    let mut line = Zeroizing::new(String::with_capacity(128));
    line.push_str(PREFIX);
    for byte in bytes.iter() {
        let _ = write!(line, "{byte:02x}");
    }
    line.push('\n');
    keys::write_private(path, line.as_bytes()).map_err(|error| failed(path, &error))?;
    ListenerSecret::from_slice(bytes.as_slice())
        .map_err(|error| refused(path, &error.to_string(), String::new()))
}

fn from_hex(digits: &str) -> Option<ListenerSecret> {
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits.len() != 2 * SECRET_BYTES || !is_hex {
        return None;
    }
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    ListenerSecret::from_slice(bytes.as_slice()).ok()
}

fn refused(path: &Path, what: &str, next: String) -> CommandError {
    CommandError::configuration("quic-key", format!("{}: {what}", path.display()), next)
}

fn failed(path: &Path, error: &io::Error) -> CommandError {
    CommandError::configuration(
        "quic-key",
        format!("{}: {error}", path.display()),
        "check that the folder exists and belongs to the user who runs this, or correct the name of the file",
    )
}
