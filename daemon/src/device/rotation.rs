//! The device's next key: a file beside the present one until the controller countersigned it.
//!
//! ```text
//!  device.key.next --request in reports--> confirmed, durable --> renamed to device.key
//! ```
//!
//! A process that ends between the confirmation and the renaming finds out at its next start.
//! Refuses to overwrite a key that still counts.

use super::local::Problem;
use super::run::Driver;
use crate::config::DeviceConfig;
use crate::exit::CommandError;
use crate::keys::{self, KeyRole};
use crate::random::OsRandom;
use postern_protocol::context::draw;
use postern_protocol::device::Input;
use postern_protocol::enrol::seal_rotation_request;
use postern_protocol::id::Thumbprint;
use postern_protocol::key::{MemorySigner, Signer as _};
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

/// Returns the file of the next key.
#[must_use]
pub fn next_file(config: &DeviceConfig) -> PathBuf {
    config.key.with_extension("key.next")
}

/// Reads the key that counts: the enrolled one, or the one that the controller confirmed.
///
/// # Errors
/// A key file that cannot be used; neither file holds the confirmed key.
pub(super) fn read_key(
    config: &DeviceConfig,
    confirmed: Option<&Thumbprint>,
) -> Result<MemorySigner, CommandError> {
    let next = next_file(config);
    let is_wanted = |signer: &MemorySigner| {
        confirmed.is_none_or(|key| signer.public_key().thumbprint() == *key)
    };
    if confirmed.is_some() && next.exists() {
        let signer = keys::read(&next, KeyRole::Device)?;
        if is_wanted(&signer) {
            replace(config)?;
            return Ok(signer);
        }
    }
    let signer = keys::read(&config.key, KeyRole::Device)?;
    if is_wanted(&signer) {
        return Ok(signer);
    }
    Err(CommandError::configuration(
        "key-not-confirmed",
        format!(
            "{}: this is not the key that the controller confirmed",
            config.key.display()
        ),
        "bring the newest key file back, or reset the device and join with a new join line",
    ))
}

/// Puts the next key into the place of the present one, durably.
fn replace(config: &DeviceConfig) -> Result<(), CommandError> {
    let folder = config.key.parent().unwrap_or(&config.dir);
    fs::rename(next_file(config), &config.key)
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(|error| {
            CommandError::configuration(
                "key-file-io",
                format!("{}: {error}", config.key.display()),
                "make the folder writable and start again; the next key stands beside it",
            )
        })
}

impl Driver {
    /// Asks the controller to count the next key.
    pub(super) fn rotate_key(&mut self) -> Result<Result<(), Problem>, CommandError> {
        if self.engine.rotation().is_some() {
            let detail = "a new key waits for the controller's word already";
            return Ok(Err(Problem::Busy(detail)));
        }
        let next = keys::read(&next_file(&self.config), KeyRole::Device)?;
        let identity = self.engine.identity();
        let sealed = seal_rotation_request(
            &identity.channel,
            identity.incarnation,
            &self.signer.public_key().thumbprint(),
            draw(&mut OsRandom),
            &next,
        );
        let request = match sealed {
            Ok(sealed) => sealed.into_bytes(),
            Err(reject) => return Ok(Err(Problem::Refused(reject))),
        };
        self.feed(Input::RotateKey { request })?;
        Ok(Ok(()))
    }

    /// Signs with the confirmed key from now on.
    pub(super) fn take_key(&mut self, confirmed: &Thumbprint) -> Result<(), CommandError> {
        self.signer = Arc::new(read_key(&self.config, Some(confirmed))?);
        let key = confirmed.to_string();
        tracing::info!(key, "the controller confirmed the new key");
        Ok(())
    }
}
