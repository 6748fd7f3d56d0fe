//! What may be typed: the command line, its help, and how every command ends.
//!
//! Results go to standard output, everything else to standard error; an error has a name, the
//! file or key that it is about, and a next step. Refuses secrets as arguments: those of other
//! processes can be read by anybody on the machine.

mod actual;
mod apply;
mod bundle;
mod controller;
mod desired;
mod device;
mod device_life;
mod device_status;
mod doctor;
mod intent;
mod keep;
mod recover;
mod relays;
mod rotation;
mod status;
mod support;
#[cfg(test)]
mod tests;

use crate::exit::{CommandError, Exit};
use crate::operator::Target;
use crate::{conformance, demo, inspect};
use clap::{Args, Parser, Subcommand};
use postern_console::output;
use postern_protocol::id::{DeviceName, Tenant};
use std::path::PathBuf;
use std::process::ExitCode;

/// Name of an end that is a result and no error: only its exit code counts.
const SILENT: &str = "different";

const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 failed at run time · 2 wrong command line · 3 configuration, key or
input refused · 4 not running or not reachable · 5 refused by the controller · 6 wait timed
out · 7 store damaged, newer, in use or not writable";

/// Brings a signed desired state to devices behind strict networks, and their answer back.
#[derive(Debug, Parser)]
#[command(
    name = "postern",
    version,
    max_term_width = 100,
    subcommand_required = true,
    after_help = EXIT_CODES,
    long_about = "Brings a signed desired state to devices behind strict networks, and their answer back.\n\n\
        Try it:   postern demo\n\
        For real: postern controller init --dir c && postern controller run --dir c\n          \
        postern controller invite hall-1 --dir c | postern device join --dir d\n          \
        postern device run --dir d\n          \
        postern desired set hall-1 fan/speed 3 --dir c --wait"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, run or extend a controller
    #[command(subcommand)]
    Controller(controller::ControllerCommand),
    /// Join, run or pause a device
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// Decide what devices should be
    #[command(subcommand)]
    Desired(desired::DesiredCommand),
    /// Show how far devices are
    #[command(
        long_about = "Shows how far devices are: what they should be, what they applied, what they refused.\n\n\
        STATE  invited: has not joined · silent: has not reported · behind: has not applied all\n       \
        failing: its application refused · converged: is what it should be\n\n\
        Example: postern status --watch"
    )]
    Status(status::StatusArgs),
    /// Show what devices say they are
    #[command(subcommand)]
    Actual(actual::ActualCommand),
    /// Compare what a device should be with what it says it is
    #[command(
        long_about = "Compares desired and actual state: sections by their digests, then the paths of those that differ.\n\
        A section that the device's application does not report is shown so and is no difference;\n\
        the sections `intent` and `postern` are not compared.\n\n\
        Exit code 0: equal where reported · 1: different · others as usual\n\n\
        Example: postern diff hall-1"
    )]
    Diff(actual::DiffArgs),
    /// Let a device do something once
    #[command(
        long_about = "Raises an intent by one: the device carries the verb out exactly once, even if it is told twice.\n\n\
        Example: postern intent hall-1 restart --wait"
    )]
    Intent(intent::IntentArgs),
    /// Let a device act on no decision for now
    #[command(
        long_about = "Sets postern/pause in a device's desired state: it goes on receiving, and applies nothing until\n\
        `postern resume`.\n\n\
        Example: postern pause hall-1"
    )]
    Pause(intent::PauseArgs),
    /// Let a paused device go on
    #[command(
        long_about = "Removes postern/pause from a device's desired state: it applies what came meanwhile.\n\n\
        Example: postern resume hall-1"
    )]
    Resume(intent::PauseArgs),
    /// Choose which history of a device counts, after a restore
    #[command(
        long_about = "Chooses between what a device holds and what this controller decided since a restore, where both\n\
        differ. `postern status NAME` shows the conflict.\n\n\
        Example: postern recover hall-1 --take device"
    )]
    Recover(recover::RecoverArgs),
    /// Show what a device proved against this controller
    #[command(
        long_about = "Shows the signed proofs that a device sent: that this controller lost decisions, or that two\n\
        contents were signed under one number.\n\n\
        Example: postern evidence hall-1"
    )]
    Evidence(recover::EvidenceArgs),
    /// Exchange files with a device that no network reaches
    #[command(subcommand)]
    Bundle(bundle::BundleCommand),
    /// Find out why this machine gets out or not, and what to ask its network's people for
    #[command(
        long_about = "Tries every way to every mailbox at once and prints each step: name, TCP, proxy, TLS and who issued\n\
        it, and who answers. Each failure has a code and what to ask for. The running device looks, as the\n\
        user and with the environment that it has; where none runs, this command does.\n\n\
        Exit code 0: the first mailbox is reached · 1: only a later one · 4: none · others as usual\n\n\
        Example: postern doctor --dir device\n         \
        postern doctor --join hall-1.join --bundle support.tar"
    )]
    Doctor(doctor::DoctorArgs),
    /// Show what a file of Postern's holds
    Inspect(inspect::InspectArgs),
    /// Show the whole system on this machine, in seconds and without set-up
    #[command(
        long_about = "Runs a controller, an inspecting proxy and three devices on loopback, with throw-away keys:\n\
        deployments are changed, an envelope is tampered with and refused, a device is killed and\n\
        started again, and every digest is equal at the end. With --relay, the direct way between\n\
        devices and controller is cut instead, and delivery goes on by a relay.\n\n\
        Example: postern demo --relay"
    )]
    Demo(DemoArgs),
    /// Answer single protocol operations as JSON lines
    #[command(
        long_about = "Answers single protocol operations from standard input as JSON lines, for conformance tests.\n\n\
            Example: echo '{\"op\":\"cbor.check\",\"id\":1,\"input\":\"00\"}' | postern conformance-child"
    )]
    ConformanceChild,
    /// Evaluates a PAC script for the process that started it
    #[command(name = postern_console::script_child::SUBCOMMAND, hide = true)]
    PacChild,
    /// Runs the relay of the demo
    #[command(name = "demo-relay", hide = true)]
    DemoRelay(DemoRelayArgs),
    /// Ties a process of the demo to the demo
    #[command(name = "demo-child", hide = true)]
    DemoChild(LeashArgs),
}

