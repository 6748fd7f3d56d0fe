//! `postern-bench`: every published number, with the command that reproduces it.
//!
//! Reading order: [`engine`] (instructions), [`wire`] (bytes), [`push`], [`device`] and [`relay`] (real
//! processes), and [`peers`] (other people's) make the rows that [`table`] judges; [`fixture`] is the fleet of one of the first two.
//! Refuses to judge a time by itself: it is divided by another of the same run.

#![expect(
    unreachable_pub,
    reason = "a program has no outside: pub says here what other modules may use"
)]

mod callgrind;
mod clock;
mod device;
mod engine;
mod error;
mod fixture;
mod forward;
mod machine;
mod mailbox;
mod peers;
mod push;
mod relay;
mod table;
mod wire;
mod workload;

use clap::{Parser, Subcommand};
use error::BenchError;
use std::io::Write as _;
use std::process::ExitCode;
use table::{Row, is_passed};
use workload::Workload;

/// Counts what Postern costs, against its published targets.
///
/// Exit code 0: no target was missed; 1: one was; 2: the counting itself failed.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Print rows as JSON: name, value, unit, target, ok.
    #[arg(long, global = true)]
    json: bool,
    /// Print the verdict on times, but do not fail for it: on a shared machine neighbours move them.
    #[arg(long, global = true)]
    report_times: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count the instructions of receiving, verifying and decoding (needs valgrind).
    Engine,
    /// Count the bytes of frames and envelopes.
    Wire,
    /// Push decisions from end to end: time, bytes, and an idle hour (needs the release binary; about 2 minutes).
    Push,
    /// Weigh a device: memory, binary, commits (needs the release binary).
    Device,
    /// Weigh a relay: memory of a device that waits, processor time of an exchange, messages in a second.
    Relay {
        /// Only this part.
        #[arg(long)]
        only: Option<RelayPart>,
        /// Devices that wait at once over each door.
        #[arg(long, default_value_t = 2_000)]
        sessions: usize,
    },
    /// Hold a relay against mosquitto, NATS and iroh-relay, where bench/provide-peers has put them (about 2 minutes).
    Peers {
        /// Clients that wait at once.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(100..=5_000))]
        sessions: u16,
    },
    /// Let one of ten tenants flood a relay, and look at what the others get.
    Overload,
    /// Flood a relay; `overload` runs this.
    #[command(hide = true)]
    Flood(mailbox::flood::Arguments),
    /// Serve these devices; `relay` runs and watches this.
    #[command(hide = true)]
    RelayChild {
        /// Devices that are admitted.
        devices: usize,
    },
    /// Serve as a whole relay; `relay` and `overload` run and watch this.
    #[command(hide = true)]
    MailboxChild(mailbox::child::Arguments),
    /// Do one kind of work some times; `engine` runs this under valgrind.
    #[command(hide = true)]
    EngineChild {
        /// What to do.
        workload: Workload,
        /// How often.
        iterations: u32,
    },
}

/// What `relay` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum RelayPart {
    /// Memory of devices that wait, and of a forger's attempts.
    Memory,
    /// Messages in a second, on a disk.
    Throughput,
    /// Devices that come back after the relay was killed.
    Kill,
}

fn measure_relay(only: Option<RelayPart>, sessions: usize) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    if only.is_none_or(|part| part == RelayPart::Memory) {
        rows.extend(relay::measure(sessions)?);
    }
    if only.is_none_or(|part| part == RelayPart::Throughput) {
        rows.extend(mailbox::measure()?);
    }
    if only.is_none_or(|part| part == RelayPart::Kill) {
        rows.extend(mailbox::reconnect::measure(sessions)?);
    }
    Ok(rows)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether every target that was measured is reached.
fn run(arguments: &Arguments) -> Result<bool, BenchError> {
    let rows = match &arguments.command {
        Command::Engine => engine::measure()?,
        Command::Wire => wire::measure()?,
        Command::Push => on_this_machine(push::measure()?),
        Command::Device => on_this_machine(device::measure()?),
        Command::Relay { only, sessions } => on_this_machine(measure_relay(*only, *sessions)?),
        Command::Peers { sessions } => on_this_machine(peers::measure(usize::from(*sessions))?),
        Command::RelayChild { devices } => return relay::serve(*devices).map(|()| true),
        Command::Overload => on_this_machine(mailbox::overload::measure()?),
        Command::Flood(flood) => return mailbox::flood::run(flood).map(|()| true),
        Command::MailboxChild(child) => return mailbox::serve(child).map(|()| true),
        Command::EngineChild {
            workload,
            iterations,
        } => return workload::repeat(*workload, *iterations).map(|()| true),
    };
    print(&rows, arguments.json).map_err(BenchError::Output)?;
    Ok(is_passed(&rows, !arguments.report_times))
}

/// Says first what the rows were measured on.
fn on_this_machine(mut rows: Vec<Row>) -> Vec<Row> {
    rows.insert(0, machine::row());
    rows
}

fn print(rows: &[Row], is_json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if is_json {
        writeln!(out, "{:#}", table::to_json(rows))
    } else {
        write!(out, "{}", table::to_text(rows))
    }
}
