//! The next bundle: new writer, mailbox, root or recovery keys, and keys that never count again.
//!
//! ```text
//!  rotate --> new key files (0600, durable) --> bundles/N+1.cbor (renamed into place)
//!             --> a running controller is told; a stopped one finds the bundle at its next start
//! ```
//!
//! The files come in this order so that a crash leaves at worst keys that nobody names yet. The
//! root key is read here and nowhere else, may lie on another medium, and is needed for nothing
//! else. Refuses to continue a chain that does not verify, and to sign with a key that the held
//! bundle does not name as root or recovery.

use crate::config::ControllerConfig;
use crate::exit::CommandError;
use crate::keys::{self, KeyRole};
use postern_protocol::Reject;
use postern_protocol::context::Random;
use postern_protocol::id::{Tenant, Thumbprint};
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::limits::BUNDLE_LIST_MAX;
use postern_protocol::revision::{BundleNumber, Generation};
use postern_protocol::trust::{Bundle, BundleContent, Mailbox, Trust, Writership};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the next bundle changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// New writer keys for these tenants; whoever holds the old ones is fenced off.
    Writers(Vec<Tenant>),
    /// A new mailbox key in place of the one that is listed.
    Mailbox,
    /// New writer keys for every tenant and a new mailbox key: this controller takes over.
    Promote,
    /// A new root key.
    Root,
    /// A new recovery key.
    Recovery,
    /// These keys never count again.
    Revoke(BTreeSet<Thumbprint>),
    /// A relay is named, with its key and URLs; the same key again takes the new URLs.
    AddRelay {
        /// Its key and URLs.
        relay: Box<Mailbox>,
        /// True to put it before all other mailboxes, in the order in which devices try them.
        is_first: bool,
    },
    /// A relay is named no more.
    RemoveRelay(Thumbprint),
}

impl Rotation {
    /// The tenants whose writer key it changes.
    #[must_use]
    pub fn rewritten(&self, trust: &Trust) -> Vec<Tenant> {
        match self {
            Self::Writers(tenants) => tenants.clone(),
            Self::Promote => {
                let held = trust.held().map(Bundle::content);
                held.map_or_else(Vec::new, |content| {
                    content.writers.keys().cloned().collect()
                })
            }
            Self::Mailbox
            | Self::Root
            | Self::Recovery
            | Self::Revoke(_)
            | Self::AddRelay { .. }
            | Self::RemoveRelay(_) => Vec::new(),
        }
    }
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Number of the new bundle.
    pub number: BundleNumber,
    /// The bundle's file.
    pub bundle: PathBuf,
    /// Key files that were made, and what each key may sign.
    pub keys: Vec<(KeyRole, PathBuf, Thumbprint)>,
}

/// Makes the next bundle of a controller's folder. `signer` is the file of the root or recovery
/// key; absent: the root key is looked for in the folder.
///
/// # Errors
/// A root key that is missing or not of the held bundle, a tenant or key that the change would
/// lose, a file that stands in the way, a file system that refuses.
pub fn rotate(
    config: &ControllerConfig,
    trust: &Trust,
    rotation: &Rotation,
    signer: Option<&Path>,
    random: &mut dyn Random,
) -> Result<Rotated, CommandError> {
    let Some(held) = trust.held() else {
        return Err(CommandError::configuration(
            "bundle-missing",
            format!("{} holds no bundle", config.bundles.display()),
            "restore the bundles folder from a backup; it is public, any copy will do",
        ));
    };
    let Some(number) = held.number().next() else {
        return Err(refused(config, Reject::BundleGap));
    };
    let signer = find_signer(&config.dir, held, signer)?;
    let mut content = held.content().clone();
    let keys = change(&config.dir, number, &mut content, rotation, random)?;
    let sealed = content
        .seal(Some(held), trust.root(), &signer)
        .map_err(|reject| refused(config, reject))?;
    // What every device will check, before the first of them can see it.
    trust
        .offer(sealed.as_bytes())
        .map_err(|reject| refused(config, reject))?;
    let bundle = config.bundles.join(format!("{}.cbor", number.number()));
    write_whole(&bundle, sealed.as_bytes())?;
    Ok(Rotated {
        number,
        bundle,
        keys,
    })
}