/// What the relay of the demo is started with.
#[derive(Debug, Args)]
struct DemoRelayArgs {
    /// Its folder
    dir: PathBuf,
    /// Where it listens
    listen: std::net::SocketAddr,
}

/// What a process of the demo is started with.
#[derive(Debug, Args)]
struct LeashArgs {
    /// The demo's process
    parent: u32,
    /// What to run
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Which controller, and whose devices.
#[derive(Debug, Clone, Args)]
struct OperatorArgs {
    /// The controller's folder [default: $POSTERN_DIR, else ./controller]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The tenant
    #[arg(long, value_name = "TENANT", default_value = "default", value_parser = parse_tenant)]
    tenant: Tenant,
    /// Print results and errors as JSON
    #[arg(long)]
    json: bool,
}

impl OperatorArgs {
    fn dir(&self) -> PathBuf {
        controller_dir(self.dir.as_ref())
    }

    fn target(&self, device: &DeviceName) -> Target {
        Target {
            tenant: self.tenant.clone(),
            device: device.clone(),
        }
    }
}

/// Returns the controller's folder: the option, the variable, or the usual place.
fn controller_dir(option: Option<&PathBuf>) -> PathBuf {
    option
        .cloned()
        .or_else(|| crate::config::variable("POSTERN_DIR").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("controller"))
}

/// What is logged; wins over the configuration file.
#[derive(Debug, Clone, Args)]
struct LogArgs {
    /// error, warn, info, debug, trace or a filter [default: the configuration file's]
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    log_level: Option<String>,
    /// Log one JSON object a line
    #[arg(long)]
    log_json: bool,
}

impl LogArgs {
    fn start(&self, configured: &crate::config::LogConfig) {
        let mut log = configured.clone();
        if let Some(level) = &self.log_level {
            log.level.clone_from(level);
        }
        log.is_json |= self.log_json;
        crate::telemetry::start(&log);
    }
}

/// A controller, an inspecting proxy and three devices on loopback, with throw-away keys.
#[derive(Debug, Args)]
struct DemoArgs {
    /// Keep the folder with everything in it, and say where it is
    #[arg(long)]
    keep: bool,
    /// The folder to use [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Cut the direct way and go on by a relay
    #[arg(long)]
    relay: bool,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

fn parse_tenant(text: &str) -> Result<Tenant, &'static str> {
    Tenant::parse(text).map_err(postern_protocol::Reject::sentence)
}

fn parse_device(text: &str) -> Result<DeviceName, &'static str> {
    DeviceName::parse(text).map_err(postern_protocol::Reject::sentence)
}

