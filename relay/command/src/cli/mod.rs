//! What may be typed: the command line, its help, and how every command ends.
//!
//! Results go to standard output, everything else to standard error; an error has a name, the
//! file or key that it is about, and a next step. Refuses secrets as arguments: those of other
//! processes can be read by anybody on the machine.

mod act;
mod look;
mod start;
mod table;
#[cfg(test)]
mod tests;
mod top;
mod upgrade;

use crate::admin::client::Client;
use crate::admin::{Request, Response};
use clap::{Args, Parser, Subcommand};
use postern_console::config::variable;
use postern_console::exit::{CommandError, Exit};
use postern_console::output;
use std::path::PathBuf;
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 failed at run time · 2 wrong command line · 3 configuration, key or
input refused, or a finding of `check` · 4 not running or not reachable · 5 refused by the
relay · 7 store damaged, newer, in use or not writable";

/// Keeps messages between devices and controllers that cannot reach each other, without being able to forge one.
#[derive(Debug, Parser)]
#[command(
    name = "postern-relay",
    version,
    max_term_width = 100,
    subcommand_required = true,
    after_help = EXIT_CODES,
    long_about = "Keeps messages between devices and controllers that cannot reach each other, without being able to\n\
        forge one. Both ends dial out to it.\n\n\
        Make one:   postern controller trust --dir controller > trust.line          (at the controller)\n            \
        postern-relay init --url https://relay.example:8443 < trust.line > relay.line\n            \
        postern controller relay add --dir controller < relay.line      (at the controller)\n            \
        postern-relay check && postern-relay run\n\
        Watch it:   postern-relay status · top · tenants · mailboxes · sessions · metrics\n\
        Change it:  edit relay.toml, then postern-relay check && postern-relay reload\n\
        Maintain:   postern-relay drain --wait, work, postern-relay undrain\n            \
        postern-relay upgrade, when a newer program stands in the place of this one\n\n\
        Everything beside init, check, line and run talks to the relay of the folder that --dir or\n\
        POSTERN_RELAY_DIR names, over its Unix socket, as the user who runs it."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a relay: key, TLS certificate, pinned trust, configuration
    #[command(
        long_about = "Makes a relay's folder from the trust line of a controller on standard input: a mailbox key, a TLS\n\
        certificate (or takes yours), the pinned trust line and relay.toml with every key explained.\n\
        Prints the relay line, alone, on standard output: give it to `postern controller relay add`, and\n\
        devices learn of this relay with their next bundle. Neither line holds a secret.\n\n\
        Example: postern-relay init --dir relay --url https://relay.example:8443 --listen 0.0.0.0:8443 < trust.line"
    )]
    Init(start::InitArgs),
    /// Print the relay line again
    #[command(
        long_about = "Prints the line by which `postern controller relay add` names this relay in the next bundle. It\n\
        changes when urls or tls.ca_file change in relay.toml.\n\n\
        Example: postern-relay line --dir relay | postern controller relay add --dir controller"
    )]
    Line(start::LineArgs),
    /// Find what would keep the relay from running well
    #[command(
        long_about = "Looks at configuration, keys and their modes, trust line, certificate (key, dates, names), store,\n\
        addresses, audit log, and whether the limits fit memory and open files. Changes nothing. Each\n\
        finding has a remedy.\n\n\
        Exit code 0: all is well, or only warnings · 3: at least one error\n\n\
        Example: postern-relay check --dir relay"
    )]
    Check(start::CheckArgs),
    /// Run the relay of a folder
    #[command(
        long_about = "Runs the relay of a folder. SIGHUP reads relay.toml and the certificate again, without dropping a\n\
        connection. SIGTERM or SIGINT tells devices to go, spread over drain.stop_within_s, then ends; a\n\
        second one ends at once. Under systemd it reports readiness and feeds the watchdog.\n\n\
        Example: postern-relay run --dir /var/lib/postern-relay --log-format json"
    )]
    Run(start::RunArgs),
    /// Read relay.toml and the certificate again
    #[command(
        long_about = "Reads relay.toml and the certificate again, all or nothing: when anything is wrong the old ones go\n\
        on. Tells which keys count now and which take a restart. No connection is dropped.\n\n\
        Example: postern-relay check && postern-relay reload"
    )]
    Reload(RelayArgs),
    /// Let devices go, spread over a window
    #[command(
        long_about = "Turns /readyz false first, waits drain.announce_s for load balancers to see it, then answers held\n\
        polls evenly over the window with a hint when to come again, and gives what is under way\n\
        drain.grace_s to end. Devices with another relay in their bundle are sent there, and ask now and\n\
        then whether this one takes them again. The process goes on running; `undrain` takes devices again.\n\n\
        Example: postern-relay drain --within 120s --wait"
    )]
    Drain(act::DrainArgs),
    /// Take devices again
    #[command(long_about = "Ends a drain.\n\nExample: postern-relay undrain")]
    Undrain(RelayArgs),
    /// Go on with the program that stands there now, without refusing a connection
    #[command(
        long_about = "Starts the program from the file that this relay was started from, which may be a newer one by now,\n\
        waits until it has read its configuration and its keys, answers held polls over drain.stop_within_s,\n\
        and hands over: sockets stay open, so that connections wait instead of being refused, and sessions\n\
        go on without a new hello. A program that is not ready changes nothing; one that cannot serve is\n\
        followed by the old one. Keys of relay.toml that take a restart count afterwards.\n\n\
        Example: postern-relay upgrade --dir /var/lib/postern-relay"
    )]
    Upgrade(RelayArgs),
    /// Show how the relay is
    #[command(
        long_about = "Shows readiness with reasons, the drain, and the numbers of the whole relay.\n\n\
        Example: postern-relay status --json"
    )]
    Status(RelayArgs),
    /// Show tenants: who is connected, how much is kept
    #[command(
        long_about = "Shows each tenant: whether its controller is connected, how old its last word is, devices, sessions,\n\
        bytes kept and its quota, bytes on their way to the disk, entries not yet collected.\n\n\
        Example: postern-relay tenants"
    )]
    Tenants(RelayArgs),
    /// Show mailboxes, never what is in them
    #[command(
        long_about = "Shows mailboxes: device, bytes kept for it and from it against its quota, heads of both planes.\n\
        A relay does not read contents, so there is no command to show them.\n\n\
        Example: postern-relay mailboxes --tenant plant-1"
    )]
    Mailboxes(look::MailboxesArgs),
    /// Show or change what a tenant may use
    #[command(
        long_about = "Shows a tenant's quota, or changes it durably and at once; it stands in the relay's store. The admissions\n\
        that the controller signs say what each device may have; this bounds the tenant as a whole, in both\n\
        directions. What would grow beyond it is refused with `quota`; what is kept already stays.\n\n\
        Example: postern-relay quota plant-1 500000000\n         \
        postern-relay quota plant-1 --usual"
    )]
    Quota(act::QuotaArgs),
    /// Show open sessions
    #[command(
        long_about = "Shows open sessions of devices and of writers (controllers), at most 1,000.\n\n\
        Example: postern-relay sessions --tenant plant-1"
    )]
    Sessions(look::SessionsArgs),
    /// End sessions of a device or a whole tenant; they may come again
    #[command(
        long_about = "Ends the session of a device, or of a tenant's writer and all its devices. They may come again at\n\
        once: to keep one out, remove or revoke it at the controller.\n\n\
        Example: postern-relay disconnect plant-1 press-4"
    )]
    Disconnect(act::DisconnectArgs),
    /// Watch tenants, rates and refusals
    #[command(
        long_about = "A table of the relay and its tenants, drawn anew every second: sessions, bytes, what arrived and was\n\
        collected per second, and what was refused for which reason. Ends with Ctrl-C. --once prints it once without control characters.\n\n\
        Example: postern-relay top\n         postern-relay top --once"
    )]
    Top(top::TopArgs),
    /// Show every key that counts now
    #[command(
        long_about = "Shows every key of relay.toml with the value that the running relay goes by, defaults included.\n\n\
        Example: postern-relay limits"
    )]
    Limits(RelayArgs),
    /// Print counters and gauges for Prometheus
    #[command(
        long_about = "Prints what /metrics serves, in the text format of Prometheus.\n\n\
        Example: postern-relay metrics > postern-relay.prom"
    )]
    Metrics(RelayArgs),
    /// Show or verify who changed what
    #[command(
        long_about = "Shows the last lines of the audit log, or verifies the whole chain: each line names the hash of the\n\
        one before it. What was cut off at the end only shows beside a hash noted elsewhere: compare the\n\
        last one with your journal, where each is logged as `audited`. Works without a running relay.\n\n\
        Example: postern-relay audit --verify"
    )]
    Audit(look::AuditArgs),
    /// Evaluates a PAC script for the process that started it
    #[command(name = postern_console::script_child::SUBCOMMAND, hide = true)]
    PacChild,
}

