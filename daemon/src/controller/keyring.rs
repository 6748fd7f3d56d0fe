//! The keys of a controller's folder: which of them the newest bundle names, and which it named before.
//!
//! Files are found by role and chosen by thumbprint, so that a rotation adds a file and changes no
//! configuration. Writer keys of earlier bundles are never used again; mailbox keys of earlier
//! bundles still serve devices that hold such a bundle, unless they are revoked. Refuses to start
//! without a key that the newest bundle names.

use super::rotate::key_files;
use crate::config::ControllerConfig;
use crate::exit::CommandError;
use crate::keys::{self, KeyRole};
use postern_protocol::context::Keyring;
use postern_protocol::id::{Tenant, Thumbprint};
use postern_protocol::key::{MemorySigner, PublicKey, Signer};
use postern_protocol::limits::MAILBOX_KEYS_MAX;
use postern_protocol::revision::BundleNumber;
use postern_protocol::trust::Trust;
use postern_relay::exchange::{MailboxKey, MailboxKeys};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The writer keys of a controller, by tenant.
#[derive(Debug)]
pub struct Writers(BTreeMap<Tenant, MemorySigner>);

impl Keyring for Writers {
    fn writer(&self, tenant: &Tenant) -> Option<&dyn Signer> {
        self.0.get(tenant).map(|signer| -> &dyn Signer { signer })
    }
}

impl Writers {
    /// Reads the writer key that the newest bundle names for each tenant of the configuration.
    ///
    /// # Errors
    /// A key file that is refused; a tenant whose key is in no file.
    pub fn read(config: &ControllerConfig, trust: &Trust) -> Result<Self, CommandError> {
        let mut writers = BTreeMap::new();
        for (tenant, file) in &config.writers {
            let Some((_, named)) = trust.writer(tenant) else {
                return Err(not_named(file, tenant.as_str(), trust));
            };
            let stem = format!("writer-{tenant}");
            let signer = find(&config.dir, file, &stem, KeyRole::Writer, named)?
                .ok_or_else(|| not_named(file, tenant.as_str(), trust))?;
            writers.insert(tenant.clone(), signer);
        }
        Ok(Self(writers))
    }
}

/// Reads the keys of the embedded mailbox, the one that the newest bundle names first.
///
/// # Errors
/// A key file that is refused; no file with a key that the newest bundle names.
pub fn read_mailboxes(
    config: &ControllerConfig,
    trust: &Trust,
) -> Result<Vec<MemorySigner>, CommandError> {
    let mut signers = Vec::new();
    for file in files(&config.dir, &config.mailbox_key, "mailbox")? {
        let signer = keys::read(&file, KeyRole::Mailbox)?;
        if !trust.is_revoked(&signer.public_key().thumbprint()) {
            signers.push(signer);
        }
    }
    let is_listed = |signer: &MemorySigner| {
        let own = signer.public_key();
        trust.mailboxes().iter().any(|mailbox| mailbox.key == *own)
    };
    signers.sort_by_key(|signer| !is_listed(signer));
    // Nobody greets the mailbox of a controller that does not listen: any key of its own will do.
    let is_enough = signers.first().is_some_and(is_listed) || config.listen.is_none();
    if is_enough && !signers.is_empty() {
        Ok(signers)
    } else {
        Err(not_named(&config.mailbox_key, "a mailbox", trust))
    }
}

/// Reads the keys of the embedded mailbox and tells for each which bundles of the chain list it.
///
/// # Errors
/// As [`read_mailboxes`]; a chain that does not verify.
pub fn mailbox_keys(
    config: &ControllerConfig,
    trust: &Trust,
    bundles: &[Vec<u8>],
) -> Result<MailboxKeys, CommandError> {
    let listed = listings(trust, bundles)?;
    let mut keys = Vec::new();
    for signer in read_mailboxes(config, trust)? {
        let unlisted = (BundleNumber::new(1), trust.number());
        let place = listed.get(&signer.public_key().thumbprint());
        let Some((first, last)) = place.or(config.listen.is_none().then_some(&unlisted)) else {
            // Made by a rotation that did not come to its bundle.
            continue;
        };
        keys.push(MailboxKey {
            first: *first,
            last: (*last < trust.number()).then_some(*last),
            signer: Arc::new(signer),
        });
    }
    // The newest key first, then those that were listed last.
    keys.sort_by_key(|key| Reverse(key.last.unwrap_or(BundleNumber::new(u64::MAX))));
    keys.truncate(MAILBOX_KEYS_MAX);
    let mut keys = keys.into_iter();
    let Some(newest) = keys.next() else {
        return Err(not_named(&config.mailbox_key, "a mailbox", trust));
    };
    let Ok(keys) = MailboxKeys::new(newest, keys.collect()) else {
        unreachable!("there are at most as many as are kept");
    };
    Ok(keys)
}

/// Tells the first and the last bundle that list each mailbox key.
fn listings(
    trust: &Trust,
    bundles: &[Vec<u8>],
) -> Result<BTreeMap<Thumbprint, (BundleNumber, BundleNumber)>, CommandError> {
    let mut listed = BTreeMap::new();
    let mut held = Trust::new(trust.root(), trust.recovery());
    for bundle in bundles {
        held = held.offer(bundle).map_err(|reject| {
            CommandError::configuration(
                reject.as_str(),
                format!("a bundle does not verify: {}", reject.sentence()),
                "restore the bundles folder from a backup; it is public, any copy will do",
            )
        })?;
        for mailbox in held.mailboxes() {
            let number = held.number();
            listed
                .entry(mailbox.key.thumbprint())
                .and_modify(|(_, last)| *last = number)
                .or_insert((number, number));
        }
    }
    Ok(listed)
}

/// Finds the file whose key is `named`.
fn find(
    dir: &Path,
    configured: &Path,
    stem: &str,
    role: KeyRole,
    named: &PublicKey,
) -> Result<Option<MemorySigner>, CommandError> {
    for file in files(dir, configured, stem)? {
        let signer = keys::read(&file, role)?;
        if signer.public_key() == named {
            return Ok(Some(signer));
        }
    }
    Ok(None)
}

/// Lists the configured file first, then those that rotations made.
fn files(dir: &Path, configured: &Path, stem: &str) -> Result<Vec<PathBuf>, CommandError> {
    let mut files = key_files(dir, stem)?;
    files.retain(|file| file != configured);
    // A rotation may have retired the configured file, and the operator removed it.
    if configured.exists() || files.is_empty() {
        files.insert(0, configured.into());
    }
    Ok(files)
}

fn not_named(file: &Path, who: &str, trust: &Trust) -> CommandError {
    let number = trust.number().number();
    CommandError::configuration(
        "key-not-in-bundle",
        format!(
            "neither {} nor another key file beside it holds the key that bundle {number} names for {who}",
            file.display()
        ),
        "put back the key file that belongs to this bundle, or add the bundle that names this key",
    )
}

/// Tells for `postern controller keys` whether a thumbprint's private key lies in the folder.
///
/// # Errors
/// A folder or key file that cannot be read.
pub fn file_of(
    dir: &Path,
    stem: &str,
    role: KeyRole,
    thumbprint: Thumbprint,
) -> Result<Option<PathBuf>, CommandError> {
    for file in key_files(dir, stem)? {
        if keys::read(&file, role)?.public_key().thumbprint() == thumbprint {
            return Ok(Some(file));
        }
    }
    Ok(None)
}
