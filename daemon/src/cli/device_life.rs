//! `postern device pause`, `resume`, `leave`, `rotate-key`, `reset`: a device after it has joined.
//!
//! What needs the controller needs a running device; the rest works either way. Refuses to remove anything that a
//! running device uses.

use super::output;
use crate::config::DeviceConfig;
use crate::device::{self as driver, Control};
use crate::exit::CommandError;
use crate::keys::{self, KeyRole};
use crate::random::OsRandom;
use clap::Args;
use postern_protocol::key::Algorithm;
use postern_relay::store::{DiskStore, Profile, Store as _};
use serde_json::{Value as Json, json};
use std::io;
use std::path::{Path, PathBuf};

/// Which device, and how to print.
#[derive(Debug, Args)]
pub(super) struct LifeArgs {
    /// The device's folder
    #[arg(long, value_name = "DIR", default_value = "device")]
    pub(super) dir: PathBuf,
    /// Print results and errors as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    pub(super) life: LifeArgs,
    /// Type of the new key [default: ed25519]
    #[arg(long, value_name = "TYPE")]
    key_type: Option<super::device::KeyType>,
}

#[derive(Debug, Args)]
pub(super) struct ResetArgs {
    /// The device's folder
    #[arg(long, value_name = "DIR", default_value = "device")]
    dir: PathBuf,
    /// Do it: key, store and identity are removed and cannot be brought back
    #[arg(long)]
    yes: bool,
    /// Print results and errors as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Keeps changes from the application until `resume`.
pub(super) fn pause(args: &LifeArgs) -> Result<(), CommandError> {
    let config = DeviceConfig::load(&args.dir)?;
    let is_new = driver::pause(&args.dir).map_err(|error| unwritable(&args.dir, &error))?;
    let is_running = driver::control(&config.local_api, Control::LookAgain)?;
    let text = match (is_new, is_running) {
        (true, true) => {
            "paused: revisions are accepted and not applied, until `postern device resume`"
        }
        (true, false) => "paused for when the device runs, until `postern device resume`",
        (false, _) => "it is paused already",
    };
    tell(
        args,
        text,
        &json!({ "paused": true, "running": is_running }),
    );
    Ok(())
}

/// Lets changes through again.
pub(super) fn resume(args: &LifeArgs) -> Result<(), CommandError> {
    let config = DeviceConfig::load(&args.dir)?;
    let was_paused = driver::resume(&args.dir).map_err(|error| unwritable(&args.dir, &error))?;
    let is_running = driver::control(&config.local_api, Control::LookAgain)?;
    let text = match (was_paused, is_running) {
        (true, true) => "resumed: what was accepted meanwhile is applied now",
        (true, false) => "resumed for when the device runs",
        (false, _) => "it was not paused here",
    };
    tell(
        args,
        text,
        &json!({ "paused": false, "running": is_running }),
    );
    Ok(())
}

fn tell(args: &LifeArgs, text: &str, json: &Json) {
    if args.json {
        output::json(json);
    } else {
        output::line(text);
    }
}

/// Tells the controller that the device leaves; the device stops once it knows.
pub(super) fn leave(args: &LifeArgs) -> Result<(), CommandError> {
    let config = DeviceConfig::load(&args.dir)?;
    must_run(args, driver::control(&config.local_api, Control::Leave)?)?;
    tell(
        args,
        "leaving: the device stops when the controller knows; then `postern device reset --yes`",
        &json!({ "leaving": true }),
    );
    Ok(())
}

/// Makes the next key and asks the controller to count it.
pub(super) fn rotate_key(args: &RotateArgs) -> Result<(), CommandError> {
    let config = DeviceConfig::load(&args.life.dir)?;
    let next = driver::next_file(&config);
    if !next.exists() {
        let algorithm = args.key_type.map_or(Algorithm::Ed25519, Algorithm::from);
        let _signer = keys::create_of(&next, KeyRole::Device, algorithm, &mut OsRandom)?;
    }
    must_run(
        &args.life,
        driver::control(&config.local_api, Control::RotateKey)?,
    )?;
    tell(
        &args.life,
        "asked: the present key counts until the controller confirms the new one; see `postern device status`",
        &json!({ "rotating": true }),
    );
    Ok(())
}

fn must_run(args: &LifeArgs, is_running: bool) -> Result<(), CommandError> {
    if is_running {
        return Ok(());
    }
    let dir = args.dir.display();
    Err(CommandError::unreachable(
        "device-not-running",
        format!("no device runs in {dir}"),
        format!("start it with `postern device run --dir {dir}` and ask again"),
    ))
}

/// Forgets everything that `join` and `run` made, except `device.toml` and rendered files.
pub(super) fn reset(args: &ResetArgs) -> Result<(), CommandError> {
    let config = DeviceConfig::load(&args.dir)?;
    if !args.yes {
        return Err(CommandError::configuration(
            "reset-unconfirmed",
            format!(
                "{}: key, store and identity of this device would be removed for good",
                args.dir.display()
            ),
            "say it with --yes; tell the controller first with `postern device leave`",
        ));
    }
    if config.store.exists() {
        // Its lock is what a running device holds.
        DiskStore::open(&config.store, Profile::Device)?.close()?;
    }
    let files = driver::files_of_life(&config);
    for file in &files {
        match std::fs::remove_file(file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unwritable(file, &error)),
        }
    }
    if args.json {
        output::json(&json!({ "reset": true }));
    } else {
        output::line(format!(
            "reset: device.toml and rendered files stay\nNext:\n  postern device join --dir {}",
            args.dir.display()
        ));
    }
    Ok(())
}

fn unwritable(path: &Path, error: &io::Error) -> CommandError {
    CommandError::configuration(
        "folder-not-writable",
        format!("{}: {error}", path.display()),
        "run this as the user who runs the device",
    )
}
