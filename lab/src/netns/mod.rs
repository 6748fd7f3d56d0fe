//! Network namespaces: a site, its firewall and the world outside as three separate machines on this one.
//!
//! ```text
//!  device ──10.99.1.0/24──▶ firewall (nft, NAT, sysctls) ──10.99.2.0/24──▶ outside: proxy, controller, relay
//! ```
//!
//! Names carry the pid of this process. A namespace is removed when its value is dropped, also by a panic; what a
//! killed process left behind is removed by the next start. It refuses to touch the machine's own network: each
//! command here names a namespace that this process made.

mod site;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

pub use site::{CONTROLLER, DEVICE, FIREWALL_INSIDE, FIREWALL_OUTSIDE, PROXY, RELAY, Site};

use crate::doors::Package;
use crate::folder::runs_as_root;
use crate::process::{or_skip, say_skipped};
use crate::{LabError, config};

/// What every name of ours starts with; the pid follows.
const PREFIX: &str = "postern-";
/// Where `ip netns` keeps its names.
const NAMES: &str = "/run/netns";
/// Files that `ip netns exec` shows instead of those in `/etc`, a folder for each name.
const FILES: &str = "/etc/netns";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A network namespace of this process; removed when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Says loudly that `scenario` is skipped where namespaces or firewall rules cannot be made, and returns whether
    /// they can.
    ///
    /// # Errors
    /// [`LabError::Missing`] instead of `None` when `POSTERN_LAB_REQUIRED` is `1`.
    pub fn possible_or_skip(scenario: &str) -> Result<Option<()>, LabError> {
        let missing = |what, path: &str, remedy| LabError::Missing {
            what,
            path: PathBuf::from(path),
            remedy,
        };
        if !runs_as_root() {
            // Nothing that could be fetched helps, so that this is no failure where the lab is required either.
            let error = missing("root", "this user", "run as root: namespaces need it");
            say_skipped(scenario, &error);
            return Ok(None);
        }
        let found = match ip_program() {
            Some(_program) => Package::Nft.find().map(drop),
            None => Err(missing("ip", "PATH", "install iproute2, or run `./test`")),
        };
        or_skip(scenario, found)
    }

    /// Makes a namespace with its loopback up, after removing those of processes that no longer live.
    ///
    /// # Errors
    /// [`LabError::Ended`] when `ip` refuses, as it does without root.
    pub fn make(role: &str) -> Result<Self, LabError> {
        sweep();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}{role}", std::process::id());
        must(ip(&["netns", "add", &name]))?;
        let made = Self { name };
        made.ip(&["link", "set", "lo", "up"])?;
        Ok(made)
    }

    /// Returns its name, for [`Binary::inside`](crate::Binary::inside) and `ip netns exec`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Prepares a program inside. `ip` becomes the program, so the recorded pid is the program's own.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        command_inside(&self.name, program)
    }

    /// Runs `ip` with its view.
    ///
    /// # Errors
    /// [`LabError::Ended`] with what it printed when it fails.
    pub fn ip(&self, arguments: &[&str]) -> Result<String, LabError> {
        must(ip(&[&["-n", &self.name], arguments].concat()))
    }

    /// Sets a value below `/proc/sys/net`, such as `ipv4/ip_forward`.
    ///
    /// # Errors
    /// [`LabError::Ended`] when there is no such value or it is refused.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<(), LabError> {
        let mut command = self.command(Path::new("/bin/sh"));
        command.args([
            "-c",
            "printf %s \"$2\" > \"/proc/sys/net/$1\"",
            "sh",
            key,
            value,
        ]);
        must(command).map(drop)
    }

    /// Replaces all firewall rules by those of `rules`; an empty text lets everything through again.
    ///
    /// Flushing and loading happen in one transaction, so that no packet passes in between.
    ///
    /// # Errors
    /// [`LabError::Missing`] without nft, [`LabError::Ended`] with what it printed when a rule is refused.
    pub fn firewall(&self, rules: &str) -> Result<(), LabError> {
        let file = tempfile::NamedTempFile::new().map_err(LabError::io("make a rule file"))?;
        std::fs::write(file.path(), format!("flush ruleset\n{rules}\n"))
            .map_err(LabError::io("write a rule file"))?;
        let mut command = Package::Nft.find()?.command(Some(&self.name));
        command.arg("-f").arg(file.path());
        must(command).map(drop)
    }

    /// Forgets tracked connections, so that new rules meet flows that stood before them.
    ///
    /// # Errors
    /// [`LabError::Missing`] without conntrack, [`LabError::Ended`] when it fails.
    pub fn forget_connections(&self) -> Result<(), LabError> {
        let mut command = Package::Conntrack.find()?.command(Some(&self.name));
        command.arg("-F");
        must(command).map(drop)
    }

    /// Returns the rules with their counters, as nft prints them.
    ///
    /// # Errors
    /// As [`Namespace::firewall`].
    pub fn rules(&self) -> Result<String, LabError> {
        let mut command = Package::Nft.find()?.command(Some(&self.name));
        command.args(["list", "ruleset"]);
        must(command)
    }

    /// Writes a file that programs started inside find in `/etc` instead of the machine's: `hosts`, `resolv.conf`.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be written.
    pub fn etc(&self, file: &str, content: &str) -> Result<(), LabError> {
        let folder = Path::new(FILES).join(&self.name);
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(file), content));
        written.map_err(LabError::io(format!("write {file} for {}", self.name)))
    }

    /// Connects two namespaces by a pair of interfaces with these names and addresses (`10.0.0.1/24`).
    ///
    /// # Errors
    /// [`LabError::Ended`] when `ip` refuses.
    pub fn connect(&self, own: &End<'_>, other: &Self, far: &End<'_>) -> Result<(), LabError> {
        let (ours, theirs) = (self.name.as_str(), other.name.as_str());
        let pair = ["link", "add", own.interface, "netns", ours, "type", "veth"];
        let peer = ["peer", "name", far.interface, "netns", theirs];
        must(ip(&[&pair[..], &peer[..]].concat()))?;
        self.address(own)?;
        other.address(far)
    }

    /// Gives an interface its addresses and sets it up.
    ///
    /// # Errors
    /// [`LabError::Ended`] when `ip` refuses.
    pub fn address(&self, end: &End<'_>) -> Result<(), LabError> {
        for address in end.addresses {
            // Duplicate detection would hold IPv6 addresses back for a second.
            let words = ["addr", "add", address, "dev", end.interface];
            let nodad = if address.contains(':') {
                &["nodad"][..]
            } else {
                &[]
            };
            self.ip(&[&words[..], nodad].concat())?;
        }
        self.ip(&["link", "set", end.interface, "up"]).map(drop)
    }
}

