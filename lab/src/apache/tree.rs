//! The unpacked Debian packages: where the program, its modules and its libraries are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::or_skip;
use crate::{LabError, config};

/// The folder into which `apache2-bin` and what it needs were unpacked.
#[derive(Clone, Debug)]
pub struct ApacheTree {
    root: PathBuf,
}

impl ApacheTree {
    /// Finds the unpacked packages: `POSTERN_APACHE_ROOT`, or where `./test` puts them.
    ///
    /// # Errors
    /// [`LabError::Missing`] with the command that fetches them.
    pub fn find() -> Result<Self, LabError> {
        Self::at(config::apache_root())
    }

    /// Finds the unpacked packages, or says loudly that `scenario` is skipped without them.
    ///
    /// # Errors
    /// [`LabError::Missing`] instead of `None` when `POSTERN_LAB_REQUIRED` is `1`.
    pub fn find_or_skip(scenario: &str) -> Result<Option<Self>, LabError> {
        or_skip(scenario, Self::find())
    }

    fn at(root: PathBuf) -> Result<Self, LabError> {
        let tree = Self { root };
        if tree.program().is_file() {
            return Ok(tree);
        }
        Err(LabError::Missing {
            what: "apache2-bin",
            path: tree.root,
            remedy: "run `./test`, which unpacks it there, or set POSTERN_APACHE_ROOT",
        })
    }

    fn program(&self) -> PathBuf {
        self.root.join("usr/sbin/apache2")
    }

    /// Returns the file of a module, such as `proxy_http`. All are loaded before the privileges are dropped.
    pub(super) fn module(&self, name: &str) -> PathBuf {
        let file = format!("mod_{name}.so");
        self.root.join("usr/lib/apache2/modules").join(file)
    }

    /// Prepares the command that runs Apache as one process with the configuration in `folder`.
    pub(super) fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(self.program());
        command
            .arg("-X")
            .arg("-f")
            .arg(folder.join(super::configuration::FILE));
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        command.env("LD_LIBRARY_PATH", self.root.join(libraries));
        command.current_dir(folder);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_that_was_not_unpacked_names_the_command() {
        let error = ApacheTree::at(PathBuf::from("/nonexistent"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("./test") && error.contains("apache2-bin"),
            "{error}"
        );
    }
}
