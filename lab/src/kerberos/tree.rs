//! The unpacked Debian packages of Kerberos: where the programs and their libraries are.
//!
//! Client libraries that the machine has already are not unpacked a second time; the loader finds either.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::or_skip;
use crate::{LabError, config};

pub(super) const CONFIGURATION: &str = "krb5.conf";
pub(super) const SERVER_CONFIGURATION: &str = "kdc.conf";

/// The folder into which the packages of Kerberos were unpacked.
#[derive(Clone, Debug)]
pub struct KerberosTree {
    root: PathBuf,
}

impl KerberosTree {
    /// Finds the unpacked packages, or says loudly that `scenario` is skipped without them.
    ///
    /// # Errors
    /// [`LabError::Missing`] instead of `None` when `POSTERN_LAB_REQUIRED` is `1`.
    pub fn find_or_skip(scenario: &str) -> Result<Option<Self>, LabError> {
        or_skip(scenario, Self::at(config::kerberos_root()))
    }

    fn at(root: PathBuf) -> Result<Self, LabError> {
        let tree = Self { root };
        if tree.root.join("usr/sbin/krb5kdc").is_file() {
            return Ok(tree);
        }
        Err(LabError::Missing {
            what: "krb5-kdc",
            path: tree.root,
            remedy: "run `./test`, which unpacks it there, or set POSTERN_KRB5_ROOT",
        })
    }

    fn libraries(&self) -> PathBuf {
        let folder = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        self.root.join(folder)
    }

    pub(super) fn plugins(&self) -> PathBuf {
        self.libraries().join("krb5/plugins/kdb")
    }

    /// Returns what every program of the realm in `at` needs in its environment.
    pub(super) fn environment(&self, at: &Path) -> Vec<(String, String)> {
        let value = |path: PathBuf| path.to_string_lossy().into_owned();
        vec![
            ("KRB5_CONFIG".to_owned(), value(at.join(CONFIGURATION))),
            ("LD_LIBRARY_PATH".to_owned(), value(self.libraries())),
        ]
    }

    pub(super) fn command(&self, program: &str, at: &Path) -> Command {
        let mut command = Command::new(self.root.join(program));
        command.envs(self.environment(at));
        command.env("KRB5_KDC_PROFILE", at.join(SERVER_CONFIGURATION));
        command.current_dir(at);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::KerberosTree;

    #[test]
    fn tree_that_was_not_unpacked_names_the_command() {
        let error = KerberosTree::at("/nonexistent".into())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("./test") && error.contains("krb5-kdc"),
            "{error}"
        );
    }
}
