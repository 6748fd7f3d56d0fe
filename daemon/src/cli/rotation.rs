//! `postern controller keys|rotate|revoke|promote`: which keys count, and the next bundle.
//!
//! Arguments in, one bundle out, and a running controller told of it. Refuses to read any key
//! itself: that is done where bundles are made.

use super::{OperatorArgs, output};
use crate::config::ControllerConfig;
use crate::controller::bundles;
use crate::controller::hearing;
use crate::controller::keyring::file_of;
use crate::controller::rotate::{Rotated, Rotation, rotate};
use crate::exit::{CommandError, Exit};
use crate::inspect::hex::from_hex;
use crate::keys::KeyRole;
use crate::operator::client::{Client, unexpected};
use crate::operator::{Request, Response};
use crate::random::OsRandom;
use clap::{Args, ValueEnum};
use postern_protocol::Reject;
use postern_protocol::id::{Tenant, Thumbprint};
use postern_protocol::key::PublicKey;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Which key is made new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RotatedKey {
    /// The key that signs desired state; whoever holds the old one is fenced off
    Writer,
    /// The key that opens sessions with devices
    Mailbox,
    /// The key that signs bundles
    Root,
    /// The key that signs bundles when the root key is lost
    Recovery,
}

#[derive(Debug, Args)]
pub(super) struct SignerArgs {
    /// File of the root key, or of the recovery key when the root key is lost [default: looked for in the folder]
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct HearingArgs {
    /// Change writer keys though devices may hold decisions that this controller lost: those decisions are gone then
    #[arg(long)]
    without_hearing: bool,
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// The key to make new
    #[arg(value_enum)]
    key: RotatedKey,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    hearing: HearingArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// Thumbprints of keys that never count again, 64 hexadecimal digits each
    #[arg(value_name = "THUMBPRINT", required = true, value_parser = parse_thumbprint)]
    thumbprints: Vec<Thumbprint>,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct PromoteArgs {
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    hearing: HearingArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct KeysArgs {
    #[command(flatten)]
    operator: OperatorArgs,
}

impl RotateArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let rotation = match self.key {
            RotatedKey::Writer => Rotation::Writers(vec![self.operator.tenant.clone()]),
            RotatedKey::Mailbox => Rotation::Mailbox,
            RotatedKey::Root => Rotation::Root,
            RotatedKey::Recovery => Rotation::Recovery,
        };
        let is_urgent = self.hearing.without_hearing;
        issue(&self.operator, &self.signer, &rotation, is_urgent)
    }
}

impl RevokeArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let thumbprints: BTreeSet<_> = self.thumbprints.iter().copied().collect();
        let rotation = Rotation::Revoke(thumbprints);
        issue(&self.operator, &self.signer, &rotation, false)
    }
}

impl PromoteArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let is_urgent = self.hearing.without_hearing;
        issue(&self.operator, &self.signer, &Rotation::Promote, is_urgent)
    }
}

/// Makes the next bundle and hands it to the controller if one runs.
pub(super) fn issue(
    operator: &OperatorArgs,
    signer: &SignerArgs,
    rotation: &Rotation,
    is_urgent: bool,
) -> Result<(), CommandError> {
    let config = ControllerConfig::load(&operator.dir())?;
    let (trust, _) = bundles::read(&config)?;
    let tenants = rotation.rewritten(&trust);
    if !is_urgent && !tenants.is_empty() {
        hear(&config, tenants)?;
    }
    let signer = signer.root_key.as_deref();
    let rotated = rotate(&config, &trust, rotation, signer, &mut OsRandom)?;
    let is_told = tell(&config, is_urgent).inspect_err(|error| {
        if error.name == Reject::WriterBehind.as_str() {
            // A device spoke up in between: nobody saw the bundle, and the next start must not take it.
            let _gone = std::fs::remove_file(&rotated.bundle);
        }
    })?;
    if operator.json {
        output::json(&json!({
            "bundle": rotated.number.number(),
            "file": rotated.bundle,
            "keys": rotated.keys.iter().map(|(role, file, thumbprint)| json!({
                "role": role.as_str(), "file": file, "thumbprint": thumbprint.to_string(),
            })).collect::<Vec<_>>(),
            "running": is_told,
        }));
    } else {
        describe(&rotated, rotation, is_told);
    }
    Ok(())
}

/// Refuses a new writer key while devices may hold decisions that this controller does not know.
fn hear(config: &ControllerConfig, tenants: Vec<Tenant>) -> Result<(), CommandError> {
    let Some(mut client) = running(config)? else {
        return hearing::check_stopped(config, &tenants);
    };
    for tenant in tenants {
        let Response::Done = client.ask(&Request::Settled { tenant })? else {
            return Err(unexpected());
        };
    }
    Ok(())
}

/// Returns whether a running controller took the bundle.
fn tell(config: &ControllerConfig, without_hearing: bool) -> Result<bool, CommandError> {
    let Some(mut client) = running(config)? else {
        return Ok(false);
    };
    let Response::Bundles { .. } = client.ask(&Request::Bundles { without_hearing })? else {
        return Err(unexpected());
    };
    Ok(true)
}

