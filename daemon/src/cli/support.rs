//! The support bundle of `postern doctor`: a tar file that can be given to strangers.
//!
//! Holds the report as text and JSON, the device's status and its last attempts, the certificate of an unknown issuer,
//! and the settings that decide how it gets out, taken from what was parsed. Refuses to copy a file: a configuration may hold credentials in a URL or a
//! command.

use super::device_status::attempts_page;
use crate::config::DeviceConfig;
use crate::exit::CommandError;
use postern_console::doctor::Report;
use serde_json::{Value as Json, json};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What the running device says of itself; nothing where none runs.
#[derive(Debug, Default)]
pub(super) struct Running {
    /// Its status.
    pub(super) status: Option<Json>,
    /// Its last attempts to get out.
    pub(super) attempts: Option<Json>,
}

/// Writes a file that everybody may read: the device may run as another user.
///
/// # Errors
/// A file that exists, unless `force`; a folder that cannot be written.
pub(super) fn write_file(file: &Path, force: bool, content: &[u8]) -> Result<(), CommandError> {
    let written = open(file, force, 0o644).and_then(|mut opened| {
        opened.write_all(content)?;
        opened.sync_all()
    });
    written.map_err(|error| unwritable(file, &error))
}

fn unwritable(file: &Path, error: &io::Error) -> CommandError {
    CommandError::configuration(
        "file-not-written",
        format!("{}: {error}", file.display()),
        "name another file, or give --force to write over this one",
    )
}

fn open(file: &Path, force: bool, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(mode);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    options.open(file)
}

/// Writes the bundle; only its owner may read it.
///
/// # Errors
/// A file that exists, unless `force`; a folder that cannot be written.
pub(super) fn write(
    file: &Path,
    force: bool,
    config: &DeviceConfig,
    report: &Report,
    running: Running,
) -> Result<(), CommandError> {
    let unwritable = |error: io::Error| unwritable(file, &error);
    let mut bundle = tar::Builder::new(open(file, force, 0o600).map_err(unwritable)?);
    for (name, text) in content(config, report, running) {
        append(&mut bundle, name, &text).map_err(unwritable)?;
    }
    let written = bundle.into_inner().map_err(unwritable)?;
    written.sync_all().map_err(unwritable)
}

/// Returns the files of the bundle.
fn content(
    config: &DeviceConfig,
    report: &Report,
    running: Running,
) -> Vec<(&'static str, String)> {
    let json = serde_json::to_value(report).unwrap_or_default();
    let mut files = vec![
        ("report.txt", report.tree(false)),
        ("report.json", format!("{json:#}\n")),
        ("settings.json", format!("{:#}\n", settings(config))),
    ];
    if let Some(status) = running.status {
        files.push(("status.json", format!("{status:#}\n")));
    }
    if let Some(attempts) = running.attempts {
        files.push(("attempts.txt", attempts_page(&attempts)));
        files.push(("attempts.json", format!("{attempts:#}\n")));
    }
    if let Some(issuer) = report.unknown_issuer() {
        files.push(("issuer.pem", issuer.pem.clone()));
    }
    files
}

/// Names what decides how this device gets out; nothing else of its configuration.
fn settings(config: &DeviceConfig) -> Json {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "system": std::env::consts::OS,
        "machine": std::env::consts::ARCH,
        "hold_s_max": config.hold_s_max,
        "max_age_s": config.max_age_s,
        "has_on_change": config.on_change.is_some(),
        "intents": config.intents.len(),
    })
}

fn append(bundle: &mut tar::Builder<File>, name: &str, text: &str) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(text.len()).unwrap_or(u64::MAX));
    header.set_mode(0o600);
    bundle.append_data(
        &mut header,
        format!("postern-support/{name}"),
        text.as_bytes(),
    )
}