/// Which relay.
#[derive(Debug, Clone, Args)]
struct RelayArgs {
    /// The relay's folder [default: $POSTERN_RELAY_DIR, else ./relay]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print results and errors as JSON
    #[arg(long)]
    json: bool,
}

impl RelayArgs {
    fn dir(&self) -> PathBuf {
        relay_dir(self.dir.as_ref())
    }

    fn ask(&self, request: &Request) -> Result<Response, CommandError> {
        Client::connect(&self.dir())?.ask(request)
    }

    /// Prints an answer as JSON where that was asked for. Returns whether it did.
    fn printed(&self, response: &Response) -> bool {
        if self.json {
            output::json(&serde_json::to_value(response).unwrap_or_default());
        }
        self.json
    }
}

/// Returns the relay's folder: the option, the variable, or the usual place.
fn relay_dir(option: Option<&PathBuf>) -> PathBuf {
    option
        .cloned()
        .or_else(|| variable("POSTERN_RELAY_DIR").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("relay"))
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let is_json = cli.command.is_json();
    match run(cli.command) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::report(&error, is_json);
            error.exit.into()
        }
    }
}

impl Command {
    fn is_json(&self) -> bool {
        match self {
            Self::Init(args) => args.json,
            Self::Run(_) | Self::PacChild => false,
            Self::Line(args) => args.relay.json,
            Self::Check(args) => args.relay.json,
            Self::Drain(args) => args.relay.json,
            Self::Mailboxes(args) => args.relay.json,
            Self::Quota(args) => args.relay.json,
            Self::Sessions(args) => args.relay.json,
            Self::Disconnect(args) => args.relay.json,
            Self::Top(args) => args.relay.json,
            Self::Audit(args) => args.relay.json,
            Self::Reload(relay)
            | Self::Undrain(relay)
            | Self::Upgrade(relay)
            | Self::Status(relay)
            | Self::Tenants(relay)
            | Self::Limits(relay)
            | Self::Metrics(relay) => relay.json,
        }
    }
}

