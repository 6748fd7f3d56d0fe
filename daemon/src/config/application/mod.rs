//! The parts of `device.toml` about applications: how state reaches them, as whom, when, and how they ask.
//!
//! `[apply]`, `[on_change]`, `[intents.*]` and `[local_api]`. Refuses combinations that would do
//! something else than they say.

#[cfg(test)]
mod tests;

use super::path_in;
use super::reader::{Placed, Section};
use super::window::{Windows, parse_offset};
use crate::accounts::{self, Account};
use postern_protocol::state::Path as StatePath;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Seconds for which a command may run unless the file says otherwise. Arbitrary.
pub(super) const TIME_LIMIT_S: u64 = 60;
/// Seconds for which a command may run at most: longer work belongs into a service.
const TIME_LIMIT_S_MAX: u64 = 3_600;
/// Seconds of the longest soak: a day.
const SOAK_S_MAX: u64 = 86_400;
/// Seconds between health checks unless the file says otherwise. Arbitrary.
pub(super) const HEALTH_INTERVAL_S: u64 = 5;
const HEALTH_INTERVAL_S_MAX: u64 = 3_600;
/// Failed health checks in a row that end a trial unless the file says otherwise. Arbitrary.
pub(super) const HEALTH_FAILURES: u64 = 3;
const HEALTH_FAILURES_MAX: u64 = 100;
/// Intents with a command of their own. The engine knows as many verbs.
const INTENTS_MAX: usize = 64;
/// Windows of a device. Arbitrary.
const WINDOWS_MAX: usize = 64;

/// A command: program and arguments, run directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments, at least the program; no shell.
    pub words: Vec<String>,
    /// Seconds after which it is ended, 1..=3600.
    pub time_limit_s: u64,
}

/// Who brings the state to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyBy {
    /// Postern: files and `on_change`.
    Files,
    /// The application, over the local API.
    Application,
}

/// When a rendered revision counts as good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// Seconds for which it must do well.
    pub soak_s: u64,
    /// Exits with 0 while all is well.
    pub health: Option<Command>,
    /// Seconds between two runs of it.
    pub interval_s: u64,
    /// Failures in a row that are too many.
    pub failures: u64,
}

/// How state reaches the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apply {
    /// Who brings it there.
    pub by: ApplyBy,
    /// When that is allowed.
    pub windows: Windows,
    /// Whether and how a revision is on trial first.
    pub confirm: Option<Confirm>,
    /// As whom commands run; `None` for the user of the device.
    pub user: Option<Account>,
    /// The group of rendered files and folders.
    pub gid: Option<u32>,
    /// Mode of rendered files.
    pub file_mode: Option<u32>,
    /// Mode of rendered folders.
    pub dir_mode: Option<u32>,
}

/// What happens to an intent whose command was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is reported as interrupted.
    AtMostOnce,
    /// The command runs again.
    AtLeastOnce,
}

/// The command of one intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentCommand {
    /// What runs.
    pub command: Command,
    /// What an interruption means.
    pub delivery: Delivery,
}

/// The local socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalApi {
    /// The socket.
    pub socket: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// Its group.
    pub gid: Option<u32>,
}

pub(super) fn read_apply(root: &mut Section<'_, '_>) -> Option<Apply> {
    let mut section = root.section("apply");
    let ways = [
        ("files", ApplyBy::Files),
        ("application", ApplyBy::Application),
    ];
    let by = section.choice("by", &ways);
    let windows = read_windows(&mut section);
    let confirm = read_confirm(&mut section);
    let user = lookup(&mut section, "user", accounts::user);
    let group = lookup(&mut section, "group", accounts::group);
    let file_mode = read_mode(&mut section, "file_mode", 0o400);
    let dir_mode = read_mode(&mut section, "dir_mode", 0o700);
    if by == Some(ApplyBy::Application) && confirm.is_some() {
        let what = "is for files; with by = \"application\" the application itself decides when a revision is good";
        section.refuse(section.line(), "soak_s", what);
    }
    check_user(&section, user.as_ref());
    section.finish();
    Some(Apply {
        by: by.unwrap_or(ApplyBy::Files),
        windows: windows?,
        confirm,
        gid: group.or_else(|| user.as_ref().map(|user| user.gid)),
        user: user.map(|user| Account {
            gid: group.unwrap_or(user.gid),
            ..user
        }),
        file_mode,
        dir_mode,
    })
}

