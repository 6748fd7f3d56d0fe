//! The support bundle of `postern doctor`: a tar file that can be given to strangers.
//!
//! Holds the report as text and JSON, the device's status, and the settings that decide how it gets out,
//! taken from what was parsed. Refuses to copy a file: a configuration may hold credentials in a URL or a
//! command.

use crate::config::DeviceConfig;
use crate::exit::CommandError;
use postern_console::doctor::Report;
use serde_json::{Value as Json, json};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes the bundle; only its owner may read it.
///
/// # Errors
/// A file that exists, unless `force`; a folder that cannot be written.
pub(super) fn write(
    file: &Path,
    force: bool,
    config: &DeviceConfig,
    report: &Report,
    status: Option<Json>,
) -> Result<(), CommandError> {
    let unwritable = |error: io::Error| {
        CommandError::configuration(
            "bundle-not-written",
            format!("{}: {error}", file.display()),
            "name another file, or give --force to write over this one",
        )
    };
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let opened = options.open(file).map_err(unwritable)?;
    let mut bundle = tar::Builder::new(opened);
    for (name, text) in content(config, report, status) {
        append(&mut bundle, name, &text).map_err(unwritable)?;
    }
    let written = bundle.into_inner().map_err(unwritable)?;
    written.sync_all().map_err(unwritable)
}

/// Returns the files of the bundle.
fn content(
    config: &DeviceConfig,
    report: &Report,
    status: Option<Json>,
) -> Vec<(&'static str, String)> {
    let json = serde_json::to_value(report).unwrap_or_default();
    let mut files = vec![
        ("report.txt", report.tree(false)),
        ("report.json", format!("{json:#}\n")),
        ("settings.json", format!("{:#}\n", settings(config))),
    ];
    if let Some(status) = status {
        files.push(("status.json", format!("{status:#}\n")));
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

fn append(bundle: &mut tar::Builder<std::fs::File>, name: &str, text: &str) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(text.len()).unwrap_or(u64::MAX));
    header.set_mode(0o600);
    bundle.append_data(
        &mut header,
        format!("postern-support/{name}"),
        text.as_bytes(),
    )
}
