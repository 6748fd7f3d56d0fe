//! Writes a file for a removable medium: complete and private under its name, or not there.
//!
//! Refuses to write over what exists, unless that was asked for.

use crate::exit::CommandError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Writes frames one after the other, mode 0600, and makes file and name durable.
///
/// # Errors
/// A name that is taken while `is_forced` is false; whatever the file system refuses.
pub fn write(path: &Path, frames: &[Vec<u8>], is_forced: bool) -> Result<(), CommandError> {
    if !is_forced && fs::symlink_metadata(path).is_ok() {
        return Err(CommandError::configuration(
            "file-exists",
            format!("{}: there is such a file already", path.display()),
            "name another with --out, or write over it with --force",
        ));
    }
    let part = part_of(path);
    let written = write_part(&part, frames).and_then(|()| fs::rename(&part, path));
    let written = written.and_then(|()| sync_folder(path));
    written.map_err(|error| {
        // Nothing half-written stays behind; the reason is what counts.
        let _absent = fs::remove_file(&part);
        CommandError::configuration(
            "file-not-written",
            format!("{}: cannot be written: {error}", path.display()),
            "name a file on a medium that has room and that you may write to",
        )
    })
}

fn part_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

fn write_part(part: &Path, frames: &[Vec<u8>]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part)?;
    for frame in frames {
        file.write_all(frame)?;
    }
    file.sync_all()
}

/// Makes the new name durable, where the file system of the medium knows that.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    match File::open(folder.unwrap_or(Path::new(".")))?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}
