//! Folders that belong to Postern: private to their owner from the first moment.
//!
//! Refuses to change the mode of a folder that exists: that one is its owner's.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes a folder and its parents, mode 0700; one that exists keeps its mode.
///
/// # Errors
/// Whatever the file system refuses.
pub fn create_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
