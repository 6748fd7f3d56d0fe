//! The demo's folder: private, made for one run, removed after it.
//!
//! Refuses to use, and so to remove, a folder that stood there before.

use crate::exit::CommandError;
use crate::random::OsRandom;
use postern_protocol::context::draw;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Attempts to remove the folder. Arbitrary.
const REMOVE_ATTEMPTS: u32 = 50;
/// Pause between two attempts to remove the folder. Arbitrary.
const REMOVE_PAUSE: Duration = Duration::from_millis(20);

/// A folder of our own.
#[derive(Debug)]
pub(super) struct DemoFolder(PathBuf);

impl DemoFolder {
    /// Makes the folder, mode 0700, at `dir` or at a name of its own among temporary files.
    ///
    /// # Errors
    /// It exists, or the file system refuses.
    pub(super) fn create(dir: Option<&Path>) -> Result<Self, CommandError> {
        let path = dir.map_or_else(temporary, Path::to_owned);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(CommandError::configuration(
                "demo-folder",
                format!("{} cannot be made: {error}", path.display()),
                "name a folder that does not exist yet, in one that you may write to",
            )),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes it with everything in it. A process that was just killed may still write; it gets time to end.
    pub(super) async fn remove(self) {
        for _ in 1..REMOVE_ATTEMPTS {
            if std::fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
            tokio::time::sleep(REMOVE_PAUSE).await;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "demo folder not removed");
        }
    }
}

/// A short name: the operator's socket inside must stay below 108 bytes.
fn temporary() -> PathBuf {
    let random = u64::from_be_bytes(draw(&mut OsRandom));
    std::env::temp_dir().join(format!("postern-demo-{random:016x}"))
}

#[cfg(test)]
mod tests {
    use super::DemoFolder;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn folder_is_private_and_goes_away() {
        let folder = DemoFolder::create(None).unwrap();
        let path = folder.path().to_owned();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        std::fs::write(path.join("file"), "x").unwrap();
        folder.remove().await;
        assert!(!path.exists());
    }

    #[test]
    fn folder_that_exists_is_refused_and_untouched() {
        let outer = tempfile::tempdir().unwrap();
        let mine = outer.path().join("mine");
        std::fs::create_dir(&mine).unwrap();
        std::fs::write(mine.join("file"), "x").unwrap();
        let error = DemoFolder::create(Some(&mine)).unwrap_err();
        assert_eq!(error.name, "demo-folder");
        assert!(mine.join("file").exists());
    }

    #[test]
    fn folder_below_a_missing_one_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        assert!(DemoFolder::create(Some(&outer.path().join("a/b"))).is_err());
    }
}
