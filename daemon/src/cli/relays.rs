//! `postern controller trust` and `postern controller relay`: whom a relay believes, which relays devices use.
//!
//! ```text
//!   controller trust --trust line--> postern-relay init --relay line--> controller relay add
//! ```
//!
//! Both lines hold public things only. A relay counts once a bundle names its key, which the root
//! key signs. Refuses to take a relay's word for anything but its own key, URLs and TLS anchor.

use super::rotation::{SignerArgs, issue};
use super::{OperatorArgs, output};
use crate::config::ControllerConfig;
use crate::controller::bundles;
use crate::controller::keyring::file_of;
use crate::controller::relays::{is_behind, write_anchor, write_behind};
use crate::controller::rotate::Rotation;
use crate::exit::{CommandError, Exit};
use crate::keys::KeyRole;
use crate::operator::client::{Client, unexpected};
use crate::operator::{LinkJson, Request, Response};
use clap::{Args, Subcommand};
use postern_protocol::id::Thumbprint;
use postern_protocol::limits::JOIN_LINE_CHARS_MAX;
use postern_protocol::trust::Mailbox;
use postern_protocol::trust_line::{RelayLine, TrustLine};
use serde_json::json;
use std::io::Read as _;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum RelayCommand {
    /// Let devices and this controller use a relay
    #[command(
        long_about = "Reads the line that `postern-relay init` printed, from standard input or a file, and signs the\n\
            bundle that names the relay. Devices try mailboxes in the order of the bundle.\n\n\
            A relay that dials another relay is added with --behind: this controller does not dial it, and\n\
            everything for its devices goes through the other one.\n\n\
            Example: postern controller relay add --dir controller < relay.line\n         \
            postern controller relay add --dir controller --behind --first < cell.line"
    )]
    Add(AddArgs),
    /// Use a relay no more
    #[command(
        long_about = "Signs a bundle that does not name the relay. Do it while its devices can still reach another\n\
            mailbox: they learn of it only from one that they reach.\n\n\
            Example: postern controller relay remove 3f0c…e1"
    )]
    Remove(RemoveArgs),
    /// List the mailboxes that devices use, in their order
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Read the relay line from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Let devices try this relay before every other mailbox
    #[arg(long)]
    first: bool,
    /// Do not dial this relay: it dials another relay that this controller reaches
    #[arg(long)]
    behind: bool,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Thumbprint of the relay's key
    #[arg(value_name = "THUMBPRINT", value_parser = super::rotation::parse_thumbprint)]
    relay: Thumbprint,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    operator: OperatorArgs,
}

impl TrustArgs {
    pub(super) const fn is_json(&self) -> bool {
        self.operator.json
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        let config = ControllerConfig::load(&self.operator.dir())?;
        let (trust, _) = bundles::read(&config)?;
        let steps = trust.steps().iter();
        let line = TrustLine {
            root: trust.root(),
            recovery: trust.recovery(),
            bundles: steps.map(|step| step.envelope.to_vec()).collect(),
        };
        let text = line.text().map_err(|reject| {
            CommandError::failure(
                reject.as_str(),
                format!(
                    "the bundles do not fit into one line: {}",
                    reject.sentence()
                ),
                "report this: copy the bundles folder to the relay meanwhile",
            )
        })?;
        if self.operator.json {
            output::json(&json!({
                "domain": trust.root().to_string(),
                "bundle": trust.number().number(),
                "trust_line": text,
            }));
        } else {
            output::line(text);
            output::hint("The line above is public, but must arrive unchanged. On the relay:");
            output::hint(
                "  postern-relay init --dir DIR --url https://RELAY:PORT   (paste the line, or pipe it in)",
            );
        }
        Ok(())
    }
}

impl RelayCommand {
    pub(super) const fn is_json(&self) -> bool {
        match self {
            Self::Add(args) => args.operator.json,
            Self::Remove(args) => args.operator.json,
            Self::List(args) => args.operator.json,
        }
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        match self {
            Self::Add(args) => args.run(),
            Self::Remove(args) => issue(
                &args.operator,
                &args.signer,
                &Rotation::RemoveRelay(args.relay),
                false,
            ),
            Self::List(args) => args.run(),
        }
    }
}

