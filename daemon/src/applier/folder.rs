//! The rendered folder: which generation is current, how the next one takes its place.
//!
//! A generation is built as `new-…`, synced, named `gen-…` and only then shown by renaming one
//! symlink. Whatever a crash leaves behind is either unfinished (`new-…`, `link`) and removed by the
//! next rendering, or whole and removed after the next switch. The generation before the current
//! one is kept for readers that still stand in it. Refuses a `current` that is no symlink.
//! What is on trial and what is good stands in the journal beside the generations.

use super::RenderError;
use super::content::Files;
use super::generation::{Changes, Generation, Owning};
use postern_protocol::revision::{Epoch, Revision, Seq};
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The symlink that applications read through.
const CURRENT: &str = "current";
/// Holds generations; applications have no business here.
const INNER: &str = ".postern";
/// Names the last generation that the command took.
const SETTLED: &str = "settled";
/// A symlink on its way to another name.
const LINK: &str = "link";
/// Generations of one revision that may stand side by side. Arbitrary, above the 3 that are kept.
const TWINS_MAX: u32 = 64;
/// Flags of every folder that is opened below the rendered one.
pub(super) const FOLDER_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Name of a finished generation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GenerationName {
    revision: Revision,
    twin: u32,
}

impl GenerationName {
    /// Reads a name as [`Self::text`] writes it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.strip_prefix("gen-")?.split('-');
        let epoch = numbers.next()?.parse().ok()?;
        let seq = numbers.next()?.parse().ok()?;
        let twin = numbers.next()?.parse().ok()?;
        let name = Self {
            revision: Revision::new(Epoch::new(epoch), Seq::new(seq)),
            twin,
        };
        (name.text() == text).then_some(name)
    }

    /// The revision that it shows.
    pub(super) const fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the folder's name.
    pub(super) fn text(&self) -> String {
        let Revision { epoch, seq } = self.revision;
        format!("gen-{epoch}-{seq}-{}", self.twin)
    }
}

/// A whole generation, shown or not.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) name: GenerationName,
    /// Differences to what the command is to compare with.
    pub(super) changes: Changes,
}

/// What came of rendering.
#[derive(Debug)]
pub(super) struct Rendered {
    /// What applications read: the `current` of the folder.
    pub(super) folder: PathBuf,
    /// The generation that it shows.
    pub(super) generation: GenerationName,
    /// Differences to the last generation that the command took.
    pub(super) changes: Changes,
}

/// An opened and locked folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    outer: OwnedFd,
    pub(super) inner: OwnedFd,
    owning: Owning,
}

impl Folder {
    /// Makes the folder when it is absent, then opens it. # Errors: the system's refusals.
    pub(super) fn create(path: &Path, owning: Owning) -> Result<Self, RenderError> {
        std::fs::create_dir_all(path)
            .map_err(|error| RenderError::new("make folder", path, error))?;
        let inner = path.join(INNER);
        match rustix::fs::mkdir(&inner, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Self::open(path, owning),
            Err(error) => Err(RenderError::new("make folder", &inner, error)),
        }
    }

    /// Opens the folder and waits until nobody else changes it. # Errors: the system's refusals.
    pub(super) fn open(path: &Path, owning: Owning) -> Result<Self, RenderError> {
        let outer_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let outer = rustix::fs::open(path, outer_flags, Mode::empty())
            .map_err(|error| RenderError::new("open folder", path, error))?;
        let inner_path = path.join(INNER);
        let inner = rustix::fs::openat(&outer, INNER, FOLDER_FLAGS, Mode::empty())
            .map_err(|error| RenderError::new("open folder", &inner_path, error))?;
        rustix::fs::flock(&inner, FlockOperation::LockExclusive)
            .map_err(|error| RenderError::new("lock folder", &inner_path, error))?;
        Ok(Self {
            path: path.into(),
            outer,
            inner,
            owning,
        })
    }

    /// Makes `current` show `files`. # Errors: the system's refusals; then nothing changed.
    pub(super) fn render(self, revision: Revision, files: &Files) -> Result<Rendered, RenderError> {
        let built = self.prepare(revision, files)?;
        self.show(built, &[])
    }

