//! `postern device status`, `pause`, `resume`, `leave`, `rotate-key`, `reset`: a device after it has joined.
//!
//! What needs the controller needs a running device; the rest works either way. Refuses to remove anything that a
//! running device uses.

use super::output;
use crate::config::DeviceConfig;
use crate::device::{self as driver, Control};
use crate::exit::CommandError;
use crate::keys::{self, KeyRole};
use crate::random::OsRandom;
use clap::Args;
use postern_protocol::key::Algorithm;
use postern_relay::store::{DiskStore, Profile, Store as _};
use serde_json::{Value as Json, json};
use std::io;
use std::path::{Path, PathBuf};

/// Which device, and how to print.
#[derive(Debug, Args)]
pub(super) struct LifeArgs {
    /// The device's folder
    #[arg(long, value_name = "DIR", default_value = "device")]
    dir: PathBuf,
    /// Print results and errors as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    pub(super) life: LifeArgs,
    /// Type of the new key [default: ed25519]
    #[arg(long, value_name = "TYPE")]
    key_type: Option<super::device::KeyType>,
}

#[derive(Debug, Args)]
pub(super) struct ResetArgs {
    /// The device's folder
    #[arg(long, value_name = "DIR", default_value = "device")]
    dir: PathBuf,
    /// Do it: key, store and identity are removed and cannot be brought back
    #[arg(long)]
    yes: bool,
    /// Print results and errors as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Prints how a device is: from itself while it runs, else what it said last.
pub(super) fn status(args: &LifeArgs) -> Result<(), CommandError> {
    let config = DeviceConfig::load(&args.dir)?;
    let live = driver::local_status(&config.local_api)?;
    let is_running = live.is_some();
    let status = live.or_else(|| last_status(&args.dir));
    let Some(mut status) = status else {
        return Err(CommandError::configuration(
            "device-never-ran",
            format!("the device in {} has not run yet", args.dir.display()),
            format!("postern device run --dir {}", args.dir.display()),
        ));
    };
    if let Some(members) = status.as_object_mut() {
        members.insert("running".into(), is_running.into());
    }
    if args.json {
        output::json(&status);
    } else {
        output::text(&page(&status));
    }
    Ok(())
}

fn last_status(dir: &Path) -> Option<Json> {
    let text = std::fs::read_to_string(dir.join("status.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// Lays the status out for people.
pub(super) fn page(status: &Json) -> String {
    let text = |key: &str| status.get(key).and_then(Json::as_str).unwrap_or("-");
    let flag = |key: &str| status.get(key).and_then(Json::as_bool) == Some(true);
    let running = match flag("running") {
        true => "running",
        false => "NOT RUNNING, as it was when it stopped",
    };
    let reach = match (flag("running"), flag("connected")) {
        (true, true) => "connected",
        (true, false) => "no answer yet",
        (false, _) => "last used",
    };
    let digest = text("digest").get(..8).unwrap_or("-");
    let mut lines = vec![
        format!("{} of tenant {}, {running}", text("name"), text("tenant")),
        format!("accepted  {} {digest}", revision(&status["accepted"])),
        format!("applied   {}", applied(status)),
        format!("applying  {}", applying(text("apply"))),
    ];
    if flag("running") {
        lines.push(format!("fresh     {}", freshness(status)));
    }
    for (name, text) in [
        (
            "frozen_epoch",
            "FROZEN    the controller contradicted itself; its next epoch ends this",
        ),
        (
            "rotating",
            "key       a new one waits for the controller's word",
        ),
        (
            "bundle_behind",
            "BUNDLE    the controller shows a newer one, which does not arrive here",
        ),
    ] {
        if !matches!(status[name], Json::Null | Json::Bool(false)) {
            lines.push(text.into());
        }
    }
    lines.push(format!(
        "route     {}, {reach}; {} up, {} down",
        text("route"),
        bytes(&status["bytes_up"]),
        bytes(&status["bytes_down"])
    ));
    lines.extend(routes(&status["routes"]));
    lines.extend(clock(&status["clock_ahead_s"]));
    lines.push(format!("bundle    {}", status["bundle"]));
    for (title, key) in [
        ("rejected", "rejected"),
        ("refused", "refused_by_mailbox"),
        ("put aside", "put_aside_by_mailbox"),
        ("failed", "failures"),
    ] {
        if let Some(counts) = counts(&status[key]) {
            lines.push(format!("{title:<9} {counts}"));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Explains the route in use: the network, who reads along, what would be better, what changed last.
fn routes(routes: &Json) -> Vec<String> {
    let text = |name: &str| routes[name].as_str();
    let mut lines = Vec::new();
    if let Some(network) = text("network") {
        let inspected = text("issuer").map(|issuer| format!(", INTERCEPTED by {issuer:?}"));
        let inspected = inspected.unwrap_or_default();
        lines.push(format!("network   {network}{inspected}"));
    }
    let better = &routes["better"];
    if let Some(name) = better["route"].as_str() {
        let why = match (
            better["last_error"].as_str(),
            better["suppressed"].as_bool(),
        ) {
            (_, Some(true)) => "it came and went".into(),
            (Some(code), _) => format!("it failed with {code}"),
            (None, _) => "it has to answer three times".into(),
        };
        let next = better["next_try_s"].as_u64();
        let next = next.map(|next| format!(", asked again in {next} s"));
        let next = next.unwrap_or_default();
        lines.push(format!("better    {name} is not used: {why}{next}"));
    }
    let last = &routes["last_switch"];
    if let (Some(reason), Some(age)) = (last["reason"].as_str(), last["age_s"].as_u64()) {
        lines.push(format!("switched  {age} s ago ({reason})"));
    }
    lines
}

/// How the machine's clock stands to the time that a mailbox signed; nothing before it signed one.
fn clock(ahead_s: &Json) -> Option<String> {
    let ahead_s = ahead_s.as_i64()?;
    let side = if ahead_s < 0 { "behind" } else { "ahead of" };
    Some(format!(
        "clock     {} s {side} the signed time",
        ahead_s.unsigned_abs()
    ))
}

fn revision(json: &Json) -> String {
    match (json.get("epoch"), json.get("seq")) {
        (Some(epoch), Some(seq)) if epoch != 0 => format!("{epoch}.{seq}"),
        (_, _) => "nothing".into(),
    }
}

fn applied(status: &Json) -> String {
    let applied = revision(&status["applied"]);
    if let Some(failure) = status.get("failure").filter(|failure| !failure.is_null()) {
        let output = failure["output"].as_str().unwrap_or_default();
        let line = output.lines().next().unwrap_or_default();
        let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
        let (which, code) = (revision(failure), &failure["status"]);
        return format!("{applied}; {which} FAILED with status {code}: {line}");
    }
    if status["applied"] == status["accepted"] {
        return format!("{applied}, up to date");
    }
    applied
}

fn applying(word: &str) -> &str {
    match word {
        "open" => "allowed",
        "paused" => "PAUSED here; `postern device resume` goes on",
        "paused-by-controller" => "PAUSED by the desired state (postern/pause)",
        "outside-windows" => "waits for a maintenance window",
        other => other,
    }
}

fn freshness(fresh: &Json) -> String {
    let age = fresh["age_ms"].as_u64().map(|age_ms| age_ms / 1_000);
    match (fresh["stale"].as_bool(), age) {
        (Some(false), Some(age)) => format!("heard from the controller {age} s ago"),
        (_, Some(age)) => format!("STALE: nothing new from the controller for {age} s"),
        (_, None) => "STALE: the controller has not answered since the start".into(),
    }
}

fn bytes(json: &Json) -> String {
    let bytes = json.as_u64().unwrap_or_default();
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} KB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

fn counts(json: &Json) -> Option<String> {
    let counts = json.as_object().filter(|counts| !counts.is_empty())?;
    let each = counts
        .iter()
        .map(|(name, count)| format!("{count} x {name}"));
    Some(each.collect::<Vec<_>>().join(", "))
}

/// Keeps changes from the application until `resume`.
pub(super) fn pause(args: &LifeArgs) -> Result<(), CommandError> {
    let config = DeviceConfig::load(&args.dir)?;
    let is_new = driver::pause(&args.dir).map_err(|error| unwritable(&args.dir, &error))?;
    let is_running = driver::control(&config.local_api, Control::LookAgain)?;
    let text = match (is_new, is_running) {
        (true, true) => {
            "paused: revisions are accepted and not applied, until `postern device resume`"
        }
        (true, false) => "paused for when the device runs, until `postern device resume`",
        (false, _) => "it is paused already",
    };
    tell(
        args,
        text,
        &json!({ "paused": true, "running": is_running }),
    );
    Ok(())
}

/// Lets changes through again.
pub(super) fn resume(args: &LifeArgs) -> Result<(), CommandError> {
    let config = DeviceConfig::load(&args.dir)?;
    let was_paused = driver::resume(&args.dir).map_err(|error| unwritable(&args.dir, &error))?;
    let is_running = driver::control(&config.local_api, Control::LookAgain)?;
    let text = match (was_paused, is_running) {
        (true, true) => "resumed: what was accepted meanwhile is applied now",
        (true, false) => "resumed for when the device runs",
        (false, _) => "it was not paused here",
    };
    tell(
        args,
        text,
        &json!({ "paused": false, "running": is_running }),
    );
    Ok(())
}

fn tell(args: &LifeArgs, text: &str, json: &Json) {
    if args.json {
        output::json(json);
    } else {
        output::line(text);
    }
}

/// Tells the controller that the device leaves; the device stops once it knows.
pub(super) fn leave(args: &LifeArgs) -> Result<(), CommandError> {
    let config = DeviceConfig::load(&args.dir)?;
    must_run(args, driver::control(&config.local_api, Control::Leave)?)?;
    tell(
        args,
        "leaving: the device stops when the controller knows; then `postern device reset --yes`",
        &json!({ "leaving": true }),
    );
    Ok(())
}

/// Makes the next key and asks the controller to count it.
pub(super) fn rotate_key(args: &RotateArgs) -> Result<(), CommandError> {
    let config = DeviceConfig::load(&args.life.dir)?;
    let next = driver::next_file(&config);
    if !next.exists() {
        let algorithm = args.key_type.map_or(Algorithm::Ed25519, Algorithm::from);
        let _signer = keys::create_of(&next, KeyRole::Device, algorithm, &mut OsRandom)?;
    }
    must_run(
        &args.life,
        driver::control(&config.local_api, Control::RotateKey)?,
    )?;
    tell(
        &args.life,
        "asked: the present key counts until the controller confirms the new one; see `postern device status`",
        &json!({ "rotating": true }),
    );
    Ok(())
}

fn must_run(args: &LifeArgs, is_running: bool) -> Result<(), CommandError> {
    if is_running {
        return Ok(());
    }
    let dir = args.dir.display();
    Err(CommandError::unreachable(
        "device-not-running",
        format!("no device runs in {dir}"),
        format!("start it with `postern device run --dir {dir}` and ask again"),
    ))
}

/// Forgets everything that `join` and `run` made, except `device.toml` and rendered files.
pub(super) fn reset(args: &ResetArgs) -> Result<(), CommandError> {
    let config = DeviceConfig::load(&args.dir)?;
    if !args.yes {
        return Err(CommandError::configuration(
            "reset-unconfirmed",
            format!(
                "{}: key, store and identity of this device would be removed for good",
                args.dir.display()
            ),
            "say it with --yes; tell the controller first with `postern device leave`",
        ));
    }
    if config.store.exists() {
        // Its lock is what a running device holds.
        DiskStore::open(&config.store, Profile::Device)?.close()?;
    }
    let files = driver::files_of_life(&config);
    for file in &files {
        match std::fs::remove_file(file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unwritable(file, &error)),
        }
    }
    if args.json {
        output::json(&json!({ "reset": true }));
    } else {
        output::line(format!(
            "reset: device.toml and rendered files stay\nNext:\n  postern device join --dir {}",
            args.dir.display()
        ));
    }
    Ok(())
}

fn unwritable(path: &Path, error: &io::Error) -> CommandError {
    CommandError::configuration(
        "folder-not-writable",
        format!("{}: {error}", path.display()),
        "run this as the user who runs the device",
    )
}