/// Makes the keys that the rotation needs and puts them into the next content.
fn change(
    dir: &Path,
    number: BundleNumber,
    content: &mut BundleContent,
    rotation: &Rotation,
    random: &mut dyn Random,
) -> Result<Vec<(KeyRole, PathBuf, Thumbprint)>, CommandError> {
    let mut made = Vec::new();
    let mut make = |role: KeyRole, stem: &str| -> Result<MemorySigner, CommandError> {
        let file = dir.join(format!("{stem}-{}.key", number.number()));
        let signer = keys::create(&file, role, random)?;
        made.push((role, file, signer.public_key().thumbprint()));
        Ok(signer)
    };
    match rotation {
        Rotation::Writers(tenants) => change_writers(content, tenants, &mut make)?,
        Rotation::Mailbox => change_mailbox(dir, content, &mut make)?,
        Rotation::Promote => {
            let tenants: Vec<Tenant> = content.writers.keys().cloned().collect();
            change_writers(content, &tenants, &mut make)?;
            if own_mailbox(dir, content)?.is_some() {
                change_mailbox(dir, content, &mut make)?;
            }
        }
        Rotation::Root => {
            content.root = make(KeyRole::Root, "root")?.public_key().clone();
        }
        Rotation::Recovery => {
            content.recovery = make(KeyRole::Recovery, "recovery")?.public_key().clone();
        }
        Rotation::Revoke(thumbprints) => revoke(content, thumbprints)?,
        Rotation::AddRelay { relay, is_first } => add_relay(content, relay, *is_first)?,
        Rotation::RemoveRelay(thumbprint) => remove_relay(dir, content, thumbprint)?,
    }
    Ok(made)
}

fn change_writers(
    content: &mut BundleContent,
    tenants: &[Tenant],
    make: &mut dyn FnMut(KeyRole, &str) -> Result<MemorySigner, CommandError>,
) -> Result<(), CommandError> {
    for tenant in tenants {
        let Some(held) = content.writers.get(tenant) else {
            return Err(CommandError::configuration(
                "tenant-unknown",
                format!("the newest bundle names no tenant {tenant}"),
                "name one of the tenants that `postern controller keys` shows",
            ));
        };
        let Some(generation) = held.generation.number().checked_add(1) else {
            return Err(CommandError::failure(
                Reject::BundleGeneration.as_str(),
                format!("the writer key of {tenant} cannot change any more"),
                "make a new trust domain",
            ));
        };
        let key = make(KeyRole::Writer, &format!("writer-{tenant}"))?;
        let next = Writership {
            generation: Generation::new(generation),
            key: key.public_key().clone(),
        };
        content.writers.insert(tenant.clone(), next);
    }
    Ok(())
}

/// Replaces the key and keeps the URLs: devices that hold the old bundle are still served by the
/// old key, which the controller keeps for them. Relays keep their keys, which only they have.
fn change_mailbox(
    dir: &Path,
    content: &mut BundleContent,
    make: &mut dyn FnMut(KeyRole, &str) -> Result<MemorySigner, CommandError>,
) -> Result<(), CommandError> {
    let Some(place) = own_mailbox(dir, content)? else {
        return Err(CommandError::configuration(
            "mailbox-absent",
            "the newest bundle names no mailbox whose key lies in this folder",
            "a relay makes its next key itself: postern-relay init in a new folder, then postern controller relay add",
        ));
    };
    let key = make(KeyRole::Mailbox, "mailbox")?;
    if let Some(mailbox) = content.mailboxes.get_mut(place) {
        mailbox.key = key.public_key().clone();
    }
    Ok(())
}

/// Finds the mailbox that this controller embeds.
fn own_mailbox(dir: &Path, content: &BundleContent) -> Result<Option<usize>, CommandError> {
    let mut own = BTreeSet::new();
    for file in key_files(dir, "mailbox")? {
        let signer = keys::read(&file, KeyRole::Mailbox)?;
        own.insert(signer.public_key().thumbprint());
    }
    let mut listed = content.mailboxes.iter();
    Ok(listed.position(|mailbox| own.contains(&mailbox.key.thumbprint())))
}

fn add_relay(
    content: &mut BundleContent,
    relay: &Mailbox,
    is_first: bool,
) -> Result<(), CommandError> {
    if content.revoked.contains(&relay.key.thumbprint()) {
        return Err(CommandError::configuration(
            Reject::KeyRevoked.as_str(),
            format!("the relay's key {} is revoked", relay.key.thumbprint()),
            "make a new relay with `postern-relay init`",
        ));
    }
    let place = content
        .mailboxes
        .iter()
        .position(|held| held.key == relay.key);
    if place.is_some_and(|place| {
        content.mailboxes.get(place) == Some(relay) && (!is_first || place == 0)
    }) {
        return Err(CommandError::configuration(
            "relay-known",
            format!(
                "the newest bundle names the relay {} already",
                relay.key.thumbprint()
            ),
            "nothing is to be done",
        ));
    }
    if let Some(place) = place {
        content.mailboxes.remove(place);
    }
    let place = match place {
        _ if is_first => 0,
        Some(place) => place,
        None => content.mailboxes.len(),
    };
    content.mailboxes.insert(place, relay.clone());
    Ok(())
}

