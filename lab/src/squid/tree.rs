//! The unpacked Debian packages: where the program, its helpers and its libraries are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::netns::command_inside;
use crate::process::or_skip;
use crate::{Folder, LabError, config};

/// The folder into which `squid-openssl` and what it needs were unpacked.
#[derive(Clone, Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Finds the unpacked packages: `POSTERN_SQUID_ROOT`, or where `./test` puts them.
    ///
    /// # Errors
    /// [`LabError::Missing`] with the command that fetches them.
    pub fn find() -> Result<Self, LabError> {
        Self::at(config::squid_root())
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
            what: "squid-openssl",
            path: tree.root,
            remedy: "run `./test`, which unpacks it there, or set POSTERN_SQUID_ROOT",
        })
    }

    fn program(&self) -> PathBuf {
        self.root.join("usr/sbin/squid")
    }

    /// Returns a helper program, such as `basic_ncsa_auth`.
    pub(super) fn helper(&self, name: &str) -> PathBuf {
        self.root.join("usr/lib/squid").join(name)
    }

    /// Returns the English error pages.
    pub(super) fn error_pages(&self) -> PathBuf {
        self.root.join("usr/share/squid-langpack/templates")
    }

    /// Returns the folder of the libraries of this machine's architecture.
    pub(super) fn libraries(&self) -> PathBuf {
        self.root
            .join("usr/lib")
            .join(format!("{}-linux-gnu", std::env::consts::ARCH))
    }

    /// Prepares the command that runs Squid in the foreground with the configuration in `folder`, inside a network
    /// namespace, or in the mount namespace of the process `beside`.
    pub(super) fn command(
        &self,
        folder: &Folder,
        namespace: Option<&str>,
        beside: Option<u32>,
    ) -> Command {
        let mut command = match (namespace, beside) {
            (None, None) => Command::new(self.program()),
            (Some(namespace), _) => command_inside(namespace, &self.program()),
            (None, Some(pid)) => {
                let mut command = Command::new("nsenter");
                let target = pid.to_string();
                command
                    .args(["--mount", "--target", &target])
                    .arg(self.program());
                command
            }
        };
        command.arg("-N").arg("-n").arg(service_name(folder.path()));
        command
            .arg("-f")
            .arg(folder.path().join(super::configuration::FILE));
        command.env(
            "LD_LIBRARY_PATH",
            folder.path().join(super::configuration::LIBRARIES),
        );
        command.current_dir(folder.path());
        command
    }
}

/// Squid refuses two instances of one name, and names that are not alphanumeric.
fn service_name(folder: &Path) -> String {
    let last = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    last.chars().filter(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_that_was_not_unpacked_names_the_command() {
        let error = Tree::at(PathBuf::from("/nonexistent"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("./test") && error.contains("squid-openssl"),
            "{error}"
        );
    }

    #[test]
    fn service_name_is_alphanumeric() {
        let check =
            |folder: &str, expected: &str| assert_eq!(service_name(Path::new(folder)), expected);
        check("/somewhere/postern-lab-x1Y", "posternlabx1Y");
        check("/somewhere/a.b_c", "abc");
        check("/", "");
    }
}
