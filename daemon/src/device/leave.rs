//! The end of a membership: a file that says that this folder's device has left.
//!
//! Refuses to run again what the controller has closed.

use crate::exit::CommandError;
use std::io;
use std::path::{Path, PathBuf};

const LEFT_FILE: &str = "left";

/// Returns the file that says so.
#[must_use]
pub fn file(dir: &Path) -> PathBuf {
    dir.join(LEFT_FILE)
}

/// Remembers that the device has left.
///
/// # Errors
/// A folder that cannot be written.
pub(super) fn mark(dir: &Path) -> Result<(), CommandError> {
    match crate::keys::write_private(&file(dir), b"") {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(CommandError::configuration(
            "folder-not-writable",
            format!("{}: {error}", file(dir).display()),
            "the controller has closed this membership; run `postern device reset --yes`",
        )),
    }
}

/// Refuses to start a device that has left.
///
/// # Errors
/// It has left.
pub(super) fn check(dir: &Path) -> Result<(), CommandError> {
    if !file(dir).exists() {
        return Ok(());
    }
    Err(CommandError::configuration(
        "device-left",
        format!("the device in {} has left its controller", dir.display()),
        format!(
            "postern device reset --yes --dir {}, then join with a new join line",
            dir.display()
        ),
    ))
}
