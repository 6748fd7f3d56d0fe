//! `postern device`: join, run, and what comes after.
//!
//! A join line comes from standard input or a file, never as an argument: others can read those.

use super::device_life::{self, LifeArgs, ResetArgs, RotateArgs};
use super::device_status::{self, StatusArgs};
use super::{LogArgs, block_on, block_on_two_threads, output};
use crate::config::DeviceConfig;
use crate::device as driver;
use crate::exit::CommandError;
use clap::{Args, Subcommand, ValueEnum};
use postern_protocol::join_line::JoinLine;
use postern_protocol::key::Algorithm;
use postern_protocol::limits::JOIN_LINE_CHARS_MAX;
use serde_json::json;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[derive(Debug, Subcommand)]
pub(super) enum DeviceCommand {
    /// Join a controller with a join line from standard input
    #[command(
        long_about = "Joins a controller with a join line, read from standard input or a file: as an argument, every\n\
            user of this machine could read its secret. Makes the device's key, device.toml and store.\n\
            Behind a proxy, set https_proxy, or write device.toml into the folder first.\n\n\
            Example: postern device join --dir device < hall-1.join"
    )]
    Join(JoinArgs),
    /// Run the device of a folder
    #[command(
        long_about = "Runs the device of a folder until it gets SIGTERM or SIGINT: follows the desired state, brings\n\
            it to the application as device.toml says, and reports.\n\n\
            Example: postern device run --dir device"
    )]
    Run(RunArgs),
    /// Show how the device of a folder is
    #[command(
        long_about = "Shows how the device of a folder is: what it accepted and applied, why not, and by which way it is\n\
            connected. Asks the running device; of one that does not run, what it wrote last. With --attempts, how its\n\
            last attempts to get out ended, as `egress/CODES.md` explains the codes.\n\n\
            Example: postern device status --dir device"
    )]
    Status(StatusArgs),
    /// Keep changes from the application
    #[command(
        long_about = "Keeps changes from the application until `postern device resume`, over restarts. Revisions are still\n\
            accepted and reported; what runs already goes on. Works whether the device runs or not.\n\n\
            Example: postern device pause --dir device"
    )]
    Pause(LifeArgs),
    /// Let changes through to the application again
    #[command(
        long_about = "Ends `postern device pause`: the newest accepted revision is applied.\n\n\
            Example: postern device resume --dir device"
    )]
    Resume(LifeArgs),
    /// Give the running device a new key
    #[command(
        name = "rotate-key",
        long_about = "Makes a new key and asks the controller to count it. Until it confirms, the present key signs\n\
            everything; the two are never mixed up, and an interrupted rotation goes on at the next start.\n\n\
            Example: postern device rotate-key --dir device"
    )]
    RotateKey(RotateArgs),
    /// End the membership: the controller closes it, the device stops
    #[command(
        long_about = "Tells the controller that this device leaves. The device stops once the controller has said that it\n\
            knows, and is not started again; `postern device reset` makes the folder ready for a new join line.\n\n\
            Example: postern device leave --dir device"
    )]
    Leave(LifeArgs),
    /// Forget the controller: remove key, store and identity
    #[command(
        long_about = "Removes key, store and identity of a device that does not run; device.toml and rendered files stay.\n\
            Joining again needs a new join line, which closes the old membership.\n\n\
            Example: postern device reset --dir device --yes"
    )]
    Reset(ResetArgs),
}

/// The type of a device's key.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum KeyType {
    Ed25519,
    P256,
}

