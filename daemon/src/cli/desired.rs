//! `postern desired`: set, put, get, rm, apply.
//!
//! Each is one request to the running controller over its socket. Refuses to touch the store.

use super::apply::{self, Named};
use super::{OperatorArgs, output, parse_device, parse_path};
use crate::exit::{CommandError, Exit};
use crate::operator::client::{Client, unexpected};
use crate::operator::{HeadJson, Request, Response, value};
use clap::{Args, Subcommand};
use postern_protocol::id::DeviceName;
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::{Change, Path, Value};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Seconds that `--wait` waits when it is given no number. Arbitrary, above the longest hold of a device.
pub(super) const WAIT_S: &str = "300";

#[derive(Debug, Subcommand)]
pub(super) enum DesiredCommand {
    /// Set one path
    #[command(
        long_about = "Sets one path of a device's desired state. A value is a JSON scalar: 3, 1.5, true, null, '\"text\"'.\n\n\
            Example: postern desired set hall-1 fan/speed 3 --wait\n         \
            postern desired set hall-1 site/name 'Hall 1' --string"
    )]
    Set(SetArgs),
    /// Set several paths as one decision
    #[command(
        long_about = "Sets several paths as one decision: the device gets all of them or none.\n\n\
            Example: postern desired put hall-1 fan/speed=3 fan/on=true --wait"
    )]
    Put(PutArgs),
    /// Print the desired state, or a part of it
    #[command(
        long_about = "Prints the desired state of a device, or the value of one path and everything below it.\n\n\
            Example: postern desired get hall-1 fan"
    )]
    Get(GetArgs),
    /// Remove paths
    #[command(
        long_about = "Removes paths as one decision. A path that is not there is refused.\n\n\
            Example: postern desired rm hall-1 fan/speed fan/on"
    )]
    Rm(RmArgs),
    /// Bring in many paths from a folder or a JSON file, as one decision
    #[command(
        long_about = "Brings in many paths as one decision. From a folder: each file is the value of its relative path\n\
            (text if it is UTF-8, else bytes). From a file: a JSON object from path to scalar. Paths that are\n\
            not named stay, unless --prune removes them.\n\n\
            Example: postern desired apply hall-1 -f ./hall-1 --prune --wait"
    )]
    Apply(ApplyArgs),
}

#[derive(Debug, Args)]
pub(super) struct DecisionArgs {
    /// Wait until the device reports it as applied, at most SECS seconds
    #[arg(long, value_name = "SECS", num_args = 0..=1, default_missing_value = WAIT_S, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: Option<u64>,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// The device
    #[arg(value_name = "DEVICE", value_parser = parse_device)]
    device: DeviceName,
    /// The path, such as fan/speed
    #[arg(value_name = "PATH", value_parser = parse_path)]
    path: Path,
    /// The value: a JSON scalar
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    value: String,
    /// Take VALUE as text, as it is
    #[arg(long, conflicts_with = "file")]
    string: bool,
    /// Take VALUE as the name of a file that holds the value
    #[arg(long)]
    file: bool,
    #[command(flatten)]
    decision: DecisionArgs,
}

#[derive(Debug, Args)]
pub(super) struct PutArgs {
    /// The device
    #[arg(value_name = "DEVICE", value_parser = parse_device)]
    device: DeviceName,
    /// Path and value, such as fan/speed=3
    #[arg(value_name = "PATH=VALUE", required = true)]
    pairs: Vec<String>,
    /// Take values as text, as they are
    #[arg(long)]
    string: bool,
    #[command(flatten)]
    decision: DecisionArgs,
}

#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// The device
    #[arg(value_name = "DEVICE", value_parser = parse_device)]
    device: DeviceName,
    /// The path [default: everything]
    #[arg(value_name = "PATH", value_parser = parse_path)]
    path: Option<Path>,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct RmArgs {
    /// The device
    #[arg(value_name = "DEVICE", value_parser = parse_device)]
    device: DeviceName,
    /// Paths to remove
    #[arg(value_name = "PATH", required = true, value_parser = parse_path)]
    paths: Vec<Path>,
    #[command(flatten)]
    decision: DecisionArgs,
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The device
    #[arg(value_name = "DEVICE", value_parser = parse_device)]
    device: DeviceName,
    /// A folder of values, or a JSON file from path to scalar
    #[arg(short = 'f', long = "from", value_name = "DIR|FILE")]
    from: PathBuf,
    /// Remove every path that is not named
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    decision: DecisionArgs,
}

