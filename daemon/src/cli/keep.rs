//! `postern controller backup|restore|metrics|remove|withdraw`.
//!
//! Backups work while the controller runs, through its socket, and while it does not, from its
//! folder. Refuses to overwrite anything.

use super::{OperatorArgs, output, parse_device};
use crate::config::ControllerConfig;
use crate::controller::backup::{self, BackupJson, restore};
use crate::exit::{CommandError, Exit};
use crate::operator::client::{Client, unexpected};
use crate::operator::{Request, Response};
use crate::records;
use clap::Args;
use postern_protocol::id::DeviceName;
use postern_relay::store::{DiskStore, Profile, Store as _};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct WithdrawArgs {
    /// The device
    #[arg(value_name = "NAME", value_parser = parse_device)]
    device: DeviceName,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct EncryptArgs {
    /// The device
    #[arg(value_name = "NAME", value_parser = parse_device)]
    device: DeviceName,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// The device
    #[arg(value_name = "NAME", value_parser = parse_device)]
    device: DeviceName,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The file to write; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder to make; it must not exist
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Print results and errors as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct MetricsArgs {
    #[command(flatten)]
    operator: OperatorArgs,
}

impl WithdrawArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let request = Request::Withdraw {
            token: None,
            target: self.operator.target(&self.device),
        };
        done(
            &self.operator,
            &self.device,
            &request,
            "withdrew the invitation of",
        )
    }
}

impl EncryptArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let request = Request::Encrypt {
            target: self.operator.target(&self.device),
        };
        done(&self.operator, &self.device, &request, "encrypted")
    }
}

impl RemoveArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let request = Request::Remove {
            target: self.operator.target(&self.device),
        };
        done(&self.operator, &self.device, &request, "removed")
    }
}

fn done(
    operator: &OperatorArgs,
    device: &DeviceName,
    request: &Request,
    word: &str,
) -> Result<(), CommandError> {
    let Response::Done = Client::connect(&operator.dir())?.ask(request)? else {
        return Err(unexpected());
    };
    if operator.json {
        output::json(&json!({
            "device": device.as_str(),
            "tenant": operator.tenant.as_str(),
        }));
    } else {
        output::line(format!("{word} {device}"));
    }
    Ok(())
}

impl BackupArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let dir = self.operator.dir();
        let file = std::path::absolute(&self.file).map_err(|error| {
            CommandError::new(
                Exit::Usage,
                "file-refused",
                format!("{}: {error}", self.file.display()),
                "name a file",
            )
        })?;
        let made = match Client::connect(&dir) {
            Ok(mut client) => {
                let request = Request::Backup { file: file.clone() };
                let Response::BackedUp { backup } = client.ask(&request)? else {
                    return Err(unexpected());
                };
                backup
            }
            Err(error) if error.name == "controller-not-running" => {
                let config = ControllerConfig::load(&dir)?;
                let store = DiskStore::open(&config.store, Profile::Device)?;
                let copied = records::load(&store)?;
                store.close()?;
                backup::write(&config, &copied, &file)?
            }
            Err(error) => return Err(error),
        };
        if self.operator.json {
            output::json(&json!({ "file": file, "backup": made }));
        } else {
            describe(&file, &made);
        }
        Ok(())
    }
}

fn describe(file: &std::path::Path, made: &BackupJson) {
    output::line(format!(
        "backup written to {}: {} records, {} files",
        file.display(),
        made.records,
        made.files.len()
    ));
    for outside in &made.outside {
        output::hint(format!("not in it: {}", outside.display()));
    }
    output::hint("It holds private keys: keep it like one. Root and recovery keys are not in it.");
}

impl RestoreArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let restored = restore::restore(&self.file, &self.dir)?;
        if self.json {
            output::json(&json!({
                "dir": self.dir,
                "devices": restored.devices,
                "missing": restored.missing,
                "backup": restored.backup,
            }));
            return Ok(());
        }
        let dir = self.dir.display();
        output::line(format!(
            "controller restored in {dir}: {} devices",
            restored.devices
        ));
        for missing in &restored.missing {
            output::hint(format!(
                "missing: {}; bring it back first",
                missing.display()
            ));
        }
        output::hint(
            "Before it runs: the old controller must never run again. If it may, fence it off:",
        );
        output::hint(format!("  postern controller promote --dir {dir}"));
        output::hint("Then start it; devices hand back what was decided after the backup:");
        output::hint(format!("  postern controller run --dir {dir}"));
        output::hint(format!("  postern status --dir {dir}"));
        Ok(())
    }
}

impl MetricsArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let mut client = Client::connect(&self.operator.dir())?;
        let Response::Metrics { text } = client.ask(&Request::Metrics)? else {
            return Err(unexpected());
        };
        if self.operator.json {
            output::json(&json!({ "metrics": text }));
        } else {
            output::text(&text);
        }
        Ok(())
    }
}