    /// Finds or builds the generation of a revision, which nobody sees yet.
    /// # Errors: the system's refusals; then nothing changed.
    pub(super) fn prepare(&self, revision: Revision, files: &Files) -> Result<Built, RenderError> {
        self.check_current()?;
        self.remove_unfinished()?;
        let current = self.current();
        let settled = self.settled();
        let previous = current.as_ref().and_then(|name| self.generation(name));
        let base = settled.as_ref().and_then(|name| self.generation(name));
        let changes = Changes::between(base.as_ref(), files);
        if let (Some(name), Some(previous)) = (&current, &previous)
            && name.revision == revision
            && Changes::between(Some(previous), files).is_empty()
        {
            let name = name.clone();
            return Ok(Built { name, changes });
        }
        let name = self.build(revision, previous.as_ref(), files)?;
        Ok(Built { name, changes })
    }

    /// Makes `current` show a generation, and removes those that nobody needs.
    /// # Errors: the system's refusals; then nothing changed.
    pub(super) fn show(
        &self,
        built: Built,
        needed: &[&GenerationName],
    ) -> Result<Rendered, RenderError> {
        let Built { name, changes } = built;
        let current = self.current();
        if current.as_ref() != Some(&name) {
            self.switch(&self.outer, CURRENT, Path::new(INNER), &name)?;
            let settled = self.settled();
            let kept = [Some(&name), current.as_ref(), settled.as_ref()];
            let kept = kept.into_iter().flatten().chain(needed.iter().copied());
            self.remove_old(&kept.collect());
        }
        Ok(self.rendered(name, changes))
    }

    /// Returns a generation that stands here, with its differences to what is shown.
    /// # Errors: the system's refusals.
    pub(super) fn find(&self, name: &GenerationName) -> Result<Option<Built>, RenderError> {
        let Some(generation) = self.generation(name) else {
            return Ok(None);
        };
        let shown = self.current().and_then(|name| self.generation(&name));
        let changes = Changes::between(shown.as_ref(), &generation.files()?);
        let name = name.clone();
        Ok(Some(Built { name, changes }))
    }

    /// Returns what `current` shows.
    pub(super) fn current(&self) -> Option<GenerationName> {
        self.linked(&self.outer, CURRENT)
    }

    /// Returns the last generation that the command took.
    pub(super) fn settled(&self) -> Option<GenerationName> {
        self.linked(&self.inner, SETTLED)
    }

    /// Remembers that the command took a generation. # Errors: the system's refusals.
    pub(super) fn settle(&self, name: &GenerationName) -> Result<(), RenderError> {
        self.switch(&self.inner, SETTLED, Path::new(""), name)
    }

    fn rendered(&self, generation: GenerationName, changes: Changes) -> Rendered {
        Rendered {
            folder: self.path.join(CURRENT),
            generation,
            changes,
        }
    }

    pub(super) fn inner_path(&self, name: &str) -> PathBuf {
        self.path.join(INNER).join(name)
    }

    /// Refuses to replace what an administrator put in the place of the symlink.
    fn check_current(&self) -> Result<(), RenderError> {
        match rustix::fs::statat(&self.outer, CURRENT, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => Ok(()),
            Ok(_) => Err(RenderError::new(
                "replace",
                &self.path.join(CURRENT),
                std::io::Error::other("it is not the symlink that belongs here; move it away"),
            )),
            Err(error) => Err(RenderError::new("look at", &self.path.join(CURRENT), error)),
        }
    }

    /// Reads which generation a symlink names, if it is one of ours.
    fn linked(&self, at: &OwnedFd, link: &str) -> Option<GenerationName> {
        let target = rustix::fs::readlinkat(at, link, Vec::new()).ok()?;
        let target = target.to_str().ok()?;
        let name = match link == CURRENT {
            true => target.strip_prefix(INNER)?.strip_prefix('/')?,
            false => target,
        };
        let name = GenerationName::parse(name)?;
        self.generation(&name).map(|_| name)
    }

