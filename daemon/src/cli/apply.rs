//! Reads many values from a folder or a JSON file.
//!
//! Nothing is guessed and nothing skipped: a name that is no path, a value that is no scalar, a
//! name that stands twice or a file that is not regular refuses the whole. Bounded by the largest state.

use crate::exit::CommandError;
use crate::operator::Entries;
use postern_protocol::limits::{STATE_BYTES_MAX, VALUE_BYTES_MAX};
use postern_protocol::state::{Path, Value};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path as FilePath;

/// Values by path.
pub(super) type Named = BTreeMap<Path, Value>;

/// Bytes of a JSON file: the largest state with room for JSON's longer forms.
const JSON_BYTES_MAX: usize = 4 * STATE_BYTES_MAX;

/// Reads a folder or a JSON file.
///
/// # Errors
/// The first file or key that is refused, with its reason.
pub(super) fn read(from: &FilePath) -> Result<Named, CommandError> {
    let metadata = fs::metadata(from).map_err(|error| unreadable(from, &error))?;
    if metadata.is_dir() {
        let mut folder = Folder {
            named: Named::new(),
            bytes: 0,
        };
        folder.read(from, "")?;
        Ok(folder.named)
    } else {
        read_json(from)
    }
}

/// Reads the content of a file as one value: text if it is UTF-8, else bytes.
///
/// # Errors
/// A file that cannot be read or is above 32 KiB.
pub(super) fn value_of_file(file: &FilePath) -> Result<Value, CommandError> {
    let bytes = read_bounded(file, VALUE_BYTES_MAX)?;
    Ok(String::from_utf8(bytes).map_or_else(|error| Value::Bytes(error.into_bytes()), Value::Text))
}

struct Folder {
    named: Named,
    bytes: usize,
}

impl Folder {
    fn read(&mut self, folder: &FilePath, prefix: &str) -> Result<(), CommandError> {
        let mut entries = fs::read_dir(folder)
            .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
            .map_err(|error| unreadable(folder, &error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let file = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(refused(&file, "its name is not UTF-8"));
            };
            let relative = format!("{prefix}{name}");
            let path =
                Path::parse(&relative).map_err(|reject| refused(&file, reject.sentence()))?;
            let metadata = fs::metadata(&file).map_err(|error| unreadable(&file, &error))?;
            if metadata.is_dir() {
                self.read(&file, &format!("{relative}/"))?;
            } else if metadata.is_file() {
                let read = value_of_file(&file)?;
                self.bytes +=
                    relative.len() + usize::try_from(metadata.len()).unwrap_or(usize::MAX);
                if self.bytes > STATE_BYTES_MAX {
                    return Err(refused(folder, "the folder holds more than 1 MiB"));
                }
                self.named.insert(path, read);
            } else {
                return Err(refused(&file, "it is neither a file nor a folder"));
            }
        }
        Ok(())
    }
}

fn read_json(file: &FilePath) -> Result<Named, CommandError> {
    let bytes = read_bounded(file, JSON_BYTES_MAX)?;
    let entries: Entries = serde_json::from_slice(&bytes).map_err(|error| {
        CommandError::configuration(
            "json-refused",
            format!("{}:{}: {error}", file.display(), error.line()),
            "write one JSON object from path to scalar, such as {\"fan/speed\": 3}",
        )
    })?;
    entries.named().map_err(|reason| refused(file, &reason))
}

fn read_bounded(file: &FilePath, bytes_max: usize) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let bound = u64::try_from(bytes_max)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    File::open(file)
        .and_then(|opened| opened.take(bound).read_to_end(&mut bytes))
        .map_err(|error| unreadable(file, &error))?;
    if bytes.len() > bytes_max {
        return Err(refused(
            file,
            &format!("it is larger than {bytes_max} bytes"),
        ));
    }
    Ok(bytes)
}

fn unreadable(file: &FilePath, error: &std::io::Error) -> CommandError {
    CommandError::configuration(
        "input-unreadable",
        format!("{}: {error}", file.display()),
        "name a folder or file that you may read",
    )
}

fn refused(file: &FilePath, reason: &str) -> CommandError {
    CommandError::configuration(
        "input-refused",
        format!("{}: {reason}", file.display()),
        "correct it and apply again; nothing was changed",
    )
}
