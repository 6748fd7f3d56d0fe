//! `postern status`: how far devices are, as a table or as JSON.
//!
//! What it shows comes from signed reports that the controller holds, never from the network.

use super::{block_on, controller_dir, output, parse_device, parse_tenant};
use crate::exit::CommandError;
use crate::operator::client::{Client, unexpected};
use crate::operator::{DeviceStatus, Request, Response};
use clap::Args;
use postern_protocol::id::{DeviceName, Tenant};
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Time between two looks of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Characters of a digest that people compare.
const DIGEST_CHARS: usize = 8;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Only the device of this name
    #[arg(value_name = "NAME", value_parser = parse_device)]
    name: Option<DeviceName>,
    /// Only this tenant's devices [default: all tenants]
    #[arg(long, value_name = "TENANT", value_parser = parse_tenant)]
    tenant: Option<Tenant>,
    /// The controller's folder [default: $POSTERN_DIR, else ./controller]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Look every second until interrupted; where no person looks, print changes only
    #[arg(long)]
    watch: bool,
    /// Print results and errors as JSON
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }
}

pub(super) fn run(args: &StatusArgs) -> Result<(), CommandError> {
    let mut client = Client::connect(&controller_dir(args.dir.as_ref()))?;
    let request = Request::Status {
        tenant: args.tenant.clone(),
        device: args.name.clone(),
    };
    if !args.watch {
        show(args, &look(&mut client, &request)?);
        return Ok(());
    }
    block_on(async {
        let mut before = None;
        let mut interval = tokio::time::interval(WATCH_INTERVAL);
        loop {
            let _now = interval.tick().await;
            let devices = look(&mut client, &request)?;
            if before.as_ref() != Some(&devices) {
                if output::is_terminal() && !args.json {
                    // Clear the screen and go to its first line.
                    output::text("\x1b[2J\x1b[H");
                }
                show(args, &devices);
                before = Some(devices);
            }
        }
    })
}

fn look(client: &mut Client, request: &Request) -> Result<Vec<DeviceStatus>, CommandError> {
    let Response::Devices { devices } = client.ask(request)? else {
        return Err(unexpected());
    };
    Ok(devices)
}

fn show(args: &StatusArgs, devices: &[DeviceStatus]) {
    if args.json {
        output::json(&json!({ "devices": devices }));
        return;
    }
    output::text(&table(devices, output::has_colours()));
    if let (Some(_), [device]) = (&args.name, devices) {
        output::text(&details(device));
    }
}

/// How far a device is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Invited,
    Silent,
    Behind,
    Failing,
    Converged,
    Revoked,
}

impl Phase {
    fn of(device: &DeviceStatus) -> Self {
        let desired = (device.desired.epoch, device.desired.seq);
        let last = device.results.last();
        let is_failing =
            last.is_some_and(|last| last.status != 0 && (last.epoch, last.seq) == desired);
        if device.revoked {
            Self::Revoked
        } else if !device.enrolled {
            Self::Invited
        } else if device.converged {
            Self::Converged
        } else if is_failing {
            Self::Failing
        } else if device.received.epoch == 0 {
            Self::Silent
        } else {
            Self::Behind
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Silent => "silent",
            Self::Behind => "behind",
            Self::Failing => "failing",
            Self::Converged => "converged",
            Self::Revoked => "revoked",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Invited | Self::Silent => "\x1b[2m",
            Self::Behind => "\x1b[33m",
            Self::Failing | Self::Revoked => "\x1b[31m",
            Self::Converged => "\x1b[32m",
        }
    }
}

/// Column of the state, which is coloured.
const STATE_COLUMN: usize = 2;