impl DesiredCommand {
    pub(super) const fn is_json(&self) -> bool {
        match self {
            Self::Set(args) => args.decision.operator.json,
            Self::Put(args) => args.decision.operator.json,
            Self::Get(args) => args.operator.json,
            Self::Rm(args) => args.decision.operator.json,
            Self::Apply(args) => args.decision.operator.json,
        }
    }
}

pub(super) fn run(command: DesiredCommand) -> Result<(), CommandError> {
    match command {
        DesiredCommand::Set(args) => {
            let set = if args.string {
                check(&args.path, Value::Text(args.value))?
            } else if args.file {
                apply::value_of_file(args.value.as_ref())?
            } else {
                typed(&args.path, &args.value)?
            };
            decide(
                &args.decision,
                args.device,
                vec![Change::Set(args.path, set)],
            )
        }
        DesiredCommand::Put(args) => {
            let changes = args.pairs.iter().map(|pair| parse_pair(pair, args.string));
            decide(
                &args.decision,
                args.device,
                changes.collect::<Result<_, _>>()?,
            )
        }
        DesiredCommand::Get(args) => get(&args),
        DesiredCommand::Rm(args) => {
            let changes = args.paths.into_iter().map(Change::Remove).collect();
            decide(&args.decision, args.device, changes)
        }
        DesiredCommand::Apply(args) => bring_in(args),
    }
}

fn refused_value(path: &str, reason: &str) -> CommandError {
    CommandError::new(
        Exit::Usage,
        "value-refused",
        format!("{path}: {reason}"),
        "write a JSON scalar such as 3, true, null or '\"text\"', or use --string",
    )
}

fn typed(path: &Path, text: &str) -> Result<Value, CommandError> {
    value::from_typed(text).map_err(|reason| refused_value(path.as_str(), &reason))
}

fn check(path: &Path, set: Value) -> Result<Value, CommandError> {
    let checked = set.check().map(|()| set);
    checked.map_err(|reject| refused_value(path.as_str(), reject.sentence()))
}

fn parse_pair(pair: &str, is_text: bool) -> Result<Change, CommandError> {
    let Some((path, text)) = pair.split_once('=') else {
        return Err(refused_value(
            pair,
            "there is no `=` between path and value",
        ));
    };
    let path = Path::parse(path).map_err(|reject| {
        let message = format!("`{path}`: {}", reject.sentence());
        CommandError::new(
            Exit::Usage,
            reject.as_str(),
            message,
            "write paths such as fan/speed",
        )
    })?;
    let set = match is_text {
        true => check(&path, Value::Text(text.to_owned()))?,
        false => typed(&path, text)?,
    };
    Ok(Change::Set(path, set))
}

fn get(args: &GetArgs) -> Result<(), CommandError> {
    let operator = &args.operator;
    let mut client = Client::connect(&operator.dir())?;
    let (desired, values) = values(&mut client, operator, &args.device, args.path.as_ref())?;
    if let (Some(path), true) = (&args.path, values.is_empty()) {
        return Err(CommandError::failure(
            "path-absent",
            format!("{} has nothing at {path}", args.device),
            format!("list all paths with `postern desired get {}`", args.device),
        ));
    }
    if operator.json {
        output::json(&json!({
            "device": args.device.as_str(),
            "tenant": operator.tenant.as_str(),
            "desired": desired,
            "values": values,
        }));
        return Ok(());
    }
    let exact = args
        .path
        .as_ref()
        .and_then(|path| values.get(path.as_str()));
    match exact {
        Some(found) => output::line(found.to_string()),
        None => {
            let lines = values
                .iter()
                .map(|(path, found)| format!("{path} = {found}\n"));
            output::text(&lines.collect::<String>());
        }
    }
    Ok(())
}

type Values = (Json, BTreeMap<String, Json>);

fn values(
    client: &mut Client,
    operator: &OperatorArgs,
    device: &DeviceName,
    path: Option<&Path>,
) -> Result<Values, CommandError> {
    let request = Request::Get {
        target: operator.target(device),
        path: path.cloned(),
    };
    let Response::Values { desired, values } = client.ask(&request)? else {
        return Err(unexpected());
    };
    Ok((json!(desired), values))
}

