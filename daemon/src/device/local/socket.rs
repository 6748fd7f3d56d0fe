//! Opens the local socket with its mode and group, before anybody can connect.
//!
//! Refuses to take the socket of a device that runs, and to replace anything that is no socket.

use super::limits::SOCKET_PATH_BYTES_MAX;
use crate::config::LocalApi;
use crate::exit::CommandError;
use rustix::fs::Mode;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// Opens the socket of a device.
///
/// # Errors
/// A path that is too long, taken, or not writable; a group that this user may not give.
pub fn bind(api: &LocalApi) -> Result<UnixListener, CommandError> {
    let path = &api.socket;
    let next = with_suffix(path, ".next");
    if next.as_os_str().as_bytes().len() > SOCKET_PATH_BYTES_MAX {
        return Err(CommandError::configuration(
            "local-socket-path",
            format!(
                "{}: a socket's path has at most {} bytes",
                path.display(),
                SOCKET_PATH_BYTES_MAX - ".next".len()
            ),
            "set local_api.path in device.toml to a shorter one, such as /run/postern/local.sock",
        ));
    }
    check_free(path)?;
    let failed = |error: io::Error| {
        CommandError::configuration(
            "local-socket-failed",
            format!("{}: {error}", path.display()),
            "set local_api.path in device.toml to a file in a folder that this user may write to",
        )
    };
    match fs::remove_file(&next) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    // Nobody may connect between its making and its mode.
    let before = rustix::process::umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let bound = UnixListener::bind(&next);
    rustix::process::umask(before);
    let listener = bound.map_err(failed)?;
    if let Some(gid) = api.gid {
        chown(&next, None, Some(gid)).map_err(|error| {
            CommandError::configuration(
                "local-socket-group",
                format!("{}: cannot give it to group {gid}: {error}", path.display()),
                "run the device as root or as a member of that group, or remove local_api.group from device.toml",
            )
        })?;
    }
    fs::set_permissions(&next, fs::Permissions::from_mode(api.mode)).map_err(failed)?;
    // Takes the place of what an ended process left.
    fs::rename(&next, path).map_err(failed)?;
    Ok(listener)
}

fn check_free(path: &Path) -> Result<(), CommandError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(CommandError::configuration(
            "local-socket-taken",
            format!("{}: this is no socket", path.display()),
            "move the file away, or set local_api.path in device.toml",
        ));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(CommandError::configuration(
            "local-socket-taken",
            format!("{}: another process serves this socket", path.display()),
            "end that process first, or set local_api.path in device.toml to another file",
        ));
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
