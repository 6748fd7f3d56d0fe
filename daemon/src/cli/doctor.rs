//! `postern doctor`: why this machine gets out or not, hop by hop, and what to ask the network's people for.
//!
//! The running device looks, with its environment, user and proxy memory; where none runs, this command does.

use super::support::{self, Running};
use super::{block_on, output};
use crate::config::DeviceConfig;
use crate::device as driver;
use crate::exit::{CommandError, Exit};
use clap::Args;
use postern_console::doctor::{Case, Outcome, Report, examine};
use postern_protocol::join_line::JoinLine;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// The device's folder
    #[arg(long, value_name = "DIR", default_value = "device")]
    dir: PathBuf,
    /// Look before joining: at the mailboxes of the join line in this file; its secret is not used
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    join: Option<PathBuf>,
    /// Look at this mailbox URL instead of those of the device; may be given several times
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// Try a large body too; the mailbox counts it as a refused frame
    #[arg(long)]
    deep: bool,
    /// Write a support bundle without secrets into this file
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Write the certificate of the issuer that nobody here trusts into this file (PEM), to be compared and then trusted
    #[arg(long, value_name = "FILE")]
    save_issuer: Option<PathBuf>,
    /// Write over a file that exists
    #[arg(long)]
    force: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &DoctorArgs) -> Result<(), CommandError> {
    let config = DeviceConfig::load_or_default(&args.dir)?;
    if output::is_terminal() && !args.json {
        output::hint("trying every way; one that is not answered takes up to a minute");
    }
    let report = look(args, &config)?;
    if args.json {
        let json = serde_json::to_value(&report);
        output::json(&json.unwrap_or_default());
    } else {
        output::text(&report.tree(output::has_colours()));
    }
    if let Some(file) = &args.bundle {
        let running = Running {
            status: driver::local_status(&config.local_api).ok().flatten(),
            attempts: driver::local_attempts(&config.local_api).ok().flatten(),
        };
        support::write(file, args.force, &config, &report, running)?;
        if !args.json {
            output::hint(format!(
                "wrote {}: read it before you send it",
                file.display()
            ));
        }
    }
    if let Some(file) = &args.save_issuer {
        save_issuer(file, args, &report)?;
    }
    end(&report)
}

/// Writes the certificate of an unknown issuer. It is trusted by nobody until somebody names the file.
fn save_issuer(file: &Path, args: &DoctorArgs, report: &Report) -> Result<(), CommandError> {
    let Some(issuer) = report.unknown_issuer() else {
        return Err(CommandError::configuration(
            "no-unknown-issuer",
            "no way shows the certificate of an issuer that is not trusted; nothing was written",
            "ask the network team for the PEM file of the CA that inspects TLS, if one does",
        ));
    };
    support::write_file(file, args.force, issuer.pem.as_bytes())?;
    if !args.json {
        output::hint(format!(
            "wrote {}: {}; NOT verified: before extra_ca_files names it, compare its SHA-256 fingerprint with the network team's: {}",
            file.display(),
            issuer.subject,
            issuer.fingerprint
        ));
    }
    Ok(())
}

fn look(args: &DoctorArgs, config: &DeviceConfig) -> Result<Report, CommandError> {
    let case = if let Some(file) = &args.join {
        driver::diagnosis_of_join_line(config, &read_line(file)?, args.deep)?
    } else if args.url.is_empty() {
        match driver::diagnose(&config.local_api, args.deep)? {
            Some(report) => return Ok(report),
            None => driver::diagnosis_of_stopped(config, args.deep)?,
        }
    } else {
        driver::diagnosis_of_urls(config, &args.url, args.deep)?
    };
    examine_now(case)
}

fn examine_now(case: Case) -> Result<Report, CommandError> {
    block_on(async move { Ok(examine(&case).await) })
}

fn read_line(file: &Path) -> Result<JoinLine, CommandError> {
    let line = super::device::read_line(Some(file))?;
    JoinLine::parse(&line).map_err(|error| {
        CommandError::configuration(
            "join-line-refused",
            format!("{}: {error}", file.display()),
            "give the file with the whole line that `postern controller invite` printed",
        )
    })
}

/// The exit code says what the verdict says: 0 ok, 1 degraded, 4 down.
fn end(report: &Report) -> Result<(), CommandError> {
    let exit = match report.verdict.state {
        Outcome::Ok => return Ok(()),
        Outcome::Degraded => Exit::Failure,
        Outcome::Down => Exit::Unreachable,
    };
    Err(CommandError::new(exit, super::SILENT, "", ""))
}
