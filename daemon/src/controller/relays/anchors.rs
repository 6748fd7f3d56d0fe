//! What the controller notes of relays, in files named by the thumbprint of the relay's key: the TLS anchor, PEM,
//! and whether it stands behind another relay.
//!
//! A relay with a certificate of a public issuer needs none. Refuses to keep what is no certificate.

use crate::config::ControllerConfig;
use crate::exit::CommandError;
use crate::folder::create_private;
use crate::keys;
use postern_protocol::id::Thumbprint;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Returns the folder of the anchors.
#[must_use]
pub fn anchor_folder(config: &ControllerConfig) -> PathBuf {
    config.dir.join("relays")
}

fn file_of(config: &ControllerConfig, relay: Thumbprint) -> PathBuf {
    anchor_folder(config).join(format!("{relay}.crt"))
}

fn mark_of(config: &ControllerConfig, relay: Thumbprint) -> PathBuf {
    anchor_folder(config).join(format!("{relay}.behind"))
}

/// Notes whether a relay stands behind another one, so that this controller does not dial it.
///
/// # Errors
/// A folder that cannot be written.
pub fn write_behind(
    config: &ControllerConfig,
    relay: Thumbprint,
    is_behind: bool,
) -> Result<(), CommandError> {
    let file = mark_of(config, relay);
    let removed = match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    };
    let written = match is_behind {
        false => removed,
        true => removed
            .and_then(|()| create_private(&anchor_folder(config)))
            .and_then(|()| {
                keys::write_private(&file, b"another relay dials this controller's way\n")
            }),
    };
    written.map_err(|error| unwritable(&file, &error))
}

/// Tells whether a relay stands behind another one.
#[must_use]
pub fn is_behind(config: &ControllerConfig, relay: Thumbprint) -> bool {
    mark_of(config, relay).exists()
}

fn unwritable(file: &Path, error: &std::io::Error) -> CommandError {
    CommandError::failure(
        "file-unwritable",
        format!("{}: {error}", file.display()),
        "choose a folder that you may write to",
    )
}

/// Keeps the certificate that vouches for a relay's TLS, DER, in place of one kept before.
///
/// # Errors
/// A folder that cannot be written.
pub fn write_anchor(
    config: &ControllerConfig,
    relay: Thumbprint,
    der: &[u8],
) -> Result<(), CommandError> {
    let file = file_of(config, relay);
    let next = file.with_extension("next");
    let written = create_private(&anchor_folder(config))
        .and_then(|()| match fs::remove_file(&next) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        })
        .and_then(|()| keys::write_private(&next, crate::pem::certificate(der).as_bytes()))
        .and_then(|()| fs::rename(&next, &file));
    written.map_err(|error| unwritable(&file, &error))
}

/// Reads the certificate that vouches for a relay's TLS, DER; `None` where none is kept.
///
/// # Errors
/// A file that cannot be read or holds no certificate.
pub fn read_anchor(
    config: &ControllerConfig,
    relay: Thumbprint,
) -> Result<Option<Vec<u8>>, CommandError> {
    let file = file_of(config, relay);
    if !file.exists() {
        return Ok(None);
    }
    let read = CertificateDer::from_pem_file(&file).map_err(|error| {
        CommandError::configuration(
            "relay-anchor-unreadable",
            format!("{} holds no PEM certificate: {error}", file.display()),
            "add the relay again with `postern controller relay add`, or remove the file when the system trusts its issuer",
        )
    })?;
    Ok(Some(read.to_vec()))
}
