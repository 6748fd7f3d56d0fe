//! What a diagnosis of this device's ways needs to know: from the running device, a stopped one, or a join line.
//!
//! ```text
//!  running:  loop --Ask::Diagnose--> Case --> examine beside the loop
//!  stopped:  store --> Case           join line --> Case
//! ```
//!
//! Refuses to open a store that a running device holds: that one is asked instead.

use super::homing;
use super::identity::{Stage, StoredIdentity};
use super::run::Driver;
use super::start::{not_joined, trust_of};
use crate::config::DeviceConfig;
use crate::exit::CommandError;
use crate::records;
use crate::routes::{Outlet, proxy_word};
use postern_console::doctor::{Canaries, Case, Settings, Target};
use postern_egress::Dialer;
use postern_protocol::id::Thumbprint;
use postern_protocol::join_line::JoinLine;
use postern_protocol::trust::Trust;
use postern_relay::store::{DiskStore, Profile};

/// Who looks, where no device runs.
const BY_COMMAND: &str = "this command";
/// Who looks, where one does.
const BY_DEVICE: &str = "running device";

impl Driver {
    /// Prepares a diagnosis with the dialer, and so the memory of rejected passwords, that this device uses.
    pub(super) fn diagnosis(&self, is_deep: bool) -> Case {
        let trust = self.engine.trust();
        let urls = homing::urls(trust, self.homing.joined());
        let dialer = self.routes.dialer().clone();
        Case {
            hold: self.routes.hold_facts(),
            canaries: Some(Canaries {
                mode: self.config.push,
                known: self.routes.canaries(),
            }),
            by: BY_DEVICE.to_owned(),
            ..joined(&self.config, dialer, &urls, trust, is_deep)
        }
    }
}

/// Prepares a diagnosis of a device that does not run.
///
/// # Errors
/// A store that cannot be read, a device that has not joined, a CA file or proxy that cannot be used.
pub fn of_stopped(config: &DeviceConfig, is_deep: bool) -> Result<Case, CommandError> {
    if !config.store.exists() {
        return Err(not_joined(config));
    }
    let store = DiskStore::open(&config.store, Profile::Device)?;
    let records = records::load(&store)?;
    drop(store);
    let stored = StoredIdentity::find(records::lend(&records), Stage::Confirmed)
        .map_err(|error| CommandError::from_record(&config.store, &error))?
        .ok_or_else(|| not_joined(config))?;
    let trust = trust_of(config, &stored, &records)?;
    let dialer = Outlet::from(config).dialer(stored.tls_ca.as_deref())?;
    let urls = homing::urls(&trust, &stored.urls);
    let whereabouts = Outlet::from(config).whereabouts();
    Ok(Case {
        canaries: Some(Canaries {
            mode: config.push,
            known: whereabouts.canaries(),
        }),
        ..joined(config, dialer, &urls, &trust, is_deep)
    })
}

/// Prepares a diagnosis for a device that is to join by this line; its secret is not used.
///
/// # Errors
/// A CA file or proxy that cannot be used.
pub fn of_join_line(
    config: &DeviceConfig,
    line: &JoinLine,
    is_deep: bool,
) -> Result<Case, CommandError> {
    let dialer = dialer(config, line.tls_ca.as_deref())?;
    let listed: Vec<_> = line.mailbox.into_iter().collect();
    Ok(case(config, dialer, &line.urls, &listed, is_deep))
}

/// Prepares a diagnosis of mailboxes that only their URLs are known of.
///
/// # Errors
/// A CA file or proxy that cannot be used.
pub fn of_urls(
    config: &DeviceConfig,
    urls: &[String],
    is_deep: bool,
) -> Result<Case, CommandError> {
    let dialer = dialer(config, None)?;
    Ok(case(config, dialer, urls, &[], is_deep))
}

/// Before a device has joined there may be no folder that remembers a rejected password.
fn dialer(config: &DeviceConfig, anchor: Option<&[u8]>) -> Result<Dialer, CommandError> {
    match config.dir.is_dir() {
        true => Outlet::from(config).dialer(anchor),
        false => Outlet::from(config).passing_dialer(anchor),
    }
}

fn joined(
    config: &DeviceConfig,
    dialer: Dialer,
    urls: &[String],
    trust: &Trust,
    is_deep: bool,
) -> Case {
    let mailboxes = trust.mailboxes().iter();
    let listed: Vec<_> = mailboxes.map(|one| one.key.thumbprint()).collect();
    Case {
        bundle: Some(trust.number()),
        ..case(config, dialer, urls, &listed, is_deep)
    }
}

/// What this command looks at where no device runs and no bundle is known.
fn case(
    config: &DeviceConfig,
    dialer: Dialer,
    urls: &[String],
    listed: &[Thumbprint],
    is_deep: bool,
) -> Case {
    let target = |url: &String| Target {
        url: url.clone(),
        listed: listed.to_vec(),
    };
    Case {
        dialer,
        targets: urls.iter().map(target).collect(),
        bundle: None,
        settings: Settings::of(&config.proxy, &config.extra_ca_files),
        proxy_word: proxy_word(&config.proxy),
        hold: None,
        canaries: None,
        by: BY_COMMAND.to_owned(),
        is_deep,
    }
}
