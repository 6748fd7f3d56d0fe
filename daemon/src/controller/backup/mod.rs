//! Backups of a controller: `postern controller backup FILE` and `restore FILE --dir DIR`.
//!
//! ```text
//!  records between two commits --+
//!  controller.toml, bundles,     +--> one file, mode 0600, SHA-256 --verify all--> a new folder
//!  writer and mailbox keys, TLS -+
//! ```
//!
//! Root and recovery keys are left out: they belong offline, and a backup lies where a controller
//! can reach it. Refuses to overwrite, and to restore beside or into anything that exists. What was
//! decided after the backup lies with the devices: they hand it back.

pub mod archive;
pub mod restore;
#[cfg(test)]
mod tests;

use super::relays::anchor_folder;
use super::rotate::key_files;
use crate::clock;
use crate::config::ControllerConfig;
use crate::exit::CommandError;
use crate::keys;
use crate::records::Loaded;
use archive::{Archive, ArchivedRecord};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a backup is about; the first entry of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupJson {
    /// The trust domain: thumbprint of the genesis root key.
    pub trust_domain: String,
    /// Version of the program that wrote it.
    pub program: String,
    /// Seconds since 1970 when it was written; absent without a clock.
    pub written_unix_s: Option<u64>,
    /// Records of the store.
    pub records: usize,
    /// Files that it holds, relative to the folder.
    pub files: Vec<String>,
    /// Files that the configuration names outside the folder; they are not in it.
    pub outside: Vec<PathBuf>,
}

/// Writes a backup of these records and of the files in the controller's folder into a new file.
///
/// # Errors
/// A file that exists already or cannot be written, a file of the folder that cannot be read.
pub fn write(
    config: &ControllerConfig,
    records: &[Loaded],
    file: &Path,
) -> Result<BackupJson, CommandError> {
    let (files, outside) = collect(config)?;
    let backup = BackupJson {
        trust_domain: config.root.to_string(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        written_unix_s: clock::unix_s(),
        records: records.len(),
        files: files.keys().cloned().collect(),
        outside,
    };
    let about = serde_json::to_vec(&backup).map_err(|error| {
        CommandError::failure(
            "backup-unwritable",
            format!("the backup cannot be described: {error}"),
            "use UTF-8 names for the files that controller.toml names",
        )
    })?;
    let records = records.iter().map(|record| ArchivedRecord {
        table: record.table,
        key: record.key.clone(),
        value: record.value.clone(),
    });
    let archive = Archive {
        about,
        files: files.into_iter().collect(),
        records: records.collect(),
    };
    let bytes = zeroize::Zeroizing::new(archive.encode());
    write_new(file, &bytes)?;
    Ok(backup)
}

fn write_new(file: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let written = keys::write_private(file, bytes);
    written.map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return CommandError::configuration(
                "backup-exists",
                format!("{}: a file stands there already", file.display()),
                "name another file; a backup never overwrites one",
            );
        }
        // Half a backup must not be taken for one.
        let _gone = fs::remove_file(file);
        CommandError::failure(
            "backup-unwritable",
            format!("{}: {error}", file.display()),
            "name a file in a folder that the controller may write to, with room for its store",
        )
    })
}

type Files = BTreeMap<String, Vec<u8>>;

/// Reads every file that a controller needs beside its store; tells which stand elsewhere.
fn collect(config: &ControllerConfig) -> Result<(Files, Vec<PathBuf>), CommandError> {
    let mut wanted: BTreeSet<PathBuf> = BTreeSet::new();
    wanted.insert(ControllerConfig::file(&config.dir));
    if let Some(tls) = &config.tls {
        wanted.extend([tls.cert.clone(), tls.key.clone()]);
        wanted.extend(tls.ca.clone());
    }
    wanted.extend(files_with(&anchor_folder(config), "crt")?);
    wanted.insert(config.mailbox_key.clone());
    wanted.extend(config.writers.values().cloned());
    wanted.extend(key_files(&config.dir, "mailbox")?);
    for tenant in config.writers.keys() {
        wanted.extend(key_files(&config.dir, &format!("writer-{tenant}"))?);
    }
    let bundles = files_with(&config.bundles, "cbor")?;
    if bundles.is_empty() {
        return Err(unreadable(&config.bundles, &ErrorKind::NotFound.into()));
    }
    wanted.extend(bundles);
    let (mut files, mut outside) = (Files::new(), Vec::new());
    for path in wanted {
        match name_in(&config.dir, &path) {
            Some(name) => match fs::read(&path) {
                Ok(content) => {
                    files.insert(name, content);
                }
                // A rotation may have retired a configured key, and the operator removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(&path, &error)),
            },
            None => outside.push(path),
        }
    }
    Ok((files, outside))
}

/// Lists the files of a folder with this extension; none where there is no folder.
fn files_with(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, CommandError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| unreadable(folder, &error))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    Ok(files)
}

/// Names a file relative to the folder, or tells that it stands elsewhere.
fn name_in(dir: &Path, path: &Path) -> Option<String> {
    let relative = path.strip_prefix(dir).ok()?;
    let parts = relative.components().map(|part| match part {
        std::path::Component::Normal(name) => name.to_str(),
        std::path::Component::Prefix(_)
        | std::path::Component::RootDir
        | std::path::Component::CurDir
        | std::path::Component::ParentDir => None,
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}

fn unreadable(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::failure(
        "backup-incomplete",
        format!("{}: {error}", path.display()),
        "make the file readable for the user who runs the controller; nothing was written",
    )
}