impl AddArgs {
    fn run(&self) -> Result<(), CommandError> {
        let config = ControllerConfig::load(&self.operator.dir())?;
        let text = self.read()?;
        let line = RelayLine::parse(&text).map_err(|error| {
            CommandError::configuration(
                "relay-line-refused",
                error.to_string(),
                "print it again on the relay with `postern-relay line` and copy the whole line",
            )
        })?;
        for url in &line.urls {
            crate::config::check_url(url).map_err(|reason| {
                CommandError::configuration(
                    "relay-line-refused",
                    format!("the relay names the URL {url}: {reason}"),
                    "correct url in relay.toml, then print the line again with `postern-relay line`",
                )
            })?;
        }
        // Before the bundle: a controller that runs dials the relay as soon as it has the bundle.
        if let Some(anchor) = &line.tls_ca {
            write_anchor(&config, line.key.thumbprint(), anchor)?;
        }
        write_behind(&config, line.key.thumbprint(), self.behind)?;
        let relay = Box::new(Mailbox {
            key: line.key,
            urls: line.urls,
        });
        let is_first = self.first;
        issue(
            &self.operator,
            &self.signer,
            &Rotation::AddRelay { relay, is_first },
            false,
        )
    }

    fn read(&self) -> Result<String, CommandError> {
        let unreadable = |error: std::io::Error| {
            CommandError::configuration(
                "relay-line-unreadable",
                error.to_string(),
                "give the relay line on standard input, or name its file with --file",
            )
        };
        let limit = u64::try_from(JOIN_LINE_CHARS_MAX).unwrap_or(u64::MAX) + 2;
        let mut text = String::new();
        match &self.file {
            Some(file) => std::fs::File::open(file)
                .and_then(|file| file.take(limit).read_to_string(&mut text)),
            None => std::io::stdin().take(limit).read_to_string(&mut text),
        }
        .map_err(unreadable)?;
        Ok(text)
    }
}

impl ListArgs {
    fn run(&self) -> Result<(), CommandError> {
        let config = ControllerConfig::load(&self.operator.dir())?;
        let (trust, _) = bundles::read(&config)?;
        let links = links(&config)?;
        let mut rows = Vec::new();
        for mailbox in trust.mailboxes() {
            let thumbprint = mailbox.key.thumbprint();
            let own = file_of(&config.dir, "mailbox", KeyRole::Mailbox, thumbprint)?;
            rows.push(Row {
                thumbprint,
                is_own: own.is_some(),
                is_behind: is_behind(&config, thumbprint),
                is_connected: links
                    .as_deref()
                    .and_then(|links| connected(links, thumbprint)),
                urls: &mailbox.urls,
            });
        }
        if self.operator.json {
            let rows: Vec<_> = rows
                .iter()
                .map(|row| {
                    json!({
                        "thumbprint": row.thumbprint.to_string(), "embedded": row.is_own,
                        "behind": row.is_behind, "connected": row.is_connected, "urls": row.urls,
                    })
                })
                .collect();
            output::json(&json!({ "bundle": trust.number().number(), "mailboxes": rows }));
            return Ok(());
        }
        let number = trust.number().number();
        output::line(format!("bundle {number}: devices try in this order"));
        for row in rows {
            output::line(row.to_text());
        }
        if links.is_none() {
            output::hint("The controller does not run: whether relays are reached is not known.");
        }
        Ok(())
    }
}

/// One mailbox of the newest bundle.
struct Row<'a> {
    thumbprint: Thumbprint,
    is_own: bool,
    is_behind: bool,
    /// Whether the running controller has a session with it for every tenant.
    is_connected: Option<bool>,
    urls: &'a [String],
}

impl Row<'_> {
    fn to_text(&self) -> String {
        let what = match (self.is_own, self.is_behind, self.is_connected) {
            (true, ..) => "this controller",
            (false, true, _) => "relay, behind another",
            (false, false, Some(true)) => "relay, connected",
            (false, false, Some(false)) => "relay, not connected",
            (false, false, None) => "relay",
        };
        format!("  {}  {what:<21}  {}", self.thumbprint, self.urls.join(" "))
    }
}

/// Asks a running controller which relays it reaches; `None` when none runs.
fn links(config: &ControllerConfig) -> Result<Option<Vec<LinkJson>>, CommandError> {
    let mut client = match Client::connect(&config.dir) {
        Ok(client) => client,
        Err(error) if error.exit == Exit::Unreachable => return Ok(None),
        Err(error) => return Err(error),
    };
    let Response::Relays { links } = client.ask(&Request::Relays)? else {
        return Err(unexpected());
    };
    Ok(Some(links))
}

/// Tells whether a relay is reached for every tenant; `None` where there is no link to it.
fn connected(links: &[LinkJson], relay: Thumbprint) -> Option<bool> {
    let relay = relay.to_string();
    let mut own = links.iter().filter(|link| link.relay == relay).peekable();
    own.peek()?;
    Some(own.all(|link| link.connected))
}
