//! A temporary folder that a proxy running as another user may read, removed when dropped.
//!
//! Squid started by root continues as user `proxy`, which could neither enter a private temporary folder nor read
//! below a home folder. So every instance gets one folder with everything in it, handed over to that user.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::LabError;

/// A temporary folder below the system's own (`TMPDIR`), removed with all its content when dropped.
#[derive(Debug)]
pub struct Folder {
    inner: tempfile::TempDir,
}

impl Folder {
    /// Makes an empty folder that every user may enter.
    ///
    /// # Errors
    /// [`LabError::Io`] when the file system refuses.
    pub fn new() -> Result<Self, LabError> {
        let inner = tempfile::Builder::new()
            .prefix("postern-lab-")
            .tempdir()
            .map_err(LabError::io("make a temporary folder"))?;
        std::fs::set_permissions(inner.path(), std::fs::Permissions::from_mode(0o755))
            .map_err(LabError::io("open the temporary folder to other users"))?;
        Ok(Self { inner })
    }

    /// Returns where it stands.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.path()
    }

    /// Writes a file readable by everyone and returns its path.
    ///
    /// # Errors
    /// [`LabError::Io`] when the file system refuses.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf, LabError> {
        let path = self.path().join(name);
        std::fs::write(&path, content)
            .map_err(LabError::io(format!("write {}", path.display())))?;
        Ok(path)
    }

    /// Writes a file that only its owner may read, and returns its path.
    ///
    /// # Errors
    /// [`LabError::Io`] when the file system refuses.
    pub fn write_secret(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf, LabError> {
        let path = self.write(name, content)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .map_err(LabError::io(format!("close {}", path.display())))?;
        Ok(path)
    }

    /// Copies a file or a folder of plain files, following links, to `name`.
    ///
    /// # Errors
    /// [`LabError::Io`] when something cannot be read or written.
    pub fn copy_in(&self, from: &Path, name: &str) -> Result<PathBuf, LabError> {
        let to = self.path().join(name);
        copy(from, &to).map_err(LabError::io(format!(
            "copy {} to {}",
            from.display(),
            to.display()
        )))?;
        Ok(to)
    }

    /// Lets the group of user `proxy` enter one folder in it, whose owner stays.
    ///
    /// # Errors
    /// [`LabError::Io`] when there is no such user or the file system refuses.
    pub(crate) fn give_group_to_proxy(&self, folder: &Path) -> Result<(), LabError> {
        let users =
            std::fs::read_to_string("/etc/passwd").map_err(LabError::io("read the user list"))?;
        let group = ids_of(&users, "proxy").map(|(_, group)| group);
        let lent = group
            .ok_or_else(|| std::io::ErrorKind::NotFound.into())
            .and_then(|group| lend(folder, group));
        lent.map_err(LabError::io("lend a folder to the group of user proxy"))
    }

    /// Gives the folder and everything in it to user `proxy` when the test runs as root; does nothing otherwise.
    ///
    /// # Errors
    /// [`LabError::Io`] when there is no such user or the file system refuses.
    pub(crate) fn give_to_proxy_user(&self) -> Result<(), LabError> {
        if !runs_as_root() {
            return Ok(());
        }
        let users =
            std::fs::read_to_string("/etc/passwd").map_err(LabError::io("read the user list"))?;
        let Some((user, group)) = ids_of(&users, "proxy") else {
            return Err(LabError::Io {
                what: "find user \"proxy\", as which squid started by root continues".to_owned(),
                source: std::io::ErrorKind::NotFound.into(),
            });
        };
        hand_over(self.path(), user, group).map_err(LabError::io("hand the folder to user proxy"))
    }
}

/// Makes a folder enterable for the group of user `proxy`.
fn lend(path: &Path, group: u32) -> std::io::Result<()> {
    chown(path, None, Some(group))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o750))
}

/// Returns whether this process is root's.
pub(crate) fn runs_as_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn ids_of(users: &str, name: &str) -> Option<(u32, u32)> {
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut numbers = line.split(':').skip(2).map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Depth is bounded by what the lab itself wrote: two levels.
fn hand_over(path: &Path, user: u32, group: u32) -> std::io::Result<()> {
    chown(path, Some(user), Some(group))?;
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            hand_over(&entry?.path(), user, group)?;
        }
    }
    Ok(())
}

/// Depth is bounded by the packages' error pages: two levels.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return std::fs::copy(from, to).map(|_bytes| ());
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ids_of;

    #[test]
    fn user_list_lookup_finds_exact_names_only() {
        let check =
            |users: &str, expected| assert_eq!(ids_of(users, "proxy"), expected, "{users:?}");
        check(
            "daemon:x:1:1::/usr/sbin:/bin/sh\nproxy:x:13:14::/bin:/bin/sh\n",
            Some((13, 14)),
        );
        check("proxyd:x:13:13::/bin:/bin/sh\n", None);
        check("proxy:x:thirteen:13::/bin:/bin/sh\n", None);
        check("proxy:x:13", None);
        check("", None);
    }
}
