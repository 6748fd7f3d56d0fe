//! From a backup to a new controller's folder.
//!
//! Everything is verified first: the digest, the configuration, the chain of bundles, the keys that
//! the newest bundle names, and every record by the engine itself. Only then the first byte is
//! written, `controller.toml` last. Refuses a folder that exists.

use super::BackupJson;
use super::archive::{Archive, ArchivedRecord};
use crate::config::ControllerConfig;
use crate::exit::CommandError;
use crate::folder::create_private;
use crate::keys;
use crate::records;
use postern_egress::Variables;
use postern_protocol::controller::Controller;
use postern_protocol::record::Write;
use postern_protocol::trust::Trust;
use postern_relay::store::{DiskStore, Profile, Store as _};
use std::fs;
use std::path::{Path, PathBuf};

/// Name of the configuration within a backup.
const CONFIGURATION: &str = "controller.toml";
/// Name of the store in a controller's folder.
const STORE: &str = "controller.redb";
/// Records in one commit while a store is filled. Arbitrary.
const COMMIT_RECORDS: usize = 1_024;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the backup says of itself.
    pub backup: BackupJson,
    /// Devices that the store knows.
    pub devices: usize,
    /// Files that the configuration names outside the folder and that are not there.
    pub missing: Vec<PathBuf>,
}

/// Restores a backup into a folder that does not exist yet.
///
/// # Errors
/// A folder that exists, a file that is no backup or damaged, content that does not fit together;
/// nothing is written then.
pub fn restore(file: &Path, dir: &Path) -> Result<Restored, CommandError> {
    if fs::symlink_metadata(dir).is_ok() {
        return Err(CommandError::configuration(
            "restore-exists",
            format!("{}: something stands there already", dir.display()),
            "name a folder that does not exist with --dir; nothing was changed",
        ));
    }
    let bytes = fs::read(file).map_err(|error| {
        CommandError::configuration(
            "backup-unreadable",
            format!("{}: {error}", file.display()),
            "name a file that `postern controller backup` wrote",
        )
    })?;
    let bytes = zeroize::Zeroizing::new(bytes);
    let archive = Archive::decode(&bytes).map_err(|error| refused(file, &error.to_string()))?;
    let verified = verify(file, dir, &archive)?;
    write(dir, &archive).inspect_err(|_| {
        // Only this call made the folder: what is half a controller goes again.
        let _gone = fs::remove_dir_all(dir);
    })?;
    Ok(verified)
}

/// Reads all of it as a start of the controller would.
fn verify(file: &Path, dir: &Path, archive: &Archive) -> Result<Restored, CommandError> {
    let backup: BackupJson = serde_json::from_slice(&archive.about).map_err(|error| {
        refused(
            file,
            &format!("what it says of itself is not understood: {error}"),
        )
    })?;
    let find = |name: &str| {
        let found = archive.files.iter().find(|(found, _)| found == name);
        found.map(|(_, content)| content.as_slice())
    };
    let text = find(CONFIGURATION).and_then(|content| std::str::from_utf8(content).ok());
    let text = text.ok_or_else(|| refused(file, "it holds no controller.toml"))?;
    let config =
        ControllerConfig::parse(dir, Path::new(CONFIGURATION), text, &Variables::default())?;
    let trust = verify_bundles(file, &config, &find)?;
    if backup.outside.is_empty() {
        verify_keys(file, archive, &trust)?;
    }
    let lent = archive
        .records
        .iter()
        .map(|record| (record.table, record.key.as_slice(), record.value.as_slice()));
    let engine = Controller::restore(trust, lent)
        .map_err(|error| refused(file, &format!("a record is not understood: {error}")))?;
    if backup.records != archive.records.len() || backup.trust_domain != config.root.to_string() {
        return Err(refused(file, "its parts are of different backups"));
    }
    let missing = backup.outside.iter().filter(|path| !path.exists());
    Ok(Restored {
        devices: engine.members().count(),
        missing: missing.cloned().collect(),
        backup,
    })
}

fn bundles_of<'a>(find: &impl Fn(&str) -> Option<&'a [u8]>) -> Vec<Vec<u8>> {
    let numbers = 1_u64..;
    let chain = numbers.map_while(|number| find(&format!("bundles/{number}.cbor")));
    chain.map(<[u8]>::to_vec).collect()
}

fn verify_bundles<'a>(
    file: &Path,
    config: &ControllerConfig,
    find: &impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Trust, CommandError> {
    let chain = bundles_of(find);
    let chain = chain.iter().map(Vec::as_slice);
    Trust::from_chain(config.root, config.recovery, chain).map_err(|reject| {
        let reason = format!("its bundles do not verify: {}", reject.sentence());
        refused(file, &reason)
    })
}

/// Every tenant's writer key and one mailbox key of the newest bundle must be there.
fn verify_keys(file: &Path, archive: &Archive, trust: &Trust) -> Result<(), CommandError> {
    let keys: Vec<_> = archive
        .files
        .iter()
        .filter(|(name, _)| name.ends_with(".key") && !name.contains('/'))
        .filter_map(|(_, content)| keys::public_key_in(content))
        .collect();
    let holds = |named: &postern_protocol::key::PublicKey| keys.iter().any(|key| key == named);
    let held = trust.held().map(|bundle| bundle.content());
    let is_complete = held.is_some_and(|content| {
        content.writers.values().all(|writer| holds(&writer.key))
            && content.mailboxes.iter().any(|mailbox| holds(&mailbox.key))
    });
    if is_complete {
        Ok(())
    } else {
        Err(refused(
            file,
            "it lacks a writer or mailbox key that its newest bundle names",
        ))
    }
}

fn write(dir: &Path, archive: &Archive) -> Result<(), CommandError> {
    let failed = |path: &Path, error: &std::io::Error| {
        CommandError::failure(
            "restore-unwritable",
            format!("{}: {error}", path.display()),
            "name a folder that you may make with --dir; nothing was left behind",
        )
    };
    create_private(dir).map_err(|error| failed(dir, &error))?;
    let (last, files): (Vec<_>, Vec<_>) = archive
        .files
        .iter()
        .partition(|(name, _)| name == CONFIGURATION);
    let put = |(name, content): &(String, Vec<u8>)| {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            create_private(parent).map_err(|error| failed(parent, &error))?;
        }
        keys::write_private(&path, content).map_err(|error| failed(&path, &error))
    };
    files.into_iter().try_for_each(put)?;
    fill_store(&dir.join(STORE), &archive.records)?;
    // The configuration comes last: a folder without it is not taken for a controller.
    last.into_iter().try_for_each(put)
}

fn fill_store(path: &Path, archived: &[ArchivedRecord]) -> Result<(), CommandError> {
    let store = DiskStore::open(path, Profile::Server)?;
    for part in archived.chunks(COMMIT_RECORDS) {
        let writes = part.iter().map(|record| Write {
            table: record.table,
            key: record.key.clone(),
            value: Some(record.value.clone()),
        });
        let _durable = records::commit(&store, writes.collect())?;
    }
    // The devices may know more than the backup: they are heard before a writer key changes.
    let _durable = records::commit(&store, vec![Controller::mark_restored()])?;
    store.close()?;
    Ok(())
}

fn refused(file: &Path, reason: &str) -> CommandError {
    CommandError::configuration(
        "backup-refused",
        format!("{}: {reason}", file.display()),
        "use another backup; nothing was written",
    )
}