fn run(command: Command) -> Result<Exit, CommandError> {
    match command {
        Command::Init(args) => args.run(),
        Command::Line(args) => args.run(),
        Command::Check(args) => return args.run(),
        Command::Run(args) => args.run(),
        Command::Reload(relay) => act::reload(&relay),
        Command::Drain(args) => args.run(),
        Command::Undrain(relay) => act::undrain(&relay),
        Command::Upgrade(relay) => upgrade::upgrade(&relay),
        Command::Status(relay) => look::status(&relay),
        Command::Tenants(relay) => look::tenants(&relay),
        Command::Mailboxes(args) => args.run(),
        Command::Quota(args) => args.run(),
        Command::Sessions(args) => args.run(),
        Command::Disconnect(args) => args.run(),
        Command::Top(args) => args.run(),
        Command::Limits(relay) => look::limits(&relay),
        Command::Metrics(relay) => look::metrics(&relay),
        Command::Audit(args) => args.run(),
        Command::PacChild => postern_console::script_child::run(),
    }?;
    Ok(Exit::Success)
}

/// Runs a future on all cores.
fn block_on<T>(future: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            CommandError::failure(
                "runtime-failed",
                format!("the runtime cannot start: {error}"),
                "raise the limits on threads and open files",
            )
        })?;
    runtime.block_on(future)
}