    fn generation(&self, name: &GenerationName) -> Option<Generation> {
        let path = self.inner_path(&name.text());
        Generation::open(&self.inner, &name.text(), path, self.owning).ok()
    }

    /// Finds or builds a generation without files. # Errors: the system's refusals.
    pub(super) fn build_empty(&self, revision: Revision) -> Result<GenerationName, RenderError> {
        let name = GenerationName { revision, twin: 1 };
        match self.generation(&name) {
            Some(_) => Ok(name),
            None => self.build(revision, None, &Files::new()),
        }
    }

    fn build(
        &self,
        revision: Revision,
        previous: Option<&Generation>,
        files: &Files,
    ) -> Result<GenerationName, RenderError> {
        let unfinished = format!("new-{}-{}", revision.epoch, revision.seq);
        let path = self.inner_path(&unfinished);
        let built = rustix::fs::mkdirat(&self.inner, &unfinished, Mode::from_raw_mode(0o700))
            .map_err(|error| RenderError::new("make folder", &path, error))
            .and_then(|()| {
                let built = Generation::open(&self.inner, &unfinished, path.clone(), self.owning)?;
                built.fill(previous, files)
            });
        if let Err(error) = built {
            // Gives a full disk its space back; a failure here is the next rendering's to repair.
            let _ = std::fs::remove_dir_all(&path);
            return Err(error);
        }
        let taken = |name: &GenerationName| {
            rustix::fs::statat(&self.inner, name.text(), AtFlags::SYMLINK_NOFOLLOW).is_ok()
        };
        let name = (1..=TWINS_MAX)
            .map(|twin| GenerationName { revision, twin })
            .find(|name| !taken(name))
            .ok_or_else(|| RenderError::new("name", &path, Errno::EXIST))?;
        rustix::fs::renameat(&self.inner, &unfinished, &self.inner, name.text())
            .and_then(|()| rustix::fs::fsync(&self.inner))
            .map_err(|error| RenderError::new("rename", &path, error))?;
        Ok(name)
    }

    fn switch(
        &self,
        at: &OwnedFd,
        link: &str,
        below: &Path,
        name: &GenerationName,
    ) -> Result<(), RenderError> {
        remove_link(&self.inner, LINK)
            .and_then(|()| rustix::fs::symlinkat(below.join(name.text()), &self.inner, LINK))
            .and_then(|()| rustix::fs::fsync(&self.inner))
            .and_then(|()| rustix::fs::renameat(&self.inner, LINK, at, link))
            .and_then(|()| rustix::fs::fsync(at))
            .map_err(|error| RenderError::new("switch", &self.path.join(link), error))
    }

    fn names(&self) -> Result<Vec<String>, RenderError> {
        let failed = |error| RenderError::new("list folder", &self.inner_path(""), error);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.inner).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            names.extend(name.to_str().map(str::to_owned));
        }
        Ok(names)
    }

    /// Removes what an interrupted rendering left. # Errors: the system's refusals.
    fn remove_unfinished(&self) -> Result<(), RenderError> {
        for name in self.names()? {
            if name.starts_with("new-") {
                let path = self.inner_path(&name);
                std::fs::remove_dir_all(&path)
                    .map_err(|error| RenderError::new("remove", &path, error))?;
            }
        }
        remove_link(&self.inner, LINK)
            .map_err(|error| RenderError::new("remove", &self.inner_path(LINK), error))
    }

    /// Removes the generations that nobody needs; the next rendering tries again what stays.
    fn remove_old(&self, kept: &BTreeSet<&GenerationName>) {
        for name in self.names().unwrap_or_default() {
            if GenerationName::parse(&name).is_some_and(|name| !kept.contains(&name)) {
                let path = self.inner_path(&name);
                if let Err(error) = std::fs::remove_dir_all(&path) {
                    tracing::debug!(reason = %error, "old generation stays");
                }
            }
        }
    }
}

fn remove_link(at: &OwnedFd, name: &str) -> Result<(), Errno> {
    match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}