impl From<KeyType> for Algorithm {
    fn from(key_type: KeyType) -> Self {
        match key_type {
            KeyType::Ed25519 => Self::Ed25519,
            KeyType::P256 => Self::Esp256,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct JoinArgs {
    /// The device's folder
    #[arg(long, value_name = "DIR", default_value = "device")]
    dir: PathBuf,
    /// Read the join line from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Type of the device's key: for hardware and rules that know no Ed25519, p256 [default: ed25519]
    #[arg(long, value_name = "TYPE")]
    key_type: Option<KeyType>,
    /// Do not ask over a network: write the request into this file, for `postern bundle import` on the controller
    #[arg(long, value_name = "FILE")]
    to_file: Option<PathBuf>,
    /// Write over a file that exists
    #[arg(long, requires = "to_file")]
    force: bool,
    /// Print results and errors as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The device's folder
    #[arg(long, value_name = "DIR", default_value = "device")]
    dir: PathBuf,
    #[command(flatten)]
    log: LogArgs,
}

impl DeviceCommand {
    pub(super) const fn is_json(&self) -> bool {
        match self {
            Self::Join(args) => args.json,
            Self::Run(_) => false,
            Self::Pause(args) | Self::Resume(args) | Self::Leave(args) => args.json,
            Self::Status(args) => args.life.json,
            Self::RotateKey(args) => args.life.json,
            Self::Reset(args) => args.json,
        }
    }
}

pub(super) fn run(command: DeviceCommand) -> Result<(), CommandError> {
    match command {
        DeviceCommand::Join(args) => join(&args),
        DeviceCommand::Run(args) => {
            let config = DeviceConfig::load(&args.dir)?;
            args.log.start(&config.log);
            block_on_two_threads(driver::run(&config))
        }
        DeviceCommand::Status(args) => device_status::status(&args),
        DeviceCommand::Pause(args) => device_life::pause(&args),
        DeviceCommand::Resume(args) => device_life::resume(&args),
        DeviceCommand::RotateKey(args) => device_life::rotate_key(&args),
        DeviceCommand::Leave(args) => device_life::leave(&args),
        DeviceCommand::Reset(args) => device_life::reset(&args),
    }
}

fn join(args: &JoinArgs) -> Result<(), CommandError> {
    let line = read_line(args.file.as_deref())?;
    let line = JoinLine::parse(&line).map_err(|error| {
        CommandError::configuration(
            "join-line-refused",
            error.to_string(),
            "copy the whole line that `postern controller invite` printed, or ask for a new one",
        )
    })?;
    let config = DeviceConfig::load_or_create(&args.dir)?;
    args.log.start(&config.log);
    if let Some(file) = &args.to_file {
        return ask_by_file(args, &config, &line, file);
    }
    let report = block_on(driver::join(
        &config,
        &line,
        args.key_type.map(Algorithm::from),
    ))?;
    if args.json {
        output::json(&json!({
            "device": report.device,
            "tenant": report.tenant,
            "route": report.route,
            "bundle": report.bundle,
        }));
    } else {
        let dir = args.dir.display();
        output::line(format!(
            "joined as {} of tenant {}, route {}\nNext:\n  postern device run --dir {dir}",
            report.device, report.tenant, report.route
        ));
    }
    Ok(())
}

/// Writes the request to join into a file. It proves the secret of the join line and does not hold it.
fn ask_by_file(
    args: &JoinArgs,
    config: &DeviceConfig,
    line: &JoinLine,
    file: &Path,
) -> Result<(), CommandError> {
    let request = driver::request(config, line, args.key_type.map(Algorithm::from))?;
    crate::filed::write(file, &[request], args.force)?;
    let (device, dir) = (line.device.as_str(), args.dir.display());
    if args.json {
        output::json(&json!({ "device": device, "tenant": line.tenant.as_str(), "file": file }));
        return Ok(());
    }
    let file = file.display();
    output::line(format!(
        "wrote {file}: the request of {device} to join\nNext, at the controller:\n  \
        postern bundle import {file}\n  postern bundle export {device}\n\
        then here:\n  postern bundle import {device}.down --device {dir}"
    ));
    Ok(())
}

//= spec/lives.md#join-line
//# A device SHOULD read the join line from standard input or a file and not from its arguments.
/// Reads one line that holds a secret.
pub(super) fn read_line(file: Option<&Path>) -> Result<Zeroizing<String>, CommandError> {
    match file {
        Some(path) => {
            let unreadable = |error: io::Error| {
                let message = format!("{}: {error}", path.display());
                CommandError::configuration(
                    "join-line-unreadable",
                    message,
                    "name the join line's file with --file",
                )
            };
            let opened = File::open(path).map_err(unreadable)?;
            read_from(opened).map_err(unreadable)
        }
        None => {
            if io::stdin().is_terminal() {
                output::hint("Paste the join line and press Enter:");
            }
            read_from(io::stdin()).map_err(|error| {
                let message = format!("standard input: {error}");
                CommandError::configuration(
                    "join-line-unreadable",
                    message,
                    "pipe the join line in, or use --file",
                )
            })
        }
    }
}

fn read_from(source: impl Read) -> io::Result<Zeroizing<String>> {
    let most = JOIN_LINE_CHARS_MAX + 2;
    let mut line = Zeroizing::new(String::with_capacity(most));
    let bound = u64::try_from(most).unwrap_or(u64::MAX);
    BufReader::new(source.take(bound)).read_line(&mut line)?;
    Ok(line)
}