/// Refuses a user that this process could not become.
fn check_user(section: &Section<'_, '_>, user: Option<&Account>) {
    let own = rustix::process::geteuid().as_raw();
    if user.is_some_and(|user| own != 0 && user.uid != own) {
        let what = format!(
            "needs a device that runs as root (this one runs as user {own}); start it as root, or remove the line"
        );
        section.refuse(section.line(), "user", what);
    }
}

fn read_windows(section: &mut Section<'_, '_>) -> Option<Windows> {
    let offset_s = match section.text("utc_offset") {
        None => 0,
        Some(Placed { value, line }) => parse_offset(&value).unwrap_or_else(|| {
            let what = format!("must be hours and minutes such as \"+02:00\", not \"{value}\"");
            section.refuse(line, "utc_offset", what);
            0
        }),
    };
    let Some(texts) = section.texts("windows") else {
        return Some(Windows::default());
    };
    if texts.value.is_empty() || texts.value.len() > WINDOWS_MAX {
        let what = format!("must hold 1 to {WINDOWS_MAX} windows; remove the line for none");
        section.refuse(texts.line, "windows", what);
        return None;
    }
    let words = texts.value.iter().map(|text| text.value.as_str());
    match Windows::parse(words, offset_s) {
        Ok(windows) => Some(windows),
        Err((at, what)) => {
            let line = texts.value.get(at).map_or(texts.line, |text| text.line);
            section.refuse(line, "windows", what);
            None
        }
    }
}

fn read_confirm(section: &mut Section<'_, '_>) -> Option<Confirm> {
    let soak_s = section.uint("soak_s", 0..=SOAK_S_MAX, 0);
    let interval_s = section.uint(
        "health_interval_s",
        1..=HEALTH_INTERVAL_S_MAX,
        HEALTH_INTERVAL_S,
    );
    let failures = section.uint("health_failures", 1..=HEALTH_FAILURES_MAX, HEALTH_FAILURES);
    let health = read_words(section, "health").map(|words| Command {
        words,
        time_limit_s: interval_s,
    });
    (soak_s > 0 || health.is_some()).then_some(Confirm {
        soak_s,
        health,
        interval_s,
        failures,
    })
}

fn lookup<T>(
    section: &mut Section<'_, '_>,
    key: &str,
    find: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let Placed { value, line } = section.text(key)?;
    find(&value)
        .map_err(|what| section.refuse(line, key, what))
        .ok()
}

/// Reads a mode in octal that has at least the bits `least`.
fn read_mode(section: &mut Section<'_, '_>, key: &str, least: u32) -> Option<u32> {
    let Placed { value, line } = section.text(key)?;
    let is_octal =
        matches!(value.len(), 3 | 4) && value.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = u32::from_str_radix(&value, 8).ok().filter(|_| is_octal);
    let mode = mode.filter(|mode| *mode <= 0o777 && mode & least == least);
    if mode.is_none() {
        let what = format!(
            "must be permissions in octal with at least {least:04o}, such as \"{:04o}\", not \"{value}\"",
            least | 0o240
        );
        section.refuse(line, key, what);
    }
    mode
}

/// Reads program and arguments.
fn read_words(section: &mut Section<'_, '_>, key: &str) -> Option<Vec<String>> {
    let list = section.texts(key)?;
    let words: Vec<_> = list.value.into_iter().map(|word| word.value).collect();
    if words.first().is_none_or(String::is_empty) {
        let what = "must begin with a program, such as [\"/usr/bin/true\"]";
        section.refuse(list.line, key, what);
        return None;
    }
    Some(words)
}

fn read_command(section: &mut Section<'_, '_>) -> Option<Command> {
    let words = read_words(section, "command");
    let time_limit_s = section.uint("time_limit_s", 1..=TIME_LIMIT_S_MAX, TIME_LIMIT_S);
    if section.is_present() && words.is_none() {
        section.missing(
            "command",
            "write command = [\"/path/to/program\", \"argument\"]",
        );
    }
    Some(Command {
        words: words?,
        time_limit_s,
    })
}

