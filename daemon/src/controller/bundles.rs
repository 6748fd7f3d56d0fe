//! The chain of bundles in a controller's folder, `1.cbor`, `2.cbor`, …
//!
//! Public and self-proving: any copy will do. Refuses a chain with a hole or one that does not
//! start at the pinned thumbprints.

use crate::config::ControllerConfig;
use crate::exit::CommandError;
use postern_protocol::trust::Trust;
use std::io::ErrorKind;

/// Reads and verifies the whole chain; returns it with the trust that it leads to.
///
/// # Errors
/// A file that is missing or unreadable, a chain that does not verify.
pub fn read(config: &ControllerConfig) -> Result<(Trust, Vec<Vec<u8>>), CommandError> {
    let bundles = read_after(config, 0)?;
    let chain = bundles.iter().map(Vec::as_slice);
    let trust = Trust::from_chain(config.root, config.recovery, chain).map_err(|reject| {
        CommandError::configuration(
            reject.as_str(),
            format!(
                "the bundles in {} do not verify: {}",
                config.bundles.display(),
                reject.sentence()
            ),
            "restore the bundles folder, or correct root and recovery in controller.toml",
        )
    })?;
    Ok((trust, bundles))
}

/// Reads the bundles above `number`, unverified; there may be none above the first.
///
/// # Errors
/// A file that cannot be read.
pub fn read_after(config: &ControllerConfig, number: u64) -> Result<Vec<Vec<u8>>, CommandError> {
    let mut bundles = Vec::new();
    for next in number.saturating_add(1).. {
        let file = config.bundles.join(format!("{next}.cbor"));
        match std::fs::read(&file) {
            Ok(bytes) => bundles.push(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound && next > 1 => break,
            Err(error) => {
                return Err(CommandError::configuration(
                    "bundle-unreadable",
                    format!("{} cannot be read: {error}", file.display()),
                    "restore the bundles folder from a backup; it is public, any copy will do",
                ));
            }
        }
    }
    Ok(bundles)
}
