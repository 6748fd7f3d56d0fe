//! `postern actual get` and `postern diff`: what a device says it is.
//!
//! Shown as the controller holds it, signed by the device. Refuses to hide that it may be old.

use super::{OperatorArgs, output, parse_device, parse_path};
use crate::exit::{CommandError, Exit};
use crate::operator::client::{Client, unexpected};
use crate::operator::diff::{Diff, PathDiff, SectionState};
use crate::operator::{Request, Response};
use clap::{Args, Subcommand};
use postern_protocol::id::DeviceName;
use postern_protocol::state::Path;
use serde_json::{Value as Json, json};

/// Characters of a value in a table; longer ones are cut.
const VALUE_CHARS: usize = 40;

#[derive(Debug, Subcommand)]
pub(super) enum ActualCommand {
    /// Print the actual state, or a part of it
    #[command(
        long_about = "Prints what a device says it is, or the value of one path and everything below it.\n\n\
            Example: postern actual get hall-1 fan"
    )]
    Get(GetArgs),
}

#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// The device
    #[arg(value_name = "NAME", value_parser = parse_device)]
    device: DeviceName,
    /// The path [default: everything]
    #[arg(value_name = "PATH", value_parser = parse_path)]
    path: Option<Path>,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The device
    #[arg(value_name = "NAME", value_parser = parse_device)]
    device: DeviceName,
    #[command(flatten)]
    operator: OperatorArgs,
}

impl ActualCommand {
    pub(super) const fn is_json(&self) -> bool {
        match self {
            Self::Get(args) => args.operator.json,
        }
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        match self {
            Self::Get(args) => args.run(),
        }
    }
}

impl GetArgs {
    fn run(&self) -> Result<(), CommandError> {
        let request = Request::Actual {
            target: self.operator.target(&self.device),
            path: self.path.clone(),
        };
        let Response::Actual {
            actual,
            stale,
            values,
        } = Client::connect(&self.operator.dir())?.ask(&request)?
        else {
            return Err(unexpected());
        };
        if let (Some(path), true) = (&self.path, values.is_empty()) {
            return Err(CommandError::failure(
                "path-absent",
                format!("{} reports nothing at {path}", self.device),
                format!("list all paths with `postern actual get {}`", self.device),
            ));
        }
        if self.operator.json {
            output::json(&json!({
                "device": self.device.as_str(),
                "tenant": self.operator.tenant.as_str(),
                "actual": actual,
                "stale": stale,
                "values": values,
            }));
            return Ok(());
        }
        if actual.is_none() {
            output::hint(format!("{} never said what it is", self.device));
        } else if stale {
            output::hint("This may be old: the device was not heard in the last minutes.");
        }
        let exact = self
            .path
            .as_ref()
            .and_then(|path| values.get(path.as_str()));
        if let Some(found) = exact {
            output::line(found.to_string());
        } else {
            let lines = values
                .iter()
                .map(|(path, found)| format!("{path} = {found}\n"));
            output::text(&lines.collect::<String>());
        }
        Ok(())
    }
}

impl DiffArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let request = Request::Diff {
            target: self.operator.target(&self.device),
        };
        let Response::Diff { diff } = Client::connect(&self.operator.dir())?.ask(&request)? else {
            return Err(unexpected());
        };
        if self.operator.json {
            output::json(&json!({
                "device": self.device.as_str(),
                "tenant": self.operator.tenant.as_str(),
                "diff": diff,
            }));
        } else {
            output::text(&table(self.device.as_str(), &diff));
        }
        if diff.equal {
            return Ok(());
        }
        // Being different is a result, not an error: nothing is printed for it.
        Err(CommandError::new(Exit::Failure, super::SILENT, "", ""))
    }
}

fn table(device: &str, diff: &Diff) -> String {
    let mut lines = Vec::new();
    let (same, other) = (diff.sections.values()).fold((0, 0), |(same, other), state| match state {
        SectionState::Equal => (same + 1, other),
        SectionState::Different | SectionState::NotDesired => (same, other + 1),
        SectionState::NotReported => (same, other),
    });
    let verdict = if diff.equal { "equal" } else { "different" };
    let old = if diff.stale { ", may be old" } else { "" };
    lines.push(format!(
        "{device}: {verdict} ({same} sections equal, {other} different{old})"
    ));
    for (section, state) in &diff.sections {
        let word = match state {
            SectionState::Equal => continue,
            SectionState::Different => "different",
            SectionState::NotReported => "not reported",
            SectionState::NotDesired => "not desired",
        };
        lines.push(format!("  section {section:<16} {word}"));
    }
    let width = diff.paths.iter().map(|path| path.path.len()).max();
    let width = width.unwrap_or_default().max(4);
    if !diff.paths.is_empty() {
        lines.push(format!(
            "  {:<width$}  {:<VALUE_CHARS$}  ACTUAL",
            "PATH", "DESIRED"
        ));
    }
    lines.extend(diff.paths.iter().map(|path| row(path, width)));
    lines.push(String::new());
    lines.join("\n")
}

fn row(path: &PathDiff, width: usize) -> String {
    let show = |value: &Option<Json>| match value {
        Some(value) => shorten(&value.to_string()),
        None => "-".into(),
    };
    let (desired, actual) = (show(&path.desired), show(&path.actual));
    format!("  {:<width$}  {desired:<VALUE_CHARS$}  {actual}", path.path)
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= VALUE_CHARS {
        return text.to_owned();
    }
    let kept: String = text.chars().take(VALUE_CHARS.saturating_sub(1)).collect();
    format!("{kept}…")
}