/// Draws devices as aligned columns.
pub(super) fn table(devices: &[DeviceStatus], has_colours: bool) -> String {
    if devices.is_empty() {
        return "no devices yet; invite one with `postern controller invite NAME`\n".into();
    }
    let head = [
        "DEVICE",
        "TENANT",
        "STATE",
        "DESIRED",
        "APPLIED",
        "REFUSED",
        "NOTES",
        "LAST RESULT",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(devices.iter().map(row));
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let phase = number
            .checked_sub(1)
            .and_then(|index| devices.get(index))
            .map(Phase::of);
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            match phase {
                Some(phase) if has_colours && column == STATE_COLUMN => {
                    let _ = write!(line, "{}{cell:<width$}\x1b[0m  ", phase.colour());
                }
                Some(_) | None => {
                    let _ = write!(line, "{cell:<width$}  ");
                }
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(device: &DeviceStatus) -> [String; 8] {
    let applied = match &device.applied_digest {
        // Numbers start again in each epoch: one of an earlier epoch says nothing beside one of this.
        Some(digest) if device.applied.epoch != device.desired.epoch => {
            format!("earlier {}", short(digest))
        }
        Some(digest) => format!("{} {}", device.applied.seq, short(digest)),
        None => "-".into(),
    };
    let result = match device.results.last() {
        Some(result) => format!("{} {}", result.status, first_line(&result.output)),
        None => "-".into(),
    };
    [
        device.name.clone(),
        device.tenant.clone(),
        Phase::of(device).as_str().into(),
        format!("{} {}", device.desired.seq, short(&device.desired.digest)),
        applied,
        device.rejects.len().to_string(),
        notes(device),
        result,
    ]
}

/// What an operator should know beside the numbers, in few words.
fn notes(device: &DeviceStatus) -> String {
    let is_in_conflict = device.behind.is_some_and(|behind| behind.conflict);
    let notes = [
        (device.left, "left"),
        (device.stale, "stale"),
        (is_in_conflict, "conflict"),
        (device.behind.is_some() && !is_in_conflict, "ahead"),
        (device.cloned.is_some(), "cloned"),
        (device.frozen, "frozen"),
        (device.paused, "paused"),
    ];
    let shown: Vec<&str> = notes
        .into_iter()
        .filter_map(|(holds, word)| holds.then_some(word))
        .collect();
    if shown.is_empty() {
        "-".into()
    } else {
        shown.join(" ")
    }
}

/// The lines of one device about its plane, its freshness and what needs an operator.
fn life(device: &DeviceStatus) -> String {
    let mut text = String::new();
    let mut line = |what: String| text.push_str(&format!("{}\n", what.trim_end()));
    if let Some(key) = &device.key {
        line(format!("key       {key}"));
    }
    if device.revoked {
        line(format!(
            "revoked   nothing is taken from this key; enrol the name anew with `postern controller invite {}`",
            device.name
        ));
    }
    if let Some(actual) = &device.actual {
        line(format!(
            "actual    epoch {} seq {} {}",
            actual.epoch, actual.seq, actual.digest
        ));
    }
    if let Some(ago) = device.heard_ms_ago {
        line(format!("heard     {} s ago", ago / 1_000));
    }
    if let Some(behind) = device.behind {
        let next = if behind.conflict {
            format!(
                "; choose with `postern recover {} --take device|controller`",
                device.name
            )
        } else {
            String::new()
        };
        line(format!(
            "ahead     it holds epoch {} seq {}, which this controller does not{next}",
            behind.epoch, behind.seq
        ));
    }
    if let Some(cloned) = device.cloned {
        line(format!(
            "cloned    two units run as this device, in device epochs {} and {}; invite it again",
            cloned.held_epoch, cloned.shown_epoch
        ));
    }
    if device.evidence > 0 {
        line(format!(
            "evidence  {}; look at `postern evidence {}`",
            device.evidence, device.name
        ));
    }
    for (verb, intent) in &device.intents {
        let outcome = intent.outcome.as_deref().unwrap_or_default();
        let status = intent.status.map(|status| format!(" status {status}"));
        let status = status.unwrap_or_default();
        line(format!(
            "intent    {verb} {} {outcome}{status}",
            intent.value
        ));
    }
    text
}

fn details(device: &DeviceStatus) -> String {
    let mut text = String::new();
    let mut cursor = |name: &str, epoch: u64, seq: u64, digest: &str| {
        let line = format!("{name:<9} epoch {epoch} seq {seq} {digest}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    cursor(
        "desired",
        device.desired.epoch,
        device.desired.seq,
        &device.desired.digest,
    );
    cursor("received", device.received.epoch, device.received.seq, "");
    cursor("accepted", device.accepted.epoch, device.accepted.seq, "");
    let digest = device.applied_digest.as_deref().unwrap_or_default();
    cursor("applied", device.applied.epoch, device.applied.seq, digest);
    if let Some(generation) = device.encrypted {
        let _ = writeln!(text, "encrypted keys of generation {generation}");
    }
    text.push_str(&life(device));
    for reject in &device.rejects {
        let _ = writeln!(
            text,
            "refused   {} epoch {} seq {}: {}",
            reject.kind, reject.epoch, reject.seq, reject.reason
        );
    }
    for result in &device.results {
        let _ = writeln!(
            text,
            "result    epoch {} seq {}: status {} {}",
            result.epoch,
            result.seq,
            result.status,
            first_line(&result.output)
        );
    }
    text
}

fn short(digest: &str) -> &str {
    digest.get(..DIGEST_CHARS).unwrap_or(digest)
}

/// Returns what fits a table, without anything that could command a terminal.
fn first_line(output: &str) -> String {
    let line = output.lines().next().unwrap_or_default();
    line.chars()
        .filter(|shown| !shown.is_control())
        .take(60)
        .collect()
}