/// Connects to the controller, if one runs.
fn running(config: &ControllerConfig) -> Result<Option<Client>, CommandError> {
    match Client::connect(&config.dir) {
        Ok(client) => Ok(Some(client)),
        Err(error) if error.exit == Exit::Unreachable => Ok(None),
        Err(error) => Err(error),
    }
}

fn describe(rotated: &Rotated, rotation: &Rotation, is_told: bool) {
    let number = rotated.number.number();
    output::line(format!(
        "bundle {number} signed: {}",
        rotated.bundle.display()
    ));
    for (role, file, thumbprint) in &rotated.keys {
        output::line(format!(
            "  new {:<9} {thumbprint}  {}",
            role.as_str(),
            file.display()
        ));
    }
    if is_told {
        output::line("The running controller uses it now; devices get it with their next poll.");
    } else {
        output::line("No controller runs here: it uses the bundle from its next start on.");
    }
    match rotation {
        Rotation::Writers(_) | Rotation::Promote => output::hint(
            "The old writer keys count no more at any device that has this bundle: remove their files.",
        ),
        Rotation::Mailbox => output::hint(
            "Keep the old mailbox key until `postern status` shows no device below this bundle.",
        ),
        Rotation::Root | Rotation::Recovery => output::hint(
            "Move the new key to its offline place now, and destroy the old one after every device has this bundle.",
        ),
        Rotation::AddRelay { .. } => output::hint(
            "The controller delivers to the relay from now on; it takes up the bundle at the first session.",
        ),
        Rotation::RemoveRelay(_) => output::hint(
            "Devices that reach only this relay do not learn of it: bring them the bundle before you stop it.",
        ),
        Rotation::Revoke(_) => {}
    }
}

impl KeysArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let config = ControllerConfig::load(&self.operator.dir())?;
        let (trust, _) = bundles::read(&config)?;
        let Some(held) = trust.held() else {
            return Err(unexpected());
        };
        let content = held.content();
        let mut rows = vec![
            row(&config, "root", "", KeyRole::Root, &content.root)?,
            row(
                &config,
                "recovery",
                "",
                KeyRole::Recovery,
                &content.recovery,
            )?,
        ];
        for (tenant, writer) in &content.writers {
            let of = format!("{tenant}, generation {}", writer.generation.number());
            let stem = format!("writer-{tenant}");
            rows.push(row(&config, &stem, &of, KeyRole::Writer, &writer.key)?);
        }
        for mailbox in &content.mailboxes {
            let urls = mailbox.urls.join(" ");
            rows.push(row(
                &config,
                "mailbox",
                &urls,
                KeyRole::Mailbox,
                &mailbox.key,
            )?);
        }
        let number = held.number().number();
        if self.operator.json {
            let revoked: Vec<_> = content.revoked.iter().map(ToString::to_string).collect();
            output::json(&json!({
                "domain": trust.root().to_string(), "bundle": number, "revoked": revoked,
                "keys": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
            }));
            return Ok(());
        }
        output::line(format!("trust domain {}, bundle {number}", trust.root()));
        for row in &rows {
            output::line(row.to_text());
        }
        for revoked in &content.revoked {
            output::line(format!("  revoked   {revoked}"));
        }
        Ok(())
    }
}

/// One key of the newest bundle.
struct Row {
    role: KeyRole,
    of: String,
    thumbprint: Thumbprint,
    file: Option<PathBuf>,
}

fn row(
    config: &ControllerConfig,
    stem: &str,
    of: &str,
    role: KeyRole,
    key: &PublicKey,
) -> Result<Row, CommandError> {
    let thumbprint = key.thumbprint();
    Ok(Row {
        role,
        of: of.to_owned(),
        thumbprint,
        file: file_of(&config.dir, stem, role, thumbprint)?,
    })
}

impl Row {
    fn to_json(&self) -> serde_json::Value {
        json!({
            "role": self.role.as_str(), "of": self.of, "thumbprint": self.thumbprint.to_string(),
            "file": self.file,
        })
    }

    fn to_text(&self) -> String {
        let file = self.file.as_ref().map_or_else(
            || "(not in this folder)".to_owned(),
            |file| file.display().to_string(),
        );
        let of = if self.of.is_empty() {
            String::new()
        } else {
            format!("  [{}]", self.of)
        };
        format!(
            "  {:<9} {}  {file}{of}",
            self.role.as_str(),
            self.thumbprint
        )
    }
}

pub(super) fn parse_thumbprint(text: &str) -> Result<Thumbprint, String> {
    let wrong =
        || "a thumbprint is 64 hexadecimal digits; see `postern controller keys`".to_owned();
    let bytes = from_hex(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(Thumbprint::from_bytes).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::parse_thumbprint;

    #[test]
    fn thumbprint_that_is_not_64_hexadecimal_digits_is_refused() {
        let good = "0f".repeat(32);
        assert_eq!(parse_thumbprint(&good).unwrap().to_string(), good);
        for bad in [
            "",
            "0f",
            &"0g".repeat(32),
            &"é".repeat(32),
            &"0f".repeat(33),
            &"+f".repeat(32),
        ] {
            assert!(parse_thumbprint(bad).is_err(), "{bad}");
        }
    }
}
