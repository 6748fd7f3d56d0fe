//! Everything the lab reads from the environment, and the only place that does.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `POSTERN_BIN` | the release binary under test | `<target>/release/postern` |
//! | `POSTERN_RELAY_BIN` | the release binary of the relay | `<target>/release/postern-relay` |
//! | `POSTERN_SQUID_ROOT` | folder into which `squid-openssl` was unpacked | `<cache>/squid` |
//! | `POSTERN_APACHE_ROOT` | folder into which `apache2-bin` was unpacked | `<cache>/apache` |
//! | `POSTERN_<NAME>_ROOT` | folder into which another program was unpacked, such as `haproxy`, `krb5` or `samba` | `<cache>/<name>` |
//! | `POSTERN_MOSQUITTO_ROOT` | folder into which `mosquitto` was unpacked | `<cache>/peers/mosquitto` |
//! | `POSTERN_NATS_SERVER` | the program `nats-server` | `<cache>/peers/venv/bin/nats-server` |
//! | `POSTERN_IROH_RELAY` | the program `iroh-relay` | `<cache>/peers/iroh/bin/iroh-relay` |
//! | `POSTERN_CACHE` | what `./test` fetched | `<target>/lab` |
//! | `POSTERN_LAB_REQUIRED` | `1`: a missing part fails instead of being skipped | off |
//! | `POSTERN_KILL_ROUNDS` | rounds of the kill loop, for a quick look | all of them |
//! | `POSTERN_FAILPOINTS_EVERY` | of the failpoints of a kind, every so many are tried; 1 is all | few enough for a minute |

use std::path::{Path, PathBuf};

/// Returns the release binary of `postern`, whether or not it exists.
#[must_use]
pub fn postern_binary() -> PathBuf {
    path_of("POSTERN_BIN").unwrap_or_else(|| target_folder().join("release").join("postern"))
}

/// Returns the release binary of `postern-relay`, whether or not it exists.
#[must_use]
pub fn relay_binary() -> PathBuf {
    path_of("POSTERN_RELAY_BIN")
        .unwrap_or_else(|| target_folder().join("release").join("postern-relay"))
}

/// Returns the folder into which the Debian packages of Squid were unpacked, whether or not it exists.
#[must_use]
pub fn squid_root() -> PathBuf {
    path_of("POSTERN_SQUID_ROOT").unwrap_or_else(|| cache_folder().join("squid"))
}

/// Returns the folder into which the Debian packages of Apache were unpacked, whether or not it exists.
#[must_use]
pub fn apache_root() -> PathBuf {
    path_of("POSTERN_APACHE_ROOT").unwrap_or_else(|| cache_folder().join("apache"))
}

/// Returns the folder into which Debian's faketime was unpacked, whether or not it exists.
#[must_use]
pub fn faketime_root() -> PathBuf {
    path_of("POSTERN_FAKETIME_ROOT").unwrap_or_else(|| cache_folder().join("faketime"))
}

/// Returns the folder into which the Debian packages of Kerberos were unpacked, whether or not it exists.
#[must_use]
pub fn kerberos_root() -> PathBuf {
    path_of("POSTERN_KRB5_ROOT").unwrap_or_else(|| cache_folder().join("krb5"))
}

/// Returns the folder into which the Debian packages of Samba were unpacked, whether or not it exists.
#[must_use]
pub fn samba_root() -> PathBuf {
    path_of("POSTERN_SAMBA_ROOT").unwrap_or_else(|| cache_folder().join("samba"))
}

/// Returns the folder into which a program of this name was unpacked, whether or not it exists.
#[must_use]
pub fn unpacked(name: &str) -> PathBuf {
    path_of(&format!("POSTERN_{}_ROOT", name.to_uppercase()))
        .unwrap_or_else(|| cache_folder().join(name))
}

/// Returns the folder into which the Debian packages of mosquitto were unpacked, whether or not it exists.
#[must_use]
pub fn mosquitto_root() -> PathBuf {
    path_of("POSTERN_MOSQUITTO_ROOT").unwrap_or_else(|| cache_folder().join("peers/mosquitto"))
}

/// Returns the program `nats-server`, whether or not it exists.
#[must_use]
pub fn nats_server() -> PathBuf {
    path_of("POSTERN_NATS_SERVER")
        .unwrap_or_else(|| cache_folder().join("peers/venv/bin/nats-server"))
}

/// Returns the program `iroh-relay`, whether or not it exists.
#[must_use]
pub fn iroh_relay() -> PathBuf {
    path_of("POSTERN_IROH_RELAY")
        .unwrap_or_else(|| cache_folder().join("peers/iroh/bin/iroh-relay"))
}

/// Returns the folders in which programs are looked for, in their order.
#[must_use]
pub fn program_folders() -> Vec<PathBuf> {
    variable("PATH").map_or_else(Vec::new, |path| std::env::split_paths(&path).collect())
}

/// Returns whether a missing part must fail the test instead of skipping it.
#[must_use]
pub fn lab_is_required() -> bool {
    variable("POSTERN_LAB_REQUIRED").is_some_and(|value| value == "1")
}

/// Returns how many rounds the kill loop makes: `most`, or fewer for a quick look.
#[must_use]
pub fn kill_rounds(most: u32) -> u32 {
    let asked = variable("POSTERN_KILL_ROUNDS").and_then(|text| text.parse::<u32>().ok());
    asked.map_or(most, |rounds| rounds.min(most))
}

/// Returns of how many failpoints one is tried: `usual`, or what is asked for, at least 1.
#[must_use]
pub fn failpoints_every(usual: u32) -> u32 {
    let asked = variable("POSTERN_FAILPOINTS_EVERY").and_then(|text| text.parse::<u32>().ok());
    asked.unwrap_or(usual).max(1)
}

/// Returns the folder of what `./test` fetched.
fn cache_folder() -> PathBuf {
    path_of("POSTERN_CACHE").unwrap_or_else(|| target_folder().join("lab"))
}

/// Returns cargo's target folder: `CARGO_TARGET_DIR`, or `target` at the top of the repository.
fn target_folder() -> PathBuf {
    path_of("CARGO_TARGET_DIR").unwrap_or_else(|| top_folder().join("target"))
}

fn top_folder() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Reads a path; a relative one counts from the top of the repository, because tests run in the folder of their crate.
fn path_of(name: &str) -> Option<PathBuf> {
    variable(name).map(|value| top_folder().join(value))
}

/// Reads a variable; an empty one counts as unset.
#[expect(
    clippy::disallowed_methods,
    reason = "the lab's one place that reads the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
