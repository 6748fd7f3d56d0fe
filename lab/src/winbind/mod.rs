//! A real winbind that checks NTLMv2 logons against a password database of its own, without any domain.
//!
//! ```text
//!  device ──NTLM──▶ Squid ──ntlm_auth──▶ winbindd ──▶ passdb.tdb with one user
//! ```
//!
//! The programs come from Debian's packages `winbind` and `samba-common-bin`, unpacked privately and never installed.
//! Its socket has a fixed place below `/run`; so winbind and Squid share a mount namespace with a `/run` of their
//! own, which needs root. It refuses to touch the machine's `/run` and to know NTLMv1.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::folder::runs_as_root;
use crate::process::or_skip;
use crate::{Folder, LabError, Process, config};

/// The domain: the server's own name.
pub const NTLM_DOMAIN: &str = "PROXYLAB";
/// A user whom every Debian has, which saves making one.
pub const NTLM_USER: &str = "games";
/// The password of [`NTLM_USER`] in the database.
pub const NTLM_PASSWORD: &str = "s3cret";

/// Where the unpacked tree appears in the namespace of winbind and Squid.
const TREE: &str = "/run/tree";

/// The folder into which the packages of Samba were unpacked.
#[derive(Clone, Debug)]
pub struct SambaTree {
    root: PathBuf,
}

impl SambaTree {
    /// Finds the unpacked packages, or says loudly that `scenario` is skipped without them or without root.
    ///
    /// # Errors
    /// [`LabError::Missing`] instead of `None` when `POSTERN_LAB_REQUIRED` is `1`.
    pub fn find_or_skip(scenario: &str) -> Result<Option<Self>, LabError> {
        or_skip(scenario, Self::at(config::samba_root()))
    }

    fn at(root: PathBuf) -> Result<Self, LabError> {
        let tree = Self { root };
        let remedy = if runs_as_root() {
            "run `./test`, which unpacks it there, or set POSTERN_SAMBA_ROOT"
        } else {
            "run as root: winbind's socket has a fixed place, which needs a mount namespace"
        };
        if runs_as_root() && tree.root.join("usr/sbin/winbindd").is_file() {
            return Ok(tree);
        }
        Err(LabError::Missing {
            what: "winbind",
            path: tree.root,
            remedy,
        })
    }

    fn libraries(&self) -> String {
        let folder = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let folder = self.root.join(folder);
        format!("{}:{}", folder.display(), folder.join("samba").display())
    }
}

/// A running winbind; killed when dropped, with all its children.
#[derive(Debug)]
pub struct Winbind {
    process: Process,
    /// Declared last: removed after the process ended.
    folder: Folder,
}

impl Winbind {
    /// Makes the database and starts winbind in a namespace of its own.
    ///
    /// # Errors
    /// [`LabError::Ended`] with its output when a program refuses; [`LabError::Io`] when the folder cannot be written.
    pub fn start(tree: &SambaTree) -> Result<Self, LabError> {
        let folder = Folder::new()?;
        for name in ["private", "state", "cache", "lock", "pipe"] {
            let made = std::fs::create_dir(folder.path().join(name));
            made.map_err(LabError::io("make winbind's folders"))?;
        }
        folder.write("smb.conf", configuration(folder.path()))?;
        add_user(tree, &folder)?;
        // Squid's helper runs as user proxy, which may not enter the folder of the unpacked tree: hence the bind.
        let inside = format!(
            "mount -t tmpfs tmpfs /run && mkdir -p /run/samba {TREE} && mount --bind \"$0\" {TREE} && exec \"$@\""
        );
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            &inside,
        ]);
        command.arg(&tree.root);
        command.arg(tree.root.join("usr/sbin/winbindd"));
        command.arg(format!("--configfile={}/smb.conf", folder.path().display()));
        command.args(["-F", "--debug-stdout", "--no-process-group", "-d", "3"]);
        command.env("LD_LIBRARY_PATH", tree.libraries());
        let mut process = Process::start("winbindd", command, folder.path())?;
        let pipe = folder.path().join("state/winbindd_privileged/pipe");
        process.wait_for("winbind's privileged pipe", |_process| {
            pipe.exists().then_some(())
        })?;
        open_to_proxy_user(&folder)?;
        Ok(Self { process, folder })
    }

    /// Returns the line that makes Squid ask it.
    #[must_use]
    pub fn helper_line(&self) -> String {
        let at = self.folder.path().display();
        let bound = SambaTree { root: TREE.into() };
        let libraries = bound.libraries();
        format!(
            "auth_param ntlm program /usr/bin/env LD_LIBRARY_PATH={libraries} {TREE}/usr/bin/ntlm_auth --configfile={at}/smb.conf --domain={NTLM_DOMAIN} --helper-protocol=squid-2.5-ntlmssp\n\
             auth_param ntlm children 2 startup=1 idle=1\n\
             auth_param ntlm keep_alive on"
        )
    }

    /// Returns the process whose mount namespace has its socket.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Counts the logons of [`NTLM_USER`] so far, as (accepted, refused). Its log has two lines for each: one of the
    /// database, which does not count here, and one of the service.
    #[must_use]
    pub fn logons(&self) -> (usize, usize) {
        let log = self.process.stdout();
        let attempts = log.lines().filter(|line| {
            line.trim_start().starts_with("Auth: [winbind,NTLM_AUTH")
                && line.contains(&format!("\\[{NTLM_USER}]"))
        });
        let (good, bad): (Vec<_>, Vec<_>) =
            attempts.partition(|line| line.contains("status [NT_STATUS_OK]"));
        (good.len(), bad.len())
    }
}

fn configuration(at: &Path) -> String {
    let at = at.display();
    format!(
        "[global]\nworkgroup=CORP\nnetbios name={NTLM_DOMAIN}\nserver role=standalone server\nsecurity=user\n\
         passdb backend=tdbsam:{at}/private/passdb.tdb\nprivate dir={at}/private\nstate directory={at}/state\n\
         cache directory={at}/cache\nlock directory={at}/lock\npid directory={at}/lock\nncalrpc dir={at}/pipe\n\
         interfaces=lo\nbind interfaces only=yes\nntlm auth=ntlmv2-only\ndisable netbios=yes\n"
    )
}

fn add_user(tree: &SambaTree, folder: &Folder) -> Result<(), LabError> {
    let mut command = Command::new(tree.root.join("usr/bin/smbpasswd"));
    command.arg("-c").arg(folder.path().join("smb.conf"));
    command.args(["-L", "-s", "-a", NTLM_USER]);
    command.env("LD_LIBRARY_PATH", tree.libraries());
    let password = format!("{NTLM_PASSWORD}\n{NTLM_PASSWORD}\n");
    let added = Process::run("smbpasswd", command, folder.path(), password.as_bytes())?;
    if added.status.success() {
        return Ok(());
    }
    Err(LabError::Ended {
        name: "smbpasswd".to_owned(),
        status: added.status.to_string(),
        what: "the user to be added".to_owned(),
        evidence: added.stderr,
    })
}

/// The pipe's folder may belong to a group that is allowed to ask; root stays its owner.
fn open_to_proxy_user(folder: &Folder) -> Result<(), LabError> {
    let pipe = folder.path().join("state/winbindd_privileged");
    folder.give_group_to_proxy(&pipe)
}

#[cfg(test)]
mod tests {
    use super::SambaTree;

    #[test]
    fn tree_that_was_not_unpacked_says_what_to_do() {
        let error = SambaTree::at("/nonexistent".into())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("run ") && error.contains("winbind"),
            "{error}"
        );
    }
}