pub(super) fn read_on_change(root: &mut Section<'_, '_>, by: ApplyBy) -> Option<Command> {
    let mut section = root.section("on_change");
    let command = read_command(&mut section);
    if command.is_some() && by == ApplyBy::Application {
        let what = "never runs with apply.by = \"application\"; remove one of the two";
        section.refuse(section.line(), "command", what);
    }
    section.finish();
    command
}

pub(super) fn read_intents(root: &mut Section<'_, '_>) -> BTreeMap<StatePath, IntentCommand> {
    let mut section = root.section("intents");
    let mut intents = BTreeMap::new();
    for Placed { value: verb, line } in section.names() {
        let Ok(path) = StatePath::parse(&format!("intent/{verb}")) else {
            section.refuse(line, &verb, "is no verb: use a-z, 0-9, dot, - and _");
            continue;
        };
        let mut one = section.section(&verb);
        let deliveries = [
            ("at-most-once", Delivery::AtMostOnce),
            ("at-least-once", Delivery::AtLeastOnce),
        ];
        let delivery = one.choice("delivery", &deliveries);
        if let Some(command) = read_command(&mut one) {
            let delivery = delivery.unwrap_or(Delivery::AtMostOnce);
            intents.insert(path, IntentCommand { command, delivery });
        }
        one.finish();
    }
    if intents.len() > INTENTS_MAX {
        section.refuse(
            section.line(),
            "",
            format!("at most {INTENTS_MAX} intents can have a command"),
        );
    }
    section.finish();
    intents
}

pub(super) fn read_local_api(dir: &Path, root: &mut Section<'_, '_>) -> LocalApi {
    let mut section = root.section("local_api");
    let socket = path_in(dir, &mut section, "path");
    let gid = lookup(&mut section, "group", accounts::group);
    let mode = read_mode(&mut section, "mode", 0o600);
    section.finish();
    LocalApi {
        socket: socket.unwrap_or_else(|| dir.join("local.sock")),
        mode: mode.unwrap_or(if gid.is_some() { 0o660 } else { 0o600 }),
        gid,
    }
}

/// The keys of these sections with their meaning, for a new `device.toml`.
pub(super) const TEMPLATE: &str = "\
[apply]
# files: Postern writes files and runs on_change. application: an application reads the state and
# tells the result over the local API.
# by = \"files\"
# When changes may reach the application; without windows, always. Accepting goes on outside of them.
# A clock that is not set is outside every window.
# windows = [\"Sun 02:00-04:00\", \"Mon-Fri 22:00-05:00\"]
# Added to UTC for windows; fixed, daylight saving is not followed.
# utc_offset = \"+00:00\"
# Seconds for which a revision must do well before it counts as applied; 0 for none. On failure the
# files of the last good revision come back, on_change runs again, and the report says why.
# soak_s = 0
# Exits with 0 while all is well; run every health_interval_s seconds until soak_s are over.
# health = [\"/usr/local/bin/is-healthy\"]
# health_interval_s = 5
# Failures in a row that end the trial.
# health_failures = 3
# User and group as whom on_change, health and intents run; needs a device that runs as root. Files
# then belong to the group. Put render_folder where that user may go: this folder is private.
#   user = \"app\"
#   group = \"app\"
# Permissions of rendered files and folders; without them 0644 and 0755 for new ones.
# file_mode = \"0640\"
# dir_mode = \"0750\"

# A program for an intent (`postern intent NAME restart`); intents without one are the application's.
# [intents.restart]
# command = [\"/usr/bin/systemctl\", \"restart\", \"app\"]
# at-most-once reports an interrupted run, at-least-once repeats it.
# delivery = \"at-most-once\"
# Seconds after which it is ended, 1 to 3600.
# time_limit_s = 60

[local_api]
# The Unix socket on which applications ask; see LOCAL_API.md.
# path = \"local.sock\"
# Who may connect: mode and group of the socket. The folder must let them in, too.
# mode = \"0600\"
#   group = \"app\"
";
