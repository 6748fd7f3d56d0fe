//! `init`, `line`, `check`, `run`: what works without a running relay.
//!
//! Arguments in, calls of the modules that do the work, exit codes out. Refuses a trust line as an
//! argument: it comes from standard input, whole.

use super::{RelayArgs, block_on, relay_dir};
use crate::admin::client::Client;
use crate::check::{self, Finding, Weight};
use crate::config::{ADMIN_LISTEN, Limit, LogOverride, RelayConfig};
use crate::handover::Predecessor;
use crate::make::{self, Options};
use crate::run::Logging;
use crate::telemetry::{self, Rates};
use clap::{Args, ValueEnum};
use postern_console::exit::{CommandError, Exit};
use postern_console::random::OsRandom;
use postern_console::{clock, output};
use postern_protocol::limits::TRUST_LINE_CHARS_MAX;
use serde_json::json;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The folder to make [default: $POSTERN_RELAY_DIR, else ./relay]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// URL under which devices and controllers reach it; repeat for several
    #[arg(long = "url", value_name = "URL", required = true)]
    urls: Vec<String>,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Address and port of metrics and health, in plain HTTP
    #[arg(long, value_name = "ADDR:PORT", default_value = ADMIN_LISTEN)]
    admin_listen: SocketAddr,
    /// Your certificate chain, PEM, leaf first [default: one is made, with a CA that the relay line carries]
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// File with the relay line of a relay that this one dials: its devices and their controller meet there
    #[arg(long, value_name = "FILE")]
    upstream: Option<PathBuf>,
    /// Print results and errors as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl InitArgs {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let dir = relay_dir(self.dir.as_ref());
        let options = Options {
            dir: dir.clone(),
            listen: self.listen,
            admin_listen: self.admin_listen,
            urls: self.urls,
            certificate: self.cert.zip(self.key),
            upstream: self.upstream.as_deref().map(read_file).transpose()?,
            trust: read_stdin()?,
        };
        let line = make::create(&options, &mut OsRandom)?;
        let dir = dir.display();
        if self.json {
            output::json(&json!({ "dir": dir.to_string(), "relay_line": line }));
            return Ok(());
        }
        output::line(&line);
        output::hint(format!(
            "made a relay in {dir}\n  next: give the line above to `postern controller relay add`, then\n        \
            postern-relay check --dir {dir} && postern-relay run --dir {dir}"
        ));
        Ok(())
    }
}

fn read_file(file: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(file).map_err(|error| {
        CommandError::configuration(
            "upstream-line",
            format!("{}: {error}", file.display()),
            "name the file with what `postern-relay line` prints at the relay that the new one dials",
        )
    })
}

fn read_stdin() -> Result<String, CommandError> {
    let mut text = String::new();
    let read = std::io::stdin()
        .take(2 * TRUST_LINE_CHARS_MAX as u64)
        .read_to_string(&mut text);
    read.map(|_| text).map_err(|error| {
        CommandError::new(
            Exit::Usage,
            "stdin-unreadable",
            format!("standard input: {error}"),
            "pass the trust line with `< trust.line`",
        )
    })
}

#[derive(Debug, Args)]
pub(super) struct LineArgs {
    #[command(flatten)]
    pub(super) relay: RelayArgs,
}

impl LineArgs {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let line = make::relay_line(&RelayConfig::load(&self.relay.dir())?)?;
        if self.relay.json {
            output::json(&json!({ "relay_line": line }));
        } else {
            output::line(line);
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) relay: RelayArgs,
}

impl CheckArgs {
    pub(super) fn run(&self) -> Result<Exit, CommandError> {
        let dir = self.relay.dir();
        let is_running = Client::connect(&dir).is_ok();
        let findings = check::all(&dir, is_running, clock::unix_s())?;
        let worst = findings.iter().map(|finding| finding.weight).max();
        if self.relay.json {
            let is_well = worst < Some(Weight::Error);
            output::json(&json!({ "is_well": is_well, "findings": findings }));
        } else {
            findings.iter().for_each(show);
        }
        Ok(match worst {
            Some(Weight::Error) => Exit::Configuration,
            Some(Weight::Warning | Weight::Fine) | None => Exit::Success,
        })
    }
}

fn show(finding: &Finding) {
    output::line(format!(
        "{:<8} {:<18} {}",
        finding.weight.as_str(),
        finding.about,
        finding.found
    ));
    if !finding.next.is_empty() {
        output::line(format!("{:<27} next: {}", "", finding.next));
    }
}

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The relay's folder [default: $POSTERN_RELAY_DIR, else ./relay]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// error, warn, info, debug, trace or a filter [default: the configuration file's]
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    log_level: Option<String>,
    /// How lines of the log are written [default: the configuration file's]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Go on in place of the process at the other end of standard input: `upgrade` says it
    #[arg(long, hide = true)]
    take_over: bool,
}

impl RunArgs {
    pub(super) fn run(self) -> Result<(), CommandError> {
        if !self.take_over {
            return self.run_behind(None);
        }
        let (predecessor, teller) = Predecessor::of_stdin()?;
        let ended = self.run_behind(Some(predecessor));
        if let Err(error) = &ended {
            teller.tell_refused(error);
        }
        ended
    }

    fn run_behind(self, predecessor: Option<Predecessor>) -> Result<(), CommandError> {
        let mut config = RelayConfig::load(&relay_dir(self.dir.as_ref()))?;
        let over = LogOverride {
            level: self.log_level,
            is_json: self.log_format.map(|format| format == LogFormat::Json),
        };
        config.override_log(&over);
        let rates = Rates::new(config.limits.of(Limit::RefusalLines));
        let logging = Logging {
            level: telemetry::start(&config.log, &rates),
            rates,
            over,
        };
        block_on(crate::run::run(config, logging, predecessor))
    }
}

fn parse_level(text: &str) -> Result<String, String> {
    postern_console::telemetry::check_level(text).map(|()| text.to_owned())
}