fn parse_path(text: &str) -> Result<postern_protocol::state::Path, &'static str> {
    postern_protocol::state::Path::parse(text).map_err(postern_protocol::Reject::sentence)
}

fn parse_level(text: &str) -> Result<String, String> {
    crate::telemetry::check_level(text).map(|()| text.to_owned())
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let is_json = cli.command.is_json();
    match run(cli.command) {
        Ok(()) => Exit::Success.into(),
        Err(error) if error.name == SILENT => error.exit.into(),
        Err(error) => {
            output::report(&error, is_json);
            error.exit.into()
        }
    }
}

impl Command {
    fn is_json(&self) -> bool {
        match self {
            Self::Controller(command) => command.is_json(),
            Self::Device(command) => command.is_json(),
            Self::Desired(command) => command.is_json(),
            Self::Status(args) => args.is_json(),
            Self::Actual(command) => command.is_json(),
            Self::Diff(args) => args.is_json(),
            Self::Intent(args) => args.is_json(),
            Self::Pause(args) | Self::Resume(args) => args.is_json(),
            Self::Recover(args) => args.is_json(),
            Self::Evidence(args) => args.is_json(),
            Self::Bundle(command) => command.is_json(),
            Self::Doctor(args) => args.json,
            Self::Inspect(args) => args.json,
            Self::Demo(args) => args.json,
            Self::ConformanceChild | Self::PacChild | Self::DemoChild(_) | Self::DemoRelay(_) => {
                false
            }
        }
    }
}

fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Controller(command) => controller::run(command),
        Command::Device(command) => device::run(command),
        Command::Desired(command) => desired::run(command),
        Command::Status(args) => status::run(&args),
        Command::Actual(command) => command.run(),
        Command::Diff(args) => args.run(),
        Command::Intent(args) => args.run(),
        Command::Pause(args) => args.pause(),
        Command::Resume(args) => args.resume(),
        Command::Recover(args) => args.run(),
        Command::Evidence(args) => args.run(),
        Command::Bundle(command) => command.run(),
        Command::Doctor(args) => doctor::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Demo(args) => block_on(demo::run(demo::DemoOptions {
            keep: args.keep,
            dir: args.dir,
            json: args.json,
            relay: args.relay,
        })),
        Command::DemoRelay(args) => block_on(demo::run_relay(&args.dir, args.listen)),
        Command::ConformanceChild => conformance::run(),
        Command::PacChild => postern_console::script_child::run(),
        Command::DemoChild(args) => Err(demo::leash(args.parent, &args.arguments)),
    }
}

/// Runs a future on all cores.
fn block_on<T>(future: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    run_on(tokio::runtime::Builder::new_multi_thread(), future)
}

/// Runs a future here and what it spawns on one thread more, however many cores there are: each thread has its own
/// stack and its own part of the heap, and the memory of a device is budgeted.
fn block_on_two_threads<T>(
    future: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1);
    run_on(builder, future)
}

fn run_on<T>(
    mut builder: tokio::runtime::Builder,
    future: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let runtime = builder.enable_all().build().map_err(|error| {
        CommandError::failure(
            "runtime-failed",
            format!("the runtime cannot start: {error}"),
            "raise the limits on threads and open files",
        )
    })?;
    runtime.block_on(future)
}