/// One end of a connection between namespaces.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The name of the interface.
    pub interface: &'a str,
    /// Its addresses with their prefix lengths.
    pub addresses: &'a [&'a str],
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Prepares a program inside the namespace of this name.
pub(crate) fn command_inside(namespace: &str, program: &Path) -> Command {
    let mut command = ip(&["netns", "exec", namespace]);
    command.arg(program);
    command
}

/// Removes the namespaces of processes that no longer live.
fn sweep() {
    for folder in [NAMES, FILES] {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        for name in names.filter_map(|name| name.into_string().ok()) {
            if pid_of(&name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                remove(&name);
            }
        }
    }
}

fn remove(name: &str) {
    // Nothing can be reported from here; the next start tries again.
    drop(must(ip(&["netns", "del", name])));
    drop(std::fs::remove_dir_all(Path::new(FILES).join(name)));
}

/// Reads the pid out of a name of ours; any other name is not ours to touch.
fn pid_of(name: &str) -> Option<u32> {
    let (pid, _rest) = name.strip_prefix(PREFIX)?.split_once('-')?;
    pid.parse().ok()
}

fn ip_program() -> Option<PathBuf> {
    let folders = config::program_folders().into_iter();
    let unpacked = [config::unpacked("iproute").join("bin")];
    // Not on every user's path.
    let usual = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut all = folders.chain(usual).chain(unpacked);
    all.find_map(|folder| Some(folder.join("ip")).filter(|program| program.is_file()))
}

fn ip(arguments: &[&str]) -> Command {
    let mut command = Command::new(ip_program().unwrap_or_else(|| PathBuf::from("ip")));
    command.args(arguments);
    command
}

/// Runs `ip` with the machine's view, to move what this process made into a namespace.
pub(crate) fn must_ip(arguments: &[&str]) -> Result<String, LabError> {
    must(ip(arguments))
}

/// Runs a command that ends by itself at once, and returns what it printed.
pub(crate) fn must(mut command: Command) -> Result<String, LabError> {
    let shown = format!("{command:?}");
    let output = command
        .output()
        .map_err(LabError::io(format!("run {shown}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(LabError::Ended {
        name: shown,
        status: output.status.to_string(),
        what: "success".to_owned(),
        evidence: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespace_name_of_others_has_no_pid_to_judge_by() {
        let check = |name: &str, expected| assert_eq!(pid_of(name), expected, "{name:?}");
        check("postern-12-0device", Some(12));
        check("postern-x-0device", None);
        check("postern-12", None);
        check("site-12-0", None);
        check("", None);
    }

    #[test]
    fn namespace_that_is_dropped_is_gone_and_its_files_too() {
        if Namespace::possible_or_skip("namespaces").unwrap().is_none() {
            return;
        }
        let made = Namespace::make("drop").unwrap();
        made.etc("hosts", "127.0.0.1 localhost\n").unwrap();
        let places = [NAMES, FILES].map(|folder| Path::new(folder).join(made.name()));
        assert!(places.iter().all(|place| place.exists()), "{places:?}");
        drop(made);
        assert!(places.iter().all(|place| !place.exists()), "{places:?}");
    }

    #[test]
    fn namespace_refuses_a_rule_set_that_is_none_and_keeps_the_old_one() {
        if Namespace::possible_or_skip("firewall rules")
            .unwrap()
            .is_none()
        {
            return;
        }
        let made = Namespace::make("rules").unwrap();
        made.firewall("table inet kept {\n}").unwrap();
        let refused = made.firewall("table inet broken {\nnonsense\n}");
        assert!(
            matches!(refused, Err(LabError::Ended { .. })),
            "{refused:?}"
        );
        assert!(made.rules().unwrap().contains("kept"));
    }
}
