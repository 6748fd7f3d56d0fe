//! One generation: a folder with exactly the files of one revision.
//!
//! Every path is walked segment by segment without following symlinks. A file whose bytes did not
//! change is the same file as before (a hard link), so that mode, owner and time stay; a file that
//! did change takes over mode and, if the process may, owner. Refuses to write into a folder that
//! it did not make itself.

use super::RenderError;
use super::content::Files;
use super::folder::FOLDER_FLAGS;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawMode, Stat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Mode of a file that was not there before.
const FILE_MODE: RawMode = 0o644;
/// Mode of a folder that was not there before.
const FOLDER_MODE: RawMode = 0o755;
/// Bytes that are read back of a file: a value has at most half of that.
const FILE_BYTES_MAX: u64 = 65_536;
/// Folders that may lie in each other: a path has 255 bytes and a segment at least 2 of them.
const DEPTH_MAX: usize = 128;

/// What differs between a generation and the files of a revision; both ascending.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) changed: Vec<String>,
    pub(super) removed: Vec<String>,
}

impl Changes {
    /// Compares a generation on disk, or nothing, with files.
    pub(super) fn between(base: Option<&Generation>, files: &Files) -> Self {
        let Some(base) = base else {
            return Self {
                changed: files.keys().cloned().collect(),
                removed: Vec::new(),
            };
        };
        let is_changed = |(path, bytes): &(&String, &Vec<u8>)| !base.holds(path, bytes);
        Self {
            changed: files
                .iter()
                .filter(is_changed)
                .map(|(path, _)| path.clone())
                .collect(),
            removed: base
                .paths()
                .into_iter()
                .filter(|path| !files.contains_key(path))
                .collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

/// An opened generation.
#[derive(Debug)]
pub(super) struct Generation {
    root: OwnedFd,
    path: PathBuf,
    owning: Owning,
}

/// Whose rendered files are, and who may do what with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Owning {
    /// Mode of files; `None`: 0644 for new ones, and what the administrator made of the others.
    pub(crate) file_mode: Option<RawMode>,
    /// Mode of folders; `None`: 0755 for new ones, as above.
    pub(crate) dir_mode: Option<RawMode>,
    /// Group of both; `None`: that of this process or the file before.
    pub(crate) gid: Option<u32>,
}

impl Owning {
    /// Tells whether a file may stay the same file.
    fn fits(&self, stat: &Stat) -> bool {
        let mode = self.file_mode.unwrap_or(stat.st_mode & 0o7777);
        let gid = self.gid.unwrap_or(stat.st_gid);
        stat.st_mode & 0o7777 == mode && stat.st_gid == gid
    }
}

impl Generation {
    /// Opens the generation `name` of a folder. # Errors: the system's refusals.
    pub(super) fn open(
        folder: &OwnedFd,
        name: &str,
        path: PathBuf,
        owning: Owning,
    ) -> Result<Self, RenderError> {
        match rustix::fs::openat(folder, name, FOLDER_FLAGS, Mode::empty()) {
            Ok(root) => Ok(Self { root, path, owning }),
            Err(error) => Err(RenderError::new("open folder", &path, error)),
        }
    }

    /// Writes all files into this new, empty generation and makes them durable.
    /// # Errors: the system's refusals.
    pub(super) fn fill(&self, previous: Option<&Self>, files: &Files) -> Result<(), RenderError> {
        let mut folders = BTreeSet::from([String::new()]);
        let flush = Flush::of(files.len());
        for (path, bytes) in files {
            self.make_folders(path, &mut folders)
                .map_err(std::io::Error::from)
                .and_then(|()| self.place(previous, path, bytes, flush))
                .map_err(|error| RenderError::new("write", &self.path.join(path), error))?;
        }
        for folder in folders.iter().rev() {
            self.finish_folder(previous, folder, flush)
                .map_err(|error| {
                    RenderError::new("finish folder", &self.path.join(folder), error)
                })?;
        }
        if flush == Flush::Together {
            rustix::fs::syncfs(&self.root)
                .map_err(|error| RenderError::new("flush", &self.path, error))?;
        }
        Ok(())
    }

    /// Reads every regular file back. # Errors: the system's refusals.
    pub(super) fn files(&self) -> Result<Files, RenderError> {
        let mut files = Files::new();
        for path in self.paths() {
            let file = self.path.join(&path);
            let bytes = self
                .parent_of(&path)
                .and_then(|(parent, name)| {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    rustix::fs::openat(&parent, name, flags, Mode::empty())
                })
                .map_err(std::io::Error::from)
                .and_then(|opened| {
                    let mut bytes = Vec::new();
                    File::from(opened)
                        .take(FILE_BYTES_MAX)
                        .read_to_end(&mut bytes)
                        .map(|_| bytes)
                })
                .map_err(|error| RenderError::new("read", &file, error))?;
            files.insert(path, bytes);
        }
        Ok(files)
    }

    /// Tells whether a regular file with these bytes stands at a path.
    fn holds(&self, path: &str, bytes: &[u8]) -> bool {
        self.found(path, bytes).is_some_and(|found| found.is_same)
    }

    fn make_folders(&self, path: &str, made: &mut BTreeSet<String>) -> Result<(), Errno> {
        for (at, _) in path.match_indices('/') {
            let Some(folder) = path.get(..at).filter(|folder| !made.contains(*folder)) else {
                continue;
            };
            let (parent, name) = self.parent_of(folder)?;
            rustix::fs::mkdirat(&parent, name, Mode::RWXU)?;
            made.insert(folder.to_owned());
        }
        Ok(())
    }

    fn place(
        &self,
        previous: Option<&Self>,
        path: &str,
        bytes: &[u8],
        flush: Flush,
    ) -> Result<(), std::io::Error> {
        let (parent, name) = self.parent_of(path)?;
        let found = previous.and_then(|previous| previous.found(path, bytes));
        if let (Some(previous), Some(found)) = (previous, &found)
            && found.is_same
            && self.owning.fits(&found.stat)
        {
            if previous.link_to(path, &found.stat, &parent, name) {
                return Ok(());
            }
            // Not ours to link, or not what was read a moment ago: write it anew.
            match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let created = rustix::fs::openat(&parent, name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(created);
        file.write_all(bytes)?;
        if let Some(Found { stat, .. }) = &found {
            // Only a privileged process may give a file away; others keep it.
            let _ = std::os::unix::fs::fchown(&file, Some(stat.st_uid), Some(stat.st_gid));
        }
        if let Some(gid) = self.owning.gid {
            std::os::unix::fs::fchown(&file, None, Some(gid))?;
        }
        let before = found.map_or(FILE_MODE, |found| found.stat.st_mode & 0o7777);
        let mode = self.owning.file_mode.unwrap_or(before);
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        match flush {
            Flush::Each => file.sync_all(),
            Flush::Together => Ok(()),
        }
    }

    /// Links a file of this generation into a folder; false when it did not become that very file.
    fn link_to(&self, path: &str, expected: &Stat, to: &OwnedFd, name: &str) -> bool {
        let linked = self.parent_of(path).and_then(|(parent, own_name)| {
            rustix::fs::linkat(&parent, own_name, to, name, AtFlags::empty())?;
            rustix::fs::statat(to, name, AtFlags::SYMLINK_NOFOLLOW)
        });
        linked.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (expected.st_dev, expected.st_ino))
    }

    fn finish_folder(
        &self,
        previous: Option<&Self>,
        folder: &str,
        flush: Flush,
    ) -> Result<(), Errno> {
        let before = previous
            .and_then(|previous| previous.folder(folder).ok())
            .and_then(|folder| rustix::fs::fstat(&folder).ok());
        let before = before.map_or(FOLDER_MODE, |stat| stat.st_mode & 0o7777);
        let mode = self.owning.dir_mode.unwrap_or(before);
        let opened = self.folder(folder)?;
        if let Some(gid) = self.owning.gid {
            rustix::fs::fchown(&opened, None, Some(rustix::fs::Gid::from_raw(gid)))?;
        }
        rustix::fs::fchmod(&opened, Mode::from_raw_mode(mode))?;
        match flush {
            Flush::Each => rustix::fs::fsync(&opened),
            Flush::Together => Ok(()),
        }
    }

    /// Opens a folder of this generation, segment by segment. # Errors: the system's refusals.
    fn folder(&self, path: &str) -> Result<OwnedFd, Errno> {
        let mut opened = rustix::fs::openat(&self.root, ".", FOLDER_FLAGS, Mode::empty())?;
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            opened = rustix::fs::openat(&opened, segment, FOLDER_FLAGS, Mode::empty())?;
        }
        Ok(opened)
    }

    fn parent_of<'p>(&self, path: &'p str) -> Result<(OwnedFd, &'p str), Errno> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.folder(parent).map(|parent| (parent, name))
    }

    /// Looks at the regular file of a path and compares it with what shall stand there.
    fn found(&self, path: &str, bytes: &[u8]) -> Option<Found> {
        let (parent, name) = self.parent_of(path).ok()?;
        let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let is_same = u64::try_from(stat.st_size) == u64::try_from(bytes.len())
            && read_file(&parent, name, &stat, bytes.len()).is_some_and(|held| held == bytes);
        Some(Found { stat, is_same })
    }

    /// Returns the paths of all that is no folder, ascending.
    fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let Ok(listing) = self.folder(&folder).and_then(Dir::new) else {
                continue;
            };
            for entry in listing.flatten() {
                let Ok(name) = entry.file_name().to_str() else {
                    continue;
                };
                let path = match folder.is_empty() {
                    true => name.to_owned(),
                    false => format!("{folder}/{name}"),
                };
                let depth = path.matches('/').count();
                match entry.file_type() == FileType::Directory {
                    true if name == "." || name == ".." || depth >= DEPTH_MAX => {}
                    true => folders.push(path),
                    false => paths.push(path),
                }
            }
        }
        paths.sort_unstable();
        paths
    }
}

/// How a generation is made durable before it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flush {
    /// File by file and folder by folder: touches nothing else on a busy disk.
    Each,
    /// The whole file system once: a flush of each of a hundred folders would take a hundred times as long.
    Together,
}

impl Flush {
    /// Files above which one flush of everything is the cheaper way. Arbitrary.
    const EACH_MAX: usize = 8;

    const fn of(files: usize) -> Self {
        if files > Self::EACH_MAX {
            Self::Together
        } else {
            Self::Each
        }
    }
}

/// A regular file that stands where a file shall stand.
#[derive(Debug)]
struct Found {
    stat: Stat,
    is_same: bool,
}

/// Reads a file that is still the one that was looked at.
fn read_file(parent: &OwnedFd, name: &str, expected: &Stat, len: usize) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(parent, name, flags, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&opened).ok()?;
    if (stat.st_dev, stat.st_ino) != (expected.st_dev, expected.st_ino) {
        return None;
    }
    let mut bytes = Vec::with_capacity(len);
    let limit = u64::try_from(len).ok()?.checked_add(1)?;
    File::from(opened)
        .take(limit)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}