fn bring_in(args: ApplyArgs) -> Result<(), CommandError> {
    let named: Named = apply::read(&args.from)?;
    if named.is_empty() && !args.prune {
        return Err(CommandError::configuration(
            "nothing-named",
            format!("{}: there is no value to bring in", args.from.display()),
            "name another folder or file, or remove everything with --prune",
        ));
    }
    let sets = || {
        named
            .iter()
            .map(|(path, set)| Change::Set(path.clone(), set.clone()))
    };
    if !args.prune {
        return decide(&args.decision, args.device, sets().collect());
    }
    let operator = &args.decision.operator;
    let mut client = Client::connect(&operator.dir())?;
    // What is removed was looked at before: a decision in between is looked at again, once.
    for is_last in [false, true] {
        let (desired, held) = held(&mut client, operator, &args.device)?;
        let gone = held
            .keys()
            .filter(|path| !named.contains_key(path.as_str()))
            .filter_map(|path| Path::parse(path).ok());
        let changes = gone.map(Change::Remove).chain(sets()).collect();
        let base = Revision::new(Epoch::new(desired.epoch), Seq::new(desired.seq));
        let decided = decide_on(&args.decision, args.device.clone(), changes, Some(base));
        match decided {
            Err(error) if error.name == "base-changed" && !is_last => {}
            decided => return decided,
        }
    }
    Ok(())
}

/// Returns the whole desired state and where it stands.
fn held(
    client: &mut Client,
    operator: &OperatorArgs,
    device: &DeviceName,
) -> Result<(HeadJson, BTreeMap<String, Json>), CommandError> {
    let request = Request::Get {
        target: operator.target(device),
        path: None,
    };
    let Response::Values { desired, values } = client.ask(&request)? else {
        return Err(unexpected());
    };
    Ok((desired, values))
}

fn decide(
    args: &DecisionArgs,
    device: DeviceName,
    changes: Vec<Change>,
) -> Result<(), CommandError> {
    decide_on(args, device, changes, None)
}

/// Decides, where `base` is given only on the state that stands there.
fn decide_on(
    args: &DecisionArgs,
    device: DeviceName,
    changes: Vec<Change>,
    base: Option<Revision>,
) -> Result<(), CommandError> {
    let operator = &args.operator;
    let mut client = Client::connect(&operator.dir())?;
    let request = Request::Decide {
        target: operator.target(&device),
        changes,
        base,
    };
    let Response::Decided { desired, changed } = client.ask(&request)? else {
        return Err(unexpected());
    };
    let revision = Revision::new(Epoch::new(desired.epoch), Seq::new(desired.seq));
    let applied = args
        .wait
        .map(|seconds| wait(&mut client, operator, &device, revision, seconds));
    let applied = applied.transpose()?;
    if operator.json {
        let mut printed = json!({
            "device": device.as_str(),
            "tenant": operator.tenant.as_str(),
            "changed": changed,
            "desired": desired,
        });
        if let (Some(applied), Some(members)) = (applied, printed.as_object_mut()) {
            members.insert("applied".into(), applied);
        }
        output::json(&printed);
    } else {
        let what = if changed { "decided" } else { "unchanged" };
        let end = if applied.is_some() { ", applied" } else { "" };
        output::line(format!(
            "{what} {device}: epoch {} seq {}{end}",
            desired.epoch, desired.seq
        ));
    }
    Ok(())
}

fn wait(
    client: &mut Client,
    operator: &OperatorArgs,
    device: &DeviceName,
    revision: Revision,
    seconds: u64,
) -> Result<Json, CommandError> {
    let request = Request::Wait {
        target: operator.target(device),
        revision,
        timeout_ms: seconds.saturating_mul(1_000),
    };
    let answer = client.ask(&request)?;
    if let Response::Applied { applied } = answer {
        return Ok(json!(applied));
    }
    let Response::Failed { result } = answer else {
        return Err(unexpected());
    };
    Err(CommandError::failure(
        "apply-failed",
        format!(
            "{device} could not apply seq {} (status {}): {}",
            result.seq,
            result.status,
            match result.output.trim_end() {
                "" => "it printed nothing",
                output => output,
            }
        ),
        "correct the desired state or the device's on_change command; the decision stands",
    ))
}