fn remove_relay(
    dir: &Path,
    content: &mut BundleContent,
    thumbprint: &Thumbprint,
) -> Result<(), CommandError> {
    let own = own_mailbox(dir, content)?;
    let mut listed = content.mailboxes.iter();
    let place = listed.position(|mailbox| mailbox.key.thumbprint() == *thumbprint);
    match place {
        Some(place) if Some(place) != own => {
            content.mailboxes.remove(place);
            Ok(())
        }
        Some(_) | None => Err(CommandError::configuration(
            "relay-unknown",
            format!("the newest bundle names no relay {thumbprint}"),
            "list them with `postern controller relay list`",
        )),
    }
}

fn revoke(
    content: &mut BundleContent,
    thumbprints: &BTreeSet<Thumbprint>,
) -> Result<(), CommandError> {
    let listed = [("root", &content.root), ("recovery", &content.recovery)]
        .into_iter()
        .chain(
            content
                .writers
                .values()
                .map(|writer| ("writer", &writer.key)),
        )
        .chain(
            content
                .mailboxes
                .iter()
                .map(|mailbox| ("mailbox", &mailbox.key)),
        );
    for (role, key) in listed {
        if thumbprints.contains(&key.thumbprint()) {
            let mut next = format!(
                "rotate it first: postern controller rotate {role}; then revoke the old key"
            );
            if role == "mailbox" {
                next.push_str("; a relay's: postern controller relay remove, then revoke it");
            }
            return Err(CommandError::configuration(
                "key-in-use",
                format!(
                    "{} is the {role} key of the newest bundle",
                    key.thumbprint()
                ),
                next,
            ));
        }
    }
    content.revoked.extend(thumbprints.iter().copied());
    if content.revoked.len() > BUNDLE_LIST_MAX {
        return Err(CommandError::configuration(
            Reject::Oversize.as_str(),
            format!(
                "{} keys would be revoked, and a bundle lists {BUNDLE_LIST_MAX} at most, for ever",
                content.revoked.len()
            ),
            "revoke fewer, those that are still out there first; then make a new trust domain \
             with `postern controller init` in another folder and move the devices there",
        ));
    }
    Ok(())
}

/// Finds the key that may sign the next bundle.
fn find_signer(
    dir: &Path,
    held: &Bundle,
    named: Option<&Path>,
) -> Result<MemorySigner, CommandError> {
    let content = held.content();
    let allowed = [content.root.thumbprint(), content.recovery.thumbprint()];
    if let Some(file) = named {
        let signer = match keys::read(file, KeyRole::Root) {
            Err(keys::KeyFileError::Role { .. }) => keys::read(file, KeyRole::Recovery)?,
            read => read?,
        };
        if allowed.contains(&signer.public_key().thumbprint()) {
            return Ok(signer);
        }
        return Err(CommandError::configuration(
            Reject::BundleRoot.as_str(),
            format!(
                "{}: bundle {} names another root and another recovery key",
                file.display(),
                held.number().number()
            ),
            format!(
                "name the file of the root key {}",
                content.root.thumbprint()
            ),
        ));
    }
    for file in key_files(dir, "root")? {
        let signer = keys::read(&file, KeyRole::Root)?;
        if signer.public_key().thumbprint() == content.root.thumbprint() {
            return Ok(signer);
        }
    }
    Err(CommandError::configuration(
        "root-key-missing",
        format!(
            "{} holds no root key {}",
            dir.display(),
            content.root.thumbprint()
        ),
        "bring it from where it is kept offline and name its file with --root-key, or --root-key RECOVERY-KEY when it is lost",
    ))
}

/// Lists the key files of a role in a folder: `<stem>.key` and `<stem>-….key`, in order of name.
///
/// # Errors
/// A folder that cannot be read.
pub fn key_files(dir: &Path, stem: &str) -> Result<Vec<PathBuf>, CommandError> {
    let unreadable = |error: io::Error| {
        CommandError::failure(
            "folder-unreadable",
            format!("{}: {error}", dir.display()),
            "name the controller's folder with --dir",
        )
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(std::ffi::OsStr::to_str);
        let rest = name.and_then(|name| name.strip_suffix(".key")?.strip_prefix(stem));
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Writes a file under another name and renames it: it is there whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let next = path.with_extension("cbor.next");
    let written = match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => keys::write_private(&next, bytes),
    };
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    written
        .and_then(|()| fs::rename(&next, path))
        .and_then(|()| fs::File::open(folder)?.sync_all())
        .map_err(|error| {
            CommandError::failure(
                "file-unwritable",
                format!("{}: {error}", path.display()),
                "make room or choose a folder that you may write to, then run the command again",
            )
        })
}

fn refused(config: &ControllerConfig, reject: Reject) -> CommandError {
    CommandError::failure(
        reject.as_str(),
        format!(
            "the next bundle of {} cannot be made: {}",
            config.bundles.display(),
            reject.sentence()
        ),
        "check the folder with `postern controller keys`; nothing that devices can see was changed",
    )
}
