//! `postern device status`: how a device is, from itself while it runs, and its last attempts to get out.
//!
//! Refuses to repeat control characters of what others wrote.

use super::device_life::LifeArgs;
use super::output;
use crate::config::DeviceConfig;
use crate::device as driver;
use crate::exit::CommandError;
use crate::routes::HoldFacts;
use clap::Args;
use serde::Deserialize as _;
use serde_json::Value as Json;
use std::path::Path;

/// Ways that are shown for people; more are counted. Arbitrary: a dozen fit on a screen beside the rest.
const WAYS_SHOWN_MAX: usize = 12;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) life: LifeArgs,
    /// Show the last 200 attempts to get out instead: which way, how far it came, with which code
    #[arg(long)]
    attempts: bool,
}

/// Prints how a device is: from itself while it runs, else what it said last.
pub(super) fn status(args: &StatusArgs) -> Result<(), CommandError> {
    let life = &args.life;
    let config = DeviceConfig::load(&life.dir)?;
    if args.attempts {
        return show_attempts(&config, life.json);
    }
    let live = driver::local_status(&config.local_api)?;
    let is_running = live.is_some();
    let status = live.or_else(|| last_status(&life.dir));
    let Some(mut status) = status else {
        return Err(CommandError::configuration(
            "device-never-ran",
            format!("the device in {} has not run yet", life.dir.display()),
            format!("postern device run --dir {}", life.dir.display()),
        ));
    };
    if let Some(members) = status.as_object_mut() {
        members.insert("running".into(), is_running.into());
    }
    if life.json {
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
    lines.extend(clock(status));
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

/// Explains the route in use: the network, who reads along, how each way stands, what changed last.
fn routes(routes: &Json) -> Vec<String> {
    let text = |name: &str| routes[name].as_str();
    let mut lines = Vec::new();
    if let Some(network) = text("network") {
        let inspected = text("issuer").map(|issuer| format!("; TLS INTERCEPTED by {issuer:?}"));
        let inspected = inspected.unwrap_or_default();
        lines.push(format!("network   {network}{inspected}"));
    }
    let mut line = |title: &str, text: &str| lines.push(format!("{title:<9} {}", plain(text)));
    for way in ways(&routes["ways"]) {
        line("way", &way);
    }
    if let Ok(hold) = HoldFacts::deserialize(&routes["hold"]) {
        line("hold", &hold.to_string());
        if let Some(bodies) = hold.bodies() {
            line("bodies", &bodies);
        }
    }
    if let Some(bytes) = routes["packet_bytes_max"].as_u64() {
        line("packets", &format!("of {bytes} bytes pass"));
    }
    let explained = routes["explained"].as_array().into_iter().flatten();
    for text in explained.filter_map(Json::as_str) {
        line("ways", text);
    }
    let last = &routes["last_switch"];
    if let (Some(reason), Some(age)) = (last["reason"].as_str(), last["age_s"].as_u64()) {
        lines.push(format!("switched  {age} s ago ({reason})"));
    }
    lines
}

/// How each way stands and why, the best first.
fn ways(ways: &Json) -> Vec<String> {
    let rows = ways.as_array().into_iter().flatten();
    let mut lines: Vec<_> = rows
        .clone()
        .take(WAYS_SHOWN_MAX)
        .map(|way| {
            let text = |key: &str| way[key].as_str().unwrap_or("-");
            let state = match text("state") {
                "used" => "in use",
                _other => "not used",
            };
            let next = way["next_try_s"].as_u64();
            let next = next.map(|next| format!(", asked again in {next} s"));
            format!(
                "{} to mailbox {}, URL {}: {state}, {}{}",
                text("route"),
                way["mailbox"],
                way["url"],
                text("reason"),
                next.unwrap_or_default()
            )
        })
        .collect();
    let more = rows.count().saturating_sub(lines.len());
    if more > 0 {
        lines.push(format!("{more} more: `postern device status --json`"));
    }
    lines
}

/// Where the time comes from at which certificates are checked, and how the machine's clock stands to it.
fn clock(status: &Json) -> Option<String> {
    let text = match (
        status["clock_source"].as_str()?,
        status["clock_ahead_s"].as_i64(),
    ) {
        ("mailbox", Some(ahead_s)) => {
            let side = if ahead_s < 0 { "behind" } else { "ahead of" };
            let ahead_s = ahead_s.unsigned_abs();
            format!("confirmed by a mailbox; this machine's is {ahead_s} s {side} it")
        }
        ("mailbox", None) => "confirmed by a mailbox".into(),
        ("floor", _) => "WRONG on this machine: the latest time known to have passed counts".into(),
        _machine => "this machine's; no mailbox has confirmed it yet".into(),
    };
    Some(format!("clock     {text}"))
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

/// Prints the last attempts of the running device.
fn show_attempts(config: &DeviceConfig, is_json: bool) -> Result<(), CommandError> {
    let Some(attempts) = driver::local_attempts(&config.local_api)? else {
        return Err(CommandError::configuration(
            "device-not-running",
            "attempts are remembered by the running device, and none runs",
            format!("postern device run --dir {}", config.dir.display()),
        ));
    };
    match is_json {
        true => output::json(&attempts),
        false => output::text(&attempts_page(&attempts)),
    }
    Ok(())
}

/// Lays attempts out for people: one a line, the newest last.
pub(super) fn attempts_page(attempts: &Json) -> String {
    let all = attempts["attempts"].as_array();
    let lines = all.into_iter().flatten().map(|attempt| {
        let text = |key: &str| plain(attempt[key].as_str().unwrap_or("-"));
        let seconds = |key: &str| {
            let ms = attempt[key].as_u64().unwrap_or_default();
            format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
        };
        let end = match attempt["code"].as_str() {
            Some(code) => format!("failed in {} with {}", text("stage"), plain(code)),
            None => "answered".to_owned(),
        };
        let (ago, took) = (seconds("age_ms"), seconds("took_ms"));
        format!(
            "{ago:>12} ago  {:<13} took {took:>8}  {end}\n",
            text("route")
        )
    });
    let page: String = lines.collect();
    match page.is_empty() {
        true => "no attempt has ended yet\n".into(),
        false => page,
    }
}

/// Text of others without anything that could command a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}
